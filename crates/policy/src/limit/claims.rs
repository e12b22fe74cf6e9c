//! Decides how much of what is left in a minute is kept for better classes: what they took lately says how much
//! they will need until more becomes free; never who is better.

use std::time::{Duration, Instant};

use crate::identity::Class;

/// What was taken lately is counted by two halves of this length, of which the older one leaves at once.
const HALF: Duration = Duration::from_secs(30);
/// So many times as often as lately the better may come: with twice, what is urgent waits up to a tenth longer under
/// an overload of `low`, with three times half of that.
const TIMES: u128 = 3;
/// What came in less than this tells no rate.
const MEASURABLE: Duration = Duration::from_secs(5);

/// What each class has taken lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    /// When the newer half began; none while nothing was taken.
    began: Option<Instant>,
    newer: Taken,
    /// None before there was one.
    older: Option<Taken>,
}

/// By class, the best first.
type Taken = [u64; 4];

/// What is left of a minute, and when more of it becomes free.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    pub(crate) room: u64,
    pub(crate) frees_at: Instant,
}

/// What better classes took since a time, which lies that long before what is counted `from`.
struct Claim {
    amount: u64,
    from: Instant,
    lead: Duration,
}

impl Claims {
    /// A class takes an amount.
    pub(crate) fn take(&mut self, class: Class, amount: u64, now: Instant) {
        let age = self.began.map(|began| now.saturating_duration_since(began));
        if age.is_none_or(|age| age >= HALF) {
            let just_passed = age.filter(|age| *age < HALF * 2).map(|_| self.newer);
            // A time in which nothing was taken is known as well as another.
            self.older = age.map(|_| just_passed.unwrap_or_default());
            self.newer = Taken::default();
            self.began = Some(now);
        }
        let [urgent, high, normal, low] = &mut self.newer;
        let taken = match class {
            Class::Urgent => urgent,
            Class::High => high,
            Class::Normal => normal,
            Class::Low => low,
        };
        *taken = taken.saturating_add(amount);
    }

    /// Whether better classes have any.
    pub(crate) fn are_before(&self, class: Class) -> bool {
        let has_any = |taken: &Taken| taken_before(class, taken) > 0;
        has_any(&self.newer) || self.older.as_ref().is_some_and(has_any)
    }

    /// From when on what is left is more than better classes will need until more becomes free, if they take nothing
    /// before: what they took lately weighs less from moment to moment.
    pub(crate) fn spare_at(&self, class: Class, left: Left, now: Instant) -> Instant {
        let Some(began) = self.began else { return now };
        let newer = taken_before(class, &self.newer);
        let forgotten_at = began + HALF;
        let Some(older) = self.older.filter(|_| now < forgotten_at) else {
            return Claim { amount: newer, from: began, lead: Duration::ZERO }.spare_at(left).max(now);
        };
        let amount = newer.saturating_add(taken_before(class, &older));
        let spare_at = Claim { amount, from: began, lead: HALF }.spare_at(left).max(now);
        if spare_at < forgotten_at {
            return spare_at;
        }
        Claim { amount: newer, from: began, lead: Duration::ZERO }.spare_at(left).max(forgotten_at)
    }
}

fn taken_before(class: Class, taken: &Taken) -> u64 {
    Class::ALL.iter().zip(taken).filter(|(theirs, _)| **theirs < class).map(|(_, taken)| taken).sum()
}

