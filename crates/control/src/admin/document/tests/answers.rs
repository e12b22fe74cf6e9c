//! Every answer is what the description says of it: no field more, none less, none of another sort.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::admin::openapi;
use crate::admin::tests::settle;
use crate::testing::House;

const FILE: &str = "teams: [{name: red}]\nkeys: [{name: app, key: secret-of-the-app, team: red}]\naliases: {old: m}\nbudgets: [{key: app, amount: 5, per: day}]\nbackends:\n  - {name: main, base_url: 'http://127.0.0.1:1/v1', api_key: k1234567890, models: {m: {native: native-m, price: {input: 0.1, output: 0.25}}}}\n";

/// Calls that make one of each, in order; then everything that is only looked at is looked at.
fn calls() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("POST", "/api/admin/backends", json!({"name": "own", "kind": "openai", "api_key": "sk-0123456789"})),
        ("PATCH", "/api/admin/backends/own", json!({"weight": 3, "limits": {"tpm": 1000}})),
        ("POST", "/api/admin/backends/own/test", Value::Null),
        ("POST", "/api/admin/backends/own/disable", Value::Null),
        ("POST", "/api/admin/teams", json!({"name": "blue", "metadata": {"a": "b"}})),
        ("PATCH", "/api/admin/teams/blue", json!({"rpm": 5})),
        ("POST", "/api/admin/keys", json!({"name": "made", "team": "blue", "aliases": {"x": "m"}})),
        ("PATCH", "/api/admin/keys/made", json!({"note": "of the tests"})),
        ("POST", "/api/admin/keys/made/rotate", json!({"grace": "1h"})),
        ("POST", "/api/admin/budgets", json!({"team": "blue", "amount": 3})),
        ("PATCH", "/api/admin/budgets/team%20blue%2Ftotal", json!({"amount": 4})),
        ("POST", "/api/admin/aliases", json!({"name": "new", "targets": ["m"]})),
        ("PATCH", "/api/admin/aliases/new", json!({"targets": "m"})),
        ("PUT", "/api/admin/prices", json!({"prices": [{"model": "m", "price": {"input": 1, "output": 2}}]})),
        ("POST", "/api/admin/tokens", json!({"name": "looker", "role": "viewer"})),
        ("POST", "/api/admin/captures/rules", json!({"key": "app", "model": "m", "lasts": "10m"})),
        ("PATCH", "/api/admin/config", json!({"limits": {"queue_max": 9}})),
        ("POST", "/api/admin/reload", Value::Null),
        ("POST", "/api/admin/vault/rotate", Value::Null),
        ("POST", "/api/admin/backups", Value::Null),
        ("POST", "/api/admin/instances/inst-1/restart", Value::Null),
        ("POST", "/api/admin/instances/inst-1/login", Value::Null),
        ("POST", "/api/admin/instances/inst-1/login/paste", json!({"text": "good"})),
        ("POST", "/internal/auto-login/start", Value::Null),
        ("GET", "/api/admin/backends/main", Value::Null),
        ("GET", "/api/admin/backends/own", Value::Null),
        ("GET", "/api/admin/keys/made", Value::Null),
        ("GET", "/api/admin/teams/red", Value::Null),
        ("GET", "/api/admin/budgets/key%20app%2Fday", Value::Null),
        ("GET", "/api/admin/aliases/old", Value::Null),
        ("GET", "/api/admin/pools/primary", Value::Null),
        ("GET", "/api/admin/models/old", Value::Null),
        ("GET", "/api/admin/requests/req-7", Value::Null),
        ("GET", "/api/admin/requests/req-7/explain", Value::Null),
        ("GET", "/api/admin/explain?model=m&key=app", Value::Null),
        ("GET", "/api/admin/stats/total?by=backend", Value::Null),
        ("GET", "/api/admin/stats/hourly?by=model&top=2", Value::Null),
        // Refusals are answers, too.
        ("GET", "/api/admin/keys/none", Value::Null),
        ("GET", "/api/admin/requests?limit=0", Value::Null),
        ("POST", "/api/admin/keys", json!({"name": "not a name", "rpm": -1})),
        ("POST", "/api/admin/aliases", json!({"name": "new", "targets": "nowhere"})),
        ("DELETE", "/api/admin/teams/red", Value::Null),
    ]
}

