//! Decides how many of those who wait go before one who comes; never more than do as things stand.

use std::hash::Hash;

use super::{Flow, LineId, Lineup, Rank, WaiterId, place};
use crate::identity::Class;
use crate::live::KeySlot;

/// So many lines are looked at, the oldest, so that a look costs much the same whoever waits.
const LINES_MAX: usize = 32;
/// In each line the waiters of so many other callers are counted, those who are next; of the callers behind them
/// [so many](CALLERS_MAX) count as one waiter each.
const CALLERS_COUNTED_MAX: usize = 16;
const CALLERS_MAX: usize = 512;

impl<D: Hash + Eq + Clone, T> Lineup<D, T> {
    /// How many of those in lines whose demand `counts` go before one who comes now.
    pub(crate) fn ahead(&self, class: Class, caller: KeySlot, counts: impl Fn(&D) -> bool) -> u64 {
        let own = self.newcomer(class, caller);
        let lines = self.lines.iter().take(LINES_MAX).filter(|(_, line)| counts(&line.demand));
        let ahead = lines.map(|(id, line)| {
            let better: usize = line.waiting[..place(class)].iter().sum();
            let mine = self.flows.get(&(class, caller)).map_or(0, |flow| flow.waiting_in(*id));
            let first = Rank { class, turn: 0, id: WaiterId(0) };
            let mut heads = line.heads.range(first..own);
            let near = heads.by_ref().take(CALLERS_COUNTED_MAX);
            let of_others: usize = near.map(|head| self.of_other(caller, *id, *head, own)).sum();
            better + mine + of_others + heads.take(CALLERS_MAX).count()
        });
        ahead.map(|count| u64::try_from(count).unwrap_or(u64::MAX)).sum()
    }

    /// How many of the flow that this head is of go before one who comes; none where that is its own.
    fn of_other(&self, caller: KeySlot, line: LineId, head: Rank, own: Rank) -> usize {
        let Some(first) = self.waiters.get(&head.id).filter(|first| first.caller != caller) else { return 0 };
        self.flows.get(&(own.class, first.caller)).map_or(0, |flow| flow.before(line, own))
    }
}

impl Flow {
    fn waiting_in(&self, line: LineId) -> usize {
        self.lanes.get(&line).map_or(0, |lane| lane.len())
    }

    /// How many of this flow that wait in this line go before another one of its class, at least.
    fn before(&self, line: LineId, other: Rank) -> usize {
        let turns = other.turn.checked_sub(self.turn).map_or(0, |turns| 1 + turns / self.step.max(1));
        let before = usize::try_from(turns).unwrap_or(usize::MAX).min(self.members.len());
        // Those of other lines may be among them.
        before.saturating_sub(self.members.len() - self.waiting_in(line))
    }
}
