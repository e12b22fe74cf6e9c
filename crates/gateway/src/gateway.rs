//! Decides what all requests share: the view, the live state, the upstream client and the journal; never a request's own state.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use policy::{Bound, Crossed, Grant, Granted, Live, Outcome, Snapshot};
use store::{Journal, KeptResponses, Recorder, Shelved, captures::CaptureRetention};
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    bindings::Bindings,
    clock::{Clock, Ids},
    kept::{Keeper, Memory},
    metrics::Metrics,
    pipeline::{drain::Abandoned, settle::ReasonsKept},
    spool::Spools,
    tasks::Tasks,
    view::{UnusableBackend, View},
    waiters::Waiters,
};

/// What the gateway is made of; `server` fills it.
pub struct Parts {
    /// The first snapshot to serve.
    pub snapshot: Arc<Snapshot>,
    /// The learned state, shared with control.
    pub live: Arc<Live>,
    /// The client for all backends.
    pub client: upstream::Client,
    /// Where receipts go first.
    pub journal: Arc<Journal>,
    /// Which backend minted which id, as far as earlier processes knew.
    pub bindings: Vec<Bound>,
    /// Responses that are kept on disk.
    pub kept: KeptResponses,
    /// Where captured requests are handed over.
    pub recorder: Recorder,
    /// The metrics that requests are counted in.
    pub metrics: Arc<Metrics>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Ids of tickets.
    pub ids: Arc<dyn Ids>,
    /// Where it is told that a share of a budget is spent; what finds no room is told in the log only.
    pub crossings: mpsc::Sender<Crossed>,
    /// Where long-lived work runs.
    pub tasks: Tasks,
}

/// The data plane's shared state.
pub struct Gateway {
    view: ArcSwap<View>,
    pub(crate) live: Arc<Live>,
    pub(crate) client: upstream::Client,
    pub(crate) journal: Arc<Journal>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) waiters: Waiters,
    pub(crate) bindings: Bindings,
    pub(crate) settler: mpsc::Sender<Abandoned>,
    /// Streams that can be continued on another connection.
    pub(crate) spools: Spools,
    pub(crate) kept: Keeper,
    pub(crate) reasons_kept: ReasonsKept,
    pub(crate) recorder: Recorder,
    /// Places for streams that are read to their end without a client.
    pub(crate) drains: Arc<Semaphore>,
    crossings: mpsc::Sender<Crossed>,
    pub(crate) tasks: Tasks,
    queue_changed: Notify,
    is_stopping: AtomicBool,
}

/// How many abandoned tickets may wait to be settled; each admitted ticket holds a place, so this also caps tickets.
const SETTLER_PLACES: usize = 65_536;

/// How many streams may be read on without a client at once; beyond that a call ends with its client.
const DRAINS_MAX: usize = 1024;

impl Gateway {
    /// Assembles the data plane and starts its own tasks: the timekeeper of the queues, the settler of tickets whose
    /// client left, and the one that forgets responses in time.
    pub fn start(parts: Parts) -> Result<Arc<Self>, UnusableBackend> {
        let view = View::new(parts.snapshot, &parts.metrics)?;
        let (settler, abandoned) = mpsc::channel(SETTLER_PLACES);
        parts.live.adopt(&view.snapshot, Instant::now().into_std());
        let kept = Keeper::new(parts.kept, parts.clock.clone());
        kept.obey(view.snapshot.settings.kept, Instant::now());
        parts.recorder.obey(retention(&view.snapshot));
        let gateway = Arc::new(Self {
            view: ArcSwap::from_pointee(view),
            live: parts.live,
            client: parts.client,
            journal: parts.journal,
            metrics: parts.metrics,
            clock: parts.clock,
            ids: parts.ids,
            waiters: Waiters::default(),
            bindings: Bindings::new(parts.bindings),
            settler,
            spools: Spools::default(),
            kept,
            reasons_kept: ReasonsKept::default(),
            recorder: parts.recorder,
            drains: Arc::new(Semaphore::new(DRAINS_MAX)),
            crossings: parts.crossings,
            tasks: parts.tasks,
            queue_changed: Notify::new(),
            is_stopping: AtomicBool::new(false),
        });
        gateway.tasks.spawn("settler", crate::pipeline::drain::settle_abandoned(abandoned));
        gateway.tasks.spawn("timekeeper", keep_time(gateway.clone()));
        gateway.tasks.spawn("kept responses", crate::kept::forget_in_time(gateway.clone()));
        Ok(gateway)
    }

    /// Swaps the view whole. Requests in flight keep the one they began with.
    pub fn publish(&self, snapshot: Arc<Snapshot>) -> Result<(), UnusableBackend> {
        let view = View::new(snapshot, &self.metrics)?;
        let grants = self.live.adopt(&view.snapshot, Instant::now().into_std());
        self.kept.obey(view.snapshot.settings.kept, Instant::now());
        self.recorder.obey(retention(&view.snapshot));
        self.view.store(Arc::new(view));
        self.deliver(grants);
        self.queue_changed.notify_one();
        Ok(())
    }

