//! Decides how long a backend rests after it said 429; never whose requests wait meanwhile.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Permit, Standing};

/// A provider that asks for more than a day is taken to mean a day; a clock must not overflow.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// How long cooldowns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CooldownRules {
    /// The first one.
    pub base: Duration,
    /// The longest one, unless the provider asks for more.
    pub max: Duration,
    /// How they grow with each 429 in a row.
    pub growth: CooldownGrowth,
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
            base: Duration::from_secs(30),
            max: Duration::from_secs(600),
            growth: CooldownGrowth::Exponential,
        }
    }
}

impl CooldownRules {
    /// The cooldown after `strikes` 429s in a row.
    fn length(&self, strikes: u32, retry_after: Option<Duration>) -> Duration {
        let times = match self.growth {
            CooldownGrowth::Exponential => 1_u32.checked_shl(strikes.saturating_sub(1)).unwrap_or(u32::MAX),
            CooldownGrowth::Linear => strikes,
        };
        let own = self.base.saturating_mul(times).min(self.max);
        own.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }
}

/// One backend's cooldown: clear, cooling until a time, then one probe whose outcome decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cooldown {
    phase: Phase,
    strikes: u32,
}

#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    #[default]
    Clear,
    /// After `until` a probe is due.
    Cooling { until: Instant },
    /// The probe is out; `until` is when the cooldown had ended.
    Probing { until: Instant },
}

impl Cooldown {
    /// Whether a lease may be taken.
    pub(crate) fn permit(&self, now: Instant) -> Permit {
        match self.phase {
            Phase::Clear => Permit::Free,
            Phase::Cooling { until } if now < until => Permit::NotBefore(until),
            Phase::Cooling { .. } => Permit::AsProbe,
            Phase::Probing { .. } => Permit::WhileProbed,
        }
    }

    /// A lease was taken under [`Permit::AsProbe`].
    pub(crate) fn probing(&mut self) {
        if let Phase::Cooling { until } = self.phase {
            self.phase = Phase::Probing { until };
        }
    }

    /// The provider said 429. Returns the length of the cooldown this began, if it began one: answers that
    /// come while it lasts, to calls made before it, only lengthen it, so that a burst of ten refusals is
    /// one strike; and while the probe is out, its own answer decides.
    pub(crate) fn limited(
        &mut self,
        standing: Standing,
        retry_after: Option<Duration>,
        rules: &CooldownRules,
        now: Instant,
    ) -> Option<Duration> {
        match (self.phase, standing) {
            (Phase::Cooling { until }, _) if now < until => {
                let asked = now + retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
                self.phase = Phase::Cooling { until: until.max(asked) };
                None
            }
            (Phase::Probing { .. }, Standing::Regular) => None,
            (Phase::Clear | Phase::Cooling { .. }, _) | (Phase::Probing { .. }, Standing::Probe) => {
                self.strikes = self.strikes.saturating_add(1);
                let length = rules.length(self.strikes, retry_after);
                self.phase = Phase::Cooling { until: now + length };
                Some(length)
            }
        }
    }

    /// An answer came. That of the probe, or one outside any cooldown, clears all strikes; that of a call
    /// made before the cooldown says nothing about now. True when a cooldown ended.
    pub(crate) fn succeeded(&mut self, standing: Standing) -> bool {
        match (self.phase, standing) {
            (Phase::Clear, _) => {
                self.strikes = 0;
                false
            }
            (Phase::Probing { .. }, Standing::Probe) => {
                *self = Self::default();
                true
            }
            (Phase::Cooling { .. }, _) | (Phase::Probing { .. }, Standing::Regular) => false,
        }
    }

    /// The call ended without telling whether the provider would still refuse: the next one probes.
    pub(crate) fn inconclusive(&mut self, standing: Standing) {
        if let (Phase::Probing { until }, Standing::Probe) = (self.phase, standing) {
            self.phase = Phase::Cooling { until };
        }
    }

