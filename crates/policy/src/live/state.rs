//! Decides what each call changes in the state of the gateway; never keeps anyone waiting under the lock.

mod backends;
mod leases;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admission::{AdmissionQueue, Asked};
use super::asks::{Admission, Admitted, BackendId, Grant, Granted, KeyRate, KeySlot, Refused, RefusedReason};
use super::board::Board;
use super::names::Names;
use super::routing::RoutingQueue;
use crate::limit::{Bucket, InFlight, Place, WaiterId, Waiters};
use crate::schedule::RetryBudget;
use crate::snapshot::{Snapshot, TrafficSettings};

pub(super) use backends::BackendState;

/// What a refusal says when nothing better is known.
const RETRY_AFTER_GUESS: Duration = Duration::from_secs(1);

/// All of `Live`. Hot parts of backends lie side by side; what only operators read lies on the board.
#[derive(Debug)]
pub(super) struct State {
    settings: TrafficSettings,
    pub(super) backend_names: Names,
    pub(super) backends: Vec<BackendState>,
    pub(super) board: Board,
    key_ids: Names,
    keys: Vec<KeyState>,
    pools: HashMap<Arc<str>, RetryBudget>,
    pub(super) in_flight: InFlight,
    pub(super) waiters: Waiters<Queue>,
    pub(super) admission: AdmissionQueue,
    pub(super) routing: RoutingQueue,
    /// Grants found by calls that cannot return them; the next that can, does.
    outbox: Vec<Grant>,
    outbox_since: Option<Instant>,
    /// What [`Self::next_tick`] was last told to be.
    told: Option<Instant>,
    /// Leases given, ever: it tells whose turn it is.
    leases: u64,
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// To be let in.
    Admission,
    /// For a backend.
    Routing,
}

/// One key's counts.
#[derive(Debug, Default)]
struct KeyState {
    in_flight: InFlight,
    rate: Option<Box<Bucket>>,
}

impl Default for State {
    fn default() -> Self {
        let settings = TrafficSettings::default();
        Self {
            backend_names: Names::default(),
            backends: Vec::new(),
            board: Board::default(),
            key_ids: Names::default(),
            keys: Vec::new(),
            pools: HashMap::new(),
            in_flight: InFlight::up_to(Some(settings.max_in_flight)),
            waiters: Waiters::up_to(settings.queue_max, settings.queue_bytes_max),
            admission: AdmissionQueue::default(),
            routing: RoutingQueue::default(),
            outbox: Vec::new(),
            outbox_since: None,
            told: None,
            leases: 0,
            settings,
        }
    }
}

/// An index as `Vec` wants it.
pub(super) fn at(index: u32) -> usize {
    usize::try_from(index).expect("this machine's addresses have at least 32 bits")
}

impl State {
    pub(super) fn backend_id(&mut self, name: &str, now: Instant) -> BackendId {
        let id = self.backend_names.index(name);
        while self.backends.len() < self.backend_names.len() {
            self.backends.push(BackendState::absent(now));
            self.board.grow();
        }
        BackendId(id)
    }

    pub(super) fn key_slot(&mut self, id: &str) -> KeySlot {
        let slot = self.key_ids.index(id);
        self.keys.resize_with(self.key_ids.len(), KeyState::default);
        KeySlot(slot)
    }

