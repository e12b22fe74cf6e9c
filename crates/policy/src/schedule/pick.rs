//! Decides which of the backends that could start a request gets it; never whether one could.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// How a pool or a model spreads its requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The backend with the fewest requests in flight for its weight; among equals the one that waited longest.
    #[default]
    LeastInFlight,
    /// The backend that waited longest.
    RoundRobin,
    /// By lot, in proportion to weight.
    Weighted,
    /// Of two drawn by lot, the one that is expected to begin its answer sooner.
    Latency,
    /// The cheapest for the model; among equals as `LeastInFlight`.
    Cost,
    /// The first as they are written.
    Priority,
}

impl Strategy {
    /// All, for messages and schemas.
    pub const ALL: [Self; 6] =
        [Self::LeastInFlight, Self::RoundRobin, Self::Weighted, Self::Latency, Self::Cost, Self::Priority];

    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeastInFlight => "least_in_flight",
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::Latency => "latency",
            Self::Cost => "cost",
            Self::Priority => "priority",
        }
    }

    /// The strategy of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// What is compared of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests in flight.
    pub(crate) in_flight: u32,
    /// Share among equals, at least 1.
    pub(crate) weight: u32,
    /// The number of the last lease it got, of all leases ever.
    pub(crate) last_lease: u64,
}

impl Load {
    /// Whether it has fewer requests in flight for its weight than `other`, or as many and waited longer. A
    /// total order without ties between different backends that were ever leased, so every replay picks
    /// the same.
    pub(crate) fn is_less_than(self, other: Self) -> bool {
        let share = |load: Self, by: Self| u64::from(load.in_flight) * u64::from(by.weight.max(1));
        let order = share(self, other).cmp(&share(other, self));
        order.then(self.last_lease.cmp(&other.last_lease)) == Ordering::Less
    }

    /// Whether it waited longer than `other`.
    pub(crate) fn waited_longer_than(self, other: Self) -> bool {
        self.last_lease < other.last_lease
    }
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

    fn pick(beats: impl Fn(Load, Load) -> bool, fakes: &[Fake]) -> usize {
        let load = |fake: &Fake| Load {
            in_flight: fake.in_flight,
            weight: fake.weight,
            last_lease: fake.last_lease,
        };
        let mut best = 0;
        for (index, fake) in fakes.iter().enumerate() {
            if beats(load(fake), load(&fakes[best])) {
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
            let best = fakes[pick(Load::is_less_than, &fakes)];
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
                let best = pick(Load::waited_longer_than, &fakes);
                fakes[best].last_lease = lease;
                visits[best] += 1;
            }
            prop_assert!(visits.iter().all(|visited| *visited == rounds));
        }

        #[test]
        fn equals_under_least_in_flight_take_turns(count in 1_usize..12) {
            let mut fakes = vec![Fake { in_flight: 0, weight: 1, last_lease: 0 }; count];
            for (lease, expected) in (1_u64..).zip((0..count).cycle().take(3 * count)) {
                let best = pick(Load::is_less_than, &fakes);
                prop_assert_eq!(best, expected);
                fakes[best].last_lease = lease;
            }
        }
    }
}
