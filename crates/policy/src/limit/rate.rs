//! Decides whether an amount fits a rate: a token bucket refilled continuously, and no more in any minute than a minute's amount; never a window that resets.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::claims::{Claims, Left};
use super::minute::Minute;
use crate::identity::Class;

/// One of what is counted, in the bucket's own unit: at a rate of `n` a day exactly `n` units come in each
/// nanosecond, so nothing is ever rounded and nothing drifts.
const ONE: u128 = 86_400_000_000_000;
const MINUTES_A_DAY: u64 = 1_440;

/// So much in a time. Kept by the day, so that the smallest limit a provider sells is still a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rate {
    per_day: u64,
}

impl Rate {
    /// No limit; above every rate.
    pub(crate) const UNLIMITED: Self = Self { per_day: u64::MAX };

    /// So many a minute.
    pub(crate) const fn per_minute(amount: u64) -> Self {
        Self { per_day: amount.saturating_mul(MINUTES_A_DAY) }
    }

    /// So many a minute, where 0 stands for no limit.
    pub(crate) fn per_minute_or_unlimited(amount: u64) -> Self {
        if amount == 0 { Self::UNLIMITED } else { Self::per_minute(amount) }
    }

    /// An amount in a time, at least one a day.
    pub(crate) fn of(amount: u64, time: Duration) -> Self {
        let per_day = u128::from(amount) * ONE / time.as_nanos().max(1);
        Self { per_day: u64::try_from(per_day).unwrap_or(u64::MAX - 1).max(1) }
    }

    /// Whole ones a minute, to the nearest.
    pub(crate) fn a_minute(self) -> u64 {
        self.per_day.saturating_add(MINUTES_A_DAY / 2) / MINUTES_A_DAY
    }

    /// This share of it.
    pub(crate) fn percent(self, percent: u8) -> Self {
        let per_day = u128::from(self.per_day) * u128::from(percent) / 100;
        Self { per_day: u64::try_from(per_day).unwrap_or(u64::MAX) }
    }

    /// How far it is from another.
    pub(crate) fn distance(self, other: Self) -> Self {
        Self { per_day: self.per_day.abs_diff(other.per_day) }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { per_day: self.per_day.saturating_add(other.per_day) }
    }

    /// This rate so many times.
    pub(crate) fn times(self, times: u64) -> Self {
        Self { per_day: self.per_day.saturating_mul(times) }
    }

    /// How often `step` may be added to `from` with less than this rate as the sum.
    pub(crate) fn steps_above(self, from: Self, step: Self) -> u64 {
        let between = self.per_day.saturating_sub(from.per_day).saturating_sub(1);
        between / step.per_day.max(1)
    }

    /// How long one takes to come; nothing where there is no limit.
    pub(crate) fn time_of_one(self) -> Duration {
        let nanos = ONE / u128::from(self.per_day.max(1));
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }

    /// How many come in a time.
    pub(crate) fn in_time(self, time: Duration) -> u64 {
        let amount = u128::from(self.per_day).saturating_mul(time.as_nanos()) / ONE;
        u64::try_from(amount).unwrap_or(u64::MAX)
    }

    /// Whether it is none.
    pub(crate) fn is_unlimited(self) -> bool {
        self == Self::UNLIMITED
    }
}

/// How a limit by the minute is kept to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateWindow {
    /// In no sixty seconds more than a minute's amount: what is allowed by providers that count a minute in
    /// any of the usual ways.
    #[default]
    Minute,
    /// A bucket alone: a full one and what comes in meanwhile may go in one minute, up to twice its amount.
    Bucket,
}

impl RateWindow {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Bucket => "bucket",
        }
    }
}

/// A token bucket. It starts full, is never negative, and never holds more than its capacity.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: Rate,
    capacity: u64,
    level: u128,
    filled_at: Instant,
    /// What was taken in the last minute, where somebody wants to know.
    minute: Option<Box<Counted>>,
    /// What it limits.
    window: RateWindow,
}

/// What was taken, and by whom.
#[derive(Debug, Clone, Default)]
struct Counted {
    minute: Minute,
    claims: Claims,
}

