//! Shows what requests used and cost, and how backends stand; it never computes a cost.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use policy::{Status, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::ledger::{Dimension, Grain, Range, UsageRow, UsageSums};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::Asked;
use super::refusal::Refusal;
use super::role::Role;
use crate::publish::moment;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Without a range, hourly shows two days and daily two months.
const HOURLY_MS: i64 = 2 * DAY_MS;
const DAILY_MS: i64 = 62 * DAY_MS;
/// Buckets that one answer may span; a longer range is asked for in parts.
const BUCKETS_MAX: i64 = 10_000;

/// What is asked for: a range in milliseconds since the epoch or RFC 3339, and a dimension.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    from: Option<String>,
    to: Option<String>,
    by: Option<String>,
}

/// Sums of a range, and their parts by a dimension where one was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageTotal)]
pub(crate) struct Total {
    #[schema(value_type = Object)]
    total: UsageSums,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    groups: Option<Vec<UsageRow>>,
}

/// Rows by time, and by a dimension where one was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageSeries)]
pub(crate) struct Series {
    #[schema(value_type = Vec<Object>)]
    rows: Vec<UsageRow>,
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
    let range = range(&wanted, Range::ALL)?;
    let groups = match dimension(&wanted)? {
        Some(by) => Some(state.ledger.grouped(Grain::Day, by, range).await?),
        None => None,
    };
    Ok(Json(Total { total: state.ledger.totals(range).await?, groups }))
}

/// Sums by the hour; without a range, of the last two days.
#[utoipa::path(
    get, path = "/api/admin/stats/hourly",
    params(Wanted),
    responses(
        (status = 200, description = "One row for each hour with any use, oldest first.", body = Series),
    ),
)]
pub(crate) async fn hourly(
    State(state): State<AdminState>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Series>, Refusal> {
    series(&state, &wanted, (Grain::Hour, HOUR_MS, HOURLY_MS)).await
}

/// Sums by the day (UTC); without a range, of the last two months.
#[utoipa::path(
    get, path = "/api/admin/stats/daily",
    params(Wanted),
    responses(
        (status = 200, description = "One row for each day with any use, oldest first.", body = Series),
    ),
)]
pub(crate) async fn daily(
    State(state): State<AdminState>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Series>, Refusal> {
    series(&state, &wanted, (Grain::Day, DAY_MS, DAILY_MS)).await
}

/// How backends stand now, and what happened lately.
#[utoipa::path(
    get, path = "/api/admin/stats/cooldown",
    responses((status = 200, description = "The live state.", body = Object)),
)]
pub(crate) async fn cooldown(State(state): State<AdminState>) -> Json<Status> {
    Json(state.live.status(moment()))
}

/// What older sidecars called their status.
#[utoipa::path(
    get, path = "/status",
    responses((status = 200, description = "The live state.", body = Object)),
)]
pub(crate) async fn status(state: State<AdminState>) -> Json<Status> {
    cooldown(state).await
}

/// Everything that is counted, in one answer: what the older sidecars called their internal statistics.
#[utoipa::path(
    get, path = "/internal/stats",
    responses((status = 200, description = "All counters.", body = Object)),
)]
pub(crate) async fn internal(State(state): State<AdminState>) -> Result<Json<Value>, Refusal> {
    let ever = Range { from: Timestamp(0), to: Timestamp(i64::MAX) };
    let totals = state.ledger.totals(ever).await?;
    let standing = state.publisher.standing();
    Ok(Json(json!({
        "live": state.live.status(moment()),
        "totals": totals,
        "version": standing.version,
        "last_problem": standing.last_problem,
    })))
}

async fn series(
    state: &AdminState,
    wanted: &Wanted,
    (grain, bucket_ms, default_ms): (Grain, i64, i64),
) -> Result<Json<Series>, Refusal> {
    let now = state.publisher.now();
    let default = Range { from: Timestamp(now.0.saturating_sub(default_ms)), to: Timestamp(i64::MAX) };
    let range = range(wanted, default)?;
    let ends = range.to.0.min(now.0.saturating_add(bucket_ms));
    if ends.saturating_sub(range.from.0) / bucket_ms > BUCKETS_MAX {
        let detail = format!("the range spans more than {BUCKETS_MAX} rows; ask for it in parts");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "range_too_long", detail));
    }
    let rows = match (dimension(wanted)?, grain) {
        (Some(by), grain) => state.ledger.series(grain, by, range).await?,
        (None, Grain::Hour) => state.ledger.hourly(range).await?,
        (None, Grain::Day) => state.ledger.daily(range).await?,
    };
    Ok(Json(Series { rows }))
}

fn range(wanted: &Wanted, default: Range) -> Result<Range, Refusal> {
    let read = |name: &str, text: &Option<String>, default: Timestamp| match text {
        None => Ok(default),
        Some(text) => timestamp(text).ok_or_else(|| {
            let detail =
                format!("`{name}` is neither a moment such as 2026-11-21T00:00:00Z nor milliseconds");
            Refusal::new(StatusCode::BAD_REQUEST, "invalid_range", detail)
        }),
    };
    let range =
        Range { from: read("from", &wanted.from, default.from)?, to: read("to", &wanted.to, default.to)? };
    if range.from > range.to {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_range", "`from` is after `to`"));
    }
    Ok(range)
}

pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(milliseconds) => (milliseconds >= 0).then_some(Timestamp(milliseconds)),
        Err(_) => text.parse::<jiff::Timestamp>().ok().map(|moment| Timestamp(moment.as_millisecond())),
    }
}

fn dimension(wanted: &Wanted) -> Result<Option<Dimension>, Refusal> {
    Ok(Some(match wanted.by.as_deref() {
        None => return Ok(None),
        Some("backend") => Dimension::Backend,
        Some("model") => Dimension::Model,
        Some("key") => Dimension::Key,
        Some("team") => Dimension::Team,
        Some(other) => match other.strip_prefix("tag:").filter(|tag| !tag.is_empty() && tag.len() <= 64) {
            Some(tag) => Dimension::Tag(tag.to_owned()),
            None => {
                let detail = "`by` is one of backend, model, key, team, tag:NAME";
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_dimension", detail));
            }
        },
    }))
}
