//! Decides which of the backends that could start an attempt wins it, by strategy and affinity; never whether
//! one could.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::super::state::BackendState;
use super::{Moment, Pick};
use crate::catalog::Candidate;
use crate::schedule::{Bid, Load, Strategy, mix};

/// The contests that one walk over a tier's candidates decides: the strategy's own, a second one where the
/// strategy compares two, and the one for home.
pub(super) struct Contests<'a> {
    one: Contest<'a>,
    other: Option<Contest<'a>>,
    homes: Option<Homes<'a>>,
    cold_cache: Duration,
}

/// The two highest bidders for a key: its home, and where it goes when that is no good.
struct Homes<'a> {
    key: u64,
    among: Among,
    /// The price at which they are, where only the cheapest bid.
    cost_place: u32,
    first: Option<(Bid, Leader<'a>)>,
    second: Option<Leader<'a>>,
    /// What must be outbid to be one of the two.
    least: Bid,
    /// What the one looked at bids, if it would be one of them.
    offered: Option<Bid>,
}

/// Which backends may be home.
#[derive(Clone, Copy)]
enum Among {
    All,
    /// Those at the least price.
    Cheapest,
}

impl Among {
    /// Whom a strategy leaves a choice. None, where it promises an order of its own.
    fn of(strategy: Strategy) -> Option<Self> {
        match strategy {
            Strategy::LeastInFlight | Strategy::Weighted | Strategy::Latency => Some(Self::All),
            Strategy::Cost => Some(Self::Cheapest),
            Strategy::RoundRobin | Strategy::Priority => None,
        }
    }
}

/// Who leads a contest.
#[derive(Clone, Copy)]
pub(super) struct Leader<'a> {
    pub(super) pick: Pick,
    pub(super) candidate: &'a Candidate,
    pub(super) backend: &'a BackendState,
}

struct Contest<'a> {
    measure: Measure,
    leader: Option<Leader<'a>>,
    /// Where the leader stands.
    load: Load,
    /// What the leader bid, where bids are compared.
    bid: Bid,
    /// What the one looked at bids, if it would lead.
    offered: Bid,
    leads: bool,
}

/// What a contest compares.
#[derive(Clone, Copy)]
enum Measure {
    Load,
    Turn,
    Cost,
    Order,
    Lot(u64),
}

impl<'a> Contests<'a> {
    pub(super) fn new(strategy: Strategy, moment: &Moment) -> Self {
        let (one, other) = match strategy {
            Strategy::LeastInFlight => (Measure::Load, None),
            Strategy::RoundRobin => (Measure::Turn, None),
            Strategy::Weighted => (Measure::Lot(moment.lot), None),
            Strategy::Latency => (Measure::Lot(moment.lot), Some(Measure::Lot(mix(moment.lot)))),
            Strategy::Cost => (Measure::Cost, None),
            Strategy::Priority => (Measure::Order, None),
        };
        Self {
            one: Contest::by(one),
            other: other.map(Contest::by),
            homes: moment.affinity.zip(Among::of(strategy)).map(|(key, among)| Homes::of(key, among)),
            cold_cache: moment.cold_cache,
        }
    }

    /// Whether this one would lead any of them.
    pub(super) fn has_leader_in(&mut self, candidate: &Candidate, backend: &BackendState) -> bool {
        let is_home = self.homes.as_mut().is_some_and(|homes| homes.look(candidate, backend));
        let leads_other = self.other.as_mut().is_some_and(|other| other.look(candidate, backend));
        self.one.look(candidate, backend) | leads_other | is_home
    }

    /// The one last looked at can start: it leads where it would.
    pub(super) fn accept(&mut self, leader: Leader<'a>) {
        for contest in std::iter::once(&mut self.one).chain(&mut self.other).filter(|contest| contest.leads) {
            (contest.leader, contest.load, contest.bid) =
                (Some(leader), leader.backend.load(), contest.offered);
        }
        if let Some(homes) = &mut self.homes {
            homes.accept(leader);
        }
    }

