//! Decides how long a backend rests after it said 429; never whose requests wait meanwhile.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Permit;

/// A provider that asks for more than a day is taken to mean a day; a clock must not overflow.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// So many refusals in a row a provider is believed without doubt that says when to come back: somebody else may have
/// been there first.
const BELIEVED: u32 = 3;

/// How long after a probe others may follow before its answer came, where the provider named the time: as a rule, a refusal
/// is heard sooner than that.
const HEAD_START: Duration = Duration::from_millis(200);

/// How long cooldowns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CooldownRules {
    /// The first one.
    pub base: Duration,
    /// The longest one, unless the provider asks for more.
    pub max: Duration,
    /// How they grow with each 429 in a row.
    pub growth: CooldownGrowth,
    /// What the provider's own `Retry-After` counts for.
    pub retry_after: RetryAfter,
    /// With less than this left, a cooling backend is not even an emergency's choice. It never is one, whatever is left;
    /// the setting is kept for the files that have it.
    pub precheck: Duration,
}

/// What the provider's own `Retry-After` counts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// It is believed, also where it is shorter than a cooldown of ours; less so the more often the backend
    /// refused again after the time that it named: then the cooldown is at least our own of three 429s fewer.
    #[default]
    Provider,
    /// It is kept to where it is longer than a cooldown of ours.
    Longest,
}

impl RetryAfter {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Longest => "longest",
        }
    }
}

/// How cooldowns grow with each 429 in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CooldownGrowth {
    /// Base, twice that, four times that.
    #[default]
    Exponential,
    /// Base, twice that, three times that.
    Linear,
}

impl Default for CooldownRules {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            max: Duration::from_secs(600),
            growth: CooldownGrowth::Exponential,
            retry_after: RetryAfter::Provider,
            precheck: Duration::from_secs(10),
        }
    }
}

impl CooldownRules {
    /// The cooldown after `strikes` 429s in a row.
    fn length(&self, strikes: u32, retry_after: Option<Duration>) -> Duration {
        let Some(asked) = retry_after.map(|asked| asked.min(RETRY_AFTER_MAX)) else {
            return self.own(strikes);
        };
        match self.retry_after {
            RetryAfter::Provider => asked.max(self.own(strikes.saturating_sub(BELIEVED))),
            RetryAfter::Longest => asked.max(self.own(strikes)),
        }
    }

    /// The cooldown where the provider says nothing.
    fn own(&self, strikes: u32) -> Duration {
        let times = match self.growth {
            CooldownGrowth::Exponential if strikes == 0 => 0,
            CooldownGrowth::Exponential => 1_u32.checked_shl(strikes - 1).unwrap_or(u32::MAX),
            CooldownGrowth::Linear => strikes,
        };
        self.base.saturating_mul(times).min(self.max)
    }
}

/// One backend's cooldown: clear, cooling until a time, then one probe whose outcome decides. Where the provider named
/// that time and is believed, others follow the probe before its answer comes, which is after a whole first event.
///
/// Leases are numbered as they are given, so the outcome of a call made before a cooldown began is told
/// from that of a later one, however late it comes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cooldown {
    phase: Phase,
    strikes: u32,
    /// The latest lease.
    latest: u64,
    /// The latest lease when the last cooldown began, or was ended by an operator: calls up to it say
    /// nothing about now.
    outdated: u64,
    /// Whether the end of the present one was told.
    end_is_told: bool,
    /// Whether its end is what the provider said, and is believed.
    is_named: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    #[default]
    Clear,
    /// After `until` a probe is due.
    Cooling { until: Instant },
    /// The lease `probe` is out, and was given at `since`; `until` is when the cooldown had ended.
    Probing { until: Instant, probe: u64, since: Instant },
}

impl Cooldown {
    /// Whether a lease may be taken.
    pub(crate) fn permit(&self, now: Instant) -> Permit {
        match self.phase {
            Phase::Clear => Permit::Free,
            Phase::Cooling { until } if now < until => Permit::NotBefore(until),
            Phase::Cooling { .. } => Permit::AsProbe,
            Phase::Probing { since, .. } if self.is_named => match since + HEAD_START {
                from if now < from => Permit::NotBefore(from),
                _ => Permit::Free,
            },
            Phase::Probing { .. } => Permit::WhileProbed,
        }
    }

    /// A lease was given. While a cooldown is over but not yet proved so, it is the probe.
    pub(crate) fn leased(&mut self, lease: u64, now: Instant) {
        self.latest = self.latest.max(lease);
        if let Phase::Cooling { until } = self.phase {
            self.phase = Phase::Probing { until, probe: lease, since: now };
        }
    }

