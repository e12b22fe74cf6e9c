//! Appends lines to the newest segment and keeps segments ready ahead of need; it never waits for the disk in
//! the path of a line, and never drops a line silently.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::line::LINE_BYTES_MAX;
use super::room::Room;
use super::segment::{self, SEGMENT_HEADER_BYTES, Segment};
use super::{JournalError, JournalFull, JournalLag, JournalSettings};

/// After a segment could not be made, admission refuses at once for this long instead of trying again.
const MAKE_PAUSE: Duration = Duration::from_millis(100);
/// The thread that makes segments tries again this often while it cannot.
const MAKE_RETRY: Duration = Duration::from_millis(250);
/// The reader is woken each time this many entries were appended.
const WAKE_ENTRIES: u64 = 4096;

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The segment's sequence number.
    pub segment: u64,
    /// Bytes from the start of its file.
    pub offset: u64,
}

/// The segment that is written to, and those that wait their turn. Behind one short mutex.
#[derive(Debug)]
struct Active {
    segment: Segment,
    at: u64,
    /// A write failed here: the next line goes into the next segment.
    spoiled: bool,
    spare: VecDeque<Segment>,
    /// Bytes appended since the start of this process: what `durable` waits for.
    total: u64,
    /// Full segments that the group fsync has not covered yet; none is kept where nobody will fsync.
    unsynced: Option<Vec<Arc<std::fs::File>>>,
}

#[derive(Debug)]
struct Making {
    next: u64,
    failed: Option<(Instant, JournalFull)>,
}

/// What writers, the reader and the threads share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) dir: PathBuf,
    pub(super) settings: JournalSettings,
    /// Segments below this one were written by earlier processes.
    pub(super) born: u64,
    room: Room,
    active: Mutex<Active>,
    making: Mutex<Making>,
    /// The last write failed: admission refuses until a fresh segment could be made.
    failed: AtomicBool,
    disk_bytes: AtomicU64,
    appended: Counts,
    taken: Counts,
    maker: Bell,
    reader: Bell,
}

#[derive(Debug, Default)]
struct Counts {
    entries: AtomicU64,
    bytes: AtomicU64,
}

/// A condition that one thread sleeps on and others ring.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    condition: Condvar,
    pending: AtomicBool,
}

impl Bell {
    /// Wakes the sleeper; ringing twice before it woke is one ring and costs one load.
    pub(super) fn ring(&self) {
        if self.pending.load(Ordering::Relaxed) || self.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        *lock(&self.rung) = true;
        self.condition.notify_all();
    }

    /// Sleeps until rung, at most for `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let rung = lock(&self.rung);
        let (mut rung, _) = self
            .condition
            .wait_timeout_while(rung, limit, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
        self.pending.store(false, Ordering::Release);
    }
}

