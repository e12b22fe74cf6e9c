//! Budgets through the API: made, changed in mid-period, removed; and what is wrong with one is named.

use policy::{Amount, Timestamp};
use serde_json::json;

use super::{BASE, settle};
use crate::publish::Trigger;
use crate::testing::House;

const BUDGETS: &str = "/api/admin/budgets";

#[tokio::test]
async fn a_budget_begins_with_what_the_ledger_knows_and_a_changed_amount_keeps_it() {
    let house = House::new(BASE).await;
    for n in 0..4 {
        settle(&house, n, 1_780_272_000_000);
    }
    assert!(house.store.mover.flush(std::time::Duration::from_secs(60)), "the ledger catches up");
    let made = house.call("POST", BUDGETS, r#"{"key": "app", "amount": 1, "per": "day"}"#).await.expect(201);
    assert_eq!((made.str("/name"), made.str("/source"), made.str("/per")), ("key app/day", "api", "day"));
    assert_eq!((made.str("/spent"), made.str("/reserved")), ("0.000008", "0"));
    assert_eq!(made.str("/left"), "0.999992");
    let key = house.snapshot().identity.keys()[0].clone();
    let hold = house.live.hold(&key.budgets, Amount(5), Timestamp(1_780_272_000_000)).expect("room");
    let path = format!("{BUDGETS}/key%20app%2Fday");
    let changed = house.call("PATCH", &path, r#"{"amount": 2}"#).await.expect(200);
    assert_eq!((changed.str("/amount"), changed.str("/spent")), ("2", "0.000008"));
    assert_eq!(changed.str("/reserved"), "0.000000000005");
    assert_eq!(changed.headers["etag"], "\"2\"");
    house.live.settle(hold, Amount(3), Timestamp(1_780_272_000_001), crate::publish::moment());
    let shown = house.call("GET", &path, "").await.expect(200);
    assert_eq!((shown.str("/spent"), shown.str("/reserved")), ("0.000008000003", "0"));
    house.publisher.publish(Trigger::Edit).await.expect("it holds");
    house.call("DELETE", &path, "").await.expect(204);
    assert!(house.snapshot().budgets.is_empty());
    house.call("GET", &path, "").await.expect(404);
}

#[tokio::test]
async fn what_does_not_hold_is_named_and_not_stored() {
    let house = House::new(&format!("budgets: [{{amount: 5, per: hour}}]\n{BASE}")).await;
    house.call("POST", "/api/admin/teams", r#"{"name": "red"}"#).await.expect(201);
    house.call("POST", BUDGETS, r#"{"team": "red", "amount": "3.50"}"#).await.expect(201);
    for (method, path, body, status, told) in [
        (
            "POST",
            BUDGETS,
            r#"{"amount": 1, "per": "hour"}"#,
            409,
            "the file already has the budget `gateway/hour`",
        ),
        ("POST", BUDGETS, r#"{"team": "red", "amount": 9}"#, 409, "there is another one for each total"),
        ("POST", BUDGETS, r#"{"team": "rde", "amount": 9}"#, 409, "there is no team `rde`"),
        ("POST", BUDGETS, r#"{"key": "apq", "amount": 9}"#, 409, "there is no key `apq`"),
        ("POST", BUDGETS, r#"{"key": "app", "team": "red", "amount": 9}"#, 422, "not of both"),
        ("POST", BUDGETS, r#"{"key": "app", "amount": 0}"#, 422, "must be more than nothing"),
        ("POST", BUDGETS, r#"{"key": "app", "amount": 1, "per": "year"}"#, 422, "must be one of hour"),
        ("POST", BUDGETS, r#"{"key": "app"}"#, 422, "must be given"),
        ("PATCH", "/api/admin/budgets/gateway%2Fhour", r#"{"amount": 1}"#, 409, "change it there"),
        ("DELETE", "/api/admin/budgets/none", "", 404, "there is no budget"),
        ("DELETE", "/api/admin/teams/red", "", 409, "budget team red/total: there is no team `red`"),
    ] {
        let answer = house.call(method, path, body).await.expect(status);
        assert!(answer.text.contains(told), "{method} {path} {body}: {}", answer.text);
    }
    let listed = house.call("GET", BUDGETS, "").await.expect(200);
    let rows: Vec<_> = listed.json["budgets"].as_array().into_iter().flatten().collect();
    let named: Vec<_> = rows.iter().map(|row| (row["name"].clone(), row["source"].clone())).collect();
    assert_eq!(named, [(json!("gateway/hour"), json!("file")), (json!("team red/total"), json!("api"))]);
}
