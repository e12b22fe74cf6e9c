//! Decides what is remembered of a request and its attempts; never computes, stores or sends any of it.

pub mod reasons;
mod ticket_id;

use std::borrow::Cow;
use std::sync::Arc;

use protocol::{Dialect, Usage, UsageSource};
use serde::{Deserialize, Serialize};

use crate::money::{Amount, Price};
use crate::timestamp::Timestamp;

pub use ticket_id::{AttemptId, NotAnId, TicketId};

/// An attempt began: written before any byte of its answer goes out, with all that is needed to charge
/// for it should nothing more ever be heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Which attempt.
    pub attempt: AttemptId,
    /// The client's or the gateway's name for the request.
    pub request_id: Arc<str>,
    /// The id of the caller's key; none on an open gateway.
    pub key: Option<Arc<str>>,
    /// The key's team.
    pub team: Option<Arc<str>>,
    /// The caller's own tags.
    pub tags: Vec<(String, String)>,
    /// Which backend was called.
    pub backend: Arc<str>,
    /// Its pool.
    pub pool: Arc<str>,
    /// Its provider tag.
    pub label: Arc<str>,
    /// The model as the client wrote it.
    pub model_asked: Arc<str>,
    /// The canonical model.
    pub model: Arc<str>,
    /// The backend's own id for it.
    pub native: Arc<str>,
    /// What the client speaks.
    pub dialect_in: Dialect,
    /// What the backend speaks.
    pub dialect_out: Dialect,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// When.
    pub at: Timestamp,
    /// What it may use, as estimated beforehand.
    pub estimate: Usage,
    /// What it is charged with; none when the model has no price.
    pub price: Option<Arc<Price>>,
}

/// What was metered so far on a long stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which attempt.
    pub attempt: AttemptId,
    /// When.
    pub at: Timestamp,
    /// All of it, not the increase.
    pub usage: Usage,
}

/// An attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which attempt.
    pub attempt: AttemptId,
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: AttemptOutcome,
    /// The upstream's status, when it gave one.
    pub status: Option<u16>,
    /// The stable code of what went wrong.
    pub error_code: Option<Cow<'static, str>>,
    /// What it used.
    pub usage: Usage,
    /// Who says so.
    pub usage_source: UsageSource,
    /// What it cost.
    pub cost: Amount,
    /// Whether `cost` says nothing because no price was known.
    pub unpriced: bool,
    /// From the call to its first event.
    pub first_event_ms: Option<u64>,
    /// From the call to its end.
    pub total_ms: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// With a whole answer.
    Succeeded,
    /// With none, or a broken one.
    Failed,
    /// The caller left.
    Cancelled,
    /// The gateway died first.
    Interrupted,
}

impl AttemptOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Cancelled, Self::Interrupted];

    /// The name in the ledger and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// With a whole answer.
    Completed,
    /// With an error.
    Failed,
    /// The caller left.
    Cancelled,
    /// The gateway died first.
    Interrupted,
}

impl RequestOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Completed, Self::Failed, Self::Cancelled, Self::Interrupted];

    /// The name in the ledger, in metrics and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A backend minted an id that it alone understands: a stored response, a file, a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The id.
    pub id: Arc<str>,
    /// The backend's name.
    pub backend: Arc<str>,
    /// When it was last seen.
    pub at: Timestamp,
}

/// Why a request went where it went, as text of [`reasons::Reasons`]. Of few requests, and written before the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoned {
    /// Whose.
    pub ticket: TicketId,
    /// JSON.
    pub text: Box<str>,
}

/// Everything that happened to one request. Made exactly once per ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whose.
    pub ticket: TicketId,
    /// The client's or the gateway's name for the request.
    pub request_id: Arc<str>,
    /// The id of the caller's key; none on an open gateway.
    pub key: Option<Arc<str>>,
    /// The key's team.
    pub team: Option<Arc<str>>,
    /// The caller's own tags.
    pub tags: Vec<(String, String)>,
    /// Where the caller was, when that is recorded.
    pub client_addr: Option<String>,
    /// The model as the client wrote it.
    pub model_asked: Arc<str>,
    /// The canonical model that answered; where none did, the one that was meant.
    pub model_served: Option<Arc<str>>,
    /// The backend that answered, or was tried last.
    pub backend: Option<Arc<str>>,
    /// Its pool.
    pub pool: Option<Arc<str>>,
    /// What the client speaks.
    pub dialect_in: Dialect,
    /// What the backend speaks.
    pub dialect_out: Option<Dialect>,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// The status the client got.
    pub status: u16,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// The stable code of what went wrong.
    pub error_code: Option<Cow<'static, str>>,
    /// How many calls were made.
    pub attempts: u8,
    /// When it arrived.
    pub at: Timestamp,
    /// How long it waited in queues.
    pub queue_ms: u64,
    /// From arrival to the first event to the client.
    pub first_event_ms: Option<u64>,
    /// From arrival to the end.
    pub total_ms: u64,
    /// The body in.
    pub bytes_in: u64,
    /// The body out.
    pub bytes_out: u64,
    /// What all attempts used together.
    pub usage: Usage,
    /// Who says so.
    pub usage_source: UsageSource,
    /// What all attempts cost together.
    pub cost: Amount,
    /// Whether some of it had no price.
    pub unpriced: bool,
    /// Which price was used last.
    pub price_version: Option<Arc<str>>,
    /// Whether a keepalive had committed the status before the outcome was known.
    pub keepalive_committed: bool,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "an entry is written where it is made, never kept in numbers")]
pub enum Entry {
    /// An attempt began.
    Opened(Opened),
    /// A long stream went on.
    Progress(Progress),
    /// An attempt ended and another will follow.
    Closed(Closed),
    /// The request is over: the last attempt's end and the receipt, in one line.
    Settled {
        /// The attempt that ended with the request; none when none was made.
        last: Option<Closed>,
        /// The receipt.
        receipt: Receipt,
    },
    /// A backend minted an id.
    Bound(Bound),
    /// Why a request went where it went.
    Reasoned(Reasoned),
}
