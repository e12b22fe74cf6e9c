//! Holds the vault to its promises: nothing in clear, nothing opens with the wrong key or in the wrong row, a
//! rotation loses nothing.

use std::path::Path;
use std::time::Duration;

use super::master::KeyFile;
use super::*;
use crate::sqlite::Place;
use crate::sqlite::inspection::Inspection;
use rusqlite::Connection;

const CANARY: &str = "sk-canary-1f2e3d4c5b6a79880123456789";

fn open(dir: &Path, source: MasterKeySource) -> Result<(Vault, Option<VaultNotice>), StoreError> {
    let place = Place { path: dir.join("lockgate.db"), busy_timeout: Duration::from_millis(200) };
    Vault::open(Arc::new(Database::open(place, Inspection::Skipped)?), source, dir)
}

fn open_here(dir: &Path) -> Vault {
    open(dir, MasterKeySource::DataFolder).expect("the vault opens").0
}

fn refusal(dir: &Path, source: MasterKeySource) -> VaultError {
    match open(dir, source) {
        Err(StoreError::Vault(error)) => error,
        other => panic!("must be refused by the vault: {other:?}"),
    }
}

fn key(byte: u8) -> MasterKey {
    MasterKey::from_hex(&hex::encode([byte; 32])).expect("64 hex characters")
}

#[tokio::test]
async fn the_first_start_makes_a_key_file_and_says_so_once() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("master.key");
    let (vault, notice) = open(dir.path(), MasterKeySource::DataFolder).expect("the first start");
    assert_eq!(notice, Some(VaultNotice::Created(path.clone())));
    assert_eq!(std::fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    vault.put("a", Secret::from(CANARY)).await.expect("stored");
    let digest_key = vault.digest_key().expect("minted");
    drop(vault);
    let (vault, notice) = open(dir.path(), MasterKeySource::DataFolder).expect("the second start");
    assert_eq!(notice, None);
    assert_eq!(vault.get("a").await.expect("readable"), Some(Secret::from(CANARY)));
    assert_eq!(vault.get("b").await.expect("readable"), None);
    assert_eq!(*vault.digest_key().expect("kept"), *digest_key);
    vault.remove("a").await.expect("removed");
    assert_eq!(vault.get("a").await.expect("readable"), None);
}

#[test]
fn stored_secrets_with_a_missing_wrong_or_malformed_key_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(open_here(dir.path()));
    let value = |text: &str| MasterKeySource::Value { key: Secret::from(text), next: None };
    assert!(matches!(refusal(dir.path(), value(&"ab".repeat(32))), VaultError::Wrong { .. }));
    assert_eq!(refusal(dir.path(), value("abc")), VaultError::Malformed);
    let nowhere = MasterKeySource::File(dir.path().join("nowhere"));
    assert!(matches!(refusal(dir.path(), nowhere), VaultError::Missing(_)));
    let path = dir.path().join("master.key");
    let right = std::fs::read_to_string(&path).expect("the key");
    std::fs::write(&path, "not a key").expect("overwritten");
    assert_eq!(refusal(dir.path(), MasterKeySource::DataFolder), VaultError::Malformed);
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(refusal(dir.path(), MasterKeySource::DataFolder), VaultError::Missing(_)));
    assert!(!path.exists(), "no key may be made while secrets need another");
    open(dir.path(), value(&right)).expect("the right key as a value");
    // Losing the proof does not open the door either.
    let connection = Connection::open(dir.path().join("lockgate.db")).expect("the database");
    connection
        .execute_batch("DELETE FROM vault; INSERT INTO secrets VALUES ('x', x'00', x'00', x'00')")
        .expect("an edit");
    drop(connection);
    assert!(matches!(refusal(dir.path(), value(&right)), VaultError::Altered(_)));
}

#[test]
fn a_sealed_secret_opens_only_unaltered_in_its_own_row_and_under_its_own_key() {
    let sealed = envelope::seal(&key(1), "row", CANARY.as_bytes()).expect("sealed");
    assert_eq!(envelope::open(&key(1), "row", &sealed).expect("opens").as_slice(), CANARY.as_bytes());
    assert!(envelope::open(&key(2), "row", &sealed).is_err());
    assert!(envelope::open(&key(1), "other", &sealed).is_err());
    let fields: [fn(&mut Sealed) -> &mut Vec<u8>; 2] =
        [|sealed| &mut sealed.wrapped, |sealed| &mut sealed.sealed];
    for field in fields {
        for at in 0..field(&mut sealed.clone()).len() {
            let mut altered = sealed.clone();
            field(&mut altered)[at] ^= 1;
            assert!(envelope::open(&key(1), "row", &altered).is_err(), "byte {at}");
            let mut short = sealed.clone();
            field(&mut short).truncate(at);
            assert!(envelope::open(&key(1), "row", &short).is_err(), "cut at {at}");
        }
    }
    let again = envelope::seal(&key(1), "row", CANARY.as_bytes()).expect("sealed");
    assert_ne!(again.sealed, sealed.sealed, "a fresh data key and nonce each time");
}

