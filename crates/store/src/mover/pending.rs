//! Folds journal lines into ledger lines and decides what an attempt without an end is charged; it never reads
//! or writes a file or a database.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use policy::{
    Amount, AttemptId, AttemptOutcome, Bound, Closed, Entry, Opened, Progress, Reasoned, Receipt,
    RequestOutcome, TicketId, Timestamp,
};
use protocol::{Usage, UsageSource};
use serde::{Deserialize, Serialize};

use crate::ledger::AttemptLine;

/// The error code of what the end of the process cut off.
pub const INTERRUPTED: &str = "interrupted";

/// An attempt whose ticket is not settled yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PendingAttempt {
    opened: Opened,
    progress: Option<Progress>,
    closed: Option<Closed>,
}

/// A ticket that has opened an attempt and is not settled yet.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct PendingTicket {
    attempts: Vec<PendingAttempt>,
    /// The database has some state of it.
    #[serde(skip)]
    stored: bool,
    /// It changed since.
    #[serde(skip)]
    changed: bool,
}

/// Ledger lines that are due.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) attempts: Vec<AttemptLine>,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) bindings: Vec<Bound>,
    pub(crate) reasons: Vec<Reasoned>,
    /// Tickets whose state in the database is no longer needed.
    pub(crate) forget: Vec<TicketId>,
}

/// All tickets that are not settled yet. As large as what is in flight.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    tickets: HashMap<TicketId, PendingTicket>,
}

impl Pending {
    /// Takes back what [`Pending::unstored`] gave out in an earlier process.
    pub(crate) fn restore(&mut self, ticket: TicketId, state: &str) -> Result<(), serde_json::Error> {
        let restored: PendingTicket = serde_json::from_str(state)?;
        self.tickets.insert(ticket, PendingTicket { stored: true, ..restored });
        Ok(())
    }

    /// The tickets that the database does not know, or not as they are now, as text.
    pub(crate) fn unstored(&self) -> Vec<(TicketId, String)> {
        let changed = self.tickets.iter().filter(|(_, pending)| pending.changed);
        changed
            .map(|(ticket, pending)| {
                (*ticket, serde_json::to_string(pending).expect("plain data with text keys is always JSON"))
            })
            .collect()
    }

    /// The database has now what [`Pending::unstored`] gave.
    pub(crate) fn mark_stored(&mut self) {
        for pending in self.tickets.values_mut().filter(|pending| pending.changed) {
            pending.changed = false;
            pending.stored = true;
        }
    }

    /// Takes one line in.
    pub(crate) fn take(&mut self, entry: Entry, due: &mut Due) {
        match entry {
            Entry::Opened(opened) => self.open(opened),
            Entry::Progress(progress) => {
                if let Some(attempt) = self.attempt(progress.attempt) {
                    attempt.progress = Some(progress);
                }
            }
            Entry::Closed(closed) => {
                let opened = self.attempt(closed.attempt).map(|attempt| {
                    attempt.closed = Some(closed.clone());
                    &attempt.opened
                });
                let line = match opened {
                    Some(opened) => line(opened.clone(), closed),
                    None => line_without_open(closed, None),
                };
                due.attempts.push(line);
            }
            Entry::Settled { last, receipt } => self.settle(last, receipt, due),
            Entry::Bound(bound) => due.bindings.push(bound),
            Entry::Reasoned(reasoned) => due.reasons.push(reasoned),
        }
    }

    fn open(&mut self, opened: Opened) {
        let pending = self.tickets.entry(opened.attempt.ticket).or_default();
        pending.changed = true;
        // A line that is replayed on top of restored state says nothing new.
        if pending.attempts.iter().all(|known| known.opened.attempt != opened.attempt) {
            pending.attempts.push(PendingAttempt { opened, progress: None, closed: None });
        }
    }

    fn attempt(&mut self, attempt: AttemptId) -> Option<&mut PendingAttempt> {
        let pending = self.tickets.get_mut(&attempt.ticket)?;
        pending.changed = true;
        pending.attempts.iter_mut().find(|known| known.opened.attempt == attempt)
    }

    fn settle(&mut self, last: Option<Closed>, receipt: Receipt, due: &mut Due) {
        let pending = self.tickets.remove(&receipt.ticket).unwrap_or_default();
        if pending.stored {
            due.forget.push(receipt.ticket);
        }
        let mut last = last;
        for attempt in pending.attempts {
            match last.take_if(|last| last.attempt == attempt.opened.attempt) {
                Some(closed) => due.attempts.push(line(attempt.opened, closed)),
                None if attempt.closed.is_none() => due.attempts.push(interrupted(attempt)),
                None => {}
            }
        }
        due.attempts.extend(last.map(|closed| line_without_open(closed, Some(&receipt))));
        due.receipts.push(receipt);
    }

    /// Ends what an earlier process left open. Call when its last line was taken.
    pub(crate) fn interrupt_all(&mut self, due: &mut Due) {
        let mut left: Vec<_> = self.tickets.drain().collect();
        left.sort_unstable_by_key(|(ticket, _)| *ticket);
        for (ticket, pending) in left {
            if pending.stored {
                due.forget.push(ticket);
            }
            interrupt(ticket, pending, due);
        }
    }
}

