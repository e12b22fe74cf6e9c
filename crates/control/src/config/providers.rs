//! Decides which backends the environment alone makes: provider keys and the older sidecar's upstream; never when a file lists its own.

use std::collections::BTreeMap;

use policy::VENDORS;

use super::problem::{Notice, Report};
use super::sources::{from_variable, map_node, old_name, seconds_text};
use super::tree::{Node, Origin, Path, Value};

mod lingma;

/// Adds to the tree what the environment's keys make. A list of backends from a stronger hand is left
/// alone: its author has decided what is used, and the same key twice would be counted twice.
pub(crate) fn from_environment(
    tree: &mut Node,
    variables: &BTreeMap<String, String>,
    report: &mut Report,
    notices: &mut Vec<Notice>,
) {
    let listed =
        matches!(tree.get("backends").map(|node| &node.value), Some(Value::List(nodes)) if !nodes.is_empty());
    let mut made = Vec::new();
    sidecar(variables, notices, &mut made);
    made.extend(lingma::backend(variables, report, notices));
    if !listed && made.is_empty() {
        made = provider_keys(variables);
    }
    if made.is_empty() {
        return;
    }
    match tree.get("backends").cloned() {
        Some(Node { value: Value::List(mut nodes), origin }) => {
            nodes.extend(made);
            tree.set(&Path::dotted("backends"), Node::new(origin, Value::List(nodes)));
        }
        Some(Node { value: Value::Null, .. }) | None => {
            tree.set(&Path::dotted("backends"), Node::new(Origin::Default, Value::List(made)));
        }
        // Not a list: the shape says so with its place.
        Some(_) => {}
    }
}

fn present<'v>(variables: &'v BTreeMap<String, String>, name: &str) -> Option<&'v str> {
    variables.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// One backend for each provider whose key is in the environment.
fn provider_keys(variables: &BTreeMap<String, String>) -> Vec<Node> {
    let made = VENDORS.iter().filter_map(|vendor| {
        let env = vendor.env.filter(|_| vendor.base_url.is_some())?;
        let key = present(variables, env)?;
        let origin = from_variable(env);
        let text = |text: &str| Value::Text(text.to_owned());
        // Providers' own limits are learned; a paid key must not start out at a free tier's rate.
        let limits = map_node(&origin, vec![("rpm", Value::Number("0".to_owned()))]).value;
        let fields = vec![
            ("name", text(vendor.name)),
            ("kind", text(vendor.name)),
            ("api_key", text(key)),
            ("limits", limits),
        ];
        Some(map_node(&origin, fields))
    });
    made.collect()
}

/// The older sidecar had one upstream, given by variables.
fn sidecar(variables: &BTreeMap<String, String>, notices: &mut Vec<Notice>, made: &mut Vec<Node>) {
    let Some(url) = present(variables, "SIDECAR_UPSTREAM") else {
        for name in ["SIDECAR_API_KEY", "SIDECAR_RATE_RPM", "SIDECAR_BUCKET_CAPACITY"] {
            if present(variables, name).is_some() {
                let message = "has no effect without SIDECAR_UPSTREAM".to_owned();
                notices.push(Notice { subject: name.to_owned(), message });
            }
        }
        return;
    };
    let origin = from_variable("SIDECAR_UPSTREAM");
    let text = |text: &str| Value::Text(text.to_owned());
    let mut node = map_node(&origin, vec![("name", text("sidecar")), ("base_url", text(url))]);
    let mut add = |path: &str, name: &str, value: fn(&str) -> Value| {
        if let Some(given) = present(variables, name) {
            node.set(&Path::dotted(path), Node::new(from_variable(name), value(given)));
        }
    };
    add("api_key", "SIDECAR_API_KEY", |key| Value::Text(key.to_owned()));
    add("limits.rpm", "SIDECAR_RATE_RPM", Value::plain);
    add("limits.burst", "SIDECAR_BUCKET_CAPACITY", Value::plain);
    add("deadlines.first_event", "SIDECAR_TIMEOUT", |text| Value::Text(seconds_text(text)));
    notices.push(old_name("SIDECAR_UPSTREAM", "a backend in lockgate.yaml"));
    made.push(node);
}

/// Whether a backend at this place of the list came from the environment.
pub(crate) fn is_from_environment(tree: &Node, path: &Path) -> bool {
    matches!(tree.at(path).map(|node| &node.origin), Some(Origin::Environment(_)))
}
