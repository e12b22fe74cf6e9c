//! Decides who goes before its turn because it would leave otherwise; never so often that others pay for one who always
//! asks for too much.

use std::hash::Hash;
use std::time::{Duration, Instant};

use super::{Lineup, Next, WaiterId, place};

/// Who leaves so soon goes before its turn.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// So many turns a caller has in advance at most, for which it waits longer afterwards. Callers who ask for much the same
/// are so served in order of arrival where that saves some from leaving; one who asks for far more than the
/// others has used them up once and for all, until nobody waits any more.
const IN_ADVANCE: u64 = 32;

/// Whose turn one takes who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Its caller's.
    Due,
    /// One that its caller has only later.
    InAdvance,
}

impl<D: Hash + Eq + Clone, T> Lineup<D, T> {
    /// Who is next of all whose line is open: one in the line that is next whose last moment it is, else whose turn
    /// it is.
    pub(crate) fn next_at(&self, now: Instant) -> Option<Next<'_, D, T>> {
        let next = self.next()?;
        self.leaving(&next, now).or(Some(next))
    }

    /// Takes out one who starts before its caller's turn: whose turn it is, that stays.
    pub(crate) fn serve_in_advance(&mut self, id: WaiterId) -> Option<(D, T)> {
        let (class, caller) = self.waiters.get(&id).map(|waiter| (waiter.class, waiter.caller))?;
        let now = self.classes[place(class)].clock;
        self.relist((class, caller), |flow| flow.turn = flow.turn.max(now).saturating_add(flow.step));
        let gone = self.remove(id);
        self.forget_until(class, now);
        gone
    }

    /// The one in the same line and class who leaves first, if that is soon, nobody of its caller goes before it, and its
    /// caller has turns in advance left.
    fn leaving(&self, next: &Next<'_, D, T>, now: Instant) -> Option<Next<'_, D, T>> {
        let (deadline, id) = *self.lines.get(&next.line)?.deadlines.first()?;
        if id == next.id || deadline > now + LAST_MOMENT {
            return None;
        }
        let waiter = self.waiters.get(&id).filter(|waiter| waiter.class == next.class)?;
        let flow = self.flows.get(&(waiter.class, waiter.caller))?;
        let taken = flow.turn.saturating_sub(self.classes[place(waiter.class)].clock);
        if flow.members.first() != Some(&id) || taken >= flow.step.saturating_mul(IN_ADVANCE) {
            return None;
        }
        Some(Next { turn: Turn::InAdvance, ..self.view(id, next.line)? })
    }
}
