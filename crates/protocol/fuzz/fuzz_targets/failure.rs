//! Whatever an upstream answers, the failure made of it is bounded, one line, and without a key that it may repeat.
#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use protocol::{Failure, Retry};

const CANARY: &str = "sk-proj-canary0123456789";

fuzz_target!(|input: &[u8]| {
    let Some((&[status, cut], rest)) = input.split_first_chunk::<2>() else { return };
    let status = StatusCode::from_u16(100 + 2 * u16::from(status)).expect("100 to 610 are statuses");
    let (header, body) = rest.split_at(rest.len().min(usize::from(cut)));
    let mut headers = HeaderMap::new();
    let (first, second) = header.split_at(header.len() / 2);
    for (name, value) in [("retry-after", header), ("retry-after-ms", first), ("date", second)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let body = String::from_utf8_lossy(body).replace("KEY", &format!(" {CANARY} "));
    let failure = Failure::from_answer(status, &headers, body.as_bytes());
    assert_eq!(failure.status, Some(status.as_u16()));
    assert!(failure.detail.chars().count() <= 500);
    assert!(!failure.detail.chars().any(char::is_control));
    assert!(!failure.detail.contains(CANARY), "{}", failure.detail);
    assert!(failure.retry_after.is_none_or(|wait| wait <= Duration::from_hours(24)));
    if matches!(status.as_u16(), 408 | 409 | 425 | 429 | 500..=599) {
        assert_eq!(failure.retry(), Retry::ElsewhereNow);
    }
});
