//! Decides where the facts of a request are safe first: an append-only, checksummed local file, with room taken
//! at admission; it never interprets them, and never waits for the database.
//!
//! A line is in the page cache when [`Reservation::write`] returns, so it survives the death of the process. All
//! its room was taken from the disk beforehand, so a full disk shows when a request is admitted and never when
//! one is settled.

mod append;
pub mod entry;
pub mod line;
mod room;
mod segment;
mod sync;
mod tail;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use policy::Entry;

use append::Core;
pub use append::Position;
use line::LINE_BYTES_MAX;
use sync::Sync;
pub(crate) use tail::{Met, Tail};

/// Room that a ticket takes at admission: the opens and closes of five attempts and the receipt, with ordinary
/// names and tags. A ticket that writes more takes more when it opens an attempt, not when it settles.
pub const TICKET_ROOM_BYTES: u32 = 16 * 1024;
/// Held back for the close and the receipt, whatever else a ticket writes, beside what its open line needed.
const SETTLING_ROOM_BYTES: u32 = 4 * 1024;

/// How far a written line must have come before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It survives the process being killed.
    #[default]
    Process,
    /// It survives a loss of power, by one fsync for many lines.
    Disk,
}

/// The journal's settings.
#[derive(Debug, Clone, Copy)]
pub struct JournalSettings {
    /// All segments together never take more disk than this.
    pub bytes_max: u64,
    /// One segment; at least two of the longest lines.
    pub segment_bytes: u64,
    /// The journal takes no more of a disk that would have less than this left once the database has taken
    /// everything over: otherwise neither could ever shrink. Zero lets the journal fill the disk.
    pub disk_floor_bytes: u64,
    /// How far a line must have come.
    pub durability: Durability,
    /// New segments are numbered above this: where the ledger stands.
    pub sequence_floor: u64,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            bytes_max: 1 << 30,
            segment_bytes: 16 << 20,
            disk_floor_bytes: 64 << 20,
            durability: Durability::Process,
            sequence_floor: 0,
        }
    }
}

/// No room for another ticket: admission must refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalFull {
    /// The ledger lags so far behind that the journal reached its limit.
    #[error("the journal has reached its size limit")]
    Limit,
    /// The disk gives no more room.
    #[error("the disk gives the journal no more room ({0})")]
    Disk(io::ErrorKind),
}

/// A line could not be written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The entry is longer than any line may be.
    #[error("the entry is longer than a journal line may be")]
    TooLong,
    /// The ticket's room is used up and the journal has no more.
    #[error("the journal has no more room")]
    NoRoom,
    /// Another process has the journal open.
    #[error("another process has this journal open")]
    InUse,
    /// The disk could not be made to keep what was written.
    #[error("the journal could not be brought to the disk")]
    Sync,
    /// The disk refused.
    #[error("the journal could not be written")]
    Io(#[from] io::Error),
}

/// How far the ledger is behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalLag {
    /// Lines written and not in the ledger yet.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The journal. Made once; reservations keep what they need of it.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Held for as long as the journal is open, so that two processes never write one journal.
    _lock: std::fs::File,
}

#[derive(Debug)]
struct Shared {
    core: Arc<Core>,
    sync: Option<Arc<Sync>>,
}

impl Journal {
    /// Opens the journal in `dir`, cuts what a crash left unfinished, and starts a fresh segment.
    pub fn open(dir: &Path, settings: JournalSettings) -> Result<Self, JournalError> {
        std::fs::create_dir_all(dir)?;
        let lock = lock_dir(dir)?;
        let smallest = 4 * LINE_BYTES_MAX as u64;
        let settings = JournalSettings { segment_bytes: settings.segment_bytes.max(smallest), ..settings };
        let core = Arc::new(Core::open(dir.to_owned(), settings)?);
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = vec![spawn("journal-room", {
            let (core, stop) = (Arc::clone(&core), Arc::clone(&stop));
            move || core.keep_room_ready(&stop)
        })?];
        let sync = (settings.durability == Durability::Disk).then(|| Arc::new(Sync::new()));
        if let Some(sync) = &sync {
            let (sync, core, stop) = (Arc::clone(sync), Arc::clone(&core), Arc::clone(&stop));
            threads.push(spawn("journal-sync", move || sync.serve(&core, &stop))?);
        }
        Ok(Self { shared: Arc::new(Shared { core, sync }), stop, threads, _lock: lock })
    }

    /// Takes the room that one ticket needs at worst. Costs one atomic operation; without prepared room left it
    /// prepares some, and refuses when that is impossible.
    pub fn reserve(&self) -> Result<Reservation, JournalFull> {
        self.shared.core.take_room(TICKET_ROOM_BYTES)?;
        Ok(Reservation {
            shared: Arc::clone(&self.shared),
            room: TICKET_ROOM_BYTES,
            settling: SETTLING_ROOM_BYTES,
            line: Vec::new(),
            written: 0,
        })
    }

