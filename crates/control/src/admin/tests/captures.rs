//! Captures through the API: rules with an end, what was captured, who may see it, and that each look is known.

use std::sync::atomic::Ordering;
use std::time::Duration;

use policy::{Captured, TicketId, Timestamp};
use serde_json::{Value, json};
use store::captures::{Capture, CaptureContent, CaptureEnd, CaptureHead};

use super::BASE;
use crate::testing::{Answer, House};

const CAPTURES: &str = "/api/admin/captures";
const RULES: &str = "/api/admin/captures/rules";
const PATIENCE: Duration = Duration::from_secs(60);
/// What the house's clock says.
const NOW: i64 = 1_780_272_000_000;

async fn rules(house: &House) -> Vec<(Value, Value)> {
    let listed = house.call("GET", RULES, "").await.expect(200);
    let rules = listed.json["rules"].as_array().into_iter().flatten();
    rules.map(|rule| (rule["key"].clone(), rule["model"].clone())).collect()
}

/// Whether requests of the key of the file are captured now.
fn concerns(house: &House) -> Captured {
    let snapshot = house.snapshot();
    let app = snapshot.identity.keys().iter().find(|key| &*key.name == "app").expect("a key");
    snapshot.captures.concern(app, Timestamp(house.now.load(Ordering::Relaxed)))
}

