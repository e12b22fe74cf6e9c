//! Decides which moment people mean by `7d` or `2026-11-01`, and how a moment is shown, always in UTC; never reads a clock.

use jiff::tz::TimeZone;
use jiff::{Span, civil};
use policy::Timestamp;

/// The moment that lies so far back, or that is named itself.
pub(super) fn past(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    named(text).or_else(|| shifted(now, text, Way::Back)).ok_or_else(|| unclear(text))
}

/// The moment that lies so far ahead, or that is named itself.
pub(super) fn coming(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    named(text).or_else(|| shifted(now, text, Way::Ahead)).ok_or_else(|| unclear(text))
}

/// The moment in RFC 3339, as the configuration reads it.
pub(super) fn rfc3339(at: Timestamp) -> String {
    instant(at).map_or_else(|| at.0.to_string(), |instant| instant.to_string())
}

/// The moment to the minute.
pub(super) fn minute(at: Timestamp) -> String {
    shown(at, "%Y-%m-%d %H:%M")
}

/// The moment's day.
pub(super) fn day(at: Timestamp) -> String {
    shown(at, "%Y-%m-%d")
}

#[derive(Clone, Copy)]
enum Way {
    Back,
    Ahead,
}

fn named(text: &str) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(instant.as_millisecond()));
    }
    let day = text.parse::<civil::Date>().ok()?;
    Some(Timestamp(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

/// `7d`, `12h`, `1h30m`, `2mo`: months and days are those of the calendar.
fn shifted(now: Timestamp, text: &str, way: Way) -> Option<Timestamp> {
    let span = text.parse::<Span>().ok().filter(|span| !span.is_negative())?;
    let now = instant(now)?.to_zoned(TimeZone::UTC);
    let then = match way {
        Way::Back => now.checked_sub(span),
        Way::Ahead => now.checked_add(span),
    };
    Some(Timestamp(then.ok()?.timestamp().as_millisecond()))
}

fn unclear(text: &str) -> anyhow::Error {
    let text: String = text.chars().take(40).filter(|c| !c.is_control()).collect();
    super::outcome::advised(
        format!("`{text}` is not a time"),
        "write a span such as 7d or 12h, a day such as 2026-11-01, or a moment such as 2026-11-01T12:00:00Z",
    )
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(at.0).ok()
}

fn shown(at: Timestamp, format: &str) -> String {
    instant(at).map_or_else(|| at.0.to_string(), |instant| instant.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T12:30:00Z
    const NOW: Timestamp = Timestamp(1_795_264_200_000);

    #[test]
    fn spans_days_and_moments_are_understood() {
        for (text, expected) in [
            ("7d", "2026-11-14T12:30:00Z"),
            ("12h", "2026-11-21T00:30:00Z"),
            ("1h30m", "2026-11-21T11:00:00Z"),
            ("1mo", "2026-10-21T12:30:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T02:00:00+02:00", "2026-11-01T00:00:00Z"),
        ] {
            let moment = past(text, NOW).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(rfc3339(moment), expected, "{text}");
        }
        assert_eq!(rfc3339(coming("30d", NOW).expect("a span")), "2026-12-21T12:30:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "yesterday", "-7d", "7", "99999999999y", "2026-13-01"] {
            assert!(past(text, NOW).is_err(), "{text}");
        }
    }
}
