//! Decides how many of requests that wait equally long could be answered at best by providers that count every
//! sixty seconds; never by which provider.
//!
//! Providers that allow so many calls in any sixty seconds allow together no more than the sum of that in any sixty
//! seconds: of one call more, some provider would have allowed two within a minute too many. The bound is that of one
//! provider which allows the sum. There nobody does better than to start, in the order of arrival, each as soon as
//! it is allowed, and to leave out who cannot wait so long:
//!
//! Say that another schedule has started its n-th by a time, and this one only n - 1. The other's start of so many
//! before was no sooner than this one's, so this one could start one more, and all who wait then have been started.
//! At the last time before at which one had to leave, nobody who came later had been started; whoever the other
//! has started since, this one has as well. So the other was ahead at that time already. It was not ahead at first.

use std::time::Duration;

use crate::At;
use crate::provider::MINUTE;
use crate::scenario::{Provider, Scenario, Window};
use crate::traffic::Request;

use super::{index, latest, warm_price};

/// The most that can be answered by providers that cost at most `price`, if it can be told in this way.
pub(super) fn most(scenario: &Scenario, requests: &[Request], price: f64) -> Option<u64> {
    let providers = scenario.providers.iter().filter(|provider| warm_price(provider) <= price);
    let limits: Option<Vec<u64>> = providers.map(sliding).collect();
    let by_patience = requests.is_sorted_by_key(|request| request.at) && requests.is_sorted_by_key(latest);
    let times = requests.iter().map(|request| (request.at, latest(request)));
    by_patience.then_some(started(times, limits?.iter().sum()))
}

/// Its limit by the minute, where it counts every sixty seconds and it never changes. Whatever else limits
/// it, this does.
fn sliding(provider: &Provider) -> Option<u64> {
    match (provider.window, provider.limits.as_slice()) {
        (Window::Sliding, [(_, limits)]) => limits.rpm.map(u64::from),
        (Window::Sliding | Window::Fixed { .. } | Window::Bucket { .. }, _) => None,
    }
}

/// How many of these, each to be started between two times, are started when each is as soon as it is allowed.
fn started(times: impl Iterator<Item = (At, At)>, a_minute: u64) -> u64 {
    let mut starts: Vec<At> = Vec::new();
    for (from, until) in times {
        let before = starts.last().copied().unwrap_or(Duration::ZERO);
        let freed = starts.len().checked_sub(index(a_minute)).and_then(|place| starts.get(place));
        let allowed = freed.map_or(Duration::ZERO, |freed| *freed + MINUTE);
        let start = from.max(before).max(allowed);
        if a_minute > 0 && start <= until {
            starts.push(start);
        }
    }
    u64::try_from(starts.len()).expect("starts are countable")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most of these that can be started, of all choices and orders that start each as soon as it is allowed.
    fn by_trying(times: &[(At, At)], a_minute: usize) -> usize {
        let subsets = 0_u32..1 << times.len();
        let possible = subsets.filter(|subset| {
            let mut starts: Vec<At> = Vec::new();
            let chosen = times.iter().enumerate().filter(|(place, _)| subset & (1 << place) != 0);
            for (_, (from, until)) in chosen {
                let freed = starts.len().checked_sub(a_minute).map(|place| starts[place] + MINUTE);
                let start =
                    freed.unwrap_or_default().max(*from).max(starts.last().copied().unwrap_or_default());
                starts.push(start);
                if start > *until {
                    return false;
                }
            }
            true
        });
        possible.map(|subset| usize::try_from(subset.count_ones()).expect("few")).max().unwrap_or(0)
    }

    #[test]
    fn nobody_does_better_than_to_start_each_as_soon_as_it_is_allowed() {
        use rand::rngs::SmallRng;
        use rand::{Rng, SeedableRng};
        for seed in 0..300 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let a_minute = rng.random_range(1..4);
            let mut arrivals: Vec<u64> = (0..11).map(|_| rng.random_range(0..150)).collect();
            arrivals.sort_unstable();
            let patience = rng.random_range(0..50);
            let seconds = |second| (Duration::from_secs(second), Duration::from_secs(second + patience));
            let times: Vec<(At, At)> = arrivals.into_iter().map(seconds).collect();
            let found = started(times.iter().copied(), a_minute);
            let tried = by_trying(&times, usize::try_from(a_minute).expect("few"));
            assert_eq!(usize::try_from(found).expect("few"), tried, "seed {seed}: {times:?} {a_minute}");
        }
    }
}
