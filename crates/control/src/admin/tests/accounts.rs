//! Accounts of local processes through the API: given, changed, taken away, and never shown.

use policy::Secret;
use serde_json::{Value, json};
use store::directory::NewAccount;

use crate::config::{ProcessAccount, ProcessPool};
use crate::testing::House;

const FILE: &str = "backends:\n  - name: local\n    kind: process\n    process: {program: /p, instances: 2}\n  - name: written\n    kind: process\n    process: {program: /p, accounts: [{username: u, password: canary-of-the-file}]}\n";
const PATH: &str = "/api/admin/instances/inst-1/account";

/// What the instances would start with next time.
async fn assigned(house: &House) -> (Vec<ProcessPool>, Vec<String>) {
    let mut pools = house.publisher.loaded().settings.processes.clone();
    let unused = crate::admin::assign(&mut pools, &house.store.directory).await.expect("the store answers");
    (pools, unused)
}

fn of_first(pools: &[ProcessPool]) -> Option<ProcessAccount> {
    pools.first()?.instances.first()?.account.clone()
}

#[tokio::test]
async fn an_account_is_given_changed_and_taken_away_and_takes_effect_at_once() {
    let house = House::new(FILE).await;
    let none = house.call("GET", PATH, "").await.expect(200);
    assert_eq!((none.str("/instance"), &none.json["source"]), ("inst-1", &Value::Null));
    house.call("PATCH", PATH, "{\"username\": \"a\"}").await.expect(404);
    house.call("DELETE", PATH, "").await.expect(404);

    let given = json!({"username": "somebody", "password": "canary: of, the *** API"}).to_string();
    let made = house.call("PUT", PATH, &given).await.expect(200);
    assert_eq!((made.str("/source"), made.str("/signs_in_with")), ("api", "password"));
    assert_eq!((made.str("/username"), made.str("/password")), ("somebody", "***"));
    let handed = || house.idle.0.lock().expect("no test panics here").clone();
    let Some(ProcessAccount::Password(name, password)) = handed() else { panic!("it was not handed over") };
    assert_eq!((name.as_str(), password.expose()), ("somebody", "canary: of, the *** API"));
    assert_eq!(of_first(&assigned(&house).await.0), handed(), "the next start has it too");

    // What is shown is never written back.
    for shown in
        [json!({"password": "***"}), json!({"username": null, "password": null, "token": "abcdef***wxyz"})]
    {
        house.call("PATCH", PATH, &shown.to_string()).await.expect(422);
    }
    let renamed = house.call("PATCH", PATH, "{\"username\": \"another\"}").await.expect(200);
    assert_eq!(renamed.str("/username"), "another");
    let Some(ProcessAccount::Password(_, kept)) = handed() else { panic!("it was not handed over") };
    assert_eq!(kept.expose(), "canary: of, the *** API");
    let key = json!({"access_key": "access-0123456789", "secret_key": "canary-secret", "organization": "o"});
    let shown = house.call("PUT", PATH, &key.to_string()).await.expect(200);
    assert_eq!((shown.str("/signs_in_with"), shown.str("/access_key")), ("key", "access***6789"));
    assert_eq!((shown.str("/secret_key"), shown.str("/organization")), ("***", "o"));

    house.call("DELETE", PATH, "").await.expect(204);
    assert_eq!((handed(), of_first(&assigned(&house).await.0)), (None, None));
    let audited = house.call("GET", "/api/admin/audit", "").await.expect(200);
    assert!(audited.text.contains("local/1") && !audited.text.contains("canary"), "{}", audited.text);
}

