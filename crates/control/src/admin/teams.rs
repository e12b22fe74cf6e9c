//! Teams through the API: what all keys of one may do together; those that the file defines are only shown.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::{Source, TeamSpec, Timestamp};
use serde::Serialize;
use serde_json::json;
use store::directory::{Kind, NewSpec, SpecChange, StoredSpec, Target};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::{Asked, Seen, Text, etag, expected_revision, merge, object, take};
use super::origin;
use super::page::Paging;
use super::refusal::Refusal;
use super::role::Role;
use crate::config::body;
use crate::keygen;

/// A team.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TeamView {
    id: String,
    name: String,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(flatten)]
    demands: Option<DemandsView>,
    /// The names of its keys.
    keys: Vec<String>,
    #[schema(value_type = Option<i64>)]
    created: Option<Timestamp>,
    #[schema(value_type = Option<i64>)]
    updated: Option<Timestamp>,
    revision: Option<u64>,
}

/// What a team may do, and its keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TeamDemands)]
struct DemandsView {
    rpm: Option<u32>,
    tpm: Option<u64>,
    concurrency: Option<u32>,
    models: Vec<String>,
    endpoints: Vec<&'static str>,
    ip_allow: Vec<String>,
    priority_max: Option<&'static str>,
    strict: bool,
    default_model: Option<String>,
    aliases: BTreeMap<String, Vec<String>>,
    body_max: Option<u64>,
    metadata: BTreeMap<String, String>,
    note: Option<String>,
}

/// A page of teams.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TeamList {
    teams: Vec<TeamView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(list)).routes(routes!(show));
    let running =
        OpenApiRouter::default().routes(routes!(create)).routes(routes!(change)).routes(routes!(remove));
    Role::Viewer.may(reading).merge(Role::Operator.may(running))
}

/// Lists all teams, by name, with their keys.
#[utoipa::path(
    get, path = "/api/admin/teams",
    params(Paging),
    responses((status = 200, description = "A page of teams.", body = TeamList)),
)]
pub(crate) async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<TeamList>, Refusal> {
    let members = members(&state).await?;
    let stored = state.directory.specs(Kind::Team).await?;
    let loaded = state.publisher.loaded();
    let given = loaded.settings.teams.iter().map(|spec| TeamView::given(spec, &members));
    let all = given.chain(stored.iter().map(|one| TeamView::stored(one, &members))).collect();
    let page = paging.cut(all, |team: &TeamView| team.name.clone())?;
    Ok(Json(TeamList { teams: page.items, next: page.next }))
}

/// Shows one team and its keys.
#[utoipa::path(
    get, path = "/api/admin/teams/{id}",
    responses((status = 200, description = "The team.", body = TeamView)),
)]
pub(crate) async fn show(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let loaded = state.publisher.loaded();
    if let Some(given) = loaded.settings.teams.iter().find(|team| team.name == id) {
        return Ok(Json(TeamView::given(given, &members(&state).await?)).into_response());
    }
    shown(&state, &own(&state, &id).await?).await
}

/// Makes a team. Keys join it by naming it.
#[utoipa::path(
    post, path = "/api/admin/teams",
    request_body = ref("#/components/schemas/Team"),
    responses((status = 201, description = "It is in force.", body = TeamView)),
)]
pub(crate) async fn create(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    let mut spec = object(&text)?;
    let typed = body::team_body(&text)?;
    if state.publisher.loaded().settings.teams.iter().any(|team| team.name == typed.name) {
        let detail = "the file has a team of this name";
        return Err(Refusal::new(StatusCode::CONFLICT, "conflict", detail));
    }
    take(&mut spec, "name");
    let new = NewSpec { id: keygen::id("team"), name: typed.name, spec };
    let now = state.publisher.now();
    let candidate = candidate(&new, now);
    let stored = state
        .publisher
        .edit(|gathered| gathered.teams.push(candidate), state.directory.add_spec(Kind::Team, new, now))
        .await?;
    Ok((StatusCode::CREATED, shown(&state, &stored).await?).into_response())
}

