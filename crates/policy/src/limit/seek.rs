//! Decides at which rate a provider that tells no limits is asked: more while it answers, less when it refuses; never how long it rests.

use std::time::{Duration, Instant};

use super::rate::Rate;

/// After a refusal the rate is at least so much of what it was: one alone may have had another reason.
const KEPT_PERCENT: u8 = 50;
/// Where the provider says nothing, refusals cost much and must be few. What lies above the mean is then not believed
/// at all: a provider that counts with a bucket takes more than its rate for a while after it has rested.
const SILENT: Learning = Learning { share_percent: 50, doubt_percent: 0, width: 0 };
/// Who says when to come back may be asked again without much loss. So its limit is learned slowly, and is taken to
/// be above nearly all that was met: a neighbour on the same account then costs no more than what he takes.
const TOLD: Learning = Learning { share_percent: 12, doubt_percent: 20, width: 8 };
/// No rate found is less than this, so that one can be found at all.
const RATE_MIN: Rate = Rate::per_minute(5);
/// For how long a rate is kept, at first and at most: twice as long each time that it refuses at much the
/// same rate, for then the limit is likely to be that.
const HOLD_MIN: Duration = Duration::from_secs(60);
const HOLD_MAX: Duration = Duration::from_mins(20);
/// What is much the same.
const SAME_PERCENT: u8 = 10;
/// By so much it grows after that, twice as much each minute in which nothing is refused.
const STEP_PERCENT: u8 = 2;
const MINUTE: Duration = Duration::from_secs(60);
/// How soon is looked again whether a rate is used: not by the minute, in which all may go at once and be forgotten at
/// the moment of the look.
const LOOK: Duration = Duration::from_secs(50);
/// A rate of which less than this is used tells nothing about what lies above it.
const USED_PERCENT: u8 = 70;
/// After a refusal, until the rate grows again, no more than this time's worth goes out at once: the refusal may have
/// been meant for a burst.
const BURST: Duration = Duration::from_secs(5);
/// Where it was told when to come back it was not, and what others on the same account leave comes in bunches: so that
/// these are not missed, this time's worth may go.
const BURST_TOLD: Duration = Duration::from_secs(20);
/// But one after the other, so many times as fast as its rate and not faster than a refusal takes, as a rule, to come
/// back: then few are refused together.
const HASTE: u32 = 5;
const APART_MAX: Duration = Duration::from_millis(200);

/// One backend's search: for what it takes when it refuses, and from time to time for a little more.
#[derive(Debug)]
pub(crate) struct Seek {
    /// None as long as the backend's own rate holds.
    rate: Option<Rate>,
    /// What it took in a minute when it refused, and how far that spreads.
    limit: Option<Limit>,
    hold: Duration,
    step: Rate,
    grows_at: Option<Instant>,
    /// How it refused since it last grew, if it did: then little goes out at once.
    lately: Option<Manner>,
}

/// How a provider refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It says no more than that.
    Silent,
    /// It says when to come back.
    Told,
}

/// How a limit follows from refusals.
#[derive(Debug, Clone, Copy)]
struct Learning {
    /// How much one refusal counts against all before it.
    share_percent: u8,
    /// How much of what the first one took from the rate may have had another reason.
    doubt_percent: u8,
    /// So many times the spread above the mean the limit is taken to be.
    width: u64,
}

/// At which rates it refused.
#[derive(Debug, Clone, Copy)]
struct Limit {
    mean: Rate,
    spread: Rate,
}

impl Limit {
    fn first(met: Rate, rate: Rate, learning: Learning) -> Self {
        Self { mean: met, spread: met.distance(rate).percent(learning.doubt_percent) }
    }

    fn met(self, rate: Rate, learning: Learning) -> Self {
        let share = learning.share_percent;
        let closer = |from: Rate, to: Rate| from.percent(100 - share).plus(to.percent(share));
        Self { mean: closer(self.mean, rate), spread: closer(self.spread, self.mean.distance(rate)) }
    }

    fn is_near(self, rate: Rate) -> bool {
        self.mean.distance(rate) <= self.mean.percent(SAME_PERCENT)
    }
}

impl Seek {
    /// Nothing tried yet.
    pub(crate) fn new() -> Self {
        Self {
            rate: None,
            limit: None,
            hold: HOLD_MIN,
            step: Rate::per_minute(1),
            grows_at: None,
            lately: None,
        }
    }

