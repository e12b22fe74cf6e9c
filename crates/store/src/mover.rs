//! Moves journal lines into the ledger in batches, for as long as it takes; it never touches the path of a
//! request and never drops a line because the database is away.

mod pending;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::StoreError;
use crate::journal::{Drain, Journal, Met, Position, Tail, entry};
use crate::sqlite::moving::{self, Batch, Manners};
use crate::sqlite::{self, Database};
use pending::{Due, Pending};

pub use pending::INTERRUPTED;

/// The longest pause between two attempts to reach the database.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// How the mover works.
#[derive(Debug, Clone, Copy)]
pub struct MoverSettings {
    /// A batch is taken over at the latest this long after its first line.
    pub interval: Duration,
    /// Lines in one transaction, about.
    pub batch_entries: usize,
    /// What is removed again, while there is nothing else to do; until [`RetentionDial::set`] says otherwise.
    pub retention: Retention,
}

/// How long requests are kept. Their sums stay in any case. By default all of them stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Older ones go.
    pub age_max: Option<Duration>,
    /// Of more, the oldest go.
    pub rows_max: Option<u64>,
}

impl Default for MoverSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), batch_entries: 5000, retention: Retention::default() }
    }
}

/// How far the ledger is behind the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lag {
    /// Lines written and not in the ledger yet.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Since the ledger last had everything there was, or took a batch.
    pub since_success: Duration,
    /// What keeps the mover from working now.
    pub trouble: Option<String>,
    /// Bytes of the journal that could not be read as lines since the start.
    pub damaged_bytes: u64,
}

/// What others may see of the mover.
#[derive(Debug)]
struct Watched {
    stop: AtomicBool,
    /// What earlier processes left open is in the ledger.
    caught_up: AtomicBool,
    damaged_bytes: AtomicU64,
    retention: Mutex<Retention>,
    seen: Mutex<Seen>,
    changed: std::sync::Condvar,
}

#[derive(Debug)]
struct Seen {
    success: Instant,
    trouble: Option<String>,
}

/// Sets how long requests are kept while the mover works. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RetentionDial(Arc<Watched>);

impl RetentionDial {
    /// From its next look on the mover goes by this.
    pub fn set(&self, retention: Retention) {
        *self.0.retention.lock().unwrap_or_else(PoisonError::into_inner) = retention;
    }
}

/// Shows how far the ledger is behind. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backlog {
    drain: Drain,
    watched: Arc<Watched>,
}

impl Backlog {
    /// How far the ledger is behind.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let behind = self.drain.lag();
        let seen = self.watched.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Lag {
            entries: behind.entries,
            bytes: behind.bytes,
            since_success: seen.success.elapsed(),
            trouble: seen.trouble.clone(),
            damaged_bytes: self.watched.damaged_bytes.load(Ordering::Relaxed),
        }
    }
}

/// The mover's thread. Dropping it stops the thread after the transaction in progress.
#[derive(Debug)]
pub struct Mover {
    drain: Drain,
    watched: Arc<Watched>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Starts moving; what earlier processes left open is ended as interrupted first.
    pub(crate) fn start(
        journal: &Journal,
        database: Arc<Database>,
        settings: MoverSettings,
    ) -> Result<Self, StoreError> {
        let watched = Arc::new(Watched {
            stop: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
            damaged_bytes: AtomicU64::new(0),
            retention: Mutex::new(settings.retention),
            seen: Mutex::new(Seen { success: Instant::now(), trouble: None }),
            changed: std::sync::Condvar::new(),
        });
        let mut work = Work {
            tail: journal.tail(),
            drain: journal.drain(),
            born: journal.born(),
            database,
            settings,
            watched: Arc::clone(&watched),
            pending: Pending::default(),
            taken: None,
            interrupted: false,
        };
        let drain = journal.drain();
        let thread = std::thread::Builder::new().name("store-mover".to_owned()).spawn(move || work.run());
        let thread = thread.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { drain, watched, thread: Some(thread) })
    }

    /// How far the ledger is behind.
    #[must_use]
    pub fn lag(&self) -> Lag {
        self.backlog().lag()
    }

    /// Lets others see how far the ledger is behind.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        Backlog { drain: self.drain.clone(), watched: Arc::clone(&self.watched) }
    }

    /// Lets others change how long requests are kept.
    #[must_use]
    pub fn retention(&self) -> RetentionDial {
        RetentionDial(Arc::clone(&self.watched))
    }

    /// Waits until the ledger has everything written so far, at most for `limit`. Blocks: for the end of the
    /// process, after the last request. Returns whether it got there; what is left is taken over at next start.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut seen = self.watched.seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.drain.lag().entries == 0 && self.watched.caught_up.load(Ordering::Acquire) {
                return true;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return false;
            };
            self.drain.wake();
            let round = left.min(Duration::from_millis(20));
            seen = self.watched.changed.wait_timeout(seen, round).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.watched.stop.store(true, Ordering::Release);
        self.drain.wake();
        self.watched.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            drop(thread.join());
        }
    }
}

