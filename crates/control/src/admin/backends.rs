//! Backends through the API: what each call does to them; objects of the file and the environment are shown and
//! tested, never changed.

mod view;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use policy::{BackendSpec, Secret, Source};
use serde::Serialize;
use serde_json::Value;
use store::audit::Deed;
use store::directory::{BackendChange, CredentialChange, NewBackend, StoredBackend, Target};
use store::{Directory, StoreError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::{Asked, Seen, Text, merge, object, take};
use super::page::{Page, Paging};
use super::probe::TestReport;
use super::refusal::Refusal;
use super::resource::{self, Found, Resource};
use super::role::Role;
use crate::config::{self, body};
use crate::keygen;
use crate::publish::Gathered;
use view::BackendView;

/// A page of backends.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackendList {
    backends: Vec<BackendView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(list)).routes(routes!(show));
    let running = OpenApiRouter::default()
        .routes(routes!(test))
        .routes(routes!(reset))
        .routes(routes!(enable))
        .routes(routes!(disable));
    // They take or forget a credential, or could send it to another address.
    let changing = OpenApiRouter::default().routes(routes!(create)).routes(routes!(change, remove));
    Role::Viewer.may(reading).merge(Role::Operator.may(running)).merge(Role::Admin.may(changing))
}

/// Lists all backends, by name: those of the file and the environment, and those that were made here.
#[utoipa::path(
    get, path = "/api/admin/backends",
    params(Paging),
    responses((status = 200, description = "A page of backends.", body = BackendList)),
)]
pub(crate) async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<BackendList>, Refusal> {
    let Page { items: backends, next } = resource::list::<Backends>(&state, &paging).await?;
    Ok(Json(BackendList { backends, next }))
}

/// Shows one backend with what the gateway has learned of it.
#[utoipa::path(
    get, path = "/api/admin/backends/{id}",
    responses((status = 200, description = "The backend.", body = BackendView)),
)]
pub(crate) async fn show(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    resource::show::<Backends>(&state, &id).await
}

/// Adds a backend. Its credential goes into the vault and is only ever shown masked.
#[utoipa::path(
    post, path = "/api/admin/backends",
    request_body = ref("#/components/schemas/Backend"),
    responses((status = 201, description = "It is in force.", body = BackendView)),
)]
pub(crate) async fn create(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    let mut spec = object(&text)?;
    let typed = read(&state, &spec)?;
    let name = typed.name.as_str().to_owned();
    let credential = body::credential(&typed);
    refuse_masked(credential.as_ref(), None)?;
    for field in ["name", "api_key", "enabled"] {
        take(&mut spec, field);
    }
    let enabled = typed.enabled.unwrap_or(true);
    let id = keygen::id("be");
    let new = NewBackend { id: id.clone(), name: name.clone(), spec: spec.clone(), credential, enabled };
    let now = state.publisher.now();
    let candidate = StoredBackend {
        id,
        name,
        spec,
        masked: new.credential.as_ref().map(Secret::masked),
        credential: new.credential.clone(),
        enabled,
        created: now,
        updated: now,
        revision: 0,
    };
    let stored = resource::add::<Backends>(&state, candidate, state.directory.add_backend(new, now)).await?;
    resource::answer::<Backends>(&state, StatusCode::CREATED, &Found::Stored(stored)).await
}

/// Changes what the body names of a backend that was made here; null leaves a setting to its default again.
#[utoipa::path(
    patch, path = "/api/admin/backends/{id}",
    params(Seen),
    request_body = ref("#/components/schemas/BackendPatch"),
    responses((status = 200, description = "It is in force.", body = BackendView)),
)]
pub(crate) async fn change(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
    Text(text): Text,
) -> Result<Response, Refusal> {
    let stored = resource::own::<Backends>(&state, &id).await?;
    let mut patch = object(&text)?;
    let mut spec = stored.spec.clone();
    merge(&mut spec, serde_json::json!({"name": stored.name, "enabled": stored.enabled}));
    let credential = match take(&mut patch, "api_key") {
        None => CredentialChange::Keep,
        Some(Value::Null) => CredentialChange::Clear,
        Some(key) => {
            merge(&mut spec, serde_json::json!({"api_key": key}));
            CredentialChange::Keep
        }
    };
    merge(&mut spec, patch);
    let typed = read(&state, &spec)?;
    let credential = match body::credential(&typed) {
        Some(key) => {
            refuse_masked(Some(&key), stored.masked.as_deref())?;
            CredentialChange::Set(key)
        }
        None => credential,
    };
    for field in ["name", "api_key", "enabled"] {
        take(&mut spec, field);
    }
    let change = BackendChange {
        name: Some(typed.name.as_str().to_owned()),
        spec: Some(spec),
        credential,
        enabled: Some(typed.enabled.unwrap_or(true)),
    };
    apply(&state, &stored, &headers, change).await
}

/// Lets a backend take part.
#[utoipa::path(
    post, path = "/api/admin/backends/{id}/enable",
    params(Seen),
    responses((status = 200, description = "It takes part.", body = BackendView)),
)]
pub(crate) async fn enable(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let stored = resource::own::<Backends>(&state, &id).await?;
    let change = BackendChange { enabled: Some(true), ..BackendChange::default() };
    apply(&state, &stored, &headers, change).await
}

/// Keeps a backend out; calls that run go on.
#[utoipa::path(
    post, path = "/api/admin/backends/{id}/disable",
    params(Seen),
    responses((status = 200, description = "It is kept out.", body = BackendView)),
)]
pub(crate) async fn disable(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let stored = resource::own::<Backends>(&state, &id).await?;
    let change = BackendChange { enabled: Some(false), ..BackendChange::default() };
    apply(&state, &stored, &headers, change).await
}

