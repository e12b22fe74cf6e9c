//! What is described is what is served, and each name in the description means one thing.

mod answers;

use std::collections::BTreeMap;

use serde_json::Value;

use super::METHODS;
use crate::admin::{Role, openapi, resources};
use crate::testing::House;

#[test]
fn the_checked_in_description_is_the_one_the_code_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let mut made = serde_json::to_string_pretty(&openapi()).expect("a description is plain JSON");
    made.push('\n');
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept != made && std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &made).expect("docs/ can be written");
    }
    assert!(kept == made, "docs/openapi.json is out of date; run this test with UPDATE_SCHEMA=1");
}

/// Two types of one name would silently be described as the last of them.
#[test]
fn no_two_schemas_share_a_name() {
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    for resource in resources() {
        let described = serde_json::to_value(resource.get_openapi()).expect("plain JSON");
        let Some(schemas) = described.pointer("/components/schemas").and_then(Value::as_object) else {
            continue;
        };
        for (name, schema) in schemas {
            let before = seen.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == *schema), "{name} means two things");
        }
    }
    let bodies = super::bodies();
    for (name, schema) in &bodies {
        assert!(seen.get(name).is_none_or(|view| view == schema), "{name} means a body and something else");
    }
    assert!(seen.len() > 10 && bodies.len() > 10, "{} {}", seen.len(), bodies.len());
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_says_who_may() {
    let document = openapi();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 100, "{}", references.len());
    for reference in references {
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        assert!(target.is_some(), "{reference} leads nowhere");
    }
    assert!(!document.to_string().contains("\"parameters\":null"), "an empty list is left out");
    let mut ids = BTreeMap::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("each has an id").to_owned();
        assert_eq!(ids.insert(id, path), None, "{method} {path} has the id of another one");
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "{method} {path}");
        for scheme in operation["security"].as_array().into_iter().flatten() {
            let roles = scheme.as_object().expect("a scheme").values().flat_map(|roles| roles.as_array());
            for role in roles.flatten() {
                assert!(role.as_str().and_then(Role::named).is_some(), "{method} {path}: {role}");
            }
        }
    }
}

#[tokio::test]
async fn the_description_is_served_to_everybody_and_everything_it_names_is_there() {
    let house = House::new("").await;
    let served = house.call_with("GET", "/api/openapi.json", Vec::new(), &[]).await.expect(200);
    assert_eq!(served.headers["content-type"], "application/json");
    assert_eq!(served.json, openapi());
    for (path, method, _) in operations(&served.json) {
        let path = path.replace("{id}", "none").replace("{name}", "none");
        let answer = house.call(&method.to_uppercase(), &path, "{}").await;
        assert_ne!(answer.str_or_empty("/detail"), "there is no such resource", "{method} {path}");
        assert_ne!(answer.status, 405, "{method} {path}");
    }
}

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| Some((path.as_str(), *method, item.get(method)?)))
    });
    each.collect()
}

fn collect<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
