//! Decides who may wait and for how long; never in which order, nor what they wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Names one waiter for ever. Ids grow with arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(pub(crate) u64);

/// Everyone who waits, whatever for: one bound on their number and on the bytes they hold.
#[derive(Debug)]
pub(crate) struct Waiters<T> {
    places: BTreeMap<WaiterId, Place<T>>,
    by_deadline: BTreeSet<(Instant, WaiterId)>,
    bytes: u64,
    last: u64,
    places_max: usize,
    bytes_max: u64,
}

/// One waiter's place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<T> {
    /// What it holds in memory meanwhile.
    pub(crate) bytes: u64,
    /// When it stops waiting.
    pub(crate) deadline: Instant,
    /// What it waits for.
    pub(crate) waits_for: T,
}

impl<T: Copy> Waiters<T> {
    /// An empty room.
    pub(crate) fn up_to(places_max: usize, bytes_max: u64) -> Self {
        Self {
            places: BTreeMap::new(),
            by_deadline: BTreeSet::new(),
            bytes: 0,
            last: 0,
            places_max,
            bytes_max,
        }
    }

    /// Moves the bounds. Those who wait already keep their places.
    pub(crate) fn bound(&mut self, places_max: usize, bytes_max: u64) {
        self.places_max = places_max;
        self.bytes_max = bytes_max;
    }

    /// Takes the last place, unless the room is full.
    pub(crate) fn enter(&mut self, place: Place<T>) -> Option<WaiterId> {
        let bytes = self.bytes.checked_add(place.bytes).filter(|bytes| *bytes <= self.bytes_max)?;
        if self.places.len() >= self.places_max {
            return None;
        }
        self.bytes = bytes;
        self.last += 1;
        let id = WaiterId(self.last);
        self.by_deadline.insert((place.deadline, id));
        self.places.insert(id, place);
        Some(id)
    }

    /// Gives a place up; nothing when it was given up before.
    pub(crate) fn leave(&mut self, id: WaiterId) -> Option<Place<T>> {
        let place = self.places.remove(&id)?;
        self.by_deadline.remove(&(place.deadline, id));
        self.bytes -= place.bytes;
        Some(place)
    }

    /// Whether one more of so many bytes fits, once `leaving` has left.
    pub(crate) fn fits_without(&self, leaving: WaiterId, bytes: u64) -> bool {
        let freed = self.places.get(&leaving).map_or(0, |place| place.bytes);
        let held = (self.bytes - freed).checked_add(bytes);
        self.places_max > 0 && held.is_some_and(|held| held <= self.bytes_max)
    }

    /// Everyone whose deadline has come; each stays until it leaves.
    pub(crate) fn all_expired(&self, now: Instant) -> impl Iterator<Item = (WaiterId, T)> {
        let expired = self.by_deadline.range(..=(now, WaiterId(u64::MAX)));
        expired.filter_map(|(_, id)| Some((*id, self.places.get(id)?.waits_for)))
    }

    /// Whoever's deadline has come, the earliest first; it stays until it leaves.
    pub(crate) fn expired(&self, now: Instant) -> Option<WaiterId> {
        self.by_deadline.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }

    /// When the next deadline comes.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many bytes they hold.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many may wait.
    pub(crate) fn places_max(&self) -> usize {
        self.places_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// The naive model: a list in order of arrival.
        #[test]
        fn a_room_agrees_with_a_list(
            steps in proptest::collection::vec((0_u8..3, 0_u64..40, 0_u64..50), 1..300),
            places_max in 0_usize..20,
            bytes_max in 0_u64..300,
        ) {
            let mut room = Waiters::up_to(places_max, bytes_max);
            let mut list: Vec<(WaiterId, u64, Instant)> = Vec::new();
            let mut newest = WaiterId(0);
            for (step, number, bytes) in steps {
                let deadline = epoch() + Duration::from_secs(number);
                match step {
                    0 | 1 => {
                        let held: u64 = list.iter().map(|(_, bytes, _)| bytes).sum();
                        let fits = list.len() < places_max && held + bytes <= bytes_max;
                        let id = room.enter(Place { bytes, deadline, waits_for: () });
                        prop_assert_eq!(id.is_some(), fits);
                        if let Some(id) = id {
                            prop_assert!(id > newest, "ids grow with arrival");
                            newest = id;
                            list.push((id, bytes, deadline));
                        }
                    }
                    _ => {
                        let expected = room.by_deadline.first().map(|(_, id)| *id);
                        prop_assert_eq!(room.expired(deadline).is_some(),
                            list.iter().any(|(_, _, theirs)| *theirs <= deadline));
                        if let Some(id) = expected {
                            prop_assert!(room.leave(id).is_some());
                            prop_assert!(room.leave(id).is_none(), "leaving twice changes nothing");
                            list.retain(|(theirs, _, _)| *theirs != id);
                        }
                    }
                }
                prop_assert_eq!(room.len(), list.len());
                prop_assert_eq!(room.bytes(), list.iter().map(|(_, bytes, _)| bytes).sum::<u64>());
                prop_assert_eq!(room.next_deadline(), list.iter().map(|(_, _, deadline)| *deadline).min());
            }
        }
    }
}