/// Removes a backend and forgets its credential.
#[utoipa::path(
    delete, path = "/api/admin/backends/{id}",
    params(Seen),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    resource::remove::<Backends>(&state, &id, &headers).await
}

/// Asks a backend for its models, which spends no tokens.
#[utoipa::path(
    post, path = "/api/admin/backends/{id}/test",
    responses(
        (status = 200, description = "How it went; also when it did not go well.", body = TestReport),
    ),
)]
pub(crate) async fn test(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Json<TestReport>, Refusal> {
    let name = resource::find::<Backends>(&state, &id).await?.name();
    let snapshot = state.publisher.snapshot();
    let backend = snapshot.as_ref().and_then(|snapshot| snapshot.backend_named(&name)).cloned();
    let backend = backend.ok_or_else(|| Refusal::not_found("backend in force named", &name))?;
    let report = state.prober.test(backend).await;
    if report.ok && !report.models.is_empty() {
        state.publisher.discovered(&name, report.models.clone()).await?;
    }
    Ok(Json(report))
}

/// Ends the cooldown, the breaker and the error of a backend.
#[utoipa::path(
    post, path = "/api/admin/backends/{id}/reset",
    responses((status = 204, description = "It is asked again.")),
)]
pub(crate) async fn reset(Acting(state): Acting, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let name = resource::find::<Backends>(&state, &id).await?.name();
    let snapshot = state.publisher.snapshot();
    let backend = snapshot.as_ref().and_then(|snapshot| snapshot.backend_named(&name));
    let backend = backend.ok_or_else(|| Refusal::not_found("backend in force named", &name))?;
    state.publisher.reset(backend.id);
    state.directory.note(Deed::of("reset", "backend", name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn apply(
    state: &AdminState,
    stored: &StoredBackend,
    headers: &HeaderMap,
    change: BackendChange,
) -> Result<Response, Refusal> {
    let candidate = changed(stored.clone(), change.clone());
    let now = state.publisher.now();
    let store = state.directory.change_backend(resource::seen(stored, headers)?, change, now);
    let stored = resource::change::<Backends>(state, candidate, store).await?;
    resource::answer::<Backends>(state, StatusCode::OK, &Found::Stored(stored)).await
}

/// A backend as it would be.
fn changed(backend: StoredBackend, change: BackendChange) -> StoredBackend {
    StoredBackend {
        name: change.name.unwrap_or(backend.name),
        spec: change.spec.unwrap_or(backend.spec),
        enabled: change.enabled.unwrap_or(backend.enabled),
        credential: match change.credential {
            CredentialChange::Keep => backend.credential,
            CredentialChange::Set(secret) => Some(secret),
            CredentialChange::Clear => None,
        },
        ..backend
    }
}

/// Reads a whole backend as the file would be read, with what the API does not take on top.
fn read(state: &AdminState, spec: &Value) -> Result<config::file::Backend, Refusal> {
    let loaded = state.publisher.loaded();
    let pools: Vec<&str> = loaded.settings.pools.iter().map(|pool| pool.name.as_str()).collect();
    let typed = body::backend_body(&spec.to_string(), &pools)?;
    if typed.headers.as_ref().is_some_and(|headers| headers.set.is_some()) {
        // Their values may be credentials, and only `api_key` goes into the vault.
        return Err(Refusal::field(
            "headers.set",
            "fixed headers are taken from the configuration file only",
        ));
    }
    if typed.ca_file.is_some() {
        return Err(Refusal::field("ca_file", "files of the host are named in the configuration file only"));
    }
    Ok(typed)
}

/// A masked value is what we show, never what a provider gave.
fn refuse_masked(credential: Option<&Secret>, shown: Option<&str>) -> Result<(), Refusal> {
    let Some(credential) = credential else { return Ok(()) };
    let text = credential.expose();
    if text.contains("***") || shown == Some(text) {
        return Err(Refusal::field("api_key", "is a masked value; leave it out to keep the stored one"));
    }
    Ok(())
}

struct Backends;

impl Resource for Backends {
    const NOUN: &'static str = "backend";
    type Given = BackendSpec;
    type Stored = StoredBackend;
    type Beside = view::Beside;
    type View = BackendView;

    fn given(state: &AdminState) -> Vec<BackendSpec> {
        let extra = &state.publisher.controls().extra_backends;
        state.publisher.loaded().settings.backends.iter().chain(extra).cloned().collect()
    }

    fn name_of(given: &BackendSpec) -> String {
        given.name.clone()
    }

    fn source_of(given: &BackendSpec) -> Source {
        given.source
    }

    async fn stored(directory: &Directory) -> Result<Vec<StoredBackend>, StoreError> {
        directory.backends().await
    }

    fn among(gathered: &mut Gathered) -> &mut Vec<StoredBackend> {
        &mut gathered.backends
    }

    async fn forget(directory: &Directory, target: Target<'_>) -> Result<(), StoreError> {
        directory.remove_backend(target).await
    }

    async fn beside(state: &AdminState) -> Result<view::Beside, Refusal> {
        Ok(view::Beside::of(state))
    }

    fn view(found: &Found<Self>, beside: &view::Beside) -> BackendView {
        match found {
            Found::Given(given) => beside.given(given),
            Found::Stored(stored) => beside.stored(stored),
        }
    }
}
