//! Decides what each call changes in the state of the gateway; never keeps anyone waiting under the lock.

mod admission;
mod backends;
mod callers;
mod crowd;
mod hedging;
mod leases;
mod pace;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asks::{BackendId, Grant, Granted, KeySlot, ModelId, Refused, RefusedReason};
use super::board::Board;
use super::event::{EventFields, EventKind};
use super::names::Names;
use super::routing::RoutingQueue;
use crate::identity::Class;
use crate::limit::{Bucket, Entry, InFlight, Place, Rank, WaiterId, Waiters};
use crate::schedule::{Hedges, RetryBudget, mix};
use crate::snapshot::{QueuePolicy, Snapshot, TrafficSettings};

pub(super) use admission::AdmissionQueue;
use backends::Taken;
pub(super) use backends::{BackendState, Size};
pub(super) use crowd::Comer;

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
    team_names: Names,
    teams: Vec<Counts>,
    pools: HashMap<Arc<str>, RetryBudget>,
    hedges: Hedges,
    pub(super) in_flight: InFlight,
    pub(super) waiters: Waiters<Queue>,
    pub(super) admission: AdmissionQueue,
    pub(super) routing: RoutingQueue,
    /// Grants found by calls that cannot return them; the next that can, does.
    outbox: Vec<Grant>,
    outbox_since: Option<Instant>,
    /// When passing time alone changes a rate or ends a cooldown.
    pace_due: Option<Instant>,
    /// What [`Self::next_tick`] was last told to be.
    told: Option<Instant>,
    /// Leases given, ever: it tells whose turn it is.
    leases: u64,
    /// What the next lot is drawn from; everyone who brings chance with a call stirs it.
    lots: u64,
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Queue {
    /// For a backend.
    Routing,
    /// To be let in. One who is let in has taken more already, and so goes before one who is not.
    Admission,
}

/// One who comes to wait, whatever for.
#[derive(Debug, Clone, Copy)]
struct Newcomer {
    class: Class,
    caller: KeySlot,
    bytes: u64,
    deadline: Instant,
    waits_for: Queue,
}

/// What a key, or the keys of a team together, have in flight and may use in a minute.
#[derive(Debug, Default)]
struct Counts {
    in_flight: InFlight,
    rate: Option<Box<Bucket>>,
    tokens: Option<Box<Bucket>>,
}

/// One key's counts.
#[derive(Debug)]
struct KeyState {
    counts: Counts,
    weight: u32,
    /// Its team, which counts all that it counts. As the newest snapshot has it: what is in flight moves with the key.
    team: Option<u32>,
}

impl Default for KeyState {
    fn default() -> Self {
        Self { counts: Counts::default(), weight: 1, team: None }
    }
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
            team_names: Names::default(),
            teams: Vec::new(),
            pools: HashMap::new(),
            hedges: Hedges::default(),
            in_flight: InFlight::up_to(Some(settings.max_in_flight)),
            waiters: Waiters::up_to(settings.queue_max, settings.queue_bytes_max),
            admission: AdmissionQueue::default(),
            routing: RoutingQueue::default(),
            outbox: Vec::new(),
            outbox_since: None,
            pace_due: None,
            told: None,
            leases: 0,
            lots: 0,
            settings,
        }
    }
}

/// The next lot.
fn draw(lots: &mut u64) -> u64 {
    *lots = mix(*lots);
    *lots
}

/// An index as `Vec` wants it.
pub(super) fn at(index: u32) -> usize {
    usize::try_from(index).expect("this machine's addresses have at least 32 bits")
}

impl State {
    pub(super) fn backend_id(&mut self, name: &str, now: Instant) -> BackendId {
        let id = self.backend_names.index(name);
        while self.backends.len() < self.backend_names.len() {
            self.backends.push(BackendState::absent(name, now));
            self.board.grow();
        }
        BackendId(id)
    }

    pub(super) fn model_id(&mut self, backend: BackendId, native: &str) -> Option<ModelId> {
        Some(self.backends.get_mut(at(backend.0))?.model_id(native))
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
        self.adopt_callers(&snapshot.identity, now);
        self.routing.open_where(|_| true);
        self.admission.open_where(|_| true);
        self.serve(now)
    }

    pub(super) fn leave(&mut self, waiter: WaiterId, now: Instant) -> Vec<Grant> {
        let Some(place) = self.waiters.leave(waiter) else { return Vec::new() };
        let mut grants = self.take_outbox();
        // Whoever is next of its line may need less.
        match place.waits_for {
            Queue::Admission => {
                self.admission.open_for(waiter);
                self.admission.remove(waiter);
                self.serve_admission(now, &mut grants);
            }
            Queue::Routing => {
                self.routing.open_for(waiter);
                self.routing.remove(waiter);
                self.serve_routing(now, &mut grants);
            }
        }
        grants
    }

