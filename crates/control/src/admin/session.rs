//! Sessions of the dashboard: a token is shown once, and a cookie stands for it until it is long unused, old, or logged
//! out; it never stands for more than the token does now. A call that changes something must come from our own page.

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use policy::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use store::door::{SessionBounds, StoredSession};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::actor::Actor;
use super::auth::{self, Bearer, NOTED_EVERY};
use super::extract::Text;
use super::refusal::Refusal;
use super::role::Role;
use crate::keygen;

const COOKIE: &str = "lockgate_session";
const CSRF: &str = "x-csrf-token";
/// A session that was not used for so long is over.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// A session is over after so long, however busy.
const TOTAL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Sessions at once; beyond that the one used longest ago ends.
const SESSIONS_MAX: u32 = 1000;
/// Far above any token.
const TOKEN_CHARS_MAX: usize = 512;

/// The session that a request came with.
#[derive(Debug, Clone)]
pub(super) struct Session {
    digest: Digest,
    csrf: String,
    expires: Timestamp,
}

/// A token, to log in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The admin token.
    #[schema(max_length = 512, min_length = 1)]
    token: String,
}

/// Who is logged in.
#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    /// The name of the token.
    name: String,
    /// What they may do.
    role: Role,
    /// What calls under the session's cookie send as `x-csrf-token`, but those that only read. None under a token.
    csrf: Option<String>,
    /// When the session ends at the latest. None under a token.
    expires: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(show, end)))
}

/// The way in, for those who are nobody yet.
pub(super) fn public_routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::default().routes(routes!(begin))
}

/// Logs in: shows a token, and is given a cookie that stands for it.
#[utoipa::path(
    post, path = "/api/admin/session",
    request_body = Login,
    responses((status = 200, description = "Logged in.", body = SessionView)),
)]
async fn begin(
    State(state): State<AdminState>,
    extensions: Extensions,
    headers: HeaderMap,
    Text(body): Text,
) -> Result<Response, Refusal> {
    refuse_foreign(&headers)?;
    let login = serde_json::from_str::<Login>(&body)
        .map_err(|_| Refusal::field("token", "the body is `{\"token\": \"...\"}`"))?;
    if login.token.is_empty() || login.token.chars().count() > TOKEN_CHARS_MAX {
        return Err(Refusal::field("token", format!("has from 1 to {TOKEN_CHARS_MAX} characters")));
    }
    let address = auth::address(&extensions);
    let Bearer { name, role } = auth::admitted(&state, &login.token, address).await?;
    let id = keygen::session();
    let now = state.publisher.now();
    let digest = state.digester.digest(id.expose());
    let token = state.digester.digest(&login.token);
    let new = StoredSession { digest, token, created: now, seen: now };
    let bounds = SessionBounds {
        created_since: now.before(TOTAL),
        seen_since: now.before(IDLE),
        count_max: SESSIONS_MAX,
    };
    let actor = Actor { name, role, address };
    state.directory.by(actor.author()).add_session(new, bounds).await?;
    let secure = if is_https(&headers) { "; Secure" } else { "" };
    let seconds = TOTAL.as_secs();
    let cookie =
        format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", id.expose());
    let view = SessionView {
        name: actor.name.to_string(),
        role,
        csrf: Some(csrf_of(&state, id.expose())),
        expires: Some(now.after(TOTAL).to_utc()),
    };
    Ok((set_cookie(&cookie), Json(view)).into_response())
}

/// Tells who one is, under a session or a token.
#[utoipa::path(
    get, path = "/api/admin/session",
    responses((status = 200, description = "Who one is.", body = SessionView)),
)]
async fn show(actor: Actor, session: Option<Extension<Session>>) -> impl IntoResponse {
    let session = session.map(|found| found.0);
    let view = SessionView {
        name: actor.name.to_string(),
        role: actor.role,
        csrf: session.as_ref().map(|session| session.csrf.clone()),
        expires: session.map(|session| session.expires.to_utc()),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(view))
}

/// Logs out. Under a token there is nothing to end.
#[utoipa::path(
    delete, path = "/api/admin/session",
    responses((status = 204, description = "Logged out.")),
)]
async fn end(
    State(state): State<AdminState>,
    session: Option<Extension<Session>>,
) -> Result<Response, Refusal> {
    if let Some(Extension(session)) = session {
        state.directory.remove_session(session.digest).await?;
    }
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, set_cookie(&cookie)).into_response())
}

/// The owner of the session that a request's cookie names, and the session. A cookie that names none is no guess: its
/// ids are beyond guessing, and old ones are common.
pub(super) async fn resume(
    state: &AdminState,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(Bearer, Session), Refusal> {
    let id = cookie(headers).ok_or_else(Refusal::unauthorized)?;
    let now = state.publisher.now();
    let found = state.directory.session(state.digester.digest(id)).await?;
    let found = found.filter(|session| now < session.seen.after(IDLE) && now < session.created.after(TOTAL));
    let found = found.ok_or_else(Refusal::unauthorized)?;
    let bearer = auth::owner(state, found.token).await?.ok_or_else(Refusal::unauthorized)?;
    let csrf = csrf_of(state, id);
    if !(method == Method::GET || method == Method::HEAD) {
        refuse_foreign(headers)?;
        let shown = headers.get(CSRF).map(HeaderValue::as_bytes).unwrap_or_default();
        if !same(state, shown, csrf.as_bytes()) {
            return Err(foreign("a session's call that changes something sends its `x-csrf-token`"));
        }
    }
    if found.seen.until(now) >= NOTED_EVERY
        && let Err(error) = state.directory.session_used(found.digest.clone(), now).await
    {
        tracing::debug!(%error, "the use of a session was not noted");
    }
    Ok((bearer, Session { digest: found.digest, csrf, expires: found.created.after(TOTAL) }))
}

/// What only our own page can know: it is told in an answer, which no other site can read.
fn csrf_of(state: &AdminState, id: &str) -> String {
    hex::encode(state.digester.digest(&format!("csrf of {id}")).bytes())
}

/// Compares digests of both, so that time tells nothing.
fn same(state: &AdminState, shown: &[u8], expected: &[u8]) -> bool {
    let digest = |bytes: &[u8]| state.digester.digest(&hex::encode(bytes));
    digest(shown) == digest(expected)
}

/// A browser says where a call comes from; programs say nothing, and no site can make them call.
fn refuse_foreign(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin") => Ok(()),
        Some(_) => Err(foreign("the call comes from another site")),
    }
}

fn foreign(detail: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "csrf", detail)
}

/// Whether the browser came by https, to us or to what stands before us. To say so falsely only keeps one's own cookie
/// from being sent in clear.
fn is_https(headers: &HeaderMap) -> bool {
    let starts =
        |name: &str, with: &[u8]| headers.get(name).is_some_and(|value| value.as_bytes().starts_with(with));
    starts("origin", b"https://") || starts("x-forwarded-proto", b"https")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, id)| id)
}

fn set_cookie(cookie: &str) -> [(header::HeaderName, HeaderValue); 2] {
    let cookie = HeaderValue::try_from(cookie).expect("the parts of our cookies are header text");
    [(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}
