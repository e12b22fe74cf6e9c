//! Gives out records as CSV or NDJSON, page by page as they are read, so that an export needs no more memory than a page;
//! it never decides what is found.
//!
//! Each row begins with its own cursor: an export that was cut off is taken up with the cursor of its last whole row.

mod csv;
mod rows;
#[cfg(test)]
mod tests;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use policy::RequestOutcome;
use serde::Deserialize;
use store::audit::Via;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::audit::AuditWanted;
use super::extract::Asked;
use super::refusal::Refusal;
use super::requests::RequestsWanted;
use super::role::Role;
use super::span::span;
use rows::Rows;

/// When the oldest record is from, in milliseconds, so that progress can be shown.
const OLDEST: &str = "x-lockgate-oldest";

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExportFormat {
    /// A table with a header, after RFC 4180.
    #[default]
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// How fine usage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExportGrain {
    /// By the hour.
    Hour,
    /// By the day, UTC.
    #[default]
    Day,
}

/// Which requests, and how they are written.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RequestsExport {
    /// `csv` or `ndjson`. Default: csv.
    #[serde(default)]
    #[param(required = false, inline)]
    format: ExportFormat,
    /// From this moment on.
    #[param(max_length = 64)]
    from: Option<String>,
    /// Before this moment.
    #[param(max_length = 64)]
    to: Option<String>,
    /// The caller's key, by its name or id.
    #[param(max_length = 256)]
    key: Option<String>,
    /// The key's team.
    #[param(max_length = 256)]
    team: Option<String>,
    /// The canonical model.
    #[param(max_length = 256)]
    model: Option<String>,
    /// The backend that answered.
    #[param(max_length = 256)]
    backend: Option<String>,
    /// The status, as in `503`, or a class, as in `5xx`.
    #[param(max_length = 3)]
    status: Option<String>,
    /// How they ended.
    #[param(value_type = Option<String>)]
    outcome: Option<RequestOutcome>,
    /// A tag of theirs, as `name=value`.
    #[param(max_length = 256)]
    tag: Option<String>,
    /// A request id, or a part of one.
    #[param(max_length = 128)]
    q: Option<String>,
    /// The first column of the last row that came.
    #[param(max_length = 64)]
    cursor: Option<String>,
}

/// Which usage, and how it is written.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageExport {
    /// `csv` or `ndjson`. Default: csv.
    #[serde(default)]
    #[param(required = false, inline)]
    format: ExportFormat,
    /// `hour` or `day`. Default: day.
    #[serde(default)]
    #[param(required = false, inline)]
    grain: ExportGrain,
    /// From this moment on.
    #[param(max_length = 64)]
    from: Option<String>,
    /// Before this moment.
    #[param(max_length = 64)]
    to: Option<String>,
    /// The first column of the last row that came.
    #[param(max_length = 4096)]
    cursor: Option<String>,
}

/// Which changes, and how they are written.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditExport {
    /// `csv` or `ndjson`. Default: csv.
    #[serde(default)]
    #[param(required = false, inline)]
    format: ExportFormat,
    /// From this moment on.
    #[param(max_length = 64)]
    from: Option<String>,
    /// Before this moment.
    #[param(max_length = 64)]
    to: Option<String>,
    /// Who.
    #[param(max_length = 256)]
    actor: Option<String>,
    /// Which way.
    #[param(value_type = Option<String>)]
    via: Option<Via>,
    /// What was done.
    #[param(max_length = 256)]
    action: Option<String>,
    /// To what kind of thing.
    #[param(max_length = 256)]
    kind: Option<String>,
    /// To which one.
    #[param(max_length = 256)]
    subject: Option<String>,
    /// The first column of the last row that came.
    #[param(max_length = 64)]
    cursor: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default();
    Role::Viewer.may(reading.routes(routes!(requests)).routes(routes!(usage)).routes(routes!(audit)))
}

