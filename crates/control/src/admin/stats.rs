//! Shows what requests used and cost, and how backends stand; it never computes a cost.

use axum::Json;
use axum::extract::State;
use policy::{DAY_MS, Status, TAG_BYTES_MAX, Timestamp};
use serde::{Deserialize, Serialize};
use store::ledger::{Dimension, Grain, Range, TopSeries, UsageRow, UsageSums};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Asked, Both};
use super::page::{self, Page, PageSize, Paging};
use super::refusal::Refusal;
use super::role::Role;
use super::span::span_or;
use super::{AdminState, shape};
use crate::publish::{LastProblem, moment};

/// Without a range, hourly shows two days and daily two months.
const HOURLY_MS: i64 = 2 * DAY_MS;
const DAILY_MS: i64 = 62 * DAY_MS;
/// Buckets that one answer may span; a longer range is asked for in parts.
const BUCKETS_MAX: i64 = 10_000;
/// Rows of one answer.
const ROWS: PageSize = PageSize { usual: 1000, max: 10_000 };
/// Values that a chart can tell apart, and then some.
const TOP_MAX: u8 = 50;
/// Values that one answer tells of.
const GROUPS_MAX: usize = 1000;

/// Which sums.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// From this moment on: RFC 3339, or milliseconds since 1970.
    #[param(value_type = Option<shape::Moment>, inline)]
    from: Option<String>,
    /// Before this moment.
    #[param(value_type = Option<shape::Moment>, inline)]
    to: Option<String>,
    /// What they are split by: `backend`, `model`, `key`, `team`, or a tag of the callers as `tag:NAME`.
    #[param(pattern = "^(backend|model|key|team|tag:.{1,64})$")]
    by: Option<String>,
}

/// Which page of the rows.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RowsWanted {
    /// Only so many values of what they are split by, the dearest; all others together are one row without a value, and
    /// `groups` tells of each.
    #[param(minimum = 1, maximum = 50)]
    top: Option<u8>,
    /// How many rows at most; 1000 when left out.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(max_length = 512)]
    cursor: Option<String>,
}

/// Sums of a range, and their parts by a dimension where one was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageTotal)]
pub(crate) struct Total {
    #[schema(value_type = shape::UsageSums)]
    total: UsageSums,
    /// The dearest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<shape::UsageRow>>)]
    groups: Option<Vec<UsageRow>>,
}

/// Everything that is counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counters {
    #[schema(value_type = shape::Status)]
    live: Status,
    /// Since the ledger began.
    #[schema(value_type = shape::UsageSums)]
    totals: UsageSums,
    /// How often something new came into force since the start.
    version: u64,
    /// The last change that did not hold, until one does.
    last_problem: Option<LastProblem>,
}

/// A page of rows by time, and by a dimension where one was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageSeries)]
pub(crate) struct Series {
    #[schema(value_type = Vec<shape::UsageRow>)]
    rows: Vec<UsageRow>,
    /// With `top`: the sums of each value, the dearest first; at most a thousand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<shape::UsageRow>>)]
    groups: Option<Vec<UsageRow>>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default()
        .routes(routes!(total))
        .routes(routes!(hourly))
        .routes(routes!(daily))
        .routes(routes!(cooldown))
        .routes(routes!(status))
        .routes(routes!(internal));
    Role::Viewer.may(reading)
}

/// Sums of a range, and their parts by a dimension.
#[utoipa::path(
    get, path = "/api/admin/stats/total",
    params(Wanted),
    responses((status = 200, description = "The sums.", body = Total)),
)]
pub(crate) async fn total(
    State(state): State<AdminState>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Total>, Refusal> {
    let range = span_or(wanted.from.as_deref(), wanted.to.as_deref(), Range::ALL)?;
    let groups = match dimension(wanted.by.as_deref())? {
        Some(by) => Some(state.ledger.grouped(Grain::Day, by, range).await?),
        None => None,
    };
    Ok(Json(Total { total: state.ledger.totals(range).await?, groups }))
}

/// Sums by the hour; without a range, of the last two days.
#[utoipa::path(
    get, path = "/api/admin/stats/hourly",
    params(Wanted, RowsWanted),
    responses(
        (status = 200, description = "One row for each hour with any use, oldest first.", body = Series),
    ),
)]
pub(crate) async fn hourly(
    State(state): State<AdminState>,
    Both(wanted, rows): Both<Wanted, RowsWanted>,
) -> Result<Json<Series>, Refusal> {
    series(&state, (wanted, rows), (Grain::Hour, HOURLY_MS)).await
}

