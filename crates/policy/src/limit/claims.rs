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

/// What classes better than one take: an amount in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    amount: u64,
    time: Duration,
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

    /// What classes better than this one take; none when they take nothing.
    pub(crate) fn before(&self, class: Class, now: Instant) -> Option<Claim> {
        let age = now.saturating_duration_since(self.began?);
        let sum = |taken: &Taken| -> u64 {
            Class::ALL.iter().zip(taken).filter(|(theirs, _)| **theirs < class).map(|(_, taken)| taken).sum()
        };
        let newer = sum(&self.newer);
        let older = self.older.as_ref().filter(|_| age < HALF).map(|older| (sum(older), HALF));
        let (older, time) = older.unwrap_or_default();
        let amount = newer.saturating_add(older);
        let claim = Claim { amount, time: (age + time).max(MEASURABLE) };
        (claim.amount > 0).then_some(claim)
    }
}

impl Claim {
    /// How long it takes until so much is claimed, at least: they come by chance, and so may come `TIMES` as often.
    pub(crate) fn time_for(self, room: u64) -> Duration {
        let amount = u128::from(self.amount.max(1)) * TIMES;
        let nanos = self.time.as_nanos().saturating_mul(u128::from(room)) / amount;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    /// Takes, at seconds, by classes; then what is claimed before a class at a second: so much in so many seconds.
    #[track_caller]
    fn check(takes: &[(u64, Class, u64)], class: Class, second: u64, expected: Option<(u64, u64)>) {
        let mut claims = Claims::default();
        let at = |second| epoch() + Duration::from_secs(second);
        for (second, class, amount) in takes {
            claims.take(*class, *amount, at(*second));
        }
        let claim = claims.before(class, at(second)).map(|claim| (claim.amount, claim.time.as_secs()));
        assert_eq!(claim, expected, "{takes:?} {class:?} {second}");
    }

    #[test]
    fn only_better_classes_have_a_claim() {
        let takes =
            [(0, Class::Urgent, 1), (1, Class::High, 20), (2, Class::Normal, 300), (3, Class::Low, 4000)];
        check(&takes, Class::Urgent, 10, None);
        check(&takes, Class::High, 10, Some((1, 10)));
        check(&takes, Class::Normal, 10, Some((21, 10)));
        check(&takes, Class::Low, 10, Some((321, 10)));
        check(&takes, Class::Low, 3, Some((321, 5)));
        check(&[], Class::Low, 3, None);
    }

    #[test]
    fn what_was_taken_long_ago_claims_nothing() {
        let takes = [(0, Class::Urgent, 6), (31, Class::Urgent, 2)];
        check(&takes[..1], Class::Low, 29, Some((6, 29)));
        check(&takes[..1], Class::Low, 59, Some((6, 59)));
        check(&takes, Class::Low, 41, Some((8, 40)));
        check(&takes, Class::Low, 61, Some((2, 30)));
        check(&[(0, Class::Urgent, 6), (200, Class::Urgent, 2)], Class::Low, 210, Some((2, 40)));
    }

    #[test]
    fn a_claim_says_how_long_room_lasts() {
        let claim = Claim { amount: 12, time: Duration::from_secs(60) };
        assert_eq!(claim.time_for(9), Duration::from_secs(15));
        assert_eq!(claim.time_for(0), Duration::ZERO);
        assert_eq!(claim.time_for(u64::MAX), Duration::from_nanos(u64::MAX));
    }
}
