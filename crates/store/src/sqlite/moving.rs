//! Takes a batch of journal lines into the ledger in one transaction, each line at most once; it never retries.

use std::collections::HashMap;

use policy::{Bound, Reasoned, Receipt, TicketId};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::bindings;
use super::ledger::{
    attempt_inserter, insert_attempt, insert_receipt, int, receipt_inserter, ticket_blob, uint,
};
use super::rollups::Gathered;
use crate::error::StoreError;
use crate::journal::Position;
use crate::ledger::AttemptLine;

/// Lines in one piece of the work, a fraction of a millisecond: on a machine whose cores are all taken, whoever carries
/// requests goes between two of them.
const LINES_IN_PIECE: usize = 16;

/// Lets others go before, after each piece of the work; not where so much waits that they would have to wait for it in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Manners {
    #[default]
    Polite,
    InHurry,
}

impl Manners {
    /// So many lines are done.
    pub(crate) fn step_aside(self, lines: usize) {
        if self == Self::Polite && lines.is_multiple_of(LINES_IN_PIECE) {
            std::thread::yield_now();
        }
    }
}

/// What one transaction takes over.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) attempts: Vec<AttemptLine>,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) bindings: Vec<Bound>,
    pub(crate) reasons: Vec<Reasoned>,
    /// Unsettled tickets to remember, as their journal segments go.
    pub(crate) remember: Vec<(TicketId, String)>,
    /// Remembered tickets that are settled now.
    pub(crate) forget: Vec<TicketId>,
    /// Up to where the journal is taken over.
    pub(crate) position: Position,
    pub(crate) manners: Manners,
}

impl Batch {
    /// Whether there is nothing in it but a position.
    pub(crate) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
            && self.receipts.is_empty()
            && self.bindings.is_empty()
            && self.reasons.is_empty()
            && self.remember.is_empty()
            && self.forget.is_empty()
    }
}

/// Takes the batch over: all of it, or nothing.
pub(crate) fn take_over(connection: &mut Connection, batch: &Batch) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    insert(&transaction, batch)?;
    remember(&transaction, batch)?;
    bindings::insert(&transaction, &batch.bindings)?;
    reason(&transaction, &batch.reasons)?;
    let [segment, offset] = [int(batch.position.segment), int(batch.position.offset)];
    transaction
        .prepare_cached("UPDATE journal SET segment = ?1, \"offset\" = ?2 WHERE id = 1")?
        .execute([segment, offset])?;
    transaction.commit()?;
    Ok(())
}

/// Inserts what the ledger has not yet, and adds exactly that to the sums.
fn insert(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let mut gathered = Gathered::default();
    let mut statement = attempt_inserter(transaction)?;
    for (lines, attempt) in batch.attempts.iter().enumerate() {
        batch.manners.step_aside(lines);
        if insert_attempt(&mut statement, attempt)? {
            gathered.attempt(attempt);
        }
    }
    let mut statement = receipt_inserter(transaction)?;
    let mut used: HashMap<&str, i64> = HashMap::new();
    for (lines, receipt) in batch.receipts.iter().enumerate() {
        batch.manners.step_aside(lines);
        if insert_receipt(&mut statement, receipt)? {
            gathered.receipt(receipt);
            if let Some(key) = receipt.key.as_deref() {
                let last = used.entry(key).or_insert(receipt.at.0);
                *last = receipt.at.0.max(*last);
            }
        }
    }
    let mut use_key = transaction
        .prepare_cached("UPDATE keys SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1")?;
    for (key, at) in used {
        use_key.execute(params![key, at])?;
    }
    gathered.store(transaction)
}

fn remember(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let mut forget = transaction.prepare_cached("DELETE FROM pending_tickets WHERE ticket = ?1")?;
    for ticket in &batch.forget {
        forget.execute([ticket_blob(*ticket)])?;
    }
    let mut remember = transaction.prepare_cached(
        "INSERT INTO pending_tickets (ticket, state) VALUES (?1, ?2) \
         ON CONFLICT (ticket) DO UPDATE SET state = excluded.state",
    )?;
    for (ticket, state) in &batch.remember {
        remember.execute(params![ticket_blob(*ticket), state])?;
    }
    Ok(())
}

fn reason(transaction: &Transaction<'_>, reasons: &[Reasoned]) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO reasons (ticket, told) VALUES (?1, ?2)";
    let mut insert = transaction.prepare_cached(sql)?;
    for Reasoned { ticket, text } in reasons {
        insert.execute(params![ticket_blob(*ticket), &**text])?;
    }
    Ok(())
}

/// Where the ledger stands.
pub(crate) fn position(connection: &mut Connection) -> Result<Position, StoreError> {
    let sql = "SELECT segment, \"offset\" FROM journal WHERE id = 1";
    let read = connection
        .query_row(sql, [], |row| Ok(Position { segment: uint(row.get(0)?), offset: uint(row.get(1)?) }))?;
    Ok(read)
}

/// The unsettled tickets that are remembered.
pub(crate) fn remembered(connection: &mut Connection) -> Result<Vec<(TicketId, String)>, StoreError> {
    let mut statement = connection.prepare("SELECT ticket, state FROM pending_tickets ORDER BY ticket")?;
    let rows =
        statement.query_map([], |row| Ok((TicketId(u128::from_be_bytes(row.get(0)?)), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
