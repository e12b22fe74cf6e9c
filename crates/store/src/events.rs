//! Remembers what happened to backends, queues and budgets over restarts, up to a number and an age; it never decides what is
//! worth remembering.

use std::sync::Arc;

use policy::{EventFields, EventKind, Timestamp};

use crate::error::StoreError;
use crate::sqlite::{self, Database};

/// The most events kept; the oldest are forgotten first.
pub const EVENTS_MAX: u32 = 10_000;

/// An event so much older than the newest is forgotten, in milliseconds.
pub(crate) const AGE_MS_MAX: i64 = 90 * 24 * 3_600_000;

/// One event, or several equal ones in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Grows with each event, from process to process.
    pub number: u64,
    /// Its number when it happened first.
    pub first: u64,
    /// When it happened last.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// To which backend, by name.
    pub backend: Option<Arc<str>>,
    /// Its particulars; none for what an earlier release wrote down.
    pub fields: EventFields,
    /// In words.
    pub text: Box<str>,
    /// How often in a row.
    pub times: u64,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those before this number.
    pub before: Option<u64>,
    /// Only those of this kind.
    pub kind: Option<EventKind>,
    /// Only those of this backend.
    pub backend: Option<String>,
}

impl EventFilter {
    /// Whether it asks for an event.
    #[must_use]
    pub fn wants(&self, number: u64, kind: EventKind, backend: Option<&str>) -> bool {
        self.before.is_none_or(|before| number < before)
            && self.kind.is_none_or(|wanted| wanted == kind)
            && self.backend.as_deref().is_none_or(|wanted| Some(wanted) == backend)
    }
}

/// The events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventLog {
    database: Arc<Database>,
}

impl EventLog {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Remembers events; those that are known already are as they are told now.
    pub async fn keep(&self, events: Vec<StoredEvent>) -> Result<(), StoreError> {
        self.database.write(move |connection| sqlite::events::keep(connection, &events)).await
    }

    /// Events, the newest first; at most `limit`.
    pub async fn find(&self, filter: EventFilter, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.database.read(move |connection| sqlite::events::find(connection, &filter, limit)).await
    }

    /// The newest event's number; 0 when there is none.
    pub async fn last(&self) -> Result<u64, StoreError> {
        self.database.read(|connection| sqlite::events::last(connection)).await
    }
}
