//! The durable record of receipts, and what can be asked of it; it never decides what a request costs.

use std::sync::Arc;

use policy::{Amount, AttemptId, AttemptOutcome, DAY_MS, HOUR_MS, Price, Receipt, RequestOutcome, Timestamp};
use protocol::{Usage, UsageSource};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::search::{FoundRequests, RequestFilter};
use crate::sqlite::{self, Database};

/// One call to one backend, as it is kept: exactly one for every attempt that may have cost something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptLine {
    /// Which attempt.
    pub attempt: AttemptId,
    /// When it began.
    pub at: Timestamp,
    /// The caller's key.
    pub key: Option<Arc<str>>,
    /// The key's team.
    pub team: Option<Arc<str>>,
    /// The caller's own tags.
    pub tags: Vec<(String, String)>,
    /// Which backend was called; empty when its open line was lost.
    pub backend: Arc<str>,
    /// Its pool.
    pub pool: Arc<str>,
    /// Its provider tag.
    pub label: Arc<str>,
    /// The canonical model.
    pub model: Arc<str>,
    /// The backend's own id for it.
    pub native: Arc<str>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The upstream's status, when it gave one.
    pub status: Option<u16>,
    /// The stable code of what went wrong.
    pub error_code: Option<Box<str>>,
    /// From the call to its first event.
    pub first_event_ms: Option<u64>,
    /// From the call to its end.
    pub total_ms: u64,
    /// What it used.
    pub usage: Usage,
    /// Who says so.
    pub usage_source: UsageSource,
    /// What it cost.
    pub cost: Amount,
    /// Whether no price was known.
    pub unpriced: bool,
    /// Which price it was charged with.
    pub price_version: Option<Arc<str>>,
}

/// Sums over requests and their attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UsageSums {
    /// Requests settled.
    pub requests: u64,
    /// Of these, answered wholly.
    pub completed: u64,
    /// Of these, ended with an error.
    pub failed: u64,
    /// Of these, left by their caller.
    pub cancelled: u64,
    /// Of these, cut off by the end of the gateway's process.
    pub interrupted: u64,
    /// Time spent in queues, all requests together.
    pub queue_ms: u64,
    /// Time from arrival to the end, all requests together.
    pub total_ms: u64,
    /// Time to the first event, all requests that had one together.
    pub first_event_ms: u64,
    /// How many requests had a first event.
    pub first_events: u64,
    /// Bodies in.
    pub bytes_in: u64,
    /// Bodies out.
    pub bytes_out: u64,
    /// Calls to backends.
    pub attempts: u64,
    /// Of these, failed.
    pub attempts_failed: u64,
    /// What all attempts used.
    pub usage: Usage,
    /// What all attempts cost.
    pub cost: Amount,
    /// Attempts without a known price; `cost` says nothing of them.
    pub unpriced: u64,
}

/// One row of a roll-up. A dimension that was not grouped by is `None`; "no key" or "no team" is an empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// The start of the hour or day; of everything when not grouped by time.
    pub bucket: Option<Timestamp>,
    /// The value of the dimension.
    pub group: Option<String>,
    /// The sums.
    pub sums: UsageSums,
}

/// What the dearest values of a dimension come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopSeries {
    /// One row for each bucket and each of them, oldest first; all others together are the rows without a value.
    pub rows: Vec<UsageRow>,
    /// The sums of every value, the dearest first.
    pub groups: Vec<UsageRow>,
}

/// Which row of a roll-up: its time, and every dimension. "None" is an empty text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePlace {
    /// The start of the hour or day.
    pub bucket: Timestamp,
    /// The backend.
    pub backend: String,
    /// The canonical model.
    pub model: String,
    /// The id of the caller's key.
    pub key: String,
    /// The key's team.
    pub team: String,
}

/// One row of a roll-up as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageLine {
    /// Which.
    #[serde(flatten)]
    pub place: UsagePlace,
    /// The sums.
    #[serde(flatten)]
    pub sums: UsageSums,
}

/// How fine a roll-up is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// By the hour.
    Hour,
    /// By the day, UTC.
    Day,
}

impl Grain {
    /// How long a bucket is.
    #[must_use]
    pub fn bucket_ms(self) -> i64 {
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
        }
    }

    /// When the bucket begins that a moment lies in.
    #[must_use]
    pub fn begins(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Hour => at.hour_begins(),
            Self::Day => at.day_begins(),
        }
    }
}

/// By what sums are split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// The backend.
    Backend,
    /// The canonical model.
    Model,
    /// The caller's key.
    Key,
    /// The key's team.
    Team,
    /// The values of one tag.
    Tag(String),
}

/// From (inclusive) and to (exclusive). Roll-ups count whole buckets that begin inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after.
    pub to: Timestamp,
}

impl Range {
    /// Everything there is.
    pub const ALL: Self = Self { from: Timestamp(0), to: Timestamp(i64::MAX) };
}

/// One request with all its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptDetail {
    /// The receipt.
    pub receipt: Receipt,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptLine>,
    /// Why it went where it went, as JSON; of most requests nothing is kept.
    pub reasons: Option<String>,
}

/// A price as attempts name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPrice {
    /// `label/native` where its version is that of a whole table; empty where its version says all of it.
    pub name: String,
    /// What it is.
    pub price: Arc<Price>,
}

/// By what the price of an attempt is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) version: Arc<str>,
    pub(crate) name: String,
    pub(crate) at: Timestamp,
}

