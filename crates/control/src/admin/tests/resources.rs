//! Pools, models, aliases and events through the API.

use policy::DAY_MS;
use serde_json::{Value, json};

use crate::testing::House;

const FILE: &str = "pools: {spare: {strategy: cost}}\naliases: {old: m}\nbackends:\n  - {name: main, base_url: 'http://127.0.0.1:1/v1', api_key: k1234567890, models: {m: {native: native-m, price: {input: 0.1, output: 0.25}}, n: {}}}\n  - {name: other, base_url: 'http://127.0.0.1:2/v1', pool: spare, enabled: false, models: {m: {}}}\n";

fn names<'v>(list: &'v Value, field: &str) -> Vec<&'v str> {
    list.as_array().into_iter().flatten().filter_map(|one| one[field].as_str()).collect()
}

#[tokio::test]
async fn pools_are_shown_with_their_place_and_their_backends() {
    let house = House::new(FILE).await;
    let listed = house.call("GET", "/api/admin/pools", "").await.expect(200);
    assert_eq!(names(&listed.json["pools"], "name"), ["fallback", "primary", "spare"]);
    let spare = house.call("GET", "/api/admin/pools/spare", "").await.expect(200);
    assert_eq!((&spare.json["place"], spare.str("/strategy")), (&json!(2), "cost"));
    assert_eq!((&spare.json["healthy"], spare.str("/backends/0/state")), (&json!(0), "disabled"));
    house.call("GET", "/api/admin/pools/none", "").await.expect(404);
}

#[tokio::test]
async fn models_are_shown_with_who_serves_them() {
    let house = House::new(FILE).await;
    let listed = house.call("GET", "/api/admin/models?limit=2", "").await.expect(200);
    assert_eq!((names(&listed.json["models"], "name"), listed.str("/next")), (vec!["m", "n"], "n"));
    let rest = house.call("GET", "/api/admin/models?limit=2&cursor=n", "").await.expect(200);
    assert_eq!((names(&rest.json["models"], "name"), rest.json.get("next")), (vec!["old"], None));
    let old = house.call("GET", "/api/admin/models/old", "").await.expect(200);
    assert_eq!((&old.json["alias"], old.str("/served_by/0/model")), (&json!(true), "m"));
    assert_eq!(old.str("/served_by/0/native"), "native-m");
    house.call("GET", "/api/admin/models/none", "").await.expect(404);
}

#[tokio::test]
async fn an_alias_lives_and_dies_through_the_api() {
    let house = House::new(FILE).await;
    let path = "/api/admin/aliases";
    let made = house.call("POST", path, "{\"name\": \"new\", \"targets\": [\"n\", \"m\"]}").await.expect(201);
    assert_eq!((made.str("/source"), &made.json["targets"]), ("api", &json!(["n", "m"])));
    let leads = |house: &House, name: &str| {
        let snapshot = house.snapshot();
        let route = snapshot.catalog.resolve(name, snapshot.identity.anonymous()).ok();
        route.map(|route| route.model.to_string())
    };
    assert_eq!(leads(&house, "new").as_deref(), Some("n"));
    let listed = house.call("GET", path, "").await.expect(200);
    assert_eq!(names(&listed.json["aliases"], "source"), ["api", "file"]);
    for (body, status) in [
        (json!({"name": "new", "targets": "m"}), 409),
        (json!({"name": "old", "targets": "m"}), 409),
        (json!({"name": "b", "targets": "nowhere"}), 422),
        (json!({"name": "b", "targets": "new"}), 422),
        (json!({"name": "b", "targets": []}), 422),
        (json!({"name": "b"}), 422),
        (json!({"name": "b", "targets": "m", "more": 1}), 422),
    ] {
        house.call("POST", path, &body.to_string()).await.expect(status);
    }
    let at = format!("{path}/{}", made.str("/id"));
    house.call("PATCH", &at, "{\"targets\": \"m\"}").await.expect(200);
    assert_eq!(leads(&house, "new").as_deref(), Some("m"));
    let bearer = format!("Bearer {}", crate::testing::TOKEN);
    let late = [("authorization", bearer.as_str()), ("if-match", "\"1\"")];
    house.call_with("DELETE", &at, Vec::new(), &late).await.expect(412);
    house.call("PATCH", "/api/admin/aliases/old", "{\"targets\": \"n\"}").await.expect(409);
    house.call("DELETE", "/api/admin/aliases/new", "").await.expect(204);
    assert_eq!(leads(&house, "new"), None);
    house.call("GET", &at, "").await.expect(404);
}

