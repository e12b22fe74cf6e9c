//! Gateway keys through the API: each secret is made here, shown once, and stored as a digest only.

mod view;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::{Secret, Timestamp};
use serde::Serialize;
use serde_json::json;
use store::directory::{KeyChange, NewKey, StoredKey, Target};
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
use crate::publish::{Former, split_former, with_former};
use view::{KeyView, moment_text};

/// What is kept in columns of its own, beside a key's limits.
const COLUMNS: [&str; 4] = ["name", "team", "enabled", "expires"];

/// A page of keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    keys: Vec<KeyView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(list)).routes(routes!(show));
    let running =
        OpenApiRouter::default().routes(routes!(change)).routes(routes!(enable)).routes(routes!(disable));
    // They give out a secret or forget one.
    let changing =
        OpenApiRouter::default().routes(routes!(create)).routes(routes!(rotate)).routes(routes!(revoke));
    Role::Viewer.may(reading).merge(Role::Operator.may(running)).merge(Role::Admin.may(changing))
}

/// Lists all gateway keys, by name; never a secret.
#[utoipa::path(
    get, path = "/api/admin/keys",
    params(Paging),
    responses((status = 200, description = "A page of keys.", body = KeyList)),
)]
pub(crate) async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<KeyList>, Refusal> {
    let stored = state.directory.keys().await?;
    let loaded = state.publisher.loaded();
    let given = loaded.settings.keys.iter().map(KeyView::given);
    let all = given.chain(stored.iter().map(KeyView::stored)).collect();
    let page = paging.cut(all, |key: &KeyView| key.name.clone())?;
    Ok(Json(KeyList { keys: page.items, next: page.next }))
}

/// Shows one key; never its secret.
#[utoipa::path(
    get, path = "/api/admin/keys/{id}",
    responses((status = 200, description = "The key.", body = KeyView)),
)]
pub(crate) async fn show(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let loaded = state.publisher.loaded();
    if let Some(given) = loaded.settings.keys.iter().find(|key| key.name == id) {
        return Ok(Json(KeyView::given(given)).into_response());
    }
    Ok(shown(&own(&state, &id).await?))
}

/// Makes a key. The answer is the only one that ever holds its secret.
#[utoipa::path(
    post, path = "/api/admin/keys",
    request_body = ref("#/components/schemas/KeyBody"),
    responses((status = 201, description = "It is in force; `key` is the secret.", body = KeyView)),
)]
pub(crate) async fn create(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    let mut limits = object(&text)?;
    let typed = body::key_body(&limits.to_string())?;
    let name = typed.name.as_str().to_owned();
    if state.publisher.loaded().settings.keys.iter().any(|key| key.name == name) {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "conflict",
            "the file or environment has a key of this name",
        ));
    }
    for column in COLUMNS {
        take(&mut limits, column);
    }
    let secret = keygen::gateway_key();
    let new = NewKey {
        id: keygen::id("key"),
        name,
        digest: state.digester.digest(secret.expose()),
        masked: secret.masked(),
        team: typed.team.as_ref().map(|team| team.as_str().to_owned()),
        limits,
        enabled: typed.enabled.unwrap_or(true),
        expires: typed.expires.map(|moment| moment.0),
    };
    let now = state.publisher.now();
    let candidate = candidate(&new, now);
    let stored = state
        .publisher
        .edit(|gathered| gathered.keys.push(candidate), state.directory.add_key(new, now))
        .await?;
    Ok(given_out(StatusCode::CREATED, &stored, &secret))
}

/// Changes what the body names of a key that was made here; null leaves a limit to its default again.
#[utoipa::path(
    patch, path = "/api/admin/keys/{id}",
    params(Seen),
    request_body = ref("#/components/schemas/KeyPatch"),
    responses((status = 200, description = "It is in force.", body = KeyView)),
)]
pub(crate) async fn change(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
    Text(text): Text,
) -> Result<Response, Refusal> {
    let stored = own(&state, &id).await?;
    let (mut whole, former) = split_former(&stored.limits);
    let expires = stored.expires.map(moment_text);
    merge(
        &mut whole,
        json!({"name": stored.name, "team": stored.team, "enabled": stored.enabled, "expires": expires}),
    );
    merge(&mut whole, object(&text)?);
    let typed = body::key_body(&whole.to_string())?;
    for column in COLUMNS {
        take(&mut whole, column);
    }
    let change = KeyChange {
        name: Some(typed.name.as_str().to_owned()),
        team: Some(typed.team.as_ref().map(|team| team.as_str().to_owned())),
        limits: Some(former.map_or(whole.clone(), |former| with_former(whole, &former))),
        enabled: Some(typed.enabled.unwrap_or(true)),
        expires: Some(typed.expires.map(|moment| moment.0)),
        secret: None,
    };
    Ok(shown(&apply(&state, &stored, &headers, change).await?))
}

