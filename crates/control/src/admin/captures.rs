//! Shows and deletes captured requests. What was said in one is for administrators only, and each look at it is entered in
//! the audit log; this never decides which requests are captured.

mod rules;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policy::{TicketId, Timestamp};
use serde::{Deserialize, Serialize};
use store::audit::Deed;
use store::captures::{Capture, CaptureFilter, CaptureHead, CapturedAttempt};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::Asked;
use super::page::{self, PageSize};
use super::refusal::Refusal;
use super::requests::{after, key_id, statuses};
use super::role::Role;
use super::shape;
use super::span::{bounded, span};

const PAGE: PageSize = PageSize { usual: 100, max: 500 };

/// Which captures are wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CapturesWanted {
    /// From this moment on: RFC 3339, or milliseconds since 1970.
    #[param(value_type = Option<shape::Moment>, inline)]
    from: Option<String>,
    /// Before this moment.
    #[param(value_type = Option<shape::Moment>, inline)]
    to: Option<String>,
    /// The caller's key, by its name or id.
    #[param(min_length = 1, max_length = 256)]
    key: Option<String>,
    /// The model that was asked for.
    #[param(min_length = 1, max_length = 256)]
    model: Option<String>,
    /// The backend that was tried last.
    #[param(min_length = 1, max_length = 256)]
    backend: Option<String>,
    /// The status that the client was given, as in `503`, or a class of them, as in `5xx`.
    #[param(pattern = "^[1-5](xx|[0-9]{2})$")]
    status: Option<String>,
    /// The whole request id.
    #[param(min_length = 1, max_length = 256)]
    request_id: Option<String>,
    /// How many at most; 100 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$")]
    cursor: Option<String>,
}

/// Which captures are to be deleted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CapturesUnwanted {
    /// From this moment on: RFC 3339, or milliseconds since 1970.
    #[param(value_type = Option<shape::Moment>, inline)]
    from: Option<String>,
    /// Before this moment.
    #[param(value_type = Option<shape::Moment>, inline)]
    to: Option<String>,
    /// The caller's key, by its name or id.
    #[param(min_length = 1, max_length = 256)]
    key: Option<String>,
    /// The model that was asked for.
    #[param(min_length = 1, max_length = 256)]
    model: Option<String>,
    /// `true` deletes all of them, and stands alone.
    all: Option<bool>,
}

/// What is listed of a capture.
#[derive(Debug, Serialize, ToSchema)]
struct CaptureRow {
    id: String,
    request_id: String,
    #[schema(value_type = i64)]
    at: Timestamp,
    /// The id of the caller's key.
    key: Option<String>,
    /// Its name, where there still is that key.
    key_name: Option<String>,
    /// The model that was asked for.
    model: Option<String>,
    /// The backend that was tried last.
    backend: Option<String>,
    /// The status that the client was given.
    status: u16,
    /// How the answer ended: `whole`, `broken` by the upstream, or the client had `left`.
    ended: &'static str,
    request_bytes: u64,
    response_bytes: u64,
    /// Whether less is kept of the request's body than there was.
    request_cut: bool,
    /// Whether less is kept of the answer's body than was given.
    response_cut: bool,
}

/// A page of captures, newest first, and what all of them come to.
#[derive(Debug, Serialize, ToSchema)]
struct CaptureList {
    captures: Vec<CaptureRow>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// How many there are.
    count: u64,
    /// What their files take.
    file_bytes: u64,
    /// How many were lost since the start, for want of room in memory or on the disk.
    lost: u64,
}

/// A capture with what was said.
#[derive(Debug, Serialize, ToSchema)]
struct CaptureDetail {
    #[serde(flatten)]
    row: CaptureRow,
    request: CaptureSide,
    /// What was tried for it.
    attempts: Vec<AttemptSaid>,
    response: CaptureSide,
}

/// What one backend said.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptSaid {
    backend: String,
    /// Its status, where it answered.
    status: Option<u16>,
    /// Names and values, in order. Those of credentials are `[hidden]`.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Vec<(String, String)>,
    /// What kept it from answering.
    error: Option<String>,
}

