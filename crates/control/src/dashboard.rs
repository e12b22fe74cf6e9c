//! The dashboard: decides what a browser gets under `/dashboard` and what it is told each second; it never changes
//! anything itself: whatever its pages change goes through the admin API.

mod assets;
mod feed;
mod picture;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::middleware;
use axum::routing::get;

use crate::admin::{self, AdminState};

pub use feed::Feed;

/// The pages, and the live data that they show.
pub fn router(state: AdminState, feed: Feed) -> Router {
    let live = Router::new()
        .route("/dashboard/sse", get(feed::watch))
        .route("/api/dashboard/stream", get(feed::watch))
        .route_layer(middleware::from_fn_with_state(state, admin::authenticate))
        .with_state(feed);
    Router::new()
        .route("/dashboard", get(assets::page))
        .route("/dashboard/", get(assets::page))
        .route("/dashboard/{*path}", get(assets::file))
        .merge(live)
}
