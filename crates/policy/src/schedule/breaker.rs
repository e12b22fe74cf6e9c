//! Decides when a backend that keeps failing is left alone; never counts a 429, which is the cooldown's.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Permit, Standing};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRules {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open the first time; twice as long each time its probe fails.
    pub base: Duration,
    /// The longest it stays open.
    pub max: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { failures: 5, base: Duration::from_secs(15), max: Duration::from_secs(300) }
    }
}

/// One backend's breaker: closed, open until a time, then one probe whose outcome decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Breaker {
    phase: Phase,
    /// Failures in a row while closed.
    failures: u32,
    /// Times opened in a row.
    openings: u32,
}

#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    #[default]
    Closed,
    /// After `until` a probe is due.
    Open { until: Instant },
    /// The probe is out; `until` is when it became due.
    HalfOpen { until: Instant },
}

impl Breaker {
    /// Whether a lease may be taken.
    pub(crate) fn permit(&self, now: Instant) -> Permit {
        match self.phase {
            Phase::Closed => Permit::Free,
            Phase::Open { until } if now < until => Permit::NotBefore(until),
            Phase::Open { .. } => Permit::AsProbe,
            Phase::HalfOpen { .. } => Permit::WhileProbed,
        }
    }

    /// A lease was taken under [`Permit::AsProbe`].
    pub(crate) fn probing(&mut self) {
        if let Phase::Open { until } = self.phase {
            self.phase = Phase::HalfOpen { until };
        }
    }

    /// The backend failed. Returns for how long that opened the breaker, if it did; failures of calls made
    /// before it opened are the same trouble.
    pub(crate) fn failed(
        &mut self,
        standing: Standing,
        rules: &BreakerRules,
        now: Instant,
    ) -> Option<Duration> {
        match (self.phase, standing) {
            (Phase::Closed, _) => {
                self.failures = self.failures.saturating_add(1);
                (self.failures >= rules.failures).then(|| self.open(rules, now))
            }
            (Phase::HalfOpen { .. }, Standing::Probe) => Some(self.open(rules, now)),
            (Phase::Open { .. }, _) | (Phase::HalfOpen { .. }, Standing::Regular) => None,
        }
    }

    /// The backend answered. True when that closed the breaker.
    pub(crate) fn succeeded(&mut self, standing: Standing) -> bool {
        match (self.phase, standing) {
            (Phase::Closed, _) => {
                self.failures = 0;
                false
            }
            (Phase::HalfOpen { .. }, Standing::Probe) => {
                *self = Self::default();
                true
            }
            (Phase::Open { .. }, _) | (Phase::HalfOpen { .. }, Standing::Regular) => false,
        }
    }

    /// The call ended without telling how the backend is: the next one probes.
    pub(crate) fn inconclusive(&mut self, standing: Standing) {
        if let (Phase::HalfOpen { until }, Standing::Probe) = (self.phase, standing) {
            self.phase = Phase::Open { until };
        }
    }

    /// An operator or an active probe closed it.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// For how long it stays open, if it is not closed.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Closed => None,
            Phase::Open { until } | Phase::HalfOpen { until } => Some(until.saturating_duration_since(now)),
        }
    }

    /// Failures in a row, counted while closed.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    fn open(&mut self, rules: &BreakerRules, now: Instant) -> Duration {
        let times = 1_u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let length = rules.base.saturating_mul(times).min(rules.max);
        self.openings = self.openings.saturating_add(1);
        self.phase = Phase::Open { until: now + length };
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_at_the_fifth_failure_in_a_row_and_longer_each_time() {
        let rules = BreakerRules::default();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.failed(Standing::Regular, &rules, epoch()), None);
        }
        breaker.succeeded(Standing::Regular);
        for _ in 0..4 {
            assert_eq!(breaker.failed(Standing::Regular, &rules, epoch()), None);
        }
        assert_eq!(breaker.failed(Standing::Regular, &rules, epoch()), Some(15 * SECOND));
        assert_eq!(breaker.failed(Standing::Regular, &rules, epoch()), None, "the same trouble");
        let mut now = epoch();
        for seconds in [30, 60, 120, 240, 300, 300] {
            let Permit::NotBefore(until) = breaker.permit(now) else { panic!("{breaker:?}") };
            now = until;
            assert_eq!(breaker.permit(now), Permit::AsProbe);
            breaker.probing();
            assert_eq!(breaker.permit(now), Permit::WhileProbed);
            assert_eq!(breaker.failed(Standing::Probe, &rules, now), Some(seconds * SECOND));
        }
    }

    #[test]
    fn only_the_probe_closes_it() {
        let rules = BreakerRules { failures: 1, ..BreakerRules::default() };
        let mut breaker = Breaker::default();
        breaker.failed(Standing::Regular, &rules, epoch());
        assert!(!breaker.succeeded(Standing::Regular));
        breaker.probing();
        breaker.inconclusive(Standing::Probe);
        assert_eq!(breaker.permit(epoch() + 15 * SECOND), Permit::AsProbe);
        breaker.probing();
        assert!(breaker.succeeded(Standing::Probe));
        assert_eq!((breaker.permit(epoch()), breaker.left(epoch())), (Permit::Free, None));
    }
}