    /// The provider said 429. Returns the length of the cooldown this began, if it began one. Answers to
    /// calls made before a cooldown began only lengthen it, so that a burst of ten refusals is one strike;
    /// and while a probe is out, its own answer decides.
    pub(crate) fn limited(
        &mut self,
        lease: u64,
        retry_after: Option<Duration>,
        rules: &CooldownRules,
        now: Instant,
    ) -> Option<Duration> {
        let asked = retry_after.map(|wait| now + wait.min(RETRY_AFTER_MAX));
        match self.phase {
            // The probe was not refused, as far as is known.
            Phase::Probing { probe, .. } if probe != lease && self.follows(lease) => self.strikes = 0,
            Phase::Probing { probe, .. } if probe != lease => return None,
            Phase::Cooling { until } if now < until => {
                self.phase = Phase::Cooling { until: asked.map_or(until, |asked| asked.max(until)) };
                return None;
            }
            Phase::Clear | Phase::Cooling { .. } if lease <= self.outdated => {
                let until = asked.filter(|until| *until > now)?;
                self.begin(until);
                return retry_after;
            }
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => {}
        }
        self.strikes = self.strikes.saturating_add(1);
        let length = rules.length(self.strikes, retry_after);
        self.begin(now + length);
        self.is_named = retry_after.is_some() && rules.retry_after == RetryAfter::Provider;
        Some(length)
    }

    /// An answer came. That of the probe, or of one that followed it, clears all strikes; that of a call made before the
    /// cooldown says nothing about now. True when a cooldown ended.
    pub(crate) fn succeeded(&mut self, lease: u64) -> bool {
        match self.phase {
            Phase::Probing { probe, .. } if probe == lease || self.follows(lease) => {
                self.phase = Phase::Clear;
                self.strikes = 0;
                true
            }
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => false,
        }
    }

    /// The call ended without telling whether the provider would still refuse: the next one probes.
    pub(crate) fn inconclusive(&mut self, lease: u64) {
        if let Phase::Probing { until, probe, .. } = self.phase
            && probe == lease
        {
            self.phase = Phase::Cooling { until };
        }
    }

    /// An operator ended it. The answers of calls still out are then about another time.
    pub(crate) fn reset(&mut self) {
        *self = Self { latest: self.latest, outdated: self.latest, ..Self::default() };
    }