/// One side of the exchange.
#[derive(Debug, Serialize, ToSchema)]
struct CaptureSide {
    /// Of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Of a request: path and query.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Names and values, in order. Those of credentials are `[hidden]`.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Vec<(String, String)>,
    /// As far as it is kept, where that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// As far as it is kept, in base64, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// How many were deleted.
#[derive(Debug, Serialize, ToSchema)]
struct CapturesDeleted {
    deleted: u64,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    let listing = OpenApiRouter::default().routes(routes!(list));
    let looking = OpenApiRouter::default().routes(routes!(remove_all)).routes(routes!(show, remove));
    Role::Viewer.may(listing).merge(Role::Admin.may(looking)).merge(rules::routes())
}

/// Lists captures, newest first; nothing of what was said.
#[utoipa::path(
    get, path = "/api/admin/captures",
    params(CapturesWanted),
    responses((status = 200, description = "A page of captures.", body = CaptureList)),
)]
async fn list(
    State(state): State<AdminState>,
    Asked(wanted): Asked<CapturesWanted>,
) -> Result<Json<CaptureList>, Refusal> {
    let limit = page::limit(wanted.limit, PAGE)?;
    let after = after(wanted.cursor.as_deref())?;
    let filter = CaptureFilter {
        range: span(wanted.from.as_deref(), wanted.to.as_deref())?,
        id: None,
        key: key_id(&state, wanted.key.as_deref())?,
        model: bounded("model", wanted.model.as_deref())?,
        backend: bounded("backend", wanted.backend.as_deref())?,
        status: wanted.status.as_deref().map(statuses).transpose()?,
        request_id: bounded("request_id", wanted.request_id.as_deref())?,
    };
    let captures = &state.records.captures;
    let found = captures.find(filter, after, limit).await?;
    let sums = captures.sums().await?;
    let is_full = found.len() >= limit as usize;
    let next = found.last().filter(|_| is_full).map(|last| last.id.to_string());
    Ok(Json(CaptureList {
        captures: found.into_iter().map(|head| CaptureRow::of(&state, head)).collect(),
        next,
        count: sums.captures,
        file_bytes: sums.file_bytes,
        lost: sums.lost,
    }))
}

/// Shows one capture with what was said. That somebody looked is entered in the audit log.
#[utoipa::path(
    get, path = "/api/admin/captures/{id}",
    params(("id" = String, Path, description = "Its id, or the `x-request-id` of the answer.", max_length = 128)),
    responses((status = 200, description = "The capture.", body = CaptureDetail)),
)]
async fn show(Acting(state): Acting, Path(id): Path<String>) -> Result<Response, Refusal> {
    let gone = || Refusal::not_found("capture", &id);
    let named = find(&state, &id).await?;
    let Capture { head, content } = state.records.captures.open(named.id).await?.ok_or_else(gone)?;
    // Who reads what others have said is known, or does not read it.
    state.directory.note(Deed::of("view", "capture", &*head.request_id)).await?;
    let (text, base64) = shown(&content.request_body, head.request_bytes);
    let request = CaptureSide {
        method: Some(content.method),
        path: Some(content.path),
        headers: content.request_headers,
        text,
        base64,
    };
    let (text, base64) = shown(&content.response_body, head.response_bytes);
    let response = CaptureSide { method: None, path: None, headers: content.response_headers, text, base64 };
    let row = CaptureRow::of(&state, head);
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let attempts = content.attempts.into_iter().map(AttemptSaid::from).collect();
    Ok((no_store, Json(CaptureDetail { row, request, attempts, response })).into_response())
}

