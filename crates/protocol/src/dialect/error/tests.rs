//! Errors as clients read them; when they are told is not decided here.

use super::*;

const STATUSES: [(u16, &str, &str); 11] = [
    (400, "invalid_request_error", "invalid_request_error"),
    (401, "authentication_error", "authentication_error"),
    (402, "insufficient_quota", "billing_error"),
    (403, "permission_error", "permission_error"),
    (404, "invalid_request_error", "not_found_error"),
    (413, "invalid_request_error", "request_too_large"),
    (422, "invalid_request_error", "invalid_request_error"),
    (429, "rate_limit_error", "rate_limit_error"),
    (502, "server_error", "api_error"),
    (503, "server_error", "overloaded_error"),
    (504, "server_error", "timeout_error"),
];

fn error(status: u16, param: Option<&str>) -> WireError<'_> {
    WireError { status, code: "some_code", message: "a \"message\"", param, request_id: "r-1" }
}

#[track_caller]
fn check(dialect: Dialect, error: &WireError<'_>, body: &str) {
    assert_eq!(encode_error(dialect, error), body);
    let frames = (grammar(dialect).stream_error)(error, StreamPlace::default());
    assert!(frames.ends_with(b"\n\n") && !frames.windows(6).any(|part| part == b"[DONE]"), "{dialect}");
}

#[test]
fn an_error_has_the_shape_its_status_promises() {
    for (status, openai, anthropic) in STATUSES {
        let others = [Dialect::AnthropicMessages, Dialect::Gemini];
        for &dialect in Dialect::ALL.iter().filter(|dialect| !others.contains(dialect)) {
            let body = format!(
                r#"{{"error":{{"message":"a \"message\"","type":"{openai}","param":"model","code":"some_code"}}}}"#
            );
            check(dialect, &error(status, Some("model")), &body);
        }
        let body = |param: &str| {
            format!(
                r#"{{"type":"error","error":{{"type":"{anthropic}","message":"a \"message\"","code":"some_code"{param}}},"request_id":"r-1"}}"#
            )
        };
        check(Dialect::AnthropicMessages, &error(status, None), &body(""));
        check(Dialect::AnthropicMessages, &error(status, Some("model")), &body(r#","param":"model""#));
    }
}
