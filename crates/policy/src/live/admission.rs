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
        self.ready.insert(id);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CEILINGS: [Option<u32>; 3] = [Some(1), Some(2), None];

    /// Everyone waiting and in flight, as plain lists.
    #[derive(Default)]
    struct Naive {
        waiting: Vec<(WaiterId, usize)>,
        inside: Vec<usize>,
    }

    impl Naive {
        fn has_room(&self, key: usize) -> bool {
            let inside = self.inside.iter().filter(|theirs| **theirs == key).count();
            CEILINGS[key].is_none_or(|ceiling| inside < usize::try_from(ceiling).expect("small"))
        }
    }

    fn slot(key: usize) -> KeySlot {
        KeySlot(u32::try_from(key).expect("small"))
    }

    proptest! {
        /// Whoever comes, leaves or ends: the next let in is the oldest whose key has room.
        #[test]
        fn the_oldest_whose_key_has_room_is_next(
            steps in proptest::collection::vec((0_u8..5, 0_usize..12), 1..200),
            mut ceiling in 1_usize..5,
        ) {
            let (mut queue, mut naive, mut last) = (AdmissionQueue::default(), Naive::default(), 0);
            for (step, number) in steps {
                match step {
                    0 | 1 => {
                        last += 1;
                        let key = number % CEILINGS.len();
                        queue.push(WaiterId(last), Asked { key: slot(key), ceiling: CEILINGS[key] });
                        naive.waiting.push((WaiterId(last), key));
                    }
                    2 if number < naive.waiting.len() => {
                        let (id, key) = naive.waiting.remove(number);
                        prop_assert_eq!(queue.remove(id).map(|asked| asked.key), Some(slot(key)));
                        prop_assert!(queue.remove(id).is_none());
                    }
                    3 if number < naive.inside.len() => {
                        let key = naive.inside.remove(number);
                        queue.bring_back(slot(key));
                    }
                    // A reload may lower it below what is inside: then endings let nobody in.
                    4 => ceiling = 1 + number % 5,
                    _ => {}
                }
                while naive.inside.len() < ceiling {
                    let next = naive.waiting.iter().position(|(_, key)| naive.has_room(*key));
                    let expected = next.map(|index| naive.waiting.remove(index));
                    let has_room = |asked: Asked| naive.has_room(usize::try_from(asked.key.0).expect("small"));
                    prop_assert_eq!(queue.pop(has_room).map(|(id, _)| id), expected.map(|(id, _)| id));
                    let Some((_, key)) = expected else { break };
                    naive.inside.push(key);
                }
                prop_assert_eq!(queue.len(), naive.waiting.len());
                prop_assert_eq!(queue.is_empty(), naive.waiting.is_empty());
            }
        }
    }
}
