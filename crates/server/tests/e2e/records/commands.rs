//! `audit`, `vault` and `backup`, each to its end and as far as it goes wrong.

use std::path::Path;

use serde_json::Value;
use testkit::{GatewaySettings, alter_database};

use crate::cli::{CANARY, LOCKGATE, Shell};

#[tokio::test]
async fn an_audit_log_that_was_edited_does_not_hold() {
    let shell = Shell::new();
    for name in ["one", "two", "three"] {
        shell.ok(&["keys", "create", name]).await;
    }
    let verdict = shell.json(&["audit", "verify", "--json"]).await;
    let head = format!("{}:{}", verdict["head"]["number"], verdict["head"]["hash"].as_str().expect("a hash"));
    let told = shell.ok(&["audit", "verify", "--known", &head]).await;
    assert!(told.contains(&head) && told.contains("The log holds."), "{told}");
    shell.ok(&["keys", "revoke", "two"]).await;
    shell.ok(&["audit", "verify", "--known", &head]).await;
    let listed = shell.ok(&["audit", "list", "--kind", "key"]).await;
    assert_eq!(listed.lines().count(), 5, "{listed}");
    let data = shell.path().join("data");
    for (edit, known) in [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 2", None),
        ("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)", Some(head.as_str())),
    ] {
        assert_eq!(alter_database(&data, edit).expect("altered"), 1, "{edit}");
        let mut arguments = vec!["audit", "verify"];
        if let Some(known) = known {
            arguments.extend(["--known", known]);
        }
        let ran = shell.run(&arguments).await;
        assert_eq!(ran.code, Some(1), "{edit}: {ran:?}");
        assert!(ran.stdout.contains("The log does not hold."), "{edit}: {ran:?}");
    }
}

/// Which master key is in force, and whether every secret is under it.
async fn vault(shell: &Shell) -> String {
    let status = shell.json(&["vault", "status", "--json"]).await;
    assert_eq!(status["secrets"], status["under_key"], "{status}");
    status["key_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_master_key_is_rotated_and_the_one_before_opens_nothing() {
    let shell = Shell::new();
    let add = ["backends", "add", "a", "--kind", "openai_compatible", "--base-url", "http://127.0.0.1:1/v1"];
    let added = shell.run_with(&[&add[..], &["--api-key-stdin"]].concat(), CANARY).await;
    assert_eq!(added.code, Some(0), "{added:?}");
    let file = shell.path().join("data/master.key");
    let read = || std::fs::read(&file).expect("a key file");
    let (first, first_id) = (read(), vault(&shell).await);
    let rotated = shell.run(&["vault", "rotate"]).await;
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    assert!(rotated.stderr.contains("Back the key file up again"), "{rotated:?}");
    let second = read();
    assert_ne!(second, first);
    assert_ne!(vault(&shell).await, first_id);
    let listed = shell.ok(&["backends", "list"]).await;
    assert!(listed.contains(&policy::masked(CANARY)), "{listed}");
    std::fs::write(&file, &first).expect("written");
    let refused = shell.run(&["vault", "status"]).await;
    assert_eq!(refused.code, Some(78), "{refused:?}");
    std::fs::write(&file, &second).expect("written");
    vault(&shell).await;
}

async fn keys(shell: &Shell) -> Vec<String> {
    let listed = shell.json(&["keys", "list", "--json"]).await;
    let names = listed.as_array().into_iter().flatten().filter_map(|key| key["name"].as_str());
    names.map(str::to_owned).collect()
}

async fn copies(shell: &Shell) -> Vec<String> {
    let listed = shell.json(&["backup", "list", "--json"]).await;
    let names = listed.as_array().into_iter().flatten().filter_map(|copy| copy["name"].as_str());
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_backup_is_made_proven_and_put_back() {
    let shell = Shell::new().with("LOCKGATE_BACKUP_DIR", "copies");
    assert_eq!(copies(&shell).await, Vec::<String>::new());
    shell.ok(&["keys", "create", "kept"]).await;
    let made = shell.ok(&["backup", "create"]).await.trim_end().to_owned();
    assert!(shell.path().join("copies").join(&made).is_file(), "{made}");
    assert_eq!(copies(&shell).await, std::slice::from_ref(&made));
    let verdict = shell.json(&["backup", "verify", &made, "--json"]).await;
    assert_eq!(verdict["problem"], Value::Null, "{verdict}");
    shell.ok(&["keys", "revoke", "kept"]).await;
    shell.ok(&["keys", "create", "later"]).await;
    let restored = shell.run(&["backup", "restore", &made]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(restored.stderr.contains("What was there before is kept as"), "{restored:?}");
    assert_eq!(keys(&shell).await, ["kept"]);
    shell.ok(&["audit", "verify"]).await;
}

#[tokio::test]
async fn a_copy_that_is_not_sound_is_never_put_back() {
    let shell = Shell::new();
    shell.ok(&["keys", "create", "kept"]).await;
    let made = shell.ok(&["backup", "create"]).await.trim_end().to_owned();
    shell.ok(&["keys", "create", "later"]).await;
    let copy = shell.path().join("data/backups").join(&made);
    let whole = std::fs::read(&copy).expect("a copy");
    for (what, bytes) in [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("overwritten", [&whole[..4096], &vec![0x55; whole.len() - 4096][..]].concat()),
        ("no database", b"hello".to_vec()),
    ] {
        std::fs::write(&copy, bytes).expect("written");
        let verified = shell.run(&["backup", "verify", &made]).await;
        assert_eq!(verified.code, Some(1), "{what}: {verified:?}");
        let restored = shell.run(&["backup", "restore", &made]).await;
        assert_eq!(restored.code, Some(1), "{what}: {restored:?}");
        assert_eq!(keys(&shell).await, ["kept", "later"], "{what}");
    }
    for wrong in ["lockgate-1780272000000.db", "../data/lockgate.db", "none"] {
        let verified = shell.run(&["backup", "verify", wrong]).await;
        assert_eq!(verified.code, Some(1), "{wrong}: {verified:?}");
    }
}

#[tokio::test]
async fn nothing_is_put_back_under_a_running_gateway() {
    let gateway =
        GatewaySettings::new(LOCKGATE).config("log: {level: error}\n").start().await.expect("a gateway");
    let shell = Shell::new();
    let here = |data: &Path| data.to_str().expect("a path of letters").to_owned();
    let data = here(&gateway.data());
    let made = shell.ok(&["backup", "create", "--data-dir", &data]).await.trim_end().to_owned();
    let refused = shell.run(&["backup", "restore", &made, "--data-dir", &data]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("stop it"), "{refused:?}");
    assert_eq!(gateway.client().get("/healthz").await.expect("an answer").status, 200);
}
