//! Decides when a backend that keeps failing is left alone; never counts a 429, which is the cooldown's.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Permit;
use crate::limit::Window;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRules {
    /// Failures in a row that open it.
    pub failures: u32,
    /// The share of failures that opens it.
    pub share_percent: u8,
    /// Calls in the window below which no share is judged.
    pub calls_min: u32,
    /// Over what time the share is counted.
    pub window: Duration,
    /// How long it stays open the first time; twice as long each time its probe fails.
    pub base: Duration,
    /// The longest it stays open.
    pub max: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self {
            failures: 5,
            share_percent: 50,
            calls_min: 20,
            window: Duration::from_secs(30),
            base: Duration::from_secs(15),
            max: Duration::from_secs(300),
        }
    }
}

/// One backend's breaker: closed, open until a time, then one probe whose outcome decides.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    phase: Phase,
    /// Failures in a row while closed.
    failures: u32,
    /// Times opened in a row.
    openings: u32,
    /// The latest lease when it last opened or closed: calls up to it are about another time.
    outdated: u64,
    latest: u64,
    /// Calls while closed.
    calls: Box<Window<30>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    /// After `until` a probe is due.
    Open { until: Instant },
    /// The lease `probe` is out; `until` is when it became due.
    HalfOpen { until: Instant, probe: u64 },
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            phase: Phase::Closed,
            failures: 0,
            openings: 0,
            outdated: 0,
            latest: 0,
            calls: Box::new(Window::over(BreakerRules::default().window)),
        }
    }
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

    /// A lease was given. While the breaker is open it is the probe.
    pub(crate) fn leased(&mut self, lease: u64) {
        self.latest = self.latest.max(lease);
        if let Phase::Open { until } = self.phase {
            self.phase = Phase::HalfOpen { until, probe: lease };
        }
    }

    /// The backend failed a call. Returns for how long that opened the breaker, if it did; failures of
    /// calls made before it last opened or closed are the same old trouble.
    pub(crate) fn failed(&mut self, lease: u64, rules: &BreakerRules, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Closed if lease > self.outdated => self.missed(rules, now),
            Phase::HalfOpen { probe, .. } if probe == lease => Some(self.open(rules, now)),
            Phase::Closed | Phase::Open { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    /// The backend failed without a call, as the active prober saw. Returns for how long that opened it.
    pub(crate) fn missed(&mut self, rules: &BreakerRules, now: Instant) -> Option<Duration> {
        if self.phase != Phase::Closed {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        self.calls.set_length(rules.window);
        self.calls.bad(now);
        let calls = self.calls.tally(now);
        let too_many = calls.total >= rules.calls_min && calls.reaches(rules.share_percent);
        (self.failures >= rules.failures || too_many).then(|| self.open(rules, now))
    }

    /// The backend answered a call. True when that closed the breaker.
    pub(crate) fn succeeded(&mut self, lease: u64, now: Instant) -> bool {
        match self.phase {
            Phase::Closed => {
                if lease > self.outdated {
                    self.failures = 0;
                    self.calls.good(now);
                }
                false
            }
            Phase::HalfOpen { probe, .. } if probe == lease => {
                self.reset();
                true
            }
            Phase::Open { .. } | Phase::HalfOpen { .. } => false,
        }
    }

    /// The call ended without telling how the backend is: the next one probes.
    pub(crate) fn inconclusive(&mut self, lease: u64) {
        if let Phase::HalfOpen { until, probe } = self.phase
            && probe == lease
        {
            self.phase = Phase::Open { until };
        }
    }

    /// An operator or an active probe closed it.
    pub(crate) fn reset(&mut self) {
        self.phase = Phase::Closed;
        self.failures = 0;
        self.openings = 0;
        self.outdated = self.latest;
        self.calls.clear();
    }

    /// For how long it stays open, if it is not closed.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Closed => None,
            Phase::Open { until } | Phase::HalfOpen { until, .. } => {
                Some(until.saturating_duration_since(now))
            }
        }
    }

    /// Whether it is open, or its backend failed the latest call.
    pub(crate) fn is_doubted(&self, now: Instant) -> bool {
        self.failures > 0 || self.left(now).is_some()
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
        self.outdated = self.latest;
        self.calls.clear();
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct World {
        breaker: Breaker,
        rules: BreakerRules,
        now: Instant,
        lease: u64,
    }

    impl World {
        fn new() -> Self {
            Self { breaker: Breaker::default(), rules: BreakerRules::default(), now: epoch(), lease: 0 }
        }

        fn lease(&mut self) -> u64 {
            self.lease += 1;
            self.breaker.leased(self.lease);
            self.lease
        }

        fn fail(&mut self) -> Option<Duration> {
            let lease = self.lease();
            self.breaker.failed(lease, &self.rules, self.now)
        }

        fn succeed(&mut self) -> bool {
            let lease = self.lease();
            self.breaker.succeeded(lease, self.now)
        }
    }

    #[test]
    fn it_opens_at_the_fifth_failure_in_a_row_and_longer_each_time() {
        let mut world = World::new();
        let early = world.lease();
        for _ in 0..4 {
            assert_eq!(world.fail(), None);
        }
        world.succeed();
        for _ in 0..4 {
            assert_eq!(world.fail(), None);
        }
        assert_eq!(world.fail(), Some(15 * SECOND));
        assert_eq!(world.breaker.failed(early, &world.rules, epoch()), None, "the same trouble");
        for seconds in [30, 60, 120, 240, 300, 300] {
            let Permit::NotBefore(until) = world.breaker.permit(world.now) else {
                panic!("{:?}", world.breaker)
            };
            world.now = until;
            assert_eq!(world.breaker.permit(world.now), Permit::AsProbe);
            let probe = world.lease();
            assert_eq!(world.breaker.permit(world.now), Permit::WhileProbed);
            assert_eq!(world.breaker.failed(early, &world.rules, world.now), None);
            assert_eq!(world.breaker.failed(probe, &world.rules, world.now), Some(seconds * SECOND));
        }
    }

    #[test]
    fn it_opens_when_half_of_twenty_calls_in_thirty_seconds_fail() {
        for (calls, every, apart, opens) in
            [(20, 2, 1, true), (19, 2, 1, false), (60, 3, 1, false), (60, 2, 2, false), (40, 2, 1, true)]
        {
            let mut world = World::new();
            let mut opened = false;
            for call in 1..=calls {
                world.now += apart * SECOND;
                if call % every == 0 {
                    opened |= world.fail().is_some();
                } else {
                    world.succeed();
                }
            }
            assert_eq!(opened, opens, "{calls} {every} {apart}");
        }
    }

    #[test]
    fn only_the_probe_closes_it() {
        let mut world = World::new();
        world.rules.failures = 1;
        let early = world.lease();
        world.fail();
        assert!(!world.breaker.succeeded(early, epoch()));
        let probe = world.lease();
        world.breaker.inconclusive(early);
        assert_eq!(world.breaker.permit(epoch() + 15 * SECOND), Permit::WhileProbed);
        world.breaker.inconclusive(probe);
        assert_eq!(world.breaker.permit(epoch() + 15 * SECOND), Permit::AsProbe);
        assert!(world.succeed());
        assert_eq!((world.breaker.permit(epoch()), world.breaker.left(epoch())), (Permit::Free, None));
        assert_eq!(world.breaker.failed(early, &world.rules, epoch()), None, "what was before is over");
    }

    /// The naive model: a list of all calls since it last closed.
    #[derive(Default)]
    struct Naive {
        calls: Vec<(Instant, bool)>,
        open: Option<(Instant, u64)>,
        openings: u32,
        probe: Option<u64>,
        epoch: u64,
    }

    impl Naive {
        fn open(&mut self, now: Instant) {
            let seconds = (15_u64 << self.openings.min(10)).min(300);
            self.openings += 1;
            self.open = Some((now + Duration::from_secs(seconds), seconds));
            self.probe = None;
            self.calls.clear();
            self.epoch += 1;
        }

        fn failed(&mut self, now: Instant) {
            self.calls.push((now, false));
            let row = self.calls.iter().rev().take_while(|(_, good)| !good).count();
            let recent: Vec<bool> = self
                .calls
                .iter()
                .filter(|(at, _)| now.duration_since(*at) < Duration::from_secs(30))
                .map(|(_, good)| *good)
                .collect();
            let bad = recent.iter().filter(|good| !**good).count();
            if row >= 5 || (recent.len() >= 20 && bad * 2 >= recent.len()) {
                self.open(now);
            }
        }
    }

    proptest! {
        /// Steps are whole seconds apart, as the slots of its window are.
        #[test]
        fn a_breaker_agrees_with_a_list_of_calls(
            steps in proptest::collection::vec((0_u8..8, 0_usize..4, 0_u64..4), 1..400),
        ) {
            let (mut world, mut naive) = (World::new(), Naive::default());
            let mut out: Vec<(u64, u64)> = Vec::new();
            for (step, which, seconds) in steps {
                let call = (which < out.len() && step < 6).then(|| out.remove(which));
                match (step, call) {
                    (0..=2, Some((lease, made_in))) => {
                        let opened = world.breaker.failed(lease, &world.rules, world.now);
                        let before = naive.openings;
                        if naive.probe == Some(lease) {
                            naive.open(world.now);
                        } else if naive.open.is_none() && made_in == naive.epoch {
                            naive.failed(world.now);
                        }
                        let seconds = naive.open.filter(|_| naive.openings > before).map(|(_, seconds)| seconds);
                        prop_assert_eq!(opened.map(|length| length.as_secs()), seconds);
                    }
                    (3 | 4, Some((lease, made_in))) => {
                        let closed = naive.probe == Some(lease);
                        if closed {
                            naive = Naive { epoch: naive.epoch + 1, ..Naive::default() };
                        } else if naive.open.is_none() && made_in == naive.epoch {
                            naive.calls.push((world.now, true));
                        }
                        prop_assert_eq!(world.breaker.succeeded(lease, world.now), closed);
                    }
                    (5, Some((lease, _))) => {
                        naive.probe = naive.probe.filter(|probe| *probe != lease);
                        world.breaker.inconclusive(lease);
                    }
                    (6, _) => world.now += Duration::from_secs(seconds * seconds),
                    _ => {}
                }
                let may_lease = matches!(world.breaker.permit(world.now), Permit::Free | Permit::AsProbe);
                let expected = naive.probe.is_none() && naive.open.is_none_or(|(until, _)| until <= world.now);
                prop_assert_eq!(may_lease, expected);
                if may_lease && out.len() < 4 {
                    let lease = world.lease();
                    naive.probe = naive.open.map(|_| lease);
                    out.push((lease, naive.epoch));
                }
            }
        }
    }
}
