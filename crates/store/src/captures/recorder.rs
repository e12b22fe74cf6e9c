//! Writes captures from a thread of its own and forgets them in time; whoever hands one over never waits, and what finds no
//! room, in memory or on the disk, is counted and left out.

use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use policy::TicketId;
use zeroize::Zeroizing;

use super::{Capture, CaptureHead, CaptureRetention, CaptureRoom, Counted, Folder};
use crate::error::StoreError;
use crate::sqlite::{self, Database};

/// Captures that may wait for the disk; their bytes are bounded by their room.
const WAITING_MAX: usize = 1024;
/// So many are entered in the index at once.
const BATCH: usize = 64;
/// How often age is looked at while nothing is captured.
const ROUND: Duration = Duration::from_secs(30);
/// So much of the disk is left to the journal and the database, which need theirs to serve at all.
const DISK_FLOOR_BYTES: u64 = 256 * 1024 * 1024;

/// Where captures are handed over. Cheap to clone; the last one to be dropped writes what waits.
#[derive(Debug, Clone)]
pub struct Recorder {
    thread: Arc<Thread>,
}

#[derive(Debug)]
struct Thread {
    jobs: Option<mpsc::SyncSender<Job>>,
    counted: Arc<Counted>,
    retention: Arc<Mutex<Option<CaptureRetention>>>,
    handle: Option<JoinHandle<()>>,
}

enum Job {
    Write(Box<Capture>, CaptureRoom),
    /// Everything before it is done when this is answered.
    Flush(mpsc::SyncSender<()>),
}

impl Recorder {
    pub(super) fn start(writer: Writer) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::sync_channel(WAITING_MAX);
        let counted = Arc::clone(&writer.counted);
        let retention = Arc::default();
        let work = Work { writer, waiting, retention: Arc::clone(&retention), in_trouble: false };
        let handle = std::thread::Builder::new().name("store-captures".to_owned()).spawn(|| work.run());
        let handle = handle.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { thread: Arc::new(Thread { jobs: Some(jobs), counted, retention, handle: Some(handle) }) })
    }

    /// Room to make a capture in. Where there is none, that capture is lost, and counted.
    #[must_use]
    pub fn begin(&self) -> Option<CaptureRoom> {
        let counted = &self.thread.counted;
        CaptureRoom::enter(counted).or_else(|| {
            counted.lose(1);
            None
        })
    }

    /// Hands a capture over to be written. Never waits: what finds the way full is lost, and counted.
    pub fn record(&self, capture: Capture, room: CaptureRoom) {
        let Some(jobs) = &self.thread.jobs else { return };
        if jobs.try_send(Job::Write(Box::new(capture), room)).is_err() {
            self.thread.counted.lose(1);
        }
    }

    /// Keeps captures for so long from now on. Until it is told, nothing is forgotten.
    pub fn obey(&self, retention: CaptureRetention) {
        *self.thread.retention.lock().unwrap_or_else(PoisonError::into_inner) = Some(retention);
    }

    /// Waits until everything handed over so far is written, at most for `limit`. Blocks. Returns whether it got there.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let Some(jobs) = &self.thread.jobs else { return true };
        let (done, answered) = mpsc::sync_channel(1);
        // A full way is being emptied; to wait for a place on it without a limit would be to wait without a limit.
        jobs.try_send(Job::Flush(done)).is_ok() && answered.recv_timeout(limit).is_ok()
    }

    /// Captures that were lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.thread.counted.lost.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Bytes in memory, of captures that are being made or wait.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.thread.counted.held.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(handle) = self.handle.take() {
            // A thread that panicked has said so already.
            drop(handle.join());
        }
    }
}

/// What the thread writes with.
pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) folder: Folder,
    pub(super) counted: Arc<Counted>,
    pub(super) key: Zeroizing<[u8; 32]>,
}

struct Work {
    writer: Writer,
    waiting: mpsc::Receiver<Job>,
    retention: Arc<Mutex<Option<CaptureRetention>>>,
    in_trouble: bool,
}