    pub(super) fn adopt(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<Grant> {
        self.settings = snapshot.settings.clone();
        self.in_flight.cap(Some(self.settings.max_in_flight));
        self.waiters.bound(self.settings.queue_max, self.settings.queue_bytes_max);
        self.adopt_backends(&snapshot.backends, now);
        for backend in &snapshot.backends {
            self.pools.entry(Arc::clone(&backend.pool)).or_default();
        }
        for key in snapshot.identity.keys() {
            let Some(state) = self.keys.get_mut(at(key.slot.0)) else { continue };
            match (&mut state.rate, key.limits.rpm) {
                (rate, None) => *rate = None,
                (Some(rate), Some(rpm)) => rate.change(rpm, rpm, now),
                (rate @ None, Some(rpm)) => *rate = Some(Box::new(Bucket::full(rpm, rpm, now))),
            }
        }
        self.serve(now)
    }

    pub(super) fn admit(&mut self, ask: Admission, now: Instant) -> Admitted {
        match self.enter(&ask, now) {
            Ok(admitted) => admitted,
            Err(refused) => {
                self.board.refused(refused.reason, now);
                Admitted::Refused(refused)
            }
        }
    }

    fn enter(&mut self, ask: &Admission, now: Instant) -> Result<Admitted, Refused> {
        let asked = Asked { key: ask.key, ceiling: ask.concurrency };
        let starts = self.key_has_room(asked) && self.in_flight.has_room();
        if !starts && ask.deadline <= now {
            return Err(self.refuse_admission(asked));
        }
        self.check_key_rate(ask.key, now)?;
        if starts {
            self.take_key_rate(ask.key, now);
            self.admitted(ask.key);
            return Ok(Admitted::Now);
        }
        let place = Place { bytes: ask.bytes, deadline: ask.deadline, waits_for: Queue::Admission };
        let full = Refused { reason: RefusedReason::QueueFull, retry_after: RETRY_AFTER_GUESS };
        let id = self.waiters.enter(place).ok_or(full)?;
        self.take_key_rate(ask.key, now);
        self.admission.push(id, asked);
        Ok(Admitted::Wait(id))
    }

    pub(super) fn discharge(&mut self, key: KeySlot, now: Instant) -> Vec<Grant> {
        // Given back twice, it is not given back again: the process count would run below what is true.
        let ended = self.keys.get_mut(at(key.0)).is_none_or(|state| state.in_flight.ended());
        if ended {
            self.in_flight.ended();
        }
        if self.admission.is_empty() && self.outbox.is_empty() {
            return Vec::new();
        }
        self.admission.bring_back(key);
        let mut grants = self.take_outbox();
        self.serve_admission(now, &mut grants);
        grants
    }

    pub(super) fn leave(&mut self, waiter: WaiterId, now: Instant) -> Vec<Grant> {
        let Some(place) = self.waiters.leave(waiter) else { return Vec::new() };
        match place.waits_for {
            Queue::Admission => {
                self.admission.remove(waiter);
                let mut grants = self.take_outbox();
                self.serve_admission(now, &mut grants);
                grants
            }
            Queue::Routing => {
                self.routing.remove(waiter);
                self.take_outbox()
            }
        }
    }

    pub(super) fn tick(&mut self, now: Instant) -> Vec<Grant> {
        self.serve(now)
    }

    fn next_tick(&self) -> Option<Instant> {
        let due = [self.outbox_since, self.waiters.next_deadline(), self.routing.wake_at()];
        due.into_iter().flatten().min()
    }

    /// Remembers what is told to the one who ticks.
    pub(super) fn tell_next_tick(&mut self) -> Option<Instant> {
        self.told = self.next_tick();
        self.told
    }

    /// Whether a tick is due sooner than was told.
    pub(super) fn is_due_sooner(&self) -> bool {
        let may_be_due = !self.waiters.is_empty() || self.outbox_since.is_some();
        may_be_due && self.next_tick().is_some_and(|next| self.told.is_none_or(|told| next < told))
    }

    pub(super) fn may_retry(&mut self, pool: &str, now: Instant) -> bool {
        let (share, floor) = (self.settings.retry_share_percent, self.settings.retry_floor);
        self.pools.get_mut(pool).is_some_and(|budget| budget.take(share, floor, now))
    }

    pub(super) fn key_rate(&self, key: KeySlot, now: Instant) -> Option<KeyRate> {
        let rate = self.keys.get(at(key.0))?.rate.as_ref()?;
        Some(KeyRate { limit: rate.rpm(), remaining: rate.tokens(now), reset: rate.full_in(now) })
    }

    pub(super) fn in_error(&self) -> Vec<BackendId> {
        let numbered = (0_u32..).zip(&self.backends);
        numbered.filter(|(_, backend)| backend.in_error).map(|(id, _)| BackendId(id)).collect()
    }

    /// Serves both queues and refuses whoever waited too long.
    fn serve(&mut self, now: Instant) -> Vec<Grant> {
        let mut grants = self.take_outbox();
        self.serve_routing(now, &mut grants);
        self.expire_admission(now, &mut grants);
        self.serve_admission(now, &mut grants);
        grants
    }

    fn serve_admission(&mut self, now: Instant, grants: &mut Vec<Grant>) {
        while self.in_flight.has_room() {
            let keys = &self.keys;
            let next = self.admission.pop(|asked| has_room(keys, asked));
            let Some((waiter, asked)) = next else { return };
            let place = self.waiters.leave(waiter).expect("everyone queued has a place");
            let what = if place.deadline <= now {
                let refused = self.refuse_admission(asked);
                self.board.refused(refused.reason, now);
                // The room it would have taken may be what the next of its key stepped aside for.
                self.admission.bring_back(asked.key);
                Granted::Refused(refused)
            } else {
                self.admitted(asked.key);
                Granted::Admitted(asked.key)
            };
            grants.push(Grant { waiter, what });
        }
    }

    /// Refuses those who wait to be let in past their deadline; those who wait for a backend are
    /// [`Self::serve_routing`]'s.
    fn expire_admission(&mut self, now: Instant, grants: &mut Vec<Grant>) {
        while let Some(waiter) = self.waiters.expired(now) {
            self.waiters.leave(waiter);
            let Some(asked) = self.admission.remove(waiter) else { continue };
            let refused = self.refuse_admission(asked);
            self.board.refused(refused.reason, now);
            grants.push(Grant { waiter, what: Granted::Refused(refused) });
        }
    }

    fn admitted(&mut self, key: KeySlot) {
        self.in_flight.started();
        if let Some(state) = self.keys.get_mut(at(key.0)) {
            state.in_flight.started();
        }
        self.board.accepted_total += 1;
    }

    fn key_has_room(&self, asked: Asked) -> bool {
        has_room(&self.keys, asked)
    }

    /// Which ceiling is in the way: the key's own, if it has no room even now.
    fn refuse_admission(&self, asked: Asked) -> Refused {
        let reason = if self.key_has_room(asked) {
            RefusedReason::Backpressure
        } else {
            RefusedReason::ConcurrencyLimited
        };
        Refused { reason, retry_after: RETRY_AFTER_GUESS }
    }

    pub(super) fn take_outbox(&mut self) -> Vec<Grant> {
        self.outbox_since = None;
        std::mem::take(&mut self.outbox)
    }

    fn check_key_rate(&self, key: KeySlot, now: Instant) -> Result<(), Refused> {
        let Some(rate) = self.keys.get(at(key.0)).and_then(|state| state.rate.as_ref()) else {
            return Ok(());
        };
        let retry_after = rate.ready_at(now).saturating_duration_since(now);
        if retry_after.is_zero() {
            return Ok(());
        }
        Err(Refused { reason: RefusedReason::RateLimited, retry_after })
    }

    fn take_key_rate(&mut self, key: KeySlot, now: Instant) {
        if let Some(rate) = self.keys.get_mut(at(key.0)).and_then(|state| state.rate.as_mut()) {
            rate.take(now);
        }
    }
}

/// Whether a key may have one more in flight, under the ceiling that the ask came with.
fn has_room(keys: &[KeyState], asked: Asked) -> bool {
    let in_flight = keys.get(at(asked.key.0)).map_or(0, |state| state.in_flight.count());
    asked.ceiling.is_none_or(|ceiling| in_flight < ceiling)
}
