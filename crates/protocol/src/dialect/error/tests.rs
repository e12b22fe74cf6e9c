//! Errors as clients read them; when they are told is not decided here.

use super::*;

#[test]
fn an_error_has_the_shape_its_status_promises() {
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "insufficient_quota"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (502, "server_error"),
        (503, "server_error"),
    ] {
        for &dialect in Dialect::ALL {
            let error = WireError {
                status,
                code: "some_code",
                message: "a \"message\"",
                param: Some("model"),
                request_id: "r",
            };
            let body = format!(
                r#"{{"error":{{"message":"a \"message\"","type":"{kind}","param":"model","code":"some_code"}}}}"#
            );
            assert_eq!(encode_error(dialect, &error), body);
            let frames = (grammar(dialect).stream_error)(&error, StreamPlace::default());
            assert!(
                frames.ends_with(b"\n\n") && !frames.windows(6).any(|part| part == b"[DONE]"),
                "{dialect}"
            );
        }
    }
}