    /// A call was answered.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.grows_at.get_or_insert(now + LOOK);
    }

    /// It refused, and was not refusing before; in the last minute it took so many. `told` is when it said to come
    /// back.
    pub(crate) fn refused(&mut self, base: Rate, taken: u64, told: Option<Duration>, now: Instant) {
        let taken = Rate::per_minute(taken);
        let rate = self.rate.unwrap_or(base);
        // Too few to know a rate by: its cooldown is answer enough.
        if rate.is_unlimited() && taken < RATE_MIN {
            return;
        }
        let rate = if rate.is_unlimited() { taken } else { rate };
        let met = taken.min(rate).max(rate.percent(KEPT_PERCENT));
        let (manner, learning) = match told {
            Some(_) => (Manner::Told, TOLD),
            None => (Manner::Silent, SILENT),
        };
        let is_same = self.limit.is_some_and(|limit| limit.is_near(met));
        let limit = match self.limit {
            Some(limit) => limit.met(met, learning),
            None => Limit::first(met, rate, learning),
        };
        self.limit = Some(limit);
        // Refusals of one crowded minute are one, where its end is told.
        let is_another =
            manner == Manner::Silent || self.grows_at.is_none_or(|at| at <= now) || self.lately.is_none();
        self.hold = match (is_same, is_another) {
            (true, true) => (self.hold * 2).min(HOLD_MAX),
            (true, false) => self.hold,
            (false, _) => HOLD_MIN,
        };
        self.lately = Some(manner);
        self.step = Rate::per_minute(1);
        self.grows_at = Some(now + self.hold);
        let most = match told {
            // Above its own rate there is no doubt: what was added there was refused.
            Some(_) if !base.is_unlimited() => base.max(limit.mean),
            Some(_) | None => rate,
        };
        let found = limit.mean.plus(limit.spread.times(learning.width)).min(most);
        self.rate = Some(found.max(RATE_MIN.min(rate)));
    }

    /// Lets the rate grow when it is time, if it is used.
    pub(crate) fn evaluate(&mut self, base: Rate, taken: u64, now: Instant) {
        if self.grows_at.is_none_or(|at| now < at) {
            return;
        }
        self.lately = None;
        let rate = self.rate.unwrap_or(base);
        let is_used = Rate::per_minute(taken) >= rate.percent(USED_PERCENT);
        // What nobody asks for tells nothing.
        let next = if is_used { MINUTE } else { LOOK };
        self.grows_at = Some(now + next).filter(|_| taken > 0 && !rate.is_unlimited());
        if is_used {
            self.rate = Some(rate.plus(self.step.max(rate.percent(STEP_PERCENT))));
            self.step = self.step.times(2);
        } else {
            self.step = Rate::per_minute(1);
        }
    }

    /// The rate that holds instead of the backend's own.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// When passing time may change the rate.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.grows_at
    }

    /// How much may go out at once, while a refusal is recent.
    pub(crate) fn burst(&self) -> Option<u64> {
        let time = match self.lately? {
            Manner::Silent => BURST,
            Manner::Told => BURST_TOLD,
        };
        self.rate.map(|rate| rate.in_time(time).max(1))
    }

    /// How far apart requests go, while a refusal is recent.
    pub(crate) fn apart(&self) -> Duration {
        match (self.lately, self.rate) {
            (Some(Manner::Told), Some(rate)) => (rate.time_of_one() / HASTE).min(APART_MAX),
            (Some(Manner::Told | Manner::Silent) | None, _) => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::limit::rate::{Bucket, RateWindow};
    use crate::testing::epoch;

    /// A provider with a hidden rate is asked as fast as the search allows, and rested for 30 s when it
    /// refuses. Returns the share of what it would have answered that was, and the refusals.
    fn searched(base: u64, hidden: u64, hours: u64) -> (u64, u32) {
        let mut rng = SmallRng::seed_from_u64(7);
        let mut now = epoch();
        let end = now + Duration::from_hours(hours);
        let mut provider = Bucket::full(Rate::per_minute(hidden), hidden / 4, now);
        let mut ours = Bucket::full(Rate::per_minute(base), base, now);
        ours.count(RateWindow::Minute);
        let (mut seek, mut answered, mut refused) = (Seek::new(), 0_u64, 0);
        while now < end {
            let base = Rate::per_minute(base);
            seek.evaluate(base, ours.used(now - Duration::from_secs(1)), now);
            let rate = seek.rate().unwrap_or(base);
            ours.change(rate, seek.burst().unwrap_or_else(|| rate.a_minute()), now);
            if ours.take(1, now) {
                if provider.take(1, now) {
                    answered += 1;
                    seek.answered(now);
                } else {
                    refused += 1;
                    ours.recount(now, 1, 0);
                    seek.refused(base, ours.used(now), None, now);
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
            assert!(share >= 88, "{base} {hidden}: {share} %, {refused} refused");
            assert!(refused <= 70, "{base} {hidden}: {share} %, {refused} refused");
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
            seek.evaluate(base, 6, now);
        }
        assert_eq!((seek.rate(), seek.burst()), (None, None));
    }
}
