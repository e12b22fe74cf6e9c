//! Decides who is let in now, who waits for it and who is refused; never where it goes then.

use std::time::Instant;

use super::super::asks::{Admission, Admitted, Grant, Granted, KeySlot, Refused, RefusedReason};
use super::{Newcomer, Queue, RETRY_AFTER_GUESS, State, at};
use crate::limit::{Bucket, InFlight, Lineup};

/// Those waiting to be let in, one line for each key: one whose key has no room does not hold up the others.
/// Each brings the ceiling of its key as it knew it.
pub(in crate::live) type AdmissionQueue = Lineup<KeySlot, Option<u32>>;

impl State {
    pub(in crate::live) fn admit(&mut self, ask: Admission, now: Instant) -> Admitted {
        match self.enter(&ask, now) {
            Ok(admitted) => admitted,
            Err(refused) => {
                self.board.refused(refused.reason, now);
                Admitted::Refused(refused)
            }
        }
    }

    fn enter(&mut self, ask: &Admission, now: Instant) -> Result<Admitted, Refused> {
        let starts = self.caller_has_room(ask.key, ask.concurrency) && self.in_flight.has_room();
        let deadline = self.patience(ask.class, ask.deadline, now);
        if !starts && deadline <= now {
            return Err(self.refuse_admission(ask.key, ask.concurrency));
        }
        self.check_key_rate(ask, now)?;
        if starts {
            self.take_key_rate(ask, now);
            self.admitted(ask.key);
            return Ok(Admitted::Now);
        }
        let newcomer = Newcomer {
            class: ask.class,
            caller: ask.key,
            bytes: ask.bytes,
            deadline,
            waits_for: Queue::Admission,
        };
        let full = Refused { reason: RefusedReason::QueueFull, retry_after: RETRY_AFTER_GUESS };
        let id = self.make_place(&newcomer, now).ok_or(full)?;
        self.take_key_rate(ask, now);
        self.admission.push(id, self.entry(&newcomer, (ask.key, ask.concurrency), now));
        if self.caller_has_room(ask.key, ask.concurrency) {
            // It waits for a place in the whole, which any end may bring.
            self.admission.open_demand(&ask.key);
        }
        Ok(Admitted::Wait(id))
    }

    pub(in crate::live) fn discharge(&mut self, key: KeySlot, now: Instant) -> Vec<Grant> {
        // Given back twice, it is not given back again: the process count would run below what is true.
        let ended = self.counts_mut(key).all(|counts| counts.in_flight.ended());
        if ended {
            self.in_flight.ended();
        }
        if self.admission.is_empty() && self.outbox.is_empty() {
            return Vec::new();
        }
        match self.team_of(key) {
            None => self.admission.open_demand(&key),
            // What its team has free again, any key of the team may wait for.
            Some(team) => {
                let keys = &self.keys;
                self.admission
                    .open_where(|other| keys.get(at(other.0)).is_some_and(|key| key.team == Some(team)));
            }
        }
        let mut grants = self.take_outbox();
        self.serve_admission(now, &mut grants);
        grants
    }

    pub(super) fn serve_admission(&mut self, now: Instant, grants: &mut Vec<Grant>) {
        self.admission.age(now);
        while self.in_flight.has_room() {
            let Some(next) = self.admission.next() else { return };
            let (waiter, line, key, ceiling) = (next.id, next.line, *next.demand, *next.what);
            if !self.caller_has_room(key, ceiling) {
                self.admission.close(line, None);
                continue;
            }
            let place = self.waiters.leave(waiter).expect("everyone queued has a place");
            let what = if place.deadline <= now {
                self.admission.remove(waiter);
                let refused = self.refuse_admission(key, ceiling);
                self.board.refused(refused.reason, now);
                Granted::Refused(refused)
            } else {
                self.admission.serve(waiter);
                self.admitted(key);
                Granted::Admitted(key)
            };
            grants.push(Grant { waiter, what });
        }
    }

    /// Refuses those who wait to be let in past their deadline; those who wait for a backend are
    /// [`Self::serve_routing`]'s.
    pub(super) fn expire_admission(&mut self, now: Instant, grants: &mut Vec<Grant>) {
        while let Some(waiter) = self.waiters.expired(now) {
            self.waiters.leave(waiter);
            let Some((key, ceiling)) = self.admission.remove(waiter) else { continue };
            let refused = self.refuse_admission(key, ceiling);
            self.board.refused(refused.reason, now);
            grants.push(Grant { waiter, what: Granted::Refused(refused) });
        }
    }

    fn admitted(&mut self, key: KeySlot) {
        self.in_flight.started();
        self.counts_mut(key).for_each(|counts| counts.in_flight.started());
        self.board.accepted_total += 1;
    }

    /// Which ceiling is in the way: the key's own or its team's, if that has no room even now.
    fn refuse_admission(&self, key: KeySlot, ceiling: Option<u32>) -> Refused {
        let reason = if self.caller_has_room(key, ceiling) {
            RefusedReason::Backpressure
        } else {
            RefusedReason::ConcurrencyLimited
        };
        Refused { reason, retry_after: RETRY_AFTER_GUESS }
    }

    fn check_key_rate(&self, ask: &Admission, now: Instant) -> Result<(), Refused> {
        let ready_at = |bucket: &Option<Box<Bucket>>, amount| {
            bucket.as_ref().map_or(now, |bucket| bucket.ready_at(amount, now))
        };
        let ready = self
            .counts(ask.key)
            .map(|counts| ready_at(&counts.rate, 1).max(ready_at(&counts.tokens, ask.tokens)));
        let ready_at = ready.max().unwrap_or(now);
        let retry_after = ready_at.saturating_duration_since(now);
        if retry_after.is_zero() {
            return Ok(());
        }
        Err(Refused { reason: RefusedReason::RateLimited, retry_after })
    }

    fn take_key_rate(&mut self, ask: &Admission, now: Instant) {
        for counts in self.counts_mut(ask.key) {
            for (bucket, amount) in [(&mut counts.rate, 1), (&mut counts.tokens, ask.tokens)] {
                if let Some(bucket) = bucket {
                    bucket.spend(amount, now);
                }
            }
        }
    }

    /// Whether a key may have one more in flight, under the ceiling that the ask came with and that of its team.
    fn caller_has_room(&self, key: KeySlot, ceiling: Option<u32>) -> bool {
        let mut counts = self.counts(key).map(|counts| &counts.in_flight);
        let own = counts.next().map_or(0, InFlight::count);
        ceiling.is_none_or(|ceiling| own < ceiling) && counts.all(InFlight::has_room)
    }
}
