//! Leads requests as common routers do, to have something to be compared with; knows nothing of policy.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use protocol::FailureKind;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Asked, Ended, Order, Router};
use crate::At;
use crate::provider::{Health, MINUTE, Said};
use crate::run::Visible;
use crate::scenario::Scenario;

/// How a router of this kind chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choosing {
    /// By lot, in proportion to the requests a minute that were written down.
    ByLot,
    /// Whoever was used least in this minute of the clock, below what was written down.
    LeastUsed,
    /// One after the other.
    InTurn,
}

/// How often a pool is tried again after a failure, as these routers do when nothing is configured.
const RETRIES: u32 = 2;

/// How long a backend is left out.
const LEFT_OUT: Duration = Duration::from_secs(5);

/// Failures within a minute after which a backend is left out; a 429 is enough by itself.
const FAILURES: usize = 3;

/// A router without a queue: it chooses, calls, and tries again a little later.
pub(super) struct Baseline {
    choosing: Choosing,
    retries: u32,
    backends: Vec<Backend>,
    /// Pools in order.
    pools: Vec<&'static str>,
    rng: SmallRng,
    turn: usize,
    open: HashMap<usize, Open>,
    /// Those that try again at a time.
    again: BTreeSet<(At, usize)>,
}

struct Backend {
    pool: &'static str,
    rpm: u32,
    tpm: Option<u64>,
    left_out_until: At,
    failures: Vec<At>,
    minute: u64,
    requests: u32,
    tokens: u64,
}

#[derive(Clone, Copy)]
struct Open {
    pool: usize,
    tries: u32,
    tokens: u64,
}

/// Why a try did not lead to an answer.
#[derive(Clone, Copy)]
struct Setback {
    visible: Visible,
    retry_after: Option<Duration>,
}

impl Baseline {
    pub(super) fn shuffle(scenario: &Scenario, seed: u64) -> Self {
        Self::new(Choosing::ByLot, RETRIES, scenario, seed)
    }

    pub(super) fn usage(scenario: &Scenario, seed: u64) -> Self {
        Self::new(Choosing::LeastUsed, RETRIES, scenario, seed)
    }

    pub(super) fn unlimited(scenario: &Scenario, seed: u64) -> Self {
        Self::new(Choosing::InTurn, 0, scenario, seed)
    }

    fn new(choosing: Choosing, retries: u32, scenario: &Scenario, seed: u64) -> Self {
        let backends = scenario.providers.iter().map(|provider| Backend {
            pool: provider.pool,
            rpm: provider.told.rpm,
            tpm: provider.told.tpm,
            left_out_until: Duration::ZERO,
            failures: Vec::new(),
            minute: 0,
            requests: 0,
            tokens: 0,
        });
        let pools = ["primary", "fallback"].into_iter();
        let is_used = |pool: &&str| scenario.providers.iter().any(|provider| provider.pool == *pool);
        Self {
            choosing,
            retries,
            backends: backends.collect(),
            pools: pools.filter(is_used).collect(),
            rng: SmallRng::seed_from_u64(seed),
            turn: 0,
            open: HashMap::new(),
            again: BTreeSet::new(),
        }
    }

    fn attempt(&mut self, number: usize, now: At, orders: &mut Vec<Order>) {
        let Some(open) = self.open.get_mut(&number) else { return };
        open.tries += 1;
        let open = *open;
        let pool = self.pools[open.pool];
        let wanted = |backend: &Backend| backend.pool == pool && backend.left_out_until <= now;
        let fitting: Vec<usize> =
            (0..self.backends.len()).filter(|index| wanted(&self.backends[*index])).collect();
        match self.choose(&fitting, open.tokens, now) {
            Some(provider) => {
                self.backends[provider].used(open.tokens, now);
                orders.push(Order::Call { number, provider, pause: Duration::ZERO });
            }
            None => {
                let setback = Setback { visible: Visible::Limited, retry_after: None };
                self.failed(number, setback, now, orders);
            }
        }
    }

