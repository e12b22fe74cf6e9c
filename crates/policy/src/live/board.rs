//! Decides what operators can be told later: counters, last errors and recent events; no decision reads it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::asks::{BackendId, RefusedReason};
use super::event::{EventFields, EventKind};
use super::probes::Probes;
use super::state::at;
use crate::backend::Backend;

/// Events kept; older ones are forgotten.
const EVENTS_MAX: usize = 256;

/// How far back an equal event is looked for.
const REPEATS_WITHIN: usize = 4;

/// What is counted and remembered for operators.
#[derive(Debug, Default)]
pub(super) struct Board {
    records: Vec<Record>,
    events: VecDeque<Noted>,
    last_event: u64,
    pub(super) accepted_total: u64,
    pub(super) rejected_total: u64,
    pub(super) fallback_total: u64,
    pub(super) emergency_total: u64,
    pub(super) retry_denied_total: u64,
    pub(super) hedge_total: u64,
    pub(super) hedge_won_total: u64,
}

/// What is counted and remembered of one backend.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// As the snapshot has it; none when it is in none.
    pub(super) backend: Option<Arc<Backend>>,
    pub(super) requests: u64,
    pub(super) successes: u64,
    pub(super) failures: u64,
    /// 429s, which are failures too.
    pub(super) limited: u64,
    pub(super) last_error: Option<(Instant, Box<str>)>,
    pub(super) probes: Probes,
}

/// One event, or several equal ones in a row.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) number: u64,
    /// Its number when it happened first.
    pub(super) first: u64,
    pub(super) at: Instant,
    pub(super) kind: EventKind,
    pub(super) backend: Option<BackendId>,
    pub(super) fields: EventFields,
    /// Both in words, made once.
    pub(super) text: Box<str>,
    pub(super) times: u64,
}

impl Board {
    /// Makes room for one more backend.
    pub(super) fn grow(&mut self) {
        self.records.push(Record::default());
    }

    /// Takes all backends off the board, to be set anew; their counters stay.
    pub(super) fn replace_backends(&mut self) -> Vec<Option<Arc<Backend>>> {
        self.records.iter_mut().map(|record| record.backend.take()).collect()
    }

    /// Puts a backend on the board.
    pub(super) fn set_backend(&mut self, backend: &Arc<Backend>) {
        self.record(backend.id).backend = Some(Arc::clone(backend));
    }

    /// A backend's record.
    pub(super) fn record(&mut self, id: BackendId) -> &mut Record {
        self.records.get_mut(at(id.0)).expect("the board grows with the backends")
    }

    /// All records, by backend index.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Notes an event. One that repeats a recent one is counted there, so that a flood of refusals, even
    /// for two or three reasons by turns, cannot push everything else off the board.
    pub(super) fn event(
        &mut self,
        kind: EventKind,
        backend: Option<BackendId>,
        fields: EventFields,
        now: Instant,
    ) {
        self.last_event += 1;
        let same = |noted: &Noted| (noted.kind, noted.backend, &noted.fields) == (kind, backend, &fields);
        let recent = self.events.len().saturating_sub(REPEATS_WITHIN);
        let repeated =
            (recent..self.events.len()).rev().find(|index| self.events.get(*index).is_some_and(same));
        if let Some(mut noted) = repeated.and_then(|index| self.events.remove(index)) {
            noted.number = self.last_event;
            noted.at = now;
            noted.times += 1;
            self.events.push_back(noted);
            return;
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        let (number, text) = (self.last_event, fields.words(kind).into());
        self.events.push_back(Noted {
            number,
            first: number,
            at: now,
            kind,
            backend,
            fields,
            text,
            times: 1,
        });
    }

    /// Goes on counting behind the events of earlier processes.
    pub(super) fn count_on(&mut self, last: u64) {
        self.last_event = self.last_event.max(last);
    }

    /// Someone was refused.
    pub(super) fn refused(&mut self, reason: RefusedReason, now: Instant) {
        self.rejected_total += 1;
        self.event(EventKind::Refused, None, EventFields::because(reason.name()), now);
    }

    /// Recent events, oldest first.
    pub(super) fn events(&self) -> impl Iterator<Item = &Noted> {
        self.events.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_repeats_itself_keeps_its_first_number_and_counting_goes_on() {
        let (mut board, now) = (Board::default(), crate::testing::epoch());
        board.count_on(40);
        board.count_on(7);
        for text in ["one", "two", "one", "three"] {
            board.event(EventKind::Refused, None, EventFields::because(text), now);
        }
        let told: Vec<_> =
            board.events().map(|noted| (noted.first, noted.number, noted.times, &*noted.text)).collect();
        assert_eq!(told, [(42, 42, 1, "two"), (41, 43, 2, "one"), (44, 44, 1, "three")]);
    }
}
