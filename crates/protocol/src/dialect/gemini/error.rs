//! Writes errors in Google's shape; never decides what becomes one.

use bytes::Bytes;
use serde::Serialize;

use crate::dialect::error::{StreamPlace, WireError};
use crate::dialect::write::{json, push_data, push_json};

#[derive(Serialize)]
struct Body<'a> {
    error: Status<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    details: Vec<Detail<'a>>,
}

/// A detail of `google.rpc`, of which SDKs know these by their type.
#[derive(Serialize)]
#[serde(tag = "@type")]
enum Detail<'a> {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo { reason: &'a str, domain: &'static str },
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest", rename_all = "camelCase")]
    BadRequest { field_violations: [Violation<'a>; 1] },
    #[serde(rename = "type.googleapis.com/google.rpc.RequestInfo", rename_all = "camelCase")]
    RequestInfo { request_id: &'a str },
}

#[derive(Serialize)]
struct Violation<'a> {
    field: &'a str,
    description: &'a str,
}

/// The JSON body of an error response.
pub(super) fn encode(error: &WireError<'_>) -> Bytes {
    json(&body(error))
}

/// What ends a broken stream.
pub(super) fn encode_event(error: &WireError<'_>, _place: StreamPlace<'_>) -> Bytes {
    let mut frame = Vec::new();
    push_event(error, &mut frame);
    frame.into()
}

/// Appends the event that ends a broken stream, and behind it the same body bare, as Google's service has it there. Some
/// SDKs raise at the one, some at the other, and take a stream that lacks theirs for a whole one.
pub(super) fn push_event(error: &WireError<'_>, out: &mut Vec<u8>) {
    let body = body(error);
    push_data(out, &body);
    push_json(out, &body);
    out.push(b'\n');
}

fn body<'a>(error: &WireError<'a>) -> Body<'a> {
    let WireError { status, code, message, param, request_id } = *error;
    let mut details = vec![Detail::ErrorInfo { reason: code, domain: "lockgate" }];
    details.extend(param.map(|field| {
        let field_violations = [Violation { field, description: message }];
        Detail::BadRequest { field_violations }
    }));
    if !request_id.is_empty() {
        details.push(Detail::RequestInfo { request_id });
    }
    Body { error: Status { code: status, message, status: name(status), details } }
}

/// The name that Google gives errors of a status.
fn name(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        400..=498 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, param: Option<&str>, expected: &str) {
        let error = WireError { status, code: "the_code", message: "no \"x\"", param, request_id: "" };
        assert_eq!(encode(&error), expected);
        let frames = encode_event(&error, StreamPlace::default());
        assert_eq!(frames, format!("data: {expected}\n\n{expected}\n"));
    }

    #[test]
    fn an_error_begins_with_its_name_and_keeps_our_code() {
        check(
            429,
            None,
            r#"{"error":{"code":429,"message":"no \"x\"","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"the_code","domain":"lockgate"}]}}"#,
        );
        check(
            400,
            Some("contents[0]"),
            r#"{"error":{"code":400,"message":"no \"x\"","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"the_code","domain":"lockgate"},{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents[0]","description":"no \"x\""}]}]}}"#,
        );
    }

    #[test]
    fn every_status_has_a_name() {
        let table = [
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (404, "NOT_FOUND"),
            (409, "ABORTED"),
            (413, "INVALID_ARGUMENT"),
            (499, "CANCELLED"),
            (500, "INTERNAL"),
            (501, "UNIMPLEMENTED"),
            (502, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
            (529, "INTERNAL"),
        ];
        table.iter().for_each(|(status, expected)| assert_eq!(name(*status), *expected, "{status}"));
    }
}
