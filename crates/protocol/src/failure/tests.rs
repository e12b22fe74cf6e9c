//! What upstreams answer when they fail, and what is made of it; never what is done about it.

use http::HeaderValue;

use super::*;

#[track_caller]
fn check(status: u16, body: &str, kind: FailureKind) {
    let status = StatusCode::from_u16(status).unwrap();
    let failure = Failure::from_answer(status, &HeaderMap::new(), body.as_bytes());
    assert_eq!((failure.kind, failure.status), (kind, Some(status.as_u16())), "{body}");
}

#[test]
fn statuses_and_their_bodies_are_told_apart() {
    use FailureKind::{ModelMissing, RateLimited, Rejected, Unauthorized, Unavailable};
    for status in [408, 409, 425, 500, 502, 503, 504, 520, 529] {
        check(status, "<html>Bad gateway</html>", Unavailable);
        check(status, r#"{"error":{"message":"bad","code":"invalid_request_error"}}"#, Unavailable);
    }
    for status in [400, 404, 405, 413, 415, 422] {
        check(status, "", Rejected);
    }
    check(429, r#"{"error":{"type":"insufficient_quota"}}"#, RateLimited);
    check(401, "", Unauthorized);
    check(402, r#"{"error":{"message":"Insufficient Balance"}}"#, Unauthorized);
    check(403, "<html>denied</html>", Unauthorized);
    check(403, r#"{"error":{"code":"content_policy_violation"}}"#, Rejected);
    check(
        403,
        r#"{"error":{"message":"Project does not have access to model `m`","code":"model_not_found"}}"#,
        ModelMissing,
    );
    check(
        404,
        r#"{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}"#,
        ModelMissing,
    );
    check(
        404,
        r#"{"object":"error","message":"The model `m` does not exist.","type":"NotFoundError","code":404}"#,
        ModelMissing,
    );
    check(404, r#"{"error":"model \"m\" not found, try pulling it first"}"#, ModelMissing);
    check(
        404,
        r#"{"error":{"message":"Invalid URL (POST /v1/foo)","type":"invalid_request_error"}}"#,
        Rejected,
    );
    check(404, r#"{"detail":"Not Found"}"#, Rejected);
    check(400, r#"{"error":{"message":"Model Not Exist","code":"invalid_request_error"}}"#, ModelMissing);
    check(400, r#"{"error":{"message":"flagged","code":"content_filter"}}"#, Rejected);
    check(
        400,
        r#"{"error":{"message":"This model's maximum context length is 8192","code":"context_length_exceeded"}}"#,
        Rejected,
    );
    check(307, "", FailureKind::Malformed);
    let anthropic = |kind: &str, message: &str| {
        format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#
        )
    };
    for (status, kind, message, expected) in [
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", Rejected),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", Unauthorized),
        (401, "authentication_error", "invalid x-api-key", Unauthorized),
        (402, "billing_error", "pay", Unauthorized),
        (403, "permission_error", "no", Unauthorized),
        (404, "not_found_error", "model: claude-9", ModelMissing),
        (404, "not_found_error", "Not found", Rejected),
        (413, "request_too_large", "Request exceeds the maximum size", Rejected),
        (429, "rate_limit_error", "slow down", RateLimited),
        (500, "api_error", "Internal server error", Unavailable),
        (504, "timeout_error", "late", Unavailable),
        (529, "overloaded_error", "Overloaded", Unavailable),
    ] {
        check(status, &anthropic(kind, message), expected);
    }
}

#[test]
fn googles_errors_are_told_by_their_details() {
    use FailureKind::{ModelMissing, RateLimited, Rejected, Unauthorized, Unavailable};
    let google = |code: u16, status: &str, message: &str, details: &str| {
        format!(
            r#"{{"error":{{"code":{code},"message":"{message}","status":"{status}","details":[{details}]}}}}"#
        )
    };
    let reason = |reason: &str| {
        format!(r#"{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","domain":"x"}}"#)
    };
    for (code, status, message, details, kind) in [
        (400, "INVALID_ARGUMENT", "bad", String::new(), Rejected),
        (400, "INVALID_ARGUMENT", "bad", reason("API_KEY_INVALID"), Unauthorized),
        (
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            String::new(),
            Unauthorized,
        ),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported for the API use.",
            String::new(),
            Unauthorized,
        ),
        (400, "FAILED_PRECONDITION", "The file is not in an ACTIVE state.", String::new(), Rejected),
        (403, "PERMISSION_DENIED", "no", reason("SERVICE_DISABLED"), Unauthorized),
        (404, "NOT_FOUND", "models/x is not found for API version v1beta", String::new(), ModelMissing),
        (429, "RESOURCE_EXHAUSTED", "quota", String::new(), RateLimited),
        (503, "UNAVAILABLE", "The model is overloaded.", String::new(), Unavailable),
        (504, "DEADLINE_EXCEEDED", "late", String::new(), Unavailable),
    ] {
        check(code, &google(code, status, message, &details), kind);
    }
    for (delay, wait) in [
        ("34s", Some(Duration::from_secs(34))),
        ("0.25s", Some(Duration::from_millis(250))),
        ("999999s", Some(Duration::from_hours(24))),
        ("34", None),
        ("s", None),
        ("-1s", None),
    ] {
        let info =
            format!(r#"{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}"#);
        let body = google(429, "RESOURCE_EXHAUSTED", "quota", &info);
        let answer = |headers: &HeaderMap| {
            Failure::from_answer(StatusCode::TOO_MANY_REQUESTS, headers, body.as_bytes())
        };
        assert_eq!(answer(&HeaderMap::new()).retry_after, wait, "{delay}");
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        assert_eq!(answer(&headers).retry_after, Some(Duration::from_secs(7)), "headers say it better");
    }
}

#[test]
fn errors_without_a_status_are_told_by_what_they_say() {
    use FailureKind::{ErrorAnswer, ModelMissing, RateLimited, Rejected, Unauthorized, Unavailable};
    for (error, kind) in [
        (r#"{"code":429,"message":"x"}"#, RateLimited),
        (r#"{"code":"503"}"#, Unavailable),
        (r#"{"status":401}"#, Unauthorized),
        (r#"{"code":"rate_limit_exceeded"}"#, RateLimited),
        (r#"{"type":"overloaded_error"}"#, Unavailable),
        (r#"{"type":"server_error","code":null}"#, Unavailable),
        (r#"{"type":"authentication_error"}"#, Unauthorized),
        (r#"{"type":"invalid_request_error","code":"model_not_found"}"#, ModelMissing),
        (r#"{"type":"invalid_request_error"}"#, Rejected),
        (r#"{"code":"content_filter"}"#, Rejected),
        (r#"{"type":"api_error","message":"Internal server error"}"#, Unavailable),
        (r#"{"type":"billing_error"}"#, Unauthorized),
        (r#"{"type":"not_found_error","message":"model: claude-9"}"#, ModelMissing),
        (r#"{"type":"not_found_error","message":"file"}"#, Rejected),
        (r#"{"type":"request_too_large"}"#, Rejected),
        (r#"{"code":7,"message":"odd"}"#, ErrorAnswer),
        (r#""just text""#, ErrorAnswer),
        ("17", ErrorAnswer),
    ] {
        let text = classify::ErrorText::read(error.as_bytes());
        assert_eq!(classify::classify(None, &text, ErrorAnswer).kind, kind, "{error}");
    }
}

#[test]
fn the_detail_says_what_helps_and_no_more() {
    for (body, detail) in [
        (
            r#"{"error":{"message":"Slow down","type":"requests","code":"rate_limit_exceeded"}}"#,
            "status 429, rate_limit_exceeded, requests, Slow down",
        ),
        (r#"{"error":"no room"}"#, "status 429, no room"),
        (r#"{"error":"Forbidden","message":"not you"}"#, "status 429, not you"),
        (
            r#"[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]"#,
            "status 429, 429, RESOURCE_EXHAUSTED, quota",
        ),
        (
            r#"{"detail":[{"loc":["body","x"],"msg":"field required","input":{"messages":"the prompt"}}]}"#,
            "status 429, field required",
        ),
        (r#"{"detail":"busy"}"#, "status 429, busy"),
        ("<html>the page</html>", "status 429"),
        ("", "status 429"),
    ] {
        let failure = Failure::from_answer(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes());
        assert_eq!(&*failure.detail, detail);
    }
}

#[test]
fn the_detail_is_bounded_and_hides_what_looks_like_a_secret() {
    for (text, clean) in [
        ("Incorrect API key provided: sk-proj-abcDEF123.", "Incorrect API key provided: [hidden]."),
        ("key 'AIzaSyD-1234567890abcdefghijklmnopqrstu' is bad", "key '[hidden]' is bad"),
        ("bad header: Bearer hunter2!", "bad header: Bearer [hidden]!"),
        ("canary 0123456789abcdef0123456789abcdef", "canary [hidden]"),
        (
            "model deepseek-ai/DeepSeek-V3.1 is unavailable\r\nnow",
            "model deepseek-ai/DeepSeek-V3.1 is unavailable  now",
        ),
        ("a perfectly ordinary sentence, with 12 numbers", "a perfectly ordinary sentence, with 12 numbers"),
    ] {
        assert_eq!(&*Failure::new(FailureKind::Malformed, text).detail, clean);
    }
    for long in ["é".repeat(100_000), "a ".repeat(100_000), "😀,".repeat(499)] {
        assert!(Failure::new(FailureKind::Malformed, &long).detail.chars().count() <= 500);
    }
}

#[test]
fn how_long_to_stay_away_is_read_from_the_headers() {
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let ms = Duration::from_millis;
    for (headers, wait) in [
        (&[("retry-after", "20")][..], Some(ms(20_000))),
        (&[("retry-after", "1.5")], Some(ms(1_500))),
        (&[("retry-after", "20"), ("retry-after-ms", "250")], Some(ms(250))),
        (&[("retry-after-ms", "junk"), ("retry-after", " 3 ")], Some(ms(3_000))),
        (&[("retry-after", "0")], Some(ms(0))),
        (&[("retry-after", "-1")], None),
        (&[("retry-after", "NaN")], None),
        (&[("retry-after", "inf")], Some(Duration::from_hours(24))),
        (&[("retry-after", "1e300")], Some(Duration::from_hours(24))),
        (&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), DATE], Some(ms(30_000))),
        (&[("retry-after", "Sat, 05 Nov 1994 08:50:07 GMT"), DATE], Some(ms(0))),
        (
            &[("retry-after", "Wed, 01 Mar 2028 00:00:00 GMT"), ("date", "Mon, 28 Feb 2028 23:59:50 GMT")],
            Some(Duration::from_secs(86_400)),
        ),
        (
            &[("retry-after", "Tue, 29 Feb 2028 00:00:10 GMT"), ("date", "Mon, 28 Feb 2028 23:59:50 GMT")],
            Some(ms(20_000)),
        ),
        (&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], None),
        (&[("retry-after", "Sun, 99 Foo 1994 08:50:07 GMT"), DATE], None),
        (&[], None),
    ] {
        let mut map = HeaderMap::new();
        for &(name, value) in headers {
            map.insert(name, HeaderValue::from_static(value));
        }
        let failure = Failure::from_answer(StatusCode::TOO_MANY_REQUESTS, &map, b"");
        assert_eq!(failure.retry_after, wait, "{headers:?}");
    }
}

#[test]
fn every_kind_has_one_fault_one_remedy_and_one_taint() {
    use FailureKind as Kind;
    for (kind, fault, retry, taint) in [
        (Kind::Connect, Fault::Upstream, Retry::ElsewhereNow, Taint::Backend),
        (Kind::Truncated, Fault::Upstream, Retry::ElsewhereNow, Taint::Backend),
        (Kind::Malformed, Fault::Upstream, Retry::ElsewhereNow, Taint::Backend),
        (Kind::RateLimited, Fault::Upstream, Retry::ElsewhereNow, Taint::Credential),
        (Kind::Unauthorized, Fault::Ours, Retry::ElsewhereNow, Taint::Credential),
        (Kind::ModelMissing, Fault::Ours, Retry::ElsewhereNow, Taint::Call),
        (Kind::Rejected, Fault::Caller, Retry::Never, Taint::Call),
        (Kind::Deadline(Deadline::FirstEvent), Fault::Upstream, Retry::ElsewhereNow, Taint::Backend),
        (Kind::Deadline(Deadline::Total), Fault::Upstream, Retry::Never, Taint::Call),
        (Kind::TooLarge, Fault::Upstream, Retry::Never, Taint::Call),
    ] {
        let failure = Failure::new(kind, "");
        assert_eq!((failure.fault(), failure.retry(), failure.taint()), (fault, retry, taint), "{kind}");
    }
    assert_eq!(Failure::new(Kind::Deadline(Deadline::Idle), "quiet").to_string(), "deadline_idle: quiet");
}
