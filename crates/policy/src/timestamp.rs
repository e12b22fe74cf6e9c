//! Decides how wall time is written down; never reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An hour.
pub const HOUR_MS: i64 = 3_600_000;
/// A day of UTC: it knows no leap seconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A time in whole milliseconds, as it is written down.
#[must_use]
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// How long it is from here to `later`; nothing when that is past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// As people and logs write it: `2026-11-21T10:00:00Z`. A time that no calendar has is written as its number.
    #[must_use]
    pub fn to_utc(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.0.to_string(), |time| time.to_string())
    }

    /// The time `later` than this one, to the millisecond.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time `earlier` than this one, to the millisecond.
    #[must_use]
    pub fn before(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }

    /// When the hour began that it lies in.
    #[must_use]
    pub fn hour_begins(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(HOUR_MS)))
    }

    /// When the day began that it lies in, by UTC.
    #[must_use]
    pub fn day_begins(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(DAY_MS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_begin_before_what_lies_in_them_also_before_1970() {
        for (at, hour, day) in [
            (0, 0, 0),
            (DAY_MS + HOUR_MS + 1, DAY_MS + HOUR_MS, DAY_MS),
            (DAY_MS - 1, DAY_MS - HOUR_MS, 0),
            (-1, -HOUR_MS, -DAY_MS),
            (i64::MIN, i64::MIN, i64::MIN),
        ] {
            let at = Timestamp(at);
            assert_eq!((at.hour_begins(), at.day_begins()), (Timestamp(hour), Timestamp(day)), "{at:?}");
        }
    }

    #[test]
    fn before_and_after_end_where_numbers_do() {
        let second = Duration::from_secs(1);
        assert_eq!(
            (Timestamp(1).before(second), Timestamp(1).after(second)),
            (Timestamp(-999), Timestamp(1001))
        );
        assert_eq!(Timestamp(i64::MAX).after(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(-2).before(Duration::MAX), Timestamp(i64::MIN));
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