#[test]
fn keys_and_rings_do_not_print() {
    let ring = Keys::new(key(0xAB), Some(key(0xAB)), None);
    let source = MasterKeySource::Value { key: Secret::from("abab"), next: Some(Secret::from("abab")) };
    let printed = format!("{:?} {ring:?} {source:?}", key(0xAB));
    assert!(!printed.contains("ab"), "{printed}");
}

#[tokio::test]
async fn rotation_loses_nothing_and_serves_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let vault = open_here(dir.path());
    for n in 0..50 {
        vault.put(&format!("s{n}"), Secret::new(format!("secret {n}"))).await.expect("stored");
    }
    let digest_key = vault.digest_key().expect("minted");
    let old = std::fs::read_to_string(dir.path().join("master.key")).expect("the key");
    let reading = async {
        for _ in 0..20 {
            for n in 0..50 {
                let read = vault.get(&format!("s{n}")).await.expect("readable during rotation");
                assert_eq!(read, Some(Secret::new(format!("secret {n}"))));
            }
        }
    };
    let (sender, told) = std::sync::mpsc::channel();
    let rotating =
        vault.rotate(Author::gateway(), None, move |done, all| sender.send((done, all)).expect("heard"));
    let (rotated, ()) = tokio::join!(rotating, reading);
    let rotated = rotated.expect("rotated");
    assert_eq!((rotated.secrets, told.iter().last()), (51, Some((51, 51))));
    assert_eq!(rotated.key_id, vault.key_id());
    vault.put("new", Secret::from("after")).await.expect("stored");
    drop(vault);
    assert!(!dir.path().join("master.key.next").exists());
    let vault = open_here(dir.path());
    assert_eq!(vault.get("s49").await.expect("readable"), Some(Secret::from("secret 49")));
    assert_eq!(vault.get("new").await.expect("readable"), Some(Secret::from("after")));
    assert_eq!(*vault.digest_key().expect("kept"), *digest_key);
    drop(vault);
    let old = MasterKeySource::Value { key: Secret::new(old), next: None };
    assert!(matches!(refusal(dir.path(), old), VaultError::Wrong { .. }));
}

/// A rotation that was killed after each of its steps.
#[tokio::test]
async fn a_rotation_killed_at_any_step_opens_again() {
    for step in ["announced", "committed", "replaced", "announced again after commit"] {
        let dir = tempfile::tempdir().expect("a folder");
        let file = KeyFile::at(dir.path().join("master.key"));
        let vault = open_here(dir.path());
        vault.put("a", Secret::from(CANARY)).await.expect("stored");
        let old = std::fs::read(file.path()).expect("the old key");
        let (before, next) = (vault.ring.current(), dir.path().join("master.key.next"));
        if step == "announced" {
            file.announce(&before, &key(9)).expect("beside it");
        } else {
            vault.rotate(Author::gateway(), None, |_, _| {}).await.expect("rotated");
        }
        if step.contains("commit") {
            // The files as they were between the commit and the rename.
            std::fs::rename(file.path(), &next).expect("undone");
            std::fs::write(file.path(), &old).expect("undone");
        }
        if step.starts_with("announced again") {
            let current = vault.ring.current();
            file.announce(&current, &key(9)).expect("beside it");
        }
        drop(vault);
        let vault = open_here(dir.path());
        assert_eq!(vault.get("a").await.expect("readable"), Some(Secret::from(CANARY)), "{step}");
        vault.rotate(Author::gateway(), None, |_, _| {}).await.expect("rotated again");
        drop(vault);
        assert_eq!(
            open_here(dir.path()).get("a").await.expect("readable"),
            Some(Secret::from(CANARY)),
            "{step}"
        );
    }
}

