//! Stands a data plane up: real store, real upstream client, real listener, clock and ids of its own; judges nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway::{Body, Clock, ConnectionLimits, Gateway, Handler, Ids, Metrics, Parts, Tasks};
use http::{Request, Response};
use hyper::body::Incoming;
use policy::{
    Amount, BackendKind, BackendSpec, BackendStatus, Bound, Digester, Draft, KeySecret, KeySpec, Live,
    ModelSpec, Receipt, Secret, Snapshot, Status, TicketId, Timestamp,
};
use serde_json::{Value, json};
use store::ledger::{ReceiptDetail, UsageSums};
use store::{Captures, Journal, JournalSettings, Ledger, Mover, MoverSettings, Store, StoreOptions};
use tempfile::TempDir;
use testkit::{ScriptedProvider, TestClient};
use tokio::sync::watch;
use tokio::time::Instant;

/// The model that every backend of a plan serves.
pub(crate) const MODEL: &str = "tiny";
/// 2026-01-01.
const WALL: i64 = 1_767_225_600_000;
/// The interval of kept answers.
pub(crate) const KEPT_EVERY: Duration = Duration::from_secs(15);
/// Turns given to other tasks before a wait is called hopeless.
const TURNS_MAX: u32 = 2_000_000;

/// What a data plane is stood up from.
pub(crate) struct Plan {
    pub(crate) draft: Draft,
    pub(crate) connections: ConnectionLimits,
    pub(crate) store: StoreOptions,
    /// What earlier processes knew.
    pub(crate) bindings: Vec<Bound>,
}

/// A data plane at work. Dropped in this order: the mover before the journal it reads, the folder last.
pub(crate) struct Scene {
    pub(crate) mover: Mover,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) live: Arc<Live>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) ledger: Ledger,
    pub(crate) captures: Captures,
    pub(crate) tasks: Tasks,
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    pub(crate) folder: TempDir,
}

/// A backend without a rate limit that serves [`MODEL`].
pub(crate) fn backend(name: &str, base_url: &str) -> BackendSpec {
    let mut spec = BackendSpec::new(name, BackendKind::OpenAiCompatible, base_url);
    spec.limits.rpm = 0;
    spec.models = Some(BTreeMap::from([(MODEL.to_owned(), ModelSpec::default())]));
    spec
}

/// A key named like its secret.
pub(crate) fn key(name: &str) -> KeySpec {
    KeySpec::new(name, name, KeySecret::Plain(Secret::from(name)))
}

impl Plan {
    /// Backends `b0`, `b1`, ... in this order of preference: the first in `primary`, the others in `fallback`.
    pub(crate) fn of(base_urls: &[String]) -> Self {
        let mut draft = Draft::new(Digester::new(&[7; 32]));
        // A paused clock jumps from one silence to the next, and each would be filled.
        draft.settings.keepalive.stream = None;
        for (index, base_url) in base_urls.iter().enumerate() {
            let mut spec = backend(&format!("b{index}"), base_url);
            if index > 0 {
                "fallback".clone_into(&mut spec.pool);
            }
            draft.backends.push(spec);
        }
        let store = StoreOptions {
            journal: JournalSettings {
                bytes_max: 256 << 20,
                segment_bytes: 512 << 10,
                disk_floor_bytes: 0,
                ..JournalSettings::default()
            },
            mover: MoverSettings {
                interval: Duration::from_millis(2),
                batch_entries: 2000,
                ..MoverSettings::default()
            },
            busy_timeout: Duration::from_millis(20),
            ..StoreOptions::default()
        };
        Self { draft, connections: ConnectionLimits::default(), store, bindings: Vec::new() }
    }

    /// One backend for each provider.
    pub(crate) fn before(providers: &[&ScriptedProvider]) -> Self {
        Self::of(&providers.iter().map(|provider| provider.base_url()).collect::<Vec<_>>())
    }

    /// With each backend changed.
    pub(crate) fn backends(mut self, change: impl Fn(&mut BackendSpec)) -> Self {
        self.draft.backends.iter_mut().for_each(change);
        self
    }

    /// With no failure counted against anybody, so that thousands of faults can be played on one backend.
    pub(crate) fn unforgetting(mut self) -> Self {
        self.draft.settings.breaker.failures = u32::MAX;
        self.draft.settings.breaker.calls_min = u32::MAX;
        self.draft.settings.retry_floor = u32::MAX;
        self
    }

    /// With a sign of life in each silence, of streams and before plain answers.
    pub(crate) fn kept(mut self) -> Self {
        self.draft.settings.keepalive.stream = Some(KEPT_EVERY);
        self.draft.settings.keepalive.plain = Some(KEPT_EVERY);
        self
    }

