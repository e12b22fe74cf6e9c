//! Finds requests and shows what became of them; it never changes one.

mod told;

use axum::Json;
use axum::extract::{Path, State};
use policy::{Receipt, RequestOutcome, Timestamp};
use serde::{Deserialize, Serialize};
use store::ledger::{AttemptLine, Cursor, ReceiptDetail};
use store::search::RequestFilter;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::Both;
use super::page::{self, PageSize, bad_cursor};
use super::refusal::Refusal;
use super::role::Role;
use super::shape;
use super::span::{bounded, span};
use told::Told;

const PAGE: PageSize = PageSize { usual: 50, max: 500 };
const REQUEST_ID_MAX: usize = 128;

/// Which requests are looked for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RequestsSought {
    /// From this moment on: RFC 3339, or milliseconds since 1970.
    #[param(value_type = Option<shape::Moment>, inline)]
    from: Option<String>,
    /// Before this moment.
    #[param(value_type = Option<shape::Moment>, inline)]
    to: Option<String>,
    /// The caller's key, by its name or id.
    #[param(min_length = 1, max_length = 256)]
    key: Option<String>,
    /// The key's team.
    #[param(min_length = 1, max_length = 256)]
    team: Option<String>,
    /// The canonical model.
    #[param(min_length = 1, max_length = 256)]
    model: Option<String>,
    /// The backend that answered.
    #[param(min_length = 1, max_length = 256)]
    backend: Option<String>,
    /// The status that the client was given, as in `503`, or a class of them, as in `5xx`.
    #[param(pattern = "^[1-5](xx|[0-9]{2})$")]
    status: Option<String>,
    /// How they ended: `completed`, `failed`, `cancelled`, `interrupted`.
    #[param(value_type = Option<shape::RequestOutcome>, inline)]
    outcome: Option<RequestOutcome>,
    /// A tag of theirs, as `name=value`.
    #[param(min_length = 1, max_length = 256, pattern = "=")]
    tag: Option<String>,
    /// A request id, or a part of one.
    #[param(min_length = 1, max_length = 256)]
    q: Option<String>,
}

/// Which page of them.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RequestsPage {
    /// How many at most; 50 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$")]
    cursor: Option<String>,
}

/// The id of the key that a query names: keys are kept by id and known by name.
pub(super) fn key_id(state: &AdminState, named: Option<&str>) -> Result<Option<String>, Refusal> {
    Ok(bounded("key", named)?.map(|named| {
        let snapshot = state.publisher.snapshot();
        let mut keys = snapshot.iter().flat_map(|snapshot| snapshot.identity.keys());
        let found = keys.find(|key| *key.name == *named).map(|key| key.id.to_string());
        found.unwrap_or(named)
    }))
}

impl RequestsSought {
    pub(super) fn filter(&self, state: &AdminState) -> Result<RequestFilter, Refusal> {
        let key = key_id(state, self.key.as_deref())?;
        let tag = bounded("tag", self.tag.as_deref())?;
        let tag = tag.map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| Refusal::query("tag", "is name=value"))?;
            Ok::<_, Refusal>((name.to_owned(), value.to_owned()))
        });
        Ok(RequestFilter {
            range: span(self.from.as_deref(), self.to.as_deref())?,
            key,
            team: bounded("team", self.team.as_deref())?,
            model: bounded("model", self.model.as_deref())?,
            backend: bounded("backend", self.backend.as_deref())?,
            status: self.status.as_deref().map(statuses).transpose()?,
            outcome: self.outcome,
            tag: tag.transpose()?,
            text: bounded("q", self.q.as_deref())?,
        })
    }
}

/// Behind which request a page begins.
pub(super) fn after(cursor: Option<&str>) -> Result<Option<Cursor>, Refusal> {
    let ticket = |text: &str| text.parse().map(Cursor).map_err(|_| bad_cursor());
    cursor.map(ticket).transpose()
}

/// `503`, or all of `5xx`.
pub(super) fn statuses(text: &str) -> Result<std::ops::RangeInclusive<u16>, Refusal> {
    let class = text.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
    match (class, text.parse::<u16>()) {
        (Some(class @ 1..=5), _) => Ok(class * 100..=class * 100 + 99),
        (None, Ok(status @ 100..=599)) => Ok(status..=status),
        (_, _) => Err(Refusal::query("status", "is a status such as 503, or a class such as 5xx")),
    }
}

/// A page of receipts, newest first, and where to look on. A search for what is rare among much goes over so many requests
/// at a time: a page may be short, even empty, and still have a `next`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestList)]
pub(crate) struct Page {
    #[schema(value_type = Vec<shape::Receipt>)]
    requests: Vec<Receipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// How far back this page looked, in milliseconds since 1970.
    #[schema(value_type = i64)]
    looked_back_to: Timestamp,
}

/// One receipt with its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestDetail)]
pub(crate) struct Detail {
    #[serde(flatten)]
    #[schema(value_type = shape::Receipt)]
    receipt: Receipt,
    #[schema(value_type = Vec<shape::AttemptLine>)]
    attempt_lines: Vec<AttemptLine>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default();
    Role::Viewer.may(reading.routes(routes!(recent)).routes(routes!(show)).routes(routes!(explain)))
}

/// Searches receipts, newest first.
#[utoipa::path(
    get, path = "/api/admin/requests",
    params(RequestsSought, RequestsPage),
    responses((status = 200, description = "A page of receipts.", body = Page)),
)]
pub(crate) async fn recent(
    State(state): State<AdminState>,
    Both(sought, asked): Both<RequestsSought, RequestsPage>,
) -> Result<Json<Page>, Refusal> {
    let limit = page::limit(asked.limit, PAGE)?;
    let after = after(asked.cursor.as_deref())?;
    let found = state.ledger.search(sought.filter(&state)?, after, limit).await?;
    let next = found.next.map(|Cursor(ticket)| ticket.to_string());
    Ok(Json(Page { requests: found.receipts, next, looked_back_to: found.looked_back_to }))
}

/// Shows one receipt with its attempts.
#[utoipa::path(
    get, path = "/api/admin/requests/{id}",
    params(("id" = String, Path, description = "The `x-request-id` of the answer.", max_length = 128)),
    responses((status = 200, description = "The receipt.", body = Detail)),
)]
pub(crate) async fn show(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Json<Detail>, Refusal> {
    let ReceiptDetail { receipt, attempts, .. } = find(&state, &id).await?;
    Ok(Json(Detail { receipt, attempt_lines: attempts }))
}

/// Explains one request: its way in time, each attempt with its price arithmetic, and how its candidates stand now.
#[utoipa::path(
    get, path = "/api/admin/requests/{id}/explain",
    params(("id" = String, Path, description = "The `x-request-id` of the answer.", max_length = 128)),
    responses((status = 200, description = "What happened, and why.", body = Told)),
)]
pub(crate) async fn explain(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Json<Told>, Refusal> {
    let detail = find(&state, &id).await?;
    let charged = state.ledger.charged(&detail.attempts).await?;
    Ok(Json(told::tell(&state, detail, charged)))
}

async fn find(state: &AdminState, id: &str) -> Result<ReceiptDetail, Refusal> {
    if id.len() > REQUEST_ID_MAX {
        return Err(Refusal::not_found("request", id));
    }
    state.ledger.receipt(id).await?.ok_or_else(|| Refusal::not_found("request", id))
}
