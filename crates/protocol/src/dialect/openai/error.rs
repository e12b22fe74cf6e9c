//! Reads and writes errors in OpenAI's shape; never decides what becomes an error.

use bytes::Bytes;
use serde::Serialize;

use crate::dialect::error::{StreamPlace, WireError};
use crate::dialect::write::{json, push_data};
use crate::failure::classify::{ErrorText, classify};
use crate::failure::{Failure, FailureKind};

/// Reads the value of an `error` field. Null, false, an empty text and an empty object are no error.
pub(crate) fn failure(written: &str) -> Option<Failure> {
    if matches!(written, "null" | "false" | "\"\"" | "{}" | "[]") {
        return None;
    }
    let text = ErrorText::read(written.as_bytes());
    Some(classify(None, &text, FailureKind::ErrorAnswer))
}

/// Reads an answer that is a list, in case it is a list of errors.
pub(crate) fn listed(written: &str) -> Option<Failure> {
    let text = ErrorText::read(written.as_bytes());
    (text != ErrorText::default()).then(|| classify(None, &text, FailureKind::ErrorAnswer))
}

/// An error that says nothing about itself.
pub(crate) fn unexplained() -> Failure {
    Failure::new(FailureKind::ErrorAnswer, "the upstream reports an error and does not say which")
}

#[derive(Serialize)]
struct Body<'a> {
    error: Fields<'a>,
}

#[derive(Serialize)]
pub(crate) struct Fields<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'a str,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(error: &WireError<'a>) -> Self {
        Fields { message: error.message, r#type: kind(error.status), param: error.param, code: error.code }
    }
}

/// The `type` that OpenAI gives errors of a status; clients decide by status and code.
fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

pub(crate) fn encode(error: &WireError<'_>) -> Bytes {
    json(&Body { error: Fields::of(error) })
}

/// The event that ends a broken stream: SDKs raise at its `error`; no `[DONE]` follows, which would tell of a good end.
pub(crate) fn encode_event(error: &WireError<'_>, _: StreamPlace<'_>) -> Bytes {
    let mut frame = Vec::new();
    push_data(&mut frame, &Body { error: Fields::of(error) });
    frame.into()
}
