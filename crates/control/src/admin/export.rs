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
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::audit::{self, AuditSought};
use super::extract::Both;
use super::refusal::Refusal;
use super::requests::{self, RequestsSought};
use super::role::Role;
use super::shape;
use super::span::span;
use rows::Rows;

/// Where the last row is at most, so that progress can be shown: the time of a request or a bucket, the number of a change.
const LAST: &str = "x-lockgate-last";
/// The audit log counts from one, and nothing deletes from it.
const FIRST_CHANGE: i64 = 1;

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

/// Which usage.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageSought {
    /// `hour` or `day`. Default: day.
    #[serde(default)]
    #[param(required = false, inline)]
    grain: ExportGrain,
    /// From this moment on.
    #[param(value_type = Option<shape::Moment>, inline)]
    from: Option<String>,
    /// Before this moment.
    #[param(value_type = Option<shape::Moment>, inline)]
    to: Option<String>,
}

/// How what is found is written, and from where on.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Exporting {
    /// `csv` or `ndjson`. Default: csv.
    #[serde(default)]
    #[param(required = false, inline)]
    format: ExportFormat,
    /// The first column of the last row that came.
    #[param(max_length = 4096)]
    cursor: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default();
    Role::Viewer.may(reading.routes(routes!(requests)).routes(routes!(usage)).routes(routes!(audit)))
}

/// Exports requests, newest first.
#[utoipa::path(
    get, path = "/api/admin/export/requests",
    params(RequestsSought, Exporting),
    responses((status = 200, description = "Rows as they are read.", content(
        (String = "text/csv"),
        (String = "application/x-ndjson"),
    ))),
)]
pub(crate) async fn requests(
    State(state): State<AdminState>,
    Both(sought, exporting): Both<RequestsSought, Exporting>,
) -> Result<Response, Refusal> {
    let filter = sought.filter(&state)?;
    let after = requests::after(exporting.cursor.as_deref())?;
    let oldest = state.ledger.oldest().await?.map(|oldest| oldest.0.max(filter.range.from.0));
    let rows = Rows::Requests { ledger: state.ledger.clone(), filter, after };
    Ok(stream_out(rows, exporting.format, oldest))
}

/// Exports usage by hour or day, and by backend, model, key and team at once; oldest first.
#[utoipa::path(
    get, path = "/api/admin/export/usage",
    params(UsageSought, Exporting),
    responses((status = 200, description = "Rows as they are read.", content(
        (String = "text/csv"),
        (String = "application/x-ndjson"),
    ))),
)]
pub(crate) async fn usage(
    State(state): State<AdminState>,
    Both(sought, exporting): Both<UsageSought, Exporting>,
) -> Result<Response, Refusal> {
    let range = span(sought.from.as_deref(), sought.to.as_deref())?;
    let newest = range.to.min(state.publisher.now());
    let rows = Rows::Usage {
        ledger: state.ledger.clone(),
        grain: match sought.grain {
            ExportGrain::Hour => store::ledger::Grain::Hour,
            ExportGrain::Day => store::ledger::Grain::Day,
        },
        range,
        after: exporting.cursor.as_deref().map(rows::place_of).transpose()?,
    };
    Ok(stream_out(rows, exporting.format, Some(newest.0)))
}

/// Exports changes, newest first.
#[utoipa::path(
    get, path = "/api/admin/export/audit",
    params(AuditSought, Exporting),
    responses((status = 200, description = "Rows as they are read.", content(
        (String = "text/csv"),
        (String = "application/x-ndjson"),
    ))),
)]
pub(crate) async fn audit(
    State(state): State<AdminState>,
    Both(sought, exporting): Both<AuditSought, Exporting>,
) -> Result<Response, Refusal> {
    let before = audit::before(exporting.cursor.as_deref())?;
    let rows = Rows::Audit { log: state.records.audit.clone(), filter: sought.filter()?, before };
    Ok(stream_out(rows, exporting.format, Some(FIRST_CHANGE)))
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
fn stream_out(rows: Rows, format: ExportFormat, last: Option<i64>) -> Response {
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
    if let Some(last) = last {
        headers.insert(LAST, HeaderValue::from(last));
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
