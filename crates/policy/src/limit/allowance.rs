//! Decides when requests and their tokens fit what was configured and what the provider says is left; never which request goes.

use std::time::{Duration, Instant};

use protocol::{Quota, QuotaUnit, Reset};
use serde::{Deserialize, Serialize};

use super::rate::{Bucket, Rate, RateWindow};
use crate::identity::Class;

/// A reset that is nearer tells nothing about the rate: the error would be larger than what is measured.
const MEASURABLE: Duration = Duration::from_millis(50);
/// No provider's limit takes longer than a day to come back in full; what says so is not to be believed.
const PERIOD_MAX: Duration = Duration::from_hours(25);
/// What a limit that does not say so is counted by.
const PERIOD_GUESS: Duration = Duration::from_secs(60);

/// What follows from what providers tell and from their refusals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adaptive {
    /// Nothing but cooldowns: what is configured is what is sent.
    Off,
    /// Never more than configured; less while the provider says that less is left.
    Headers,
    /// The same, and less while the provider keeps saying 429.
    Retreat,
    /// As much as the provider says, or as a search finds where it says nothing; also more than configured.
    #[default]
    Learned,
}

impl Adaptive {
    /// All, for messages and schemas.
    pub const ALL: [Self; 4] = [Self::Off, Self::Headers, Self::Retreat, Self::Learned];

    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Headers => "headers",
            Self::Retreat => "retreat",
            Self::Learned => "learned",
        }
    }
}

/// Rates and what a full bucket holds of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) requests: Rate,
    pub(crate) burst: u64,
    pub(crate) tokens: Rate,
    pub(crate) window: RateWindow,
    /// How far apart requests go at least.
    pub(crate) apart: Duration,
}

impl Rates {
    /// No limits.
    pub(crate) const UNLIMITED: Self = Self {
        requests: Rate::UNLIMITED,
        burst: 1,
        tokens: Rate::UNLIMITED,
        window: RateWindow::Minute,
        apart: Duration::ZERO,
    };
}

/// What one request takes, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portion {
    /// Prompt and answer, estimated.
    pub(crate) tokens: u64,
    pub(crate) class: Class,
}

/// How much was ever taken, and when the last of it: what was taken after an answer's call, its headers do
/// not know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    requests: u64,
    tokens: u64,
    at: Instant,
}

/// What one backend, or one model on it, may be sent.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) requests: Meter,
    pub(crate) tokens: Meter,
    taken: Mark,
    window: RateWindow,
    apart: Duration,
}

/// One thing that is limited: by us, and by what the provider says.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) own: Bucket,
    theirs: Option<Box<Theirs>>,
}

/// A provider's limit, as far as its answers show it.
#[derive(Debug)]
pub(crate) struct Theirs {
    /// What is left. Of a limit that is renewed at once nothing comes back before that.
    bucket: Bucket,
    /// When a limit that is renewed is there again.
    renewed_at: Option<Instant>,
}

impl Allowance {
    /// Full buckets.
    pub(crate) fn of(rates: Rates, now: Instant) -> Self {
        let mut allowance = Self {
            requests: Meter::of(rates.requests, rates.burst, now),
            tokens: Meter::of(rates.tokens, rates.tokens.a_minute(), now),
            taken: Mark { requests: 0, tokens: 0, at: now },
            window: rates.window,
            apart: rates.apart,
        };
        allowance.count();
        allowance
    }

    /// Changes our own limits; levels stay.
    pub(crate) fn change(&mut self, rates: Rates, now: Instant) {
        self.requests.own.change(rates.requests, rates.burst, now);
        self.tokens.own.change(rates.tokens, rates.tokens.a_minute(), now);
        (self.window, self.apart) = (rates.window, rates.apart);
        self.count();
    }

    fn count(&mut self) {
        self.requests.own.count(self.window);
        self.tokens.own.count(self.window);
    }

    /// Our own limits.
    pub(crate) fn rates(&self) -> Rates {
        let (requests, tokens) = (&self.requests.own, &self.tokens.own);
        Rates {
            requests: requests.rate(),
            burst: requests.capacity(),
            tokens: tokens.rate(),
            window: self.window,
            apart: self.apart,
        }
    }

    /// When a request fits.
    pub(crate) fn ready_at(&self, portion: Portion, adaptive: Adaptive, now: Instant) -> Instant {
        self.requests_ready_at(portion, adaptive, now).max(self.tokens_ready_at(portion, adaptive, now))
    }

    fn requests_ready_at(&self, portion: Portion, adaptive: Adaptive, now: Instant) -> Instant {
        let ready_at = self.requests.ready_at(portion.class, 1, adaptive, now);
        if self.apart.is_zero() { ready_at } else { ready_at.max(self.taken.at + self.apart) }
    }

