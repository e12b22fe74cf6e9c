//! Decides how and when a backend is asked whether it is there and what it serves; never spends a token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use control::{
    admin::{Prober, TestReport, Testing},
    publish::Publisher,
};
use futures_util::{StreamExt, stream};
use gateway::Gateway;
use http::{HeaderMap, Method};
use policy::{Backend, BackendId, BackendStatus, Live, ProbeResult, Probed, live::Health};
use protocol::Failure;
use serde::Deserialize;
use tokio::time::Instant;
use upstream::{Call, CallBody, Client, Deadlines};

/// A probe is answered quickly or not at all.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often model lists are refreshed and idle or suspect backends are looked at.
const ROUND_INTERVAL: Duration = Duration::from_secs(60);
/// Longer lists of models than any provider's.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Asks backends for their models, over the client that requests use.
#[derive(Clone)]
pub(crate) struct ModelsProbe {
    client: Client,
}

/// What is read of a list of models.
#[derive(Deserialize)]
struct Listed {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl ModelsProbe {
    /// A probe over `client`.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks `backend` for its models.
    pub(crate) async fn ask(&self, backend: &Backend) -> Asked {
        let began = Instant::now();
        let (result, status, outcome) = match self.list(backend).await {
            Ok(models) => (ProbeResult::Passed, Some(200), Ok(models)),
            Err(Unlisted::Endpoint(error)) => (ProbeResult::Unclear, None, Err(error)),
            Err(Unlisted::Unreadable(error)) => (ProbeResult::Unclear, Some(200), Err(error)),
            Err(Unlisted::Failure(failure)) => (meaning(&failure), failure.status, Err(failure.to_string())),
        };
        let took = began.elapsed();
        let latency_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let ok = outcome.is_ok();
        let (models, error) = outcome.map_or_else(|error| (Vec::new(), Some(error)), |models| (models, None));
        let report = TestReport { ok, latency_ms, status, models, error };
        Asked { report, probed: Probed { result, status, took } }
    }

    async fn list(&self, backend: &Backend) -> Result<Vec<String>, Unlisted> {
        let endpoint = gateway::endpoint(backend).map_err(|error| Unlisted::Endpoint(error.to_string()))?;
        let deadlines = Deadlines {
            connect: backend.deadlines.connect.min(PROBE_TIMEOUT),
            first_event: PROBE_TIMEOUT,
            idle: PROBE_TIMEOUT,
            total: PROBE_TIMEOUT,
        };
        let call = Call {
            method: Method::GET,
            path: "/models",
            headers: HeaderMap::new(),
            body: CallBody::Empty,
            deadlines,
            started: Instant::now(),
        };
        let mut answer = self.client.call(&endpoint, call).await?;
        let body = answer.whole(LIST_BYTES_MAX).await?;
        if !answer.status.is_success() {
            return Err(Failure::from_answer(answer.status, &answer.headers, &body).into());
        }
        let listed: Listed = serde_json::from_slice(&body)
            .map_err(|error| Unlisted::Unreadable(format!("its list of models cannot be read: {error}")))?;
        Ok(listed.data.into_iter().map(|model| model.id).collect())
    }
}

/// What an operator is told of a question, and what the data plane is.
pub(crate) struct Asked {
    pub(crate) report: TestReport,
    probed: Probed,
}

/// A backend that answers with anything but a fault of its own is there: it may well serve without a list.
fn meaning(failure: &Failure) -> ProbeResult {
    match failure.status {
        Some(..500) => ProbeResult::Unclear,
        Some(500..) | None => ProbeResult::Missed,
    }
}

enum Unlisted {
    Endpoint(String),
    Unreadable(String),
    Failure(Failure),
}

impl From<Failure> for Unlisted {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Prober for ModelsProbe {
    fn test(&self, backend: Arc<Backend>) -> Testing<'_> {
        Box::pin(async move { self.ask(&backend).await.report })
    }
}

/// Keeps model lists fresh, and looks after backends that nobody calls or that are in trouble.
pub(crate) struct Lookout {
    /// Asks.
    pub(crate) probe: ModelsProbe,
    /// Knows the backends.
    pub(crate) gateway: Arc<Gateway>,
    /// Knows which are in error, and hears of the answer.
    pub(crate) live: Arc<Live>,
    /// Hears of new models.
    pub(crate) publisher: Publisher,
}

/// Calls that each backend had had when it was last looked at.
type Calls = Mutex<HashMap<BackendId, u64>>;

fn is_suspect(status: &BackendStatus) -> bool {
    status.state != Health::Healthy || status.consecutive_failures > 0
}

/// Backends asked at the same time at the start.
const ASKED_AT_ONCE: usize = 8;

impl Lookout {
    /// Looks once an interval, for as long as the program runs.
    pub(crate) async fn keep_looking(self) {
        let mut rounds = tokio::time::interval(ROUND_INTERVAL);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Model lists are wanted at once.
        let (mut spread, calls) = (Duration::ZERO, Calls::default());
        loop {
            rounds.tick().await;
            self.look_around(spread, &calls).await;
            spread = ROUND_INTERVAL;
        }
    }

    /// Looks at each backend in its turn, evenly over `spread`; a slow answer delays nobody else's turn.
    async fn look_around(&self, spread: Duration, calls: &Calls) {
        let began = Instant::now();
        let backends = self.gateway.view().snapshot.backends.clone();
        let count = u32::try_from(backends.len()).unwrap_or(u32::MAX).max(1);
        let turns = (0_u32..).zip(backends.into_iter().filter(|backend| backend.enabled));
        let at_once = if spread.is_zero() { ASKED_AT_ONCE } else { usize::MAX };
        stream::iter(turns)
            .for_each_concurrent(at_once, async |(turn, backend)| {
                tokio::time::sleep_until(began + spread * turn / count).await;
                if self.is_due(&backend, calls) {
                    self.look(backend).await;
                }
            })
            .await;
    }

    /// Whether its models are to be listed, nobody called it since the last look, or it is in trouble.
    fn is_due(&self, backend: &Backend, calls: &Calls) -> bool {
        let status = self.live.status(Instant::now().into_std());
        let Some(status) = status.backends.iter().find(|status| status.id == backend.id) else {
            return false;
        };
        let before = calls.lock().unwrap_or_else(PoisonError::into_inner).insert(backend.id, status.requests);
        backend.lists_models || is_suspect(status) || before == Some(status.requests)
    }

    async fn look(&self, backend: Arc<Backend>) {
        let Asked { report, probed } = self.probe.ask(&backend).await;
        let grants = self.live.note_probe(backend.id, probed, Instant::now().into_std());
        self.gateway.deliver(grants);
        if let Some(error) = &report.error {
            // One that names its models need not list them.
            if !backend.lists_models && probed.result == ProbeResult::Unclear {
                return;
            }
            tracing::warn!(backend = &*backend.name, status = report.status, %error, "a backend did not list its models");
        } else if backend.lists_models
            && let Err(error) = self.publisher.discovered(&backend.name, report.models).await
        {
            tracing::warn!(backend = &*backend.name, %error, "a backend's models were not taken over");
        }
    }
}
