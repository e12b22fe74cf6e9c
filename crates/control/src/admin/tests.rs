//! The admin API end to end: through its router, with a real store, and a data plane that only listens.

mod accounts;
mod budgets;
mod captures;
mod hostile;
mod prices;
mod resources;
mod teams;

use std::sync::atomic::Ordering;
use std::time::Duration;

use policy::receipt::{AttemptId, AttemptOutcome, Closed, Entry, Opened, Receipt, RequestOutcome, TicketId};
use policy::{Amount, Timestamp};
use protocol::{Dialect, Usage, UsageSource};
use serde_json::{Value, json};

use crate::admin::ensure_token;
use crate::testing::{House, TOKEN, load_text};

const CANARY: &str = "sk-canary-7f3a9b2c4d5e6f7a8b9c";
const BASE: &str = "keys: [{name: app, key: secret-of-the-app}]\nbackends:\n  - {name: main, base_url: 'http://127.0.0.1:1/v1', api_key: sk-canary-7f3a9b2c4d5e6f7a8b9c, models: {m: {native: native-m, price: {input: 0.1, output: 0.25}}}}\n";

fn new_backend(name: &str) -> String {
    json!({
        "name": name, "kind": "openai", "api_key": CANARY, "pool": "fallback", "weight": 2,
        "limits": {"rpm": 7, "concurrency": 3}, "deadlines": {"total": "60s"},
        "models": {"big": {"native": "gpt-4o", "price": {"input": 2.5, "output": 10}}}
    })
    .to_string()
}

