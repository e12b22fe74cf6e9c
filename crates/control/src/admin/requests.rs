//! Shows receipts; it never changes one.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use policy::Receipt;
use serde::{Deserialize, Serialize};
use store::ledger::{AttemptLine, Cursor};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::Asked;
use super::refusal::Refusal;
use super::role::Role;

const PAGE: u32 = 50;
const PAGE_MAX: u32 = 500;
const REQUEST_ID_MAX: usize = 128;

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// A page of receipts, newest first, and where the next one begins.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestList)]
pub(crate) struct Page {
    #[schema(value_type = Vec<Object>)]
    requests: Vec<Receipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One receipt with its attempts.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    #[serde(flatten)]
    receipt: Receipt,
    attempt_lines: Vec<AttemptLine>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(recent)).routes(routes!(show)))
}

/// Lists receipts, newest first.
#[utoipa::path(
    get, path = "/api/admin/requests",
    params(Wanted),
    responses((status = 200, description = "A page of receipts.", body = Page)),
)]
pub(crate) async fn recent(
    State(state): State<AdminState>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Page>, Refusal> {
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let after = match wanted.cursor.map(|text| text.parse()) {
        None => None,
        Some(Ok(ticket)) => Some(Cursor(ticket)),
        Some(Err(_)) => {
            let detail = "`cursor` is not one that a page ended with";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_cursor", detail));
        }
    };
    let requests = state.ledger.recent(after, limit).await?;
    let full = u32::try_from(requests.len()).is_ok_and(|count| count == limit);
    let next = requests.last().filter(|_| full).map(|receipt| receipt.ticket.to_string());
    Ok(Json(Page { requests, next }))
}

/// Shows one receipt with its attempts.
#[utoipa::path(
    get, path = "/api/admin/requests/{id}",
    params(("id" = String, Path, description = "The `x-request-id` of the answer.", max_length = 128)),
    responses((status = 200, description = "The receipt.", body = Object)),
)]
pub(crate) async fn show(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Json<Detail>, Refusal> {
    if id.len() > REQUEST_ID_MAX {
        return Err(Refusal::not_found("request", &id));
    }
    let found = state.ledger.receipt(&id).await?.ok_or_else(|| Refusal::not_found("request", &id))?;
    Ok(Json(Detail { receipt: found.receipt, attempt_lines: found.attempts }))
}
