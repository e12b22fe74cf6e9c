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

/// One backend's breaker: closed, open until a time, then one probe whose outcome decides. Where all that failed was of one
/// model, it is open for that model alone; what fails of others meanwhile is counted anew, and opens it for all.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    phase: Phase,
    /// Whose calls it keeps back while it is not closed.
    scope: Scope,
    /// Failures in a row of those that it does not keep back.
    failures: u32,
    culprits: Culprits,
    /// Whether it is open, and others than those that it keeps back are answered.
    answers_others: bool,
    /// Times opened in a row.
    openings: u32,
    /// The latest lease when it last opened or closed: calls up to it are about another time.
    outdated: u64,
    latest: u64,
    /// Calls while closed.
    calls: Box<Window<30>>,
}

/// Whose calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    /// Those of the model that this stands for.
    Model(u64),
}

/// Of which models the failures were that count.
#[derive(Debug, Clone, Copy, Default)]
struct Culprits {
    /// Whom the present row speaks against.
    row: Option<Scope>,
    last: Option<(Scope, Instant)>,
    /// When the last one failed that was of another model than the last of all.
    other_at: Option<Instant>,
}

impl Culprits {
    fn note(&mut self, culprit: Scope, now: Instant) {
        if let Some((_, at)) = self.last.filter(|(last, _)| *last != culprit) {
            self.other_at = Some(at);
        }
        self.last = Some((culprit, now));
        self.row = Some(if self.row.is_none_or(|row| row == culprit) { culprit } else { Scope::All });
    }

    /// Whom all failures in the row and in the window speak against.
    fn blamed(&self, window: Duration, now: Instant) -> Scope {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < window;
        self.row.filter(|_| !self.other_at.is_some_and(is_recent)).unwrap_or(Scope::All)
    }
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
            scope: Scope::All,
            failures: 0,
            culprits: Culprits::default(),
            answers_others: false,
            openings: 0,
            outdated: 0,
            latest: 0,
            calls: Box::new(Window::over(BreakerRules::default().window)),
        }
    }
}

impl Breaker {
    /// Whether a lease may be taken for a model.
    pub(crate) fn permit(&self, model: u64, now: Instant) -> Permit {
        match self.phase {
            Phase::Closed => Permit::Free,
            Phase::Open { .. } | Phase::HalfOpen { .. } if !self.holds_back(model) => Permit::Free,
            Phase::Open { until } if now < until => Permit::NotBefore(until),
            Phase::Open { .. } => Permit::AsProbe,
            Phase::HalfOpen { .. } => Permit::WhileProbed,
        }
    }

    /// A lease was given. While the breaker is open it is the probe.
    pub(crate) fn leased(&mut self, lease: u64, model: u64) {
        self.latest = self.latest.max(lease);
        if let Phase::Open { until } = self.phase
            && self.holds_back(model)
        {
            self.phase = Phase::HalfOpen { until, probe: lease };
        }
    }

    /// The backend failed a call for a model. Returns for how long that opened the breaker, if it did; failures of
    /// calls made before it last opened or closed are the same old trouble.
    pub(crate) fn failed(
        &mut self,
        lease: u64,
        model: u64,
        rules: &BreakerRules,
        now: Instant,
    ) -> Option<Duration> {
        match self.phase {
            Phase::HalfOpen { probe, .. } if probe == lease => Some(self.open(self.scope, rules, now)),
            Phase::Closed | Phase::Open { .. } | Phase::HalfOpen { .. } => {
                let counts = lease > self.outdated && !self.holds_back(model);
                counts.then(|| self.count(Scope::Model(model), rules, now)).flatten()
            }
        }
    }

    /// The backend failed without a call, as the active prober saw. Returns for how long that opened it.
    pub(crate) fn missed(&mut self, rules: &BreakerRules, now: Instant) -> Option<Duration> {
        let is_open_for_all = self.phase != Phase::Closed && self.scope == Scope::All;
        (!is_open_for_all).then(|| self.count(Scope::All, rules, now)).flatten()
    }