/// Changes what the body names of a team that was made here; null leaves a demand out again.
#[utoipa::path(
    patch, path = "/api/admin/teams/{id}",
    params(Seen),
    request_body = ref("#/components/schemas/TeamPatch"),
    responses((status = 200, description = "It is in force.", body = TeamView)),
)]
pub(crate) async fn change(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
    Text(text): Text,
) -> Result<Response, Refusal> {
    let stored = own(&state, &id).await?;
    let mut whole = stored.spec.clone();
    merge(&mut whole, json!({"name": stored.name}));
    merge(&mut whole, object(&text)?);
    let typed = body::team_body(&whole.to_string())?;
    take(&mut whole, "name");
    let change = SpecChange { name: typed.name, spec: whole };
    let target = Target { id: &stored.id, revision: expected_revision(&headers)? };
    let copy = change.clone();
    let changed = state
        .publisher
        .edit(
            |gathered| {
                if let Some(team) = gathered.teams.iter_mut().find(|team| team.id == stored.id) {
                    (team.name, team.spec) = (copy.name, copy.spec);
                }
            },
            state.directory.change_spec(Kind::Team, target, change, state.publisher.now()),
        )
        .await?;
    shown(&state, &changed).await
}

/// Removes a team that no key and no budget names.
#[utoipa::path(
    delete, path = "/api/admin/teams/{id}",
    params(Seen),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let stored = own(&state, &id).await?;
    let target = Target { id: &stored.id, revision: expected_revision(&headers)? };
    state
        .publisher
        .edit(
            |gathered| gathered.teams.retain(|team| team.id != stored.id),
            state.directory.remove_spec(Kind::Team, target),
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn candidate(new: &NewSpec, now: Timestamp) -> StoredSpec {
    let NewSpec { id, name, spec } = new.clone();
    StoredSpec { id, name, spec, created: now, updated: now, revision: 0 }
}

async fn own(state: &AdminState, id: &str) -> Result<StoredSpec, Refusal> {
    if let Some(given) = state.publisher.loaded().settings.teams.iter().find(|team| team.name == id) {
        return Err(Refusal::read_only("team", origin(given.source)));
    }
    let stored = state.directory.specs(Kind::Team).await?;
    let found = stored.into_iter().find(|team| team.id == id || team.name == id);
    found.ok_or_else(|| Refusal::not_found("team", id))
}

async fn shown(state: &AdminState, stored: &StoredSpec) -> Result<Response, Refusal> {
    let view = TeamView::stored(stored, &members(state).await?);
    Ok(([(header::ETAG, etag(stored.revision))], Json(view)).into_response())
}

/// The names of keys, by their teams.
async fn members(state: &AdminState) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let loaded = state.publisher.loaded();
    let given = loaded.settings.keys.iter().map(|key| (key.team.clone(), key.name.clone()));
    let stored = state.directory.keys().await?.into_iter().map(|key| (key.team, key.name));
    for (team, name) in given.chain(stored) {
        if let Some(team) = team {
            members.entry(team).or_default().push(name);
        }
    }
    Ok(members)
}

impl TeamView {
    fn given(spec: &TeamSpec, members: &BTreeMap<String, Vec<String>>) -> Self {
        Self {
            id: spec.name.clone(),
            name: spec.name.clone(),
            source: origin(spec.source),
            problem: None,
            demands: Some(DemandsView::of(spec)),
            keys: members.get(&spec.name).cloned().unwrap_or_default(),
            created: None,
            updated: None,
            revision: None,
        }
    }

    fn stored(stored: &StoredSpec, members: &BTreeMap<String, Vec<String>>) -> Self {
        let spec = body::stored_team(stored);
        Self {
            id: stored.id.clone(),
            name: stored.name.clone(),
            source: origin(Source::Api),
            problem: spec.as_ref().err().map(ToString::to_string),
            demands: spec.ok().as_ref().map(DemandsView::of),
            keys: members.get(&stored.name).cloned().unwrap_or_default(),
            created: Some(stored.created),
            updated: Some(stored.updated),
            revision: Some(stored.revision),
        }
    }
}

impl DemandsView {
    fn of(spec: &TeamSpec) -> Self {
        Self {
            rpm: spec.limits.rpm,
            tpm: spec.limits.tpm,
            concurrency: spec.limits.concurrency,
            models: spec.models.clone(),
            endpoints: spec.endpoints.iter().map(|endpoint| endpoint.name()).collect(),
            ip_allow: spec.ip_allow.iter().map(ToString::to_string).collect(),
            priority_max: spec.priority_max.map(|class| class.name()),
            strict: spec.strict,
            default_model: spec.default_model.clone(),
            aliases: spec.aliases.clone(),
            body_max: spec.body_bytes_max,
            metadata: spec.metadata.clone(),
            note: spec.note.clone(),
        }
    }
}