impl Claim {
    /// The first moment from which on its rate, `TIMES` over since they come by chance, takes no more than is left until
    /// more becomes free. With a rate over `lead` and the time `t` since `from`, that is where `t` and the time that the
    /// room lasts, `(lead + t) * room / (amount * TIMES)`, reach together to `frees_at`.
    fn spare_at(&self, left: Left) -> Instant {
        let (room, taken) = (u128::from(left.room), u128::from(self.amount).saturating_mul(TIMES));
        if taken == 0 {
            return self.from;
        }
        let missing = left.frees_at.saturating_duration_since(self.from).as_nanos().saturating_mul(taken);
        let time = missing.saturating_sub(room.saturating_mul(self.lead.as_nanos())) / (taken + room);
        // A rate over less than is measurable counts as one over that.
        let lasts = nanos(MEASURABLE.as_nanos().saturating_mul(room) / taken);
        let at_least = left.frees_at.checked_sub(lasts).unwrap_or(self.from);
        at_least.min(self.from + nanos(time))
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    fn at(millis: u64) -> Instant {
        epoch() + Duration::from_millis(millis)
    }

    fn claims(takes: &[(u64, Class, u64)]) -> Claims {
        let mut claims = Claims::default();
        for (millis, class, amount) in takes {
            claims.take(*class, *amount, at(*millis));
        }
        claims
    }

    /// Takes, at seconds, by classes; then from when on a class may have some of 12 that are left until the 60th second.
    #[track_caller]
    fn check(takes: &[(u64, Class, u64)], class: Class, second: u64, expected: u64) {
        let takes: Vec<_> =
            takes.iter().map(|(second, class, amount)| (second * 1000, *class, *amount)).collect();
        let left = Left { room: 12, frees_at: at(60_000) };
        let spare_at = claims(&takes).spare_at(class, left, at(second * 1000));
        assert_eq!(spare_at.duration_since(epoch()).as_secs(), expected, "{takes:?} {class:?} {second}");
    }

    #[test]
    fn only_better_classes_have_a_claim() {
        let takes =
            [(0, Class::Urgent, 1), (1, Class::High, 11), (2, Class::Normal, 108), (3, Class::Low, 4000)];
        check(&takes, Class::Urgent, 10, 10);
        check(&takes, Class::High, 10, 12);
        check(&takes, Class::Normal, 10, 45);
        check(&takes, Class::Low, 10, 58);
        check(&[], Class::Low, 3, 3);
    }

    #[test]
    fn what_was_taken_long_ago_claims_nothing() {
        let takes = [(0, Class::Urgent, 6), (31, Class::Urgent, 2)];
        check(&takes[..1], Class::Low, 29, 36);
        check(&takes[..1], Class::Low, 59, 59);
        check(&takes, Class::Low, 32, 40);
        check(&[(0, Class::Urgent, 600), (31, Class::Low, 2)], Class::Low, 32, 59);
    }

    /// Whether a class may have some at a moment, as the rule says it.
    fn is_spare(claims: &Claims, class: Class, left: Left, now: Instant) -> bool {
        let Some(began) = claims.began else { return true };
        let age = now.saturating_duration_since(began);
        let older = claims.older.filter(|_| age < HALF);
        let amount =
            taken_before(class, &claims.newer) + older.map_or(0, |older| taken_before(class, &older));
        let time = (age + older.map_or(Duration::ZERO, |_| HALF)).max(MEASURABLE);
        let lasts = time.as_secs_f64() * f64::from(u32::try_from(left.room).expect("small"));
        let until = left.frees_at.saturating_duration_since(now).as_secs_f64();
        amount == 0 || until * 3.0 * f64::from(u32::try_from(amount).expect("small")) <= lasts
    }

    proptest! {
        #[test]
        fn the_first_moment_is_found(
            mut takes in proptest::collection::vec((0_u64..60_000, proptest::sample::select(Class::ALL.to_vec()), 1_u64..20), 0..12),
            class in proptest::sample::select(Class::ALL.to_vec()),
            room in 0_u64..60,
            wait in 0_u64..60_000,
        ) {
            takes.sort_by_key(|(millis, ..)| *millis);
            let last = takes.last().map_or(0, |(millis, ..)| *millis);
            let (claims, now) = (claims(&takes), last + wait / 10);
            let left = Left { room, frees_at: at(now + wait) };
            let found = claims.spare_at(class, left, at(now));
            for millis in (now..now + wait).step_by(100).take_while(|millis| at(*millis) < found) {
                prop_assert!(!is_spare(&claims, class, left, at(millis)), "{millis} before {found:?}");
            }
            let exactly = found + Duration::from_micros(1);
            prop_assert!(found > left.frees_at || is_spare(&claims, class, left, exactly), "{found:?}");
        }
    }
}
