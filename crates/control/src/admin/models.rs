//! Shows the names that clients may ask for, and who serves each; models come with backends, so it never changes one.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use policy::{ModelListing, Route, Snapshot};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::Asked;
use super::page::Paging;
use super::refusal::Refusal;
use super::role::Role;

/// A name that clients may ask for.
#[derive(Debug, Serialize, ToSchema)]
struct ModelEntry {
    /// The name.
    name: String,
    /// The provider tag of the first backend that serves it; `lockgate` for an alias.
    owned_by: String,
    /// Whether it is another name for a model, or for several.
    alias: bool,
    /// The context window, the widest of those who serve it.
    context: Option<u64>,
    /// The longest answer, the longest of those who serve it.
    max_output: Option<u64>,
    /// Who serves it, in the order in which pools are asked.
    served_by: Vec<ServerView>,
}

/// A backend that serves a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelServer)]
struct ServerView {
    backend: String,
    pool: String,
    /// The model that is meant, where an alias was asked for.
    model: String,
    /// The backend's own id for it.
    native: String,
    /// Whether its price is known.
    priced: bool,
}

/// A page of models.
#[derive(Debug, Serialize, ToSchema)]
struct ModelList {
    models: Vec<ModelEntry>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(list)).routes(routes!(show)))
}

/// Lists the names that clients may ask for, aliases among them.
#[utoipa::path(
    get, path = "/api/admin/models",
    params(Paging),
    responses((status = 200, description = "A page of models.", body = ModelList)),
)]
async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<ModelList>, Refusal> {
    let snapshot = in_force(&state)?;
    let listed = snapshot.catalog.list(snapshot.identity.anonymous());
    let page = paging.cut(listed, |listing| listing.id.to_string())?;
    let models = page.items.iter().map(|listing| ModelEntry::of(&snapshot, listing)).collect();
    Ok(Json(ModelList { models, next: page.next }))
}

/// Shows one model and who serves it. A name that holds a slash is written with `%2F`.
#[utoipa::path(
    get, path = "/api/admin/models/{id}",
    responses((status = 200, description = "The model.", body = ModelEntry)),
)]
async fn show(State(state): State<AdminState>, Path(id): Path<String>) -> Result<Json<ModelEntry>, Refusal> {
    let snapshot = in_force(&state)?;
    let listed = snapshot.catalog.list(snapshot.identity.anonymous());
    let found = listed.iter().find(|listing| *listing.id == *id);
    let found = found.ok_or_else(|| Refusal::not_found("model", &id))?;
    Ok(Json(ModelEntry::of(&snapshot, found)))
}

fn in_force(state: &AdminState) -> Result<std::sync::Arc<Snapshot>, Refusal> {
    let unready = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "nothing is published yet");
    state.publisher.snapshot().ok_or_else(unready)
}

impl ModelEntry {
    fn of(snapshot: &Snapshot, listing: &ModelListing) -> Self {
        let route = snapshot.catalog.resolve(&listing.id, snapshot.identity.anonymous()).ok();
        Self {
            name: listing.id.to_string(),
            owned_by: listing.owned_by.to_string(),
            alias: route.as_ref().is_some_and(|route| route.renamed),
            context: listing.context,
            max_output: listing.max_output,
            served_by: route.map_or_else(Vec::new, |route| servers(snapshot, &route)),
        }
    }
}

fn servers(snapshot: &Snapshot, route: &Route) -> Vec<ServerView> {
    let candidates = route.tiers.iter().flat_map(|tier| tier.candidates.iter().map(move |one| (tier, one)));
    let server = |(tier, candidate): (&policy::Tier, &policy::Candidate)| {
        let backend = snapshot.backend(candidate.backend)?;
        Some(ServerView {
            backend: backend.name.to_string(),
            pool: tier.pool.to_string(),
            model: tier.model.to_string(),
            native: candidate.native.to_string(),
            priced: candidate.price.is_some(),
        })
    };
    candidates.filter_map(server).collect()
}
