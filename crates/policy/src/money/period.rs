//! Decides when a budget begins anew; all in UTC, and never by a clock of its own.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp as Instant, Unit, Zoned, ZonedRound};
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// For how long an amount is meant. Days begin at midnight UTC, weeks on Monday, months on the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// An hour of the clock.
    Hour,
    /// A day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A month of the calendar.
    Month,
    /// For ever.
    Total,
}

/// One run of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first millisecond.
    pub start: Timestamp,
    /// The first millisecond behind it; none where it has no end.
    pub end: Option<Timestamp>,
}

impl Window {
    /// Whether `at` lies in it.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }
}

impl Period {
    /// All of them, shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Total];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The run of this period that `at` lies in. A time that no calendar has (before the year -9999) is its own run.
    #[must_use]
    pub fn window(self, at: Timestamp) -> Window {
        let everything = Window { start: Timestamp(i64::MIN), end: None };
        if self == Self::Total {
            return everything;
        }
        self.bounds(at).unwrap_or(everything)
    }

    fn bounds(self, at: Timestamp) -> Option<Window> {
        let now = Instant::from_millisecond(at.0).ok()?.to_zoned(TimeZone::UTC);
        let (start, length) = match self {
            Self::Hour => (floor(&now, Unit::Hour)?, Span::new().hours(1)),
            Self::Day => (floor(&now, Unit::Day)?, Span::new().days(1)),
            Self::Week => {
                let behind = now.weekday().since(Weekday::Monday);
                (floor(&now, Unit::Day)?.checked_sub(Span::new().days(behind)).ok()?, Span::new().weeks(1))
            }
            Self::Month => (floor(&now.first_of_month().ok()?, Unit::Day)?, Span::new().months(1)),
            Self::Total => return None,
        };
        let end = start.checked_add(length).ok()?;
        let millis = |time: &Zoned| Timestamp(time.timestamp().as_millisecond());
        Some(Window { start: millis(&start), end: Some(millis(&end)) })
    }
}

fn floor(time: &Zoned, unit: Unit) -> Option<Zoned> {
    time.round(ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Floor)).ok()
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of hour, day, week, month, total")]
pub struct UnknownPeriod;

impl FromStr for Period {
    type Err = UnknownPeriod;

    fn from_str(text: &str) -> Result<Self, UnknownPeriod> {
        Self::ALL.into_iter().find(|period| period.name() == text).ok_or(UnknownPeriod)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<Instant>().expect("a time").as_millisecond())
    }

    fn check(period: Period, now: &str, start: &str, end: &str) {
        let window = period.window(at(now));
        assert_eq!((window.start, window.end), (at(start), Some(at(end))), "{period} at {now}");
        assert_eq!(period.name().parse(), Ok(period));
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        check(Period::Hour, "2026-11-21T10:59:59.999Z", "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z");
        check(Period::Day, "2026-11-21T00:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
        check(Period::Week, "2026-11-21T10:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
        check(Period::Week, "2026-11-16T00:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
        check(Period::Month, "2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z");
        check(Period::Month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        let total = Period::Total.window(at("2026-11-21T10:00:00Z"));
        assert_eq!(total, Window { start: Timestamp(i64::MIN), end: None });
    }

    proptest! {
        #[test]
        fn any_time_lies_in_its_window_and_windows_follow_each_other(millis in any::<i64>()) {
            for period in Period::ALL {
                let window = period.window(Timestamp(millis));
                prop_assert!(window.holds(Timestamp(millis)));
                if let Some(end) = window.end {
                    prop_assert_eq!(period.window(end).start, end);
                    prop_assert_eq!(period.window(Timestamp(end.0 - 1)), window);
                }
            }
        }
    }
}
