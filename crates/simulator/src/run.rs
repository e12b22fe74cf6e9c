//! Plays requests, providers and one contender against each other in virtual time; takes no side.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::FailureKind;

use crate::At;
use crate::provider::{Health, Reply, Said, Truth};
use crate::router::{Asked, Contender, Ended, Order, Router};
use crate::scenario::Scenario;
use crate::traffic::{Request, WAY_MAX};

/// So many events at one instant, and the contender runs in circles.
const EVENTS_AT_ONCE_MAX: u32 = 200_000;

/// What one contender made of the requests.
#[derive(Debug)]
pub struct Run {
    /// What became of each request, in the order of requests.
    pub fates: Vec<Fate>,
    /// Calls to providers.
    pub calls: u64,
    /// Those that providers refused with a 429.
    pub limited_calls: u64,
    /// What all answers cost.
    pub spend: f64,
    /// Answers whose prompt was in the provider's cache.
    pub warm: u64,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was answered.
    Answered {
        /// From its arrival to the call that was answered.
        waited: Duration,
        /// From its arrival to the first event.
        first_event: Duration,
    },
    /// It was not.
    Failed(Visible),
}

/// What a client sees instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// A 429.
    Limited,
    /// A 503 of the gateway's own: no capacity for as long as the client could wait, as was known at once.
    Refused,
    /// A provider's failure.
    Failed,
    /// Nothing until it was too late.
    TooLate,
}

/// Plays all requests against one contender.
///
/// # Panics
/// When it loses a request, answers one twice or runs in circles.
#[must_use]
pub fn run(scenario: &Scenario, requests: &[Request], contender: Contender, seed: u64) -> Run {
    let mut stage = Stage::new(scenario, requests, seed);
    let mut router = contender.router(scenario, seed);
    stage.play(&mut *router);
    let unanswered = || format!("{} --seed {seed}: {} lost a request", scenario.name, contender.name());
    let fates = std::mem::take(&mut stage.fates)
        .into_iter()
        .map(|fate| fate.unwrap_or_else(|| panic!("{}", unanswered())));
    let Stage { calls, limited_calls, spend, warm, .. } = stage;
    Run { fates: fates.collect(), calls, limited_calls, spend, warm }
}

/// Something that is going to happen.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// A request comes.
    Arrival(usize),
    /// A router's pause before a call is over.
    Call { number: usize, provider: usize },
    /// A call reaches its provider.
    Reach { number: usize, provider: usize, called: At },
    /// The headers of an answer come, with its first event.
    Headers { number: usize, said: Said },
    /// A provider's answer, or its failure, is whole.
    End { number: usize, called: At, provider: usize, reply: Reply },
    /// A provider has answered how it is.
    Health { provider: usize, health: Health },
}

struct Stage<'a> {
    scenario: &'a Scenario,
    requests: &'a [Request],
    providers: Vec<Truth<'a>>,
    /// What is going to happen, by time; what was arranged first goes first.
    due: BTreeMap<(At, u64), Due>,
    arranged: u64,
    attempts: Vec<u32>,
    fates: Vec<Option<Fate>>,
    calls: u64,
    limited_calls: u64,
    spend: f64,
    warm: u64,
}

impl<'a> Stage<'a> {
    fn new(scenario: &'a Scenario, requests: &'a [Request], seed: u64) -> Self {
        let truths = scenario.providers.iter().zip(0_u64..);
        let truths = truths.map(|(spec, number)| Truth::new(spec, number, scenario.length, seed));
        let mut stage = Self {
            scenario,
            requests,
            providers: truths.collect(),
            due: BTreeMap::new(),
            arranged: 0,
            attempts: vec![0; requests.len()],
            fates: vec![None; requests.len()],
            calls: 0,
            limited_calls: 0,
            spend: 0.0,
            warm: 0,
        };
        for (number, request) in requests.iter().enumerate() {
            stage.arrange(request.at, Due::Arrival(number));
        }
        stage
    }

    fn arrange(&mut self, at: At, due: Due) {
        self.arranged += 1;
        self.due.insert((at, self.arranged), due);
    }

