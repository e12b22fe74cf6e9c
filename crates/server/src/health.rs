//! Decides what the outside may learn of the gateway's own health; never anything about a caller or a credential.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::State as Given,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use control::publish::Publisher;
use gateway::Gateway;
use policy::{
    Live, Status,
    live::{BackendStatus, Health},
};
use serde_json::{Value, json};
use store::{Backlog, Checkup, Mover, Soundness};
use tokio::time::Instant;
use upstream::process::{Fleet, Standing};

/// What is known of the database.
#[derive(Clone)]
pub(crate) struct Database {
    checkup: Checkup,
    backlog: Backlog,
}

impl Database {
    pub(crate) fn of(checkup: Checkup, mover: &Mover) -> Self {
        Self { checkup, backlog: mover.backlog() }
    }
}

/// What health is told from.
#[derive(Clone)]
pub(crate) struct State {
    gateway: Arc<Gateway>,
    live: Arc<Live>,
    publisher: Publisher,
    fleet: Arc<Fleet>,
    database: Database,
    started: Instant,
}

impl State {
    /// Health of this gateway, from now on.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        live: Arc<Live>,
        publisher: Publisher,
        fleet: Arc<Fleet>,
        database: Database,
    ) -> Self {
        Self { gateway, live, publisher, fleet, database, started: Instant::now() }
    }

    fn status(&self) -> Status {
        self.live.status(Instant::now().into_std())
    }
}

fn is_ready(backend: &BackendStatus) -> bool {
    backend.state == Health::Healthy
}

/// Liveness and readiness.
pub(crate) fn router(state: State) -> Router {
    Router::new()
        .route("/healthz", get(liveness))
        .route("/health", get(liveness))
        .route("/health/ready", get(readiness))
        .route("/metrics", get(metrics))
        .route("/api/hello", get(|| async { StatusCode::OK }))
        .with_state(state)
}

/// The metrics port.
pub(crate) fn metrics_router(state: State) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(liveness)).with_state(state)
}

/// Always 200 while serving: a restart would not help a gateway whose backends are down.
async fn liveness(Given(state): Given<State>) -> Json<Value> {
    let status = state.status();
    let ready = status.backends.iter().filter(|backend| is_ready(backend)).count();
    Json(json!({
        "status": "ok",
        "ok": ready > 0,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": state.started.elapsed().as_secs(),
        "pool_size": status.backends.len(),
        "pool_ready": ready,
        "pools": pools(&status),
        "instances": instances(&state.fleet),
        "database": word(&state.database),
    }))
}

/// Where in the file it is damaged is the operator's business.
fn word(Database { checkup, backlog }: &Database) -> &'static str {
    match checkup.soundness() {
        Soundness::Damaged(_) => "damaged",
        // Full, locked or away: receipts wait in the journal.
        Soundness::Unknown | Soundness::Checking | Soundness::Sound if backlog.lag().trouble.is_some() => {
            "unavailable"
        }
        Soundness::Unknown => "unknown",
        Soundness::Checking => "checking",
        Soundness::Sound => "sound",
    }
}

/// Says aloud what a look at the database came to that was still going on when the gateway began to serve. It goes on
/// serving: requests need no database.
pub(crate) async fn tell(checkup: Checkup, live: Arc<Live>) {
    if checkup.soundness() == Soundness::Sound {
        return;
    }
    match checkup.ended().await {
        Soundness::Damaged(what) => {
            tracing::error!(
                what,
                "the database is damaged; requests are served and journalled on. Stop the gateway, and restore the data \
                 folder from a backup"
            );
            live.note_damaged_database(&what, Instant::now().into_std());
        }
        Soundness::Sound => tracing::info!("the database is sound"),
        Soundness::Unknown | Soundness::Checking => {
            tracing::warn!("whether the database is sound could not be looked at");
        }
    }
}

/// Each local process, and whether it takes turns.
fn instances(fleet: &Fleet) -> BTreeMap<Arc<str>, Value> {
    let one = |one: &upstream::process::Instance| {
        let picture = one.picture();
        let is_ready = picture.standing() == Standing::Ready;
        (one.name().clone(), json!({"ready": is_ready, "state": picture.state.name()}))
    };
    fleet.instances().iter().map(one).collect()
}

fn pools(status: &Status) -> BTreeMap<Arc<str>, Value> {
    let mut counts: BTreeMap<Arc<str>, (usize, usize)> = BTreeMap::new();
    for backend in &status.backends {
        let (size, ready) = counts.entry(backend.pool.clone()).or_default();
        *size += 1;
        *ready += usize::from(is_ready(backend));
    }
    counts.into_iter().map(|(pool, (size, ready))| (pool, json!({"size": size, "ready": ready}))).collect()
}

/// 200, or 503 with everything that is missing.
async fn readiness(Given(state): Given<State>) -> Response {
    let missing = missing(&state);
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": missing.is_empty(), "missing": missing}))).into_response()
}

/// The queue is too full to promise anything above this share.
const QUEUE_SHARE_MAX_PERCENT: usize = 90;

fn missing(state: &State) -> Vec<&'static str> {
    let status = state.status();
    let mut missing = Vec::new();
    if state.gateway.is_stopping() {
        missing.push("the gateway is stopping");
    }
    if !status.backends.iter().any(is_ready) {
        missing.push("no backend can be leased");
    } else if !status.backends.iter().any(|backend| is_ready(backend) && backend.bucket_level != Some(0)) {
        missing.push("every backend's rate bucket is empty");
    }
    if status.queued * 100 >= status.queue.max * QUEUE_SHARE_MAX_PERCENT && status.queue.max > 0 {
        missing.push("the queue is nearly full");
    }
    if state.gateway.journal().reserve().is_err() {
        missing.push("the journal takes no more requests");
    }
    missing
}

/// With a metrics token, that token; else, once there are gateway keys, any of them.
fn may_scrape(state: &State, headers: &HeaderMap) -> bool {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .unwrap_or_default();
    let identity = &state.gateway.view().snapshot.identity;
    match &state.publisher.loaded().settings.metrics_token {
        Some(token) => identity.is_same(presented, token.expose()),
        None => identity.is_open() || identity.find(presented).is_some(),
    }
}

async fn metrics(Given(state): Given<State>, headers: HeaderMap) -> Response {
    if !may_scrape(&state, &headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, "metrics need the metrics token, or a gateway key\n")
            .into_response();
    }
    state.gateway.metrics().note_instances(crate::instances::gauges(&state.fleet));
    state.gateway.metrics().note_captures_lost(state.gateway.captures_lost());
    let text = state.gateway.metrics().encode(&state.status(), state.gateway.journal().lag());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
