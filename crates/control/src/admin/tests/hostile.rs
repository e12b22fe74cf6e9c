//! P17 for the admin API: whatever is put into any place of any operation is taken or refused as a problem, never a fault of
//! ours; and the gateway is in order afterwards.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{BASE, CANARY, new_backend};
use crate::testing::{House, TOKEN};

/// What may stand in a path, a query or a header.
const TEXTS: &[&str] = &[
    "",
    "main",
    "0",
    "-1",
    "18446744073709551616",
    "1e999",
    "null",
    "*",
    "%00",
    "%ff%fe",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%27%20OR%201=1--",
    "%22;DROP%20TABLE%20keys",
    "%F0%9F%A6%80",
    "2026-11-21T00:00:00Z",
    "9999-99-99T99:99:99Z",
    "-9223372036854775808",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV.1",
    "csv",
    "5xx",
    "hour",
    "a=b",
    "%",
    "%F",
];

/// What may stand where a body has a value.
const VALUES: &[&str] = &[
    "null",
    "true",
    "-1",
    "1e999",
    "99999999999999999999999",
    "\"\"",
    "\"main\"",
    "\"${HOME}\"",
    "\"file:/etc/passwd\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"30s\"",
    "\"999999999999d\"",
    "\"http://[::1\"",
    "\"http://169.254.169.254/\"",
    "[]",
    "{}",
    "[{}]",
    "[[[[[[]]]]]]",
    "{\"a\":{\"a\":{}}}",
    "{\"input\":1e-30}",
];

/// The names that bodies have anywhere, and one that none has.
const FIELDS: &[&str] = &[
    "name",
    "kind",
    "base_url",
    "api_key",
    "models",
    "limits",
    "rpm",
    "team",
    "expires",
    "metadata",
    "amount",
    "period",
    "limit",
    "targets",
    "role",
    "token",
    "prices",
    "key",
    "enabled",
    "pool",
    "weight",
    "ip_allow",
    "x_unheard_of",
];

/// Headers that are read.
const HEADERS: &[(&str, &str)] = &[
    ("if-match", "\"1\""),
    ("if-match", "*"),
    ("if-match", "W/\"18446744073709551616\""),
    ("cookie", "lockgate_session="),
    ("cookie", "a=b; lockgate_session=\"x; lockgate_session=y"),
    ("cookie", ";;;=;"),
    ("x-csrf-token", "none"),
    ("origin", "null"),
    ("content-type", "application/json; charset=utf-16"),
    ("content-type", "text/plain"),
    ("content-encoding", "gzip"),
];

struct Hostile {
    rng: StdRng,
}

impl Hostile {
    fn text(&mut self) -> String {
        match self.rng.random_range(0..8) {
            0 => "a".repeat(self.rng.random_range(1..3000)),
            _ => (*TEXTS.choose(&mut self.rng).expect("some")).to_owned(),
        }
    }

    fn body(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..10) {
            0 => VALUES.choose(&mut self.rng).expect("some").as_bytes().to_vec(),
            1 => (0..self.rng.random_range(0..40)).map(|_| self.rng.random()).collect(),
            2 => "{\"a\":".repeat(50_000).into_bytes(),
            3 => self.spoiled(&new_backend("other")),
            4 => self.spoiled(
                &json!({"name": "k", "rpm": 1, "models": ["m"], "metadata": {"a": "b"}}).to_string(),
            ),
            _ => {
                let fields = (0..self.rng.random_range(0..6)).map(|_| {
                    let field = FIELDS.choose(&mut self.rng).expect("some");
                    format!("\"{field}\": {}", VALUES.choose(&mut self.rng).expect("some"))
                });
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", ")).into_bytes()
            }
        }
    }

    /// A body that was right, with some bytes of it changed.
    fn spoiled(&mut self, body: &str) -> Vec<u8> {
        let mut bytes = body.as_bytes().to_vec();
        for _ in 0..self.rng.random_range(0..3) {
            let at = self.rng.random_range(0..bytes.len());
            bytes[at] = self.rng.random();
        }
        bytes
    }
}

/// Every operation that the API describes: method, path, and the names in its query.
fn operations(document: &Value) -> Vec<(String, String, Vec<String>)> {
    let paths = document["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().expect("operations") {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let queries = parameters.filter(|parameter| parameter["in"] == "query");
            let names =
                queries.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect();
            all.push((method.to_uppercase(), path.clone(), names));
        }
    }
    all
}

async fn check(
    house: &House,
    hostile: &mut Hostile,
    (method, path, queries): &(String, String, Vec<String>),
) {
    let mut target = String::new();
    for segment in path.split('/').skip(1) {
        target.push('/');
        match segment.starts_with('{') {
            true => target.push_str(&hostile.text()),
            false => target.push_str(segment),
        }
    }
    for name in queries {
        if hostile.rng.random_bool(0.4) {
            let joint = if target.contains('?') { '&' } else { '?' };
            target.push_str(&format!("{joint}{name}={}", hostile.text()));
        }
    }
    let body = hostile.body();
    let context = format!("{method} {target} {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
    let bearer = format!("Bearer {TOKEN}");
    let mut headers = vec![("authorization", bearer.as_str())];
    let (name, value) = *HEADERS.choose(&mut hostile.rng).expect("some");
    if hostile.rng.random_bool(0.3) {
        headers.push((name, value));
    }
    let answer = house.call_with(method, &target, body, &headers).await;
    let status = answer.status.as_u16();
    assert!(status < 500, "{status}: {}: {context}", answer.text);
    assert!(!answer.text.contains(CANARY), "{}: {context}", answer.text);
    if status >= 400 {
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{}: {context}", answer.text);
        assert!(!answer.str("/code").is_empty(), "{}: {context}", answer.text);
    }
}

fn number_from_environment(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[tokio::test]
async fn p17_whatever_is_asked_of_the_admin_api_is_no_fault_of_ours() {
    let house = House::new(BASE).await;
    let seed = number_from_environment("LOCKGATE_PROVE_SEED", 17);
    let rounds = number_from_environment("LOCKGATE_PROVE_ROUNDS", 20);
    println!("seed {seed}, {rounds} rounds");
    let mut hostile = Hostile { rng: StdRng::seed_from_u64(seed) };
    let document = house.call("GET", "/api/openapi.json", "").await.expect(200).json;
    let mut operations = operations(&document);
    // Wrong tokens are guesses, after which nobody is let in for a while.
    operations.retain(|(method, path, _)| method != "POST" || path != "/api/admin/session");
    assert!(operations.len() > 50, "{}", operations.len());
    for _ in 0..rounds {
        for operation in &operations {
            check(&house, &mut hostile, operation).await;
        }
    }
    let backends = house.call("GET", "/api/admin/backends", "").await.expect(200);
    assert!(backends.text.contains("\"main\""), "what the file says is still there: {}", backends.text);
    house.call("POST", "/api/admin/reload", "").await.expect(200);
}