    pub(super) fn tick(&mut self, now: Instant) -> Vec<Grant> {
        self.keep_pace(now);
        self.serve(now)
    }

    fn next_tick(&self) -> Option<Instant> {
        // Where nobody waits, rates are evaluated by whoever comes or looks next.
        let paced = self.pace_due.filter(|_| !self.waiters.is_empty());
        let due = [self.outbox_since, self.waiters.next_deadline(), self.routing.wake_at(), paced];
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
        let may = self.pools.get_mut(pool).is_some_and(|budget| budget.take(share, floor, now));
        if !may {
            self.board.retry_denied_total += 1;
            let pool = self.pools.get_key_value(pool).map(|(name, _)| Arc::clone(name));
            let fields = EventFields { pool, ..EventFields::default() };
            self.board.event(EventKind::RetryDenied, None, fields, now);
        }
        may
    }

    pub(super) fn in_error(&self) -> Vec<BackendId> {
        let numbered = (0_u32..).zip(&self.backends);
        numbered.filter(|(_, backend)| backend.trust.is_refused()).map(|(id, _)| BackendId(id)).collect()
    }

    /// How long one of this class waits at most.
    pub(super) fn patience(&self, class: Class, deadline: Instant, now: Instant) -> Instant {
        match class {
            Class::Urgent | Class::High | Class::Normal => deadline,
            Class::Low => deadline.min(now + self.settings.low_timeout),
        }
    }

    /// Gives one who comes a place in the room; if need be that of the worst who waits, who is then refused.
    fn make_place(&mut self, newcomer: &Newcomer, now: Instant) -> Option<WaiterId> {
        let Newcomer { bytes, deadline, waits_for, .. } = *newcomer;
        let place = Place { bytes, deadline, waits_for };
        if let Some(id) = self.waiters.enter(place) {
            return Some(id);
        }
        match self.settings.queue_policy {
            QueuePolicy::Reject | QueuePolicy::Passthrough => return None,
            QueuePolicy::DropLowest => {}
        }
        let (worst, queue) = self.worse_than(newcomer)?;
        if !self.waiters.fits_without(worst, bytes) {
            return None;
        }
        match queue {
            Queue::Admission => drop(self.admission.remove(worst)),
            Queue::Routing => drop(self.routing.remove(worst)),
        }
        self.waiters.leave(worst);
        let refused = Refused { reason: RefusedReason::QueueFull, retry_after: RETRY_AFTER_GUESS };
        self.board.refused(refused.reason, now);
        self.outbox.push(Grant { waiter: worst, what: Granted::Refused(refused) });
        self.outbox_since = Some(now);
        self.waiters.enter(place)
    }

    /// The worst who waits, if it is worse than one who comes: of a lower class; not let in yet, while the
    /// other is; or, waiting for the same, later in the order.
    fn worse_than(&self, newcomer: &Newcomer) -> Option<(WaiterId, Queue)> {
        let (class, caller) = (newcomer.class, newcomer.caller);
        let own: Rank = match newcomer.waits_for {
            Queue::Admission => self.admission.newcomer(class, caller),
            Queue::Routing => self.routing.newcomer(class, caller),
        };
        let admission = self.admission.worst().map(|(id, rank)| (rank.class, Queue::Admission, rank, id));
        let routing = self.routing.worst().map(|(id, rank)| (rank.class, Queue::Routing, rank, id));
        let worst = admission.into_iter().chain(routing).max()?;
        (worst > (class, newcomer.waits_for, own, worst.3)).then_some((worst.3, worst.1))
    }

    /// What both queues are told of one who waits.
    fn entry<D, T>(&self, newcomer: &Newcomer, (demand, what): (D, T), now: Instant) -> Entry<D, T> {
        let weight = self.keys.get(at(newcomer.caller.0)).map_or(1, |key| key.weight);
        let Newcomer { class, caller, deadline, .. } = *newcomer;
        let ageing = self.settings.ageing;
        Entry { demand, class, caller, weight, deadline, lift_at: now + ageing, ageing, what }
    }

    pub(super) fn settings(&self) -> &TrafficSettings {
        &self.settings
    }

    pub(super) fn lots(&self) -> u64 {
        self.lots
    }

    /// Chance that a caller brought.
    pub(super) fn stir(&mut self, chance: u64) {
        self.lots = mix(self.lots ^ chance);
    }

    /// Serves both queues and refuses whoever waited too long.
    fn serve(&mut self, now: Instant) -> Vec<Grant> {
        let mut grants = self.take_outbox();
        self.serve_routing(now, &mut grants);
        self.expire_admission(now, &mut grants);
        self.serve_admission(now, &mut grants);
        grants
    }

    pub(super) fn take_outbox(&mut self) -> Vec<Grant> {
        self.outbox_since = None;
        std::mem::take(&mut self.outbox)
    }
}