/// Beyond what the minute has room for, a bucket saves up this part of a minute's amount: so that what becomes
/// free can go at once, and yet a burst is not repeated minute by minute.
const SAVED_PART: u64 = 16;

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(rate: Rate, capacity: u64, now: Instant) -> Self {
        let capacity = capacity.max(1);
        Self {
            rate,
            capacity,
            level: units(capacity),
            filled_at: now,
            minute: None,
            window: RateWindow::Bucket,
        }
    }

    /// Counts minutes from now on, and keeps to what they hold or not.
    pub(crate) fn count(&mut self, window: RateWindow) {
        self.minute.get_or_insert_default();
        self.window = window;
    }

    /// Changes the rate from `now` on. What is in the bucket stays, as far as it still fits; a bucket
    /// that had no limit starts full.
    pub(crate) fn change(&mut self, rate: Rate, capacity: u64, now: Instant) {
        if self.rate.is_unlimited() {
            let (minute, window) = (self.minute.take(), self.window);
            *self = Self { minute, window, ..Self::full(rate, capacity, now) };
            return;
        }
        self.refill(now);
        self.rate = rate;
        self.capacity = capacity.max(1);
        self.level = self.level.min(units(self.capacity));
    }

    /// Takes an amount if it is there. One larger than the capacity takes a full bucket: it would
    /// otherwise wait for ever.
    #[cfg(test)]
    pub(crate) fn take(&mut self, amount: u64, now: Instant) -> bool {
        if self.rate.is_unlimited() {
            return true;
        }
        let fits = self.ready_at(amount, now) == now;
        if fits {
            self.spend(amount, now);
        }
        fits
    }

    /// Takes an amount, or what there is of it: it was used, whether it was there or not.
    pub(crate) fn spend(&mut self, amount: u64, now: Instant) {
        self.refill(now);
        let (amount, most) = (amount.min(self.capacity), self.most());
        self.level = self.level.saturating_sub(units(amount));
        let Some(counted) = &mut self.minute else { return };
        counted.minute.take(amount, now);
        if self.window == RateWindow::Minute && !self.rate.is_unlimited() {
            let room = most.saturating_sub(counted.minute.used(now));
            self.level = self.level.min(units(room.saturating_add((most / SAVED_PART).max(1))));
        }
    }

    /// What was taken for `reserved` turned out to be `spent`: gives back the rest, or takes what is missing.
    pub(crate) fn correct(&mut self, reserved: u64, spent: u64, now: Instant) {
        self.refill(now);
        let (reserved, spent) = (units(reserved.min(self.capacity)), units(spent.min(self.capacity)));
        let left = (self.level + reserved).saturating_sub(spent);
        self.level = left.min(units(self.capacity));
    }

    /// What was taken at a time for `reserved` turned out to be `spent`, as far as its minute goes.
    pub(crate) fn recount(&mut self, taken_at: Instant, reserved: u64, spent: u64) {
        let capacity = self.capacity;
        if let Some(counted) = &mut self.minute {
            counted.minute.correct(taken_at, reserved.min(capacity), spent.min(capacity));
        }
    }

    /// What a class takes is noted as its claim to what is left.
    pub(crate) fn claim(&mut self, class: Class, amount: u64, now: Instant) {
        let amount = amount.min(self.capacity);
        if let Some(counted) = &mut self.minute {
            counted.claims.take(class, amount, now);
        }
    }

    /// Somebody who knows says how much is in it.
    pub(crate) fn set(&mut self, amount: u64, now: Instant) {
        self.refill(now);
        self.level = units(amount.min(self.capacity));
    }

    /// When an amount will be there: now, or later. A clock that steps back changes nothing.
    pub(crate) fn ready_at(&self, amount: u64, now: Instant) -> Instant {
        self.ready_for(Class::Urgent, amount, now)
    }

    /// When an amount will be there for a class.
    pub(crate) fn ready_for(&self, class: Class, amount: u64, now: Instant) -> Instant {
        if self.rate.is_unlimited() {
            return now;
        }
        let amount = amount.min(self.capacity);
        let room_at = self.room_for(class, amount, self.most(), now);
        let missing = self.missing(units(amount), now);
        if missing == 0 {
            return room_at;
        }
        // A wait counts from the last refill when `now` lies before it.
        room_at.max(now.max(self.filled_at) + self.time_for(missing))
    }

    /// How many could be taken by a time, each as soon as it is there: never fewer than will be.
    pub(crate) fn by(&self, until: Instant, now: Instant) -> u64 {
        if self.rate.is_unlimited() {
            return u64::MAX;
        }
        let time = until.saturating_duration_since(now.max(self.filled_at)).as_nanos();
        let come = time.saturating_mul(self.rate.per_day.into()).saturating_add(self.level_at(now));
        let come = u64::try_from(come / ONE).unwrap_or(u64::MAX);
        come.min(self.room_by(self.most(), until, now))
    }

    /// How many could be taken by a time with no more than `most` in any minute, if it keeps to those.
    pub(crate) fn room_by(&self, most: u64, until: Instant, now: Instant) -> u64 {
        let counted = self.minute.as_ref().filter(|_| self.window == RateWindow::Minute);
        counted.map_or(u64::MAX, |counted| counted.minute.room_by(most, until, now))
    }

    /// How many could be taken now, one after the other.
    pub(crate) fn level(&self, now: Instant) -> u64 {
        let level = u64::try_from(self.level_at(now) / ONE).unwrap_or(u64::MAX);
        match self.window {
            RateWindow::Minute => level.min(self.most().saturating_sub(self.used(now))),
            RateWindow::Bucket => level,
        }
    }

    /// When no minute, if it keeps to those, holds more than `most` with an amount for a class: what better
    /// classes are likely to need until more becomes free is left to them.
    pub(crate) fn room_for(&self, class: Class, amount: u64, most: u64, now: Instant) -> Instant {
        let counted = self.minute.as_ref().filter(|_| self.window == RateWindow::Minute);
        let Some(Counted { minute, claims }) = counted.map(|counted| &**counted) else { return now };
        let room_at = minute.room_at(amount, most, now);
        if room_at > now || !claims.are_before(class) {
            return room_at;
        }
        let Some(frees_at) = minute.frees_at(now) else { return now };
        let room = most.saturating_sub(minute.used(now));
        claims.spare_at(class, Left { room, frees_at }, now).min(frees_at.max(now))
    }

    /// How many were taken in the last minute, if that is counted.
    pub(crate) fn used(&self, now: Instant) -> u64 {
        self.minute.as_ref().map_or(0, |counted| counted.minute.used(now))
    }

    /// How long until the bucket is full again.
    pub(crate) fn full_in(&self, now: Instant) -> Duration {
        if self.rate.is_unlimited() {
            return Duration::ZERO;
        }
        self.time_for(units(self.capacity).saturating_sub(self.level_at(now)))
    }

    /// What may be taken in a minute: its amount, or a bucket that was made larger.
    fn most(&self) -> u64 {
        self.rate.a_minute().max(self.capacity)
    }

    /// How much a full bucket holds.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How fast it fills.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// A bucket that never fills would never be ready; a century is never.
    fn time_for(&self, units: u128) -> Duration {
        const NEVER: Duration = Duration::from_hours(100 * 365 * 24);
        let nanos = units.div_ceil(u128::from(self.rate.per_day.max(1)));
        u64::try_from(nanos).map_or(NEVER, Duration::from_nanos).min(NEVER)
    }

    fn refill(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.filled_at = self.filled_at.max(now);
    }

    /// What is missing of so much. Most buckets hold it without what has come since they were filled.
    fn missing(&self, needed: u128, now: Instant) -> u128 {
        if needed <= self.level {
            return 0;
        }
        needed.saturating_sub(self.level_at(now))
    }

    fn level_at(&self, now: Instant) -> u128 {
        let nanos = now.saturating_duration_since(self.filled_at).as_nanos();
        let gained = nanos.saturating_mul(u128::from(self.rate.per_day));
        self.level.saturating_add(gained).min(units(self.capacity))
    }
}

