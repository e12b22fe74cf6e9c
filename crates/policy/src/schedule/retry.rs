//! Decides how soon and how often an attempt is repeated; never whether the failure allows it.

use std::time::{Duration, Instant};

use protocol::FailureKind;
use rand::{Rng, RngCore};

use crate::snapshot::TrafficSettings;

const BACKOFF_BASE: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long to wait before the `repeat`-th (from 1) attempt on the same backend: anything up to
/// 100 ms, 200 ms, 400 ms, ... 2 s, drawn evenly so that callers who failed together come back apart.
pub fn backoff(repeat: u32, rng: &mut dyn RngCore) -> Duration {
    let times = 1_u32.checked_shl(repeat.saturating_sub(1)).unwrap_or(u32::MAX);
    let ceiling = BACKOFF_BASE.saturating_mul(times).min(BACKOFF_MAX);
    rng.random_range(Duration::ZERO..=ceiling)
}

/// How the attempts of one request failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failures {
    limited: u8,
    others: u8,
}

/// Whether another attempt may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Whatever the budget says.
    Freely,
    /// If its pool's budget has room.
    OnBudget,
    /// None may.
    Never,
}

impl Failures {
    /// One more failed, of this kind.
    pub fn add(&mut self, kind: FailureKind, settings: &TrafficSettings) -> Repeat {
        if kind == FailureKind::RateLimited && self.limited < settings.limited_max {
            self.limited += 1;
            return Repeat::Freely;
        }
        self.others = self.others.saturating_add(1);
        if self.others < settings.attempts_max { Repeat::OnBudget } else { Repeat::Never }
    }
}

/// The window over which requests and retries are compared.
const WINDOW: Duration = Duration::from_secs(10);

/// Keeps the retries of a pool to a share of its recent requests, so that an outage is not multiplied.
/// A floor lets a quiet pool retry at all. Two half windows slide: what is older than both is forgotten.
#[derive(Debug, Clone, Default)]
pub(crate) struct RetryBudget {
    began: Option<Instant>,
    now: Half,
    before: Half,
}

#[derive(Debug, Clone, Copy, Default)]
struct Half {
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    /// A request was leased for the first time.
    pub(crate) fn requested(&mut self, now: Instant) {
        self.slide(now);
        self.now.requests = self.now.requests.saturating_add(1);
    }

    /// Takes one retry from the budget, if there is one.
    pub(crate) fn take(&mut self, share_percent: u8, floor: u32, now: Instant) -> bool {
        self.slide(now);
        let requests = u64::from(self.now.requests) + u64::from(self.before.requests);
        let retries = u64::from(self.now.retries) + u64::from(self.before.retries);
        let allowed = (requests * u64::from(share_percent) / 100).max(u64::from(floor));
        if retries >= allowed {
            return false;
        }
        self.now.retries += 1;
        true
    }

    fn slide(&mut self, now: Instant) {
        let age = self.began.map_or(WINDOW, |began| now.saturating_duration_since(began));
        if age < WINDOW / 2 {
            return;
        }
        self.before = if age < WINDOW { self.now } else { Half::default() };
        self.now = Half::default();
        self.began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    #[test]
    fn backoff_grows_to_two_seconds_and_spreads() {
        let mut rng = SmallRng::seed_from_u64(7);
        for (repeat, ceiling_ms) in [(0, 100), (1, 100), (2, 200), (5, 1600), (6, 2000), (u32::MAX, 2000)] {
            let drawn: Vec<Duration> = (0..200).map(|_| backoff(repeat, &mut rng)).collect();
            let ceiling = Duration::from_millis(ceiling_ms);
            assert!(drawn.iter().all(|wait| *wait <= ceiling), "{repeat}");
            assert!(drawn.iter().any(|wait| *wait > ceiling * 3 / 4), "{repeat}");
            assert!(drawn.iter().any(|wait| *wait < ceiling / 4), "{repeat}");
        }
    }

    #[test]
    fn a_429_uses_up_no_attempt_as_long_as_there_are_not_too_many() {
        use FailureKind::{Connect, RateLimited};
        use Repeat::{Freely, Never, OnBudget};
        let check = |limited_max, kinds: &[FailureKind], expected: &[Repeat]| {
            let settings = TrafficSettings { attempts_max: 3, limited_max, ..TrafficSettings::default() };
            let mut failures = Failures::default();
            let repeats: Vec<Repeat> = kinds.iter().map(|kind| failures.add(*kind, &settings)).collect();
            assert_eq!(repeats, expected, "{limited_max} {kinds:?}");
        };
        check(2, &[Connect, Connect, Connect], &[OnBudget, OnBudget, Never]);
        check(2, &[RateLimited, Connect, RateLimited, Connect], &[Freely, OnBudget, Freely, OnBudget]);
        check(2, &[RateLimited; 5], &[Freely, Freely, OnBudget, OnBudget, Never]);
        check(0, &[RateLimited; 3], &[OnBudget, OnBudget, Never]);
    }

    #[test]
    fn retries_are_a_share_of_recent_requests() {
        let mut budget = RetryBudget::default();
        for _ in 0..100 {
            budget.requested(epoch());
        }
        assert_eq!((0..100).filter(|_| budget.take(20, 3, epoch())).count(), 20);
        let later = epoch() + WINDOW * 2;
        assert_eq!((0..100).filter(|_| budget.take(20, 3, later)).count(), 3, "the floor of a quiet pool");
    }
}
