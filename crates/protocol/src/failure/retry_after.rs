//! How long an answer's headers ask us to stay away; never how long we do.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

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

fn seconds(written: &str, unit: f64) -> Option<Duration> {
    let number: f64 = written.parse().ok()?;
    if number.is_nan() || number < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(number * unit).unwrap_or(RETRY_AFTER_MAX))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of date that HTTP lets senders write.
fn http_date(written: &str) -> Option<u64> {
    let mut parts = written.split_ascii_whitespace().skip(1);
    let day: u64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = u64::try_from(months.iter().position(|name| *name == month)?).ok()? + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let possible =
        (1970..10_000).contains(&year) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !possible || parts.next()? != "GMT" {
        return None;
    }
    // Years that begin in March put the leap day last (Howard Hinnant, "days_from_civil").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second)
}
