//! Shows what happened lately to backends, queues and budgets; it keeps nothing itself: the data plane remembers the last
//! 256 events, and forgets them when the process ends.

use axum::Json;
use axum::extract::State;
use policy::{Event, EventKind, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::Asked;
use super::page::{Paging, numbered};
use super::refusal::Refusal;
use super::role::Role;
use super::shape;
use super::span::bounded;
use crate::publish::moment;

/// Which events.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// How many at most; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// Only those of one kind, as in `cooldown_started`.
    #[param(value_type = Option<shape::EventKind>, inline)]
    kind: Option<EventKind>,
    /// Only those of one backend, by name.
    #[param(min_length = 1, max_length = 256)]
    backend: Option<String>,
}

/// Something an operator may want to know.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
struct EventView {
    /// Grows with each event; begins again with the process.
    number: u64,
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// What, in a word.
    #[schema(value_type = shape::EventKind)]
    kind: EventKind,
    /// To which backend.
    backend: Option<String>,
    /// In words.
    text: String,
    /// How often in a row.
    times: u64,
}

/// A page of events, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct EventList {
    events: Vec<EventView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(list)))
}

/// Lists recent events, newest first: cooldowns, breakers, retreats, budgets, refusals.
#[utoipa::path(
    get, path = "/api/admin/events",
    params(Wanted),
    responses((status = 200, description = "A page of events.", body = EventList)),
)]
async fn list(
    State(state): State<AdminState>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<EventList>, Refusal> {
    let limit = Paging { limit: wanted.limit, cursor: None }.limit()?;
    let before = wanted.cursor.as_deref().map(numbered).transpose()?;
    let backend = bounded("backend", wanted.backend.as_deref())?;
    let now = state.publisher.now();
    let mut events = state.live.status(moment()).events;
    events.retain(|event| {
        before.is_none_or(|before| event.number < before)
            && wanted.kind.is_none_or(|kind| event.kind == kind)
            && backend.as_deref().is_none_or(|name| event.backend.as_deref() == Some(name))
    });
    let more = events.len() > limit;
    let page: Vec<EventView> =
        events.into_iter().rev().take(limit).map(|event| EventView::of(event, now)).collect();
    let next = page.last().filter(|_| more).map(|event| event.number.to_string());
    Ok(Json(EventList { events: page, next }))
}

impl EventView {
    fn of(event: Event, now: Timestamp) -> Self {
        let age = i64::try_from(event.age_ms).unwrap_or(i64::MAX);
        Self {
            number: event.number,
            at: Timestamp(now.0.saturating_sub(age)),
            kind: event.kind,
            backend: event.backend.map(|name| name.to_string()),
            text: event.text.into(),
            times: event.times,
        }
    }
}