/// A panic elsewhere never leaves these values half changed, so a poisoned lock is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub(super) fn open(dir: PathBuf, settings: JournalSettings) -> Result<Self, JournalError> {
        let mut next = settings.sequence_floor + 1;
        let (appended, disk_bytes) = (Counts::default(), AtomicU64::new(0));
        for sequence in segment::list(&dir)? {
            next = next.max(sequence + 1);
            let Some(left) = segment::cut(&dir, sequence)? else { continue };
            if left.torn_bytes > 0 {
                tracing::info!(
                    segment = sequence,
                    bytes = left.torn_bytes,
                    "cut an unfinished line off the journal"
                );
            }
            appended.entries.fetch_add(left.entries, Ordering::Relaxed);
            appended.bytes.fetch_add(left.size - SEGMENT_HEADER_BYTES, Ordering::Relaxed);
            disk_bytes.fetch_add(left.size, Ordering::Relaxed);
        }
        let segment = Segment::make(&dir, next, settings.segment_bytes)?;
        if settings.durability == super::Durability::Disk {
            segment.settle_on_disk(&dir)?;
        }
        disk_bytes.fetch_add(segment.size, Ordering::Relaxed);
        let room = Room::default();
        room.correct(counted(&segment));
        let active = Active {
            segment,
            at: SEGMENT_HEADER_BYTES,
            spoiled: false,
            spare: VecDeque::new(),
            total: 0,
            unsynced: (settings.durability == super::Durability::Disk).then(Vec::new),
        };
        Ok(Self {
            dir,
            settings,
            born: next,
            room,
            active: Mutex::new(active),
            making: Mutex::new(Making { next: next + 1, failed: None }),
            failed: AtomicBool::new(false),
            disk_bytes,
            appended,
            taken: Counts::default(),
            maker: Bell::default(),
            reader: Bell::default(),
        })
    }

    /// Takes room. Without prepared room left, makes some here and now: that is rare, as the maker works ahead.
    pub(super) fn take_room(&self, bytes: u32) -> Result<(), JournalFull> {
        if !self.failed.load(Ordering::Relaxed)
            && let Some(left) = self.room.take(bytes)
        {
            if left < self.low_water() {
                self.maker.ring();
            }
            return Ok(());
        }
        loop {
            let made = self.make_segment(Patience::Pause);
            // The maker may have made the last that the limit allows in between: its room is as good as ours.
            let is_usable = made.is_ok() || !self.failed.load(Ordering::Relaxed);
            if is_usable && self.room.take(bytes).is_some() {
                return Ok(());
            }
            made?;
        }
    }

    pub(super) fn give_room(&self, bytes: u32) {
        self.room.give(bytes);
    }

    fn low_water(&self) -> i64 {
        i64::try_from(self.settings.segment_bytes).unwrap_or(i64::MAX)
    }

    /// Adds one prepared segment, unless that would exceed the journal's limit or the disk has no room.
    fn make_segment(&self, patience: Patience) -> Result<(), JournalFull> {
        let mut making = lock(&self.making);
        if let (Patience::Pause, Some((when, why))) = (patience, making.failed)
            && when.elapsed() < MAKE_PAUSE
        {
            return Err(why);
        }
        let made = self.make_next(&making);
        match made {
            Ok(segment) => {
                making.next = segment.sequence + 1;
                making.failed = None;
                self.disk_bytes.fetch_add(segment.size, Ordering::Relaxed);
                let room = counted(&segment);
                lock(&self.active).spare.push_back(segment);
                self.room.correct(room);
                self.failed.store(false, Ordering::Release);
                Ok(())
            }
            Err(why) => {
                if making.failed.is_none() {
                    tracing::error!(%why, "the journal cannot grow; new requests are refused once its room is used up");
                }
                making.failed = Some((Instant::now(), why));
                Err(why)
            }
        }
    }

    fn make_next(&self, making: &Making) -> Result<Segment, JournalFull> {
        let size = self.settings.segment_bytes;
        if self.disk_bytes.load(Ordering::Relaxed) + size > self.settings.bytes_max {
            return Err(JournalFull::Limit);
        }
        let full = |error: io::Error| JournalFull::Disk(error.kind());
        let disk = rustix::fs::statvfs(&self.dir).map_err(|errno| full(errno.into()))?;
        // A line takes about twice its room in the database, and gives its own back once it is there.
        let owed = self.disk_bytes.load(Ordering::Relaxed) + size;
        let needed = size.saturating_add(owed).saturating_add(self.settings.disk_floor_bytes);
        if self.settings.disk_floor_bytes > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < needed {
            return Err(full(io::ErrorKind::StorageFull.into()));
        }
        let made = Segment::make(&self.dir, making.next, size).map_err(full)?;
        if self.settings.durability == super::Durability::Disk {
            made.settle_on_disk(&self.dir).map_err(full)?;
        }
        Ok(made)
    }

    /// Puts one framed line behind all others. Returns the total it brings the journal to.
    ///
    /// The caller holds room for it, so that a prepared segment with space exists. When the device refuses a
    /// write, the line is tried once more at the start of the next segment.
    pub(super) fn append(&self, line: &[u8]) -> Result<u64, JournalError> {
        let mut active = lock(&self.active);
        let put = active.put(line, &self.room).or_else(|_| active.put(line, &self.room));
        match put {
            Ok(()) => {
                let total = active.total;
                drop(active);
                self.appended.bytes.fetch_add(line.len() as u64, Ordering::Relaxed);
                let entries = self.appended.entries.fetch_add(1, Ordering::Release) + 1;
                if entries.is_multiple_of(WAKE_ENTRIES) {
                    self.reader.ring();
                }
                Ok(total)
            }
            Err(error) => {
                drop(active);
                if !self.failed.swap(true, Ordering::AcqRel) {
                    tracing::error!(%error, "the journal could not be written; new requests are refused until it can");
                }
                self.maker.ring();
                Err(error)
            }
        }
    }

    /// Up to where lines are whole and may be read.
    pub(super) fn end(&self) -> Position {
        let active = lock(&self.active);
        Position { segment: active.segment.sequence, offset: active.at }
    }

    /// The total appended, and the files that hold what is not on the disk yet.
    pub(super) fn unsynced(&self) -> (u64, Vec<Arc<std::fs::File>>) {
        let mut active = lock(&self.active);
        let mut files = active.unsynced.as_mut().map(std::mem::take).unwrap_or_default();
        files.push(Arc::clone(&active.segment.file));
        (active.total, files)
    }

    /// Writes nothing more into the present segment, whose pages the disk may have lost.
    pub(super) fn abandon_segment(&self) {
        lock(&self.active).spoiled = true;
        self.failed.store(true, Ordering::Release);
        self.maker.ring();
    }

    /// The reader is done with these.
    pub(super) fn took(&self, entries: u64, bytes: u64) {
        self.taken.entries.fetch_add(entries, Ordering::Relaxed);
        self.taken.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn lag(&self) -> JournalLag {
        let left = |get: fn(&Counts) -> &AtomicU64| {
            let taken = get(&self.taken).load(Ordering::Relaxed);
            get(&self.appended).load(Ordering::Acquire).saturating_sub(taken)
        };
        JournalLag { entries: left(|counts| &counts.entries), bytes: left(|counts| &counts.bytes) }
    }

    /// Deletes a segment whose lines are all elsewhere now.
    pub(super) fn delete(&self, sequence: u64) -> io::Result<()> {
        let freed = segment::delete(&self.dir, sequence)?;
        self.disk_bytes.fetch_sub(freed, Ordering::Relaxed);
        if self.room.left() < self.low_water() {
            self.maker.ring();
        }
        Ok(())
    }

    /// Sleeps until much was appended, somebody rang, or `limit` is over.
    pub(super) fn await_entries(&self, limit: Duration) {
        self.reader.wait(limit);
    }

    pub(super) fn ring_reader(&self) {
        self.reader.ring();
    }

    pub(super) fn ring_maker(&self) {
        self.maker.ring();
    }

    /// Keeps prepared room above the low-water mark until `stop`.
    pub(super) fn keep_room_ready(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            let wanting = || self.room.left() < self.low_water() || self.failed.load(Ordering::Acquire);
            while wanting() && self.make_segment(Patience::Try).is_ok() {}
            let limit = if wanting() { MAKE_RETRY } else { Duration::from_secs(3600) };
            self.maker.wait(limit);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Believe a recent failure.
    Pause,
    /// Try whatever happened before.
    Try,
}

/// Room that a segment surely offers: a line that does not fit at its end leaves less than one line unused.
fn counted(segment: &Segment) -> i64 {
    let bytes = segment.size.saturating_sub(SEGMENT_HEADER_BYTES + LINE_BYTES_MAX as u64);
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Active {
    fn put(&mut self, line: &[u8], room: &Room) -> Result<(), JournalError> {
        let length = line.len() as u64;
        if self.spoiled || self.at + length > self.segment.size {
            self.turn(room)?;
        }
        // A positioned write: when it fails half-way the next line begins at the same place.
        if let Err(error) = self.segment.file.write_all_at(line, self.at) {
            self.spoiled = true;
            return Err(error.into());
        }
        self.at += length;
        self.total += length;
        Ok(())
    }

    fn turn(&mut self, room: &Room) -> Result<(), JournalError> {
        let next = self.spare.pop_front().ok_or(JournalError::NoRoom)?;
        let used = i64::try_from(self.at - SEGMENT_HEADER_BYTES).unwrap_or(i64::MAX);
        room.correct(used - counted(&self.segment));
        let full = std::mem::replace(&mut self.segment, next);
        if let Some(unsynced) = &mut self.unsynced {
            unsynced.push(full.file);
        }
        self.at = SEGMENT_HEADER_BYTES;
        self.spoiled = false;
        Ok(())
    }
}
