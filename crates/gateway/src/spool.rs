//! Decides what is kept of a stream so that its client can continue it on another connection, and who reads it; never
//! what it says.

mod marker;
mod reader;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use bytes::Bytes;
use policy::{ResumeRules, TicketId};
use tokio::{sync::Notify, time::Instant};

use crate::identity::Stamp;
pub(crate) use marker::Marker;
pub(crate) use reader::Reader;

/// The streams that can be continued, by the request they answer.
#[derive(Default)]
pub(crate) struct Spools {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    spools: HashMap<TicketId, Arc<Spool>>,
    is_stopping: bool,
}

impl Spools {
    /// Keeps a stream, if there is a place for it. Those that have ended and are not read make room.
    pub(crate) fn keep(&self, spool: &Arc<Spool>) -> bool {
        let mut kept = self.lock();
        if kept.is_stopping {
            return false;
        }
        if kept.spools.len() >= spool.rules.streams_max {
            let over = kept.spools.iter().find(|(_, spool)| spool.give_up_ended()).map(|(id, _)| *id);
            let Some(over) = over else { return false };
            kept.spools.remove(&over);
        }
        kept.spools.insert(spool.id, spool.clone());
        true
    }

    /// The stream that answers `id`, for the key that asked.
    pub(crate) fn find(&self, id: TicketId, key: &str) -> Option<Arc<Spool>> {
        self.lock().spools.get(&id).filter(|spool| *spool.key == *key).cloned()
    }

    /// Keeps a stream no longer.
    pub(crate) fn forget(&self, id: TicketId) {
        self.lock().spools.remove(&id);
    }

    /// Nobody can come back any more: what nobody reads is given up at once.
    pub(crate) fn stop(&self) {
        let spools: Vec<_> = {
            let mut kept = self.lock();
            kept.is_stopping = true;
            kept.spools.values().cloned().collect()
        };
        for spool in spools {
            spool.lock().is_stopping = true;
            spool.changed.notify_one();
        }
    }

    /// How many streams are kept.
    pub(crate) fn len(&self) -> usize {
        self.lock().spools.len()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream, as far as it is kept: what one reader at a time has read last, and what it has not read yet.
pub(crate) struct Spool {
    pub(crate) id: TicketId,
    pub(crate) stamp: Stamp,
    key: Arc<str>,
    rules: ResumeRules,
    state: Mutex<State>,
    /// Tells the one that fills it that there may be room.
    roomier: Notify,
    /// Tells it that somebody reads, or nobody.
    changed: Notify,
}

/// A piece of a stream.
pub(crate) struct Entry {
    /// Its own number, or that of the event before, where it is none itself.
    pub(crate) id: u64,
    pub(crate) bytes: Bytes,
}

struct State {
    entries: VecDeque<Entry>,
    /// How many of them were handed to the reader.
    read: usize,
    bytes: usize,
    read_bytes: usize,
    /// The last event that came, and the last that is kept no more.
    last_id: u64,
    forgotten_id: u64,
    /// Who reads, by number.
    reader: Option<u64>,
    readers: u64,
    left_at: Instant,
    waker: Option<Waker>,
    is_ended: bool,
    is_given_up: bool,
    is_stopping: bool,
}

/// Whether somebody who reads already is to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Only if nobody reads.
    Free,
    /// In any case: the connection before is lost, whether or not that was noticed.
    TakeOver,
}

/// Why a stream cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotResumed {
    /// It is over, and so is its time.
    Over,
    /// Somebody reads it.
    Busy,
    /// What follows the named event is not kept any more.
    Gone,
    /// The named event has not been sent.
    Ahead,
}