#[tokio::test]
async fn a_rule_captures_until_its_end_or_until_it_is_ended() {
    let house = House::new(BASE).await;
    assert_eq!(concerns(&house), Captured::No);
    let made = house.call("POST", RULES, r#"{"key": "app", "lasts": "10m"}"#).await.expect(201);
    assert_eq!((made.str("/key"), &made.json["until"]), ("app", &json!(NOW + 600_000)));
    assert_eq!(concerns(&house), Captured::Yes);
    // The same requests again: the rule is replaced.
    let again = house.call("POST", RULES, r#"{"key": "app", "lasts": "20m"}"#).await.expect(201);
    assert_eq!((again.str("/id"), &again.json["until"]), (made.str("/id"), &json!(NOW + 1_200_000)));
    let until = Timestamp(NOW + 5000).to_utc();
    house.call("POST", RULES, &json!({"model": "m", "until": until}).to_string()).await.expect(201);
    house.call("POST", RULES, r#"{"lasts": "1h"}"#).await.expect(201);
    assert_eq!(rules(&house).await.len(), 3);
    house.call("DELETE", &format!("{RULES}/{}", made.str("/id")), "").await.expect(204);
    house.call("DELETE", &format!("{RULES}/{}", made.str("/id")), "").await.expect(404);
    assert_eq!(rules(&house).await.len(), 2);
    house.now.store(NOW + 3_600_000, Ordering::Relaxed);
    assert_eq!((rules(&house).await.len(), concerns(&house)), (0, Captured::No));
    assert!(house.publisher.catch_up().await.expect("published").is_some(), "the end of a rule is news");
    // What is over makes room.
    house.call("POST", RULES, r#"{"key": "app", "model": "m", "lasts": "1s"}"#).await.expect(201);
    assert_eq!(rules(&house).await, [(json!("app"), json!("m"))]);
    let stored = house.store.directory.specs(store::directory::Kind::CaptureRule).await.expect("specs");
    assert_eq!(stored.len(), 1);
    assert_eq!(concerns(&house), Captured::For(["m".into()].into()));
}

#[tokio::test]
async fn a_rule_without_an_end_or_for_nobody_is_refused() {
    let house = House::new(BASE).await;
    let past = Timestamp(NOW - 1).to_utc();
    let far = Timestamp(NOW + 8 * 86_400_000).to_utc();
    for (body, told) in [
        (json!({"key": "app"}), "a rule has an end"),
        (json!({"key": "app", "lasts": "1h", "until": past}), "both say when it ends"),
        (json!({"key": "app", "until": past}), "is past"),
        (json!({"key": "app", "until": far}), "more than 7 days away"),
        (json!({"key": "app", "lasts": "8d"}), "must be from"),
        (json!({"key": "nobody", "lasts": "1h"}), "is no key of this gateway"),
        (json!({"keys": "app", "lasts": "1h"}), "unknown key"),
    ] {
        let refused = house.call("POST", RULES, &body.to_string()).await.expect(422);
        assert!(refused.text.contains(told), "{body}: {}", refused.text);
    }
    assert_eq!((rules(&house).await, concerns(&house)), (vec![], Captured::No));
}

fn captured(n: u64) -> Capture {
    let at = Timestamp(NOW + i64::try_from(n).expect("a small number"));
    let millis = u128::try_from(at.0).expect("after 1970");
    let head = CaptureHead {
        id: TicketId(millis << 80 | u128::from(n)),
        request_id: format!("req-{n}").into(),
        at,
        key: n.is_multiple_of(2).then(|| "app".into()),
        model: Some("m".into()),
        backend: Some("main".into()),
        status: if n.is_multiple_of(3) { 502 } else { 200 },
        ended: CaptureEnd::Left,
        request_bytes: 9,
        response_bytes: 2,
        request_cut: true,
        response_cut: false,
    };
    let content = CaptureContent {
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        request_headers: vec![("authorization".to_owned(), "[hidden]".to_owned())],
        // Cut within a character.
        request_body: "was süß".as_bytes()[..6].to_vec().into(),
        response_body: vec![0xff, 0xfe].into(),
        ..CaptureContent::default()
    };
    Capture { head, content }
}

/// A house in which four requests were captured, every second one of the key of the file.
async fn captured_house() -> House {
    let house = House::new(BASE).await;
    for n in 1..=4 {
        let mut capture = captured(n);
        let id = house.snapshot().identity.keys()[0].id.clone();
        capture.head.key = capture.head.key.map(|_| id);
        house.store.recorder.record(capture, house.store.recorder.begin().expect("room"));
    }
    assert!(house.store.recorder.flush(PATIENCE));
    house
}

fn ids(listed: &Answer) -> Vec<&str> {
    let captures = listed.json["captures"].as_array().into_iter().flatten();
    captures.filter_map(|capture| capture["request_id"].as_str()).collect()
}

#[tokio::test]
async fn captures_are_listed_shown_and_deleted() {
    let house = captured_house().await;
    let all = house.call("GET", CAPTURES, "").await.expect(200);
    assert_eq!(ids(&all), ["req-4", "req-3", "req-2", "req-1"]);
    assert_eq!(
        (&all.json["count"], &all.json["lost"], all.str("/captures/0/key_name")),
        (&json!(4), &json!(0), "app")
    );
    for (query, want) in [
        ("key=app", vec!["req-4", "req-2"]),
        ("status=5xx", vec!["req-3"]),
        ("request_id=req-2", vec!["req-2"]),
        ("model=n", vec![]),
        ("backend=main&limit=2", vec!["req-4", "req-3"]),
    ] {
        assert_eq!(
            ids(&house.call("GET", &format!("{CAPTURES}?{query}"), "").await.expect(200)),
            want,
            "{query}"
        );
    }
    let first = house.call("GET", &format!("{CAPTURES}?limit=3"), "").await.expect(200);
    let next = format!("{CAPTURES}?limit=3&cursor={}", first.str("/next"));
    assert_eq!(ids(&house.call("GET", &next, "").await.expect(200)), ["req-1"]);
    for wrong in ["cursor=x", "status=9xx", "from=never", "key=", "more=1", "limit=0"] {
        house.call("GET", &format!("{CAPTURES}?{wrong}"), "").await.expect(400);
    }
    let id = all.str("/captures/1/id").to_owned();
    for named in [&id, "req-3"] {
        let shown = house.call("GET", &format!("{CAPTURES}/{named}"), "").await.expect(200);
        assert_eq!((shown.str("/request/text"), shown.str("/response/base64")), ("was s", "//4="));
        assert_eq!((shown.str("/request/method"), shown.str("/ended")), ("POST", "left"));
        assert_eq!(shown.json["request"]["headers"], json!([["authorization", "[hidden]"]]));
        assert_eq!(shown.headers["cache-control"], "no-store");
    }
    house.call("DELETE", &format!("{CAPTURES}/{id}"), "").await.expect(204);
    house.call("DELETE", &format!("{CAPTURES}/{id}"), "").await.expect(404);
    house.call("GET", &format!("{CAPTURES}/{id}"), "").await.expect(404);
    for wrong in ["", "?all=false", "?all=true&key=app"] {
        house.call("DELETE", &format!("{CAPTURES}{wrong}"), "").await.expect(422);
    }
    let deleted = house.call("DELETE", &format!("{CAPTURES}?key=app"), "").await.expect(200);
    assert_eq!(deleted.json, json!({"deleted": 2}));
    let deleted = house.call("DELETE", &format!("{CAPTURES}?all=true"), "").await.expect(200);
    assert_eq!(deleted.json, json!({"deleted": 1}));
    let left = house.call("GET", CAPTURES, "").await.expect(200);
    assert_eq!((ids(&left), &left.json["file_bytes"]), (vec![], &json!(0)));
    let told = house.call("GET", "/api/admin/audit?kind=capture", "").await.expect(200);
    let deeds: Vec<(&str, &str)> = told.json["entries"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((entry["action"].as_str()?, entry["subject"].as_str()?)))
        .collect();
    assert_eq!(deeds, [("delete", "req-3"), ("view", "req-3"), ("view", "req-3")]);
}

#[tokio::test]
async fn what_was_said_is_for_administrators_only() {
    let house = captured_house().await;
    for (role, may_look) in [("viewer", false), ("operator", false), ("admin", true)] {
        let made = house
            .call(
                "POST",
                "/api/admin/tokens",
                &json!({"name": format!("a-{role}"), "role": role}).to_string(),
            )
            .await;
        let bearer = format!("Bearer {}", made.expect(201).str("/token"));
        let call = async |method: &str, path: &str, body: &str| {
            let headers = [("authorization", &*bearer)];
            house.call_with(method, path, body.as_bytes().to_vec(), &headers).await.status.as_u16()
        };
        let (fine, made) = if may_look { (200, 201) } else { (403, 403) };
        assert_eq!(call("GET", CAPTURES, "").await, 200, "{role}");
        assert_eq!(call("GET", RULES, "").await, 200, "{role}");
        assert_eq!(call("GET", &format!("{CAPTURES}/req-1"), "").await, fine, "{role}");
        assert_eq!(call("POST", RULES, r#"{"lasts": "1h"}"#).await, made, "{role}");
        assert_eq!(call("DELETE", &format!("{CAPTURES}?all=true"), "").await, fine, "{role}");
    }
}
