//! Prices through the API: listed with who says so, set from a time on, and removed again.

use std::sync::atomic::Ordering;

use serde_json::json;
use store::directory::{Kind, NewSpec};

use crate::testing::House;

const PRICES: &str = "/api/admin/prices";
const FILE: &str = "backends: [{name: main, kind: openai, models: {a: gpt-4o, own: {native: gpt-4o, price: {input: 9, output: 9}}}}]\n";

fn charged(house: &House, model: &str) -> String {
    let snapshot = house.snapshot();
    let route = snapshot.catalog.resolve(model, snapshot.identity.anonymous()).expect("it is served");
    let price = route.tiers[0].candidates[0].price.as_ref().expect("a price");
    format!("{} {}", price.version.split('-').next().unwrap_or_default(), price.input)
}

#[tokio::test]
async fn a_price_is_set_from_a_time_on_and_the_table_holds_before_and_after() {
    let house = House::new(FILE).await;
    assert_eq!(charged(&house, "a"), "genai 0.0000025");
    let at = house.now.load(Ordering::Relaxed);
    let since = policy::Timestamp(at + 5_000).to_utc();
    let body = json!({"prices": [
        {"model": "gpt-4o", "price": {"input": 1, "output": 2}},
        {"model": "gpt-4o", "since": since, "price": {"input": 3, "output": 4}},
    ]});
    let changed = house.call("PUT", PRICES, &body.to_string()).await.expect(200);
    assert_eq!(changed.json["changed"], 2);
    assert_eq!(charged(&house, "a"), "api 0.000001");
    assert_eq!(charged(&house, "own"), "config 0.000009", "what a mapping says stands above all");
    house.now.store(at + 5_000, Ordering::Relaxed);
    house.publisher.catch_up().await.expect("it holds").expect("a price has begun");
    assert_eq!(charged(&house, "a"), "api 0.000003");
    let again = house.call("PUT", PRICES, &body.to_string()).await.expect(200);
    assert_eq!(again.json["changed"], 0);
    let listed = house.call("GET", &format!("{PRICES}?search=GPT-4o&source=api"), "").await.expect(200);
    let rows = listed.json["prices"].as_array().expect("a list");
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["input"], &rows[1]["input"], &rows[1]["since"]),
        (&json!("1"), &json!("3"), &json!(at + 5_000))
    );
    for row in rows {
        let path = format!("{PRICES}/{}", row["id"].as_str().expect("an id"));
        house.call("DELETE", &path, "").await.expect(204);
    }
    assert_eq!(charged(&house, "a"), "genai 0.0000025");
    house.call("DELETE", &format!("{PRICES}/gpt-4o"), "").await.expect(404);
}

#[tokio::test]
async fn a_stored_price_that_does_not_hold_any_more_is_listed_and_can_be_removed() {
    let house = House::new(FILE).await;
    let spec = json!({"model": "gpt-4o", "price": {"input": -1, "output": 2}});
    let broken = NewSpec { id: "price_1".into(), name: "gpt-4o".into(), spec };
    house.store.directory.put_specs(Kind::Price, vec![broken], policy::Timestamp(1)).await.expect("stored");
    let listed = house.call("GET", &format!("{PRICES}?source=api"), "").await.expect(200);
    assert_eq!((listed.str("/prices/0/id"), listed.str("/prices/0/model")), ("price_1", "gpt-4o"));
    assert!(listed.str("/prices/0/problem").contains("input"), "{}", listed.json);
    assert_eq!(listed.json["prices"][0].get("input"), None);
    house.call("DELETE", &format!("{PRICES}/price_1"), "").await.expect(204);
    let listed = house.call("GET", &format!("{PRICES}?source=api"), "").await.expect(200);
    assert_eq!(listed.json["prices"], json!([]));
}

#[tokio::test]
async fn the_table_is_searched_page_by_page() {
    let house = House::new(FILE).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            house.call("GET", &format!("{PRICES}?limit=40&search=gpt-4{cursor}"), "").await.expect(200);
        let rows = page.json["prices"].as_array().expect("a list").clone();
        assert!(rows.len() <= 40 && rows.iter().all(|row| row["source"] == "built_in"));
        seen.extend(rows.iter().map(|row| row["model"].to_string()));
        let Some(next) = page.json["next"].as_str() else { break };
        cursor = format!("&cursor={}", next.replace(' ', "%20").replace('/', "%2F"));
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), seen.len(), "none twice");
    assert!(seen.contains(&"\"openai/gpt-4o\"".to_owned()) && seen.len() > 40, "{}", seen.len());
}

#[tokio::test]
async fn what_does_not_hold_is_named_and_changes_nothing() {
    let house = House::new(FILE).await;
    for (body, told) in [
        (r#"{"prices": [{"model": "m", "price": {"input": -1, "output": 2}}]}"#, "prices[0].price.input"),
        (r#"{"prices": [{"model": "m", "price": {"input": 1}}]}"#, "must be given"),
        (r#"{"prices": [{"price": {"input": 1, "output": 1}}, {"model": "x"}]}"#, "prices[1].price"),
        (r#"{"prices": {}}"#, "expected a list"),
        (r#"{"price": []}"#, "unknown key"),
    ] {
        let answer = house.call("PUT", PRICES, body).await.expect(422);
        assert!(answer.text.contains(told), "{body}: {}", answer.text);
    }
    assert_eq!(
        house.call("GET", &format!("{PRICES}?source=api"), "").await.expect(200).json["prices"],
        json!([])
    );
}