impl Spool {
    /// An empty one. Somebody has to read it before its time begins to run.
    pub(crate) fn new(id: TicketId, key: Arc<str>, stamp: Stamp, rules: ResumeRules) -> Arc<Self> {
        let state = State {
            entries: VecDeque::new(),
            read: 0,
            bytes: 0,
            read_bytes: 0,
            last_id: 0,
            forgotten_id: 0,
            reader: None,
            readers: 0,
            left_at: Instant::now(),
            waker: None,
            is_ended: false,
            is_given_up: false,
            is_stopping: false,
        };
        Arc::new(Self {
            id,
            stamp,
            key,
            rules,
            state: Mutex::new(state),
            roomier: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Reads on behind the event `after`; 0 is before the first.
    pub(crate) fn read(self: &Arc<Self>, after: u64, claim: Claim) -> Result<Reader, NotResumed> {
        let mut state = self.lock();
        if state.is_given_up {
            return Err(NotResumed::Over);
        }
        if state.reader.is_some() && claim == Claim::Free {
            return Err(NotResumed::Busy);
        }
        if after < state.forgotten_id {
            return Err(NotResumed::Gone);
        }
        if after > state.last_id {
            return Err(NotResumed::Ahead);
        }
        state.go_behind(after);
        state.readers += 1;
        let number = state.readers;
        state.reader = Some(number);
        let displaced = state.waker.take();
        drop(state);
        if let Some(displaced) = displaced {
            displaced.wake();
        }
        self.readers_changed();
        Ok(Reader::new(self.clone(), number))
    }

    /// Adds what came.
    pub(crate) fn push(&self, came: impl IntoIterator<Item = Entry>) {
        let mut state = self.lock();
        for entry in came {
            state.bytes += entry.bytes.len();
            state.last_id = entry.id;
            state.entries.push_back(entry);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.is_ended = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Resolves when more may be added. One event may go beyond the limit.
    ///
    /// # Cancel safety
    /// Nothing is lost with the future.
    pub(crate) async fn room(&self) {
        while !self.lock().has_room(self.rules.buffer_bytes) {
            self.roomier.notified().await;
        }
    }

    /// Resolves when nobody has read for the time of grace; from then on nobody can.
    ///
    /// # Cancel safety
    /// Nothing is lost with the future.
    pub(crate) async fn given_up(&self) {
        loop {
            let until = match self.lock().give_up(self.rules, Instant::now()) {
                Standing::GivenUp => return,
                Standing::Read => None,
                Standing::LeftUntil(until) => Some(until),
            };
            match until {
                None => self.changed.notified().await,
                Some(until) => drop(tokio::time::timeout_at(until, self.changed.notified()).await),
            }
        }
    }

    /// Gives a stream up that has ended and that nobody reads.
    fn give_up_ended(&self) -> bool {
        let mut state = self.lock();
        if state.is_ended && state.reader.is_none() {
            state.is_given_up = true;
            drop(state);
            self.changed.notify_one();
            return true;
        }
        false
    }

    fn readers_changed(&self) {
        self.changed.notify_one();
        self.roomier.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a stream is read.
enum Standing {
    Read,
    LeftUntil(Instant),
    GivenUp,
}

impl State {
    /// Half of the room is for what was read, so that all of it is not gone when a connection is lost; a stream that nobody
    /// reads may fill it.
    fn has_room(&self, buffer_bytes: usize) -> bool {
        let unread = self.bytes - self.read_bytes;
        match self.reader {
            Some(_) => unread == 0 || unread < buffer_bytes / 2,
            None => self.bytes == 0 || self.bytes < buffer_bytes,
        }
    }

    fn give_up(&mut self, rules: ResumeRules, now: Instant) -> Standing {
        if self.is_given_up {
            return Standing::GivenUp;
        }
        if self.reader.is_some() {
            return Standing::Read;
        }
        let until = self.left_at + rules.grace;
        if now < until && !self.is_stopping {
            return Standing::LeftUntil(until);
        }
        self.is_given_up = true;
        Standing::GivenUp
    }

    fn go_behind(&mut self, after: u64) {
        self.read = self.entries.partition_point(|entry| entry.id <= after);
        self.read_bytes = self.entries.range(..self.read).map(|entry| entry.bytes.len()).sum();
    }

    /// What the reader gets next; what was read long ago is forgotten for it.
    fn take(&mut self, buffer_bytes: usize) -> Option<Bytes> {
        let bytes = self.entries.get(self.read)?.bytes.clone();
        self.read += 1;
        self.read_bytes += bytes.len();
        while self.read_bytes > buffer_bytes / 2
            && self.read > 1
            && let Some(oldest) = self.entries.pop_front()
        {
            self.read -= 1;
            self.read_bytes -= oldest.bytes.len();
            self.bytes -= oldest.bytes.len();
            self.forgotten_id = oldest.id;
        }
        Some(bytes)
    }
}
