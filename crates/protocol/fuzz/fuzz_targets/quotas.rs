//! Whatever an answer's headers say, the limits read from them are bounded, few, and never made of nothing.
#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocol::{Reset, quotas};

const NAMES: [&str; 12] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimitbysize-reset",
    "ratelimitbysize-limit",
    "date",
];

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for (name, value) in NAMES.into_iter().zip(input.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let told = quotas(&headers);
    assert!(told.len() <= 4);
    for quota in told {
        assert!(quota.limit.is_some() || quota.remaining.is_some());
        assert!(quota.limit.max(quota.remaining) <= Some(1_000_000_000_000));
        if let Some(Reset::Refilled(wait) | Reset::Renewed(wait)) = quota.reset {
            assert!(wait <= Duration::from_hours(31 * 24));
        }
    }
});
