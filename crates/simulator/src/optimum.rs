//! Decides how many requests could be answered at best, and for how little, by one who knows all that is
//! hidden and all that comes; never how.
//!
//! It is an upper bound, found as a largest flow. Each request flows from its arrival to a second in which
//! it may start, from there to a provider in that second, and from there through ever longer spans of
//! time, each with room for at most as many starts as any schedule could make in it:
//!
//! - requests a minute: as the provider counts, see `starts_by_rate`;
//! - tokens a minute: as many as fit when only the smallest of those that could start then do;
//! - requests at once: all but the last `concurrency` starts of a span end within it, so the shortest of
//!   those that could start then fill it.
//!
//! Every rule is a consequence of the provider's own, so no schedule is better; some bounds are not
//! reachable, so a share of the optimum is, if anything, too small. Where all clients wait equally long, a
//! closer bound is known: see `alike`.

mod alike;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use policy::millis;

use crate::At;
use crate::flow::Network;
use crate::provider::{MINUTE, neighbour};
use crate::scenario::{Limits, Provider, Scenario, TroubleKind, Window};
use crate::traffic::{Request, WAY_MAX};

/// Spans that limit starts, in seconds, each a multiple of the one before; the last covers every run.
const SPANS: [u64; 7] = [1, 5, 60, 120, 240, 960, 7_680];

/// What could be done at best.
#[derive(Debug, Clone)]
pub struct Optimum {
    /// Requests that could be answered.
    pub answered: u64,
    /// For each price, cheapest first: how many could be answered by those that cost at most that.
    by_price: Vec<(f64, u64)>,
    cold: Cold,
}

/// What cannot be in any cache.
#[derive(Debug, Clone, Default)]
struct Cold {
    /// How many requests each conversation has, the longest first.
    conversations: Vec<u64>,
    /// The least that an answer costs more when it is not in a cache.
    price: f64,
}

impl Cold {
    fn of(scenario: &Scenario, requests: &[Request]) -> Self {
        let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
        for conversation in requests.iter().filter_map(|request| request.conversation) {
            *sizes.entry(conversation).or_default() += 1;
        }
        let mut conversations: Vec<u64> = sizes.into_values().collect();
        conversations.sort_unstable();
        conversations.reverse();
        let spared = scenario.providers.iter().map(|one| one.price - warm_price(one));
        Self { conversations, price: spared.reduce(f64::min).unwrap_or(0.0) }
    }

    /// The least that so many answers cost more than if all were in caches: the first of each conversation is not,
    /// and fewest conversations have so many answers when those are the longest.
    fn least(&self, answers: u64) -> f64 {
        let mut left = answers;
        let begun = self.conversations.iter().take_while(|size| {
            let is_needed = left > 0;
            left = left.saturating_sub(**size);
            is_needed
        });
        begun.count() as f64 * self.price
    }
}

/// The least that an answer of a provider costs.
fn warm_price(provider: &Provider) -> f64 {
    provider.price * provider.cache.map_or(1.0, |cache| cache.price.min(1.0))
}

impl Optimum {
    /// The bound for these requests.
    ///
    /// # Panics
    /// When the scenario is longer than any span.
    #[must_use]
    pub fn of(scenario: &Scenario, requests: &[Request], seed: u64) -> Self {
        let mut prices: Vec<f64> = scenario.providers.iter().map(warm_price).collect();
        prices.sort_by(f64::total_cmp);
        prices.dedup();
        let by_price: Vec<(f64, u64)> = prices
            .into_iter()
            .map(|price| {
                let flow = Bound::new(scenario, requests, seed).most(price);
                let exact = alike::most(scenario, requests, price);
                (price, exact.map_or(flow, |exact| exact.min(flow)))
            })
            .collect();
        let answered = by_price.last().map_or(0, |(_, answered)| *answered);
        Self { answered, by_price, cold: Cold::of(scenario, requests) }
    }

    /// The least that so many answers cost.
    #[must_use]
    pub fn cheapest(&self, answers: u64) -> f64 {
        let (mut spend, mut done) = (self.cold.least(answers), 0);
        for (price, most) in &self.by_price {
            let here = answers.min(*most).saturating_sub(done);
            spend += *price * here as f64;
            done += here;
        }
        spend
    }
}

struct Bound<'a> {
    scenario: &'a Scenario,
    requests: &'a [Request],
    seed: u64,
    /// The second after the last in which anything may start.
    end: u64,
    network: Network,
    source: usize,
    sink: usize,
}

impl<'a> Bound<'a> {
    fn new(scenario: &'a Scenario, requests: &'a [Request], seed: u64) -> Self {
        let end = requests.iter().map(|request| latest(request).as_secs() + 1).max().unwrap_or(0);
        assert!(SPANS.last().is_some_and(|longest| end < *longest), "a scenario lasts two hours at most");
        let mut network = Network::default();
        let (source, sink) = (network.node(), network.node());
        Self { scenario, requests, seed, end, network, source, sink }
    }