struct Work {
    tail: Tail,
    drain: Drain,
    born: u64,
    database: Arc<Database>,
    settings: MoverSettings,
    watched: Arc<Watched>,
    pending: Pending,
    /// Where the database says the journal is taken over up to; unknown until it was reached once.
    taken: Option<Position>,
    /// What earlier processes left open was ended.
    interrupted: bool,
}

/// What was read for one transaction.
#[derive(Debug, Default)]
struct Gathered {
    due: Due,
    entries: u64,
    bytes: u64,
    lines: usize,
    manners: Manners,
    /// Segments that are read to their end.
    finished: Vec<u64>,
}

impl Work {
    fn run(&mut self) {
        let mut finished: Vec<u64> = Vec::new();
        while !self.stopped() {
            if self.taken.is_none() && !self.persist(Self::remembered) {
                break;
            }
            let (gathered, more) = self.gather();
            if !self.hand_over(gathered, &mut finished) {
                break;
            }
            if !more && !self.forget() {
                self.drain.wait(self.settings.interval);
            }
        }
    }

    /// Removes one small batch of what is kept for too long. Returns whether there may be more of it.
    fn forget(&mut self) -> bool {
        let retention = *self.watched.retention.lock().unwrap_or_else(PoisonError::into_inner);
        if retention == Retention::default() || !self.watched.caught_up.load(Ordering::Acquire) {
            return false;
        }
        let forgotten =
            self.database.write_blocking(move |connection| sqlite::retention::forget(connection, retention));
        forgotten.unwrap_or_else(|error| {
            tracing::warn!(%error, "old requests cannot be removed now; they are tried again");
            false
        })
    }

    fn stopped(&self) -> bool {
        self.watched.stop.load(Ordering::Acquire)
    }

