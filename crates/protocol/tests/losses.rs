//! What a client writes and another dialect cannot say is named, wherever it stands: a field that nobody knows is put into each
//! object of each recorded request, one at a time, and must arrive or be told of; never what a known field becomes.

use std::fs;
use std::path::Path;

use protocol::{Dialect, Manner, Target};
use serde_json::{Map, Value, json};

const FIELD: &str = "xnobody";

fn dialects() -> impl Iterator<Item = Dialect> {
    Dialect::ALL.iter().copied().filter(|dialect| protocol::converses(*dialect))
}

/// The requests that are recorded for a dialect, by the names of their cases.
fn requests(dialect: Dialect) -> Vec<(String, Value)> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect.name()).join("translate");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let cases = entries.filter_map(|entry| {
        let path = entry.expect("an entry can be read").path();
        let case: Value = serde_json::from_slice(&fs::read(&path).expect("the file is there")).expect("JSON");
        Some((path.display().to_string(), case.get("request")?.clone()))
    });
    let mut cases: Vec<(String, Value)> = cases.collect();
    cases.sort_by(|(one, _), (other, _)| one.cmp(other));
    cases
}

/// Every object in a value, as a pointer to it and as a path.
fn objects(value: &Value, pointer: &str, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            found.push((pointer.to_owned(), path.to_owned()));
            for (name, value) in fields {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                objects(value, &format!("{pointer}/{escaped}"), &inner, found);
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                objects(value, &format!("{pointer}/{number}"), &format!("{path}[{number}]"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a loss at `lost` tells of what stands at `path`.
fn tells_of(lost: &str, path: &str) -> bool {
    path.strip_prefix(lost).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What of a request with the field at `pointer` is neither said in another dialect nor named.
fn silent(from: Dialect, request: &Value, (pointer, path): &(String, String)) -> Vec<Dialect> {
    let mut request = request.clone();
    let object: &mut Map<String, Value> =
        request.pointer_mut(pointer).and_then(Value::as_object_mut).expect("it is an object");
    object.insert(FIELD.to_owned(), json!(1));
    let path = if path.is_empty() { FIELD.to_owned() } else { format!("{path}.{FIELD}") };
    let body = serde_json::to_vec(&request).expect("JSON");
    // What is refused is not lost.
    let Some(Ok(request)) = protocol::decode_request(from, &body) else { return Vec::new() };
    let is_silent = |to: &Dialect| {
        let target = Target { model: "native", max_output_tokens: 4_096, manner: Manner::default() };
        let told = protocol::encode_request(*to, &request, &target).expect("it converses");
        let arrives = String::from_utf8_lossy(&told.body).contains(FIELD);
        let losses = protocol::loss_paths(from, &request, &told.losses);
        !arrives && !losses.iter().any(|lost| tells_of(lost, &path))
    };
    dialects().filter(|to| *to != from).filter(is_silent).collect()
}

#[test]
fn p08_every_unknown_field_arrives_or_is_named() {
    let mut unnamed = Vec::new();
    for from in dialects() {
        let requests = requests(from);
        assert!(!requests.is_empty() || from == Dialect::AgentRpc, "{from} has cases");
        for (case, request) in requests {
            let mut places = Vec::new();
            objects(&request, "", "", &mut places);
            for place in places {
                let silent = silent(from, &request, &place);
                if !silent.is_empty() {
                    unnamed.push(format!("{case}: {} to {silent:?}", place.1));
                }
            }
        }
    }
    assert!(unnamed.is_empty(), "{} places:\n{}", unnamed.len(), unnamed.join("\n"));
}
