//! Admin tokens through the API: each secret is made here, shown once, and stored as a digest only. The first token, which
//! the settings name or the first start made, is not among them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::Timestamp;
use serde::Serialize;
use store::door::{NewToken, StoredToken};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::auth::FIRST;
use super::extract::{Asked, Text};
use super::page::Paging;
use super::refusal::Refusal;
use super::role::Role;
use crate::config::body;
use crate::keygen;

/// Far above the people and programs that operate one gateway.
const TOKENS_MAX: u32 = 1000;

/// An admin token; its secret only in the answer that gives it out.
#[derive(Debug, Serialize, ToSchema)]
struct TokenView {
    id: String,
    name: String,
    /// Masked, or in clear in the one answer that gives it out.
    token: String,
    role: String,
    #[schema(value_type = i64)]
    created: Timestamp,
    /// When it was last shown, to the minute.
    #[schema(value_type = Option<i64>)]
    last_used: Option<Timestamp>,
    /// From when on it does not count.
    expires: Option<String>,
}

/// A page of tokens.
#[derive(Debug, Serialize, ToSchema)]
struct TokenList {
    tokens: Vec<TokenView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    Role::Admin.may(OpenApiRouter::default().routes(routes!(list, create)).routes(routes!(revoke)))
}

/// Lists admin tokens, by name; never a secret.
#[utoipa::path(
    get, path = "/api/admin/tokens",
    params(Paging),
    responses((status = 200, description = "A page of tokens.", body = TokenList)),
)]
async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<TokenList>, Refusal> {
    let page = paging.cut(state.directory.tokens().await?, |token| token.name.clone())?;
    Ok(Json(TokenList { tokens: page.items.into_iter().map(TokenView::of).collect(), next: page.next }))
}

/// Makes an admin token. The answer is the only one that ever holds its secret.
#[utoipa::path(
    post, path = "/api/admin/tokens",
    request_body = ref("#/components/schemas/TokenBody"),
    responses((status = 201, description = "It counts; `token` is the secret.", body = TokenView)),
)]
async fn create(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    let typed = body::token_body(&text)?;
    let name = typed.name.as_str().to_owned();
    if name == FIRST {
        return Err(Refusal::field("name", "is what the first token is called; choose another one"));
    }
    let now = state.publisher.now();
    let expires = typed.expires.map(|moment| moment.0);
    if expires.is_some_and(|ends| ends <= now) {
        return Err(Refusal::field("expires", "is past"));
    }
    let secret = keygen::admin_token();
    let new = NewToken {
        id: keygen::id("tok"),
        name,
        role: typed.role.name().to_owned(),
        digest: state.digester.digest(secret.expose()),
        masked: secret.masked(),
        expires,
    };
    let stored = state.directory.add_token(new, TOKENS_MAX, now).await?;
    let view = TokenView { token: secret.expose().to_owned(), ..TokenView::of(stored) };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(view)).into_response())
}

/// Ends a token, and every session that began with it.
#[utoipa::path(
    delete, path = "/api/admin/tokens/{id}",
    responses((status = 204, description = "It does not count any more.")),
)]
async fn revoke(Acting(state): Acting, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let named = state.directory.tokens().await?.into_iter().find(|token| token.id == id || token.name == id);
    let named = named.ok_or_else(|| Refusal::not_found("admin token", &id))?;
    state.directory.remove_token(&named.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl TokenView {
    fn of(stored: StoredToken) -> Self {
        Self {
            id: stored.id,
            name: stored.name,
            token: stored.masked,
            role: stored.role,
            created: stored.created,
            last_used: stored.last_used,
            expires: stored.expires.map(Timestamp::to_utc),
        }
    }
}
