//! Captured requests: an index in the database and one sealed file for each. It never decides which requests are captured,
//! never shows a file that was altered, and never makes anybody wait who hands one over.

mod files;
mod recorder;
mod room;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use policy::{TicketId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::ledger::{Cursor, Range};
use crate::sqlite::{self, Database};
use crate::vault::Vault;
pub(crate) use files::Folder;
pub use recorder::Recorder;
pub use room::CaptureRoom;

/// Rows that one transaction removes.
const REMOVED_AT_ONCE: u32 = 500;
/// The longest page.
const PAGE_MAX: u32 = 500;

/// How a captured answer ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureEnd {
    /// It was given whole.
    Whole,
    /// The upstream broke off, and so did the answer.
    Broken,
    /// The client left before its end.
    Left,
}

impl CaptureEnd {
    pub(crate) const ALL: [Self; 3] = [Self::Whole, Self::Broken, Self::Left];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Broken => "broken",
            Self::Left => "left",
        }
    }
}

/// What the index says of a captured request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureHead {
    /// Its ticket, under which nothing else was ever captured.
    pub id: TicketId,
    /// The `x-request-id` of its answer.
    pub request_id: Arc<str>,
    /// When it came.
    pub at: Timestamp,
    /// The id of the caller's key.
    pub key: Option<Arc<str>>,
    /// The model that it asked for.
    pub model: Option<Arc<str>>,
    /// The backend that it was last sent to.
    pub backend: Option<Arc<str>>,
    /// The status that the client was given.
    pub status: u16,
    /// How the answer ended.
    pub ended: CaptureEnd,
    /// How long the request's body was.
    pub request_bytes: u64,
    /// How much of the answer's body was given.
    pub response_bytes: u64,
    /// Whether less of the request's body is kept than there was.
    pub request_cut: bool,
    /// Whether less of the answer's body is kept than was given.
    pub response_cut: bool,
}

/// What was said: users' content, never a credential that came in a header.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CaptureContent {
    /// The request's method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub request_headers: Vec<(String, String)>,
    /// Its body, as far as it is kept.
    pub request_body: Bytes,
    /// What was tried for it.
    pub attempts: Vec<CapturedAttempt>,
    /// The headers of the answer, as the client was given them.
    pub response_headers: Vec<(String, String)>,
    /// Its body, as far as it is kept.
    pub response_body: Bytes,
}

/// What one backend said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedAttempt {
    /// Which backend.
    pub backend: String,
    /// Its status, where it answered.
    pub status: Option<u16>,
    /// Its headers, where it answered.
    pub headers: Vec<(String, String)>,
    /// What kept it from answering.
    pub error: Option<String>,
}

/// One captured request.
#[derive(Clone, PartialEq, Eq)]
pub struct Capture {
    /// What the index says of it.
    pub head: CaptureHead,
    /// What was said.
    pub content: CaptureContent,
}

impl std::fmt::Debug for CaptureContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CaptureContent({} and {} bytes)", self.request_body.len(), self.response_body.len())
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capture({})", self.head.id)
    }
}

/// Which captures are wanted; what is left out is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureFilter {
    /// When they came.
    pub range: Range,
    /// The one of this ticket.
    pub id: Option<TicketId>,
    /// The id of the caller's key.
    pub key: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// The backend that answered.
    pub backend: Option<String>,
    /// The status that the client was given.
    pub status: Option<RangeInclusive<u16>>,
    /// The whole request id.
    pub request_id: Option<String>,
}

impl Default for CaptureFilter {
    fn default() -> Self {
        Self {
            range: Range::ALL,
            id: None,
            key: None,
            model: None,
            backend: None,
            status: None,
            request_id: None,
        }
    }
}

/// How long captures are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureRetention {
    /// Older ones go.
    pub age_max: Duration,
    /// Of what takes more, the oldest go.
    pub bytes_max: u64,
}

/// What all captures come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureSums {
    /// How many there are.
    pub captures: u64,
    /// What their files take.
    pub file_bytes: u64,
    /// How many were lost since the start, for want of room in memory or on the disk.
    pub lost: u64,
}

/// What those who hand captures over and those who look at them share.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Bytes in memory, of captures that are being made or wait for the disk.
    held: AtomicUsize,
    lost: AtomicU64,
}

impl Counted {
    fn lose(&self, captures: usize) {
        self.lost.fetch_add(captures as u64, Ordering::Relaxed);
    }
}

/// What was captured: found, opened, deleted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Captures {
    database: Arc<Database>,
    vault: Vault,
    folder: Folder,
    counted: Arc<Counted>,
}

impl Captures {
    pub(crate) fn new(database: Arc<Database>, vault: &Vault, folder: Folder) -> Self {
        Self { database, vault: vault.clone(), folder, counted: Arc::default() }
    }

    /// Starts the thread that writes.
    pub(crate) fn record(&self) -> Result<Recorder, StoreError> {
        let key = self.vault.capture_key()?;
        let Self { database, folder, counted, .. } = self.clone();
        Recorder::start(recorder::Writer { database, folder, counted, key })
    }

    /// One page, newest first.
    pub async fn find(
        &self,
        filter: CaptureFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<CaptureHead>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        self.database.read(move |c| sqlite::captures::find(c, &filter, after, limit)).await
    }

    /// One, with what was said; none where it is gone.
    pub async fn open(&self, id: TicketId) -> Result<Option<Capture>, StoreError> {
        let filter = CaptureFilter { id: Some(id), ..CaptureFilter::default() };
        let Some(head) = self.find(filter, None, 1).await?.pop() else { return Ok(None) };
        let (vault, folder) = (self.vault.clone(), self.folder.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let key = vault.capture_key()?;
            folder.read(id, &key)
        });
        let content = opened.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))?;
        Ok(content.map(|content| Capture { head, content }))
    }

    /// Deletes all of those, index first: a file that is left behind goes at the next start. Gives how many.
    pub async fn delete(&self, filter: CaptureFilter) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let wanted = filter.clone();
            let gone = self.database.write(move |c| sqlite::captures::remove(c, &wanted, REMOVED_AT_ONCE));
            let gone = gone.await?;
            let count = gone.len();
            deleted += count as u64;
            let folder = self.folder.clone();
            let removed = tokio::task::spawn_blocking(move || folder.remove(&gone));
            removed.await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
            if count < REMOVED_AT_ONCE as usize {
                return Ok(deleted);
            }
        }
    }

    /// What all of them come to.
    pub async fn sums(&self) -> Result<CaptureSums, StoreError> {
        let (captures, file_bytes) = self.database.read(|c| sqlite::captures::sums(c)).await?;
        Ok(CaptureSums { captures, file_bytes, lost: self.counted.lost.load(Ordering::Relaxed) })
    }
}
