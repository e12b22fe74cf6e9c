//! Reads the records of an export page by page, each with its cursor in front; it never writes them.

use policy::Receipt;
use serde::Serialize;
use serde_json::Value;
use store::StoreError;
use store::audit::{AuditEntry, AuditFilter, AuditLog};
use store::ledger::{Cursor, Grain, Ledger, Range, UsageLine, UsagePlace};
use store::search::RequestFilter;

use super::super::page::bad_cursor;
use super::super::refusal::Refusal;

/// Records that are in memory at once.
const PAGE: u32 = 500;

/// Where the records come from, and where the next page begins.
pub(super) enum Rows {
    Requests { ledger: Ledger, filter: RequestFilter, after: Option<Cursor> },
    Usage { ledger: Ledger, grain: Grain, range: Range, after: Option<UsagePlace> },
    Audit { log: AuditLog, filter: AuditFilter, before: Option<u64> },
}

/// Some records. A page may be empty and not the last.
pub(super) struct Page {
    pub(super) records: Vec<Value>,
    pub(super) is_last: bool,
}

/// One record, with what resumes behind it.
#[derive(Serialize)]
struct Record<T> {
    cursor: String,
    #[serde(flatten)]
    record: T,
}

fn record(cursor: String, record: impl Serialize) -> Value {
    serde_json::to_value(Record { cursor, record }).expect("records are plain JSON")
}

impl Rows {
    /// The columns of a table of these, each by its path in a record.
    pub(super) fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::Requests { .. } => REQUESTS,
            Self::Usage { .. } => USAGE,
            Self::Audit { .. } => AUDIT,
        }
    }

    /// The next page.
    pub(super) async fn page(&mut self) -> Result<Page, StoreError> {
        match self {
            Self::Requests { ledger, filter, after } => {
                let found = ledger.search(filter.clone(), *after, PAGE).await?;
                *after = found.next;
                let told = |receipt: &Receipt| record(receipt.ticket.to_string(), receipt);
                Ok(Page { records: found.receipts.iter().map(told).collect(), is_last: after.is_none() })
            }
            Self::Usage { ledger, grain, range, after } => {
                let lines = ledger.lines(*grain, *range, after.clone(), PAGE).await?;
                let is_last = lines.len() < PAGE as usize;
                *after = lines.last().map(|line| line.place.clone());
                let told = |line: &UsageLine| record(cursor_of(&line.place), line);
                Ok(Page { records: lines.iter().map(told).collect(), is_last })
            }
            Self::Audit { log, filter, before } => {
                let entries = log.list(filter.clone(), *before, PAGE).await?;
                let is_last = entries.len() < PAGE as usize;
                *before = entries.last().map(|entry| entry.number);
                let told = |entry: &AuditEntry| record(entry.number.to_string(), entry);
                Ok(Page { records: entries.iter().map(told).collect(), is_last })
            }
        }
    }
}

/// A place has names in it that may hold anything.
fn cursor_of(place: &UsagePlace) -> String {
    hex::encode(serde_json::to_vec(place).expect("a place is plain JSON"))
}

pub(super) fn place_of(cursor: &str) -> Result<UsagePlace, Refusal> {
    let place = hex::decode(cursor).ok().and_then(|text| serde_json::from_slice(&text).ok());
    place.ok_or_else(bad_cursor)
}

const REQUESTS: &[&str] = &[
    "cursor",
    "request_id",
    "at",
    "key",
    "team",
    "tags",
    "client_addr",
    "model_asked",
    "model_served",
    "backend",
    "pool",
    "dialect_in",
    "dialect_out",
    "stream",
    "status",
    "outcome",
    "error_code",
    "attempts",
    "queue_ms",
    "first_event_ms",
    "total_ms",
    "bytes_in",
    "bytes_out",
    "usage.input",
    "usage.cached_input",
    "usage.cache_write",
    "usage.cache_write_1h",
    "usage.output",
    "usage.reasoning",
    "usage.audio_input",
    "usage.audio_output",
    "usage.images",
    "usage_source",
    "cost",
    "unpriced",
    "price_version",
    "keepalive_committed",
    "ticket",
];

const USAGE: &[&str] = &[
    "cursor",
    "bucket",
    "backend",
    "model",
    "key",
    "team",
    "requests",
    "completed",
    "failed",
    "cancelled",
    "interrupted",
    "queue_ms",
    "total_ms",
    "first_event_ms",
    "first_events",
    "bytes_in",
    "bytes_out",
    "attempts",
    "attempts_failed",
    "usage.input",
    "usage.cached_input",
    "usage.cache_write",
    "usage.cache_write_1h",
    "usage.output",
    "usage.reasoning",
    "usage.audio_input",
    "usage.audio_output",
    "usage.images",
    "cost",
    "unpriced",
];

const AUDIT: &[&str] = &[
    "cursor", "number", "at", "actor", "via", "address", "action", "kind", "subject", "before", "after",
    "hash",
];
