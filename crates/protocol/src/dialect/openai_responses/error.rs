//! Writes the errors of `openai_responses` streams; never decides what becomes one.

use bytes::Bytes;
use serde::Serialize;

use crate::dialect::error::{StreamPlace, WireError};
use crate::dialect::openai::error::Fields;
use crate::dialect::write::push_event;

/// The error event as documented, with the same again under `error`, which is where the service puts it and SDKs look.
#[derive(Serialize)]
struct ErrorEvent<'a> {
    r#type: &'static str,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    sequence_number: u64,
    error: Fields<'a>,
}

#[derive(Serialize)]
struct FailedEvent<'a> {
    r#type: &'static str,
    sequence_number: u64,
    response: FailedResponse<'a>,
}

#[derive(Serialize)]
struct FailedResponse<'a> {
    id: &'a str,
    object: &'static str,
    status: &'static str,
    error: ResponseError<'a>,
    output: [(); 0],
}

#[derive(Serialize)]
struct ResponseError<'a> {
    code: &'a str,
    message: &'a str,
}

/// Ends a stream: an `error` event, and for a response that was begun the `response.failed` that clients wait for.
pub(crate) fn encode_events(error: &WireError<'_>, place: StreamPlace<'_>) -> Bytes {
    let (mut frames, mut sequence_number) = (Vec::new(), place.sequence);
    push_error(error, &mut sequence_number, &mut frames);
    if let Some(id) = place.response_id {
        let failed = FailedEvent {
            r#type: "response.failed",
            sequence_number,
            response: FailedResponse {
                id,
                object: "response",
                status: "failed",
                error: ResponseError { code: error.code, message: error.message },
                output: [],
            },
        };
        push_event(&mut frames, "response.failed", &failed);
    }
    frames.into()
}

/// Writes the event that tells of an error, as the next one.
pub(crate) fn push_error(error: &WireError<'_>, sequence: &mut u64, out: &mut Vec<u8>) {
    let event = ErrorEvent {
        r#type: "error",
        code: error.code,
        message: error.message,
        param: error.param,
        sequence_number: *sequence,
        error: Fields::of(error),
    };
    push_event(out, "error", &event);
    *sequence = sequence.saturating_add(1);
}
