//! Decides how a backend is asked whether it is there and what it serves; never spends a token.

use std::{sync::Arc, time::Duration};

use control::{
    admin::{Prober, TestReport, Testing},
    publish::Publisher,
};
use futures_util::{StreamExt, stream};
use gateway::Gateway;
use http::{HeaderMap, Method};
use policy::{Backend, BackendId, Live, ProbeResult, live::Health};
use protocol::Failure;
use serde::Deserialize;
use tokio::time::Instant;
use upstream::{Call, CallBody, Client, Deadlines};

/// A probe is answered quickly or not at all.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often model lists are refreshed and backends in error are looked at.
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
    pub(crate) async fn ask(&self, backend: &Backend) -> TestReport {
        let began = Instant::now();
        let (status, outcome) = match self.list(backend).await {
            Ok(models) => (Some(200), Ok(models)),
            Err(Unlisted::Endpoint(error)) => (None, Err(error)),
            Err(Unlisted::Failure(failure)) => (failure.status, Err(failure.to_string())),
        };
        let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ok = outcome.is_ok();
        let (models, error) = outcome.map_or_else(|error| (Vec::new(), Some(error)), |models| (models, None));
        TestReport { ok, latency_ms, status, models, error }
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
            .map_err(|error| Unlisted::Endpoint(format!("its list of models cannot be read: {error}")))?;
        Ok(listed.data.into_iter().map(|model| model.id).collect())
    }
}

enum Unlisted {
    Endpoint(String),
    Failure(Failure),
}

impl From<Failure> for Unlisted {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Prober for ModelsProbe {
    fn test(&self, backend: Arc<Backend>) -> Testing<'_> {
        Box::pin(async move { self.ask(&backend).await })
    }
}

/// Keeps model lists fresh and gives backends in error another chance.
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

/// Backends asked at the same time.
const ASKED_AT_ONCE: usize = 8;

impl Lookout {
    /// Looks once an interval, for as long as the program runs.
    pub(crate) async fn keep_looking(self) {
        let mut rounds = tokio::time::interval(ROUND_INTERVAL);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            let backends = self.gateway.view().snapshot.backends.clone();
            let in_error = self.in_error();
            let due = backends.into_iter().filter(|backend| {
                backend.enabled && (backend.lists_models || in_error.contains(&backend.id))
            });
            stream::iter(due).for_each_concurrent(ASKED_AT_ONCE, |backend| self.look(backend)).await;
        }
    }

    fn in_error(&self) -> Vec<BackendId> {
        let status = self.live.status(Instant::now().into_std());
        let in_error = status.backends.iter().filter(|backend| backend.state == Health::Error);
        in_error.map(|backend| backend.id).collect()
    }

    async fn look(&self, backend: Arc<Backend>) {
        let report = self.probe.ask(&backend).await;
        let result = if report.ok { ProbeResult::Passed } else { ProbeResult::Missed };
        if self.in_error().contains(&backend.id) {
            let grants = self.live.note_probe(backend.id, result, Instant::now().into_std());
            self.gateway.deliver(grants);
        }
        if let Some(error) = &report.error {
            tracing::warn!(backend = &*backend.name, status = report.status, %error, "a backend did not list its models");
        } else if backend.lists_models
            && let Err(error) = self.publisher.discovered(&backend.name, report.models).await
        {
            tracing::warn!(backend = &*backend.name, %error, "a backend's models were not taken over");
        }
    }
}