    fn choose(&mut self, fitting: &[usize], tokens: u64, now: At) -> Option<usize> {
        match self.choosing {
            Choosing::InTurn => {
                self.turn += 1;
                fitting.get(self.turn % fitting.len().max(1)).copied()
            }
            Choosing::ByLot => {
                let weight = |index: &usize| u64::from(self.backends[*index].rpm.max(1));
                let all: u64 = fitting.iter().map(weight).sum();
                let mut lot = (all > 0).then(|| self.rng.random_range(0..all))?;
                fitting.iter().copied().find(|index| {
                    let hit = lot < weight(index);
                    lot = lot.saturating_sub(weight(index));
                    hit
                })
            }
            Choosing::LeastUsed => {
                let minute = now.as_secs() / 60;
                let used = |index: &usize| self.backends[*index].usage(minute);
                let below = |index: &&usize| {
                    let (backend, (requests, used)) = (&self.backends[**index], used(index));
                    (backend.rpm == 0 || requests < backend.rpm)
                        && backend.tpm.is_none_or(|tpm| used + tokens <= tpm)
                };
                fitting.iter().filter(below).min_by_key(|index| (used(index).1, used(index).0)).copied()
            }
        }
    }

    /// Tries again a little later, then in the next pool, then gives up.
    fn failed(&mut self, number: usize, setback: Setback, now: At, orders: &mut Vec<Order>) {
        let pools = self.pools.len();
        let Some(open) = self.open.get_mut(&number) else { return };
        if open.tries <= self.retries {
            let doubled = Duration::from_millis(500) * 2_u32.pow(open.tries - 1);
            let own = doubled.mul_f64(0.75 + 0.25 * self.rng.random::<f64>());
            let pause = setback.retry_after.filter(|wait| *wait <= MINUTE).unwrap_or(own);
            self.again.insert((now + pause, number));
        } else if self.retries > 0 && open.pool + 1 < pools {
            (open.pool, open.tries) = (open.pool + 1, 0);
            self.again.insert((now, number));
        } else {
            self.open.remove(&number);
            orders.push(Order::Fail { number, visible: setback.visible });
        }
    }
}

impl Router for Baseline {
    fn arrived(&mut self, asked: Asked<'_>, now: At, orders: &mut Vec<Order>) {
        let tokens = asked.request.prompt + asked.request.output_max;
        self.open.insert(asked.number, Open { pool: 0, tries: 0, tokens });
        self.attempt(asked.number, now, orders);
    }

    fn accepted(&mut self, _: Asked<'_>, _: At, _: &mut Vec<Order>) {}

    fn heard(&mut self, _: Asked<'_>, _: Said, _: At, _: &mut Vec<Order>) {}

    fn ended(&mut self, asked: Asked<'_>, ended: Ended, now: At, orders: &mut Vec<Order>) {
        let Some(failure) = ended.failure else {
            self.open.remove(&asked.number);
            return;
        };
        let is_limit = failure == FailureKind::RateLimited;
        if self.choosing != Choosing::InTurn {
            let backend = &mut self.backends[ended.provider];
            backend.failures.retain(|at| *at + MINUTE > now);
            backend.failures.push(now);
            if is_limit || backend.failures.len() >= FAILURES {
                backend.left_out_until = now + ended.retry_after.unwrap_or(LEFT_OUT);
            }
        }
        let visible = if is_limit { Visible::Limited } else { Visible::Failed };
        self.failed(asked.number, Setback { visible, retry_after: ended.retry_after }, now, orders);
    }

    fn found(&mut self, _: usize, _: Health, _: At, _: &mut Vec<Order>) {}

    fn tick(&mut self, now: At, orders: &mut Vec<Order>) {
        while let Some((_, number)) = self.again.first().copied().filter(|(at, _)| *at <= now) {
            self.again.pop_first();
            self.attempt(number, now, orders);
        }
    }

    fn next_tick(&mut self) -> Option<At> {
        self.again.first().map(|(at, _)| *at)
    }
}

impl Backend {
    fn used(&mut self, tokens: u64, now: At) {
        let minute = now.as_secs() / 60;
        (self.requests, self.tokens) = self.usage(minute);
        self.minute = minute;
        self.requests += 1;
        self.tokens += tokens;
    }

    fn usage(&self, minute: u64) -> (u32, u64) {
        if self.minute == minute { (self.requests, self.tokens) } else { (0, 0) }
    }
}