#[tokio::test]
async fn only_the_token_opens_and_guessing_is_slowed() {
    let house = House::new(BASE).await;
    let paths = ["/api/admin/backends", "/api/admin/nothing", "/status", "/internal/stats"];
    for headers in [
        vec![("x-api-key", TOKEN)],
        vec![("authorization", "Basic lga-test-admin-token")],
        vec![("authorization", "Bearer wrong")],
        vec![("authorization", "Bearer secret-of-the-app")],
    ] {
        house.call_with("GET", "/favicon.ico", Vec::new(), &headers).await.expect(404);
        for path in paths {
            let answer = house.call_with("GET", path, Vec::new(), &headers).await.expect(401);
            assert_eq!(answer.str("/code"), "unauthorized");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    house.call("GET", "/status", "").await.expect(200);
    // Eight guesses; what shows no token at all is none.
    for _ in 0..2 {
        house.call_with("GET", "/status", Vec::new(), &[("authorization", "Bearer wrong")]).await.expect(401);
    }
    let answer = house.call("GET", "/api/admin/backends", "").await.expect(429);
    assert_eq!(answer.str("/code"), "too_many_attempts");
    let wait: u64 =
        answer.headers["retry-after"].to_str().ok().and_then(|s| s.parse().ok()).expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_token_is_minted_once_and_only_its_digest_is_kept() {
    let house = House::new("").await;
    let digester = &house.publisher.controls().digester;
    let settings = &house.publisher.loaded().settings;
    let (_, minted) = ensure_token(&house.store.directory, digester, settings).await.expect("it is stored");
    let minted = minted.expect("the first start mints");
    assert!(minted.expose().len() >= 40, "it cannot be guessed");
    let (_, again) = ensure_token(&house.store.directory, digester, settings).await.expect("it is stored");
    assert_eq!(again, None);
    let configured =
        load_text("admin: {token: from-the-file}", &[]).unwrap_or_else(|report| panic!("{report}"));
    let (_, none) =
        ensure_token(&house.store.directory, digester, &configured.settings).await.expect("it is not needed");
    assert_eq!(none, None);
    assert_not_on_disk(&house, minted.expose());
}

#[tokio::test]
async fn a_configured_token_replaces_the_minted_one() {
    let house = House::new("admin: {token: from-the-file}").await;
    house.call("GET", "/api/admin/config", "").await.expect(401);
    let headers = [("authorization", "Bearer from-the-file")];
    house.call_with("GET", "/api/admin/config", Vec::new(), &headers).await.expect(200);
}

#[tokio::test]
async fn a_token_is_shown_once_and_counts_until_it_expires_or_is_revoked() {
    let house = House::new("").await;
    let body = json!({"name": "grafana", "role": "viewer", "expires": "2026-07-01T00:00:00Z"}).to_string();
    let made = house.call("POST", "/api/admin/tokens", &body).await.expect(201);
    let secret = made.str("/token").to_owned();
    assert!(secret.starts_with("lga-") && secret.len() == 44, "{secret}");
    assert_eq!((made.str("/role"), made.str("/expires")), ("viewer", "2026-07-01T00:00:00Z"));
    assert_eq!(made.headers["cache-control"], "no-store");
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str())];
    house.call_with("GET", "/status", Vec::new(), &headers).await.expect(200);
    let listed = house.call("GET", "/api/admin/tokens", "").await.expect(200);
    assert_eq!(listed.json["tokens"][0]["last_used"], json!(house.now.load(Ordering::Relaxed)));
    assert!(!listed.text.contains(&secret[8..40]), "{}", listed.text);
    assert_not_on_disk(&house, &secret);
    for (body, status) in [
        (json!({"name": "grafana", "role": "viewer"}), 409),
        (json!({"name": "admin", "role": "viewer"}), 422),
        (json!({"name": "other"}), 422),
        (json!({"name": "other", "role": "root"}), 422),
        (json!({"name": "o ther", "role": "admin"}), 422),
        (json!({"name": "other", "role": "admin", "expires": "2020-01-01T00:00:00Z"}), 422),
        (json!({"name": "other", "role": "admin", "token": "mine"}), 422),
    ] {
        house.call("POST", "/api/admin/tokens", &body.to_string()).await.expect(status);
    }
    let before = house.now.swap(1_782_864_000_000, Ordering::Relaxed);
    house.call_with("GET", "/status", Vec::new(), &headers).await.expect(401);
    house.now.store(before, Ordering::Relaxed);
    house.call_with("GET", "/status", Vec::new(), &headers).await.expect(200);
    house.call("DELETE", &format!("/api/admin/tokens/{}", made.str("/id")), "").await.expect(204);
    house.call_with("GET", "/status", Vec::new(), &headers).await.expect(401);
    house.call("DELETE", "/api/admin/tokens/grafana", "").await.expect(404);
}

#[tokio::test]
async fn a_backend_lives_and_dies_through_the_api() {
    let house = House::new(BASE).await;
    let created = house.call("POST", "/api/admin/backends", &new_backend("extra")).await.expect(201);
    let id = created.str("/id").to_owned();
    let path = format!("/api/admin/backends/{id}");
    assert_eq!(created.str("/source"), "api");
    assert_eq!(created.str("/api_key"), "sk-can***8b9c");
    assert_eq!(
        created.json["models"]["big"],
        json!({"native": "gpt-4o", "price": {"input": "2.5", "output": "10", "image": "0", "request": "0"}})
    );
    assert_eq!(created.str("/deadlines/total"), "1m");
    let backend = house.snapshot().backend_named("extra").cloned().expect("it is in force");
    assert_eq!(backend.credential.as_ref().map(|key| key.expose()), Some(CANARY));
    assert_eq!((backend.weight, backend.limits.rpm), (2, 7));

    house.call("POST", "/api/admin/backends", &new_backend("extra")).await.expect(409);
    house.call("PATCH", &path, "{\"name\": \"main\"}").await.expect(409);
    house.call("POST", "/api/admin/backends", &new_backend("main")).await.expect(409);

    let patch = json!({"weight": 5, "limits": {"rpm": 0, "concurrency": null}, "models": null}).to_string();
    let changed = house.call("PATCH", &path, &patch).await.expect(200);
    assert_eq!(
        (&changed.json["limits"]["rpm"], &changed.json["limits"]["concurrency"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!((&changed.json["weight"], &changed.json["models"]), (&json!(5), &Value::Null));
    let backend = house.snapshot().backend_named("extra").cloned().expect("it is in force");
    assert_eq!(backend.credential.as_ref().map(|key| key.expose()), Some(CANARY), "the credential stays");

    house
        .call("PATCH", "/api/admin/backends/extra", "{\"api_key\": \"sk-another-key-0001\"}")
        .await
        .expect(200);
    let key = |house: &House| {
        let backend = house.snapshot().backend_named("extra").cloned().expect("it is in force");
        backend.credential.as_ref().map(|key| key.expose().to_owned())
    };
    assert_eq!(key(&house).as_deref(), Some("sk-another-key-0001"));
    house.call("PATCH", &path, "{\"api_key\": null}").await.expect(200);
    assert_eq!(key(&house), None);

    house.call("POST", &format!("{path}/disable"), "").await.expect(200);
    assert!(!house.snapshot().backend_named("extra").expect("it is in force").enabled);
    house.call("POST", &format!("{path}/enable"), "").await.expect(200);
    assert!(house.snapshot().backend_named("extra").expect("it is in force").enabled);

    let listed = house.call("GET", "/api/admin/backends", "").await.expect(200);
    let names: Vec<&str> =
        listed.json["backends"].as_array().into_iter().flatten().filter_map(|b| b["name"].as_str()).collect();
    assert_eq!(names, ["extra", "main"]);
    assert_eq!(listed.str("/backends/1/source"), "file");
    assert_eq!(listed.str("/backends/1/status/state"), "healthy");

    house.call("DELETE", &path, "").await.expect(204);
    house.call("GET", &path, "").await.expect(404);
    assert!(house.snapshot().backend_named("extra").is_none());
}

#[tokio::test]
async fn what_the_file_defines_is_read_only() {
    let house = House::new(BASE).await;
    for (method, path) in [
        ("PATCH", "/api/admin/backends/main"),
        ("DELETE", "/api/admin/backends/main"),
        ("POST", "/api/admin/backends/main/disable"),
        ("POST", "/api/admin/backends/main/enable"),
        ("PATCH", "/api/admin/keys/app"),
        ("DELETE", "/api/admin/keys/app"),
        ("POST", "/api/admin/keys/app/rotate"),
        ("POST", "/api/admin/keys/app/disable"),
    ] {
        let answer = house.call(method, path, "{}").await.expect(409);
        assert_eq!((answer.str("/code"), answer.str("/title")), ("read_only", "Conflict"), "{method} {path}");
        assert!(answer.str("/detail").contains("comes from the file"), "{}", answer.text);
    }
    house.call("POST", "/api/admin/backends", &new_backend("main")).await.expect(409);
    house.call("POST", "/api/admin/keys", "{\"name\": \"app\"}").await.expect(409);
    house.call("GET", "/api/admin/backends/main", "").await.expect(200);
    assert_eq!(house.call("GET", "/api/admin/keys/app", "").await.expect(200).str("/key"), "secret***-app");
}

/// Calls that must be refused, but one: what each is answered, and which fields the answer names.
const BAD: &[(&str, &str, &str, u16, &[&str])] = &[
    ("POST", "/api/admin/backends", "{", 400, &[]),
    ("POST", "/api/admin/backends", "[]", 422, &[]),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x\", \"knd\": \"openai\", \"weight\": 0}",
        422,
        &["knd", "weight"],
    ),
    ("POST", "/api/admin/backends", "{}", 422, &["name"]),
    ("POST", "/api/admin/backends", "{\"name\": \"x\", \"name\": \"y\", \"kind\": \"openai\"}", 201, &[]),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x y\", \"base_url\": \"http://169.254.169.254/\"}",
        422,
        &["name"],
    ),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x2\", \"base_url\": \"http://169.254.169.254/\"}",
        422,
        &["base_url"],
    ),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x2\", \"kind\": \"openai\", \"api_key\": \"${HOME}\"}",
        422,
        &["api_key"],
    ),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x2\", \"kind\": \"openai\", \"api_key\": \"file:/etc/passwd\"}",
        422,
        &["api_key"],
    ),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x2\", \"kind\": \"openai\", \"pool\": \"nowhere\"}",
        422,
        &["pool"],
    ),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x2\", \"kind\": \"openai\", \"ca_file\": \"/etc/shadow\"}",
        422,
        &["ca_file"],
    ),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x2\", \"kind\": \"openai\", \"headers\": {\"set\": {\"x-key\": \"v\"}}}",
        422,
        &["headers.set"],
    ),
    (
        "POST",
        "/api/admin/backends",
        "{\"name\": \"x2\", \"kind\": \"openai\", \"api_key\": \"sk-can***8b9c\"}",
        422,
        &["api_key"],
    ),
    ("PATCH", "/api/admin/backends/own", "{\"api_key\": \"sk-can***8b9c\"}", 422, &["api_key"]),
    ("PATCH", "/api/admin/backends/own", "{\"limits\": 5}", 422, &["limits"]),
    ("PATCH", "/api/admin/backends/own", "{\"name\": null}", 422, &["name"]),
    ("PATCH", "/api/admin/backends/none", "{}", 404, &[]),
    ("POST", "/api/admin/keys", "{\"name\": \"k\", \"key\": \"mine\"}", 422, &["key"]),
    (
        "POST",
        "/api/admin/keys",
        "{\"name\": \"k\", \"rpm\": \"many\", \"expires\": \"soon\"}",
        422,
        &["rpm", "expires"],
    ),
    ("POST", "/api/admin/keys/none/rotate", "", 404, &[]),
    ("PUT", "/api/admin/backends", "{}", 405, &[]),
    ("GET", "/api/admin/stats/total?by=colour", "", 400, &[]),
    ("GET", "/api/admin/stats/total?frm=1", "", 400, &[]),
    ("GET", "/api/admin/stats/hourly?from=0&to=99999999999999", "", 422, &["from"]),
    ("GET", "/api/admin/stats/daily?from=yesterday", "", 400, &[]),
    ("GET", "/api/admin/requests?cursor=x", "", 400, &[]),
    ("GET", "/api/admin/requests/unknown", "", 404, &[]),
    ("GET", "/api/admin/elsewhere", "", 404, &[]),
];