    /// How far the ledger is behind.
    #[must_use]
    pub fn lag(&self) -> JournalLag {
        self.shared.core.lag()
    }

    /// Reads from the oldest line that still exists. There is one reader, the mover.
    pub(crate) fn tail(&self) -> Tail {
        Tail::new(Arc::clone(&self.shared.core))
    }

    /// Segments below this one were written by earlier processes.
    pub(crate) fn born(&self) -> u64 {
        self.shared.core.born
    }

    /// What the mover needs of the journal.
    pub(crate) fn drain(&self) -> Drain {
        Drain { core: Arc::clone(&self.shared.core) }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.shared.core.ring_maker();
        if let Some(sync) = &self.shared.sync {
            sync.ring();
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            drop(thread.join());
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Whole lines in `dir` that lie behind `taken`. Segments that go meanwhile were taken over meanwhile.
pub(crate) fn behind(dir: &Path, taken: Position) -> io::Result<JournalLag> {
    let mut lag = JournalLag::default();
    let segments = match segment::list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(lag),
        listed => listed?,
    };
    for sequence in segments.into_iter().filter(|sequence| *sequence >= taken.segment) {
        let start = if sequence == taken.segment { taken.offset } else { 0 };
        let (bytes, entries) = match segment::extent(dir, sequence, start) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            counted => counted?,
        };
        lag.entries += entries;
        lag.bytes += bytes;
    }
    Ok(lag)
}

/// Keeps every gateway from opening the journal in `dir` for as long as what it gives is held.
pub(crate) fn alone(dir: &Path) -> Result<std::fs::File, JournalError> {
    std::fs::create_dir_all(dir)?;
    lock_dir(dir)
}

fn lock_dir(dir: &Path) -> Result<std::fs::File, JournalError> {
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse),
        Err(errno) => Err(JournalError::Io(errno.into())),
    }
}

/// The mover's side of the journal: what was taken over, and which segments may go.
#[derive(Debug, Clone)]
pub(crate) struct Drain {
    core: Arc<Core>,
}

impl Drain {
    pub(crate) fn took(&self, entries: u64, bytes: u64) {
        self.core.took(entries, bytes);
    }

    pub(crate) fn delete(&self, segment: u64) -> io::Result<()> {
        self.core.delete(segment)
    }

    pub(crate) fn lag(&self) -> JournalLag {
        self.core.lag()
    }

    pub(crate) fn wait(&self, limit: Duration) {
        self.core.await_entries(limit);
    }

    pub(crate) fn wake(&self) {
        self.core.ring_reader();
    }
}

/// One ticket's room in the journal. Dropping it gives the unused part back.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    room: u32,
    /// What must stay for the close and the receipt.
    settling: u32,
    line: Vec<u8>,
    written: u64,
}

impl Reservation {
    /// Writes one line. On return it survives the death of this process.
    ///
    /// An open line that exceeds the ticket's room takes more; a progress line, a binding or a reason never touches what the close and
    /// the receipt need and is refused instead. After an error nothing of the line counts.
    pub fn write(&mut self, entry: &Entry) -> Result<(), JournalError> {
        line::begin(&mut self.line);
        entry::encode(entry, &mut self.line);
        line::finish(&mut self.line).map_err(|line::LineTooLong| JournalError::TooLong)?;
        let bytes = u32::try_from(self.line.len()).map_err(|_| JournalError::TooLong)?;
        if let Entry::Opened(_) = entry {
            // Names and tags come again in the receipt.
            self.settling = self.settling.max(SETTLING_ROOM_BYTES + bytes);
        }
        let needed = match entry {
            Entry::Opened(_) | Entry::Progress(_) | Entry::Bound(_) | Entry::Reasoned(_) => {
                bytes + self.settling
            }
            Entry::Closed(_) | Entry::Settled { .. } => bytes,
        };
        if self.room < needed {
            let missing = needed - self.room;
            self.shared.core.take_room(missing).map_err(|_| JournalError::NoRoom)?;
            self.room += missing;
        }
        self.written = self.shared.core.append(&self.line)?;
        self.room -= bytes;
        Ok(())
    }

    /// Whether [`Self::durable`] has anything to wait for.
    #[must_use]
    pub fn waits_for_disk(&self) -> bool {
        self.shared.sync.is_some()
    }

    /// Resolves when what was written is as durable as the settings ask: at once for `process`, after the group
    /// fsync that covers it for `disk`.
    ///
    /// # Cancel safety
    /// Yes: the fsync goes on without the waiter.
    pub async fn durable(&self) -> Result<(), JournalError> {
        match &self.shared.sync {
            None => Ok(()),
            Some(sync) => sync.reach(self.written).await,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.core.give_room(self.room);
    }
}