/// Exports requests, newest first.
#[utoipa::path(
    get, path = "/api/admin/export/requests",
    params(RequestsExport),
    responses((status = 200, description = "Rows as they are read.", body = String, content_type = "text/csv")),
)]
pub(crate) async fn requests(
    State(state): State<AdminState>,
    Asked(asked): Asked<RequestsExport>,
) -> Result<Response, Refusal> {
    let RequestsExport { format, from, to, key, team, model, backend, status, outcome, tag, q, cursor } =
        asked;
    let wanted =
        RequestsWanted { from, to, key, team, model, backend, status, outcome, tag, q, limit: None, cursor };
    let rows = Rows::Requests {
        ledger: state.ledger.clone(),
        filter: wanted.filter(&state)?,
        after: wanted.after()?,
    };
    let oldest = state.ledger.oldest().await?.map(|at| at.0);
    Ok(stream_out(rows, format, oldest))
}

/// Exports usage by hour or day, and by backend, model, key and team at once; oldest first.
#[utoipa::path(
    get, path = "/api/admin/export/usage",
    params(UsageExport),
    responses((status = 200, description = "Rows as they are read.", body = String, content_type = "text/csv")),
)]
pub(crate) async fn usage(
    State(state): State<AdminState>,
    Asked(asked): Asked<UsageExport>,
) -> Result<Response, Refusal> {
    let rows = Rows::Usage {
        ledger: state.ledger.clone(),
        grain: match asked.grain {
            ExportGrain::Hour => store::ledger::Grain::Hour,
            ExportGrain::Day => store::ledger::Grain::Day,
        },
        range: span(asked.from.as_deref(), asked.to.as_deref())?,
        after: asked.cursor.as_deref().map(rows::place_of).transpose()?,
    };
    Ok(stream_out(rows, asked.format, None))
}

/// Exports changes, newest first.
#[utoipa::path(
    get, path = "/api/admin/export/audit",
    params(AuditExport),
    responses((status = 200, description = "Rows as they are read.", body = String, content_type = "text/csv")),
)]
pub(crate) async fn audit(
    State(state): State<AdminState>,
    Asked(asked): Asked<AuditExport>,
) -> Result<Response, Refusal> {
    let AuditExport { format, from, to, actor, via, action, kind, subject, cursor } = asked;
    let wanted = AuditWanted { from, to, actor, via, action, kind, subject, limit: None, cursor };
    let rows =
        Rows::Audit { log: state.records.audit.clone(), filter: wanted.filter()?, before: wanted.before()? };
    Ok(stream_out(rows, format, None))
}

/// Where an export stands.
struct Export {
    rows: Rows,
    format: ExportFormat,
    at: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Rows,
    End,
}

/// The next page is read when the one before was taken: a slow reader slows the reading, and nothing piles up.
fn stream_out(rows: Rows, format: ExportFormat, oldest: Option<i64>) -> Response {
    let export = Export { rows, format, at: Stage::Head };
    let pages = stream::try_unfold(export, |mut export| async move {
        let page = export.next().await.inspect_err(|error| tracing::warn!(%error, "an export broke off"))?;
        Ok::<_, store::StoreError>(page.map(|page| (page, export)))
    });
    let content_type = match format {
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
        ExportFormat::Ndjson => "application/x-ndjson",
    };
    let mut response = Body::from_stream(pages).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(oldest) = oldest {
        headers.insert(OLDEST, HeaderValue::from(oldest));
    }
    response
}

impl Export {
    async fn next(&mut self) -> Result<Option<Bytes>, store::StoreError> {
        if self.at == Stage::Head {
            self.at = Stage::Rows;
            if self.format == ExportFormat::Csv {
                return Ok(Some(
                    csv::line(self.rows.columns().iter().map(|name| csv::Cell::own(name))).into(),
                ));
            }
        }
        while self.at == Stage::Rows {
            let page = self.rows.page().await?;
            if page.is_last {
                self.at = Stage::End;
            }
            let text: String = page.records.iter().map(|record| self.written(record)).collect();
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
        }
        Ok(None)
    }

    fn written(&self, record: &serde_json::Value) -> String {
        match self.format {
            ExportFormat::Ndjson => format!("{record}\n"),
            ExportFormat::Csv => {
                csv::line(self.rows.columns().iter().map(|path| csv::Cell::of(csv::at(record, path))))
            }
        }
    }
}