    /// When its tokens fit, whatever is said of requests.
    pub(crate) fn tokens_ready_at(&self, portion: Portion, adaptive: Adaptive, now: Instant) -> Instant {
        self.tokens.ready_at(portion.class, portion.tokens, adaptive, now)
    }

    /// How many requests could go by a time, whatever tokens they take: never fewer than will as far as is known.
    pub(crate) fn by(&self, until: Instant, adaptive: Adaptive, now: Instant) -> u64 {
        let Meter { own, theirs } = &self.requests;
        match (adaptive, theirs) {
            (Adaptive::Off, _) | (_, None) => own.by(until, now),
            (Adaptive::Headers | Adaptive::Retreat, Some(theirs)) => {
                own.by(until, now).min(theirs.by(until, now))
            }
            (Adaptive::Learned, Some(theirs)) => {
                let room = theirs.a_minute().map(|most| own.room_by(most, until, now));
                theirs.by(until, now).min(room.unwrap_or(u64::MAX))
            }
        }
    }

    /// A request goes.
    pub(crate) fn take(&mut self, portion: Portion, now: Instant) -> Mark {
        self.requests.spend(portion.class, 1, now);
        self.tokens.spend(portion.class, portion.tokens, now);
        self.taken.requests = self.taken.requests.wrapping_add(1);
        self.taken.tokens = self.taken.tokens.wrapping_add(portion.tokens);
        self.taken.at = now;
        self.taken
    }

    /// The tokens of the request taken at `mark` turned out to be others. What the provider says of its own
    /// bucket it says by itself.
    pub(crate) fn correct(&mut self, reserved: u64, spent: u64, mark: Mark, now: Instant) {
        self.tokens.own.correct(reserved, spent, now);
        self.tokens.own.recount(mark.at, reserved, spent);
    }

    /// The request taken at `mark` was refused: it counts for nobody's minute.
    pub(crate) fn refused(&mut self, mark: Mark, now: Instant) {
        self.requests.own.correct(1, 0, now);
        self.requests.own.recount(mark.at, 1, 0);
    }

    /// An answer to the call that was taken at `mark` told this.
    pub(crate) fn learn(&mut self, quotas: &[Quota], mark: Mark, now: Instant) {
        for unit in [QuotaUnit::Requests, QuotaUnit::Tokens] {
            let (meter, since) = match unit {
                QuotaUnit::Requests => (&mut self.requests, self.taken.requests.wrapping_sub(mark.requests)),
                QuotaUnit::Tokens => (&mut self.tokens, self.taken.tokens.wrapping_sub(mark.tokens)),
            };
            // Where a limit by the minute and one by the day are told, the one with less left is the nearer.
            let told = quotas.iter().filter(|quota| quota.unit == unit);
            if let Some(quota) = told.min_by_key(|quota| quota.remaining.or(quota.limit)) {
                meter.learn(quota, mark.at, since, now);
            }
        }
    }

    /// Forgets what the provider said.
    pub(crate) fn forget(&mut self) {
        self.requests.theirs = None;
        self.tokens.theirs = None;
    }
}

impl Meter {
    fn of(rate: Rate, capacity: u64, now: Instant) -> Self {
        Self { own: Bucket::full(rate, capacity, now), theirs: None }
    }

    fn ready_at(&self, class: Class, amount: u64, adaptive: Adaptive, now: Instant) -> Instant {
        let own = || self.own.ready_for(class, amount, now);
        match (adaptive, &self.theirs) {
            (Adaptive::Off, _) | (_, None) => own(),
            (Adaptive::Headers | Adaptive::Retreat, Some(theirs)) => own().max(theirs.ready_at(amount, now)),
            // A limit by the minute that comes back bit by bit comes back as it was taken.
            (Adaptive::Learned, Some(theirs)) => {
                let most = theirs.a_minute();
                let room_at = most.map(|most| self.own.room_for(class, amount.min(most), most, now));
                theirs.ready_at(amount, now).max(room_at.unwrap_or(now))
            }
        }
    }

    fn spend(&mut self, class: Class, amount: u64, now: Instant) {
        self.own.spend(amount, now);
        self.own.claim(class, amount, now);
        if let Some(theirs) = &mut self.theirs {
            theirs.renew(now);
            theirs.bucket.spend(amount, now);
        }
    }

    /// Whether the provider says how much is left.
    pub(crate) fn is_told(&self) -> bool {
        self.theirs.is_some()
    }