#[tokio::test]
async fn events_are_shown_newest_first_by_kind_and_by_page() {
    let house = House::new(FILE).await;
    for _ in 0..3 {
        house.call("POST", "/api/admin/backends/main/reset", "").await.expect(204);
        house.call("POST", "/api/admin/backends/other/reset", "").await.expect(204);
    }
    let listed = house.call("GET", "/api/admin/events?kind=reset", "").await.expect(200);
    let numbers: Vec<u64> = listed.json["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["number"].as_u64())
        .collect();
    assert!(numbers.len() > 1 && numbers.is_sorted_by(|one, other| one > other), "{}", listed.text);
    let (at, now) = (listed.json["events"][0]["at"].as_i64().expect("a moment"), house.publisher.now().0);
    assert!((now - 3_600_000..=now).contains(&at), "{at} is not just before {now}");
    let first = house.call("GET", "/api/admin/events?kind=reset&limit=1", "").await.expect(200);
    assert_eq!(first.json["events"][0]["number"], json!(numbers[0]));
    let next = format!("/api/admin/events?kind=reset&limit=1&cursor={}", first.str("/next"));
    let second = house.call("GET", &next, "").await.expect(200);
    assert_eq!(second.json["events"][0]["number"], json!(numbers[1]));
    let of_main = house.call("GET", "/api/admin/events?backend=main", "").await.expect(200);
    assert!(names(&of_main.json["events"], "backend").iter().all(|name| *name == "main"), "{}", of_main.text);
    let none = house.call("GET", "/api/admin/events?kind=breaker_opened", "").await.expect(200);
    assert_eq!(none.json, json!({"events": []}));
    for query in ["kind=nothing", "cursor=x", "limit=0", "limit=1001", "since=1"] {
        house.call("GET", &format!("/api/admin/events?{query}"), "").await.expect(400);
    }
}

#[tokio::test]
async fn settings_that_somebody_else_changed_meanwhile_are_kept() {
    let house = House::new("").await;
    let bearer = format!("Bearer {}", crate::testing::TOKEN);
    let change = async |seen: &str, max: u32| {
        let body = json!({"limits": {"queue_max": max}}).to_string().into_bytes();
        let headers = [("authorization", bearer.as_str()), ("if-match", seen)];
        house.call_with("PATCH", "/api/admin/config", body, &headers).await
    };
    let tag = async || {
        let shown = house.call("GET", "/api/admin/config", "").await.expect(200);
        shown.headers["etag"].to_str().expect("text").to_owned()
    };
    let first = tag().await;
    assert_eq!(tag().await, first, "it changes with the settings only");
    house.call("POST", "/api/admin/teams", "{\"name\": \"red\"}").await.expect(201);
    let changed = change(&first, 7).await.expect(200);
    let second = tag().await;
    assert_eq!(changed.headers["etag"], second.as_str());
    for (seen, status) in [(first.as_str(), 412), ("\"1\"", 412), (second.as_str(), 200), ("*", 200)] {
        let answer = change(seen, 8).await.expect(status);
        assert!(status == 200 || answer.str("/code") == "changed", "{seen}: {}", answer.text);
    }
    assert_eq!(house.snapshot().settings.queue_max, 8);
}

#[tokio::test]
async fn series_come_in_pages_and_queries_that_do_not_hold_are_told_from_those_that_cannot_be_read() {
    let house = House::new(super::BASE).await;
    let now = house.publisher.now().0;
    for day in 0..5 {
        super::settle(&house, u64::try_from(day).expect("it is small"), now - day * DAY_MS);
    }
    assert!(house.store.mover.flush(std::time::Duration::from_secs(60)), "{:?}", house.store.mover.lag());
    let path = "/api/admin/stats/daily?by=model";
    let whole = house.call("GET", path, "").await.expect(200);
    let rows = whole.json["rows"].as_array().expect("rows").clone();
    assert_eq!((rows.len(), whole.json.get("next")), (5, None));
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = house.call("GET", &format!("{path}&limit=2{cursor}"), "").await.expect(200);
        paged.extend(page.json["rows"].as_array().expect("rows").clone());
        let Some(next) = page.json["next"].as_str() else { break };
        cursor = format!("&cursor={}", next.replace(' ', "%20"));
    }
    assert_eq!(paged, rows);
    let top = house.call("GET", &format!("{path}&top=1"), "").await.expect(200);
    assert_eq!((&top.json["rows"], &top.json["groups"][0]["group"]), (&whole.json["rows"], &json!("m")));
    for (query, status) in [
        ("limit=0", 400),
        ("limit=10001", 400),
        ("by=nothing", 400),
        ("by=tag:", 400),
        ("from=", 400),
        ("from=-1", 400),
        ("from=yesterday", 400),
        ("from=253402300800000", 400),
        ("from=2&to=1", 422),
        ("from=0", 422),
        ("by=model&top=0", 400),
        ("by=model&top=51", 400),
        ("top=3", 422),
        ("by=model&top=1", 200),
        ("from=1780000000000", 200),
        ("from=2026-01-01t00:00:00z", 200),
    ] {
        house.call("GET", &format!("/api/admin/stats/daily?{query}"), "").await.expect(status);
    }
    house.call("GET", "/api/admin/stats/hourly?from=0", "").await.expect(422);
}

#[tokio::test]
async fn a_number_is_no_text_in_a_body_and_one_in_the_file() {
    let house = House::new("teams: [{name: 123}]").await;
    house.call("GET", "/api/admin/teams/123", "").await.expect(200);
    let refused = house.call("POST", "/api/admin/teams", "{\"name\": 124}").await.expect(422);
    assert_eq!(refused.str("/errors/0/path"), "name");
    house.call("POST", "/api/admin/teams", "{\"name\": \"124\", \"body_max\": 2048}").await.expect(201);
}