fn units(amount: u64) -> u128 {
    u128::from(amount) * ONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Take(u64),
        Spend(u64),
        Correct(u64, u64),
        Set(u64),
        Change(u64, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let amount = || prop_oneof![3 => 0_u64..5, 1 => 0_u64..400];
        let step = prop_oneof![
            3 => (0_u64..100_000_000_000).prop_map(Step::Wait),
            5 => amount().prop_map(Step::Take),
            1 => amount().prop_map(Step::Spend),
            2 => (amount(), amount()).prop_map(|(reserved, spent)| Step::Correct(reserved, spent)),
            1 => amount().prop_map(Step::Set),
            1 => (1_u64..200, 1_u64..200).prop_map(|(rpm, capacity)| Step::Change(rpm, capacity)),
        ];
        proptest::collection::vec(step, 1..200)
    }

    /// The naive model: the level as a fraction over a minute's nanoseconds, in signed arithmetic.
    struct Naive {
        rpm: i128,
        capacity: i128,
        level: i128,
    }

    const MINUTE: i128 = 60_000_000_000;

    impl Naive {
        fn bounded(&mut self, level: i128) {
            self.level = level.clamp(0, self.capacity * MINUTE);
        }

        fn part(&self, amount: u64) -> i128 {
            i128::from(amount).min(self.capacity) * MINUTE
        }
    }

    proptest! {
        #[test]
        fn a_bucket_agrees_with_plain_arithmetic(rpm in 1_u64..200, capacity in 1_u64..200, steps in steps()) {
            let mut now = epoch();
            let mut bucket = Bucket::full(Rate::per_minute(rpm), capacity, now);
            let (rpm, capacity) = (i128::from(rpm), i128::from(capacity));
            let mut naive = Naive { rpm, capacity, level: capacity * MINUTE };
            for step in steps {
                match step {
                    Step::Wait(nanos) => {
                        now += Duration::from_nanos(nanos);
                        naive.bounded(naive.level + naive.rpm * i128::from(nanos));
                    }
                    Step::Take(amount) => {
                        let part = naive.part(amount);
                        let expected = naive.level >= part;
                        let ready_at = bucket.ready_at(amount, now);
                        prop_assert_eq!(ready_at == now, expected);
                        if !expected {
                            let just_before = ready_at - Duration::from_nanos(1);
                            prop_assert!(!bucket.clone().take(amount, just_before), "ready earlier than said");
                            prop_assert!(bucket.clone().take(amount, ready_at), "not ready when said");
                        }
                        prop_assert_eq!(bucket.take(amount, now), expected);
                        naive.level -= if expected { part } else { 0 };
                    }
                    Step::Spend(amount) => {
                        bucket.spend(amount, now);
                        naive.bounded(naive.level - naive.part(amount));
                    }
                    Step::Correct(reserved, spent) => {
                        bucket.correct(reserved, spent, now);
                        naive.bounded(naive.level + naive.part(reserved) - naive.part(spent));
                    }
                    Step::Set(amount) => {
                        bucket.set(amount, now);
                        naive.bounded(naive.part(amount));
                    }
                    Step::Change(to_rpm, to_capacity) => {
                        bucket.change(Rate::per_minute(to_rpm), to_capacity, now);
                        (naive.rpm, naive.capacity) = (i128::from(to_rpm), i128::from(to_capacity));
                        naive.bounded(naive.level);
                    }
                }
                prop_assert_eq!(i128::from(bucket.level(now)), naive.level / MINUTE);
            }
        }
    }

    #[test]
    fn no_rate_is_no_limit_and_a_limit_put_on_it_starts_full() {
        let now = epoch();
        let mut bucket = Bucket::full(Rate::UNLIMITED, 0, now);
        assert!((0..1000).all(|_| bucket.take(1_000_000, now)));
        assert_eq!(bucket.ready_at(1, now), now);
        bucket.change(Rate::per_minute(60), 2, now);
        assert!(bucket.take(1, now) && bucket.take(1, now) && !bucket.take(1, now));
        assert_eq!(bucket.ready_at(1, now), now + Duration::from_secs(1));
        assert_eq!(bucket.full_in(now), Duration::from_secs(2));
    }

    proptest! {
        /// However it is asked: no more than a minute's amount in any sixty seconds, and at a steady demand
        /// hardly less.
        #[test]
        fn no_minute_holds_more_than_its_amount(
            rpm in 1_u64..200,
            capacity in 1_u64..200,
            waits in proptest::collection::vec(prop_oneof![9 => 0_u64..3_000, 1 => 0_u64..90_000], 1..400),
        ) {
            let mut now = epoch();
            let mut bucket = Bucket::full(Rate::per_minute(rpm), capacity, now);
            bucket.count(RateWindow::Minute);
            let mut taken: Vec<Instant> = Vec::new();
            for millis in waits {
                now += Duration::from_millis(millis);
                let ready_at = bucket.ready_at(1, now);
                if ready_at > now {
                    prop_assert!(!bucket.clone().take(1, ready_at - Duration::from_nanos(1)));
                }
                now = ready_at;
                prop_assert!(bucket.take(1, now), "not ready when said");
                taken.push(now);
                let minute = taken.iter().filter(|at| now < **at + Duration::from_mins(1)).count();
                prop_assert!(u64::try_from(minute)? <= rpm.max(capacity), "{minute} in a minute");
            }
        }
    }

    #[test]
    fn all_of_each_minute_is_used_by_those_who_always_ask() {
        for (rpm, capacity, asked_every_millis) in
            [(40, 40, 1_000), (40, 40, 10), (40, 4, 100), (600, 600, 7)]
        {
            let end = epoch() + Duration::from_mins(30);
            let (mut now, mut taken) = (epoch(), 0_u64);
            let mut bucket = Bucket::full(Rate::per_minute(rpm), capacity, now);
            bucket.count(RateWindow::Minute);
            while now < end {
                taken += u64::from(bucket.take(1, now));
                now += Duration::from_millis(asked_every_millis);
            }
            assert!(taken * 1000 >= rpm * 30 * 985, "{rpm} {capacity}: {taken}");
        }
    }

    #[test]
    fn tokens_given_back_make_room_in_their_minute() {
        let now = epoch();
        let mut bucket = Bucket::full(Rate::per_minute(100), 100, now);
        bucket.count(RateWindow::Minute);
        bucket.spend(90, now);
        let later = now + Duration::from_secs(30);
        assert!(bucket.ready_at(20, later) > later + Duration::from_secs(29));
        bucket.correct(90, 40, later);
        bucket.recount(now, 90, 40);
        assert_eq!((bucket.ready_at(20, later), bucket.level(later)), (later, 60));
    }

    #[test]
    fn a_clock_that_steps_back_gives_and_takes_nothing() {
        let now = epoch();
        let mut bucket = Bucket::full(Rate::per_minute(60), 1, now);
        assert!(bucket.take(1, now));
        assert!(!bucket.take(1, now - Duration::from_secs(30)));
        assert_eq!(bucket.ready_at(1, now - Duration::from_secs(30)), now + Duration::from_secs(1));
        assert!(bucket.take(1, now + Duration::from_secs(1)));
    }

    #[test]
    fn an_amount_beyond_the_capacity_goes_at_a_full_bucket() {
        let now = epoch();
        let mut bucket = Bucket::full(Rate::per_minute(600), 100, now);
        assert!(bucket.take(1, now) && !bucket.take(1_000, now));
        let ready_at = bucket.ready_at(1_000, now);
        assert_eq!(ready_at, now + Duration::from_millis(100));
        assert!(bucket.take(1_000, ready_at));
        assert_eq!(bucket.level(ready_at), 0);
    }

    #[test]
    fn rates_are_whole_however_small() {
        let rate = Rate::of(50, Duration::from_hours(24));
        assert_eq!((rate.a_minute(), rate.in_time(Duration::from_hours(24))), (0, 50));
        assert_eq!(Rate::of(40, Duration::from_mins(1)), Rate::per_minute(40));
        assert_eq!(Rate::per_minute(40).percent(75), Rate::per_minute(30));
        assert_eq!(Rate::per_minute(0).in_time(Duration::from_hours(1)), 0);
        assert!(Rate::of(u64::MAX, Duration::ZERO) < Rate::UNLIMITED);
    }
}