/// Deletes one capture. The request's receipt stays.
#[utoipa::path(
    delete, path = "/api/admin/captures/{id}",
    params(("id" = String, Path, description = "Its id, or the `x-request-id` of the answer.", max_length = 128)),
    responses((status = 204, description = "It is gone.")),
)]
async fn remove(Acting(state): Acting, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let named = find(&state, &id).await?;
    let filter = CaptureFilter { id: Some(named.id), ..CaptureFilter::default() };
    state.records.captures.delete(filter).await?;
    state.directory.note(Deed::of("delete", "capture", &*named.request_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes captures: those of a time, a key or a model, or all of them.
#[utoipa::path(
    delete, path = "/api/admin/captures",
    params(CapturesUnwanted),
    responses((status = 200, description = "They are gone.", body = CapturesDeleted)),
)]
async fn remove_all(
    Acting(state): Acting,
    Asked(unwanted): Asked<CapturesUnwanted>,
) -> Result<Json<CapturesDeleted>, Refusal> {
    let filter = CaptureFilter {
        range: span(unwanted.from.as_deref(), unwanted.to.as_deref())?,
        key: key_id(&state, unwanted.key.as_deref())?,
        model: bounded("model", unwanted.model.as_deref())?,
        ..CaptureFilter::default()
    };
    if (filter == CaptureFilter::default()) != unwanted.all.unwrap_or(false) {
        return Err(Refusal::field("all", "is true where no other is given, and only there"));
    }
    let told = serde_json::json!({
        "from": unwanted.from, "to": unwanted.to, "key": unwanted.key, "model": unwanted.model,
    });
    let deleted = state.records.captures.delete(filter).await?;
    let deed = Deed::of("delete", "captures", format!("{deleted} captures")).before(told);
    state.directory.note(deed).await?;
    Ok(Json(CapturesDeleted { deleted }))
}

/// By the capture's own id, else the latest of that request id: clients may give the same one twice.
async fn find(state: &AdminState, id: &str) -> Result<CaptureHead, Refusal> {
    let filter = match id.parse::<TicketId>() {
        Ok(ticket) => CaptureFilter { id: Some(ticket), ..CaptureFilter::default() },
        Err(_) => CaptureFilter { request_id: Some(id.to_owned()), ..CaptureFilter::default() },
    };
    let found = state.records.captures.find(filter, None, 1).await?.pop();
    found.ok_or_else(|| Refusal::not_found("capture", id))
}

/// What is kept of a body of so many bytes, as text where that is text, else in base64.
fn shown(kept: &[u8], bytes: u64) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(kept) {
        Ok(text) => (Some(text.to_owned()), None),
        // A cut may stand in the middle of a character.
        Err(error) if error.error_len().is_none() && (kept.len() as u64) < bytes => {
            let whole = kept.get(..error.valid_up_to()).unwrap_or_default();
            (Some(String::from_utf8_lossy(whole).into_owned()), None)
        }
        Err(_) => (None, Some(STANDARD.encode(kept))),
    }
}

impl From<CapturedAttempt> for AttemptSaid {
    fn from(CapturedAttempt { backend, status, headers, error }: CapturedAttempt) -> Self {
        Self { backend, status, headers, error }
    }
}

impl CaptureRow {
    fn of(state: &AdminState, head: CaptureHead) -> Self {
        let snapshot = state.publisher.snapshot();
        let mut keys = snapshot.iter().flat_map(|snapshot| snapshot.identity.keys());
        let named = keys.find(|key| Some(&key.id) == head.key.as_ref()).map(|key| key.name.to_string());
        Self {
            id: head.id.to_string(),
            request_id: head.request_id.to_string(),
            at: head.at,
            key: head.key.map(|key| key.to_string()),
            key_name: named,
            model: head.model.map(|model| model.to_string()),
            backend: head.backend.map(|backend| backend.to_string()),
            status: head.status,
            ended: head.ended.name(),
            request_bytes: head.request_bytes,
            response_bytes: head.response_bytes,
            request_cut: head.request_cut,
            response_cut: head.response_cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_as_text_where_it_is_text() {
        for (kept, bytes, text, base64) in [
            (&b"plain"[..], 5, Some("plain"), None),
            ("süß".as_bytes(), 5, Some("süß"), None),
            (b"s\xc3", 5, Some("s"), None),
            (b"s\xc3", 2, None, Some("c8M=")),
            (b"\xff\xfe", 9, None, Some("//4=")),
            (b"", 0, Some(""), None),
        ] {
            let want = (text.map(str::to_owned), base64.map(str::to_owned));
            assert_eq!(shown(kept, bytes), want, "{kept:?} of {bytes}");
        }
    }
}
