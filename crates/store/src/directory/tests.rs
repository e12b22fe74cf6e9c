//! Holds the directory to its promises: changes are counted, conflicts are told, credentials stay in the vault.

use std::time::Duration;

use policy::Digester;
use serde_json::json;

use super::*;
use crate::sqlite::Place;
use crate::sqlite::inspection::Inspection;
use crate::vault::MasterKeySource;

const CANARY: &str = "sk-canary-directory-0123456789";
const NOW: Timestamp = Timestamp(1_000);

fn open(dir: &tempfile::TempDir) -> Directory {
    let place = Place { path: dir.path().join("lockgate.db"), busy_timeout: Duration::from_millis(200) };
    let database = Arc::new(Database::open(place, Inspection::Skipped).expect("a database"));
    let (vault, _) =
        Vault::open(Arc::clone(&database), MasterKeySource::DataFolder, dir.path()).expect("a vault");
    Directory::new(database, &vault)
}

fn backend(id: &str, name: &str) -> NewBackend {
    NewBackend {
        id: id.to_owned(),
        name: name.to_owned(),
        spec: json!({"kind": "openai", "limits": {"rpm": 40}}),
        credential: Some(Secret::from(CANARY)),
        enabled: true,
    }
}

fn key(id: &str, name: &str) -> NewKey {
    NewKey {
        id: id.to_owned(),
        name: name.to_owned(),
        digest: Digester::new(&[1; 32]).digest(name),
        masked: "lg-abc***wxyz".to_owned(),
        team: Some("red".to_owned()),
        limits: json!({"rpm": 60}),
        enabled: true,
        expires: None,
    }
}

fn id(id: &str) -> Target<'_> {
    Target { id, revision: None }
}

#[tokio::test]
async fn backends_come_back_as_they_were_stored_over_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open(&dir);
    assert_eq!(directory.changes().await.expect("a count"), 0);
    let added = directory.add_backend(backend("b1", "zeta"), NOW).await.expect("added");
    directory.add_backend(backend("b2", "alpha"), NOW).await.expect("added");
    assert_eq!(added.credential, Some(Secret::from(CANARY)));
    assert_eq!(added.masked.as_deref(), Some("sk-can***6789"));
    let renamed =
        BackendChange { name: Some("beta".to_owned()), enabled: Some(false), ..BackendChange::default() };
    let changed = directory.change_backend(id("b1"), renamed, Timestamp(2_000)).await.expect("changed");
    assert_eq!((changed.name.as_str(), changed.enabled, changed.revision), ("beta", false, 2));
    assert_eq!((changed.created, changed.updated), (NOW, Timestamp(2_000)));
    assert_eq!(changed.spec, added.spec);
    drop(directory);
    let directory = open(&dir);
    let [alpha, beta] = directory.backends().await.expect("all").try_into().expect("two");
    assert_eq!((alpha.name.as_str(), beta), ("alpha", changed));
    assert_eq!(directory.changes().await.expect("a count"), 3);
}

#[tokio::test]
async fn credentials_are_replaced_and_cleared_and_go_with_their_backend() {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open(&dir);
    directory.add_backend(backend("b1", "one"), NOW).await.expect("added");
    let set = |credential| BackendChange { credential, ..BackendChange::default() };
    let other = set(CredentialChange::Set(Secret::from("other-secret-of-it")));
    let changed = directory.change_backend(id("b1"), other, NOW).await.expect("changed");
    assert_eq!(changed.credential, Some(Secret::from("other-secret-of-it")));
    let cleared =
        directory.change_backend(id("b1"), set(CredentialChange::Clear), NOW).await.expect("cleared");
    assert_eq!((cleared.credential, cleared.masked), (None, None));
    directory.remove_backend(id("b1")).await.expect("removed");
    let again = NewBackend { credential: None, ..backend("b1", "one") };
    assert_eq!(directory.add_backend(again, NOW).await.expect("added").credential, None);
}

#[tokio::test]
async fn accounts_are_sealed_whole_come_back_and_go_without_a_trace() {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open(&dir);
    let account = |place: &str, account: &str| NewAccount {
        place: place.to_owned(),
        kind: "password",
        account: Secret::from(account),
    };
    directory.put_account(account("lingma/2", "{\"password\":\"first\"}"), NOW).await.expect("stored");
    directory.put_account(account("lingma/1", CANARY), NOW).await.expect("stored");
    directory.put_account(account("lingma/2", "second"), NOW).await.expect("in its place");
    assert_eq!(directory.changes().await.expect("a count"), 3);
    drop(directory);
    let directory = open(&dir);
    let all = directory.accounts().await.expect("all");
    let told: Vec<_> = all.iter().map(|one| (one.place.as_str(), one.account.expose())).collect();
    assert_eq!(told, [("lingma/1", CANARY), ("lingma/2", "second")]);
    directory.remove_account("lingma/1").await.expect("removed");
    let again = directory.remove_account("lingma/1").await.expect_err("it is gone");
    assert_eq!(again.to_string(), "there is no account named \"lingma/1\"");
    assert_eq!(directory.accounts().await.expect("all").len(), 1);
}

