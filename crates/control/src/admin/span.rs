//! Reads what queries say of time and of names; it never decides what is found.

use policy::Timestamp;
use store::ledger::Range;

use super::refusal::Refusal;

/// Longer than any name there is.
const TEXT_CHARS_MAX: usize = 256;
/// The end of the year 9999, where RFC 3339 ends.
pub(super) const MOMENT_MAX: i64 = 253_402_300_799_999;

/// From one moment up to but without another; what is left out is open.
pub(super) fn span(from: Option<&str>, to: Option<&str>) -> Result<Range, Refusal> {
    span_or(from, to, Range::ALL)
}

/// The same, where what is left out is as in `open`.
pub(super) fn span_or(from: Option<&str>, to: Option<&str>, open: Range) -> Result<Range, Refusal> {
    let read = |name: &str, text: Option<&str>, open: Timestamp| match text {
        None => Ok(open),
        Some(text) => timestamp(text).ok_or_else(|| {
            Refusal::query(name, "is neither a moment such as 2026-11-21T00:00:00Z nor milliseconds")
        }),
    };
    let range = Range { from: read("from", from, open.from)?, to: read("to", to, open.to)? };
    if range.from > range.to {
        return Err(Refusal::field("from", "is after `to`"));
    }
    Ok(range)
}

/// A text that something is compared with.
pub(super) fn bounded(name: &str, text: Option<&str>) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX => {
            Err(Refusal::query(name, &format!("has 1 to {TEXT_CHARS_MAX} characters")))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// RFC 3339, or milliseconds since 1970.
fn timestamp(text: &str) -> Option<Timestamp> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|at| *at <= MOMENT_MAX).map(Timestamp);
    }
    text.parse::<jiff::Timestamp>().ok().map(|moment| Timestamp(moment.as_millisecond()))
}