    fn play(&mut self, router: &mut dyn Router) {
        let (mut now, mut at_once) = (Duration::ZERO, 0_u32);
        let mut orders = Vec::new();
        while let Some((&(next, _), _)) = self.due.first_key_value() {
            let tick = router.next_tick().map(|tick| tick.max(now)).filter(|tick| *tick <= next);
            let before = now;
            match tick {
                Some(tick) => {
                    now = tick;
                    router.tick(now, &mut orders);
                }
                None => {
                    let ((at, _), due) = self.due.pop_first().expect("it was just looked at");
                    now = at;
                    self.happen(due, now, router, &mut orders);
                }
            }
            at_once = if before == now { at_once + 1 } else { 0 };
            assert!(at_once < EVENTS_AT_ONCE_MAX, "{}: time stands still at {now:?}", self.scenario.name);
            for order in orders.drain(..) {
                self.obey(order, now);
            }
            if self.due.is_empty() {
                self.finish(now, router, &mut orders);
            }
        }
    }

    /// Nothing more comes from outside: those who still wait are left to the router's own clock.
    fn finish(&mut self, mut now: At, router: &mut dyn Router, orders: &mut Vec<Order>) {
        let mut ticks = 0_u32;
        while self.due.is_empty()
            && self.fates.iter().any(Option::is_none)
            && let Some(tick) = router.next_tick()
        {
            now = now.max(tick);
            ticks += 1;
            assert!(ticks < EVENTS_AT_ONCE_MAX, "{}: the last ones wait for ever", self.scenario.name);
            router.tick(now, orders);
            for order in orders.drain(..) {
                self.obey(order, now);
            }
        }
    }

    fn happen(&mut self, due: Due, now: At, router: &mut dyn Router, orders: &mut Vec<Order>) {
        match due {
            Due::Arrival(number) => {
                router.arrived(Asked { number, request: &self.requests[number] }, now, orders);
            }
            Due::Call { number, provider } => self.call(number, provider, now),
            Due::Reach { number, provider, called } => {
                let attempt = self.attempts[number];
                let mut reply = self.providers[provider].call(&self.requests[number], attempt, now);
                self.limited_calls += u64::from(reply.failure == Some(FailureKind::RateLimited));
                let end = now + reply.ends;
                if reply.failure.is_none() {
                    self.arrange(now + reply.after, Due::Headers { number, said: reply.said });
                }
                reply.after += now - called;
                self.arrange(end, Due::End { number, called, provider, reply });
            }
            Due::Headers { number, said } => {
                let asked = Asked { number, request: &self.requests[number] };
                router.accepted(asked, now, orders);
                router.heard(asked, said, now, orders);
            }
            Due::End { number, called, provider, reply } => {
                if reply.holds_place {
                    self.providers[provider].ended();
                }
                let request = &self.requests[number];
                if reply.failure.is_none() {
                    self.spend += reply.price;
                    self.warm += u64::from(reply.is_warm);
                    self.decide(number, answered(request, called, reply));
                }
                let ended = Ended { provider, failure: reply.failure, retry_after: reply.retry_after };
                if reply.failure.is_some() {
                    router.heard(Asked { number, request }, reply.said, now, orders);
                }
                router.ended(Asked { number, request }, ended, now, orders);
            }
            Due::Health { provider, health } => router.found(provider, health, now, orders),
        }
    }

    fn obey(&mut self, order: Order, now: At) {
        match order {
            Order::Call { number, provider, pause } if pause.is_zero() => self.call(number, provider, now),
            Order::Call { number, provider, pause } => {
                self.arrange(now + pause, Due::Call { number, provider });
            }
            Order::Fail { number, visible } => self.decide(number, Fate::Failed(visible)),
            Order::Ask { provider } => {
                let health = self.providers[provider].health(now);
                self.arrange(now + WAY_MAX, Due::Health { provider, health });
            }
        }
    }

    fn call(&mut self, number: usize, provider: usize, now: At) {
        let attempt = &mut self.attempts[number];
        *attempt += 1;
        self.calls += 1;
        let way = self.requests[number].way(*attempt);
        self.arrange(now + way, Due::Reach { number, provider, called: now });
    }

    fn decide(&mut self, number: usize, fate: Fate) {
        let before = self.fates[number].replace(fate);
        assert!(before.is_none(), "{}: request {number} ended twice", self.scenario.name);
    }
}

/// An answer to a call that was made when its client had gone is nobody's.
fn answered(request: &Request, called: At, reply: Reply) -> Fate {
    if called > request.deadline {
        return Fate::Failed(Visible::TooLate);
    }
    let waited = called - request.at;
    Fate::Answered { waited, first_event: waited + reply.after }
}
