//! Decides at which rate a provider that tells no limits is asked: more while it answers, less when it refuses; never how long it rests.

use std::time::{Duration, Instant};

use super::rate::Rate;
use super::retreat::EVALUATION;
use super::window::Window;

/// How much of what it answered in the last minute is asked after a refusal.
const KEPT_PERCENT: u8 = 90;
/// A refusal costs at least so much of the rate that it was met at, and at most down to this share.
const DECREASE_PERCENT: u8 = 85;
const DECREASE_MAX_PERCENT: u8 = 25;
/// So close to the rate at which it last refused the rate comes back soon; there it stays a while.
const CRUISE_PERCENT: u8 = 97;
/// For how long it stays there, at first and at most: twice as long each time that it refuses at much the
/// same rate, for then the limit is likely to be that.
const HOLD_MIN: Duration = Duration::from_secs(60);
const HOLD_MAX: Duration = Duration::from_mins(20);
/// No rate found is less than this, so that one can be found at all.
const RATE_MIN: Rate = Rate::per_minute(5);
/// A rate of which less than this is used tells nothing about what lies above it.
const USED_PERCENT: u8 = 70;
/// After a refusal no more than this time's worth goes out at once: what was refused may have been a burst.
const BURST: Duration = Duration::from_secs(5);

const WINDOW: Duration = Duration::from_secs(60);

/// One backend's search: additive increase, multiplicative decrease, and a rest near the last refusal.
#[derive(Debug)]
pub(crate) struct Seek {
    /// None as long as the backend's own rate holds.
    rate: Option<Rate>,
    /// The rate at which it last refused.
    ceiling: Option<Rate>,
    hold: Duration,
    held_until: Option<Instant>,
    answered: Window<60>,
    evaluated_at: Option<Instant>,
}

impl Seek {
    /// Nothing tried yet.
    pub(crate) fn new() -> Self {
        Self {
            rate: None,
            ceiling: None,
            hold: HOLD_MIN,
            held_until: None,
            answered: Window::over(WINDOW),
            evaluated_at: None,
        }
    }

    /// A call was answered.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.evaluated_at.get_or_insert(now);
        self.answered.good(now);
    }

    /// It refused, and was not refusing before.
    pub(crate) fn refused(&mut self, base: Rate, now: Instant) {
        let answered = Rate::of(self.answered.tally(now).total.into(), WINDOW);
        let met_at = match self.rate.unwrap_or(base) {
            // Too few to know a rate by: its cooldown is answer enough.
            rate if rate.is_unlimited() && answered < RATE_MIN => return,
            rate if rate.is_unlimited() => answered,
            rate => rate,
        };
        let is_familiar = self
            .ceiling
            .is_some_and(|ceiling| ceiling.percent(90) <= met_at && met_at.percent(90) <= ceiling);
        self.hold = if is_familiar { (self.hold * 2).min(HOLD_MAX) } else { HOLD_MIN };
        self.held_until = Some(now + self.hold);
        self.ceiling = Some(met_at);
        let kept = answered.percent(KEPT_PERCENT).max(met_at.percent(DECREASE_MAX_PERCENT));
        let floor = RATE_MIN.min(met_at);
        self.rate = Some(kept.min(met_at.percent(DECREASE_PERCENT)).max(floor));
    }

    /// Lets the rate grow for the seconds that have passed.
    pub(crate) fn evaluate(&mut self, base: Rate, now: Instant) {
        let Some(last) = self.evaluated_at else { return };
        let seconds = now.saturating_duration_since(last).as_secs();
        if seconds == 0 {
            return;
        }
        self.evaluated_at = Some(last + EVALUATION * u32::try_from(seconds).unwrap_or(u32::MAX));
        let answered = Rate::of(self.answered.tally(now).total.into(), WINDOW);
        // What was not asked for a minute is not known any better than after one.
        let seconds = seconds.min(WINDOW.as_secs());
        let rate = self.rate.unwrap_or(base);
        let cruise = self.ceiling.map(|ceiling| ceiling.percent(CRUISE_PERCENT));
        if let Some(cruise) = cruise.filter(|cruise| rate < *cruise) {
            let step = cruise.percent(1).max(Rate::per_minute(1));
            self.rate = Some(rate.plus(step.times(seconds)).min(cruise));
            return;
        }
        let is_used = answered >= rate.percent(USED_PERCENT);
        let is_held = self.held_until.is_some_and(|until| now < until);
        if is_used && !is_held && !rate.is_unlimited() {
            let step = rate.times(seconds).per_mille();
            self.rate = Some(rate.plus(step));
        }
    }

    /// The rate that holds instead of the backend's own.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// When passing time may change the rate: while it is used, or comes back after a refusal.
    pub(crate) fn due(&self) -> Option<Instant> {
        let rate =
            self.rate.filter(|rate| self.ceiling.is_some_and(|top| *rate < top.percent(CRUISE_PERCENT)));
        let may_change = rate.is_some() || self.answered.last_tally().total > 0;
        self.evaluated_at.filter(|_| may_change).map(|last| last + EVALUATION)
    }

    /// How much may go out at once, once it has refused.
    pub(crate) fn burst(&self) -> Option<u64> {
        self.ceiling.and(self.rate).map(|rate| rate.in_time(BURST).max(1))
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::limit::rate::Bucket;
    use crate::testing::epoch;

    /// A provider with a hidden rate is asked as fast as the search allows, and rested for 30 s when it
    /// refuses. Returns the share of what it would have answered that was, and the refusals.
    fn searched(base: u64, hidden: u64, hours: u64) -> (u64, u32) {
        let mut rng = SmallRng::seed_from_u64(7);
        let mut now = epoch();
        let end = now + Duration::from_hours(hours);
        let mut provider = Bucket::full(Rate::per_minute(hidden), hidden / 4, now);
        let mut ours = Bucket::full(Rate::per_minute(base), base, now);
        let (mut seek, mut answered, mut refused) = (Seek::new(), 0_u64, 0);
        while now < end {
            let base = Rate::per_minute(base);
            seek.evaluate(base, now);
            let rate = seek.rate().unwrap_or(base);
            ours.change(rate, seek.burst().unwrap_or_else(|| rate.a_minute()), now);
            if ours.take(1, now) {
                if provider.take(1, now) {
                    answered += 1;
                    seek.answered(now);
                } else {
                    refused += 1;
                    seek.refused(base, now);
                    now += Duration::from_secs(30);
                }
            }
            now = now.max(ours.ready_at(1, now)) + Duration::from_millis(rng.random_range(0..20));
        }
        (answered * 100 / (hidden * 60 * hours), refused)
    }

    #[test]
    fn a_hidden_limit_is_found_from_below_and_from_above() {
        for (base, hidden) in [(40, 40), (40, 100), (40, 400), (100, 40), (400, 40), (40, 10)] {
            let (share, refused) = searched(base, hidden, 4);
            assert!(share >= 85, "{base} {hidden}: {share} %, {refused} refused");
            assert!(refused <= 75, "{base} {hidden}: {share} %, {refused} refused");
        }
    }

    #[test]
    fn what_is_not_used_does_not_grow() {
        let mut seek = Seek::new();
        let base = Rate::per_minute(40);
        for second in 0..600 {
            let now = epoch() + Duration::from_secs(second);
            if second % 10 == 0 {
                seek.answered(now);
            }
            seek.evaluate(base, now);
        }
        assert_eq!((seek.rate(), seek.burst()), (None, None));
    }
}