    /// One more failure of a call that it does not keep back.
    fn count(&mut self, culprit: Scope, rules: &BreakerRules, now: Instant) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        self.culprits.note(culprit, now);
        self.calls.set_length(rules.window);
        self.calls.bad(now);
        let calls = self.calls.tally(now);
        let too_many = calls.total >= rules.calls_min && calls.reaches(rules.share_percent);
        let scope = match self.phase {
            Phase::Closed => self.culprits.blamed(rules.window, now),
            // Two models in a row are no coincidence.
            Phase::Open { .. } | Phase::HalfOpen { .. } => Scope::All,
        };
        (self.failures >= rules.failures || too_many).then(|| self.open(scope, rules, now))
    }

    /// The backend answered a call for a model. True when that closed the breaker.
    pub(crate) fn succeeded(&mut self, lease: u64, model: u64, now: Instant) -> bool {
        match self.phase {
            Phase::HalfOpen { probe, .. } if probe == lease => {
                self.reset();
                true
            }
            Phase::Closed | Phase::Open { .. } | Phase::HalfOpen { .. } => {
                if lease > self.outdated && !self.holds_back(model) {
                    (self.failures, self.culprits.row) = (0, None);
                    self.calls.good(now);
                    self.answers_others = self.phase != Phase::Closed;
                }
                false
            }
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
        self.openings = 0;
        self.outdated = self.latest;
        self.begin();
    }

    /// For how long it stays open, if it is not closed, be it for one model.
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

    /// Whether it is open for one model alone, and others are answered meanwhile.
    pub(crate) fn answers_others(&self) -> bool {
        self.answers_others
    }

    /// Whether it is open for one model alone.
    pub(crate) fn is_for_one_model(&self) -> bool {
        self.phase != Phase::Closed && self.scope != Scope::All
    }

    /// Failures in a row, counted while it keeps nobody back.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a model's calls are those that it keeps back.
    fn holds_back(&self, model: u64) -> bool {
        self.phase != Phase::Closed && (self.scope == Scope::All || self.scope == Scope::Model(model))
    }

    /// Counts anew.
    fn begin(&mut self) {
        (self.failures, self.culprits, self.answers_others) = (0, Culprits::default(), false);
        self.calls.clear();
    }

    fn open(&mut self, scope: Scope, rules: &BreakerRules, now: Instant) -> Duration {
        let times = 1_u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let length = rules.base.saturating_mul(times).min(rules.max);
        self.openings = self.openings.saturating_add(1);
        self.phase = Phase::Open { until: now + length };
        self.scope = scope;
        self.outdated = self.latest;
        self.begin();
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A model, and another one.
    const ONE: u64 = 1;
    const OTHER: u64 = 2;

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
            self.lease_for(ONE)
        }

        fn lease_for(&mut self, model: u64) -> u64 {
            self.lease += 1;
            self.breaker.leased(self.lease, model);
            self.lease
        }

        fn permit(&self) -> Permit {
            self.breaker.permit(ONE, self.now)
        }

        fn fail(&mut self) -> Option<Duration> {
            self.fail_for(ONE)
        }

        fn fail_for(&mut self, model: u64) -> Option<Duration> {
            let lease = self.lease_for(model);
            self.breaker.failed(lease, model, &self.rules, self.now)
        }

        fn succeed(&mut self) -> bool {
            self.succeed_for(ONE)
        }

        fn succeed_for(&mut self, model: u64) -> bool {
            let lease = self.lease_for(model);
            self.breaker.succeeded(lease, model, self.now)
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
        assert_eq!(world.breaker.failed(early, ONE, &world.rules, epoch()), None, "the same trouble");
        for seconds in [30, 60, 120, 240, 300, 300] {
            let Permit::NotBefore(until) = world.permit() else { panic!("{:?}", world.breaker) };
            world.now = until;
            assert_eq!(world.permit(), Permit::AsProbe);
            let probe = world.lease();
            assert_eq!(world.permit(), Permit::WhileProbed);
            assert_eq!(world.breaker.failed(early, ONE, &world.rules, world.now), None);
            assert_eq!(world.breaker.failed(probe, ONE, &world.rules, world.now), Some(seconds * SECOND));
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
        assert!(!world.breaker.succeeded(early, ONE, epoch()));
        let probe = world.lease();
        world.breaker.inconclusive(early);
        assert_eq!(world.breaker.permit(ONE, epoch() + 15 * SECOND), Permit::WhileProbed);
        world.breaker.inconclusive(probe);
        assert_eq!(world.breaker.permit(ONE, epoch() + 15 * SECOND), Permit::AsProbe);
        assert!(world.succeed());
        assert_eq!((world.breaker.permit(ONE, epoch()), world.breaker.left(epoch())), (Permit::Free, None));
        assert_eq!(world.breaker.failed(early, ONE, &world.rules, epoch()), None, "what was before is over");
    }

    #[test]
    fn the_failures_of_one_model_keep_back_no_other() {
        let mut world = World::new();
        for _ in 0..4 {
            assert_eq!(world.fail(), None);
        }
        assert_eq!(world.fail(), Some(15 * SECOND));
        assert!(matches!(world.permit(), Permit::NotBefore(_)));
        assert_eq!(world.breaker.permit(OTHER, world.now), Permit::Free);
        assert!(!world.breaker.answers_others());
        assert!(!world.succeed_for(OTHER) && world.breaker.answers_others());
        world.now += 15 * SECOND;
        let other = world.lease_for(OTHER);
        assert_eq!(world.permit(), Permit::AsProbe, "the call of another is no probe");
        assert_eq!(world.breaker.failed(other, OTHER, &world.rules, world.now), None);
        assert!(world.succeed(), "the model's own is");
        assert!(!world.breaker.answers_others());
    }

    #[test]
    fn two_models_that_fail_are_the_backends_failure() {
        let mut world = World::new();
        world.rules.failures = 3;
        let opened: Vec<_> = [ONE, OTHER, ONE].map(|model| world.fail_for(model)).into();
        assert_eq!(opened, [None, None, Some(15 * SECOND)], "in one row");
        assert!(matches!(world.breaker.permit(3, world.now), Permit::NotBefore(_)));

        let mut world = World::new();
        world.rules.failures = 3;
        let opened: Vec<_> = [ONE, ONE, ONE, OTHER, OTHER, OTHER].map(|model| world.fail_for(model)).into();
        assert_eq!(
            opened,
            [None, None, Some(15 * SECOND), None, None, Some(30 * SECOND)],
            "one after the other"
        );
        assert!(matches!(world.breaker.permit(3, world.now), Permit::NotBefore(_)));

        let mut world = World::new();
        world.rules.failures = 2;
        assert_eq!(world.breaker.missed(&world.rules, world.now), None);
        assert!(world.fail().is_some());
        assert!(
            matches!(world.breaker.permit(OTHER, world.now), Permit::NotBefore(_)),
            "probes speak of all"
        );
    }

    /// The naive model: a list of all calls that counted since it last opened or closed.
    #[derive(Default)]
    struct Naive {
        calls: Vec<(Instant, u64, bool)>,
        /// Until when it is open, and for which model; none for all.
        open: Option<(Instant, Option<u64>)>,
        openings: u32,
        probe: Option<u64>,
        epoch: u64,
    }

    impl Naive {
        fn holds_back(&self, model: u64) -> bool {
            self.open.is_some_and(|(_, only)| only.is_none_or(|only| only == model))
        }

        /// It opens, and for how many seconds.
        fn open(&mut self, only: Option<u64>, now: Instant) -> u64 {
            let seconds = (15_u64 << self.openings.min(10)).min(300);
            let openings = self.openings + 1;
            let open = Some((now + Duration::from_secs(seconds), only));
            *self = Self { open, openings, epoch: self.epoch + 1, ..Self::default() };
            seconds
        }

        fn failed(&mut self, model: u64, now: Instant) -> Option<u64> {
            self.calls.push((now, model, false));
            let row = self.calls.iter().rev().take_while(|(.., good)| !good).count();
            let window = Duration::from_secs(30);
            let is_recent = |at: &Instant| now.duration_since(*at) < window;
            let recent: Vec<bool> =
                self.calls.iter().filter(|(at, ..)| is_recent(at)).map(|(.., good)| *good).collect();
            let bad = recent.iter().filter(|good| !**good).count();
            let opens = row >= 5 || (recent.len() >= 20 && bad * 2 >= recent.len());
            let in_row = self.calls.len() - row;
            let mut counting = self
                .calls
                .iter()
                .enumerate()
                .filter(|(index, (at, _, good))| !good && (*index >= in_row || is_recent(at)));
            let is_alone = counting.all(|(_, (_, theirs, _))| *theirs == model);
            let only = (is_alone && self.open.is_none()).then_some(model);
            opens.then(|| self.open(only, now))
        }
    }

    proptest! {
        /// Steps are whole seconds apart, as the slots of its window are.
        #[test]
        fn a_breaker_agrees_with_a_list_of_calls(
            steps in proptest::collection::vec((0_u8..8, 0_usize..4, 0_u64..4, 1_u64..=2), 1..400),
        ) {
            let (mut world, mut naive) = (World::new(), Naive::default());
            let mut out: Vec<(u64, u64, u64)> = Vec::new();
            for (step, which, seconds, wanted) in steps {
                let call = (which < out.len() && step < 6).then(|| out.remove(which));
                match (step, call) {
                    (0..=2, Some((lease, model, made_in))) => {
                        let opened = world.breaker.failed(lease, model, &world.rules, world.now);
                        let only = naive.open.and_then(|(_, only)| only);
                        let expected = if naive.probe == Some(lease) {
                            Some(naive.open(only, world.now))
                        } else if !naive.holds_back(model) && made_in == naive.epoch {
                            naive.failed(model, world.now)
                        } else {
                            None
                        };
                        prop_assert_eq!(opened.map(|length| length.as_secs()), expected);
                    }
                    (3 | 4, Some((lease, model, made_in))) => {
                        let closed = naive.probe == Some(lease);
                        if closed {
                            naive = Naive { epoch: naive.epoch + 1, ..Naive::default() };
                        } else if !naive.holds_back(model) && made_in == naive.epoch {
                            naive.calls.push((world.now, model, true));
                        }
                        prop_assert_eq!(world.breaker.succeeded(lease, model, world.now), closed);
                    }
                    (5, Some((lease, ..))) => {
                        naive.probe = naive.probe.filter(|probe| *probe != lease);
                        world.breaker.inconclusive(lease);
                    }
                    (6, _) => world.now += Duration::from_secs(seconds * seconds),
                    _ => {}
                }
                for model in [ONE, OTHER] {
                    let permit = world.breaker.permit(model, world.now);
                    let may_lease = matches!(permit, Permit::Free | Permit::AsProbe);
                    let is_due = naive.probe.is_none() && naive.open.is_none_or(|(until, _)| until <= world.now);
                    prop_assert_eq!(may_lease, is_due || !naive.holds_back(model), "{}", model);
                    if may_lease && model == wanted && out.len() < 4 {
                        let lease = world.lease_for(model);
                        if naive.holds_back(model) {
                            naive.probe = Some(lease);
                        }
                        out.push((lease, model, naive.epoch));
                    }
                }
            }
        }
    }
}
