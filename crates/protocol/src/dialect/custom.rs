//! What a tool that takes text (`custom`) is for those who know functions only: an object that holds the text; never how
//! either is framed.

use serde_json::value::RawValue;

use crate::conversation::part::Takes;
use crate::conversation::request::Request;
use crate::conversation::tool::ToolKind;
use crate::dialect::object::Fields;

/// The schema of that object.
pub(crate) const SCHEMA: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// The same, to be written into other JSON.
pub(crate) fn schema() -> &'static RawValue {
    serde_json::from_str(SCHEMA).expect("it is JSON")
}

/// The object that holds a text.
pub(crate) fn wrapped(text: &str) -> String {
    serde_json::json!({"input": text}).to_string()
}

/// What a tool takes for the client, which an upstream has called with `called_with`.
pub(crate) fn takes(called_with: Takes, name: &str, request: &Request) -> Takes {
    let is_custom = request
        .tools
        .iter()
        .any(|tool| matches!(&tool.kind, ToolKind::Custom { name: known, .. } if known == name));
    if is_custom { Takes::Text } else { called_with }
}

/// The text in arguments that are an object with nothing but a text in it; else the arguments themselves.
pub(crate) fn unwrapped(arguments: &str) -> String {
    let text = Fields::body(arguments).and_then(|mut fields| fields.string("input"));
    text.ok().flatten().unwrap_or_else(|| arguments.to_owned())
}
