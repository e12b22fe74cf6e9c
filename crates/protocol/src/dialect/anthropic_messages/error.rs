//! Writes errors in Anthropic's shape; never decides what becomes one.

use bytes::Bytes;
use serde::Serialize;

use crate::dialect::error::{StreamPlace, WireError};
use crate::dialect::write::{json, push_event};

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    error: Fields<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Fields<'a> {
    r#type: &'static str,
    message: &'a str,
    /// Not Anthropic's: the stable code, beside the type that all errors of a kind share.
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
}

impl<'a> Body<'a> {
    fn of(error: &WireError<'a>) -> Self {
        let fields = Fields {
            r#type: kind(error.status),
            message: error.message,
            code: error.code,
            param: error.param,
        };
        Body { r#type: "error", error: fields, request_id: error.request_id }
    }
}

/// The `type` that Anthropic gives errors of a status; clients retry by it where a stream has no status any more.
fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        408 | 504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

pub(crate) fn encode(error: &WireError<'_>) -> Bytes {
    json(&Body::of(error))
}

/// The event that ends a broken stream: SDKs raise at it; no `message_stop` follows, which would tell of a good end.
pub(crate) fn encode_event(error: &WireError<'_>, _: StreamPlace<'_>) -> Bytes {
    let mut frame = Vec::new();
    push_event(&mut frame, "error", &Body::of(error));
    frame.into()
}
