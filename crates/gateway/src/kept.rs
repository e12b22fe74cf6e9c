//! Decides how long responses are kept for backends that keep none, and who may have them; never what is said of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use policy::KeptRules;
use protocol::{Dialect, kept::Past};
use store::{KeptResponse, KeptResponses, Shelf, Shelved};
use tokio::{sync::Notify, time::Instant};

use crate::{clock::Clock, gateway::Gateway};

/// What each entry costs beside its bytes: its id, twice, and its places.
const ENTRY_BYTES: usize = 512;

/// Responses by their ids. Requests use what is in memory; the shelf has the same on disk, a moment later.
pub(crate) struct Keeper {
    known: Mutex<Known>,
    shelf: Shelf,
    clock: Arc<dyn Clock>,
    first_end_changed: Notify,
}

struct Known {
    by_id: HashMap<Arc<str>, Kept>,
    /// The first to end first.
    by_end: BTreeMap<End, Arc<str>>,
    bytes: usize,
    /// How many there have been.
    number: u64,
    rules: KeptRules,
}

/// When one is over; the number keeps apart what is over at once.
type End = (Instant, u64);

struct Kept {
    owner: Arc<str>,
    what: Bytes,
    end: End,
    on_disk: Shelved,
}

/// What a response needs to be kept when it is whole.
pub(crate) struct Memory {
    /// The client's request.
    pub(crate) body: Bytes,
    /// What was kept of the responses that it rests on.
    pub(crate) past: Past,
    /// The key it belongs to.
    pub(crate) owner: Arc<str>,
}

impl Keeper {
    /// Begins with what earlier processes kept.
    pub(crate) fn new(kept: KeptResponses, clock: Arc<dyn Clock>) -> Self {
        let KeptResponses { remembered, shelf } = kept;
        let (now, wall) = (Instant::now(), clock.wall());
        let rules = KeptRules { time: Duration::MAX, bytes_max: usize::MAX };
        let (by_id, by_end) = (HashMap::new(), BTreeMap::new());
        let mut known = Known { by_id, by_end, bytes: 0, number: 0, rules };
        for KeptResponse { id, owner, until, what } in remembered {
            let left = u64::try_from(until.0.saturating_sub(wall.0)).ok().filter(|left| *left > 0);
            match left.and_then(|left| now.checked_add(Duration::from_millis(left))) {
                Some(until) => {
                    known.insert(id, Kept { owner, what, end: (until, 0), on_disk: Shelved::Taken })
                }
                None => shelf.forget(&id),
            }
        }
        Self { known: Mutex::new(known), shelf, clock, first_end_changed: Notify::new() }
    }

    /// Goes by these rules from now on, also with what is kept already.
    pub(crate) fn obey(&self, rules: KeptRules, now: Instant) {
        let over = self.known().obey(rules, now);
        self.forget_on_disk(over);
        self.first_end_changed.notify_one();
    }

    /// Keeps what `memory` and the whole `response` make, if it is one that has an id. Says whether it will outlive the
    /// process; nothing where it is not kept.
    pub(crate) fn keep(&self, memory: &Memory, response: &[u8], now: Instant) -> Option<Shelved> {
        let rules = self.known().rules;
        let id = protocol::inspect_answer(Dialect::OpenAiResponses, response).ok()?.id?;
        let until = now.checked_add(rules.time).filter(|until| *until > now)?;
        let what = protocol::kept::remember(&memory.body, &memory.past, response).ok()?;
        if what.len() + ENTRY_BYTES > rules.bytes_max {
            return None;
        }
        let (id, owner): (Arc<str>, _) = (id.into(), memory.owner.clone());
        let on_disk = self.shelf.keep(KeptResponse {
            id: id.clone(),
            owner: owner.clone(),
            until: self.clock.wall().after(rules.time),
            what: what.clone(),
        });
        let mut known = self.known();
        known.insert(id, Kept { owner, what, end: (until, 0), on_disk });
        let (over, is_first) = (known.give_way(now), known.first_end() == Some(until));
        drop(known);
        self.forget_on_disk(over);
        if is_first {
            self.first_end_changed.notify_one();
        }
        Some(on_disk)
    }