    /// The view that a request arriving now is served by.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// From now on new requests are refused with `shutting_down`; those in flight go on.
    pub fn stop_admitting(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.spools.stop();
    }

    /// Resolves when every request whose client has left by now is settled, or goes on as a drain of its own.
    pub async fn abandoned_taken_up(&self) {
        let (mark, reached) = oneshot::channel();
        if self.settler.send(Abandoned::Mark(mark)).await.is_ok() {
            // A settler that ends has nothing more to take up.
            drop(reached.await);
        }
    }

    /// Whether new requests are refused because the gateway is stopping.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Waits until every response that was kept so far is on disk, at most for `limit`. Blocks: for the end of the process.
    #[must_use]
    pub fn kept_written(&self, limit: Duration) -> bool {
        self.kept.flush(limit)
    }

    /// Waits until every capture that was handed over so far is on disk, at most for `limit`. Blocks.
    #[must_use]
    pub fn captures_written(&self, limit: Duration) -> bool {
        self.recorder.flush(limit)
    }

    /// Captures that were lost since the start, for want of room in memory or on the disk.
    pub fn captures_lost(&self) -> u64 {
        self.recorder.lost()
    }

    /// Keeps what `memory` and the whole `response` make.
    pub(crate) fn keep(&self, memory: &Memory, response: &[u8]) {
        match self.kept.keep(memory, response, Instant::now()) {
            Some(Shelved::Full) => self.metrics.unwritten.inc(),
            Some(Shelved::Taken) | None => return,
        };
    }

    /// How far the ledger is behind the journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What requests are counted in.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Requests that wait for a grant. At rest, as many as the live state has queued: none.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Streams that are kept so that they can be continued.
    pub fn kept_streams(&self) -> usize {
        self.spools.len()
    }

    /// Passes on that a share of a budget is spent. Nobody waits for that.
    pub(crate) fn tell_crossed(&self, crossed: Crossed) {
        if let Err(mpsc::error::TrySendError::Full(crossed)) = self.crossings.try_send(crossed) {
            tracing::warn!(
                budget = &*crossed.budget,
                percent = crossed.percent,
                "too many alerts wait; this one is left out"
            );
        }
    }

    /// Bytes of responses that are kept for backends that keep none.
    pub fn kept_response_bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// Wakes the timekeeper when a change brought its next tick forward.
    pub(crate) fn live_changed(&self) {
        if self.live.is_due_sooner() {
            self.queue_changed.notify_one();
        }
    }

    /// Changes the live state, and hands out what that granted. Whoever changes it otherwise calls [`Self::deliver`].
    pub(crate) fn change(&self, change: impl FnOnce(&Live, std::time::Instant) -> Vec<Grant>) {
        self.deliver(change(&self.live, Instant::now().into_std()));
    }

    /// Hands each grant to its waiter. What cannot be handed over is given back, which may free more. Called after
    /// every change of the live state, also one that granted nothing: it may have brought the next tick forward.
    pub fn deliver(&self, grants: Vec<Grant>) {
        self.live_changed();
        let mut due = grants;
        while let Some(grant) = due.pop() {
            if let Err(granted) = self.waiters.hand(grant.waiter, grant.what) {
                due.extend(self.freed_by(granted));
            }
        }
    }

    /// A local process can be called from now on.
    pub fn note_present(&self, backend: &str) {
        self.change(|live, now| live.note_present(backend, now));
    }

    /// A local process cannot be called for now.
    pub fn note_absent(&self, backend: &str) {
        self.change(|live, now| live.note_absent(backend, now));
    }

    /// A grant whose waiter is gone.
    pub(crate) fn give_back(&self, granted: Granted) {
        let freed = self.freed_by(granted);
        self.deliver(freed);
    }

    /// A waiter left before its grant came.
    pub(crate) fn leave_queue(&self, waiter: policy::WaiterId) {
        self.change(|live, now| live.leave(waiter, now));
    }

    fn freed_by(&self, granted: Granted) -> Vec<Grant> {
        let now = Instant::now().into_std();
        match granted {
            Granted::Admitted(key) => self.live.discharge(key, now),
            Granted::Slot(slot) => self.live.release(slot, Outcome::Neutral, now),
            Granted::Refused(_) => Vec::new(),
        }
    }
}

/// How long captures are kept by these settings.
fn retention(snapshot: &Snapshot) -> CaptureRetention {
    let limits = snapshot.settings.captures;
    CaptureRetention { age_max: limits.age_max, bytes_max: limits.bytes_max }
}

/// Wakes the queues when something in them is due: a bucket refilled, a cooldown ended, a deadline passed.
async fn keep_time(gateway: Arc<Gateway>) {
    loop {
        let changed = gateway.queue_changed.notified();
        gateway.change(|live, now| live.tick(now, &mut rand::rng()));
        match gateway.live.next_tick() {
            Some(due) => {
                let _ = tokio::time::timeout_at(Instant::from_std(due), changed).await;
            }
            None => changed.await,
        }
    }
}
