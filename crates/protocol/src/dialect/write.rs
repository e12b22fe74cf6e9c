//! Writes values of our own as JSON and as events; never decides what is said.

use bytes::Bytes;
use serde::Serialize;

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Bytes {
    let mut out = Vec::new();
    push_json(&mut out, value);
    out.into()
}

/// Appends a value as JSON.
pub(crate) fn push_json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("strings and numbers under string keys always serialise");
}

/// Appends a whole event with a name.
pub(crate) fn push_event(out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    push_data(out, data);
}

/// Appends a whole event without a name.
pub(crate) fn push_data(out: &mut Vec<u8>, data: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    push_json(out, data);
    out.extend_from_slice(b"\n\n");
}
