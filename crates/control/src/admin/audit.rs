//! Shows who changed what, and whether the log of it holds; it never changes an entry.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::audit::{AuditEntry, AuditFilter, AuditVerdict, ChainHead, Via};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::{Asked, Both};
use super::page::{self, Paging, numbered};
use super::refusal::Refusal;
use super::role::Role;
use super::shape;
use super::span::{bounded, span};

/// Which entries are looked for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditSought {
    /// From this moment on: RFC 3339, or milliseconds since 1970.
    #[param(value_type = Option<shape::Moment>, inline)]
    from: Option<String>,
    /// Before this moment.
    #[param(value_type = Option<shape::Moment>, inline)]
    to: Option<String>,
    /// Who: the name of a token, or of a user of the host.
    #[param(min_length = 1, max_length = 256)]
    actor: Option<String>,
    /// Which way: `api`, `cli`, `reload`, `gateway`.
    #[param(value_type = Option<shape::Via>, inline)]
    via: Option<Via>,
    /// What was done, as in `create`.
    #[param(min_length = 1, max_length = 256)]
    action: Option<String>,
    /// To what kind of thing, as in `backend`.
    #[param(min_length = 1, max_length = 256)]
    kind: Option<String>,
    /// To which one, by its name.
    #[param(min_length = 1, max_length = 256)]
    subject: Option<String>,
}

impl AuditSought {
    pub(super) fn filter(&self) -> Result<AuditFilter, Refusal> {
        Ok(AuditFilter {
            range: span(self.from.as_deref(), self.to.as_deref())?,
            actor: bounded("actor", self.actor.as_deref())?,
            via: self.via,
            action: bounded("action", self.action.as_deref())?,
            kind: bounded("kind", self.kind.as_deref())?,
            subject: bounded("subject", self.subject.as_deref())?,
        })
    }
}

/// Below which number a page begins.
pub(super) fn before(cursor: Option<&str>) -> Result<Option<u64>, Refusal> {
    cursor.map(numbered).transpose()
}

/// A page of entries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditList {
    #[schema(value_type = Vec<shape::AuditEntry>)]
    entries: Vec<AuditEntry>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(list)).routes(routes!(verify)))
}

/// Lists changes, newest first: who, when, from where, what, before and after; secrets masked.
#[utoipa::path(
    get, path = "/api/admin/audit",
    params(AuditSought, Paging),
    responses((status = 200, description = "A page of entries.", body = AuditList)),
)]
pub(crate) async fn list(
    State(state): State<AdminState>,
    Both(sought, paging): Both<AuditSought, Paging>,
) -> Result<Json<AuditList>, Refusal> {
    let limit = page::limit(paging.limit, page::PAGE)?;
    let before = before(paging.cursor.as_deref())?;
    let entries = state.records.audit.list(sought.filter()?, before, limit).await?;
    let next = entries.last().filter(|last| entries.len() == limit as usize && last.number > 1);
    let next = next.map(|last| last.number.to_string());
    Ok(Json(AuditList { entries, next }))
}

/// A head that was kept elsewhere.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Known {
    /// A head that was kept elsewhere, as `NUMBER:HASH`: it must still be part of the chain.
    #[param(pattern = "^[0-9]{1,18}:[0-9A-Fa-f]{64}$")]
    known: Option<String>,
}

/// Walks the whole chain of entries, and says where it does not hold: a gap, an edit, a cut.
#[utoipa::path(
    get, path = "/api/admin/audit/verify",
    params(Known),
    responses((status = 200, description = "Where it ends, and where it breaks.", body = shape::AuditVerdict)),
)]
pub(crate) async fn verify(
    State(state): State<AdminState>,
    Asked(known): Asked<Known>,
) -> Result<Json<AuditVerdict>, Refusal> {
    let known = known.known.as_deref().map(head).transpose()?;
    Ok(Json(state.records.audit.verify(known).await?))
}

fn head(text: &str) -> Result<ChainHead, Refusal> {
    let parts = text.split_once(':').and_then(|(number, hash)| Some((numbered(number).ok()?, hash)));
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match parts {
        Some((number, hash)) if is_hash(hash) => Ok(ChainHead { number, hash: hash.to_ascii_lowercase() }),
        Some(_) | None => Err(Refusal::query("known", "is not a NUMBER:HASH that a verification ended with")),
    }
}
