//! The admin API: decides who may operate the gateway and what each call does; it never touches a request in flight.

mod accounts;
mod acting;
mod actor;
mod aliases;
mod audit;
mod auth;
mod backends;
mod backups;
mod budgets;
mod captures;
mod config;
mod document;
mod events;
mod explain;
mod export;
mod extract;
mod instances;
mod keys;
mod models;
mod page;
mod pages;
mod pools;
mod prices;
mod probe;
mod refusal;
mod requests;
mod resource;
mod role;
mod session;
mod shape;
mod span;
mod stats;
mod teams;
#[cfg(test)]
mod tests;
mod tokens;
mod vault;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::{any, get};
use axum::{Router, middleware};
use policy::{Digester, Live, Source};
use store::{Directory, Ledger};
use utoipa_axum::router::OpenApiRouter;

use crate::publish::{Publisher, Reloader};

pub use accounts::assign;
pub use acting::Records;
pub(crate) use auth::authenticate;
pub use auth::{ClientAddress, Gate, ensure_token};
pub(crate) use events::at_time;
pub use instances::{Begun, Doing, InstanceLogin, InstanceStatus, Instances, NoInstances};
pub use probe::{Prober, TestReport, Testing};
pub(crate) use refusal::Refusal;
pub use role::Role;

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
    /// Keeps local processes.
    pub instances: Arc<dyn Instances>,
    /// Who comes in.
    pub gate: Arc<Gate>,
    /// What is kept of changes, and beside the ledger.
    pub records: Records,
}

/// Every resource, with what is documented of it and the least role that may call each route.
fn resources() -> Vec<OpenApiRouter<AdminState>> {
    vec![
        accounts::routes(),
        audit::routes(),
        aliases::routes(),
        backends::routes(),
        backups::routes(),
        budgets::routes(),
        captures::routes(),
        config::routes(),
        events::routes(),
        explain::routes(),
        export::routes(),
        instances::routes(),
        keys::routes(),
        models::routes(),
        pools::routes(),
        prices::routes(),
        requests::routes(),
        session::routes(),
        stats::routes(),
        teams::routes(),
        tokens::routes(),
        vault::routes(),
    ]
}

/// The description of the admin API (OpenAPI 3.1).
pub fn openapi() -> serde_json::Value {
    document::document(joined().merge(session::public_routes()).into_openapi())
}

fn joined() -> OpenApiRouter<AdminState> {
    resources().into_iter().fold(OpenApiRouter::default(), OpenApiRouter::merge)
}

/// Everything under `/api`. The server puts a [`ClientAddress`] into each request's extensions.
pub fn router(state: AdminState) -> Router {
    let described: Arc<str> = openapi().to_string().into();
    let document =
        move || async move { ([(header::CONTENT_TYPE, "application/json")], described.to_string()) };
    Router::from(joined())
        .route("/api/admin/{*rest}", any(refusal::no_such_route))
        .route_layer(middleware::from_fn(extract::readable_path))
        // Not on the fallback: a browser's stray request is no guess at the token.
        .route_layer(middleware::from_fn_with_state(state.clone(), authenticate))
        .merge(Router::from(session::public_routes()))
        .route("/api/openapi.json", get(document))
        .route("/api/docs", get(pages::page))
        .route("/api/docs/{file}", get(pages::file))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .method_not_allowed_fallback(refusal::no_such_method)
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