    /// What was kept under an id, for its owner.
    pub(crate) fn find(&self, id: &str, owner: &str, now: Instant) -> Option<Bytes> {
        let known = self.known();
        let kept = known.by_id.get(id).filter(|kept| &*kept.owner == owner && kept.end.0 > now)?;
        Some(kept.what.clone())
    }

    /// Forgets it, at its owner's wish.
    pub(crate) fn forget(&self, id: &str) {
        let over = self.known().remove(id);
        self.forget_on_disk(over);
    }

    /// What all of them take.
    pub(crate) fn bytes(&self) -> usize {
        self.known().bytes
    }

    /// Waits until all that was kept or forgotten so far is on disk, at most for `limit`. Blocks.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        self.shelf.flush(limit)
    }

    /// Forgets what is over; says when the next one will be.
    fn give_way(&self, now: Instant) -> Option<Instant> {
        let mut known = self.known();
        let (over, next) = (known.give_way(now), known.first_end());
        drop(known);
        self.forget_on_disk(over);
        next
    }

    fn forget_on_disk(&self, over: impl IntoIterator<Item = Arc<str>>) {
        over.into_iter().for_each(|id| self.shelf.forget(&id));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets each response when its time is over, whether or not anybody comes.
pub(crate) async fn forget_in_time(gateway: Arc<Gateway>) {
    let keeper = &gateway.kept;
    loop {
        let changed = keeper.first_end_changed.notified();
        match keeper.give_way(Instant::now()) {
            // Whether its time has come or another is over sooner, the loop looks.
            Some(next) => drop(tokio::time::timeout_at(next, changed).await),
            None => changed.await,
        }
    }
}

impl Known {
    /// What it keeps must not be known under this id before: ids of responses are made of tickets, and never come twice.
    fn insert(&mut self, id: Arc<str>, kept: Kept) {
        self.number += 1;
        let end = (kept.end.0, self.number);
        self.bytes += kept.what.len() + ENTRY_BYTES;
        self.by_end.insert(end, id.clone());
        if let Some(before) = self.by_id.insert(id, Kept { end, ..kept }) {
            self.by_end.remove(&before.end);
            self.bytes -= before.what.len() + ENTRY_BYTES;
        }
    }

    fn obey(&mut self, rules: KeptRules, now: Instant) -> Vec<Arc<str>> {
        if self.rules == rules {
            return Vec::new();
        }
        self.rules = rules;
        if let Some(latest) = now.checked_add(rules.time) {
            let later = self.by_end.split_off(&(latest, 0));
            for ((_, number), id) in later {
                if let Some(kept) = self.by_id.get_mut(&id) {
                    kept.end = (latest, number);
                    self.by_end.insert(kept.end, id);
                }
            }
        }
        self.give_way(now)
    }

    /// Drops what is over and what is too much. Gives what is to be forgotten on disk, too.
    fn give_way(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut over = Vec::new();
        while let Some((&(until, _), id)) = self.by_end.first_key_value() {
            if until > now && self.bytes <= self.rules.bytes_max {
                break;
            }
            let id = id.clone();
            over.extend(self.remove(&id));
        }
        over
    }

    fn first_end(&self) -> Option<Instant> {
        self.by_end.first_key_value().map(|((until, _), _)| *until)
    }

    /// The id, if it is to be forgotten on disk, too.
    fn remove(&mut self, id: &str) -> Option<Arc<str>> {
        let (id, kept) = self.by_id.remove_entry(id)?;
        self.by_end.remove(&kept.end);
        self.bytes -= kept.what.len() + ENTRY_BYTES;
        (kept.on_disk == Shelved::Taken).then_some(id)
    }
}

#[cfg(test)]
mod tests;
