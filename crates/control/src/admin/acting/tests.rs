//! Every change through the API is entered under whoever made it, and what is kept of it can be found, proven and rotated.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::tests::settle;
use crate::testing::House;

const FILE: &str = "keys: [{name: app, key: secret-of-the-app}]\nbackends:\n  - {name: main, base_url: 'http://127.0.0.1:1/v1', api_key: sk-canary-7f3a9b2c4d5e6f7a8b9c, models: {m: {native: native-m, price: {input: 0.1, output: 0.25}}}}\n";

/// The entries so far, oldest first, each as `who way what`.
async fn entries(house: &House, query: &str) -> Vec<Value> {
    let page = house.call("GET", &format!("/api/admin/audit?{query}"), "").await.expect(200);
    let mut entries = page.json["entries"].as_array().expect("entries").clone();
    entries.reverse();
    entries
}

fn told(entry: &Value) -> String {
    let word = |field: &str| entry[field].as_str().unwrap_or("nobody").to_owned();
    let words = ["actor", "via", "address", "action", "kind", "subject"].map(word);
    words.join(" ")
}

/// Every call that changes something, and two that do not.
async fn change_everything(house: &House) {
    let call = async |method: &str, path: &str, body: Value, status: u16| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        house.call(method, &format!("/api/admin/{path}"), &body).await.expect(status).json
    };
    let backend = json!({"name": "own", "kind": "openai", "api_key": "sk-canary-0123456789-abcdef"});
    call("POST", "backends", backend, 201).await;
    call("PATCH", "backends/own", json!({"weight": 3}), 200).await;
    call("POST", "backends/own/disable", Value::Null, 200).await;
    call("POST", "backends/own/enable", Value::Null, 200).await;
    call("POST", "backends/own/reset", Value::Null, 204).await;
    call("DELETE", "backends/own", Value::Null, 204).await;
    call("POST", "keys", json!({"name": "made"}), 201).await;
    call("PATCH", "keys/made", json!({"rpm": 5}), 200).await;
    call("POST", "keys/made/rotate", json!({"grace": "1h"}), 200).await;
    call("POST", "keys/made/disable", Value::Null, 200).await;
    call("DELETE", "keys/made", Value::Null, 204).await;
    call("POST", "teams", json!({"name": "red"}), 201).await;
    call("POST", "budgets", json!({"team": "red", "amount": 5}), 201).await;
    call("PATCH", "budgets/team%20red%2Ftotal", json!({"amount": 6}), 200).await;
    call("DELETE", "budgets/team%20red%2Ftotal", Value::Null, 204).await;
    call("POST", "aliases", json!({"name": "new", "targets": "m"}), 201).await;
    call("PUT", "prices", json!({"prices": [{"model": "n", "price": {"input": 1, "output": 2}}]}), 200).await;
    call("DELETE", "prices/n", Value::Null, 204).await;
    call("PATCH", "config", json!({"limits": {"queue_max": 7}}), 200).await;
    call("POST", "reload", Value::Null, 200).await;
    *house.written.0.lock().expect("no test panics here") = FILE.replace("0.25", "0.5");
    call("POST", "reload", Value::Null, 200).await;
    call("POST", "vault/rotate", Value::Null, 200).await;
    call("POST", "backups", Value::Null, 201).await;
    // What is refused, and what only looks, changes nothing.
    call("PATCH", "keys/nobody", json!({"rpm": 5}), 404).await;
    call("GET", "backends", Value::Null, 200).await;
}

#[tokio::test]
async fn every_change_is_entered_under_whoever_made_it() {
    let house = House::new(FILE).await;
    change_everything(&house).await;
    let all = entries(&house, "").await;
    let expected = [
        "create backend own",
        "change backend own",
        "change backend own",
        "change backend own",
        "reset backend own",
        "delete backend own",
        "create key made",
        "change key made",
        "change key made",
        "change key made",
        "delete key made",
        "create team red",
        "create budget team red/total",
        "change budget team red/total",
        "delete budget team red/total",
        "create alias new",
        "import price 1 of 1",
        "delete price n",
        "change setting limits.queue_max",
        "reload configuration configuration",
        "rotate vault master key",
    ];
    let by = "admin api 192.0.2.7";
    let expected: Vec<String> = expected.iter().map(|what| format!("{by} {what}")).collect();
    let found: Vec<String> = all.iter().map(told).collect();
    assert_eq!(found[..expected.len()], expected);
    assert!(found[expected.len()].starts_with(&format!("{by} create backup lockgate-")), "{found:?}");
    assert_eq!(found.len(), expected.len() + 1);
    let reload = &all[19];
    let only = |side: &str| reload[side].as_object().and_then(|told| told.values().next()).cloned();
    let prices = [only("before"), only("after")].map(|price| price.unwrap_or_default());
    let price = |output: &str| format!("input 0.1, output {output} USD per million tokens");
    assert_eq!(prices, [price("0.25"), price("0.5")]);
    assert_eq!(reload["before"].as_object().map(serde_json::Map::len), Some(1), "only what changed");
    let text = serde_json::to_string(&all).expect("JSON");
    assert!(!text.contains("canary-0123456789") && !text.contains("lga-"), "{text}");
    // Found by what was done to what, page by page.
    assert_eq!(entries(&house, "kind=key&action=delete").await.len(), 1);
    assert_eq!(entries(&house, "actor=nobody").await.len(), 0);
    let page = house.call("GET", "/api/admin/audit?limit=2&kind=backend", "").await.expect(200);
    let next = page.str("/next").to_owned();
    let page = house.call("GET", &format!("/api/admin/audit?limit=9&kind=backend&cursor={next}"), "").await;
    assert_eq!(page.expect(200).json["entries"].as_array().map(Vec::len), Some(4));
    for wrong in ["via=letter", "from=tomorrow", "limit=0", "cursor=x", "cursor=+1", "actor="] {
        house.call("GET", &format!("/api/admin/audit?{wrong}"), "").await.expect(400);
    }
    house.call("GET", "/api/admin/audit?from=2&to=1", "").await.expect(422);
    let verdict = house.call("GET", "/api/admin/audit/verify", "").await.expect(200);
    assert_eq!(verdict.json["breaks"], json!([]));
    let known = format!("{}:{}", verdict.json["head"]["number"], verdict.str("/head/hash"));
    let known = format!("/api/admin/audit/verify?known={known}");
    assert_eq!(house.call("GET", &known, "").await.expect(200).json["breaks"], json!([]));
    let other = format!("/api/admin/audit/verify?known=3:{}", "0".repeat(64));
    let broken = house.call("GET", &other, "").await.expect(200);
    assert_eq!(broken.json["breaks"], json!([{"break": "rewritten", "number": 3}]));
    house.call("GET", "/api/admin/audit/verify?known=3", "").await.expect(400);
}

