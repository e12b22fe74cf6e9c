//! Decides, with everything learned so far, who starts, who waits and who is refused; never waits itself,
//! and never calls anyone while it holds its lock.

mod asks;
mod board;
mod budgets;
mod event;
mod explain;
mod names;
mod probes;
mod routing;
mod state;
mod status;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::Quota;
use rand::RngCore;

pub use asks::{
    Admission, Admitted, BackendId, FailureSummary, Grant, Granted, KeyRate, KeySlot, KeyTokens, Leased,
    ModelId, Outcome, ProbeResult, Probed, Purpose, Refused, RefusedReason, Slot, Want,
};
pub use event::{Event, EventFields, EventKind};
pub use explain::{CandidateVerdict, Decision, Explanation, Verdict};
pub use probes::{ProbeStatus, Reach};
pub use status::{BackendStatus, Health, ModelStatus, QueueStatus, Status, Told, WaitingByClass};

use crate::catalog::Tier;
use crate::limit::WaiterId;
use crate::money::BudgetBook;
use crate::snapshot::Snapshot;
use state::State;

/// What the data plane has learned: who is in flight and who waits, buckets, cooldowns, breakers.
///
/// One short mutex around pure parts. Whoever was waiting and may now start, or is refused, is returned
/// as a [`Grant`] from the very call that made it so; the caller hands it over.
pub struct Live {
    state: Mutex<State>,
    budgets: Mutex<BudgetBook>,
    is_due_sooner: AtomicBool,
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// Nothing learned, nothing adopted: every lease is refused until a snapshot is.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            budgets: Mutex::new(BudgetBook::default()),
            is_due_sooner: AtomicBool::new(false),
        }
    }

    /// Puts a snapshot's limits in force. Levels, cooldowns and what is in flight stay with their names;
    /// a backend that is gone drains.
    pub fn adopt(&self, snapshot: &Snapshot, now: Instant) -> Vec<Grant> {
        self.lock().adopt(snapshot, now)
    }

    /// Lets an ask in, or gives it a place in the admission queue, or refuses it.
    pub fn admit(&self, ask: Admission, now: Instant) -> Admitted {
        self.lock().admit(ask, now)
    }

    /// A waiter of either queue went away. One that is not waiting (any more) changes nothing.
    pub fn leave(&self, waiter: WaiterId, now: Instant) -> Vec<Grant> {
        self.lock().leave(waiter, now)
    }

    /// A ticket was settled: its place in flight is free again.
    pub fn discharge(&self, key: KeySlot, now: Instant) -> Vec<Grant> {
        self.lock().discharge(key, now)
    }

    /// A slot on one backend for one attempt, or a place in the routing queue, or a refusal. `rng` is for
    /// strategies that draw lots, now or for one who waits.
    pub fn lease(&self, want: Want, now: Instant, rng: &mut dyn RngCore) -> Leased {
        let mut state = self.lock();
        state.stir(rng.next_u64());
        state.lease(want, now)
    }

    /// The first event of an answer came so long after its attempt began, or had not come by then.
    pub fn note_first_event(&self, backend: BackendId, tier: &Tier, took: Duration, now: Instant) {
        self.lock().note_first_event(backend, tier.mark, took, now);
    }

    /// After how long without a first event an attempt at this tier's model may be raced by a second one; none
    /// where that is off, or too little is known, or its budget is spent.
    pub fn hedge_after(&self, tier: &Tier) -> Option<Duration> {
        self.lock().hedge_after(tier.mark)
    }

    /// A slot for such a second attempt, at the same model and on a backend that was not tried; none where no
    /// backend can start it now, or somebody waits, or the budget is spent.
    pub fn hedge(&self, want: &Want, tier: &Tier, now: Instant, rng: &mut dyn RngCore) -> Option<Slot> {
        let mut state = self.lock();
        state.stir(rng.next_u64());
        state.hedge(want, tier.mark, now)
    }

    /// A second attempt answered first.
    pub fn note_hedge_won(&self) {
        self.lock().board.hedge_won_total += 1;
    }

    /// How long until an attempt like this one could start, behind all who wait, as far as is known; at least the
    /// second below which nobody is told to come again.
    pub fn soonest(&self, want: &Want, now: Instant) -> Duration {
        self.lock().soonest(want, now)
    }

    /// What would become of a request that came now, and for each candidate why or why not. Changes nothing.
    pub fn explain(&self, want: &Want, now: Instant) -> Explanation {
        self.lock().explain(want, now)
    }

    /// How many wait, in both queues.
    pub fn queued(&self) -> usize {
        self.lock().waiters.len()
    }

    /// An attempt ended: its slot is free again, and the backend's cooldown and breaker hear of it.
    pub fn release(&self, slot: Slot, outcome: Outcome, now: Instant) -> Vec<Grant> {
        self.lock().release(&slot, outcome, now)
    }

    /// The headers of an answer told what its provider has left. Call it when they come, before the answer's
    /// end: by then they may be out of date.
    pub fn learn(&self, slot: &Slot, quotas: &[Quota], now: Instant) -> Vec<Grant> {
        if quotas.is_empty() {
            return Vec::new();
        }
        self.lock().learn(slot, quotas, now)
    }

    /// The provider took a call: its answer is on the way. What it said 429 for is over, however long the
    /// answer takes.
    pub fn accepted(&self, slot: &Slot, now: Instant) -> Vec<Grant> {
        self.lock().accepted(slot, now)
    }

    /// A backend said of an answer what it used, in parts that do not make up its own whole.
    pub fn note_contradicted_usage(&self, backend: BackendId, now: Instant) {
        self.lock().board.event(EventKind::UsageContradicted, Some(backend), EventFields::default(), now);
    }

    /// The database was found to be damaged.
    pub fn note_damaged_database(&self, what: &str, now: Instant) {
        self.lock().board.event(EventKind::DatabaseDamaged, None, EventFields::said(what), now);
    }

    /// Numbers events behind `last`, the newest of earlier processes.
    pub fn count_events_on(&self, last: u64) {
        self.lock().board.count_on(last);
    }

    /// The events behind `number`, oldest first, as far as they are remembered.
    #[must_use]
    pub fn events_after(&self, number: u64, now: Instant) -> Vec<Event> {
        self.lock().events_after(number, now)
    }

    /// Takes one retry from a pool's budget, if there is one left.
    pub fn may_retry(&self, pool: &str, now: Instant) -> bool {
        self.lock().may_retry(pool, now)
    }

    /// Serves whoever time alone has freed, and refuses whoever waited too long. Call it at [`Self::next_tick`].
    pub fn tick(&self, now: Instant, rng: &mut dyn RngCore) -> Vec<Grant> {
        let mut state = self.lock();
        state.stir(rng.next_u64());
        state.tick(now)
    }

    /// When [`Self::tick`] next has something to do, as far as is known. Any other call may bring that
    /// forward; [`Self::is_due_sooner`] says so.
    pub fn next_tick(&self) -> Option<Instant> {
        let mut state = self.lock();
        self.is_due_sooner.store(false, Ordering::Release);
        state.tell_next_tick()
    }

    /// Whether [`Self::next_tick`] is sooner than when it was last asked: whoever sleeps until then must be
    /// woken to ask again. One atomic read; look after every call that changed something.
    pub fn is_due_sooner(&self) -> bool {
        self.is_due_sooner.load(Ordering::Acquire)
    }

    /// How a key stands with its own rate limit; nothing when it has none.
    pub fn key_rate(&self, key: KeySlot, now: Instant) -> Option<KeyRate> {
        self.lock().key_rate(key, now)
    }

    /// Backends that nobody is sent to until a probe or an operator clears them.
    pub fn in_error(&self) -> Vec<BackendId> {
        self.lock().in_error()
    }

    /// How a key stands with its own limit of tokens; nothing when it has none.
    pub fn key_tokens(&self, key: KeySlot, now: Instant) -> Option<KeyTokens> {
        self.lock().key_tokens(key, now)
    }

    /// What a key's request used turned out to be `spent`, where `reserved` was taken when it was admitted;
    /// 0 when it was not let in after all.
    pub fn correct_tokens(&self, key: KeySlot, reserved: u64, spent: u64, now: Instant) {
        if reserved != spent {
            self.lock().correct_tokens(key, reserved, spent, now);
        }
    }

    /// An operator ends a backend's cooldown, breaker, error and retreat, and all that was learned of it.
    pub fn reset(&self, backend: BackendId, now: Instant) -> Vec<Grant> {
        self.lock().reset(backend, now)
    }

    /// Whether an active probe of a backend is worth its while: nobody has called it since this was last asked, or
    /// it is in trouble of which a probe may tell something.
    pub fn is_probe_due(&self, backend: BackendId, now: Instant) -> bool {
        self.lock().is_probe_due(backend, now)
    }

    /// A local process can be called from now on.
    pub fn note_present(&self, name: &str, now: Instant) -> Vec<Grant> {
        let mut state = self.lock();
        let id = state.backend_id(name, now);
        state.note_present(id, now)
    }

    /// A local process cannot be called until it is [present](Self::note_present) again.
    pub fn note_absent(&self, name: &str, now: Instant) -> Vec<Grant> {
        let mut state = self.lock();
        let id = state.backend_id(name, now);
        state.note_absent(id, now)
    }

    /// The active prober looked: a miss counts as a failure; a pass may end an error and, after a miss, closes the
    /// breaker, which calls that failed may have opened although probes pass. Neither touches a cooldown, for a
    /// probe spends no tokens and so meets no limit.
    pub fn note_probe(&self, backend: BackendId, probed: Probed, now: Instant) -> Vec<Grant> {
        self.lock().note_probe(backend, probed, now)
    }

    /// Everything an operator may want to see.
    pub fn status(&self, now: Instant) -> Status {
        self.lock().status(now)
    }

    /// The place of a backend of that name, for the life of the process.
    pub(crate) fn backend_id(&self, name: &str, now: Instant) -> BackendId {
        self.lock().backend_id(name, now)
    }

    /// The place of a model on a backend, by its native name, for the life of the process.
    pub(crate) fn model_id(&self, backend: BackendId, native: &str) -> Option<ModelId> {
        self.lock().model_id(backend, native)
    }

    /// The place of a key of that id, for the life of the process.
    pub(crate) fn key_slot(&self, id: &str) -> KeySlot {
        self.lock().key_slot(id)
    }

    /// No call below can leave half a change behind a panic that a later call could not live with: counts
    /// and queues are changed by single statements. So a poisoned lock is taken over.
    fn lock(&self) -> Guard<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Guard { state, is_due_sooner: &self.is_due_sooner }
    }
}

/// The state for one call; at its end it is noted whether a tick is due sooner than was told.
struct Guard<'a> {
    state: MutexGuard<'a, State>,
    is_due_sooner: &'a AtomicBool,
}

impl Deref for Guard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.state.is_due_sooner() {
            self.is_due_sooner.store(true, Ordering::Release);
        }
    }
}