#[tokio::test]
async fn clashes_are_named_and_leave_everything_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open(&dir);
    directory.add_backend(backend("b1", "one"), NOW).await.expect("added");
    directory.add_key(key("k1", "app"), NOW).await.expect("added");
    let count = directory.changes().await.expect("a count");
    let stale = Target { id: "b1", revision: Some(9) };
    let missing = "there is no backend named \"b9\"";
    let outcomes = [
        (
            directory.add_backend(backend("b2", "one"), NOW).await.map(drop),
            "the backend \"one\" exists already",
        ),
        (directory.add_key(key("k2", "app"), NOW).await.map(drop), "the key \"app\" exists already"),
        (directory.remove_backend(id("b9")).await, missing),
        (directory.change_backend(id("b9"), BackendChange::default(), NOW).await.map(drop), missing),
        (directory.remove_key(id("k9")).await, "there is no key named \"k9\""),
        (directory.remove_backend(stale).await, "the backend \"b1\" was changed by somebody else meanwhile"),
    ];
    for (outcome, expected) in outcomes {
        assert_eq!(outcome.expect_err(expected).to_string(), expected);
    }
    assert_eq!(directory.changes().await.expect("a count"), count);
    let [kept] = directory.backends().await.expect("all").try_into().expect("one");
    assert_eq!((kept.id.as_str(), kept.credential), ("b1", Some(Secret::from(CANARY))));
}

#[tokio::test]
async fn keys_keep_digests_and_change_field_by_field() {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open(&dir);
    let added = directory.add_key(key("k1", "app"), NOW).await.expect("added");
    assert_eq!(added.digest, Digester::new(&[1; 32]).digest("app"));
    let change = KeyChange {
        team: Some(None),
        expires: Some(Some(Timestamp(9_000))),
        secret: Some((Digester::new(&[1; 32]).digest("rotated"), "lg-new***0000".to_owned())),
        ..KeyChange::default()
    };
    let changed = directory.change_key(Target { id: "k1", revision: Some(1) }, change, Timestamp(2)).await;
    let changed = changed.expect("changed");
    assert_eq!((changed.team, changed.expires), (None, Some(Timestamp(9_000))));
    assert_eq!(changed.digest, Digester::new(&[1; 32]).digest("rotated"));
    assert_eq!((changed.name, changed.limits, changed.revision), (added.name, added.limits, 2));
    directory.remove_key(id("k1")).await.expect("removed");
    assert_eq!(directory.keys().await.expect("none"), []);
}

#[tokio::test]
async fn settings_and_the_admin_token_digest_are_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open(&dir);
    let set = |value: Option<Value>| directory.change_settings(vec![("queue_max".to_owned(), value)]);
    set(Some(json!(5))).await.expect("set");
    set(Some(json!({"a": [1]}))).await.expect("set again");
    assert_eq!(directory.settings().await.expect("all"), [("queue_max".to_owned(), json!({"a": [1]}))]);
    set(None).await.expect("forgotten");
    set(None).await.expect("forgotten already");
    assert_eq!(directory.settings().await.expect("none"), []);
    assert_eq!(directory.admin_token_digest().await.expect("none"), None);
    let digest = Digester::new(&[2; 32]).digest("token");
    directory.set_admin_token_digest(digest.clone()).await.expect("set");
    assert_eq!(directory.admin_token_digest().await.expect("one"), Some(digest));
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_under_its_author_and_no_failed_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let plain = open(&dir);
    let author = Author { name: Arc::from("ops"), via: crate::audit::Via::Api, address: None };
    let directory = plain.by(author);
    directory.add_backend(backend("b1", "alpha"), NOW).await.expect("added");
    let same_mask = CredentialChange::Set(Secret::from("sk-canary-another-name-0123456789"));
    let change = BackendChange { credential: same_mask, ..BackendChange::default() };
    directory.change_backend(id("b1"), change, NOW).await.expect("changed");
    directory.add_backend(backend("b2", "alpha"), NOW).await.expect_err("taken");
    directory.remove_backend(id("b1")).await.expect("removed");
    directory.add_key(key("k1", "app"), NOW).await.expect("added");
    let rotated = KeyChange {
        secret: Some((Digester::new(&[1; 32]).digest("new"), "lg-abc***wxyz".to_owned())),
        ..KeyChange::default()
    };
    directory.change_key(id("k1"), rotated, NOW).await.expect("changed");
    directory.remove_key(id("k1")).await.expect("removed");
    directory.remove_key(id("k1")).await.expect_err("gone");
    for value in [Some(json!(3)), None] {
        directory.change_settings(vec![("limits.queue_max".to_owned(), value)]).await.expect("changed");
    }
    plain.set_admin_token_digest(Digester::new(&[1; 32]).digest("token")).await.expect("kept");
    let log = crate::AuditLog::new(Arc::clone(&directory.database));
    let mut entries = log.list(crate::audit::AuditFilter::default(), None, 100).await.expect("a page");
    entries.reverse();
    let told: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} {} {} {}", entry.actor, entry.action, entry.kind, entry.subject))
        .collect();
    assert_eq!(
        told,
        [
            "ops create backend alpha",
            "ops change backend alpha",
            "ops delete backend alpha",
            "ops create key app",
            "ops change key app",
            "ops delete key app",
            "ops change setting limits.queue_max",
            "ops change setting limits.queue_max",
            "gateway mint token admin",
        ]
    );
    let state = |number: usize| (entries[number].before.clone(), entries[number].after.clone());
    let (before, after) = state(1);
    let (before, after) = (before.expect("a before"), after.expect("an after"));
    assert_eq!(
        (&before["credential"], &after["credential"]),
        (&json!("sk-can***6789"), &json!("sk-can***6789"))
    );
    assert_eq!(after["credential_replaced"], true, "two credentials that look the same");
    assert_eq!(state(4).1.expect("an after")["secret_replaced"], true);
    let both = (Some(json!({"limits.queue_max": 3})), Some(json!({"limits.queue_max": null})));
    assert_eq!(state(7), both);
    let verdict = log.verify(None).await.expect("a verdict");
    assert_eq!((verdict.entries, verdict.breaks), (9, Vec::new()));
}

