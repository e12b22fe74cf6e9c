//! What can be asked of the request log; it never decides how requests are found.

use std::ops::RangeInclusive;

use policy::{Receipt, RequestOutcome, Timestamp};

use crate::ledger::{Cursor, Range};

/// Which requests are wanted; what is left out is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFilter {
    /// When they came.
    pub range: Range,
    /// The id of the caller's key.
    pub key: Option<String>,
    /// The key's team.
    pub team: Option<String>,
    /// The canonical model that answered, or the one that was asked for when none did.
    pub model: Option<String>,
    /// The backend that answered.
    pub backend: Option<String>,
    /// The status that the client was given.
    pub status: Option<RangeInclusive<u16>>,
    /// How they ended.
    pub outcome: Option<RequestOutcome>,
    /// A tag and its value.
    pub tag: Option<(String, String)>,
    /// A whole request id, or a part of one.
    pub text: Option<String>,
}

impl Default for RequestFilter {
    fn default() -> Self {
        Self {
            range: Range::ALL,
            key: None,
            team: None,
            model: None,
            backend: None,
            status: None,
            outcome: None,
            tag: None,
            text: None,
        }
    }
}

/// One look into the request log. It is bounded: a look that finds little among much ends early and says where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRequests {
    /// What was found, newest first.
    pub receipts: Vec<Receipt>,
    /// Where to look on; none when there is nothing further.
    pub next: Option<Cursor>,
    /// How far back this look went.
    pub looked_back_to: Timestamp,
}