    /// The most that can be answered by providers that cost at most `price`.
    fn most(mut self, price: f64) -> u64 {
        let seconds: Vec<usize> = (0..self.end).map(|_| self.network.node()).collect();
        let mut groups: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for request in self.requests {
            *groups.entry((request.at.as_secs(), latest(request).as_secs())).or_default() += 1;
        }
        for ((from, until), count) in groups {
            let group = self.network.node();
            self.network.edge(self.source, group, count);
            for second in from..=until {
                self.network.edge(group, seconds[index(second)], count);
            }
        }
        for (number, provider) in (0_u64..).zip(&self.scenario.providers) {
            if warm_price(provider) <= price {
                self.add(provider, number, &seconds);
            }
        }
        self.network.most(self.source, self.sink)
    }

    /// A provider: a tree of spans, from single seconds to the whole.
    fn add(&mut self, provider: &Provider, number: u64, seconds: &[usize]) {
        // Spans begin where the provider's own minutes do.
        let shift = match provider.window {
            Window::Fixed { offset } => 60 - offset.as_secs() % 60,
            Window::Sliding | Window::Bucket { .. } => 0,
        };
        let theirs = Theirs {
            provider,
            neighbour: neighbour(provider, number, self.scenario.length, self.seed),
            requests: self.requests,
        };
        let mut below: BTreeMap<u64, usize> = BTreeMap::new();
        for (second, node) in (0..).zip(seconds) {
            let leaf = self.network.node();
            self.network.edge(*node, leaf, u64::MAX / 4);
            below.insert(second + shift, leaf);
        }
        let mut inner = 1;
        for length in SPANS {
            let mut spans: BTreeMap<u64, usize> = BTreeMap::new();
            for (begins, node) in below {
                let begins = begins * inner / length;
                let span = *spans.entry(begins).or_insert_with(|| self.network.node());
                self.network.edge(node, span, u64::MAX / 4);
            }
            below = BTreeMap::new();
            for (number, node) in spans {
                let from = (number * length).saturating_sub(shift);
                let until = ((number + 1) * length - shift).min(self.end.max(1));
                let out = self.network.node();
                self.network.edge(node, out, theirs.starts(from, until));
                below.insert(number, out);
            }
            inner = length;
        }
        for node in below.into_values() {
            self.network.edge(node, self.sink, u64::MAX / 4);
        }
    }
}

/// A provider's room for starts.
struct Theirs<'a> {
    provider: &'a Provider,
    /// When its unseen neighbour calls.
    neighbour: Vec<At>,
    requests: &'a [Request],
}

