//! Decides which attempt gets which backend, and which waits or is refused; never whether it is let in.

use std::time::{Duration, Instant};

use super::super::asks::{Grant, Granted, Leased, Refused, RefusedReason, Slot, Want};
use super::super::board::EventKind;
use super::super::routing::{Choice, Demand, Later, Left, Moment, Pick, Waiting, choose};
use super::{Queue, RETRY_AFTER_GUESS, State, at};
use crate::limit::{Place, WaiterId};
use crate::schedule::{Permit, Standing};

impl State {
    pub(in crate::live) fn lease(&mut self, want: Want, now: Instant) -> Leased {
        // Whoever waits and could have started since the last tick goes first.
        if self.routing.wake_at().is_some_and(|wake_at| wake_at <= now) {
            let mut grants = self.take_outbox();
            self.serve_routing(now, &mut grants);
            self.outbox_since = (!grants.is_empty()).then_some(now);
            self.outbox = grants;
        }
        let demand = Demand::of(&want);
        let moment = self.moment(now, want.deadline);
        let refused = match choose(&self.backends, &demand, moment) {
            Choice::Start(pick) => return Leased::Now(self.start(pick, &demand, want.tokens, now)),
            Choice::Later(later) if later.possible_at < want.deadline => {
                let place = Place { bytes: want.bytes, deadline: want.deadline, waits_for: Queue::Routing };
                if let Some(id) = self.waiters.enter(place) {
                    let waiting = Waiting { tokens: want.tokens, deadline: want.deadline };
                    self.routing.push(id, demand, waiting, later.wake_at);
                    return Leased::Wait(id);
                }
                Refused { reason: RefusedReason::QueueFull, retry_after: until(later, now) }
            }
            Choice::Later(later) => too_late(later, now),
            Choice::Never(reason) => Refused { reason, retry_after: RETRY_AFTER_GUESS },
        };
        self.board.refused(refused.reason, now);
        Leased::Refused(refused)
    }

    /// Gives backends to those who wait, the oldest first, until nobody who waits can start; afterwards
    /// nobody waits past its deadline. At that last moment a backend it has been to is better than none.
    pub(super) fn serve_routing(&mut self, now: Instant, grants: &mut Vec<Grant>) {
        self.routing.unblock();
        while let Some((index, line)) = self.routing.oldest() {
            let Some((id, waiting)) = line.waiters.first_key_value().map(|(id, waiting)| (*id, *waiting))
            else {
                return;
            };
            match choose(&self.backends, &line.demand, self.moment(now, waiting.deadline)) {
                Choice::Start(pick) => grants.extend(self.grant(id, pick, now)),
                Choice::Later(later) => {
                    let hopeless = line.gone_by(later.possible_at);
                    self.routing.block(index, later.wake_at);
                    for id in hopeless {
                        grants.extend(self.reconsider(id, now));
                    }
                }
                Choice::Never(reason) => {
                    let ids: Vec<WaiterId> = line.waiters.keys().copied().collect();
                    let refused = Refused { reason, retry_after: RETRY_AFTER_GUESS };
                    for id in ids {
                        self.routing.remove(id);
                        grants.push(self.turn_away(id, refused, now));
                    }
                }
            }
        }
    }

    /// Decides anew for one whose line's next start comes too late for it: a backend it has been to, a
    /// longer wait for one, or a refusal at once.
    fn reconsider(&mut self, id: WaiterId, now: Instant) -> Option<Grant> {
        let left = self.routing.remove(id)?;
        let deadline = left.waiting.deadline;
        let refused = match choose(&self.backends, &left.demand, self.moment(now, deadline)) {
            Choice::Start(pick) => return Some(self.give(id, pick, &left, now)),
            Choice::Later(later) if later.possible_at < deadline => {
                self.routing.push(id, left.demand, left.waiting, later.wake_at);
                return None;
            }
            Choice::Later(later) if deadline <= now => {
                Refused { reason: RefusedReason::QueueTimeout, retry_after: until(later, now) }
            }
            Choice::Later(later) => too_late(later, now),
            Choice::Never(reason) => Refused { reason, retry_after: RETRY_AFTER_GUESS },
        };
        Some(self.turn_away(id, refused, now))
    }

    fn grant(&mut self, id: WaiterId, pick: Pick, now: Instant) -> Option<Grant> {
        let left = self.routing.remove(id)?;
        Some(self.give(id, pick, &left, now))
    }

    /// One who waits gets a backend, and waits no longer.
    fn give(&mut self, id: WaiterId, pick: Pick, left: &Left, now: Instant) -> Grant {
        self.waiters.leave(id);
        Grant { waiter: id, what: Granted::Slot(self.start(pick, &left.demand, left.waiting.tokens, now)) }
    }

    /// One who waits gets none, and waits no longer.
    fn turn_away(&mut self, id: WaiterId, refused: Refused, now: Instant) -> Grant {
        self.waiters.leave(id);
        self.board.refused(refused.reason, now);
        Grant { waiter: id, what: Granted::Refused(refused) }
    }

    fn start(&mut self, pick: Pick, demand: &Demand, tokens: u64, now: Instant) -> Slot {
        self.leases += 1;
        let backend = self.backends.get_mut(at(pick.backend.0)).expect("it was chosen from these");
        if matches!(backend.cooldown.permit(now), Permit::AsProbe) {
            self.board.event(EventKind::CooldownEnded, Some(pick.backend), "one probe goes first", now);
        }
        backend.lease(pick.standing, self.leases, now);
        let record = self.board.record(pick.backend);
        record.requests += 1;
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
            probe: pick.standing == Standing::Probe,
        }
    }

    fn moment(&self, now: Instant, deadline: Instant) -> Moment {
        Moment { now, deadline, spill: self.settings.spill }
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
