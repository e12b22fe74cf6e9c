//! Teams through the API: what all keys of one may do together; those that the file defines are only shown.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use policy::{Source, TeamSpec};
use serde::Serialize;
use store::directory::{Kind, SpecChange, StoredSpec, Target};
use store::{Directory, StoreError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::{Asked, Seen, Text, object, take};
use super::page::{Page, Paging};
use super::refusal::Refusal;
use super::resource::{self, Found, Provenance, Resource, Spec};
use super::role::Role;
use crate::config::body;
use crate::publish::Gathered;

/// A team.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TeamView {
    #[serde(flatten)]
    provenance: Provenance,
    #[serde(flatten)]
    demands: Option<DemandsView>,
    /// The names of its keys.
    keys: Vec<String>,
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
    let Page { items: teams, next } = resource::list::<Teams>(&state, &paging).await?;
    Ok(Json(TeamList { teams, next }))
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
    resource::show::<Teams>(&state, &id).await
}

/// Makes a team. Keys join it by naming it.
#[utoipa::path(
    post, path = "/api/admin/teams",
    request_body = ref("#/components/schemas/Team"),
    responses((status = 201, description = "It is in force.", body = TeamView)),
)]
pub(crate) async fn create(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    resource::create_spec::<Teams>(&state, &text).await
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
    resource::change_spec::<Teams>(&state, &id, &headers, &text).await
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
    resource::remove::<Teams>(&state, &id, &headers).await
}

struct Teams;

impl Resource for Teams {
    const NOUN: &'static str = "team";
    type Given = TeamSpec;
    type Stored = StoredSpec;
    type Beside = BTreeMap<String, Vec<String>>;
    type View = TeamView;

    fn given(state: &AdminState) -> Vec<TeamSpec> {
        state.publisher.loaded().settings.teams.clone()
    }

    fn name_of(given: &TeamSpec) -> String {
        given.name.clone()
    }

    fn source_of(given: &TeamSpec) -> Source {
        given.source
    }

    async fn stored(directory: &Directory) -> Result<Vec<StoredSpec>, StoreError> {
        directory.specs(Kind::Team).await
    }

    fn among(gathered: &mut Gathered) -> &mut Vec<StoredSpec> {
        &mut gathered.teams
    }

    async fn forget(directory: &Directory, target: Target<'_>) -> Result<(), StoreError> {
        directory.remove_spec(Kind::Team, target).await
    }

    async fn beside(state: &AdminState) -> Result<Self::Beside, Refusal> {
        members(state).await
    }

    fn view(found: &Found<Self>, members: &Self::Beside) -> TeamView {
        match found {
            Found::Given(given) => TeamView::given(given, members),
            Found::Stored(stored) => TeamView::stored(stored, members),
        }
    }
}

impl Spec for Teams {
    const KIND: Kind = Kind::Team;

    fn read(text: &str) -> Result<SpecChange, Refusal> {
        let typed = body::team_body(text)?;
        let mut spec = object(text)?;
        take(&mut spec, "name");
        Ok(SpecChange { name: typed.name, spec })
    }
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
            provenance: Provenance::given(&spec.name, spec.source),
            demands: Some(DemandsView::of(spec)),
            keys: members.get(&spec.name).cloned().unwrap_or_default(),
        }
    }

    fn stored(stored: &StoredSpec, members: &BTreeMap<String, Vec<String>>) -> Self {
        let spec = body::stored_team(stored);
        Self {
            provenance: Provenance::stored(stored, &spec),
            demands: spec.ok().as_ref().map(DemandsView::of),
            keys: members.get(&stored.name).cloned().unwrap_or_default(),
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
