//! Decides whether a backend may be called beyond its rate in an emergency; never whether there is one.

use std::time::{Duration, Instant};

/// A share of a backend's rate that only emergencies may use: as many calls at once as a minute of that share
/// holds, at least one, and then one whenever the share has earned it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserve {
    /// What one call costs; none where the backend has no rate or the share is nothing.
    interval: Option<Duration>,
    /// How far ahead of now `spent_until` may be.
    burst: Duration,
    spent_until: Instant,
}

impl Reserve {
    /// A reserve that holds nothing.
    pub(crate) fn none(now: Instant) -> Self {
        Self { interval: None, burst: Duration::ZERO, spent_until: now }
    }

    /// Changes the share; what was spent stays spent.
    pub(crate) fn change(&mut self, rpm: u32, percent: u8) {
        const MINUTE: Duration = Duration::from_mins(1);
        let share = rpm.saturating_mul(u32::from(percent));
        self.interval = (MINUTE * 100).checked_div(share);
        self.burst = MINUTE.max(self.interval.unwrap_or_default());
    }

    /// Whether it holds a call.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        let after = |interval| self.spent_until.max(now) + interval;
        self.interval.is_some_and(|interval| after(interval) <= now + self.burst)
    }

    /// Takes a call.
    pub(crate) fn take(&mut self, now: Instant) {
        self.spent_until = self.spent_until.max(now) + self.interval.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    /// Calls that a reserve gives at once, and in the hour after that.
    fn check(rpm: u32, percent: u8) -> (u32, u32) {
        let mut reserve = Reserve::none(epoch());
        assert!(!reserve.holds(epoch()));
        reserve.change(rpm, percent);
        let mut given = |now| {
            let mut calls = 0;
            while calls < 10_000 && reserve.holds(now) {
                reserve.take(now);
                calls += 1;
            }
            calls
        };
        let at_once = given(epoch());
        (at_once, (1..=3600).map(|second| given(epoch() + Duration::from_secs(second))).sum())
    }

    #[test]
    fn a_reserve_is_a_share_of_the_rate() {
        for (rpm, percent, expected) in [
            (40, 10, (4, 240)),
            (5, 10, (1, 30)),
            (600, 10, (60, 3600)),
            (600, 0, (0, 0)),
            (0, 10, (0, 0)),
            (u32::MAX, 1, (10_000, 36_000_000)),
        ] {
            assert_eq!(check(rpm, percent), expected, "{rpm} {percent} %");
        }
    }
}
