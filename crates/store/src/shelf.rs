//! Keeps responses on disk, sealed, behind the memory that requests use; it never delays who hands one over, never holds
//! more than its bounds, and never decides what is kept or for how long.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use policy::Timestamp;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::sqlite::{self, Database};
use crate::vault::{VaultError, envelope};

/// What may wait to be written. What comes while so much waits is not written: it lives in memory alone.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What each waiting response costs beside its bytes.
const ENTRY_BYTES: usize = 256;
/// So many ids may wait to be forgotten; beyond that all are, which is the safe way to lose count.
const FORGOTTEN_MAX: usize = 64 * 1024;
/// About so much is sealed and written at once, so that the ledger's turn at the database comes soon.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// The pause after the database could not be written.
const PAUSE: Duration = Duration::from_secs(1);

/// A response that is to outlive the process.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptResponse {
    /// Its id; no other response ever has it.
    pub id: Arc<str>,
    /// The key it belongs to.
    pub owner: Arc<str>,
    /// When it is to be forgotten.
    pub until: Timestamp,
    /// What was said: users' content.
    pub what: Bytes,
}

impl std::fmt::Debug for KeptResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptResponse({}, {} bytes)", self.id, self.what.len())
    }
}

/// Responses that outlive processes.
#[derive(Debug)]
pub struct KeptResponses {
    /// Those that earlier processes kept, the first to end first.
    pub remembered: Vec<KeptResponse>,
    /// Keeps those of this one.
    pub shelf: Shelf,
}

/// Whether a response will be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelved {
    /// It will, or was.
    Taken,
    /// Too much waits already.
    Full,
}

/// The way to the disk. Cheap to clone; the last one to be dropped writes what waits, if the database can be written.
#[derive(Debug, Clone)]
pub struct Shelf {
    thread: Arc<Thread>,
}

#[derive(Debug)]
struct Thread {
    desk: Arc<Desk>,
    handle: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

#[derive(Default)]
struct Waiting {
    kept: HashMap<Arc<str>, KeptResponse>,
    forgotten: HashSet<Arc<str>>,
    forget_all: bool,
    /// Of those kept here, and of those that are being written.
    bytes: usize,
    is_writing: bool,
    is_stopping: bool,
}

/// What one transaction does.
pub(crate) struct Writing {
    pub(crate) forget_all: bool,
    pub(crate) forgotten: Vec<Arc<str>>,
    pub(crate) sealed: Vec<SealedResponse>,
}

/// A response as it is stored.
pub(crate) struct SealedResponse {
    pub(crate) id: Arc<str>,
    pub(crate) owner: Arc<str>,
    pub(crate) until: Timestamp,
    pub(crate) sealed: Vec<u8>,
}

/// Seals responses under one data key, each bound to its own row.
pub(crate) struct Cipher(Zeroizing<[u8; 32]>);

impl Cipher {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    fn seal(&self, response: &KeptResponse) -> Result<SealedResponse, VaultError> {
        let KeptResponse { id, owner, until, what } = response;
        let sealed = envelope::encrypt(&self.0, &context(id, owner, *until), what)?;
        Ok(SealedResponse { id: Arc::clone(id), owner: Arc::clone(owner), until: *until, sealed })
    }

    pub(crate) fn open(&self, sealed: &SealedResponse) -> Result<KeptResponse, VaultError> {
        let SealedResponse { id, owner, until, sealed } = sealed;
        let what = envelope::decrypt(&self.0, &context(id, owner, *until), sealed)
            .ok_or_else(|| VaultError::Altered(id.to_string()))?;
        let what = Bytes::copy_from_slice(&what);
        Ok(KeptResponse { id: Arc::clone(id), owner: Arc::clone(owner), until: *until, what })
    }
}

/// A sealed response opens for its own id, owner and time only.
fn context(id: &str, owner: &str, until: Timestamp) -> Vec<u8> {
    envelope::context("kept", &format!("{id}\n{owner}\n{}", until.0))
}

impl Shelf {
    /// Starts the thread that writes.
    pub(crate) fn start(database: Arc<Database>, cipher: Cipher) -> Result<Self, StoreError> {
        let desk = Arc::new(Desk::default());
        let writer = Writer { desk: Arc::clone(&desk), database, cipher };
        let handle = std::thread::Builder::new().name("store-shelf".to_owned()).spawn(move || writer.run());
        let handle = handle.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { thread: Arc::new(Thread { desk, handle: Some(handle) }) })
    }

    /// Hands a response over to be written. Never waits.
    #[must_use]
    pub fn keep(&self, response: KeptResponse) -> Shelved {
        let mut waiting = self.thread.desk.lock();
        let bytes = weight(&response);
        // One may be larger than the bound, when nothing else waits.
        if waiting.bytes > 0 && waiting.bytes + bytes > WAITING_BYTES_MAX {
            return Shelved::Full;
        }
        waiting.bytes += bytes;
        waiting.kept.insert(Arc::clone(&response.id), response);
        self.thread.desk.changed.notify_all();
        Shelved::Taken
    }

