//! Gateway keys through the API: each secret is made here, shown once, and stored as a digest only.

mod view;

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::{KeySpec, Secret, Source, Timestamp};
use serde::Serialize;
use serde_json::json;
use store::directory::{KeyChange, NewKey, StoredKey, Target};
use store::{Directory, StoreError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::{Asked, Seen, Text, etag, merge, object, take};
use super::page::{Page, Paging};
use super::refusal::Refusal;
use super::resource::{self, Found, Resource};
use super::role::Role;
use crate::config::body;
use crate::keygen;
use crate::publish::{Former, Gathered, split_former, with_former};
use view::KeyView;

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
    let Page { items: keys, next } = resource::list::<Keys>(&state, &paging).await?;
    Ok(Json(KeyList { keys, next }))
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
    resource::show::<Keys>(&state, &id).await
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
    let stored =
        resource::add::<Keys>(&state, candidate(&new, now), state.directory.add_key(new, now)).await?;
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
    let stored = resource::own::<Keys>(&state, &id).await?;
    let (mut whole, former) = split_former(&stored.limits);
    let expires = stored.expires.map(Timestamp::to_utc);
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
    shown(&state, apply(&state, &stored, &headers, change).await?).await
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
    let stored = resource::own::<Keys>(&state, &id).await?;
    let grace = body::rotate_body(&text)?.grace.map_or(Duration::ZERO, |span| span.0);
    let secret = keygen::gateway_key();
    let (limits, _) = split_former(&stored.limits);
    let until = state.publisher.now().after(grace);
    let former = Former { digest: stored.digest.clone(), until };
    let limits = if !grace.is_zero() { with_former(limits, &former) } else { limits };
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
    let stored = resource::own::<Keys>(&state, &id).await?;
    let change = KeyChange { enabled: Some(true), ..KeyChange::default() };
    shown(&state, apply(&state, &stored, &headers, change).await?).await
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
    let stored = resource::own::<Keys>(&state, &id).await?;
    let change = KeyChange { enabled: Some(false), ..KeyChange::default() };
    shown(&state, apply(&state, &stored, &headers, change).await?).await
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
    resource::remove::<Keys>(&state, &id, &headers).await
}

async fn apply(
    state: &AdminState,
    stored: &StoredKey,
    headers: &HeaderMap,
    change: KeyChange,
) -> Result<StoredKey, Refusal> {
    let candidate = changed(stored.clone(), change.clone());
    let now = state.publisher.now();
    let store = state.directory.change_key(resource::seen(stored, headers)?, change, now);
    resource::change::<Keys>(state, candidate, store).await
}

/// A key as it would be.
fn changed(key: StoredKey, change: KeyChange) -> StoredKey {
    let (digest, masked) = change.secret.unwrap_or((key.digest, key.masked));
    StoredKey {
        name: change.name.unwrap_or(key.name),
        team: change.team.unwrap_or(key.team),
        limits: change.limits.unwrap_or(key.limits),
        enabled: change.enabled.unwrap_or(key.enabled),
        expires: change.expires.unwrap_or(key.expires),
        digest,
        masked,
        ..key
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

async fn shown(state: &AdminState, stored: StoredKey) -> Result<Response, Refusal> {
    resource::answer::<Keys>(state, StatusCode::OK, &Found::Stored(stored)).await
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

struct Keys;

impl Resource for Keys {
    const NOUN: &'static str = "key";
    type Given = KeySpec;
    type Stored = StoredKey;
    type Beside = ();
    type View = KeyView;

    fn given(state: &AdminState) -> Vec<KeySpec> {
        state.publisher.loaded().settings.keys.clone()
    }

    fn name_of(given: &KeySpec) -> String {
        given.name.clone()
    }

    fn source_of(given: &KeySpec) -> Source {
        given.source
    }

    async fn stored(directory: &Directory) -> Result<Vec<StoredKey>, StoreError> {
        directory.keys().await
    }

    fn among(gathered: &mut Gathered) -> &mut Vec<StoredKey> {
        &mut gathered.keys
    }

    async fn forget(directory: &Directory, target: Target<'_>) -> Result<(), StoreError> {
        directory.remove_key(target).await
    }

    async fn beside(_: &AdminState) -> Result<(), Refusal> {
        Ok(())
    }

    fn view(found: &Found<Self>, _: &()) -> KeyView {
        match found {
            Found::Given(given) => KeyView::given(given),
            Found::Stored(stored) => KeyView::stored(stored),
        }
    }
}
