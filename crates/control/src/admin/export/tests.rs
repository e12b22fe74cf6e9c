//! Exports are whole, can be taken up anywhere, and never begin a formula.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::csv::{Cell, at, line};
use super::rows::place_of;
use crate::admin::tests::settle;
use crate::testing::House;

#[test]
fn cells_are_quoted_and_what_would_be_a_formula_is_text() {
    for (value, expected) in [
        (json!("plain"), "plain"),
        (json!("a,b"), "\"a,b\""),
        (json!("say \"hi\""), "\"say \"\"hi\"\"\""),
        (json!("two\nlines"), "\"two\nlines\""),
        (json!(" kept "), "\" kept \""),
        (json!("=1+1"), "'=1+1"),
        (json!("+49"), "'+49"),
        (json!("-2"), "'-2"),
        (json!("@SUM(A1)"), "'@SUM(A1)"),
        (json!("  =cmd|' /C calc'!A0"), "'  =cmd|' /C calc'!A0"),
        (json!("\t=1"), "'\t=1"),
        (json!("\r=1"), "\"'\r=1\""),
        (json!("＝1"), "'＝1"),
        (json!(-3), "-3"),
        (json!(1.5), "1.5"),
        (json!(true), "true"),
        (Value::Null, ""),
        (json!([["a", "b"]]), "\"[[\"\"a\"\",\"\"b\"\"]]\""),
    ] {
        let expected = format!("{expected},x\r\n");
        assert_eq!(line([Cell::of(Some(&value)), Cell::own("x")].into_iter()), expected, "{value}");
    }
    assert_eq!(at(&json!({"usage": {"input": 3}}), "usage.input"), Some(&json!(3)));
    assert_eq!(at(&json!({"usage": 3}), "usage.input"), None);
}

async fn lines(house: &House, path: &str) -> Vec<String> {
    let answer = house.call("GET", path, "").await.expect(200);
    answer.text.lines().map(str::to_owned).collect()
}

/// What a record has, as paths of columns.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !["before", "after"].contains(&path) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(value, &path, found);
            }
        }
        Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_) => {
            found.insert(path.to_owned());
        }
    }
}

#[tokio::test]
async fn an_export_is_whole_and_goes_on_where_it_was_cut() {
    let house = House::new("").await;
    (0..1203).for_each(|n| settle(&house, n, house.now.load(Ordering::Relaxed)));
    assert!(house.store.mover.flush(Duration::from_secs(60)), "{:?}", house.store.mover.lag());
    for number in 0..7 {
        let body = json!({"limits": {"queue_max": number}}).to_string();
        house.call("PATCH", "/api/admin/config", &body).await.expect(200);
    }
    for (what, count) in [("requests", 1203), ("usage", 1), ("audit", 7)] {
        let path = format!("/api/admin/export/{what}");
        let records = lines(&house, &format!("{path}?format=ndjson")).await;
        let rows = lines(&house, &path).await;
        assert!(records.len() >= count, "{what} has {}", records.len());
        assert_eq!(rows.len(), records.len() + 1, "{what}: a header and a row each");
        // Every field of a record is a column, and every row as long as the header.
        let columns: BTreeSet<String> = rows[0].split(',').map(str::to_owned).collect();
        let mut fields = BTreeSet::new();
        leaves(&serde_json::from_str(&records[0]).expect("JSON"), "", &mut fields);
        assert_eq!(fields.difference(&columns).collect::<Vec<_>>(), Vec::<&String>::new(), "{what}");
        // Cut anywhere, and taken up.
        for cut in [0, records.len() / 2, records.len() - 1] {
            let record: Value = serde_json::from_str(&records[cut]).expect("JSON");
            let cursor = record["cursor"].as_str().expect("a cursor");
            let rest = lines(&house, &format!("{path}?format=ndjson&cursor={cursor}")).await;
            assert_eq!(rest, records[cut + 1..], "{what} cut at {cut}");
        }
        let wrong = house.call("GET", &format!("{path}?cursor=nothing"), "").await.expect(400);
        assert_eq!(wrong.str("/code"), "invalid_cursor");
        house.call("GET", &format!("{path}?format=xls"), "").await.expect(400);
    }
    let found = lines(&house, "/api/admin/export/requests?format=ndjson&q=eq-12&status=2xx").await;
    assert!(found.len() > 1 && found.len() < 20, "{}", found.len());
    place_of("7b7d").expect_err("an empty object is no place");
}
