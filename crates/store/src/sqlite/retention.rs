//! Removes requests that are kept for too long, the oldest first and few at a time; it never touches the roll-ups.

use policy::{TicketId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::ledger::{first_ticket, int, uint};
use crate::error::StoreError;
use crate::mover::Retention;

/// Receipts that one transaction removes: the mover waits for no longer than that.
const BATCH: u32 = 500;

/// Removes one batch. Returns whether there may be more to remove.
pub(crate) fn forget(connection: &mut Connection, retention: Retention) -> Result<bool, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut removed = 0;
    if let Some(age_max) = retention.age_max {
        // The database's clock: an idle gateway forgets, too.
        let now: i64 = transaction.query_row(
            "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
            [],
            |row| row.get(0),
        )?;
        removed = before(&transaction, Timestamp(now).before(age_max), BATCH)?;
    }
    if let Some(rows_max) = retention.rows_max
        && removed < BATCH
    {
        let surplus = kept(&transaction)?.saturating_sub(rows_max);
        let surplus = u32::try_from(surplus).unwrap_or(u32::MAX).min(BATCH - removed);
        removed += before(&transaction, Timestamp(i64::MAX), surplus)?;
    }
    transaction.commit()?;
    Ok(removed >= BATCH)
}

/// How many receipts there are: as many as were ever counted, without those that were removed.
fn kept(transaction: &Transaction<'_>) -> Result<u64, StoreError> {
    let kept: i64 = transaction.query_row(
        "SELECT (SELECT coalesce(sum(requests), 0) FROM sums_ever WHERE dimension = 'backend') - removed FROM retention WHERE id = 1",
        [],
        |row| row.get(0),
    )?;
    Ok(uint(kept))
}

/// Removes the oldest receipts that were made before `cutoff`, at most so many, with all attempts up to them.
fn before(transaction: &Transaction<'_>, cutoff: Timestamp, batch: u32) -> Result<u32, StoreError> {
    if batch == 0 {
        return Ok(0);
    }
    let cutoff = first_ticket(cutoff);
    let last: Option<[u8; 16]> = transaction
        .prepare_cached(
            "SELECT max(ticket) FROM (SELECT ticket FROM receipts WHERE ticket < ?1 ORDER BY ticket LIMIT ?2)",
        )?
        .query_row(params![cutoff, batch], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(last) = last else { return Ok(0) };
    let removed = transaction.prepare_cached("DELETE FROM receipts WHERE ticket <= ?1")?.execute([last])?;
    transaction.prepare_cached("DELETE FROM attempts WHERE ticket <= ?1")?.execute([last])?;
    transaction.prepare_cached("DELETE FROM reasons WHERE ticket <= ?1")?.execute([last])?;
    let up_to = TicketId(u128::from_be_bytes(last)).minted_at().0;
    transaction
        .prepare_cached("UPDATE retention SET removed = removed + ?1, up_to = max(up_to, ?2) WHERE id = 1")?
        .execute(params![int(removed as u64), up_to])?;
    Ok(u32::try_from(removed).unwrap_or(u32::MAX))
}
