//! Reads what queries say of time and of names; it never decides what is found.

use policy::Timestamp;
use store::ledger::Range;

use super::refusal::Refusal;
use super::stats::timestamp;

/// Longer than any name there is.
const TEXT_BYTES_MAX: usize = 256;

/// From one moment up to but without another; what is left out is open.
pub(super) fn span(from: Option<&str>, to: Option<&str>) -> Result<Range, Refusal> {
    let read = |name: &str, text: Option<&str>, open: Timestamp| match text {
        None => Ok(open),
        Some(text) => timestamp(text).ok_or_else(|| {
            Refusal::query(name, "is neither a moment such as 2026-11-21T00:00:00Z nor milliseconds")
        }),
    };
    let range = Range { from: read("from", from, Range::ALL.from)?, to: read("to", to, Range::ALL.to)? };
    if range.from > range.to {
        return Err(Refusal::query("from", "is after `to`"));
    }
    Ok(range)
}

/// A text that something is compared with.
pub(super) fn bounded(name: &str, text: Option<&str>) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.is_empty() || text.len() > TEXT_BYTES_MAX => {
            Err(Refusal::query(name, &format!("has 1 to {TEXT_BYTES_MAX} bytes")))
        }
        text => Ok(text.map(str::to_owned)),
    }
}
