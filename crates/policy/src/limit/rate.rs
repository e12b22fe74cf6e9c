//! Decides whether a request fits a rate: a token bucket refilled continuously; never a window that resets.

use std::time::{Duration, Instant};

/// One token in the bucket's own unit: at `rpm` tokens a minute exactly `rpm` units come in each
/// nanosecond, so nothing is ever rounded and nothing drifts.
const TOKEN: u128 = 60_000_000_000;

/// A token bucket. It starts full, is never negative, and never holds more than its capacity.
#[derive(Debug, Clone)]
pub struct Bucket {
    rpm: u32,
    capacity: u32,
    level: u128,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket of `capacity` tokens, refilled by `rpm` a minute; a rate of 0 is no limit.
    #[must_use]
    pub fn full(rpm: u32, capacity: u32, now: Instant) -> Self {
        let capacity = capacity.max(1);
        Self { rpm, capacity, level: u128::from(capacity) * TOKEN, filled_at: now }
    }

    /// Changes the rate from `now` on. What is in the bucket stays, as far as it still fits; a bucket
    /// that had no limit starts full.
    pub fn change(&mut self, rpm: u32, capacity: u32, now: Instant) {
        if self.rpm == 0 {
            *self = Self::full(rpm, capacity, now);
            return;
        }
        self.refill(now);
        self.rpm = rpm;
        self.capacity = capacity.max(1);
        self.level = self.level.min(u128::from(self.capacity) * TOKEN);
    }

    /// Takes one token if a whole one is there.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.rpm == 0 {
            return true;
        }
        self.refill(now);
        let Some(left) = self.level.checked_sub(TOKEN) else { return false };
        self.level = left;
        true
    }

    /// When a whole token will be there: now, or later. A clock that steps back changes nothing.
    #[must_use]
    pub fn ready_at(&self, now: Instant) -> Instant {
        if self.rpm == 0 {
            return now;
        }
        let missing = TOKEN.saturating_sub(self.level_at(now));
        if missing == 0 {
            return now;
        }
        let nanos = missing.div_ceil(u128::from(self.rpm));
        // A wait counts from the last refill when `now` lies before it.
        now.max(self.filled_at) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whole tokens in the bucket.
    #[must_use]
    pub fn tokens(&self, now: Instant) -> u32 {
        u32::try_from(self.level_at(now) / TOKEN).unwrap_or(u32::MAX)
    }

    /// How long until the bucket is full again.
    #[must_use]
    pub fn full_in(&self, now: Instant) -> Duration {
        let missing = (u128::from(self.capacity) * TOKEN).saturating_sub(self.level_at(now));
        let nanos = missing.checked_div(u128::from(self.rpm)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many tokens a full bucket holds.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// How many tokens come in a minute; 0 is no limit.
    #[must_use]
    pub fn rpm(&self) -> u32 {
        self.rpm
    }

    fn refill(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.filled_at = self.filled_at.max(now);
    }

    fn level_at(&self, now: Instant) -> u128 {
        let gained = now.saturating_duration_since(self.filled_at).as_nanos() * u128::from(self.rpm);
        (self.level + gained).min(u128::from(self.capacity) * TOKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Take,
        Change(u32, u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0_u64..100_000_000_000).prop_map(Step::Wait),
            Just(Step::Take),
            Just(Step::Take),
            (1_u32..200, 1_u32..200).prop_map(|(rpm, capacity)| Step::Change(rpm, capacity)),
        ];
        proptest::collection::vec(step, 1..200)
    }

    proptest! {
        /// The naive model: the level as a fraction over 60e9 in signed arithmetic, refilled at each step.
        #[test]
        fn a_bucket_agrees_with_plain_arithmetic(rpm in 1_u32..200, capacity in 1_u32..200, steps in steps()) {
            let mut now = epoch();
            let mut bucket = Bucket::full(rpm, capacity, now);
            let (mut rpm, mut capacity) = (i128::from(rpm), i128::from(capacity));
            let mut level = capacity * 60_000_000_000;
            for step in steps {
                match step {
                    Step::Wait(nanos) => {
                        now += Duration::from_nanos(nanos);
                        level = (level + rpm * i128::from(nanos)).min(capacity * 60_000_000_000);
                    }
                    Step::Take => {
                        let expected = level >= 60_000_000_000;
                        let ready_at = bucket.ready_at(now);
                        prop_assert_eq!(ready_at == now, expected);
                        if !expected {
                            let just_before = ready_at - Duration::from_nanos(1);
                            prop_assert!(!bucket.clone().take(just_before), "ready earlier than said");
                            prop_assert!(bucket.clone().take(ready_at), "not ready when said");
                        }
                        prop_assert_eq!(bucket.take(now), expected);
                        level -= if expected { 60_000_000_000 } else { 0 };
                    }
                    Step::Change(to_rpm, to_capacity) => {
                        bucket.change(to_rpm, to_capacity, now);
                        (rpm, capacity) = (i128::from(to_rpm), i128::from(to_capacity));
                        level = level.min(capacity * 60_000_000_000);
                    }
                }
                prop_assert!(level >= 0);
                prop_assert_eq!(i128::from(bucket.tokens(now)), level / 60_000_000_000);
            }
        }
    }

    #[test]
    fn no_rate_is_no_limit_and_a_limit_put_on_it_starts_full() {
        let now = epoch();
        let mut bucket = Bucket::full(0, 0, now);
        assert!((0..1000).all(|_| bucket.take(now)));
        assert_eq!(bucket.ready_at(now), now);
        bucket.change(60, 2, now);
        assert!(bucket.take(now) && bucket.take(now) && !bucket.take(now));
        assert_eq!(bucket.ready_at(now), now + Duration::from_secs(1));
        assert_eq!(bucket.full_in(now), Duration::from_secs(2));
    }

    #[test]
    fn a_clock_that_steps_back_gives_and_takes_nothing() {
        let now = epoch();
        let mut bucket = Bucket::full(60, 1, now);
        assert!(bucket.take(now));
        assert!(!bucket.take(now - Duration::from_secs(30)));
        assert_eq!(bucket.ready_at(now - Duration::from_secs(30)), now + Duration::from_secs(1));
        assert!(bucket.take(now + Duration::from_secs(1)));
    }
}