fn interrupt(ticket: TicketId, pending: PendingTicket, due: &mut Due) {
    let Some(first_at) = pending.attempts.iter().map(|attempt| attempt.opened.at).min() else { return };
    let Some(template) = pending.attempts.last().map(|attempt| attempt.opened.clone()) else { return };
    let attempts = u8::try_from(pending.attempts.len()).unwrap_or(u8::MAX);
    let (mut usage, mut cost, mut last_at) = (Usage::default(), Amount::ZERO, first_at);
    let (mut source, mut unpriced) = (UsageSource::Provider, false);
    for attempt in pending.attempts {
        let line = match attempt.closed.clone() {
            // It is in the ledger already, or will be refused as known.
            Some(closed) => line(attempt.opened, closed),
            None => interrupted(attempt),
        };
        let ended = Timestamp(line.at.0.saturating_add_unsigned(line.total_ms));
        (usage, cost, last_at) =
            (usage.plus(&line.usage), cost.saturating_add(line.cost), last_at.max(ended));
        source = line.usage_source;
        unpriced |= line.unpriced;
        due.attempts.push(line);
    }
    due.receipts.push(Receipt {
        ticket,
        request_id: template.request_id,
        key: template.key,
        team: template.team,
        tags: template.tags,
        client_addr: None,
        model_asked: template.model_asked,
        model_served: Some(template.model),
        backend: Some(template.backend),
        pool: Some(template.pool),
        dialect_in: template.dialect_in,
        dialect_out: Some(template.dialect_out),
        stream: template.stream,
        status: 0,
        outcome: RequestOutcome::Interrupted,
        error_code: Some(Cow::Borrowed(INTERRUPTED)),
        attempts,
        at: first_at,
        queue_ms: 0,
        first_event_ms: None,
        total_ms: u64::try_from(last_at.0 - first_at.0).unwrap_or(0),
        bytes_in: 0,
        bytes_out: 0,
        usage,
        usage_source: source,
        cost,
        unpriced,
        price_version: template.price.map(|price| Arc::clone(&price.version)),
        keepalive_committed: false,
    });
}

/// An attempt of which nothing more was heard: charged with what was last metered, or, when nothing was, with
/// what its open line estimated.
fn interrupted(attempt: PendingAttempt) -> AttemptLine {
    let PendingAttempt { opened, progress, .. } = attempt;
    let at = progress.map_or(opened.at, |progress| progress.at);
    let usage = progress.map_or(opened.estimate, |progress| progress.usage);
    let closed = Closed {
        attempt: opened.attempt,
        at,
        outcome: AttemptOutcome::Interrupted,
        status: None,
        error_code: Some(Cow::Borrowed(INTERRUPTED)),
        usage,
        usage_source: UsageSource::Estimated,
        cost: opened.price.as_ref().map_or(Amount::ZERO, |price| price.cost(&usage)),
        unpriced: opened.price.is_none(),
        first_event_ms: None,
        total_ms: u64::try_from(at.0 - opened.at.0).unwrap_or(0),
    };
    line(opened, closed)
}

fn line(opened: Opened, closed: Closed) -> AttemptLine {
    AttemptLine {
        attempt: opened.attempt,
        at: opened.at,
        key: opened.key,
        team: opened.team,
        tags: opened.tags,
        backend: opened.backend,
        pool: opened.pool,
        label: opened.label,
        model: opened.model,
        native: opened.native,
        outcome: closed.outcome,
        status: closed.status,
        error_code: closed.error_code.map(|code| code.into_owned().into_boxed_str()),
        first_event_ms: closed.first_event_ms,
        total_ms: closed.total_ms,
        usage: closed.usage,
        usage_source: closed.usage_source,
        cost: closed.cost,
        unpriced: closed.unpriced,
        price_version: opened.price.map(|price| Arc::clone(&price.version)),
    }
}

/// The open line was lost to damage: the money still counts, under what the receipt knows.
fn line_without_open(closed: Closed, receipt: Option<&Receipt>) -> AttemptLine {
    let nothing: Arc<str> = Arc::from("");
    let known = |field: fn(&Receipt) -> Option<&Arc<str>>| {
        receipt.and_then(field).map_or_else(|| Arc::clone(&nothing), Arc::clone)
    };
    AttemptLine {
        attempt: closed.attempt,
        at: Timestamp(closed.at.0.saturating_sub_unsigned(closed.total_ms)),
        key: receipt.and_then(|receipt| receipt.key.clone()),
        team: receipt.and_then(|receipt| receipt.team.clone()),
        tags: receipt.map(|receipt| receipt.tags.clone()).unwrap_or_default(),
        backend: known(|receipt| receipt.backend.as_ref()),
        pool: known(|receipt| receipt.pool.as_ref()),
        label: Arc::clone(&nothing),
        model: known(|receipt| receipt.model_served.as_ref()),
        native: Arc::clone(&nothing),
        outcome: closed.outcome,
        status: closed.status,
        error_code: closed.error_code.map(|code| code.into_owned().into_boxed_str()),
        first_event_ms: closed.first_event_ms,
        total_ms: closed.total_ms,
        usage: closed.usage,
        usage_source: closed.usage_source,
        cost: closed.cost,
        unpriced: closed.unpriced,
        price_version: receipt.and_then(|receipt| receipt.price_version.clone()),
    }
}
