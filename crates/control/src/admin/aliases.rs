//! Aliases through the API: other names for models; those that the file defines are only shown.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::{Source, Timestamp};
use serde::Serialize;
use serde_json::json;
use store::directory::{Kind, NewSpec, SpecChange, StoredSpec, Target};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::acting::Acting;
use super::extract::{Asked, Seen, Text, etag, expected_revision, merge, object};
use super::page::Paging;
use super::refusal::Refusal;
use super::role::Role;
use super::{AdminState, origin};
use crate::config::body;
use crate::keygen;

/// Another name for a model, or for several that are tried in turn.
#[derive(Debug, Serialize, ToSchema)]
struct AliasView {
    id: String,
    name: String,
    source: &'static str,
    /// Why it cannot be used, when what is stored does not hold any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The models it leads to, in the order in which they are tried.
    targets: Vec<String>,
    #[schema(value_type = Option<i64>)]
    created: Option<Timestamp>,
    #[schema(value_type = Option<i64>)]
    updated: Option<Timestamp>,
    revision: Option<u64>,
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
    let stored = state.directory.specs(Kind::Alias).await?;
    let loaded = state.publisher.loaded();
    let given = loaded.settings.aliases.iter().map(|(name, targets)| AliasView::given(name, targets));
    let all = given.chain(stored.iter().map(AliasView::stored)).collect();
    let page = paging.cut(all, |alias: &AliasView| alias.name.clone())?;
    Ok(Json(AliasList { aliases: page.items, next: page.next }))
}

/// Shows one alias.
#[utoipa::path(
    get, path = "/api/admin/aliases/{id}",
    responses((status = 200, description = "The alias.", body = AliasView)),
)]
async fn show(State(state): State<AdminState>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let loaded = state.publisher.loaded();
    if let Some((name, targets)) = loaded.settings.aliases.get_key_value(&id) {
        return Ok(Json(AliasView::given(name, targets)).into_response());
    }
    Ok(shown(&own(&state, &id).await?))
}

/// Makes an alias of models that somebody serves.
#[utoipa::path(
    post, path = "/api/admin/aliases",
    request_body = ref("#/components/schemas/AliasBody"),
    responses((status = 201, description = "It is in force.", body = AliasView)),
)]
async fn create(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    let typed = body::alias_body(&text)?;
    let name = typed.name.0.clone();
    if state.publisher.loaded().settings.aliases.contains_key(&name) {
        let detail = "the file has an alias of this name";
        return Err(Refusal::new(StatusCode::CONFLICT, "conflict", detail));
    }
    let new = NewSpec { id: keygen::id("alias"), name, spec: json!({"targets": typed.targets()}) };
    let now = state.publisher.now();
    let NewSpec { id, name, spec } = new.clone();
    let candidate = StoredSpec { id, name, spec, created: now, updated: now, revision: 0 };
    let stored = state
        .publisher
        .edit(|gathered| gathered.aliases.push(candidate), state.directory.add_spec(Kind::Alias, new, now))
        .await?;
    Ok((StatusCode::CREATED, shown(&stored)).into_response())
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
    let stored = own(&state, &id).await?;
    let mut whole = stored.spec.clone();
    merge(&mut whole, json!({"name": stored.name}));
    merge(&mut whole, object(&text)?);
    let typed = body::alias_body(&whole.to_string())?;
    let change = SpecChange { name: typed.name.0.clone(), spec: json!({"targets": typed.targets()}) };
    let target = Target { id: &stored.id, revision: expected_revision(&headers)? };
    let copy = change.clone();
    let changed = state
        .publisher
        .edit(
            |gathered| {
                if let Some(alias) = gathered.aliases.iter_mut().find(|alias| alias.id == stored.id) {
                    (alias.name, alias.spec) = (copy.name, copy.spec);
                }
            },
            state.directory.change_spec(Kind::Alias, target, change, state.publisher.now()),
        )
        .await?;
    Ok(shown(&changed))
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
    let stored = own(&state, &id).await?;
    let target = Target { id: &stored.id, revision: expected_revision(&headers)? };
    state
        .publisher
        .edit(
            |gathered| gathered.aliases.retain(|alias| alias.id != stored.id),
            state.directory.remove_spec(Kind::Alias, target),
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn own(state: &AdminState, id: &str) -> Result<StoredSpec, Refusal> {
    if state.publisher.loaded().settings.aliases.contains_key(id) {
        return Err(Refusal::read_only("alias", origin(Source::File)));
    }
    let stored = state.directory.specs(Kind::Alias).await?;
    let found = stored.into_iter().find(|alias| alias.id == id || alias.name == id);
    found.ok_or_else(|| Refusal::not_found("alias", id))
}

fn shown(stored: &StoredSpec) -> Response {
    ([(header::ETAG, etag(stored.revision))], Json(AliasView::stored(stored))).into_response()
}

impl AliasView {
    fn given(name: &str, targets: &[String]) -> Self {
        Self {
            id: name.to_owned(),
            name: name.to_owned(),
            source: origin(Source::File),
            problem: None,
            targets: targets.to_vec(),
            created: None,
            updated: None,
            revision: None,
        }
    }

    fn stored(stored: &StoredSpec) -> Self {
        let typed = body::stored_alias(stored);
        Self {
            id: stored.id.clone(),
            name: stored.name.clone(),
            source: origin(Source::Api),
            problem: typed.as_ref().err().map(ToString::to_string),
            targets: typed.unwrap_or_default(),
            created: Some(stored.created),
            updated: Some(stored.updated),
            revision: Some(stored.revision),
        }
    }
}
