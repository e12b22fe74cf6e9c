//! The admin API: decides who may operate the gateway and what each call does; it never touches a request in flight.

mod auth;
mod backends;
mod budgets;
mod config;
mod explain;
mod extract;
mod keys;
mod probe;
mod refusal;
mod requests;
mod stats;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{any, get, post};
use policy::{Digester, Live, Source};
use store::{Directory, Ledger};

use crate::publish::{Publisher, Reloader};

pub use auth::{ClientAddress, Gate, ensure_token};
pub use probe::{Prober, TestReport, Testing};

/// Far above any backend with a thousand mappings, far below what could hurt.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct AdminState {
    /// Makes changes and publishes them.
    pub publisher: Publisher,
    /// Reads the configuration again.
    pub reloader: Reloader,
    /// What people edit.
    pub directory: Directory,
    /// What requests used and cost.
    pub ledger: Ledger,
    /// What the data plane has learned.
    pub live: Arc<Live>,
    /// Makes digests of keys and tokens.
    pub digester: Digester,
    /// Reaches backends.
    pub prober: Arc<dyn Prober>,
    /// Who comes in.
    pub gate: Arc<Gate>,
}

/// Every route under `/api/admin`. The server puts a [`ClientAddress`] into each request's extensions.
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/api/admin/backends", get(backends::list).post(backends::create))
        .route(
            "/api/admin/backends/{id}",
            get(backends::show).patch(backends::change).delete(backends::remove),
        )
        .route("/api/admin/backends/{id}/test", post(backends::test))
        .route("/api/admin/backends/{id}/reset", post(backends::reset))
        .route("/api/admin/backends/{id}/enable", post(backends::enable))
        .route("/api/admin/backends/{id}/disable", post(backends::disable))
        .route("/api/admin/keys", get(keys::list).post(keys::create))
        .route("/api/admin/keys/{id}", get(keys::show).patch(keys::change).delete(keys::revoke))
        .route("/api/admin/keys/{id}/rotate", post(keys::rotate))
        .route("/api/admin/keys/{id}/enable", post(keys::enable))
        .route("/api/admin/keys/{id}/disable", post(keys::disable))
        .route("/api/admin/stats/total", get(stats::total))
        .route("/api/admin/stats/hourly", get(stats::hourly))
        .route("/api/admin/stats/daily", get(stats::daily))
        .route("/api/admin/stats/cooldown", get(stats::cooldown))
        .route("/api/admin/requests", get(requests::recent))
        .route("/api/admin/requests/{id}", get(requests::show))
        .route("/api/admin/budgets", get(budgets::list))
        .route("/api/admin/explain", get(explain::show))
        .route("/api/admin/config", get(config::show).patch(config::change))
        .route("/api/admin/reload", post(config::reload))
        .route("/status", get(stats::cooldown))
        .route("/internal/stats", get(stats::internal))
        .route("/api/admin/{*rest}", any(refusal::no_such_route))
        .method_not_allowed_fallback(refusal::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        // Not on the fallback: a browser's stray request is no guess at the token.
        .route_layer(middleware::from_fn_with_state(state.clone(), auth::authenticate))
        .fallback(refusal::no_such_route)
        .with_state(state)
}

/// The word for where an object was defined.
pub(crate) fn origin(source: Source) -> &'static str {
    match source {
        Source::File => "file",
        Source::Api => "api",
        Source::Env => "env",
        Source::Import => "import",
        Source::Demo => "demo",
    }
}