impl Theirs<'_> {
    /// How many of the requests can start between two seconds at most.
    fn starts(&self, from: u64, until: u64) -> u64 {
        let (begins, ends) = (Duration::from_secs(from), Duration::from_secs(until));
        if self.is_dead(begins, ends) {
            return 0;
        }
        let limits = self.loosest(begins, ends);
        let length = ends.saturating_sub(begins);
        let by_rate = limits.rpm.map(|rpm| self.starts_by_rate(begins, ends, rpm));
        let by_tokens = limits.tpm.map(|tpm| {
            let tokens = self.possible(begins, ends).map(|request| request.prompt + request.output);
            as_many_as_fit(tokens.collect(), self.tokens_in(length, tpm))
        });
        let by_places = limits.concurrency.map(|places| {
            let pace = &self.provider.pace;
            let times = self.possible(begins, ends).map(|request| {
                let (_, time) = pace.call(request.slowness, request.output);
                millis(time)
            });
            let places = u64::from(places);
            places + as_many_as_fit(times.collect(), places * millis(length))
        });
        [by_rate, by_tokens, by_places].into_iter().flatten().min().unwrap_or(u64::MAX / 4)
    }

    /// Sliding: see `starts_by_sliding`. Fixed: the limit, in the provider's own minute. Bucket: what it held at
    /// first and what came since.
    fn starts_by_rate(&self, begins: At, ends: At, rpm: u32) -> u64 {
        match self.provider.window {
            Window::Sliding => self.starts_by_sliding(begins, ends),
            Window::Fixed { .. } if ends.saturating_sub(begins) > MINUTE => u64::MAX / 4,
            Window::Fixed { .. } => u64::from(rpm),
            Window::Bucket { burst } => u64::from(burst) + self.refill(begins, ends),
        }
    }

    /// As many as start when each does as soon as the provider allows. No schedule starts its n-th sooner: the
    /// one that holds it back, so many before it, started no sooner either.
    fn starts_by_sliding(&self, begins: At, ends: At) -> u64 {
        let (mut starts, mut recent, mut now) = (0, VecDeque::new(), begins);
        while now < ends {
            while recent.front().is_some_and(|at| *at + MINUTE <= now) {
                recent.pop_front();
            }
            let neighbours = self.neighbours_until(now) - self.neighbours_until_a_minute_before(now);
            let most = self.provider.limits_at(now).rpm.map_or(usize::MAX, |rpm| index(rpm.into()));
            if recent.len() + neighbours < most {
                recent.push_back(now);
                starts += 1;
                continue;
            }
            let own = recent.front().map(|at| *at + MINUTE);
            let oldest = self.neighbour.get(self.neighbours_until_a_minute_before(now));
            let changes = self.provider.limits.iter().map(|(at, _)| *at).filter(|at| now < *at);
            let next = own.into_iter().chain(oldest.map(|at| *at + MINUTE)).chain(changes).min();
            now = next.unwrap_or(ends);
        }
        starts
    }

    /// How often the neighbour has called.
    fn neighbours_until(&self, at: At) -> usize {
        self.neighbour.partition_point(|call| *call <= at)
    }

    fn neighbours_until_a_minute_before(&self, at: At) -> usize {
        self.neighbour.partition_point(|call| *call + MINUTE <= at)
    }

    /// What comes into the provider's bucket between these times.
    fn refill(&self, begins: At, ends: At) -> u64 {
        let limits = &self.provider.limits;
        let until = limits.iter().skip(1).map(|(at, _)| *at).chain([Duration::MAX]);
        let phases = limits.iter().zip(until).map(|((from, limits), until)| {
            let time = ends.min(until).saturating_sub(begins.max(*from));
            u64::from(limits.rpm.unwrap_or(0)) * millis(time)
        });
        phases.sum::<u64>() / 60_000
    }

    fn tokens_in(&self, length: Duration, tpm: u64) -> u64 {
        match self.provider.window {
            Window::Sliding | Window::Fixed { .. } => tpm * length.as_secs().div_ceil(60),
            Window::Bucket { .. } => tpm + tpm * length.as_secs() / 60,
        }
    }

    /// Whether nothing can be answered by a call made between these times.
    fn is_dead(&self, begins: At, ends: At) -> bool {
        self.provider.troubles.iter().any(|trouble| {
            let is_dead = match trouble.kind {
                TroubleKind::Errors(share) => share >= 1.0,
                TroubleKind::Hangs
                | TroubleKind::Refuses
                | TroubleKind::Revoked
                | TroubleKind::RevokedUnseen => true,
                TroubleKind::Slow(_) => false,
            };
            is_dead && trouble.from <= begins && ends <= trouble.until
        })
    }

    /// The loosest limits in force at any time between.
    fn loosest(&self, begins: At, ends: At) -> Limits {
        let changes = self.provider.limits.iter().map(|(at, _)| *at).filter(|at| begins < *at && *at < ends);
        let mut all = changes.chain([begins]).map(|at| self.provider.limits_at(at));
        let first = all.next().unwrap_or_default();
        all.fold(first, |loosest, limits| Limits {
            rpm: loosest.rpm.zip(limits.rpm).map(|(one, other)| one.max(other)),
            tpm: loosest.tpm.zip(limits.tpm).map(|(one, other)| one.max(other)),
            concurrency: loosest.concurrency.zip(limits.concurrency).map(|(one, other)| one.max(other)),
        })
    }

    /// Those that might start between these times.
    fn possible(&self, begins: At, ends: At) -> impl Iterator<Item = &Request> {
        let come = self.requests.partition_point(|request| request.at < ends);
        self.requests[..come].iter().filter(move |request| latest(request) >= begins)
    }
}

/// When a call for it may reach a provider at the latest.
fn latest(request: &Request) -> At {
    request.deadline + WAY_MAX
}

/// How many of these fit into so much, the smallest first.
fn as_many_as_fit(mut sizes: Vec<u64>, most: u64) -> u64 {
    sizes.sort_unstable();
    let mut sum = 0;
    let fitting = sizes.iter().take_while(|size| {
        sum += **size;
        sum <= most
    });
    u64::try_from(fitting.count()).unwrap_or(u64::MAX)
}

fn index(second: u64) -> usize {
    usize::try_from(second).expect("runs are short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conversation_begins_cold_and_fewest_are_begun() {
        let cold = Cold { conversations: vec![3, 2, 1], price: 0.5 };
        for (answers, begun) in [(0, 0.0), (1, 1.0), (3, 1.0), (4, 2.0), (6, 3.0), (7, 3.0)] {
            assert!((cold.least(answers) - begun * 0.5).abs() < 1e-9, "{answers}");
        }
    }
}
