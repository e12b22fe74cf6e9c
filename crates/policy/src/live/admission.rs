//! Decides which of those waiting to be let in comes next; never lets anyone in itself.

use std::collections::{BTreeSet, HashMap};

use super::asks::KeySlot;
use crate::limit::WaiterId;

/// Those waiting to be let in. First in, first out, except that one whose key has no room does not hold
/// up the others: it steps aside until its key has room.
///
/// A key's waiters step aside and come back oldest first, and each ending of one of its requests brings
/// one back, so every operation costs a logarithm, not a walk along the queue.
#[derive(Debug, Default)]
pub(super) struct AdmissionQueue {
    ready: BTreeSet<WaiterId>,
    aside: HashMap<KeySlot, BTreeSet<WaiterId>>,
    asks: HashMap<WaiterId, Asked>,
}

/// What one who waits had asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) key: KeySlot,
    pub(super) ceiling: Option<u32>,
}

impl AdmissionQueue {
    /// Takes the last place.
    pub(super) fn push(&mut self, id: WaiterId, asked: Asked) {
        self.asks.insert(id, asked);
        // Behind those of its own key who already stepped aside, so that it cannot pass them.
        match self.aside.get_mut(&asked.key) {
            Some(line) => line.insert(id),
            None => self.ready.insert(id),
        };
    }

    /// Removes one who waits; nothing when it does not.
    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Asked> {
        let asked = self.asks.remove(&id)?;
        if self.ready.remove(&id) {
            // Room that it would have taken may be what the next of its key stepped aside for.
            self.bring_back(asked.key);
        } else {
            self.forget_aside(asked.key, id);
        }
        Some(asked)
    }

    /// Takes out the oldest whose key has room.
    pub(super) fn pop(&mut self, has_room: impl Fn(Asked) -> bool) -> Option<(WaiterId, Asked)> {
        while let Some(id) = self.ready.pop_first() {
            let asked = *self.asks.get(&id).expect("everyone ready has asked");
            if has_room(asked) {
                self.asks.remove(&id);
                return Some((id, asked));
            }
            self.aside.entry(asked.key).or_default().insert(id);
        }
        None
    }

    /// A request of this key ended: its oldest who stepped aside comes back.
    pub(super) fn bring_back(&mut self, key: KeySlot) {
        let Some(oldest) = self.aside.get(&key).and_then(|line| line.first().copied()) else { return };
        self.forget_aside(key, oldest);
        self.ready.insert(oldest);
    }

    /// Whether a key has anyone waiting who stepped aside.
    pub(super) fn has_aside(&self, key: KeySlot) -> bool {
        self.aside.contains_key(&key)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    fn forget_aside(&mut self, key: KeySlot, id: WaiterId) {
        let Some(line) = self.aside.get_mut(&key) else { return };
        line.remove(&id);
        if line.is_empty() {
            self.aside.remove(&key);
        }
    }
}