/// Sums by the day (UTC); without a range, of the last two months.
#[utoipa::path(
    get, path = "/api/admin/stats/daily",
    params(Wanted, RowsWanted),
    responses(
        (status = 200, description = "One row for each day with any use, oldest first.", body = Series),
    ),
)]
pub(crate) async fn daily(
    State(state): State<AdminState>,
    Both(wanted, rows): Both<Wanted, RowsWanted>,
) -> Result<Json<Series>, Refusal> {
    series(&state, (wanted, rows), (Grain::Day, DAILY_MS)).await
}

/// How backends stand now, and what happened lately.
#[utoipa::path(
    get, path = "/api/admin/stats/cooldown",
    responses((status = 200, description = "The live state.", body = shape::Status)),
)]
pub(crate) async fn cooldown(State(state): State<AdminState>) -> Json<Status> {
    Json(state.live.status(moment()))
}

/// What older sidecars called their status.
#[utoipa::path(
    get, path = "/status",
    responses((status = 200, description = "The live state.", body = shape::Status)),
)]
pub(crate) async fn status(state: State<AdminState>) -> Json<Status> {
    cooldown(state).await
}

/// Everything that is counted, in one answer: what the older sidecars called their internal statistics.
#[utoipa::path(
    get, path = "/internal/stats",
    responses((status = 200, description = "All counters.", body = Counters)),
)]
pub(crate) async fn internal(State(state): State<AdminState>) -> Result<Json<Counters>, Refusal> {
    let totals = state.ledger.totals(Range::ALL).await?;
    let standing = state.publisher.standing();
    Ok(Json(Counters {
        live: state.live.status(moment()),
        totals,
        version: standing.version,
        last_problem: standing.last_problem,
    }))
}

async fn series(
    state: &AdminState,
    (wanted, asked): (Wanted, RowsWanted),
    (grain, default_ms): (Grain, i64),
) -> Result<Json<Series>, Refusal> {
    let limit = page::limit(asked.limit, ROWS)?;
    let now = state.publisher.now();
    let default = Range { from: Timestamp(now.0.saturating_sub(default_ms)), to: Timestamp(i64::MAX) };
    let range = span_or(wanted.from.as_deref(), wanted.to.as_deref(), default)?;
    let ends = range.to.0.min(now.0.saturating_add(grain.bucket_ms()));
    if ends.saturating_sub(range.from.0) / grain.bucket_ms() > BUCKETS_MAX {
        return Err(Refusal::field("from", format!("is more than {BUCKETS_MAX} rows back; ask in parts")));
    }
    let mut groups = None;
    let rows = match (dimension(wanted.by.as_deref())?, asked.top) {
        (Some(by), Some(top)) if (1..=TOP_MAX).contains(&top) => {
            let TopSeries { rows, groups: mut all } = state.ledger.top_series(grain, by, range, top).await?;
            all.truncate(GROUPS_MAX);
            groups = Some(all);
            rows
        }
        (Some(_), Some(_)) => return Err(Refusal::query("top", &format!("is from 1 to {TOP_MAX}"))),
        (None, Some(_)) => return Err(Refusal::field("top", "needs `by`")),
        (Some(by), None) => state.ledger.series(grain, by, range).await?,
        (None, None) => match grain {
            Grain::Hour => state.ledger.hourly(range).await?,
            Grain::Day => state.ledger.daily(range).await?,
        },
    };
    let paging = Paging { limit: None, cursor: asked.cursor };
    let Page { items: rows, next } = paging.cut_at(limit, rows, place)?;
    Ok(Json(Series { rows, groups, next }))
}

/// Where a row stands: by time, then by name; none goes before one that is empty.
fn place(row: &UsageRow) -> String {
    let name = row.group.as_ref().map(|name| format!("={name}")).unwrap_or_default();
    format!("{:015} {name}", row.bucket.map_or(0, |at| at.0))
}

fn dimension(by: Option<&str>) -> Result<Option<Dimension>, Refusal> {
    let Some(by) = by else { return Ok(None) };
    // In characters, as the pattern counts them: no tag is kept whose name is longer.
    let tag = by.strip_prefix("tag:").filter(|tag| (1..=TAG_BYTES_MAX).contains(&tag.chars().count()));
    Ok(Some(match (by, tag) {
        ("backend", _) => Dimension::Backend,
        ("model", _) => Dimension::Model,
        ("key", _) => Dimension::Key,
        ("team", _) => Dimension::Team,
        (_, Some(tag)) => Dimension::Tag(tag.to_owned()),
        (_, None) => return Err(Refusal::query("by", "is one of backend, model, key, team, tag:NAME")),
    }))
}