fn new_spec(id: &str, name: &str, rpm: u64) -> NewSpec {
    NewSpec { id: id.to_owned(), name: name.to_owned(), spec: json!({"rpm": rpm}) }
}

#[tokio::test]
async fn specs_are_kept_by_kind_and_conflicts_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open(&dir);
    let added = directory.add_spec(Kind::Team, new_spec("t1", "red", 1), NOW).await.expect("added");
    assert_eq!((added.revision, added.created), (1, NOW));
    directory.add_spec(Kind::Budget, new_spec("b1", "red", 1), NOW).await.expect("another kind");
    let twice = directory.add_spec(Kind::Team, new_spec("t2", "red", 1), NOW).await;
    assert!(matches!(twice, Err(StoreError::Conflict { what: "team", .. })), "{twice:?}");
    let change = SpecChange { name: "blue".to_owned(), spec: json!({"rpm": 2}) };
    let late = Target { id: "t1", revision: Some(9) };
    let refused = directory.change_spec(Kind::Team, late, change.clone(), NOW).await;
    assert!(matches!(refused, Err(StoreError::Changed { .. })), "{refused:?}");
    let other = directory.change_spec(Kind::Price, id("t1"), change.clone(), NOW).await;
    assert!(matches!(other, Err(StoreError::NotFound { what: "price", .. })), "{other:?}");
    let changed =
        directory.change_spec(Kind::Team, id("t1"), change, Timestamp(2_000)).await.expect("changed");
    assert_eq!((changed.name.as_str(), changed.revision, changed.updated), ("blue", 2, Timestamp(2_000)));
    let changes = directory.changes().await.expect("a count");
    assert!(directory.remove_spec(Kind::Team, late).await.is_err());
    directory.remove_spec(Kind::Team, id("t1")).await.expect("removed");
    assert_eq!(directory.changes().await.expect("a count"), changes + 1);
    assert_eq!(directory.specs(Kind::Team).await.expect("a list"), []);
    assert_eq!(directory.specs(Kind::Budget).await.expect("a list").len(), 1);
}

#[tokio::test]
async fn many_are_put_in_place_of_those_of_the_same_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open(&dir);
    let put = |rows: Vec<NewSpec>| directory.put_specs(Kind::Price, rows, NOW);
    assert_eq!(put(vec![new_spec("p1", "a", 1), new_spec("p2", "b", 2)]).await.expect("two"), 2);
    let again = vec![new_spec("p3", "a", 1), new_spec("p4", "b", 3), new_spec("p5", "c", 4)];
    assert_eq!(put(again).await.expect("what differs"), 2);
    let stored = directory.specs(Kind::Price).await.expect("a list");
    let rows: Vec<_> = stored.iter().map(|row| (row.id.as_str(), row.name.as_str(), row.revision)).collect();
    assert_eq!(rows, [("p1", "a", 1), ("p2", "b", 2), ("p5", "c", 1)]);
}