#[tokio::test]
async fn requests_are_searched_and_one_is_explained() {
    let house = House::new(FILE).await;
    let at = house.now.load(Ordering::Relaxed);
    (0..60).for_each(|n| settle(&house, n, at));
    assert!(house.store.mover.flush(Duration::from_secs(60)), "{:?}", house.store.mover.lag());
    for (query, count) in [
        ("", 50),
        ("limit=500", 60),
        ("key=app&limit=500", 60),
        ("key=nobody", 0),
        ("model=m&backend=main&status=200&outcome=completed&limit=500", 60),
        ("status=5xx", 0),
        ("q=req-5", 1),
        ("q=eq-5&limit=500", 11),
        ("tag=a%3Db", 0),
        ("from=2001-01-01T00:00:00Z&to=2002-01-01T00:00:00Z", 0),
    ] {
        let page = house.call("GET", &format!("/api/admin/requests?{query}"), "").await.expect(200);
        assert_eq!(page.json["requests"].as_array().map(Vec::len), Some(count), "{query}");
    }
    for wrong in [
        "status=6xx",
        "status=99",
        "outcome=odd",
        "tag=a",
        "q=",
        "cursor=x",
        "nonsense=1",
        "limit=0",
        "limit=501",
    ] {
        house.call("GET", &format!("/api/admin/requests?{wrong}"), "").await.expect(400);
    }
    let told = house.call("GET", "/api/admin/requests/req-7/explain", "").await.expect(200);
    assert_eq!(told.str("/request/request_id"), "req-7");
    assert_eq!(told.json["request"]["keepalive_committed"], false);
    assert_eq!(told.str("/timeline/0/what"), "arrived");
    assert_eq!(told.str("/attempts/0/backend"), "main");
    assert_eq!(told.str("/candidates_now/candidates/0/backend"), "main");
    assert_eq!(told.str("/learned_now/0/name"), "main");
    house.call("GET", "/api/admin/requests/none/explain", "").await.expect(404);
}

#[tokio::test]
async fn the_vault_is_rotated_and_backups_are_kept_through_the_api() {
    let house = House::new(FILE).await;
    house
        .call(
            "POST",
            "/api/admin/backends",
            r#"{"name": "own", "kind": "openai", "api_key": "sk-0123456789-abc"}"#,
        )
        .await
        .expect(201);
    let before = house.call("GET", "/api/admin/vault", "").await.expect(200);
    assert_eq!((before.str("/source"), before.json["secrets"] == before.json["under_key"]), ("file", true));
    let key = "ab".repeat(32);
    let refused = house.call("POST", "/api/admin/vault/rotate", &json!({"new_key": key}).to_string()).await;
    let refused = refused.expect(422);
    assert!(!refused.text.contains(&key), "{}", refused.text);
    let typed = house.call("POST", "/api/admin/vault/rotate", &format!("{{\"newkey\": \"{key}\"}}")).await;
    assert!(!typed.expect(422).text.contains(&key), "what was sent may be a key");
    let rotated = house.call("POST", "/api/admin/vault/rotate", "").await.expect(200);
    assert_ne!(rotated.str("/key_id"), before.str("/key_id"));
    let after = house.call("GET", "/api/admin/vault", "").await.expect(200);
    assert_eq!(after.str("/key_id"), rotated.str("/key_id"));
    assert_eq!(after.json["secrets"], after.json["under_key"]);
    house.call("GET", "/api/admin/backends/own", "").await.expect(200);

    let made = house.call("POST", "/api/admin/backups", "").await.expect(201);
    let name = made.str("/name").to_owned();
    // The clock of a test stands still: a second one of the same moment is told.
    house.call("POST", "/api/admin/backups", "").await.expect(409);
    let listed = house.call("GET", "/api/admin/backups", "").await.expect(200);
    assert_eq!(listed.str("/backups/0/name"), name);
    let verified = house.call("POST", &format!("/api/admin/backups/{name}/verify"), "").await.expect(200);
    assert_eq!((verified.json["problem"].is_null(), verified.str("/key_id")), (true, rotated.str("/key_id")));
    for other in ["lockgate.db", "..%2Flockgate.db", "lockgate-1780272000001.db"] {
        house.call("DELETE", &format!("/api/admin/backups/{other}"), "").await.expect(404);
    }
    house.call("DELETE", &format!("/api/admin/backups/{name}"), "").await.expect(204);
    house.call("POST", &format!("/api/admin/backups/{name}/verify"), "").await.expect(404);
}