    /// With another draft.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Draft)) -> Self {
        change(&mut self.draft);
        self
    }

    /// Opens the store, starts the data plane and listens.
    pub(crate) async fn start(self) -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        let Store { mover, journal, ledger, kept, captures, recorder, .. } =
            Store::open(folder.path(), self.store).expect("the store opens");
        let (journal, live, tasks) = (Arc::new(journal), Arc::new(Live::new()), Tasks::default());
        let snapshot = Snapshot::build(self.draft, &live, 1, Instant::now().into_std()).expect("a snapshot");
        live.adopt_budgets(&snapshot.budgets, Timestamp(WALL), |_, _| Amount::ZERO);
        let gateway = Gateway::start(Parts {
            snapshot: Arc::new(snapshot),
            live: live.clone(),
            client: upstream::Client::new(upstream::ClientSettings::default()).expect("a client"),
            journal: journal.clone(),
            bindings: self.bindings,
            kept,
            recorder,
            metrics: Arc::new(Metrics::new()),
            clock: Arc::new(StoppedClock),
            ids: Arc::new(CountedIds::default()),
            crossings: tokio::sync::mpsc::channel(1).0,
            tasks: tasks.clone(),
        })
        .expect("usable backends");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = watch::Sender::new(false);
        let door = Arc::new(Door(gateway.clone()));
        let listening = gateway::listen(listener, door, self.connections, tasks.clone(), stop.subscribe());
        tasks.spawn("listener", listening);
        Scene { mover, gateway, live, journal, ledger, captures, tasks, address, stop, folder }
    }
}

impl Scene {
    /// A client without a key.
    pub(crate) fn client(&self) -> TestClient {
        TestClient::new(self.address)
    }

    /// The learned state now.
    pub(crate) fn status(&self) -> Status {
        self.live.status(Instant::now().into_std())
    }

    /// One backend of it.
    pub(crate) fn backend(&self, name: &str) -> BackendStatus {
        let found = self.status().backends.into_iter().find(|backend| &*backend.name == name);
        found.expect("a backend of this plan")
    }

    /// Gives other tasks turns until `reached` says so.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        for _ in 0..TURNS_MAX {
            if reached(self) {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("never came: {what}; status: {:?}, tasks: {:?}", self.status(), self.tasks.counts());
    }

    /// Waits until nothing is in flight or queued, and everything written is in the ledger.
    pub(crate) async fn at_rest(&self) {
        self.until("rest", |scene| {
            let status = scene.status();
            status.in_flight == 0 && status.queued == 0
        })
        .await;
        assert!(
            self.mover.flush(Duration::from_secs(60)),
            "the ledger must catch up: {:?}",
            self.mover.lag()
        );
    }

    /// The one receipt there is, with its attempts.
    pub(crate) async fn only_receipt(&self) -> ReceiptDetail {
        self.at_rest().await;
        let receipts = self.ledger.recent(None, 10).await.expect("receipts");
        let [receipt] = receipts.as_slice() else { panic!("one receipt, not {receipts:?}") };
        self.receipt(&receipt.request_id).await
    }

    /// The receipt of a request, with its attempts.
    pub(crate) async fn receipt(&self, request_id: &str) -> ReceiptDetail {
        self.at_rest().await;
        self.ledger.receipt(request_id).await.expect("the ledger").expect("a receipt")
    }

    /// All receipts, newest first.
    pub(crate) async fn receipts(&self) -> Vec<Receipt> {
        self.at_rest().await;
        let (mut receipts, mut after) = (Vec::new(), None);
        loop {
            let page = self.ledger.recent(after, 1000).await.expect("receipts");
            let Some(last) = page.last() else { return receipts };
            after = Some(store::ledger::Cursor(last.ticket));
            receipts.extend(page);
        }
    }

    /// The sums of everything.
    pub(crate) async fn totals(&self) -> UsageSums {
        self.at_rest().await;
        self.ledger.totals(store::ledger::Range::ALL).await.expect("totals")
    }

    /// The exposition text of the metrics.
    pub(crate) fn metrics(&self) -> String {
        self.gateway.metrics().encode(&self.status(), self.journal.lag())
    }

    /// Accepts no further connection.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// A chat request, streamed.
pub(crate) fn chat_stream() -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": "one two three"}], "stream": true})
}

/// A chat request, whole.
pub(crate) fn chat() -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": "one two three"}]})
}

/// Serves the data plane and nothing else.
struct Door(Arc<Gateway>);

impl Handler for Door {
    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        match gateway::answer(&self.0, request, peer.ip()).await {
            Ok(response) => response,
            Err(request) => gateway::not_found(&self.0, &request),
        }
    }
}

/// Wall time that stands still.
struct StoppedClock;

impl Clock for StoppedClock {
    fn wall(&self) -> Timestamp {
        Timestamp(WALL)
    }
}

/// Ids that count.
#[derive(Default)]
struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn ticket(&self) -> TicketId {
        let millis = u128::try_from(WALL).expect("after 1970");
        TicketId(millis << 80 | u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}
