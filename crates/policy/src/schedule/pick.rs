//! Decides which of the backends that could start a request gets it; never whether one could.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// How a pool spreads its requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The backend with the fewest requests in flight for its weight; among equals the one that waited longest.
    #[default]
    LeastInFlight,
    /// The backend that waited longest.
    RoundRobin,
}

impl Strategy {
    /// All, for messages and schemas.
    pub const ALL: [Self; 2] = [Self::LeastInFlight, Self::RoundRobin];

    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeastInFlight => "least_in_flight",
            Self::RoundRobin => "round_robin",
        }
    }

    /// The strategy of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// What a strategy compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests in flight.
    pub(crate) in_flight: u32,
    /// Share among equals, at least 1.
    pub(crate) weight: u32,
    /// The number of the last lease it got, of all leases ever.
    pub(crate) last_lease: u64,
}

/// Whether `one` goes before `other`. A total order without ties between different backends that were
/// ever leased, so no lot need be drawn and every replay picks the same.
pub(crate) fn better(strategy: Strategy, one: Load, other: Load) -> bool {
    let waited = one.last_lease.cmp(&other.last_lease);
    let order = match strategy {
        Strategy::RoundRobin => waited,
        Strategy::LeastInFlight => {
            let share = |load: Load, by: Load| u64::from(load.in_flight) * u64::from(by.weight.max(1));
            share(one, other).cmp(&share(other, one)).then(waited)
        }
    };
    order == Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy as Generator, prop_assert, prop_assert_eq, proptest};

    #[derive(Debug, Clone, Copy)]
    struct Fake {
        in_flight: u32,
        weight: u32,
        last_lease: u64,
    }

    fn pick(strategy: Strategy, fakes: &[Fake]) -> usize {
        let load = |fake: &Fake| Load {
            in_flight: fake.in_flight,
            weight: fake.weight,
            last_lease: fake.last_lease,
        };
        let mut best = 0;
        for (index, fake) in fakes.iter().enumerate() {
            if better(strategy, load(fake), load(&fakes[best])) {
                best = index;
            }
        }
        best
    }

    fn fakes() -> impl Generator<Value = Vec<Fake>> {
        let fake =
            (0_u32..20, 1_u32..5).prop_map(|(in_flight, weight)| Fake { in_flight, weight, last_lease: 0 });
        proptest::collection::vec(fake, 1..12)
    }

    proptest! {
        #[test]
        fn least_in_flight_has_the_smallest_share(fakes in fakes()) {
            let best = fakes[pick(Strategy::LeastInFlight, &fakes)];
            for fake in &fakes {
                let (one, other) = (best.in_flight * fake.weight, fake.in_flight * best.weight);
                prop_assert!(one <= other);
            }
        }

        #[test]
        fn round_robin_visits_all_before_any_again(mut fakes in fakes(), rounds in 1_u64..5) {
            let count = fakes.len();
            let mut visits = vec![0_u64; count];
            for lease in 1..=rounds * u64::try_from(count).expect("few") {
                let best = pick(Strategy::RoundRobin, &fakes);
                fakes[best].last_lease = lease;
                visits[best] += 1;
            }
            prop_assert!(visits.iter().all(|visited| *visited == rounds));
        }

        #[test]
        fn equals_under_least_in_flight_take_turns(count in 1_usize..12) {
            let mut fakes = vec![Fake { in_flight: 0, weight: 1, last_lease: 0 }; count];
            for (lease, expected) in (1_u64..).zip((0..count).cycle().take(3 * count)) {
                let best = pick(Strategy::LeastInFlight, &fakes);
                prop_assert_eq!(best, expected);
                fakes[best].last_lease = lease;
            }
        }
    }
}