    /// Tries until it works, with growing pauses. Returns false when it was told to stop instead.
    fn persist(&mut self, mut step: impl FnMut(&mut Self) -> Result<(), StoreError>) -> bool {
        let mut pause = BACKOFF_MIN;
        loop {
            let error = match step(self) {
                Ok(()) => {
                    self.succeeded();
                    return true;
                }
                Err(error) => error,
            };
            if pause == BACKOFF_MIN {
                tracing::error!(%error, "the ledger cannot be written; requests go on into the journal meanwhile");
            }
            let mut seen = self.watched.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.trouble = Some(error.to_string());
            let stop = || self.watched.stop.load(Ordering::Acquire);
            let waited = self.watched.changed.wait_timeout_while(seen, pause, |_| !stop());
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if self.stopped() {
                return false;
            }
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    fn succeeded(&self) {
        let mut seen = self.watched.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.trouble.take().is_some() {
            tracing::info!("the ledger can be written again");
        }
        seen.success = Instant::now();
        drop(seen);
        self.watched.changed.notify_all();
    }

    /// Learns where the ledger stands and which tickets it remembers.
    fn remembered(&mut self) -> Result<(), StoreError> {
        let (position, tickets) = self.database.write_blocking(|connection| {
            Ok((moving::position(connection)?, moving::remembered(connection)?))
        })?;
        for (ticket, state) in tickets {
            if let Err(error) = self.pending.restore(ticket, &state) {
                tracing::error!(%ticket, %error, "a remembered ticket cannot be read; its charge is lost");
            }
        }
        self.taken = Some(position);
        Ok(())
    }

    /// More than a batch waits only where the mover does not keep up.
    fn manners(&self) -> Manners {
        let fits = usize::try_from(self.drain.lag().entries)
            .is_ok_and(|behind| behind <= self.settings.batch_entries);
        if fits { Manners::Polite } else { Manners::InHurry }
    }

    /// Reads lines for one transaction. Also says whether more is waiting.
    fn gather(&mut self) -> (Gathered, bool) {
        let mut gathered = Gathered { manners: self.manners(), ..Gathered::default() };
        let taken = self.taken.unwrap_or_default();
        while gathered.lines < self.settings.batch_entries {
            let before = self.tail.position().segment;
            let reader = Reader {
                taken,
                born: self.born,
                before,
                pending: &mut self.pending,
                interrupted: &mut self.interrupted,
                damaged_bytes: &self.watched.damaged_bytes,
            };
            match read(&mut self.tail, reader, &mut gathered) {
                Ok(true) => {}
                Ok(false) => return (gathered, false),
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read");
                    return (gathered, false);
                }
            }
        }
        (gathered, true)
    }

    /// Takes over what was gathered, then lets go of the segments it came from.
    fn hand_over(&mut self, gathered: Gathered, finished: &mut Vec<u64>) -> bool {
        let Gathered { due, entries, bytes, finished: newly, manners, .. } = gathered;
        let position = self.tail.position();
        finished.extend(newly);
        // Tickets whose open lines go with their segments are remembered by the database instead.
        let remember = if finished.is_empty() { Vec::new() } else { self.pending.unstored() };
        let moved_on = Some(position) > self.taken;
        let batch = Arc::new(Batch {
            attempts: due.attempts,
            receipts: due.receipts,
            bindings: due.bindings,
            reasons: due.reasons,
            remember,
            forget: due.forget,
            position: self.taken.unwrap_or_default().max(position),
            manners,
        });
        if !moved_on && batch.is_empty() {
            self.succeeded();
        } else {
            let taken_over = self.persist(|work| {
                let batch = Arc::clone(&batch);
                work.database.write_blocking(move |connection| moving::take_over(connection, &batch))
            });
            if !taken_over {
                return false;
            }
        }
        self.taken = Some(batch.position);
        if !finished.is_empty() {
            self.pending.mark_stored();
        }
        self.drain.took(entries, bytes);
        self.watched.caught_up.fetch_or(self.interrupted, Ordering::Release);
        self.watched.changed.notify_all();
        finished.retain(|segment| {
            let deleted = self.drain.delete(*segment);
            if let Err(error) = &deleted {
                tracing::warn!(segment, %error, "a finished journal segment cannot be deleted yet");
            }
            deleted.is_err()
        });
        true
    }
}

/// What reading needs beside the tail.
struct Reader<'a> {
    taken: Position,
    born: u64,
    before: u64,
    pending: &'a mut Pending,
    interrupted: &'a mut bool,
    damaged_bytes: &'a AtomicU64,
}

fn read(tail: &mut Tail, reader: Reader<'_>, gathered: &mut Gathered) -> std::io::Result<bool> {
    let Reader { taken, born, mut before, pending, interrupted, damaged_bytes } = reader;
    tail.read(|position, met| match met {
        Met::Segment(sequence) => {
            if before > 0 {
                gathered.finished.push(before);
            }
            before = sequence;
            if sequence >= born && !*interrupted {
                *interrupted = true;
                pending.interrupt_all(&mut gathered.due);
            }
        }
        Met::Damage { bytes } => {
            damaged_bytes.fetch_add(bytes, Ordering::Relaxed);
            tracing::error!(
                segment = position.segment,
                offset = position.offset,
                bytes,
                "journal bytes are damaged"
            );
        }
        Met::Line { payload, bytes } => {
            gathered.entries += 1;
            gathered.bytes += bytes;
            gathered.lines += 1;
            gathered.manners.step_aside(gathered.lines);
            match entry::decode(payload) {
                Some(entry) if position > taken => pending.take(entry, &mut gathered.due),
                // The ledger has it; what is still open counts all the same.
                Some(entry) => pending.take(entry, &mut Due::default()),
                None => {
                    damaged_bytes.fetch_add(bytes, Ordering::Relaxed);
                    let Position { segment, offset } = position;
                    tracing::error!(segment, offset, bytes, "a journal line is of no form known here");
                }
            }
        }
    })
}