    /// An operator ended it. The answer of a probe still out is then one among others.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// What is left of it.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Clear => None,
            Phase::Cooling { until } | Phase::Probing { until } => Some(until.saturating_duration_since(now)),
        }
    }

    /// 429s in a row.
    pub(crate) fn strikes(&self) -> u32 {
        self.strikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn check(rules: CooldownRules, strikes: u32, retry_after: Option<u64>, expected: u64) {
        let length = rules.length(strikes, retry_after.map(Duration::from_secs));
        assert_eq!(length.as_secs(), expected, "{rules:?} {strikes} {retry_after:?}");
    }

    #[test]
    fn lengths_grow_to_the_maximum_or_to_what_the_provider_asks() {
        let rules = CooldownRules::default();
        for (strikes, seconds) in [(1, 30), (2, 60), (3, 120), (5, 480), (6, 600), (33, 600), (u32::MAX, 600)]
        {
            check(rules, strikes, None, seconds);
        }
        check(rules, 1, Some(5), 30);
        check(rules, 1, Some(45), 45);
        check(rules, 6, Some(3600), 3600);
        check(rules, 1, Some(u64::MAX), 86_400);
        let linear = CooldownRules { growth: CooldownGrowth::Linear, ..rules };
        for (strikes, seconds) in [(1, 30), (2, 60), (3, 90), (21, 600)] {
            check(linear, strikes, None, seconds);
        }
    }

    #[test]
    fn a_burst_of_refusals_is_one_strike() {
        let rules = CooldownRules::default();
        let mut cooldown = Cooldown::default();
        assert!(cooldown.limited(Standing::Regular, None, &rules, epoch()).is_some());
        for _ in 0..9 {
            assert!(cooldown.limited(Standing::Regular, None, &rules, epoch()).is_none());
        }
        assert_eq!(cooldown.strikes(), 1);
        assert_eq!(cooldown.left(epoch()), Some(30 * SECOND));
        cooldown.limited(Standing::Regular, Some(50 * SECOND), &rules, epoch());
        assert_eq!(cooldown.left(epoch()), Some(50 * SECOND));
        assert!(!cooldown.succeeded(Standing::Regular), "an older answer ends nothing");
        assert_eq!(cooldown.permit(epoch()), Permit::NotBefore(epoch() + 50 * SECOND));
    }

    #[test]
    fn one_probe_follows_and_its_outcome_decides() {
        let rules = CooldownRules::default();
        let mut cooldown = Cooldown::default();
        cooldown.limited(Standing::Regular, None, &rules, epoch());
        let over = epoch() + 30 * SECOND;
        assert_eq!(cooldown.permit(over - Duration::from_nanos(1)), Permit::NotBefore(over));
        assert_eq!(cooldown.permit(over), Permit::AsProbe);
        cooldown.probing();
        assert_eq!(cooldown.permit(over), Permit::WhileProbed);
        cooldown.inconclusive(Standing::Probe);
        assert_eq!(cooldown.permit(over), Permit::AsProbe);
        cooldown.probing();
        assert_eq!(cooldown.limited(Standing::Probe, None, &rules, over), Some(60 * SECOND));
        let over = over + 60 * SECOND;
        cooldown.probing();
        assert!(cooldown.succeeded(Standing::Probe));
        assert_eq!((cooldown.permit(over), cooldown.strikes()), (Permit::Free, 0));
    }

    proptest! {
        /// Whatever happens, no lease is permitted before the latest time anyone asked for.
        #[test]
        fn nothing_is_permitted_inside_a_cooldown(steps in proptest::collection::vec((0_u8..6, 0_u64..90), 1..200)) {
            let rules = CooldownRules::default();
            let mut cooldown = Cooldown::default();
            let (mut now, mut closed_until, mut probe_out) = (epoch(), epoch(), false);
            for (step, seconds) in steps {
                let wait = Duration::from_secs(seconds);
                let ends_probe = probe_out && matches!(step, 0 | 2);
                let standing = if ends_probe { Standing::Probe } else { Standing::Regular };
                match step {
                    0 | 1 => {
                        if let Some(length) = cooldown.limited(standing, Some(wait), &rules, now) {
                            prop_assert!(length >= 30 * SECOND && length >= wait);
                            closed_until = now + length;
                        }
                    }
                    2 | 3 => {
                        if cooldown.succeeded(standing) {
                            prop_assert!(standing == Standing::Probe);
                        }
                    }
                    _ => now += wait,
                }
                probe_out &= standing == Standing::Regular;
                match cooldown.permit(now) {
                    Permit::Free | Permit::AsProbe => prop_assert!(now >= closed_until),
                    Permit::NotBefore(until) => prop_assert!(until > now && until >= closed_until),
                    Permit::WhileProbed => prop_assert!(probe_out),
                }
                if cooldown.permit(now) == Permit::AsProbe {
                    cooldown.probing();
                    probe_out = true;
                }
            }
        }
    }
}
