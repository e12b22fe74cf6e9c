//! A canary in every place that takes a secret must be in no file of the data folder.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use policy::{Digester, Secret, Timestamp};
use store::directory::{BackendChange, CredentialChange, NewAccount, NewBackend, NewKey, Target};

use crate::scene::{flush, open, request};

const CANARY: &str = "canary-5e1f-9b7d-3a2c";

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(crate) fn holding(dir: &Path, needle: &[u8]) -> Vec<std::path::PathBuf> {
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).expect("a file");
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    files(dir).into_iter().filter(holds).collect()
}

#[tokio::test]
async fn no_secret_is_in_any_file_in_clear() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let credential = |n: u8| Some(Secret::new(format!("{CANARY}-{n}")));
    let backend = NewBackend {
        id: "b1".to_owned(),
        name: "findable-name".to_owned(),
        spec: serde_json::json!({}),
        credential: credential(1),
        enabled: true,
    };
    store.directory.add_backend(backend, Timestamp(1)).await.expect("added");
    let change = BackendChange {
        credential: CredentialChange::Set(credential(2).expect("one")),
        ..BackendChange::default()
    };
    let target = Target { id: "b1", revision: None };
    store.directory.change_backend(target, change, Timestamp(2)).await.expect("changed");
    let digest_key = store.vault.digest_key().expect("minted");
    let digester = Digester::new(&digest_key);
    let key = NewKey {
        id: "k1".to_owned(),
        name: "app".to_owned(),
        digest: digester.digest(&format!("lg-{CANARY}")),
        masked: policy::masked(&format!("lg-{CANARY}")),
        team: None,
        limits: serde_json::json!({}),
        enabled: true,
        expires: None,
    };
    store.directory.add_key(key, Timestamp(3)).await.expect("added");
    store.vault.put("login/one", credential(3).expect("one")).await.expect("stored");
    let account = |n: u8| NewAccount {
        place: "lingma/1".to_owned(),
        kind: "password",
        account: credential(n).expect("one"),
    };
    store.directory.put_account(account(4), Timestamp(4)).await.expect("stored");
    store.directory.put_account(account(5), Timestamp(5)).await.expect("changed");
    store.vault.rotate(store::audit::Author::gateway(), None, |_, _| {}).await.expect("rotated");
    let accounts = store.directory.accounts().await.expect("they open under the new key");
    assert_eq!(accounts.first().map(|one| one.account.expose()), Some(&*format!("{CANARY}-5")));
    request(&store, 1);
    flush(&store);
    let hidden = [CANARY.as_bytes().to_vec(), digest_key.to_vec(), hex(&*digest_key).into_bytes()];
    // While it runs (write-ahead log and all), and after it ended.
    for needle in &hidden {
        assert_eq!(holding(dir.path(), needle), Vec::<std::path::PathBuf>::new());
    }
    assert!(!holding(dir.path(), b"findable-name").is_empty(), "the search itself must work");
    drop(store);
    for needle in &hidden {
        assert_eq!(holding(dir.path(), needle), Vec::<std::path::PathBuf>::new());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn what_is_ours_in_a_folder_of_others_is_nobody_elses_to_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let mode = |name: &str| {
        let metadata = std::fs::metadata(dir.path().join(name)).expect(name);
        metadata.permissions().mode() & 0o777
    };
    let set = |name: &str, mode: u32| {
        let rights = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path().join(name), rights).expect(name);
    };
    set("", 0o755);
    let files =
        [("lockgate.db", 0o600), ("lockgate.db-wal", 0o600), ("lockgate.db-shm", 0o600), ("journal", 0o700)];
    let check = || {
        for (name, expected) in files {
            assert_eq!(mode(name), expected, "{name}");
        }
    };
    let store = open(dir.path());
    check();
    drop(store);
    // As an earlier release left them.
    set("lockgate.db", 0o644);
    set("journal", 0o755);
    let store = open(dir.path());
    check();
    drop(store);
    assert_eq!(mode(""), 0o755, "the folder itself is whoever's made it");
}