    /// All that lead one of them.
    pub(super) fn leaders(&self) -> impl Iterator<Item = &Leader<'a>> {
        let homes = self.homes.iter().flat_map(Homes::both);
        std::iter::once(&self.one)
            .chain(&self.other)
            .filter_map(|contest| contest.leader.as_ref())
            .chain(homes)
    }

    /// Who gets the attempt: home, or the second home, unless it began later of late than another by more than a
    /// cold cache costs there; else the strategy's choice, and of two that were drawn the one expected to begin
    /// sooner. All of them can start it now, so what they do besides says nothing against home.
    pub(super) fn winner(self, model: u64, now: Instant) -> Option<Pick> {
        let wait = |leader: &Leader<'a>| leader.backend.wait(model, now);
        let pace = |leader: &Leader<'a>| leader.backend.pace(model, now);
        let best = match (self.one.leader, self.other.and_then(|other| other.leader)) {
            (Some(one), Some(other)) if wait(&other) < wait(&one) => other,
            (one, _) => one?,
        };
        let homes = self.homes.iter().flat_map(Homes::both);
        let homes: SmallVec<[(Duration, Pick); 2]> =
            homes.map(|leader| (pace(leader), leader.pick)).collect();
        let Some(soonest) = homes.iter().map(|(pace, _)| *pace).min() else { return Some(best.pick) };
        let worth = soonest.min(pace(&best)).saturating_add(self.cold_cache);
        let home = homes.into_iter().find(|(pace, _)| *pace <= worth);
        Some(home.map_or(best.pick, |(_, pick)| pick))
    }
}

impl<'a> Homes<'a> {
    fn of(key: u64, among: Among) -> Self {
        Self { key, among, cost_place: u32::MAX, first: None, second: None, least: Bid::NONE, offered: None }
    }

    fn cost_place(&self, candidate: &Candidate) -> u32 {
        match self.among {
            Among::All => 0,
            Among::Cheapest => candidate.cost_place,
        }
    }

    fn look(&mut self, candidate: &Candidate, backend: &BackendState) -> bool {
        self.offered = match self.cost_place(candidate).cmp(&self.cost_place) {
            Ordering::Less => backend.bid(Bid::NONE, self.key),
            Ordering::Equal => backend.bid(self.least, self.key),
            Ordering::Greater => None,
        };
        self.offered.is_some()
    }

    fn accept(&mut self, leader: Leader<'a>) {
        let Some(bid) = self.offered.take() else { return };
        let cost_place = self.cost_place(leader.candidate);
        if cost_place < self.cost_place {
            *self = Self { cost_place, ..Self::of(self.key, self.among) };
        }
        let second = match self.first {
            Some((first, _)) if first >= bid => Some((bid, leader)),
            Some(_) | None => self.first.replace((bid, leader)),
        };
        (self.least, self.second) = second.map_or((Bid::NONE, None), |(bid, leader)| (bid, Some(leader)));
    }

    fn both(&self) -> impl Iterator<Item = &Leader<'a>> {
        self.first.iter().map(|(_, first)| first).chain(&self.second)
    }
}

impl Contest<'_> {
    fn by(measure: Measure) -> Self {
        let load = Load { in_flight: 0, weight: 1, last_lease: 0 };
        Self { measure, leader: None, load, bid: Bid::NONE, offered: Bid::NONE, leads: false }
    }

    fn look(&mut self, candidate: &Candidate, backend: &BackendState) -> bool {
        self.leads = match (self.measure, &self.leader) {
            (Measure::Lot(key), _) => {
                let offered = backend.bid(self.bid, key);
                self.offered = offered.unwrap_or(Bid::NONE);
                offered.is_some()
            }
            (Measure::Load | Measure::Turn | Measure::Cost | Measure::Order, None) => true,
            (Measure::Load, Some(_)) => backend.load().is_less_than(self.load),
            (Measure::Turn, Some(_)) => backend.load().waited_longer_than(self.load),
            (Measure::Cost, Some(leader)) => match candidate.cost_place.cmp(&leader.candidate.cost_place) {
                Ordering::Less => true,
                Ordering::Equal => backend.load().is_less_than(self.load),
                Ordering::Greater => false,
            },
            (Measure::Order, Some(_)) => false,
        };
        self.leads
    }
}