    /// The provider's limit and what is left of it.
    pub(crate) fn told(&self, now: Instant) -> Option<(u64, u64)> {
        let theirs = self.theirs.as_ref()?;
        let is_renewed = theirs.renewed_at.is_some_and(|at| at <= now);
        let limit = theirs.bucket.capacity();
        Some((limit, if is_renewed { limit } else { theirs.bucket.level(now) }))
    }

    fn learn(&mut self, quota: &Quota, called_at: Instant, since: u64, now: Instant) {
        let before = self.theirs.as_deref();
        let known = before.map(|theirs| theirs.bucket.capacity());
        let Some(limit) = quota.limit.or(known).or(quota.remaining).filter(|limit| *limit > 0) else {
            return;
        };
        let remaining = quota.remaining.unwrap_or(limit).min(limit);
        let renewed_in = match quota.reset {
            Some(Reset::Refilled(_)) => None,
            Some(Reset::Renewed(after)) => Some(after),
            None => quota.period.or(Some(PERIOD_GUESS)),
        };
        let rate = match renewed_in {
            // Nothing comes back bit by bit; the least rate there is.
            Some(_) => Rate::of(0, PERIOD_GUESS),
            None => {
                let before = before.filter(|theirs| theirs.renewed_at.is_none());
                refill_rate(quota, limit - remaining)
                    .or(before.map(|theirs| theirs.bucket.rate()))
                    .unwrap_or_else(|| Rate::of(limit, quota.period.unwrap_or(PERIOD_GUESS)))
            }
        };
        // Said of the time of the call: since then some came back, and some were taken.
        let mut bucket = Bucket::full(rate, limit, called_at);
        bucket.set(remaining, called_at);
        bucket.spend(since, now);
        self.theirs = Some(Box::new(Theirs { bucket, renewed_at: renewed_in.map(|after| now + after) }));
    }
}

impl Theirs {
    /// What it allows in a minute, if it is a limit by the minute that is not renewed at once.
    fn a_minute(&self) -> Option<u64> {
        let limit = self.bucket.capacity();
        let is_by_the_minute = self.renewed_at.is_none() && self.bucket.rate() <= Rate::per_minute(limit);
        is_by_the_minute.then_some(limit)
    }

    fn ready_at(&self, amount: u64, now: Instant) -> Instant {
        match self.renewed_at {
            Some(renewed_at) if renewed_at <= now => now,
            Some(renewed_at) => self.bucket.ready_at(amount, now).min(renewed_at),
            None => self.bucket.ready_at(amount, now),
        }
    }

    fn by(&self, until: Instant, now: Instant) -> u64 {
        let Some(renewed_at) = self.renewed_at else { return self.bucket.by(until, now) };
        let left = if renewed_at <= now { 0 } else { self.bucket.level(now) };
        let Some(after) = until.checked_duration_since(renewed_at.max(now)) else { return left };
        let times = 1 + after.as_secs() / PERIOD_GUESS.as_secs();
        self.bucket.capacity().saturating_mul(times).saturating_add(left)
    }

    /// After its time a limit is whole again, until an answer says more; from then on it is no longer known
    /// when the next time comes, so a guess stands for it.
    fn renew(&mut self, now: Instant) {
        if self.renewed_at.is_some_and(|renewed_at| renewed_at <= now) {
            self.bucket.set(self.bucket.capacity(), now);
            self.renewed_at = Some(now + PERIOD_GUESS);
        }
    }
}

