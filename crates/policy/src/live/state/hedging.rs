//! Decides whether a second attempt may race one whose first event is late, and on which backend; never makes
//! anybody wait for it, nor lets it pass one who waits.

use std::time::{Duration, Instant};

use super::super::asks::{Slot, Want};
use super::super::routing::{Bounds, Choice, Demand, Pick, Waiting, choose};
use super::State;
use crate::identity::Class;
use crate::schedule::Standing;

impl State {
    /// After how long without a first event a second attempt may be made.
    pub(in crate::live) fn hedge_after(&self, model: u64) -> Option<Duration> {
        let rules = &self.settings.hedging;
        rules.enabled.then(|| self.hedges.patience(model, rules)).flatten()
    }

    /// A backend for a second attempt at the same model: one that the request has not been to, that can start
    /// it now within all its limits, and that nobody waits for.
    pub(in crate::live) fn hedge(&mut self, want: &Want, model: u64, now: Instant) -> Option<Slot> {
        if !self.settings.hedging.enabled || !self.waiters.is_empty() {
            return None;
        }
        let demand = Demand::of(want);
        // What others may need is not for a second attempt.
        let waiting = Waiting::of(want, now).lifted(Class::Low);
        let moment = self.moment(&waiting, Bounds::All, now);
        let Choice::Start(pick) = choose(&self.backends, &demand, moment) else { return None };
        let suits = |pick: &Pick| {
            pick.standing == Standing::Regular
                && !want.tried.contains(&pick.backend)
                && demand.model_of(pick.tier) == Some(model)
        };
        if !suits(&pick) || !self.hedges.take(model) {
            return None;
        }
        self.board.hedge_total += 1;
        Some(self.start(pick, &demand, &waiting, now))
    }
}