#[tokio::test]
async fn a_failed_rotation_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let vault = open_here(dir.path());
    vault.put("a", Secret::from(CANARY)).await.expect("stored");
    let other = Connection::open(dir.path().join("lockgate.db")).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    assert!(vault.rotate(Author::gateway(), None, |_, _| {}).await.is_err());
    assert_eq!(vault.get("a").await.expect("readable"), Some(Secret::from(CANARY)));
    drop(other);
    vault.put("b", Secret::from("b")).await.expect("stored");
    drop(vault);
    let vault = open_here(dir.path());
    assert_eq!(vault.get("a").await.expect("readable"), Some(Secret::from(CANARY)));
    assert_eq!(vault.get("b").await.expect("readable"), Some(Secret::from("b")));
}

/// The command line rotates in a process of its own while a gateway serves.
#[tokio::test]
async fn a_rotation_in_another_process_is_followed_by_readers_and_writers() {
    let dir = tempfile::tempdir().expect("a folder");
    let (serving, commanding) = (open_here(dir.path()), open_here(dir.path()));
    serving.put("a", Secret::from(CANARY)).await.expect("stored");
    for round in 0..3 {
        let by = if round % 2 == 0 { &commanding } else { &serving };
        let rotated = by.rotate(Author::gateway(), None, |_, _| {}).await.expect("rotated");
        for vault in [&serving, &commanding] {
            assert_eq!(vault.get("a").await.expect("readable"), Some(Secret::from(CANARY)), "round {round}");
            vault.put(&format!("b{round}"), Secret::from("b")).await.expect("stored");
            let status = vault.status().await.expect("a status");
            assert_eq!((status.key_id.as_str(), status.source), (rotated.key_id.as_str(), "file"));
            assert_eq!(status.under_key, status.secrets, "everything is under the key in force");
        }
    }
    drop((serving, commanding));
    let vault = open_here(dir.path());
    assert_eq!(vault.get("b1").await.expect("readable"), Some(Secret::from("b")));
}

#[tokio::test]
async fn a_second_rotation_at_once_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let vault = open_here(dir.path());
    let lock = KeyFile::at(dir.path().join("master.key")).lock().expect("held");
    let refused = vault.rotate(Author::gateway(), None, |_, _| {}).await.expect_err("held elsewhere");
    assert!(matches!(refused, StoreError::Vault(VaultError::Rotating)), "{refused}");
    drop(lock);
    vault.rotate(Author::gateway(), None, |_, _| {}).await.expect("rotated");
}

#[tokio::test]
async fn a_key_of_the_environment_is_rotated_to_one_that_the_operator_kept_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = |byte: u8| Secret::new(hex::encode([byte; 32]));
    let value = |key: u8, next: Option<u8>| MasterKeySource::Value { key: text(key), next: next.map(text) };
    let (vault, _) = open(dir.path(), value(1, None)).expect("opened");
    vault.put("a", Secret::from(CANARY)).await.expect("stored");
    let refusal_of = |new: Option<MasterKey>| vault.rotate(Author::gateway(), new, |_, _| {});
    let refused = refusal_of(None).await.expect_err("no next key");
    assert!(matches!(refused, StoreError::Vault(VaultError::NextMissing)), "{refused}");
    let refused = refusal_of(Some(key(1))).await.expect_err("the same key");
    assert!(matches!(refused, StoreError::Vault(VaultError::Same)), "{refused}");
    assert!(!dir.path().join("master.key").exists(), "no key of the environment is ever written");
    drop(vault);
    let (serving, notice) = open(dir.path(), value(1, Some(2))).expect("opened with both");
    assert_eq!(notice, None);
    let (commanding, _) = open(dir.path(), value(1, Some(2))).expect("opened with both");
    let rotated = commanding.rotate(Author::gateway(), None, |_, _| {}).await.expect("rotated");
    assert_eq!((rotated.key_id, rotated.file), (hex::encode(key(2).id()), None));
    assert_eq!(serving.get("a").await.expect("readable"), Some(Secret::from(CANARY)));
    serving.put("b", Secret::from("b")).await.expect("stored");
    let refused = serving.rotate(Author::gateway(), None, |_, _| {}).await.expect_err("no further key");
    assert!(matches!(refused, StoreError::Vault(VaultError::NextMissing)), "{refused}");
    drop((serving, commanding));
    // Killed before the variables were put in order, and after.
    let (vault, notice) = open(dir.path(), value(1, Some(2))).expect("opened with both");
    assert_eq!(notice, Some(VaultNotice::NextInForce));
    assert_eq!(vault.get("b").await.expect("readable"), Some(Secret::from("b")));
    drop(vault);
    open(dir.path(), value(2, None)).expect("opened with the new one");
    assert!(matches!(refusal(dir.path(), value(1, None)), VaultError::Wrong { .. }));
    assert!(matches!(refusal(dir.path(), value(1, Some(3))), VaultError::Wrong { .. }));
}