impl Charge {
    fn of(line: &AttemptLine) -> Option<Self> {
        let version = Arc::clone(line.price_version.as_ref()?);
        Some(Self { version, name: format!("{}/{}", line.label, line.native), at: line.at })
    }
}

/// What a live view wants to know of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glimpse {
    /// When its request came.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// From its arrival to its first event.
    pub first_event_ms: Option<u64>,
    /// From its arrival to its end.
    pub total_ms: u64,
    /// Tokens in, of every kind.
    pub tokens_in: u64,
    /// Tokens out.
    pub tokens_out: u64,
}

/// Where a page of receipts ended; pass it back for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub policy::TicketId);

/// Whether the roll-ups agree with the lines they were made from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Receipts looked at.
    pub receipts: u64,
    /// Attempts looked at.
    pub attempts: u64,
    /// Roll-up rows that differ from their lines, or lack lines, or are lacking.
    pub differences: u64,
}

/// Asks the ledger. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    database: Arc<Database>,
}

impl Ledger {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// The sums of a range of days.
    pub async fn totals(&self, range: Range) -> Result<UsageSums, StoreError> {
        self.database.read(move |c| sqlite::usage::totals(c, range)).await
    }

    /// One row for each hour with any use, oldest first.
    pub async fn hourly(&self, range: Range) -> Result<Vec<UsageRow>, StoreError> {
        self.database.read(move |c| sqlite::usage::by_time(c, Grain::Hour, range)).await
    }

    /// One row for each day with any use, oldest first.
    pub async fn daily(&self, range: Range) -> Result<Vec<UsageRow>, StoreError> {
        self.database.read(move |c| sqlite::usage::by_time(c, Grain::Day, range)).await
    }

    /// One row for each value of a dimension, the dearest first.
    pub async fn grouped(
        &self,
        grain: Grain,
        by: Dimension,
        range: Range,
    ) -> Result<Vec<UsageRow>, StoreError> {
        self.database.read(move |c| sqlite::usage::grouped(c, grain, &by, range)).await
    }

    /// One row for each bucket and value of a dimension, oldest first.
    pub async fn series(
        &self,
        grain: Grain,
        by: Dimension,
        range: Range,
    ) -> Result<Vec<UsageRow>, StoreError> {
        self.database.read(move |c| sqlite::usage::series(c, grain, &by, range)).await
    }

    /// The same for the `count` dearest values in the range, and the sums of each value.
    pub async fn top_series(
        &self,
        grain: Grain,
        by: Dimension,
        range: Range,
        count: u8,
    ) -> Result<TopSeries, StoreError> {
        self.database.read(move |c| sqlite::usage::top_series(c, grain, &by, (range, count))).await
    }

    /// The newest request of that id, with its attempts.
    pub async fn receipt(&self, request_id: &str) -> Result<Option<ReceiptDetail>, StoreError> {
        let request_id = request_id.to_owned();
        self.database.read(move |c| sqlite::ledger::detail(c, &request_id)).await
    }

    /// Remembers prices that are in force from now on, so that [`Self::charged`] knows them when they are no more.
    pub async fn remember_prices(&self, prices: Vec<NamedPrice>, now: Timestamp) -> Result<(), StoreError> {
        self.database.write(move |c| sqlite::prices::remember(c, &prices, now)).await
    }

    /// The price that each attempt was charged with, where it is remembered.
    pub async fn charged(&self, attempts: &[AttemptLine]) -> Result<Vec<Option<Price>>, StoreError> {
        let charges: Vec<Option<Charge>> = attempts.iter().map(Charge::of).collect();
        self.database.read(move |c| sqlite::prices::charged(c, &charges)).await
    }

    /// Receipts, newest first, after `cursor`; at most 1,000.
    pub async fn recent(&self, after: Option<Cursor>, limit: u32) -> Result<Vec<Receipt>, StoreError> {
        self.database.read(move |c| sqlite::ledger::recent(c, after, limit.min(1000))).await
    }

    /// What a live view wants to know of the newest receipts, newest first; a fifth of the work of reading them whole.
    pub async fn glimpses(&self, limit: u32) -> Result<Vec<Glimpse>, StoreError> {
        self.database.read(move |c| sqlite::ledger::glimpses(c, limit.min(1000))).await
    }

    /// Receipts whose tickets were made in `range`, newest first, after `cursor`; at most 1,000.
    pub async fn between(
        &self,
        range: Range,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.database.read(move |c| sqlite::ledger::between(c, range, after, limit.min(1000))).await
    }

    /// Rows of a roll-up by every dimension at once, in their order, after `after`; at most 1,000.
    pub async fn lines(
        &self,
        grain: Grain,
        range: Range,
        after: Option<UsagePlace>,
        limit: u32,
    ) -> Result<Vec<UsageLine>, StoreError> {
        self.database.read(move |c| sqlite::usage::lines(c, (grain, range), after, limit.min(1000))).await
    }

    /// When the oldest request that is kept was made.
    pub async fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        self.database.read(|c| sqlite::ledger::oldest(c)).await
    }

    /// Looks for requests, newest first, after `cursor`; at most 1,000. One look is bounded: it may find fewer than
    /// there are and say where to look on.
    pub async fn search(
        &self,
        filter: RequestFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<FoundRequests, StoreError> {
        let limit = limit.min(1000);
        self.database.read(move |c| sqlite::search::find(c, &filter, after, limit)).await
    }

    /// Adds up all lines again and compares with the roll-ups, for as far back as there are lines. Reads everything.
    pub async fn verify(&self) -> Result<Verdict, StoreError> {
        self.database.read(sqlite::verify::verify).await
    }
}
