//! Backends through the API: what each call does to them; objects of the file and the environment are shown and
//! tested, never changed.

mod view;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::{BackendSpec, Secret};
use serde::Serialize;
use serde_json::Value;
use store::audit::Deed;
use store::directory::{BackendChange, CredentialChange, NewBackend, StoredBackend, Target};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::acting::Acting;
use super::extract::{Asked, Seen, Text, etag, expected_revision, merge, object, take};
use super::page::Paging;
use super::probe::TestReport;
use super::refusal::Refusal;
use super::role::Role;
use super::{AdminState, origin};
use crate::config::{self, body};
use crate::keygen;
use view::BackendView;

/// A page of backends.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackendList {
    backends: Vec<BackendView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A backend as it was found: changeable, or given by somebody else.
enum Found {
    Stored(Box<StoredBackend>),
    Given(Box<BackendSpec>),
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
    let stored = state.directory.backends().await?;
    let status = state.live.status(crate::publish::moment());
    let status = |name: &str| status.backends.iter().find(|backend| &*backend.name == name).cloned();
    let given = given(&state).into_iter().map(|spec| BackendView::of(&spec, None, status(&spec.name)));
    let own = stored.iter().map(|stored| view::stored(&state, stored, status(&stored.name)));
    let page = paging.cut(given.chain(own).collect(), |backend: &BackendView| backend.name.clone())?;
    Ok(Json(BackendList { backends: page.items, next: page.next }))
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
    match find(&state, &id).await? {
        Found::Stored(stored) => Ok(shown(&state, StatusCode::OK, &stored)),
        Found::Given(spec) => {
            let status = status_of(&state, &spec.name);
            Ok(Json(BackendView::of(&spec, None, status)).into_response())
        }
    }
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
    if let Some(given) = given(&state).into_iter().find(|given| given.name == name) {
        let detail = format!("the {} already has a backend of this name", origin(given.source));
        return Err(Refusal::new(StatusCode::CONFLICT, "conflict", detail));
    }
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
    let stored = state
        .publisher
        .edit(|gathered| gathered.backends.push(candidate), state.directory.add_backend(new, now))
        .await?;
    Ok(shown(&state, StatusCode::CREATED, &stored))
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
    let stored = own(&state, &id).await?;
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
    let stored = own(&state, &id).await?;
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
    let stored = own(&state, &id).await?;
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
    let stored = own(&state, &id).await?;
    let target = Target { id: &stored.id, revision: expected_revision(&headers)? };
    state
        .publisher
        .edit(
            |gathered| gathered.backends.retain(|backend| backend.id != stored.id),
            state.directory.remove_backend(target),
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
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
    let name = name_of(find(&state, &id).await?);
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
    let name = name_of(find(&state, &id).await?);
    let snapshot = state.publisher.snapshot();
    let backend = snapshot.as_ref().and_then(|snapshot| snapshot.backend_named(&name));
    let backend = backend.ok_or_else(|| Refusal::not_found("backend in force named", &name))?;
    state.publisher.reset(backend.id);
    state.directory.note(Deed::of("reset", "backend", name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries a change on a copy, stores it, publishes it, and shows the outcome.
async fn apply(
    state: &AdminState,
    stored: &StoredBackend,
    headers: &HeaderMap,
    change: BackendChange,
) -> Result<Response, Refusal> {
    let target = Target { id: &stored.id, revision: expected_revision(headers)? };
    let copy = change.clone();
    let id = stored.id.clone();
    let changed = state
        .publisher
        .edit(
            move |gathered| {
                if let Some(backend) = gathered.backends.iter_mut().find(|backend| backend.id == id) {
                    apply_to(backend, copy);
                }
            },
            state.directory.change_backend(target, change, state.publisher.now()),
        )
        .await?;
    Ok(shown(state, StatusCode::OK, &changed))
}

fn apply_to(backend: &mut StoredBackend, change: BackendChange) {
    backend.name = change.name.unwrap_or_else(|| backend.name.clone());
    backend.spec = change.spec.unwrap_or_else(|| backend.spec.clone());
    backend.enabled = change.enabled.unwrap_or(backend.enabled);
    match change.credential {
        CredentialChange::Keep => {}
        CredentialChange::Set(secret) => backend.credential = Some(secret),
        CredentialChange::Clear => backend.credential = None,
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

fn shown(state: &AdminState, status: StatusCode, stored: &StoredBackend) -> Response {
    let view = view::stored(state, stored, status_of(state, &stored.name));
    (status, [(header::ETAG, etag(stored.revision))], Json(view)).into_response()
}

fn status_of(state: &AdminState, name: &str) -> Option<policy::live::BackendStatus> {
    let status = state.live.status(crate::publish::moment());
    status.backends.into_iter().find(|backend| &*backend.name == name)
}

/// Backends that the API shows and does not change.
fn given(state: &AdminState) -> Vec<BackendSpec> {
    let extra = &state.publisher.controls().extra_backends;
    state.publisher.loaded().settings.backends.iter().chain(extra).cloned().collect()
}

async fn find(state: &AdminState, id: &str) -> Result<Found, Refusal> {
    if let Some(spec) = given(state).into_iter().find(|spec| spec.name == id) {
        return Ok(Found::Given(Box::new(spec)));
    }
    let stored = state.directory.backends().await?;
    let found = stored.into_iter().find(|backend| backend.id == id || backend.name == id);
    found.map(|stored| Found::Stored(Box::new(stored))).ok_or_else(|| Refusal::not_found("backend", id))
}

async fn own(state: &AdminState, id: &str) -> Result<StoredBackend, Refusal> {
    match find(state, id).await? {
        Found::Stored(stored) => Ok(*stored),
        Found::Given(spec) => Err(Refusal::read_only("backend", origin(spec.source))),
    }
}

fn name_of(found: Found) -> String {
    match found {
        Found::Stored(stored) => stored.name,
        Found::Given(spec) => spec.name,
    }
}