/// How fast a bucket fills, measured by what is missing and when that will be there.
fn refill_rate(quota: &Quota, missing: u64) -> Option<Rate> {
    let Some(Reset::Refilled(full_in)) = quota.reset else { return None };
    if full_in < MEASURABLE || missing == 0 {
        return None;
    }
    let rate = Rate::of(missing, full_in);
    (rate.in_time(PERIOD_MAX) >= quota.limit.unwrap_or(0)).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    const SECOND: Duration = Duration::from_secs(1);

    fn told(remaining: u64, limit: u64, reset: Option<Reset>) -> Quota {
        Quota {
            unit: QuotaUnit::Requests,
            limit: Some(limit),
            remaining: Some(remaining),
            period: None,
            reset,
        }
    }

    fn of(tokens: u64) -> Portion {
        Portion { tokens, class: Class::Normal }
    }

    fn allowance(rpm: u64) -> Allowance {
        let (requests, window) = (Rate::per_minute(rpm), RateWindow::Bucket);
        let rates = Rates { requests, burst: rpm, window, ..Rates::UNLIMITED };
        Allowance::of(rates, epoch())
    }

    /// After one call whose answer told `quota`: how long the next call, and the one after it, must wait.
    #[track_caller]
    fn check(quota: Quota, retreat_millis: [u128; 2], learned_millis: [u128; 2]) {
        for (adaptive, expected) in [
            (Adaptive::Off, [0, 0]),
            (Adaptive::Retreat, retreat_millis),
            (Adaptive::Learned, learned_millis),
        ] {
            let mut allowance = allowance(60);
            let mark = allowance.take(of(0), epoch());
            allowance.learn(&[quota], mark, epoch());
            let mut now = epoch();
            let waits = [(); 2].map(|()| {
                let ready_at = allowance.ready_at(of(0), adaptive, now);
                let wait = ready_at.duration_since(now).as_millis();
                now = ready_at;
                allowance.take(of(0), now);
                wait
            });
            assert_eq!(waits, expected, "{adaptive:?} {quota:?}");
        }
    }

    #[test]
    fn what_a_provider_says_is_left_is_kept_to() {
        let refilled = |seconds| Some(Reset::Refilled(SECOND * seconds));
        let renewed = |seconds| Some(Reset::Renewed(SECOND * seconds));
        check(told(50, 100, refilled(30)), [0, 0], [0, 0]);
        // 100 in 60 s: one more after 0.6 s.
        check(told(0, 100, refilled(60)), [600, 600], [600, 600]);
        check(told(1, 61, refilled(60)), [0, 1000], [0, 1000]);
        check(told(0, 100, renewed(17)), [17_000, 0], [17_000, 0]);
        check(told(1, 100, renewed(17)), [0, 17_000], [0, 17_000]);
        // Nothing says when: a minute.
        check(told(0, 100, None), [60_000, 0], [60_000, 0]);
        // A month to fill up: not to be believed, so as if told by the minute.
        check(told(0, 3, refilled(30 * 86_400)), [20_000, 20_000], [20_000, 20_000]);
    }

    #[test]
    fn calls_made_since_are_not_in_what_is_told() {
        let mut allowance = allowance(60);
        let first = allowance.take(of(0), epoch());
        let second = allowance.take(of(0), epoch());
        allowance.take(of(0), epoch());
        let quota = told(2, 60, Some(Reset::Renewed(9 * SECOND)));
        allowance.learn(&[quota], second, epoch());
        assert_eq!(allowance.ready_at(of(0), Adaptive::Retreat, epoch()), epoch());
        allowance.learn(&[quota], first, epoch());
        assert_eq!(allowance.ready_at(of(0), Adaptive::Retreat, epoch()), epoch() + 9 * SECOND);
    }

    #[test]
    fn only_the_learned_mode_goes_beyond_what_is_configured() {
        let mut allowance = allowance(1);
        let mark = allowance.take(of(0), epoch());
        allowance.learn(&[told(9_999, 10_000, Some(Reset::Refilled(6 * SECOND / 1000)))], mark, epoch());
        assert_eq!(allowance.ready_at(of(0), Adaptive::Retreat, epoch()), epoch() + 60 * SECOND);
        assert_eq!(allowance.ready_at(of(0), Adaptive::Learned, epoch()), epoch());
    }

    #[test]
    fn of_a_limit_by_the_minute_and_one_by_the_day_the_nearer_counts() {
        let mut allowance = allowance(60);
        let mark = allowance.take(of(0), epoch());
        let minute = told(0, 30, Some(Reset::Renewed(20 * SECOND)));
        let day = told(900, 1000, Some(Reset::Renewed(SECOND * 80_000)));
        for quotas in [[minute, day], [day, minute]] {
            allowance.learn(&quotas, mark, epoch());
            assert_eq!(allowance.ready_at(of(0), Adaptive::Retreat, epoch()), epoch() + 20 * SECOND);
        }
    }

    #[test]
    fn tokens_are_reserved_then_corrected() {
        let (tokens, window) = (Rate::per_minute(6000), RateWindow::Bucket);
        let rates = Rates { tokens, window, ..Rates::UNLIMITED };
        let mut allowance = Allowance::of(rates, epoch());
        let ready =
            |allowance: &Allowance, tokens| allowance.ready_at(of(tokens), Adaptive::Retreat, epoch());
        let mark = allowance.take(of(5000), epoch());
        assert_eq!(ready(&allowance, 2000), epoch() + 10 * SECOND);
        allowance.correct(5000, 3000, mark, epoch());
        assert_eq!(ready(&allowance, 2000), epoch());
        allowance.correct(0, 4000, mark, epoch());
        assert_eq!(ready(&allowance, 1), epoch() + SECOND / 100, "never below nothing");
        assert_eq!(ready(&allowance, 1_000_000), epoch() + 60 * SECOND, "at a full bucket");
    }
}