#[tokio::test]
async fn every_answer_is_as_it_is_described() {
    let house = House::new(FILE).await;
    let at = house.publisher.now().0;
    (0..10).for_each(|n| settle(&house, n, at));
    assert!(house.store.mover.flush(Duration::from_secs(60)), "{:?}", house.store.mover.lag());
    let document = openapi();
    let paths = document["paths"].as_object().expect("paths");
    let lists = paths.keys().filter(|path| !path.contains('{') && paths[*path].get("get").is_some());
    let lists: Vec<&str> = lists.map(String::as_str).filter(|path| !path.contains("/export/")).collect();
    let mut looked_at = 0;
    let made = calls();
    let looks = lists.iter().map(|path| ("GET", *path, &Value::Null));
    for (method, path, body) in made.iter().map(|(method, path, body)| (*method, *path, body)).chain(looks) {
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let answer = house.call(method, path, &sent).await;
        let status = answer.status.to_string();
        let described = described(&document, method, path, &status[..3]);
        let schema = described.unwrap_or_else(|| panic!("{method} {path}: {status} is not described"));
        let mut faults = Vec::new();
        Held { document: &document, faults: &mut faults }.hold(schema, &answer.json, "");
        assert!(faults.is_empty(), "{method} {path} {status}: {faults:#?}\n{}", answer.text);
        looked_at += 1;
    }
    assert!(looked_at > 55, "{looked_at}");
}

/// The schema of this answer.
fn described<'d>(document: &'d Value, method: &str, path: &str, status: &str) -> Option<&'d Value> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let mut parts = template.split('/').zip(path.split('/'));
        template.split('/').count() == path.split('/').count()
            && parts.all(|(template, part)| template.starts_with('{') || template == part)
    };
    let paths = document["paths"].as_object()?;
    // What is written out goes before what stands for any name.
    let found = paths.get(path).or_else(|| Some(paths.iter().find(|(template, _)| fits(template))?.1));
    let response = &found?[method.to_lowercase()]["responses"][status];
    let content = resolved(document, response)["content"].as_object()?;
    content.values().next()?.get("schema")
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(pointer) => resolved(document, document.pointer(&pointer[1..]).expect("it leads somewhere")),
        None => schema,
    }
}

/// Holds values to schemas, and notes where they do not fit.
struct Held<'d, 'f> {
    document: &'d Value,
    faults: &'f mut Vec<String>,
}

impl<'d> Held<'d, '_> {
    fn hold(&mut self, schema: &'d Value, value: &Value, at: &str) {
        let schema = resolved(self.document, schema);
        if let Some(ways) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            return self.hold_one_of(ways, value, at);
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            Value::String(one) => vec![one.as_str()],
            _ => Vec::new(),
        };
        let sort = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let is_one = types.contains(&sort) || (sort == "integer" && types.contains(&"number"));
        if !types.is_empty() && !is_one {
            self.faults.push(format!("{at} is of the sort {sort}, not {types:?}"));
        }
        let words = schema.get("enum").and_then(Value::as_array);
        if !value.is_null() && words.is_some_and(|words| !words.contains(value)) {
            self.faults.push(format!("{at} may not be {value}"));
        }
        match value {
            Value::Object(fields) => self.hold_object(schema, fields, at),
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    let each = schema.pointer(&format!("/prefixItems/{number}")).unwrap_or(&schema["items"]);
                    self.hold(each, item, &format!("{at}/{number}"));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn hold_one_of(&mut self, ways: &'d [Value], value: &Value, at: &str) {
        let mut least: Option<Vec<String>> = None;
        for way in ways {
            let mut faults = Vec::new();
            Held { document: self.document, faults: &mut faults }.hold(way, value, at);
            if least.as_ref().is_none_or(|least| faults.len() < least.len()) {
                least = Some(faults);
            }
        }
        self.faults.extend(least.unwrap_or_default());
    }

    fn hold_object(&mut self, schema: &'d Value, fields: &Map<String, Value>, at: &str) {
        let mut parts = vec![schema];
        let mut known = Vec::new();
        let mut any = None;
        while let Some(part) = parts.pop() {
            let part = resolved(self.document, part);
            parts.extend(part["allOf"].as_array().into_iter().flatten());
            // Of a part that may be missing: what it is where it is there.
            parts.extend(part["anyOf"].as_array().and_then(|ways| ways.first()));
            known.extend(part["properties"].as_object().into_iter().flatten());
            any = any.or_else(|| part.get("additionalProperties").filter(|any| any.is_object()));
            for name in part["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(name) {
                    self.faults.push(format!("{at}/{name} is missing"));
                }
            }
        }
        // What was changed is told as it was, whatever that was.
        let is_free = schema.as_object().is_some_and(|said| said.keys().all(|key| key == "description"));
        for (name, value) in fields {
            match known.iter().find(|(known, _)| *known == name).map(|(_, schema)| schema).or(any.as_ref()) {
                Some(schema) => self.hold(schema, value, &format!("{at}/{name}")),
                None if is_free => {}
                None => self.faults.push(format!("{at}/{name} is not described")),
            }
        }
    }
}
