//! Decides which turns the waiters of one caller have, by what its earlier ones took; never whose turn it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{LineId, Rank, WaiterId};
use crate::identity::Class;

/// The waiters of one caller in one class.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) turn: u64,
    pub(super) step: u64,
    pub(super) members: BTreeSet<WaiterId>,
    pub(super) lanes: BTreeMap<LineId, BTreeSet<WaiterId>>,
}

impl Flow {
    /// The turn of the waiter behind so many others of this flow.
    pub(super) fn turn_of(&self, ahead: usize) -> u64 {
        let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
        self.turn.saturating_add(self.step.saturating_mul(ahead))
    }

    pub(super) fn heads(&self, class: Class) -> impl Iterator<Item = (LineId, Rank)> {
        let first = |(line, lane): (&LineId, &BTreeSet<WaiterId>)| Some((*line, *lane.first()?));
        let lanes = self.lanes.iter().filter_map(first);
        lanes.map(move |(line, id)| (line, Rank { class, turn: self.turn, id }))
    }

    pub(super) fn tail(&self, class: Class) -> Option<Rank> {
        let id = *self.members.last()?;
        Some(Rank { class, turn: self.turn_of(self.members.len() - 1), id })
    }
}