impl Work {
    fn run(mut self) {
        if let Err(error) = self.sweep() {
            tracing::warn!(%error, "captures could not be looked through; the next start will");
        }
        loop {
            match self.waiting.recv_timeout(ROUND) {
                Ok(job) => self.take_up(job),
                Err(RecvTimeoutError::Timeout) => self.enter(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Makes index and files agree, whatever a process before was doing when it was killed.
    fn sweep(&self) -> Result<(), StoreError> {
        let database = &self.writer.database;
        let known = database.write_blocking(|connection| sqlite::captures::ids(connection))?;
        let there = self.writer.folder.sweep(&known);
        let gone: Vec<TicketId> = known.difference(&there).copied().collect();
        if !gone.is_empty() {
            tracing::warn!(
                captures = gone.len(),
                "the files of some captures are gone, and so are the captures"
            );
            database.write_blocking(move |connection| sqlite::captures::forget(connection, &gone))?;
        }
        Ok(())
    }

    /// Writes this and what waits behind it: files first, then their rows, so that no row is ever without its file.
    fn take_up(&mut self, first: Job) {
        let (mut rows, mut flushed) = (Vec::new(), Vec::new());
        let mut next = Ok(first);
        while let Ok(job) = next {
            match job {
                Job::Write(capture, room) => {
                    rows.extend(self.write(*capture));
                    drop(room);
                }
                Job::Flush(done) => flushed.push(done),
            }
            next = if rows.len() < BATCH { self.waiting.try_recv() } else { Err(TryRecvError::Empty) };
        }
        self.enter(rows);
        for done in flushed {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
    }

    fn write(&mut self, capture: Capture) -> Option<(CaptureHead, u64)> {
        let Capture { head, content } = capture;
        let Writer { folder, key, .. } = &self.writer;
        let written = self.has_room().and_then(|()| folder.write(head.id, &content, key));
        match written {
            Ok(file_bytes) => {
                if std::mem::take(&mut self.in_trouble) {
                    tracing::info!("captures can be written again");
                }
                Some((head, file_bytes))
            }
            Err(error) => {
                self.lose(1, &error);
                None
            }
        }
    }

    fn has_room(&self) -> Result<(), StoreError> {
        let folder = self.writer.folder.path();
        let disk = rustix::fs::statvfs(folder.parent().unwrap_or(folder));
        let is_full = disk.is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < DISK_FLOOR_BYTES);
        let full = || StoreError::File {
            path: folder.display().to_string(),
            error: std::io::ErrorKind::StorageFull.into(),
        };
        if is_full { Err(full()) } else { Ok(()) }
    }

    fn lose(&mut self, captures: usize, error: &StoreError) {
        self.writer.counted.lose(captures);
        if !std::mem::replace(&mut self.in_trouble, true) {
            tracing::error!(%error, "captures cannot be written and are left out; requests go on");
        }
    }

    /// Enters what was written, and forgets what is too old or too much.
    fn enter(&mut self, rows: Vec<(CaptureHead, u64)>) {
        let ids: Vec<TicketId> = rows.iter().map(|(head, _)| head.id).collect();
        let mut gone = match self.keep(rows) {
            Ok(gone) => gone,
            Err(error) if ids.is_empty() => {
                tracing::debug!(%error, "old captures cannot be removed now; they are tried again");
                return;
            }
            Err(error) => {
                self.writer.folder.remove(&ids);
                self.lose(ids.len(), &error);
                return;
            }
        };
        while !gone.is_empty() {
            self.writer.folder.remove(&gone);
            // What is left will be tried again.
            gone = self.keep(Vec::new()).unwrap_or_default();
        }
        self.writer.folder.tidy();
    }

    fn keep(&self, rows: Vec<(CaptureHead, u64)>) -> Result<Vec<TicketId>, StoreError> {
        let retention = *self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        let database = &self.writer.database;
        database.write_blocking(move |connection| sqlite::captures::keep(connection, &rows, retention))
    }
}
