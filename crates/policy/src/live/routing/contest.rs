//! Decides which of the backends that could start an attempt wins it, by strategy and affinity; never whether
//! one could.

use std::time::Duration;

use smallvec::SmallVec;

use super::super::state::BackendState;
use super::{Moment, Pick};
use crate::catalog::Candidate;
use crate::schedule::{Bid, Strategy, mix};

/// The contests that one walk over a tier's candidates decides: the strategy's own; a second one, where the
/// strategy compares two; and the one for home.
pub(super) struct Contests<'a> {
    of: SmallVec<[Contest<'a>; 3]>,
    has_home: bool,
    cold_cache: Duration,
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
        of.extend(moment.affinity.map(|key| Contest::by(Measure::Lot(key))));
        Self { of, has_home: moment.affinity.is_some(), cold_cache: moment.cold_cache }
    }

    /// Whether this one would lead any of them.
    pub(super) fn has_leader_in(&mut self, candidate: &Candidate, backend: &BackendState) -> bool {
        let mut any = false;
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
    }

    /// Who gets the attempt: home, unless it is expected to begin later than the other by more than a cold
    /// cache costs there; else, of two that were drawn, the one expected to begin sooner.
    pub(super) fn winner(self, wait: impl Fn(&Leader<'a>) -> Duration) -> Option<Pick> {
        let mut leaders = self.of.iter().filter_map(|contest| contest.leader);
        let home = if self.has_home { leaders.next_back() } else { None };
        let best = match (leaders.next(), leaders.next()) {
            (Some(one), Some(other)) if wait(&other) < wait(&one) => Some(other),
            (one, _) => one,
        };
        match (home, best) {
            (Some(home), Some(best)) if home.pick.backend != best.pick.backend => {
                let at_home = wait(&home) <= wait(&best).saturating_add(self.cold_cache);
                Some(if at_home { home.pick } else { best.pick })
            }
            (home, best) => best.or(home).map(|leader| leader.pick),
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