#[tokio::test]
async fn what_is_no_account_or_is_written_elsewhere_is_refused() {
    let house = House::new(FILE).await;
    for (path, body, status) in [
        (PATH, json!({}), 422),
        (PATH, json!({"username": "a"}), 422),
        (PATH, json!({"username": "a", "password": "***"}), 422),
        (PATH, json!({"username": "a", "password": "p", "token": "t"}), 422),
        (PATH, json!({"token": "${HOME}", "more": 1}), 422),
        (PATH, json!({"access_key": "k"}), 422),
        (PATH, json!([]), 422),
        ("/api/admin/instances/inst-9/account", json!({"token": "t"}), 404),
        ("/api/admin/instances/inst-3/account", json!({"token": "t"}), 409),
    ] {
        house.call("PUT", path, &body.to_string()).await.expect(status);
    }
    let written = house.call("GET", "/api/admin/instances/inst-3/account", "").await.expect(200);
    assert_eq!((written.str("/source"), written.str("/password")), ("file", "***"));
    house.call("DELETE", "/api/admin/instances/inst-3/account", "").await.expect(409);
}

/// Stores an account for this place, as a gateway of other settings would have.
async fn store(house: &House, place: &str, account: &str) {
    let new = NewAccount { place: place.to_owned(), kind: "token", account: Secret::new(account.to_owned()) };
    house.store.directory.put_account(new, house.publisher.now()).await.expect("it is stored");
}

#[tokio::test]
async fn an_account_that_serves_no_instance_is_told_kept_and_can_be_removed() {
    let house = House::new(FILE).await;
    house.call("PUT", PATH, "{\"token\": \"canary-token\"}").await.expect(200);
    assert!(assigned(&house).await.1.is_empty());
    for (place, account) in [
        ("gone/1", "{\"token\": \"canary\"}"),
        ("local/2", "{\"token\":"),
        ("written/1", "{\"token\": \"canary\"}"),
    ] {
        store(&house, place, account).await;
    }
    let (_, unused) = assigned(&house).await;
    let unused: Vec<_> = unused.iter().filter_map(|told| told.split_once(": ")).collect();
    let problem = |place: &str| unused.iter().find(|(at, _)| *at == place).map(|(_, why)| *why);
    assert_eq!(problem("gone/1"), Some("there is no such instance"));
    assert_eq!(problem("written/1"), Some("another account is written for inst-3"));
    assert_eq!((unused.len(), problem("local/1")), (3, None), "{unused:?}");

    let listed = house.call("GET", "/api/admin/instance-accounts", "").await.expect(200);
    assert!(!listed.text.contains("canary"), "{}", listed.text);
    let rows = listed.json["accounts"].as_array().expect("a list");
    let told: Vec<_> =
        rows.iter().map(|row| (&row["place"], &row["instance"], &row["signs_in_with"])).collect();
    let (token, none) = (json!("token"), Value::Null);
    assert_eq!(
        told,
        [
            (&json!("gone/1"), &none, &token),
            (&json!("local/1"), &json!("inst-1"), &token),
            (&json!("local/2"), &none, &none),
            (&json!("written/1"), &none, &token),
        ]
    );
    for row in rows {
        let place = row["place"].as_str().expect("a place");
        assert_eq!(row["problem"].as_str(), problem(place), "{place}");
    }

    let path = |place: &str| format!("/api/admin/instance-accounts/{}", place.replace('/', "%2F"));
    for (place, status) in
        [("gone/1", 204), ("gone/1", 404), ("written/1", 204), ("local", 404), ("../x", 404)]
    {
        house.call("DELETE", &path(place), "").await.expect(status);
    }
    let handed = || house.idle.0.lock().expect("no test panics here").clone();
    assert!(handed().is_some(), "no instance was signed out");
    house.call("DELETE", &path("local/2"), "").await.expect(204);
    house.call("DELETE", &path("local/1"), "").await.expect(204);
    assert_eq!((handed(), house.store.directory.accounts().await.expect("all")), (None, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_changes_at_once_the_same_is_stored_and_handed_over_last() {
    let house = std::sync::Arc::new(House::new(FILE).await);
    for round in 0..20 {
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..4 {
            let house = house.clone();
            calls.spawn(async move {
                let account = json!({"token": format!("token-{round}-{number}")}).to_string();
                house.call("PUT", PATH, &account).await.expect(200);
            });
        }
        calls.join_all().await;
        let handed = house.idle.0.lock().expect("no test panics here").clone();
        assert_eq!(of_first(&assigned(&house).await.0), handed, "round {round}");
    }
}
