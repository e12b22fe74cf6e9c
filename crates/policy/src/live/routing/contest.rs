//! Decides which of the backends that could start an attempt wins it, by strategy and affinity; never whether
//! one could.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::super::state::BackendState;
use super::{Moment, Pick};
use crate::catalog::Candidate;
use crate::schedule::{Bid, Strategy, mix};

/// The contests that one walk over a tier's candidates decides: the strategy's own, a second one where the
/// strategy compares two, and the one for home.
pub(super) struct Contests<'a> {
    of: SmallVec<[Contest<'a>; 2]>,
    homes: Option<Homes<'a>>,
    cold_cache: Duration,
}

/// The two highest bidders for a key: its home, and where it goes when that is no good.
struct Homes<'a> {
    key: u64,
    first: Option<(Bid, Leader<'a>)>,
    second: Option<(Bid, Leader<'a>)>,
    /// What the one looked at bids, if it would be one of the two.
    offered: Option<Bid>,
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
    /// What the leader bid, where bids are compared.
    bid: Option<Bid>,
    /// What the one looked at bids, if it would lead.
    offered: Option<Bid>,
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
        let mut of = SmallVec::new();
        match strategy {
            Strategy::LeastInFlight => of.push(Contest::by(Measure::Load)),
            Strategy::RoundRobin => of.push(Contest::by(Measure::Turn)),
            Strategy::Weighted => of.push(Contest::by(Measure::Lot(moment.lot))),
            Strategy::Latency => {
                of.push(Contest::by(Measure::Lot(moment.lot)));
                of.push(Contest::by(Measure::Lot(mix(moment.lot))));
            }
            Strategy::Cost => of.push(Contest::by(Measure::Cost)),
            Strategy::Priority => of.push(Contest::by(Measure::Order)),
        }
        let homes = moment.affinity.map(|key| Homes { key, first: None, second: None, offered: None });
        Self { of, homes, cold_cache: moment.cold_cache }
    }

    /// Whether this one would lead any of them.
    pub(super) fn has_leader_in(&mut self, candidate: &Candidate, backend: &BackendState) -> bool {
        let mut any = self.homes.as_mut().is_some_and(|homes| homes.look(backend));
        for contest in &mut self.of {
            any |= contest.look(candidate, backend);
        }
        any
    }

    /// The one last looked at can start: it leads where it would.
    pub(super) fn accept(&mut self, leader: Leader<'a>) {
        for contest in self.of.iter_mut().filter(|contest| contest.leads) {
            contest.leader = Some(leader);
            contest.bid = contest.offered;
        }
        if let Some(homes) = &mut self.homes {
            homes.accept(leader);
        }
    }

    /// Who gets the attempt: home, or the second home, unless it began later of late than another by more than a
    /// cold cache costs there; else the strategy's choice, and of two that were drawn the one expected to begin
    /// sooner. All of them can start it now, so what they do besides says nothing against home.
    pub(super) fn winner(self, model: u64, now: Instant) -> Option<Pick> {
        let wait = |leader: &Leader<'a>| leader.backend.wait(model, now);
        let pace = |leader: &Leader<'a>| leader.backend.pace(model, now);
        let mut leaders = self.of.iter().filter_map(|contest| contest.leader);
        let best = match (leaders.next(), leaders.next()) {
            (Some(one), Some(other)) if wait(&other) < wait(&one) => other,
            (one, _) => one?,
        };
        let homes = self.homes.iter().flat_map(|homes| homes.first.iter().chain(&homes.second));
        let homes: SmallVec<[(Duration, Pick); 2]> =
            homes.map(|(_, leader)| (pace(leader), leader.pick)).collect();
        let Some(soonest) = homes.iter().map(|(pace, _)| *pace).min() else { return Some(best.pick) };
        let worth = soonest.min(pace(&best)).saturating_add(self.cold_cache);
        let home = homes.into_iter().find(|(pace, _)| *pace <= worth);
        Some(home.map_or(best.pick, |(_, pick)| pick))
    }
}

impl<'a> Homes<'a> {
    fn look(&mut self, backend: &BackendState) -> bool {
        self.offered = backend.bid(self.second.map(|(bid, _)| bid), self.key);
        self.offered.is_some()
    }

    fn accept(&mut self, leader: Leader<'a>) {
        let Some(bid) = self.offered.take() else { return };
        if self.first.is_none_or(|(first, _)| first < bid) {
            self.second = self.first.replace((bid, leader));
        } else {
            self.second = Some((bid, leader));
        }
    }
}

impl Contest<'_> {
    fn by(measure: Measure) -> Self {
        Self { measure, leader: None, bid: None, offered: None, leads: false }
    }

    fn look(&mut self, candidate: &Candidate, backend: &BackendState) -> bool {
        self.leads = match (self.measure, &self.leader) {
            (Measure::Lot(key), _) => {
                self.offered = backend.bid(self.bid, key);
                self.offered.is_some()
            }
            (Measure::Load | Measure::Turn | Measure::Cost | Measure::Order, None) => true,
            (Measure::Load, Some(leader)) => backend.load().is_less_than(leader.backend.load()),
            (Measure::Turn, Some(leader)) => backend.load().waited_longer_than(leader.backend.load()),
            (Measure::Cost, Some(leader)) => match candidate.cost_place.cmp(&leader.candidate.cost_place) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => backend.load().is_less_than(leader.backend.load()),
                std::cmp::Ordering::Greater => false,
            },
            (Measure::Order, Some(_)) => false,
        };
        self.leads
    }
}
