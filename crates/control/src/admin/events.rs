//! Shows what happened to backends, queues and budgets, in this process and in earlier ones; it keeps nothing itself.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use policy::{Event, EventFields, EventKind, Timestamp};
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::events::{EventFilter, StoredEvent};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::Asked;
use super::page::{self, numbered};
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
    limit: Option<u32>,
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
    /// Grows with each event.
    number: u64,
    /// Its number when it happened first: what repeats itself is told once, with a new number.
    first: u64,
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// What, in a word.
    #[schema(value_type = shape::EventKind)]
    kind: EventKind,
    /// To which backend.
    backend: Option<String>,
    /// Its particulars, exact and in no language; which there are goes by its kind.
    #[schema(value_type = shape::EventFields)]
    fields: EventFields,
    /// Kind and fields in English words, money rounded.
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

/// Lists events, newest first: cooldowns, breakers, retreats, budgets, refusals. Ten thousand are kept, for 90 days.
#[utoipa::path(
    get, path = "/api/admin/events",
    params(Wanted),
    responses((status = 200, description = "A page of events.", body = EventList)),
)]
async fn list(
    State(state): State<AdminState>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<EventList>, Refusal> {
    let limit = page::limit(wanted.limit, page::PAGE)? as usize;
    let filter = EventFilter {
        before: wanted.cursor.as_deref().map(numbered).transpose()?,
        kind: wanted.kind,
        backend: bounded("backend", wanted.backend.as_deref())?,
    };
    let remembered = remembered(&state);
    let stored = match state.records.events.find(filter.clone(), room(limit, remembered.len())).await {
        Ok(stored) => stored,
        // What this process remembers is told without a database, too.
        Err(StoreError::Unavailable(_) | StoreError::Corrupt(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut events = joined(remembered, stored);
    events.retain(|event| filter.wants(event.number, event.kind, event.backend.as_deref()));
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|event| event.number.to_string());
    Ok(Json(EventList { events: events.into_iter().map(EventView::from).collect(), next }))
}

/// One more than a page, also where all that is remembered stands for something that is stored.
fn room(limit: usize, remembered: usize) -> u32 {
    u32::try_from(limit.saturating_add(remembered).saturating_add(1)).unwrap_or(u32::MAX)
}

/// What this process remembers; the newest of it is not stored yet.
fn remembered(state: &AdminState) -> Vec<StoredEvent> {
    let now = state.publisher.now();
    state.live.events_after(0, moment()).into_iter().map(|event| at_time(event, now)).collect()
}

/// An event with the moment at which it happened.
pub(crate) fn at_time(event: Event, now: Timestamp) -> StoredEvent {
    let Event { number, first, age_ms, kind, backend, fields, text, times } = event;
    let at = Timestamp(now.0.saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX)));
    StoredEvent { number, first, at, kind, backend, fields, text, times }
}

/// Both, the newest first, each event once: what is remembered of it is newer than what is stored.
fn joined(remembered: Vec<StoredEvent>, stored: Vec<StoredEvent>) -> Vec<StoredEvent> {
    let known: BTreeSet<u64> = remembered.iter().map(|event| event.first).collect();
    let mut events = remembered;
    events.extend(stored.into_iter().filter(|event| !known.contains(&event.first)));
    events.sort_by_key(|event| std::cmp::Reverse(event.number));
    events
}

impl From<StoredEvent> for EventView {
    fn from(event: StoredEvent) -> Self {
        let StoredEvent { number, first, at, kind, backend, fields, text, times } = event;
        let backend = backend.map(|name| name.to_string());
        Self { number, first, at, kind, backend, fields, text: text.into(), times }
    }
}
