//! Decides how much of a minute's amount is left, by what was taken in the sixty seconds before; never how fast the rest may go.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A minute as a provider counts it who may be this much nearer to one call than to the next.
const LENGTH: Duration = Duration::from_millis(60_100);
/// What is taken within this time of each other is kept as one, so that memory has a bound: it counts until
/// the last of it is a minute old.
const GROUP: Duration = Duration::from_millis(250);

/// More than anybody takes at once: so that no sum of a minute is too large for its number.
const AMOUNT_MAX: u64 = 1 << 32;

/// What was taken in the last minute, at any moment. At most 242 entries, however much that was; a look takes
/// as many steps as halving those does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Minute {
    taken: VecDeque<Taken>,
    /// All that was ever taken and is no longer listed.
    gone: u64,
}

/// What was taken between two times that are near each other.
#[derive(Debug, Clone, Copy)]
struct Taken {
    first: Instant,
    last: Instant,
    /// All that was ever taken, up to and with this; it may begin again at 0, for only differences matter.
    upto: u64,
}

impl Minute {
    /// An amount is taken.
    pub(crate) fn take(&mut self, amount: u64, now: Instant) {
        let expired = self.expired(now);
        self.gone = self.upto(expired);
        self.taken.drain(..expired);
        let upto = self.ever().wrapping_add(amount.min(AMOUNT_MAX));
        match self.taken.back_mut() {
            Some(taken) if now < taken.first + GROUP => {
                taken.upto = upto;
                taken.last = taken.last.max(now);
            }
            Some(_) | None => self.taken.push_back(Taken { first: now, last: now, upto }),
        }
    }

    /// What was taken `at` that time as `reserved` turned out to be `spent`.
    pub(crate) fn correct(&mut self, at: Instant, reserved: u64, spent: u64) {
        let place = self.taken.partition_point(|taken| taken.last < at);
        let before = self.upto(place);
        let Some(taken) = self.taken.get(place).filter(|taken| taken.first <= at) else { return };
        let amount = taken.upto.wrapping_sub(before);
        let corrected = amount.saturating_sub(reserved.min(AMOUNT_MAX)) + spent.min(AMOUNT_MAX);
        for taken in self.taken.range_mut(place..) {
            taken.upto = taken.upto.wrapping_sub(amount).wrapping_add(corrected);
        }
    }

    /// What counts at a time.
    pub(crate) fn used(&self, now: Instant) -> u64 {
        self.ever().wrapping_sub(self.upto(self.expired(now)))
    }

    /// When no more than `most` will have been taken, an amount included.
    pub(crate) fn room_at(&self, amount: u64, most: u64, now: Instant) -> Instant {
        let (room, ever) = (most.saturating_sub(amount), self.ever());
        if ever.wrapping_sub(self.gone) <= room {
            return now;
        }
        // The first with no more than the room taken after it: it must be a minute old.
        let place = self.taken.partition_point(|taken| ever.wrapping_sub(taken.upto) > room);
        self.taken.get(place).map_or(now, |taken| now.max(taken.last + LENGTH))
    }

    /// How much may be taken by a time with no more than `most` in any minute.
    pub(crate) fn room_by(&self, most: u64, until: Instant, now: Instant) -> u64 {
        let time = until.saturating_duration_since(now).as_nanos();
        let (whole, begun) = (time / LENGTH.as_nanos(), time % LENGTH.as_nanos());
        let first = now + Duration::from_nanos(u64::try_from(begun).unwrap_or(u64::MAX));
        let later = most.saturating_mul(u64::try_from(whole).unwrap_or(u64::MAX));
        most.saturating_sub(self.used(first)).saturating_add(later)
    }

    /// When the oldest of what counts no longer does; none when nothing counts.
    pub(crate) fn frees_at(&self, now: Instant) -> Option<Instant> {
        self.taken.get(self.expired(now)).map(|taken| taken.last + LENGTH)
    }

    fn expired(&self, now: Instant) -> usize {
        self.taken.partition_point(|taken| taken.last + LENGTH <= now)
    }

    /// All that was ever taken, up to and with so many entries.
    fn upto(&self, entries: usize) -> u64 {
        let last = entries.checked_sub(1).and_then(|last| self.taken.get(last));
        last.map_or(self.gone, |taken| taken.upto)
    }

    fn ever(&self) -> u64 {
        self.upto(self.taken.len())
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
        Take(u64),
        Correct(usize, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => (0_u64..400).prop_map(Step::Wait),
            1 => (0_u64..70_000).prop_map(Step::Wait),
            5 => (0_u64..20).prop_map(Step::Take),
            2 => (0_usize..12, 0_u64..30).prop_map(|(which, spent)| Step::Correct(which, spent)),
        ];
        proptest::collection::vec(step, 1..300)
    }

    /// The naive model: a list of all that was ever taken. What counts lies between what was taken in the
    /// last minute and what was taken in that and a group's time before.
    fn between(list: &[(Instant, u64)], now: Instant) -> (u64, u64) {
        let within = |length: Duration| {
            list.iter().filter(|(at, _)| now < *at + length).map(|(_, amount)| amount).sum()
        };
        (within(LENGTH), within(LENGTH + GROUP))
    }

    proptest! {
        #[test]
        fn a_minute_agrees_with_a_list(steps in steps(), most in 1_u64..200) {
            let (mut minute, mut list, mut now) = (Minute::default(), Vec::new(), epoch());
            for step in steps {
                match step {
                    Step::Wait(millis) => now += Duration::from_millis(millis),
                    Step::Take(amount) => {
                        minute.take(amount, now);
                        list.push((now, amount));
                    }
                    Step::Correct(back, spent) => {
                        let latest = list.len().checked_sub(back + 1).and_then(|place| list.get_mut(place));
                        if let Some((at, amount)) = latest {
                            minute.correct(*at, *amount, spent);
                            *amount = spent;
                        }
                    }
                }
                let (least, highest) = between(&list, now);
                let used = minute.used(now);
                prop_assert!((least..=highest).contains(&used), "{least} {used} {highest}");
                prop_assert!(minute.taken.len() <= 242, "{}", minute.taken.len());
                let ready_at = minute.room_at(1, most, now);
                prop_assert!(minute.used(ready_at) < most);
                prop_assert!(ready_at == now || minute.used(ready_at - Duration::from_nanos(1)) >= most);
            }
        }
    }

    #[test]
    fn what_is_a_minute_old_counts_no_more_and_is_not_corrected_either() {
        let mut minute = Minute::default();
        minute.take(10, epoch());
        let later = epoch() + Duration::from_secs(30);
        minute.take(5, later);
        assert_eq!(minute.room_at(6, 20, later), epoch() + LENGTH);
        assert_eq!(minute.room_at(1_000, 20, later), later + LENGTH, "more than ever fits waits for all");
        minute.correct(epoch(), 10, 2);
        assert_eq!(minute.used(later), 7);
        let old = epoch() + LENGTH;
        minute.take(1, old);
        minute.correct(epoch(), 2, 50);
        assert_eq!(minute.used(old), 6);
        assert_eq!(minute.used(old + LENGTH), 0);
    }

    #[test]
    fn a_clock_that_steps_back_frees_nothing() {
        let mut minute = Minute::default();
        let now = epoch() + Duration::from_secs(90);
        minute.take(3, now);
        minute.take(4, now - Duration::from_secs(60));
        assert_eq!((minute.used(now), minute.used(now - Duration::from_secs(80))), (7, 7));
        assert_eq!(minute.used(now + LENGTH), 0);
    }
}
