//! Decides which attempt gets which backend, and which waits or is refused; never whether it is let in.

use std::time::{Duration, Instant};

use super::super::asks::{BackendId, Grant, Granted, Leased, Refused, RefusedReason, Slot, Want};
use super::super::event::{EventFields, EventKind};
use super::super::routing::{Bounds, Choice, Demand, Later, Moment, Pick, Waiting, choose};
use super::{Comer, Newcomer, Queue, RETRY_AFTER_GUESS, Size, State, Taken, at, draw};
use crate::limit::{Turn, WaiterId};
use crate::schedule::Standing;
use crate::snapshot::QueuePolicy;

impl State {
    pub(in crate::live) fn lease(&mut self, want: Want, now: Instant) -> Leased {
        // Whoever waits and could have started since the last tick goes first.
        if self.keep_pace(now) || self.routing.wake_at().is_some_and(|wake_at| wake_at <= now) {
            let mut grants = self.take_outbox();
            self.serve_routing(now, &mut grants);
            self.outbox_since = (!grants.is_empty()).then_some(now);
            self.outbox = grants;
        }
        let demand = Demand::of(&want);
        let waiting = Waiting::of(&want, self.patience(want.class, want.deadline, now));
        let newcomer = Newcomer {
            class: want.class,
            caller: want.caller,
            bytes: want.bytes,
            deadline: waiting.deadline,
            waits_for: Queue::Routing,
        };
        let moment = self.moment(&waiting, Bounds::All, now);
        let choice = match choose(&self.backends, &demand, moment) {
            Choice::Later(later) => {
                let comer = Comer { demand: &demand, waiting: &waiting, caller: want.caller };
                Choice::Later(self.behind_others(comer, later, now))
            }
            choice @ (Choice::Start(_) | Choice::Never(_)) => choice,
        };
        let found = match choice {
            // One of equal demand that waits needs more than this one: it must not be passed for ever.
            Choice::Start(_) if self.routing.goes_first(&demand, want.class, want.caller) => {
                self.wait(&newcomer, (demand, waiting), Later { possible_at: now, wake_at: None }, now)
            }
            Choice::Start(pick) => Ok(Leased::Now(self.start(pick, &demand, &waiting, now))),
            Choice::Later(later) if later.possible_at < waiting.deadline => {
                self.wait(&newcomer, (demand, waiting), later, now)
            }
            Choice::Later(later) => match self.emergency(&demand, &waiting, now) {
                Some(slot) => Ok(Leased::Now(slot)),
                None => Err(too_late(later, now)),
            },
            Choice::Never(reason) => Err(Refused { reason, retry_after: RETRY_AFTER_GUESS }),
        };
        found.unwrap_or_else(|refused| {
            self.board.refused(refused.reason, now);
            Leased::Refused(refused)
        })
    }

    /// A place in the queue; or what the settings say for when it is full.
    fn wait(
        &mut self,
        newcomer: &Newcomer,
        wanted: (Demand, Waiting),
        later: Later,
        now: Instant,
    ) -> Result<Leased, Refused> {
        let (demand, waiting) = &wanted;
        if let Some(id) = self.make_place(newcomer, now) {
            let entry = self.entry(newcomer, wanted, now);
            self.routing.push(id, entry);
            self.routing.wake_by(id, later.wake_at);
            return Ok(Leased::Wait(id));
        }
        let slot = match self.settings.queue_policy {
            QueuePolicy::Passthrough => self.start_beyond(Bounds::Unrated, demand, waiting, now),
            QueuePolicy::Reject | QueuePolicy::DropLowest => None,
        };
        slot.map(Leased::Now).ok_or_else(|| {
            let comer = Comer { demand, waiting, caller: newcomer.caller };
            let later = Later { possible_at: self.start_of(comer, later, now), ..later };
            Refused { reason: RefusedReason::QueueFull, retry_after: until(later, now) }
        })
    }

