//! Leads requests as one would who sees all that is hidden, or who asks all the time, and neither what is to come: what
//! can be asked of a gateway where others use the same accounts; knows nothing of policy.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use protocol::FailureKind;

use super::{Asked, Ended, Order, Router};
use crate::At;
use crate::provider::{Health, MINUTE, Said, neighbour};
use crate::run::Visible;
use crate::scenario::{Provider, Scenario};
use crate::traffic::Request;

/// Before the next call of an account it is known whether the last one was refused.
const HEARD: Duration = Duration::from_millis(200);

/// What a router of this kind goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// What every account has counted, whoever called: it is reached at the moment at which it has room again.
    Counts,
    /// Only when an account says to come back: until it refuses it is called again and again, one call after the other.
    Refusals,
}

/// A router that wastes nothing of what it knows. It goes by requests in any sixty seconds, and by no other limit.
pub(super) struct Seer {
    sight: Sight,
    accounts: Vec<Account>,
    /// Those that wait, the first to have come first.
    queue: VecDeque<Waiting>,
    /// Calls that nothing was heard of yet.
    called: HashMap<usize, Called>,
    wakes_at: Option<At>,
}

struct Waiting {
    number: usize,
    request: Request,
    attempts: u32,
}

struct Called {
    waiting: Waiting,
    account: usize,
    reached: At,
}

struct Account {
    spec: Provider,
    /// What it counts, by time.
    counted: VecDeque<At>,
    /// When it may be called again, by what it said.
    rests_until: At,
    /// When its neighbour calls, the next time last. What is later than now is not looked at.
    neighbour: Vec<At>,
}

impl Seer {
    pub(super) fn of_counts(scenario: &Scenario, seed: u64) -> Self {
        Self::new(Sight::Counts, scenario, seed)
    }

    pub(super) fn of_refusals(scenario: &Scenario, seed: u64) -> Self {
        Self::new(Sight::Refusals, scenario, seed)
    }

    fn new(sight: Sight, scenario: &Scenario, seed: u64) -> Self {
        let accounts = scenario.providers.iter().zip(0_u64..).map(|(spec, number)| {
            let mut neighbour = neighbour(spec, number, scenario.length, seed);
            neighbour.reverse();
            Account { spec: spec.clone(), counted: VecDeque::new(), rests_until: At::ZERO, neighbour }
        });
        let accounts = accounts.collect();
        Self { sight, accounts, queue: VecDeque::new(), called: HashMap::new(), wakes_at: None }
    }

    fn serve(&mut self, now: At, orders: &mut Vec<Order>) {
        self.wakes_at = None;
        while let Some(mut waiting) = self.queue.pop_front() {
            let number = waiting.number;
            if waiting.request.deadline < now {
                orders.push(Order::Fail { number, visible: Visible::TooLate });
                continue;
            }
            let way = waiting.request.way(waiting.attempts + 1);
            let sight = self.sight;
            let free = self.accounts.iter_mut().enumerate().map(|(account, one)| match sight {
                Sight::Counts => (one.free_at(now, now + way), account),
                Sight::Refusals => (one.rests_until.max(now) + way, account),
            });
            let soonest = free.min();
            let (reached, account) = soonest.expect("a scenario has providers");
            if reached > now + way {
                self.wakes_at = Some(reached - way);
                self.queue.push_front(waiting);
                return;
            }
            self.accounts[account].count(reached);
            self.accounts[account].rests_until = now + HEARD;
            waiting.attempts += 1;
            self.called.insert(number, Called { waiting, account, reached });
            orders.push(Order::Call { number, provider: account, pause: At::ZERO });
        }
    }
}

impl Account {
    /// When it has room for a call that cannot reach it before `reaches`, as far as is known now.
    fn free_at(&mut self, now: At, reaches: At) -> At {
        while let Some(at) = self.neighbour.pop_if(|at| *at <= now) {
            self.count(at);
        }
        while self.counted.front().is_some_and(|at| *at + MINUTE <= now) {
            self.counted.pop_front();
        }
        let most =
            self.spec.limits_at(now).rpm.map_or(usize::MAX, |rpm| usize::try_from(rpm).unwrap_or(usize::MAX));
        let freed = self.counted.len().checked_sub(most).and_then(|place| self.counted.get(place));
        freed.map_or(reaches, |freed| reaches.max(*freed + MINUTE))
    }

    fn count(&mut self, at: At) {
        let place = self.counted.partition_point(|counted| *counted <= at);
        self.counted.insert(place, at);
    }
}

impl Router for Seer {
    fn arrived(&mut self, asked: Asked<'_>, now: At, orders: &mut Vec<Order>) {
        let Asked { number, request } = asked;
        self.queue.push_back(Waiting { number, request: request.clone(), attempts: 0 });
        self.serve(now, orders);
    }

    fn accepted(&mut self, _asked: Asked<'_>, _now: At, _orders: &mut Vec<Order>) {}

    fn heard(&mut self, _asked: Asked<'_>, _said: Said, _now: At, _orders: &mut Vec<Order>) {}

    fn ended(&mut self, asked: Asked<'_>, ended: Ended, now: At, orders: &mut Vec<Order>) {
        let Called { waiting, account, reached } = self.called.remove(&asked.number).expect("it was called");
        match ended.failure {
            None => {}
            // The neighbour came while it was on its way.
            Some(FailureKind::RateLimited) => {
                let counted = &mut self.accounts[account].counted;
                if let Some(place) = counted.iter().position(|at| *at == reached) {
                    counted.remove(place);
                }
                let rest = ended.retry_after.unwrap_or_default();
                self.accounts[account].rests_until = self.accounts[account].rests_until.max(now + rest);
                self.queue.push_front(waiting);
            }
            Some(_) => orders.push(Order::Fail { number: asked.number, visible: Visible::Failed }),
        }
        self.serve(now, orders);
    }

    fn found(&mut self, _provider: usize, _health: Health, _now: At, _orders: &mut Vec<Order>) {}

    fn tick(&mut self, now: At, orders: &mut Vec<Order>) {
        self.serve(now, orders);
    }

    fn next_tick(&mut self) -> Option<At> {
        self.wakes_at
    }
}
