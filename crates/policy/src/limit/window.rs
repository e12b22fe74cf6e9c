//! Decides how much of what happened lately was bad; never what follows from it.

use std::time::{Duration, Instant};

/// What happened in one slot of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All of it.
    pub(crate) total: u32,
    /// The bad part.
    pub(crate) bad: u32,
}

/// A sliding window in fixed memory: `N` slots, each an `N`th of its length.
#[derive(Debug, Clone)]
pub(crate) struct Window<const N: usize> {
    width: Duration,
    slots: [Tally; N],
    newest: usize,
    /// When the newest slot began; none while nothing has happened.
    began: Option<Instant>,
    sum: Tally,
}

impl<const N: usize> Window<N> {
    /// An empty window over a time.
    pub(crate) fn over(length: Duration) -> Self {
        let slots = u32::try_from(N).expect("windows have few slots");
        let width = (length / slots).max(Duration::from_millis(1));
        Self { width, slots: [Tally::default(); N], newest: 0, began: None, sum: Tally::default() }
    }

    /// Makes it a window over another time; it forgets everything if that is another one.
    pub(crate) fn set_length(&mut self, length: Duration) {
        let other = Self::over(length);
        if other.width != self.width {
            *self = other;
        }
    }

    /// Something good happened.
    pub(crate) fn good(&mut self, now: Instant) {
        self.add(Tally { total: 1, bad: 0 }, now);
    }

    /// Something bad happened.
    pub(crate) fn bad(&mut self, now: Instant) {
        self.add(Tally { total: 1, bad: 1 }, now);
    }

    /// What happened within the window, and forgets what is older.
    pub(crate) fn tally(&mut self, now: Instant) -> Tally {
        self.slide(now);
        self.sum
    }

    /// What it held when it was last asked or told.
    pub(crate) fn last_tally(&self) -> Tally {
        self.sum
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.slots = [Tally::default(); N];
        self.sum = Tally::default();
        self.began = None;
    }

    fn add(&mut self, one: Tally, now: Instant) {
        self.slide(now);
        self.began.get_or_insert(now);
        if let Some(slot) = self.slots.get_mut(self.newest) {
            *slot = slot.plus(one);
            self.sum = self.sum.plus(one);
        }
    }

    fn slide(&mut self, now: Instant) {
        let Some(began) = self.began else { return };
        let age = now.saturating_duration_since(began);
        let steps = age.as_nanos() / self.width.as_nanos();
        let Some(steps) = u32::try_from(steps).ok().filter(|steps| at(*steps) < N) else {
            self.clear();
            return;
        };
        for _ in 0..steps {
            self.newest = (self.newest + 1) % N;
            if let Some(slot) = self.slots.get_mut(self.newest) {
                self.sum = self.sum.minus(*slot);
                *slot = Tally::default();
            }
        }
        self.began = Some(began + self.width * steps);
    }
}

fn at(steps: u32) -> usize {
    usize::try_from(steps).unwrap_or(usize::MAX)
}

impl Tally {
    /// Whether at least this share of it was bad; of nothing, nothing is.
    pub(crate) fn reaches(self, percent: u8) -> bool {
        self.total > 0 && u64::from(self.bad) * 100 >= u64::from(self.total) * u64::from(percent)
    }

    /// Whether more than this share of it was bad.
    pub(crate) fn exceeds(self, percent: u8) -> bool {
        u64::from(self.bad) * 100 > u64::from(self.total) * u64::from(percent)
    }

    /// The bad share in percent, rounded down.
    pub(crate) fn percent(self) -> u8 {
        let percent = u64::from(self.bad) * 100 / u64::from(self.total.max(1));
        u8::try_from(percent).unwrap_or(100)
    }

    fn plus(self, other: Self) -> Self {
        Self { total: self.total.saturating_add(other.total), bad: self.bad.saturating_add(other.bad) }
    }

    fn minus(self, other: Self) -> Self {
        Self { total: self.total.saturating_sub(other.total), bad: self.bad.saturating_sub(other.bad) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;
    use proptest::prelude::*;

    proptest! {
        /// The naive model: a list of all that happened, each in its slot. Slots are counted from the first
        /// event, and anew from the first after a silence as long as the window.
        #[test]
        fn a_window_agrees_with_a_list(steps in proptest::collection::vec((0_u64..4_000, any::<bool>()), 1..200)) {
            let mut window: Window<10> = Window::over(Duration::from_secs(10));
            let mut list: Vec<(u64, bool)> = Vec::new();
            let (mut millis, mut start) = (0, 0);
            for (wait, is_bad) in steps {
                millis += if wait > 3_900 { 11_000 } else { wait };
                let now = epoch() + Duration::from_millis(millis);
                if list.last().is_none_or(|(last, _)| (millis - start) / 1000 >= last + 10) {
                    (list, start) = (Vec::new(), millis);
                }
                let slot = (millis - start) / 1000;
                list.retain(|(theirs, _)| theirs + 10 > slot);
                list.push((slot, is_bad));
                if is_bad { window.bad(now) } else { window.good(now) }
                let bad = list.iter().filter(|(_, bad)| *bad).count();
                let tally = window.tally(now);
                prop_assert_eq!((tally.total, tally.bad), (u32::try_from(list.len())?, u32::try_from(bad)?));
            }
        }
    }

    #[test]
    fn shares_are_exact_at_their_edges() {
        let tally = |total, bad| Tally { total, bad };
        assert!(tally(20, 1).reaches(5) && !tally(21, 1).reaches(5) && !tally(0, 0).reaches(0));
        assert!(tally(99, 20).exceeds(20) && !tally(100, 20).exceeds(20) && !tally(0, 0).exceeds(0));
        assert_eq!((tally(3, 1).percent(), tally(0, 0).percent()), (33, 0));
    }
}