    /// Gives backends to those who wait, in order, until nobody whose line is open is left; afterwards nobody
    /// waits past its deadline. At that last moment a backend it has been to is better than none.
    pub(super) fn serve_routing(&mut self, now: Instant, grants: &mut Vec<Grant>) {
        for (id, queue) in self.waiters.all_expired(now) {
            if queue == Queue::Routing {
                self.routing.open_for(id);
            }
        }
        self.routing.open_due(now);
        self.routing.age(now);
        while let Some(next) = self.routing.next_at(now) {
            let (id, line, turn) = (next.id, next.line, next.turn);
            let waiting = next.what.lifted(next.class);
            let moment = Moment::new(&self.settings, draw(&mut self.lots), &waiting, now);
            match choose(&self.backends, next.demand, moment) {
                Choice::Start(pick) => grants.extend(self.give((id, turn), pick, now)),
                Choice::Later(later) => {
                    self.routing.close(line, later.wake_at);
                    for id in self.routing.leaving_by(line, later.possible_at) {
                        grants.extend(self.reconsider(id, now));
                    }
                }
                Choice::Never(reason) => {
                    let refused = Refused { reason, retry_after: RETRY_AFTER_GUESS };
                    for id in self.routing.members(line) {
                        grants.extend(self.turn_away(id, refused, now));
                    }
                }
            }
        }
    }

    /// This backend changed in a way that may concern those who wait.
    pub(super) fn serve_those_who_want(&mut self, backend: BackendId, now: Instant) -> Vec<Grant> {
        self.routing.open_where(|demand| demand.concerns(backend));
        let mut grants = self.take_outbox();
        self.serve_routing(now, &mut grants);
        grants
    }

    /// Decides anew for one whose line's next start comes too late for it: a backend it has been to, a
    /// longer wait for one, an emergency, or a refusal at once.
    fn reconsider(&mut self, id: WaiterId, now: Instant) -> Option<Grant> {
        let found = self.routing.find(id)?;
        let deadline = found.what.deadline;
        let waiting = found.what.lifted(found.class);
        let moment = Moment::new(&self.settings, draw(&mut self.lots), &waiting, now);
        let later = match choose(&self.backends, found.demand, moment) {
            Choice::Start(pick) => return self.give((id, Turn::Due), pick, now),
            Choice::Later(later) if later.possible_at < deadline => {
                self.routing.wake_by(id, later.wake_at);
                return None;
            }
            Choice::Later(later) => later,
            Choice::Never(reason) => {
                return self.turn_away(id, Refused { reason, retry_after: RETRY_AFTER_GUESS }, now);
            }
        };
        let (demand, caller) = (found.demand.clone(), found.caller);
        if let Some(slot) = self.emergency(&demand, &waiting, now) {
            self.routing.serve(id);
            self.waiters.leave(id);
            return Some(Grant { waiter: id, what: Granted::Slot(slot) });
        }
        // Were it to come again, it would be behind all who wait beside it.
        self.routing.remove(id)?;
        self.waiters.leave(id);
        let comer = Comer { demand: &demand, waiting: &waiting, caller };
        let later = Later { possible_at: self.start_of(comer, later, now), ..later };
        let refused = if deadline <= now {
            Refused { reason: RefusedReason::QueueTimeout, retry_after: until(later, now) }
        } else {
            too_late(later, now)
        };
        self.board.refused(refused.reason, now);
        Some(Grant { waiter: id, what: Granted::Refused(refused) })
    }

    /// One who waits gets a backend, and waits no longer.
    fn give(&mut self, (id, turn): (WaiterId, Turn), pick: Pick, now: Instant) -> Option<Grant> {
        let (demand, waiting) = match turn {
            Turn::Due => self.routing.serve(id)?,
            Turn::InAdvance => self.routing.serve_in_advance(id)?,
        };
        self.waiters.leave(id);
        Some(Grant { waiter: id, what: Granted::Slot(self.start(pick, &demand, &waiting, now)) })
    }