    /// Has a response forgotten that was taken before. Never waits.
    pub fn forget(&self, id: &Arc<str>) {
        let mut waiting = self.thread.desk.lock();
        if let Some(unwritten) = waiting.kept.remove(id) {
            waiting.bytes -= weight(&unwritten);
            return;
        }
        waiting.forgotten.insert(Arc::clone(id));
        if waiting.forgotten.len() > FORGOTTEN_MAX {
            waiting.forgotten.clear();
            waiting.forget_all = true;
        }
        self.thread.desk.changed.notify_all();
    }

    /// Waits until everything handed over so far is on disk, at most for `limit`. Blocks. Returns whether it got there.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let desk = &self.thread.desk;
        let mut waiting = desk.lock();
        while !waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            waiting = desk.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.thread.desk.lock().bytes
    }
}

fn weight(response: &KeptResponse) -> usize {
    response.what.len() + ENTRY_BYTES
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.desk.lock().is_stopping = true;
        self.desk.changed.notify_all();
        if let Some(handle) = self.handle.take() {
            // A thread that panicked has said so already.
            drop(handle.join());
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.has_no_work() && !self.is_writing
    }

    fn has_no_work(&self) -> bool {
        self.kept.is_empty() && self.forgotten.is_empty() && !self.forget_all
    }

    /// What the next transaction takes. Its bytes count until it has ended.
    fn take(&mut self) -> Taken {
        let mut batch = 0;
        let ids: Vec<Arc<str>> = self
            .kept
            .values()
            .take_while(|response| {
                let fits = batch < BATCH_BYTES;
                batch += weight(response);
                fits
            })
            .map(|response| Arc::clone(&response.id))
            .collect();
        let kept: Vec<KeptResponse> = ids.iter().filter_map(|id| self.kept.remove(id)).collect();
        let forgotten = std::mem::take(&mut self.forgotten);
        self.is_writing = true;
        Taken { kept, forgotten, forget_all: std::mem::take(&mut self.forget_all) }
    }

    /// It is written.
    fn written(&mut self, taken: &Taken) {
        self.bytes -= taken.kept.iter().map(weight).sum::<usize>();
        self.is_writing = false;
    }

    /// It is not: it waits again, save what was forgotten meanwhile.
    fn put_back(&mut self, taken: Taken) {
        let Taken { kept, forgotten, forget_all } = taken;
        for response in kept {
            match self.forget_all || self.forgotten.remove(&response.id) {
                true => self.bytes -= weight(&response),
                false => drop(self.kept.insert(Arc::clone(&response.id), response)),
            }
        }
        self.forgotten.extend(forgotten);
        self.forget_all |= forget_all || self.forgotten.len() > FORGOTTEN_MAX;
        if self.forget_all {
            self.forgotten.clear();
        }
        self.is_writing = false;
    }
}

struct Taken {
    kept: Vec<KeptResponse>,
    forgotten: HashSet<Arc<str>>,
    forget_all: bool,
}

struct Writer {
    desk: Arc<Desk>,
    database: Arc<Database>,
    cipher: Cipher,
}

impl Writer {
    fn run(&self) {
        let mut in_trouble = false;
        while let Some(taken) = self.next() {
            let result = self.write(&taken);
            let mut waiting = self.desk.lock();
            let Err(error) = result else {
                waiting.written(&taken);
                self.desk.changed.notify_all();
                if std::mem::take(&mut in_trouble) {
                    tracing::info!("kept responses can be written again");
                }
                continue;
            };
            waiting.put_back(taken);
            if waiting.is_stopping {
                return;
            }
            if !std::mem::replace(&mut in_trouble, true) {
                tracing::error!(%error, "kept responses cannot be written; a restart would forget them");
            }
            let goes_on = |waiting: &mut Waiting| !waiting.is_stopping;
            let paused = self.desk.changed.wait_timeout_while(waiting, PAUSE, goes_on);
            // At the end it is tried once more.
            drop(paused.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits for work; none when it is to stop and everything is written.
    fn next(&self) -> Option<Taken> {
        let waiting = self.desk.lock();
        let idle = |waiting: &mut Waiting| waiting.has_no_work() && !waiting.is_stopping;
        let mut waiting = self.desk.changed.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
        (!waiting.has_no_work()).then(|| waiting.take())
    }

    fn write(&self, taken: &Taken) -> Result<(), StoreError> {
        let sealed = taken.kept.iter().map(|response| self.cipher.seal(response));
        let writing = Writing {
            forget_all: taken.forget_all,
            forgotten: taken.forgotten.iter().cloned().collect(),
            sealed: sealed.collect::<Result<_, _>>()?,
        };
        self.database.write_blocking(move |connection| sqlite::kept::write(connection, &writing))
    }
}