    /// What is left of it.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Clear => None,
            Phase::Cooling { until } | Phase::Probing { until, .. } => {
                Some(until.saturating_duration_since(now))
            }
        }
    }

    /// When it ends by time, as long as nobody was told that it did.
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Cooling { until } if !self.end_is_told => Some(until),
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => None,
        }
    }

    /// Whether it has ended by time, and this is the first to ask.
    pub(crate) fn tell_end(&mut self, now: Instant) -> bool {
        let has_ended = self.ends_at().is_some_and(|until| until <= now);
        self.end_is_told |= has_ended;
        has_ended
    }

    /// 429s in a row.
    pub(crate) fn strikes(&self) -> u32 {
        self.strikes
    }

    /// Whether a call was made after the probe, which is out.
    fn follows(&self, lease: u64) -> bool {
        self.is_named && lease > self.outdated
    }

    fn begin(&mut self, until: Instant) {
        self.phase = Phase::Cooling { until };
        self.outdated = self.latest;
        self.end_is_told = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The figures of the sidecars that Lockgate replaces.
    fn half_a_minute() -> CooldownRules {
        let (base, retry_after) = (30 * SECOND, RetryAfter::Longest);
        CooldownRules { base, retry_after, ..CooldownRules::default() }
    }

    fn check(rules: CooldownRules, strikes: u32, retry_after: Option<u64>, expected: u64) {
        let length = rules.length(strikes, retry_after.map(Duration::from_secs));
        assert_eq!(length.as_secs(), expected, "{rules:?} {strikes} {retry_after:?}");
    }

    #[test]
    fn lengths_grow_to_the_maximum_or_to_what_the_provider_asks() {
        let rules = half_a_minute();
        for (strikes, seconds) in [(1, 30), (2, 60), (3, 120), (5, 480), (6, 600), (33, 600), (u32::MAX, 600)]
        {
            check(rules, strikes, None, seconds);
        }
        check(rules, 1, Some(5), 30);
        check(rules, 1, Some(45), 45);
        check(rules, 6, Some(3600), 3600);
        check(rules, 1, Some(u64::MAX), 86_400);
        let provider = CooldownRules::default();
        for (strikes, asked, seconds) in [
            (1, None, 1),
            (4, None, 8),
            (1, Some(0), 0),
            (1, Some(17), 17),
            (3, Some(0), 0),
            (4, Some(0), 1),
            (6, Some(3), 4),
            (40, Some(3), 600),
            (1, Some(u64::MAX), 86_400),
        ] {
            check(provider, strikes, asked, seconds);
        }
        let linear = CooldownRules { growth: CooldownGrowth::Linear, ..rules };
        for (strikes, seconds) in [(1, 30), (2, 60), (3, 90), (21, 600)] {
            check(linear, strikes, None, seconds);
        }
    }

    #[test]
    fn a_burst_of_refusals_is_one_strike_however_late_they_come() {
        let rules = half_a_minute();
        let mut cooldown = Cooldown::default();
        (1..=12).for_each(|lease| cooldown.leased(lease, epoch()));
        assert!(cooldown.limited(1, None, &rules, epoch()).is_some());
        for lease in 2..=9 {
            assert!(cooldown.limited(lease, None, &rules, epoch()).is_none());
        }
        assert_eq!((cooldown.strikes(), cooldown.left(epoch())), (1, Some(30 * SECOND)));
        cooldown.limited(10, Some(50 * SECOND), &rules, epoch());
        assert_eq!(cooldown.left(epoch()), Some(50 * SECOND));
        assert!(!cooldown.succeeded(11), "an older answer ends nothing");
        let over = epoch() + 50 * SECOND;
        assert_eq!(cooldown.permit(epoch()), Permit::NotBefore(over));
        assert_eq!(cooldown.limited(11, None, &rules, over), None, "nor strikes, after its end");
        assert_eq!((cooldown.strikes(), cooldown.permit(over)), (1, Permit::AsProbe));
        assert_eq!(cooldown.limited(12, Some(5 * SECOND), &rules, over), Some(5 * SECOND));
        assert_eq!((cooldown.strikes(), cooldown.permit(over)), (1, Permit::NotBefore(over + 5 * SECOND)));
    }

    #[test]
    fn one_probe_follows_and_its_outcome_decides() {
        let rules = half_a_minute();
        let mut cooldown = Cooldown::default();
        (1..=2).for_each(|lease| cooldown.leased(lease, epoch()));
        cooldown.limited(1, None, &rules, epoch());
        let over = epoch() + 30 * SECOND;
        assert_eq!(cooldown.permit(over - Duration::from_nanos(1)), Permit::NotBefore(over));
        assert!(!cooldown.tell_end(over - Duration::from_nanos(1)));
        assert!(cooldown.tell_end(over) && !cooldown.tell_end(over), "told once");
        assert_eq!(cooldown.permit(over), Permit::AsProbe);
        cooldown.leased(3, epoch());
        assert_eq!(cooldown.permit(over), Permit::WhileProbed);
        cooldown.inconclusive(2);
        assert!(!cooldown.succeeded(2) && cooldown.limited(2, None, &rules, over).is_none());
        assert_eq!(cooldown.permit(over), Permit::WhileProbed, "others do not decide");
        cooldown.inconclusive(3);
        assert_eq!(cooldown.permit(over), Permit::AsProbe);
        cooldown.leased(4, epoch());
        assert_eq!(cooldown.limited(4, None, &rules, over), Some(60 * SECOND));
        let over = over + 60 * SECOND;
        cooldown.leased(5, epoch());
        assert!(cooldown.succeeded(5));
        assert_eq!((cooldown.permit(over), cooldown.strikes()), (Permit::Free, 0));
    }

    #[test]
    fn others_follow_the_probe_where_the_time_was_named() {
        let rules = CooldownRules::default();
        let mut cooldown = Cooldown::default();
        let soon = Some(SECOND);
        cooldown.leased(1, epoch());
        assert_eq!(cooldown.limited(1, soon, &rules, epoch()), soon);
        let over = epoch() + SECOND;
        assert_eq!(cooldown.permit(over), Permit::AsProbe);
        cooldown.leased(2, over);
        assert_eq!(cooldown.permit(over), Permit::NotBefore(over + HEAD_START));
        let later = over + HEAD_START;
        assert_eq!(cooldown.permit(later), Permit::Free);
        cooldown.leased(3, later);
        assert_eq!(cooldown.limited(1, soon, &rules, later), None, "it was made before the rest");
        assert_eq!(cooldown.limited(3, soon, &rules, later), soon, "the follower met the limit again");
        assert_eq!(cooldown.strikes(), 1, "the probe was taken, as far as is known");
        let over = later + SECOND;
        cooldown.leased(4, over);
        assert_eq!(cooldown.limited(4, soon, &rules, over), soon);
        assert_eq!(cooldown.strikes(), 2, "the time was wrong");
        cooldown.leased(5, over + SECOND);
        cooldown.leased(6, over + 2 * SECOND);
        assert!(cooldown.succeeded(6), "a follower's answer tells as much as the probe's");
        assert_eq!((cooldown.permit(over), cooldown.strikes()), (Permit::Free, 0));
    }

    #[test]
    fn what_an_operator_ended_no_older_call_brings_back() {
        let rules = half_a_minute();
        let mut cooldown = Cooldown::default();
        (1..=3).for_each(|lease| cooldown.leased(lease, epoch()));
        cooldown.limited(1, None, &rules, epoch());
        cooldown.reset();
        assert_eq!(cooldown.limited(2, None, &rules, epoch()), None);
        assert_eq!((cooldown.permit(epoch()), cooldown.strikes()), (Permit::Free, 0));
        cooldown.leased(4, epoch());
        assert_eq!(cooldown.limited(4, None, &rules, epoch()), Some(30 * SECOND));
    }

    /// The naive model: every call with what it was when it was made, and the cooldown as a plain interval.
    #[derive(Default)]
    struct Naive {
        until: Option<Instant>,
        probe: Option<u64>,
        strikes: u32,
        cooldowns: u64,
        /// Calls out, and how many cooldowns had begun when each was made.
        out: Vec<(u64, u64)>,
    }

    impl Naive {
        fn may_lease(&self, now: Instant) -> bool {
            self.probe.is_none() && self.until.is_none_or(|until| until <= now)
        }

        fn limited(&mut self, call: (u64, u64), asked: Duration, now: Instant) {
            let (lease, made_in) = call;
            let is_current = made_in == self.cooldowns;
            let is_cooling = self.until.is_some_and(|until| now < until);
            if self.probe.is_some_and(|probe| probe != lease) {
                return;
            }
            if is_current && !is_cooling {
                self.strikes += 1;
                let length = half_a_minute().length(self.strikes, Some(asked));
                self.until = Some(now + length);
                self.cooldowns += 1;
            } else if is_cooling {
                self.until = self.until.max(Some(now + asked));
            } else if !asked.is_zero() {
                self.until = Some(now + asked);
                self.cooldowns += 1;
            }
            self.probe = None;
        }
    }

    proptest! {
        #[test]
        fn a_cooldown_agrees_with_a_list_of_calls(
            steps in proptest::collection::vec((0_u8..6, 0_usize..8, 0_u64..90), 1..300),
        ) {
            let rules = half_a_minute();
            let (mut cooldown, mut naive, mut now) = (Cooldown::default(), Naive::default(), epoch());
            for (lease, (step, which, seconds)) in (1_u64..).zip(steps) {
                let wait = Duration::from_secs(seconds);
                let call = (which < naive.out.len() && step < 4).then(|| naive.out.remove(which));
                match (step, call) {
                    (0 | 1, Some(call)) => {
                        naive.limited(call, wait, now);
                        cooldown.limited(call.0, Some(wait), &rules, now);
                    }
                    (2, Some((lease, _))) => {
                        let was_probe = naive.probe == Some(lease);
                        if was_probe {
                            (naive.probe, naive.until, naive.strikes) = (None, None, 0);
                        }
                        prop_assert_eq!(cooldown.succeeded(lease), was_probe);
                    }
                    (3, Some((lease, _))) => {
                        naive.probe = naive.probe.filter(|probe| *probe != lease);
                        cooldown.inconclusive(lease);
                    }
                    (4, _) => now += wait,
                    _ => {}
                }
                let may_lease = matches!(cooldown.permit(now), Permit::Free | Permit::AsProbe);
                prop_assert_eq!(may_lease, naive.may_lease(now));
                prop_assert_eq!(cooldown.strikes(), naive.strikes);
                if may_lease && step >= 2 {
                    naive.probe = naive.until.map(|_| lease);
                    naive.out.push((lease, naive.cooldowns));
                    cooldown.leased(lease, now);
                }
            }
        }
    }
}
