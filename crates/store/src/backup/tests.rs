//! Holds backups to their promises: a copy is of one moment, a damaged one is told, a restore loses nothing that it replaces.

use policy::Secret;
use serde_json::json;

use super::*;
use crate::journal::JournalError;
use crate::vault::{MasterKeySource, VaultError};
use crate::{Store, StoreOptions};

const NOW: Timestamp = Timestamp(1_780_272_000_000);

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default()).expect("the store opens")
}

fn restored(dir: &Path, backup: &Path) -> Result<Restored, StoreError> {
    restore(dir, backup, &StoreOptions::default(), NOW)
}

fn one(value: u64) -> Vec<(String, Option<serde_json::Value>)> {
    vec![("n".to_owned(), Some(json!(value)))]
}

async fn setting(store: &Store) -> serde_json::Value {
    store.directory.settings().await.expect("settings").first().expect("one").1.clone()
}

#[tokio::test]
async fn a_backup_is_made_under_writers_and_brings_the_past_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    store.directory.change_settings(one(1)).await.expect("set");
    store.vault.put("a", Secret::from("before")).await.expect("stored");
    let writing = async {
        for n in 2..40 {
            store.directory.change_settings(one(n)).await.expect("set");
        }
    };
    let (made, ()) = tokio::join!(store.backups.create(Author::gateway(), NOW, |_, _| {}), writing);
    let made = made.expect("made");
    assert_eq!(store.backups.list().await.expect("listed"), std::slice::from_ref(&made));
    let verdict = store.backups.verify(&made.name).await.expect("looked at");
    assert_eq!((verdict.problem, verdict.key_id), (None, store.vault.key_id()));
    store.vault.put("a", Secret::from("after")).await.expect("stored");
    let path = store.backups.folder().join(&made.name);
    // A gateway runs.
    let refused = restored(dir.path(), &path).expect_err("in use");
    assert!(matches!(refused, StoreError::Journal(JournalError::InUse)), "{refused}");
    drop(store);
    // The database is damaged beyond opening.
    std::fs::write(dir.path().join("lockgate.db"), b"rubbish").expect("damaged");
    Store::open(dir.path(), StoreOptions::default()).expect_err("damaged");
    let done = restored(dir.path(), &path).expect("restored");
    let before = done.before.expect("what was there is kept");
    assert_eq!(std::fs::read(before).expect("kept"), b"rubbish");
    let store = open(dir.path());
    assert_eq!(store.vault.get("a").await.expect("readable"), Some(Secret::from("before")));
    assert!(setting(&store).await.as_u64().expect("a number") >= 1);
}

#[tokio::test]
async fn what_is_not_sound_or_not_ours_is_not_restored_and_nothing_changes() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    store.directory.change_settings(one(1)).await.expect("set");
    let made = store.backups.create(Author::gateway(), NOW, |_, _| {}).await.expect("made");
    let good = store.backups.folder().join(&made.name);
    let path = |number: i64| store.backups.folder().join(name_of(Timestamp(NOW.0 + number)));
    let bytes = std::fs::read(&good).expect("the backup");
    let damaged = path(1);
    let mut altered = bytes.clone();
    for byte in altered.iter_mut().skip(4096 * 3).take(4096 * 4) {
        *byte ^= 0xFF;
    }
    std::fs::write(&damaged, &altered).expect("written");
    let cut = path(2);
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).expect("written");
    let empty = path(3);
    std::fs::write(&empty, b"").expect("written");
    let newer = path(4);
    std::fs::write(&newer, &bytes).expect("written");
    let connection = Connection::open(&newer).expect("a database");
    connection.pragma_update(None, "user_version", migrate::newest() + 1).expect("a version");
    drop(connection);
    for bad in [&damaged, &cut, &empty, &newer] {
        let name = bad.file_name().expect("a name").to_str().expect("text");
        let verdict = store.backups.verify(name).await.expect("looked at");
        assert!(verdict.problem.is_some(), "{name} is told to be sound");
    }
    for name in ["../lockgate.db", "lockgate.db", "lockgate-1.db", "lockgate-9999999999999.db", ""] {
        store.backups.verify(name).await.expect_err("no backup of ours");
    }
    drop(store);
    let files = |dir: &Path| {
        let names =
            std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let (before, database) = (files(dir.path()), std::fs::read(dir.path().join("lockgate.db")).expect("it"));
    for bad in [&damaged, &cut, &empty, &newer] {
        restored(dir.path(), bad).expect_err("not sound");
    }
    let other = MasterKeySource::Value { key: Secret::new("ab".repeat(32)), next: None };
    let options = StoreOptions { master_key: other, ..StoreOptions::default() };
    let refused = restore(dir.path(), &good, &options, NOW).expect_err("another key");
    assert!(matches!(refused, StoreError::Vault(VaultError::Wrong { .. })), "{refused}");
    assert_eq!(files(dir.path()), before);
    assert!(std::fs::read(dir.path().join("lockgate.db")).expect("it") == database, "it was touched");
    restored(dir.path(), &good).expect("restored");
    assert_eq!(setting(&open(dir.path())).await, json!(1));
}

#[tokio::test]
async fn old_backups_go_and_the_newest_never() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let day = 24 * 3_600_000;
    for age in [0, 3, 8, 9] {
        let at = Timestamp(NOW.0 - age * day);
        store.backups.create(Author::gateway(), at, |_, _| {}).await.expect("made");
    }
    let week = Duration::from_secs(7 * 24 * 3600);
    assert_eq!(store.backups.forget(NOW, week).await.expect("tidied"), 2);
    assert_eq!(store.backups.list().await.expect("listed").len(), 2);
    let later = Timestamp(NOW.0 + 100 * day);
    assert_eq!(store.backups.forget(later, week).await.expect("tidied"), 1);
    assert_eq!(store.backups.list().await.expect("listed")[0].at, NOW, "the newest stays");
    store.backups.create(Author::gateway(), NOW, |_, _| {}).await.expect_err("it is there already");
}
