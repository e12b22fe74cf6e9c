//! Shows pools in the order in which they are asked, and how their backends stand; pools are defined in the file, so it
//! never changes one.

use axum::Json;
use axum::extract::{Path, State};
use policy::{BackendStatus, Health};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::Asked;
use super::page::Paging;
use super::refusal::Refusal;
use super::role::Role;
use super::shape;
use crate::publish::moment;

/// A tier of backends.
#[derive(Debug, Serialize, ToSchema)]
struct PoolView {
    name: String,
    /// Its place in the order in which pools are asked, from 0.
    place: usize,
    /// How it spreads its requests.
    strategy: &'static str,
    /// How many of its backends can be used now.
    healthy: usize,
    /// Calls running on it.
    in_flight: u64,
    backends: Vec<MemberView>,
}

/// A backend of a pool.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PoolMember)]
struct MemberView {
    name: String,
    /// Whether it can be used: healthy, cooling, error, disabled.
    #[schema(value_type = shape::Health)]
    state: Health,
    in_flight: u32,
    /// What is left of its cooldown or open breaker.
    cooldown_left_ms: Option<u64>,
}

/// A page of pools, by name.
#[derive(Debug, Serialize, ToSchema)]
struct PoolList {
    pools: Vec<PoolView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(list)).routes(routes!(show)))
}

/// Lists pools, by name, with their place in the order in which they are asked.
#[utoipa::path(
    get, path = "/api/admin/pools",
    params(Paging),
    responses((status = 200, description = "A page of pools.", body = PoolList)),
)]
async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<PoolList>, Refusal> {
    let page = paging.cut(pools(&state), |pool| pool.name.clone())?;
    Ok(Json(PoolList { pools: page.items, next: page.next }))
}

/// Shows one pool and how its backends stand.
#[utoipa::path(
    get, path = "/api/admin/pools/{id}",
    responses((status = 200, description = "The pool.", body = PoolView)),
)]
async fn show(State(state): State<AdminState>, Path(id): Path<String>) -> Result<Json<PoolView>, Refusal> {
    let found = pools(&state).into_iter().find(|pool| pool.name == id);
    found.map(Json).ok_or_else(|| Refusal::not_found("pool", &id))
}

fn pools(state: &AdminState) -> Vec<PoolView> {
    let loaded = state.publisher.loaded();
    let backends = state.live.status(moment()).backends;
    let mut specs: Vec<_> = loaded.settings.pools.iter().collect();
    specs.sort_by_key(|pool| match pool.name.as_str() {
        "primary" => (0, 0),
        "fallback" => (1, 0),
        _ => (2, pool.rank),
    });
    let view = |(place, spec): (usize, &policy::PoolSpec)| {
        let of_it = backends.iter().filter(|backend| *backend.pool == *spec.name);
        let members: Vec<MemberView> = of_it.map(MemberView::of).collect();
        PoolView {
            name: spec.name.clone(),
            place,
            strategy: spec.strategy.name(),
            healthy: members.iter().filter(|member| member.state == Health::Healthy).count(),
            in_flight: members.iter().map(|member| u64::from(member.in_flight)).sum(),
            backends: members,
        }
    };
    specs.into_iter().enumerate().map(view).collect()
}

impl MemberView {
    fn of(status: &BackendStatus) -> Self {
        Self {
            name: status.name.to_string(),
            state: status.state,
            in_flight: status.in_flight,
            cooldown_left_ms: status.cooldown_left_ms,
        }
    }
}