    /// One who waits gets none, and waits no longer.
    fn turn_away(&mut self, id: WaiterId, refused: Refused, now: Instant) -> Option<Grant> {
        self.routing.remove(id)?;
        self.waiters.leave(id);
        self.board.refused(refused.reason, now);
        Some(Grant { waiter: id, what: Granted::Refused(refused) })
    }

    /// All backends are spent by our own limits: one of them, within its reserve, if this request has not had
    /// its share of emergencies.
    fn emergency(&mut self, demand: &Demand, waiting: &Waiting, now: Instant) -> Option<Slot> {
        if waiting.emergencies >= self.settings.emergency_tries {
            return None;
        }
        self.start_beyond(Bounds::Reserve, demand, waiting, now)
    }

    fn start_beyond(
        &mut self,
        bounds: Bounds,
        demand: &Demand,
        waiting: &Waiting,
        now: Instant,
    ) -> Option<Slot> {
        let moment = self.moment(waiting, bounds, now);
        match choose(&self.backends, demand, moment) {
            Choice::Start(pick) => Some(self.start(pick, demand, waiting, now)),
            Choice::Later(_) | Choice::Never(_) => None,
        }
    }

    pub(super) fn start(&mut self, pick: Pick, demand: &Demand, waiting: &Waiting, now: Instant) -> Slot {
        self.leases += 1;
        let backend = self.backends.get_mut(at(pick.backend.0)).expect("it was chosen from these");
        let model_mark = demand.model_of(pick.tier).unwrap_or_default();
        let size = Size { model: pick.model, mark: model_mark, portion: waiting.portion() };
        let Taken { mark, tokens, beside } = backend.lease(self.leases, size, now);
        match pick.bounds {
            Bounds::All => {}
            Bounds::Unrated => {
                self.board.fallback_total += 1;
                self.board.event(EventKind::Passthrough, Some(pick.backend), EventFields::default(), now);
            }
            Bounds::Reserve => {
                backend.reserve.take(now);
                self.board.emergency_total += 1;
                self.board.event(EventKind::Emergency, Some(pick.backend), EventFields::default(), now);
            }
        }
        let record = self.board.record(pick.backend);
        record.requests += 1;
        if demand.is_first_attempt()
            && self.settings.hedging.enabled
            && let Some(model) = demand.model_of(pick.tier)
        {
            self.hedges.requested(model, &self.settings.hedging, now);
        }
        if demand.is_first_attempt()
            && let Some(pool) = record.backend.as_ref().map(|backend| &backend.pool)
            && let Some(budget) = self.pools.get_mut(pool)
        {
            budget.requested(now);
        }
        Slot {
            backend: pick.backend,
            tier: pick.tier,
            candidate: pick.candidate,
            tokens,
            estimated: waiting.tokens,
            probe: pick.standing == Standing::Probe,
            emergency: pick.bounds == Bounds::Reserve,
            spent: None,
            lease: self.leases,
            model: pick.model,
            model_mark,
            is_repeat: demand.has_been_to(pick.backend),
            mark,
            beside,
        }
    }

    pub(super) fn moment(&mut self, waiting: &Waiting, bounds: Bounds, now: Instant) -> Moment {
        Moment { bounds, ..Moment::new(&self.settings, draw(&mut self.lots), waiting, now) }
    }
}

fn until(later: Later, now: Instant) -> Duration {
    later.possible_at.saturating_duration_since(now).max(RETRY_AFTER_GUESS)
}

/// Waiting until then would outlast the deadline: because backends rest, or because all are busy and
/// there is no time left to wait for one.
fn too_late(later: Later, now: Instant) -> Refused {
    let reason =
        if later.possible_at > now { RefusedReason::AllPoolsExhausted } else { RefusedReason::QueueTimeout };
    Refused { reason, retry_after: until(later, now) }
}