/// Makes a new secret for the same key; the old one counts on for as long as the caller asks.
#[utoipa::path(
    post, path = "/api/admin/keys/{id}/rotate",
    params(Seen),
    request_body = ref("#/components/schemas/RotateBody"),
    responses((status = 200, description = "It is in force; `key` is the new secret.", body = KeyView)),
)]
pub(crate) async fn rotate(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
    Text(text): Text,
) -> Result<Response, Refusal> {
    let stored = own(&state, &id).await?;
    let grace = body::rotate_body(&text)?
        .grace
        .map_or(0, |span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX));
    let secret = keygen::gateway_key();
    let (limits, _) = split_former(&stored.limits);
    let until = Timestamp(state.publisher.now().0.saturating_add(grace));
    let former = Former { digest: stored.digest.clone(), until };
    let limits = if grace > 0 { with_former(limits, &former) } else { limits };
    let digest = state.digester.digest(secret.expose());
    let change =
        KeyChange { secret: Some((digest, secret.masked())), limits: Some(limits), ..KeyChange::default() };
    let changed = apply(&state, &stored, &headers, change).await?;
    Ok(given_out(StatusCode::OK, &changed, &secret))
}

/// Accepts a key again.
#[utoipa::path(
    post, path = "/api/admin/keys/{id}/enable",
    params(Seen),
    responses((status = 200, description = "It is accepted.", body = KeyView)),
)]
pub(crate) async fn enable(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let stored = own(&state, &id).await?;
    let change = KeyChange { enabled: Some(true), ..KeyChange::default() };
    Ok(shown(&apply(&state, &stored, &headers, change).await?))
}

/// Accepts a key no more, until it is enabled.
#[utoipa::path(
    post, path = "/api/admin/keys/{id}/disable",
    params(Seen),
    responses((status = 200, description = "It is not accepted.", body = KeyView)),
)]
pub(crate) async fn disable(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let stored = own(&state, &id).await?;
    let change = KeyChange { enabled: Some(false), ..KeyChange::default() };
    Ok(shown(&apply(&state, &stored, &headers, change).await?))
}

/// Removes a key for good. Its receipts stay.
#[utoipa::path(
    delete, path = "/api/admin/keys/{id}",
    params(Seen),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn revoke(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let stored = own(&state, &id).await?;
    let target = Target { id: &stored.id, revision: expected_revision(&headers)? };
    state
        .publisher
        .edit(|gathered| gathered.keys.retain(|key| key.id != stored.id), state.directory.remove_key(target))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn apply(
    state: &AdminState,
    stored: &StoredKey,
    headers: &HeaderMap,
    change: KeyChange,
) -> Result<StoredKey, Refusal> {
    let target = Target { id: &stored.id, revision: expected_revision(headers)? };
    let copy = change.clone();
    let id = stored.id.clone();
    let changed = state
        .publisher
        .edit(
            move |gathered| {
                if let Some(key) = gathered.keys.iter_mut().find(|key| key.id == id) {
                    apply_to(key, copy);
                }
            },
            state.directory.change_key(target, change, state.publisher.now()),
        )
        .await?;
    Ok(changed)
}

fn apply_to(key: &mut StoredKey, change: KeyChange) {
    key.name = change.name.unwrap_or_else(|| key.name.clone());
    key.team = change.team.unwrap_or_else(|| key.team.clone());
    key.limits = change.limits.unwrap_or_else(|| key.limits.clone());
    key.enabled = change.enabled.unwrap_or(key.enabled);
    key.expires = change.expires.unwrap_or(key.expires);
    if let Some((digest, masked)) = change.secret {
        key.digest = digest;
        key.masked = masked;
    }
}

fn candidate(new: &NewKey, now: Timestamp) -> StoredKey {
    StoredKey {
        id: new.id.clone(),
        name: new.name.clone(),
        digest: new.digest.clone(),
        masked: new.masked.clone(),
        team: new.team.clone(),
        limits: new.limits.clone(),
        enabled: new.enabled,
        expires: new.expires,
        created: now,
        updated: now,
        last_used: None,
        revision: 0,
    }
}

async fn own(state: &AdminState, id: &str) -> Result<StoredKey, Refusal> {
    if let Some(given) = state.publisher.loaded().settings.keys.iter().find(|key| key.name == id) {
        return Err(Refusal::read_only("key", origin(given.source)));
    }
    let stored = state.directory.keys().await?;
    let found = stored.into_iter().find(|key| key.id == id || key.name == id);
    found.ok_or_else(|| Refusal::not_found("key", id))
}

fn shown(stored: &StoredKey) -> Response {
    ([(header::ETAG, etag(stored.revision))], Json(KeyView::stored(stored))).into_response()
}

/// The one answer that holds a key's secret; nothing on the way may keep it.
fn given_out(status: StatusCode, stored: &StoredKey, secret: &Secret) -> Response {
    let mut view = KeyView::stored(stored);
    view.key = secret.expose().to_owned();
    let headers = [
        (header::ETAG, etag(stored.revision)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, Json(view)).into_response()
}
