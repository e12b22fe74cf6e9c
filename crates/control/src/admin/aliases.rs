//! Aliases through the API: other names for models; those that the file defines are only shown.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use policy::Source;
use serde::Serialize;
use serde_json::json;
use store::directory::{Kind, SpecChange, StoredSpec, Target};
use store::{Directory, StoreError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::{Asked, Seen, Text};
use super::page::{Page, Paging};
use super::refusal::Refusal;
use super::resource::{self, Found, Provenance, Resource, Spec};
use super::role::Role;
use crate::config::body;
use crate::publish::Gathered;

/// Another name for a model, or for several that are tried in turn.
#[derive(Debug, Serialize, ToSchema)]
struct AliasView {
    #[serde(flatten)]
    provenance: Provenance,
    /// The models it leads to, in the order in which they are tried.
    targets: Vec<String>,
}

/// A page of aliases.
#[derive(Debug, Serialize, ToSchema)]
struct AliasList {
    aliases: Vec<AliasView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(list)).routes(routes!(show));
    let running = OpenApiRouter::default().routes(routes!(create)).routes(routes!(change, remove));
    Role::Viewer.may(reading).merge(Role::Operator.may(running))
}

/// Lists all aliases, by name.
#[utoipa::path(
    get, path = "/api/admin/aliases",
    params(Paging),
    responses((status = 200, description = "A page of aliases.", body = AliasList)),
)]
async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<AliasList>, Refusal> {
    let Page { items: aliases, next } = resource::list::<Aliases>(&state, &paging).await?;
    Ok(Json(AliasList { aliases, next }))
}

/// Shows one alias.
#[utoipa::path(
    get, path = "/api/admin/aliases/{id}",
    responses((status = 200, description = "The alias.", body = AliasView)),
)]
async fn show(State(state): State<AdminState>, Path(id): Path<String>) -> Result<Response, Refusal> {
    resource::show::<Aliases>(&state, &id).await
}

/// Makes an alias of models that somebody serves.
#[utoipa::path(
    post, path = "/api/admin/aliases",
    request_body = ref("#/components/schemas/AliasBody"),
    responses((status = 201, description = "It is in force.", body = AliasView)),
)]
async fn create(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    resource::create_spec::<Aliases>(&state, &text).await
}

/// Changes what the body names of an alias that was made here.
#[utoipa::path(
    patch, path = "/api/admin/aliases/{id}",
    params(Seen),
    request_body = ref("#/components/schemas/AliasPatch"),
    responses((status = 200, description = "It is in force.", body = AliasView)),
)]
async fn change(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
    Text(text): Text,
) -> Result<Response, Refusal> {
    resource::change_spec::<Aliases>(&state, &id, &headers, &text).await
}

/// Removes an alias.
#[utoipa::path(
    delete, path = "/api/admin/aliases/{id}",
    params(Seen),
    responses((status = 204, description = "It is gone.")),
)]
async fn remove(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    resource::remove::<Aliases>(&state, &id, &headers).await
}

struct Aliases;

impl Resource for Aliases {
    const NOUN: &'static str = "alias";
    type Given = (String, Vec<String>);
    type Stored = StoredSpec;
    type Beside = ();
    type View = AliasView;

    fn given(state: &AdminState) -> Vec<Self::Given> {
        state.publisher.loaded().settings.aliases.clone().into_iter().collect()
    }

    fn name_of((name, _): &Self::Given) -> String {
        name.clone()
    }

    fn source_of(_: &Self::Given) -> Source {
        Source::File
    }

    async fn stored(directory: &Directory) -> Result<Vec<StoredSpec>, StoreError> {
        directory.specs(Kind::Alias).await
    }

    fn among(gathered: &mut Gathered) -> &mut Vec<StoredSpec> {
        &mut gathered.aliases
    }

    async fn forget(directory: &Directory, target: Target<'_>) -> Result<(), StoreError> {
        directory.remove_spec(Kind::Alias, target).await
    }

    async fn beside(_: &AdminState) -> Result<(), Refusal> {
        Ok(())
    }

    fn view(found: &Found<Self>, _: &()) -> AliasView {
        match found {
            Found::Given((name, targets)) => AliasView::given(name, targets),
            Found::Stored(stored) => AliasView::stored(stored),
        }
    }
}

impl Spec for Aliases {
    const KIND: Kind = Kind::Alias;

    fn read(text: &str) -> Result<SpecChange, Refusal> {
        let typed = body::alias_body(text)?;
        Ok(SpecChange { name: typed.name.0.clone(), spec: json!({"targets": typed.targets()}) })
    }
}

impl AliasView {
    fn given(name: &str, targets: &[String]) -> Self {
        Self { provenance: Provenance::given(name, Source::File), targets: targets.to_vec() }
    }

    fn stored(stored: &StoredSpec) -> Self {
        let typed = body::stored_alias(stored);
        Self { provenance: Provenance::stored(stored, &typed), targets: typed.unwrap_or_default() }
    }
}
