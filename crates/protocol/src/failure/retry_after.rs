//! How long an answer asks us to stay away; never how long we do.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use crate::date::http_date;

/// No provider means more than this; what says more is a mistake.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// Reads `retry-after-ms`, else `retry-after` in seconds or as a date, which is measured against the answer's own `date`:
/// there is no clock here, and theirs is the one it was written by.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let exact = text("retry-after-ms").and_then(|written| seconds(written, 1e-3));
    let wait = exact.or_else(|| {
        let written = text(RETRY_AFTER.as_str())?;
        seconds(written, 1.0).or_else(|| {
            let until = http_date(written)?.saturating_sub(http_date(text(DATE.as_str())?)?);
            Some(Duration::from_secs(until))
        })
    })?;
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Reads a duration as protobuf's JSON writes it: `34.07s`.
pub(super) fn delay(written: &str) -> Option<Duration> {
    Some(seconds(written.strip_suffix('s')?, 1.0)?.min(RETRY_AFTER_MAX))
}

fn seconds(written: &str, unit: f64) -> Option<Duration> {
    let number: f64 = written.parse().ok()?;
    if number.is_nan() || number < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(number * unit).unwrap_or(RETRY_AFTER_MAX))
}