#[tokio::test]
async fn bad_bodies_are_refused_with_every_problem_and_change_nothing() {
    let house = House::new(BASE).await;
    house.call("POST", "/api/admin/backends", &new_backend("own")).await.expect(201);
    let before = house.snapshot();
    for (method, path, body, status, errors) in BAD {
        let answer = house.call(method, path, body).await.expect(*status);
        if *status >= 400 {
            assert_eq!(answer.headers["content-type"], "application/problem+json", "{method} {path} {body}");
            assert_eq!(answer.json["status"], json!(status));
        }
        let named: Vec<&str> = answer.json["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|e| e["path"].as_str())
            .collect();
        assert_eq!(named, *errors, "{method} {path} {body}: {}", answer.text);
    }
    assert_eq!(
        house.snapshot().version,
        before.version + 1,
        "one body held: serde_json keeps the last of two names"
    );
}

#[tokio::test]
async fn bodies_are_bounded_and_text() {
    let house = House::new(BASE).await;
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", token.as_str())];
    let large = vec![b' '; (1 << 20) + 1];
    house.call_with("POST", "/api/admin/backends", large, &headers).await.expect(413);
    let answer = house.call_with("POST", "/api/admin/backends", vec![0xff, 0xfe], &headers).await.expect(400);
    assert_eq!(answer.str("/code"), "invalid_body");
    let deep = "[".repeat(100_000);
    house.call("POST", "/api/admin/backends", &deep).await.expect(400);
}

#[tokio::test]
async fn a_key_is_shown_once_rotates_with_grace_and_is_revoked() {
    let house = House::new(BASE).await;
    house.call("POST", "/api/admin/teams", r#"{"name": "red"}"#).await.expect(201);
    let body =
        json!({"name": "ci", "team": "red", "rpm": 10, "models": ["m"], "expires": "2027-01-01T00:00:00Z"});
    let created = house.call("POST", "/api/admin/keys", &body.to_string()).await.expect(201);
    let first = created.str("/key").to_owned();
    assert!(first.starts_with("lg-") && first.len() == 43, "{first}");
    assert_eq!(created.headers["cache-control"], "no-store");
    let path = format!("/api/admin/keys/{}", created.str("/id"));
    let shown = house.call("GET", &path, "").await.expect(200);
    assert_eq!(
        (shown.str("/name"), shown.str("/team"), shown.str("/expires")),
        ("ci", "red", "2027-01-01T00:00:00Z")
    );
    assert!(!shown.text.contains(&first[7..39]), "{}", shown.text);
    let found = |house: &House, secret: &str| house.snapshot().identity.find(secret).cloned();
    let key = found(&house, &first).expect("it is in force");
    assert_eq!((key.limits.rpm, key.enabled), (Some(10), true));

    let rotated = house.call("POST", &format!("{path}/rotate"), "{\"grace\": \"1h\"}").await.expect(200);
    let second = rotated.str("/key").to_owned();
    assert_ne!(first, second);
    assert!(found(&house, &first).is_some() && found(&house, &second).is_some(), "both count for an hour");
    house.call("PATCH", &path, "{\"rpm\": 20, \"expires\": null}").await.expect(200);
    assert!(found(&house, &first).is_some(), "a change keeps the grace");
    assert_eq!(found(&house, &second).map(|key| (key.limits.rpm, key.expires)), Some((Some(20), None)));
    house.now.fetch_add(3_600_000, Ordering::Relaxed);
    assert!(house.publisher.catch_up().await.expect("the store answers").is_some());
    assert!(found(&house, &first).is_none(), "the grace has ended");
    assert_eq!(house.publisher.catch_up().await.expect("the store answers"), None);

    let third = house.call("POST", &format!("{path}/rotate"), "").await.expect(200).str("/key").to_owned();
    assert!(found(&house, &second).is_none(), "without grace the old secret ends at once");
    house.call("POST", &format!("{path}/disable"), "").await.expect(200);
    assert_eq!(found(&house, &third).map(|key| key.enabled), Some(false));
    house.call("DELETE", &path, "").await.expect(204);
    assert!(found(&house, &third).is_none());
    for secret in [&first, &second, &third] {
        assert_not_on_disk(&house, secret);
    }
}

#[tokio::test]
async fn a_key_that_leads_nowhere_is_refused_before_it_is_stored() {
    let house = House::new(BASE).await;
    let body = json!({"name": "lost", "default_model": "no-such-model"}).to_string();
    let answer = house.call("POST", "/api/admin/keys", &body).await.expect(422);
    assert_eq!(
        (answer.str("/code"), answer.str("/errors/0/path")),
        ("does_not_fit", "keys[1].default_model")
    );
    assert!(house.store.directory.keys().await.expect("the store answers").is_empty());
}

#[tokio::test]
async fn a_lost_update_is_refused() {
    let house = House::new(BASE).await;
    let created = house.call("POST", "/api/admin/backends", &new_backend("own")).await.expect(201);
    let tag = created.headers["etag"].to_str().expect("tags are text").to_owned();
    let path = "/api/admin/backends/own";
    house.call("PATCH", path, "{\"weight\": 3}").await.expect(200);
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", token.as_str()), ("if-match", tag.as_str())];
    house.call_with("PATCH", path, b"{\"weight\": 4}".to_vec(), &headers).await.expect(412);
    house.call_with("DELETE", path, Vec::new(), &headers).await.expect(412);
    assert_eq!(house.snapshot().backend_named("own").expect("it is in force").weight, 3);
    let fresh = house.call("GET", path, "").await.expect(200);
    let tag = fresh.headers["etag"].to_str().expect("tags are text").to_owned();
    let headers = [("authorization", token.as_str()), ("if-match", tag.as_str())];
    house.call_with("PATCH", path, b"{\"weight\": 4}".to_vec(), &headers).await.expect(200);
}

#[tokio::test]
async fn a_test_publishes_what_the_backend_lists_and_a_reset_wakes_waiters() {
    let house = House::new("backends: [{name: open, base_url: 'http://127.0.0.1:1/v1'}]").await;
    let report = house.call("POST", "/api/admin/backends/open/test", "").await.expect(200);
    assert_eq!((&report.json["ok"], &report.json["models"][0]), (&json!(true), &json!("listed-model")));
    let snapshot = house.snapshot();
    assert!(snapshot.catalog.resolve("listed-model", snapshot.identity.anonymous()).is_ok());
    house.call("POST", "/api/admin/backends/open/reset", "").await.expect(204);
    assert_eq!(*house.listener.woken.lock().expect("no test panics here"), 1);
    house.call("POST", "/api/admin/backends/none/test", "").await.expect(404);
}

#[tokio::test]
async fn config_shows_where_values_come_from_and_what_went_wrong() {
    let house = House::new(BASE).await;
    *house.written.0.lock().expect("no test panics here") = "limts: {}\nlisten: 5\n".to_owned();
    let refused = house.call("POST", "/api/admin/reload", "").await.expect(422);
    assert_eq!(refused.str("/code"), "invalid_config");
    assert_eq!(refused.str("/errors/0/path"), "lockgate.yaml:1:1: limts");
    assert_eq!(refused.str("/errors/0/suggestion"), "did you mean `limits`?");
    let shown = house.call("GET", "/api/admin/config", "").await.expect(200);
    assert_eq!(shown.json["version"], json!(1));
    assert_eq!(shown.json["last_problem"]["problems"].as_array().map(Vec::len), Some(2));
    let rows = shown.json["effective"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["path"] == "backends[0].name").expect("it is shown");
    assert_eq!(row["origin"], json!("lockgate.yaml:3:12"));
    *house.written.0.lock().expect("no test panics here") = format!("metrics_listen: 127.0.0.1:1\n{BASE}");
    let reloaded = house.call("POST", "/api/admin/reload", "").await.expect(200);
    assert_eq!(reloaded.json["version"], json!(2));
    assert_eq!(reloaded.json["restart_needed"].as_array().map(Vec::len), Some(1));
    let shown = house.call("GET", "/api/admin/config", "").await.expect(200);
    assert_eq!(shown.json["last_problem"], Value::Null);
}

#[tokio::test]
async fn receipts_and_sums_are_shown() {
    let house = House::new(BASE).await;
    let at = house.now.load(Ordering::Relaxed);
    for n in 1..=3 {
        settle(&house, n, at);
    }
    assert!(house.store.mover.flush(Duration::from_secs(10)), "the ledger takes three receipts");
    let total = house.call("GET", "/api/admin/stats/total?by=backend", "").await.expect(200);
    assert_eq!((&total.json["total"]["requests"], total.str("/total/cost")), (&json!(3), "0.000006"));
    assert_eq!(total.str("/groups/0/group"), "main");
    for path in [
        "/api/admin/stats/hourly",
        "/api/admin/stats/daily",
        "/api/admin/stats/daily?by=model&from=2026-05-31T00:00:00Z",
    ] {
        let rows = house.call("GET", path, "").await.expect(200);
        assert_eq!(rows.json["rows"].as_array().map(Vec::len), Some(1), "{path}: {}", rows.text);
    }
    let first = house.call("GET", "/api/admin/requests?limit=2", "").await.expect(200);
    assert_eq!(first.json["requests"].as_array().map(Vec::len), Some(2));
    let next = format!("/api/admin/requests?limit=2&cursor={}", first.str("/next"));
    let second = house.call("GET", &next, "").await.expect(200);
    assert_eq!(second.json["requests"].as_array().map(Vec::len), Some(1));
    assert_eq!(second.json.get("next"), None);
    let one = house.call("GET", "/api/admin/requests/req-2", "").await.expect(200);
    assert_eq!((one.str("/request_id"), one.str("/attempt_lines/0/backend")), ("req-2", "main"));
    let standing = house.call("GET", "/api/admin/stats/cooldown", "").await.expect(200);
    assert_eq!(standing.str("/backends/0/name"), "main");
}

#[tokio::test]
async fn no_answer_and_no_file_holds_a_secret() {
    let house = House::new(BASE).await;
    let mut seen = Vec::new();
    for (method, path, body) in [
        ("POST", "/api/admin/backends", new_backend("own")),
        ("POST", "/api/admin/backends", new_backend("own")),
        (
            "POST",
            "/api/admin/backends",
            format!("{{\"name\": \"z\", \"base_url\": \"https://u:{CANARY}@h/v1\"}}"),
        ),
        ("POST", "/api/admin/backends", format!("{{\"name\": \"z\", \"kind\": \"{CANARY}\"")),
        (
            "POST",
            "/api/admin/backends",
            format!("{{\"name\": \"z\", \"kind\": \"openai\", \"api_key\": [\"{CANARY}\"]}}"),
        ),
        (
            "POST",
            "/api/admin/backends",
            format!("{{\"name\": \"z\", \"kind\": \"openai\", \"api_key\": \"${{{CANARY}}}\"}}"),
        ),
        ("PATCH", "/api/admin/backends/own", "{\"weight\": 0}".to_owned()),
        ("PATCH", "/api/admin/backends/own", "{\"weight\": 9}".to_owned()),
        ("GET", "/api/admin/backends", String::new()),
        ("GET", "/api/admin/backends/own", String::new()),
        ("GET", "/api/admin/backends/main", String::new()),
        ("GET", "/api/admin/config", String::new()),
        ("GET", "/api/admin/keys", String::new()),
        ("POST", "/api/admin/backends/own/test", String::new()),
        ("POST", "/api/admin/reload", String::new()),
        ("GET", "/api/admin/stats/cooldown", String::new()),
    ] {
        let answer = house.call(method, path, &body).await;
        seen.push(format!("{method} {path}: {:?} {}", answer.headers, answer.text));
    }
    seen.push(format!("{:?}", house.publisher.loaded()));
    seen.push(format!(
        "{:?}",
        house.snapshot().backend_named("own").map(|backend| backend.credential.clone())
    ));
    for text in &seen {
        assert!(!text.contains(CANARY) && !text.contains("secret-of-the-app"), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
    assert_not_on_disk(&house, CANARY);
}

/// Looks for a secret in every file of the data folder.
fn assert_not_on_disk(house: &House, secret: &str) {
    let mut folders = vec![house.folder.path().to_path_buf()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the data folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).expect("a file of the store can be read");
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    assert!(files > 1, "the store keeps its files elsewhere");
}

/// One request that was answered, as the data plane journals it.
pub(super) fn settle(house: &House, n: u64, at: i64) {
    let ticket = TicketId((u128::try_from(at).expect("after 1970") << 80) | u128::from(n));
    let at = Timestamp(at + i64::try_from(n).expect("it is small"));
    let mut reservation = house.store.journal.reserve().expect("there is room");
    let settled = Entry::Settled { last: Some(closed(ticket, at)), receipt: receipt(ticket, n, at) };
    for entry in [Entry::Opened(opened(ticket, n, at)), settled] {
        reservation.write(&entry).expect("the journal takes it");
    }
}

const USED: Usage = Usage {
    input: 10,
    cached_input: 0,
    cache_write: 0,
    cache_write_1h: 0,
    output: 4,
    reasoning: 0,
    audio_input: 0,
    audio_output: 0,
    images: 0,
    is_contradicted: false,
};

fn opened(ticket: TicketId, n: u64, at: Timestamp) -> Opened {
    Opened {
        attempt: AttemptId { ticket, number: 1 },
        request_id: format!("req-{n}").into(),
        key: Some("app".into()),
        team: None,
        tags: Vec::new(),
        backend: "main".into(),
        pool: "primary".into(),
        label: "openai_compatible".into(),
        model_asked: "m".into(),
        model: "m".into(),
        native: "native-m".into(),
        dialect_in: Dialect::OpenAiChat,
        dialect_out: Dialect::OpenAiChat,
        stream: false,
        at,
        estimate: USED,
        price: None,
    }
}

fn closed(ticket: TicketId, at: Timestamp) -> Closed {
    Closed {
        attempt: AttemptId { ticket, number: 1 },
        at,
        outcome: AttemptOutcome::Succeeded,
        status: Some(200),
        error_code: None,
        usage: USED,
        usage_source: UsageSource::Provider,
        cost: Amount(2_000_000),
        unpriced: false,
        first_event_ms: Some(3),
        total_ms: 9,
    }
}

fn receipt(ticket: TicketId, n: u64, at: Timestamp) -> Receipt {
    Receipt {
        ticket,
        request_id: format!("req-{n}").into(),
        key: Some("app".into()),
        team: None,
        tags: Vec::new(),
        client_addr: None,
        model_asked: "m".into(),
        model_served: Some("m".into()),
        backend: Some("main".into()),
        pool: Some("primary".into()),
        dialect_in: Dialect::OpenAiChat,
        dialect_out: Some(Dialect::OpenAiChat),
        stream: false,
        status: 200,
        outcome: RequestOutcome::Completed,
        error_code: None,
        attempts: 1,
        at,
        queue_ms: 0,
        first_event_ms: Some(3),
        total_ms: 9,
        bytes_in: 1,
        bytes_out: 1,
        usage: USED,
        usage_source: UsageSource::Provider,
        cost: Amount(2_000_000),
        unpriced: false,
        price_version: None,
        keepalive_committed: false,
    }
}

#[tokio::test]
async fn a_choice_of_backend_is_explained() {
    let house = House::new(BASE).await;
    let answer =
        house.call("GET", "/api/admin/explain?model=m&key=app&session=s&class=low", "").await.expect(200);
    assert_eq!((answer.str("/decision"), answer.str("/backend")), ("start", "main"));
    assert_eq!(answer.str("/candidates/0/verdict"), "chosen");
    for (query, status) in
        [("", 400), ("?model=other", 422), ("?model=m&key=nobody", 422), ("?model=m&x=1", 400)]
    {
        house.call("GET", &format!("/api/admin/explain{query}"), "").await.expect(status);
    }
}

/// What is in force of the limits, and where it comes from.
async fn queue_max(house: &House) -> (usize, String) {
    let shown = house.call("GET", "/api/admin/config", "").await.expect(200);
    let rows = shown.json["effective"].as_array().expect("rows").clone();
    let row = rows.into_iter().find(|row| row["path"] == "limits.queue_max").expect("a row");
    (house.snapshot().settings.queue_max, row["origin"].as_str().expect("a text").to_owned())
}

#[tokio::test]
async fn hot_settings_are_changed_for_good() {
    let house = House::new("").await;
    let patch = json!({
        "limits": {"queue_max": 7, "queue_policy": "drop_lowest"},
        "hedging": {"enabled": true, "quantile": 0.9},
    });
    house.call("PATCH", "/api/admin/config", &patch.to_string()).await.expect(200);
    assert_eq!(queue_max(&house).await, (7, "stored by API".to_owned()));
    let settings = house.snapshot().settings.clone();
    assert_eq!(
        (settings.queue_policy, settings.hedging.quantile_percent),
        (policy::QueuePolicy::DropLowest, 90)
    );
    let stored = crate::publish::stored_settings(&house.store.directory).await.expect("the store");
    let after_a_restart = load_text("", &stored).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(after_a_restart.settings.traffic(), settings);
    house
        .reloader
        .reload(crate::publish::Trigger::Signal, store::audit::Author::gateway())
        .await
        .expect("it holds");
    assert_eq!(queue_max(&house).await.0, 7, "a reload keeps it");
    house.call("PATCH", "/api/admin/config", "{\"limits\": {\"queue_max\": null}}").await.expect(200);
    assert_eq!(queue_max(&house).await, (500, "default".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_whole_and_not_stored() {
    let house = House::new("limits: {max_in_flight: 9}").await;
    for (patch, status, code, said) in [
        (json!({"limits": {"queue_max": -1, "ageing": "1s"}}), 422, "invalid_config", "limits.queue_max"),
        (json!({"limits": {"queue_maxx": 1}}), 422, "invalid", "limits.queue_maxx"),
        (json!({"limits": {"connections_max": 1}}), 422, "invalid", "limits.connections_max"),
        (json!({"log": {"format": "json"}}), 422, "invalid", "log.format"),
        (json!({"limits": {"queue_max": [1]}}), 422, "invalid", "single value"),
        (json!({"listen": "127.0.0.1:1"}), 422, "invalid", "listen"),
        (json!({"admin": {"token": "mine"}}), 422, "invalid", "admin.token"),
        (json!({"hedging": {"quantile": 0.2}}), 422, "invalid_config", "hedging.quantile"),
        (json!({"limits": {"max_in_flight": 8}}), 409, "conflict", "lockgate.yaml:1:"),
        (json!([1]), 422, "invalid", "object"),
    ] {
        let answer = house.call("PATCH", "/api/admin/config", &patch.to_string()).await.expect(status);
        assert_eq!(answer.str("/code"), code, "{patch}");
        assert!(answer.text.contains(said), "{patch}: {}", answer.text);
    }
    assert_eq!(house.store.directory.settings().await.expect("the store"), []);
    assert_eq!(house.publisher.standing().version, 1);
}

#[tokio::test]
async fn a_queue_is_not_made_shorter_than_what_waits_in_it() {
    let house = House::new("limits: {max_in_flight: 1}").await;
    let now = crate::publish::moment();
    let key = house.snapshot().identity.anonymous().slot;
    let deadline = now + Duration::from_secs(60);
    let ask = policy::Admission {
        key,
        concurrency: None,
        class: policy::Class::Normal,
        tokens: 0,
        bytes: 1,
        deadline,
    };
    for _ in 0..4 {
        house.live.admit(ask.clone(), now);
    }
    assert_eq!(house.live.queued(), 3);
    let shorter = |max: usize| json!({"limits": {"queue_max": max}}).to_string();
    let refused = house.call("PATCH", "/api/admin/config", &shorter(2)).await.expect(422);
    assert_eq!(refused.str("/code"), "does_not_fit");
    assert_eq!(refused.str("/errors/0/path"), "limits.queue_max");
    assert_eq!(refused.str("/errors/0/message"), "2 is too few for the 3 requests that wait now");
    assert_eq!(queue_max(&house).await, (500, "default".to_owned()));
    assert_eq!(house.store.directory.settings().await.expect("the store"), []);
    house.call("PATCH", "/api/admin/config", &shorter(3)).await.expect(200);
    assert!(matches!(house.live.admit(ask, now), policy::Admitted::Refused(_)), "it is in force at once");
}
