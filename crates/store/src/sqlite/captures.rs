//! Keeps the index of captures; it never touches their files and never decides how long they are kept.

use std::collections::HashSet;

use policy::{TicketId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params, params_from_iter};

use super::ledger::{before, first_ticket, int, ticket_blob, uint};
use crate::captures::{CaptureEnd, CaptureFilter, CaptureHead, CaptureRetention};
use crate::error::StoreError;
use crate::ledger::Cursor;

/// Captures that one transaction gives up: whoever waits for the database waits for no longer than that.
const BATCH: u32 = 500;

/// Enters what was written, and removes one batch of what is too old or too much. Gives what it removed; nothing when
/// there is nothing more to remove.
pub(crate) fn keep(
    connection: &mut Connection,
    written: &[(CaptureHead, u64)],
    retention: Option<CaptureRetention>,
) -> Result<Vec<TicketId>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (head, file_bytes) in written {
        enter(&transaction, head, *file_bytes)?;
    }
    let mut gone = Vec::new();
    if let Some(retention) = retention {
        gone = too_old(&transaction, retention)?;
        if gone.is_empty() {
            gone = too_much(&transaction, retention)?;
        }
        take_out(&transaction, &gone)?;
    }
    transaction.commit()?;
    Ok(gone)
}

fn enter(transaction: &Transaction<'_>, head: &CaptureHead, file_bytes: u64) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT OR IGNORE INTO captures (ticket, request_id, at, key, model, backend, status, ended, request_bytes, \
         response_bytes, request_cut, response_cut, file_bytes) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    statement.execute(params![
        ticket_blob(head.id),
        head.request_id,
        head.at.0,
        head.key,
        head.model,
        head.backend,
        head.status,
        head.ended.name(),
        int(head.request_bytes),
        int(head.response_bytes),
        head.request_cut,
        head.response_cut,
        int(file_bytes),
    ])?;
    Ok(())
}

fn too_old(transaction: &Transaction<'_>, retention: CaptureRetention) -> Result<Vec<TicketId>, StoreError> {
    // The database's clock: an idle gateway forgets, too.
    let now: i64 =
        transaction
            .query_row("SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)", [], |row| row.get(0))?;
    let cutoff = first_ticket(Timestamp(now).before(retention.age_max));
    let mut statement = transaction
        .prepare_cached("SELECT ticket FROM captures WHERE ticket < ?1 ORDER BY ticket LIMIT ?2")?;
    let rows = statement.query_map(params![cutoff, BATCH], |row| row.get(0).map(id))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The oldest, as many as it takes.
fn too_much(transaction: &Transaction<'_>, retention: CaptureRetention) -> Result<Vec<TicketId>, StoreError> {
    let mut surplus = sums(transaction)?.1.saturating_sub(retention.bytes_max);
    if surplus == 0 {
        return Ok(Vec::new());
    }
    let mut statement =
        transaction.prepare_cached("SELECT ticket, file_bytes FROM captures ORDER BY ticket LIMIT ?1")?;
    let mut rows = statement.query([BATCH])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()?.filter(|_| surplus > 0) {
        gone.push(id(row.get(0)?));
        surplus = surplus.saturating_sub(uint(row.get(1)?));
    }
    Ok(gone)
}

fn take_out(transaction: &Transaction<'_>, ids: &[TicketId]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached("DELETE FROM captures WHERE ticket = ?1")?;
    for id in ids {
        statement.execute([ticket_blob(*id)])?;
    }
    Ok(())
}

/// Removes these rows.
pub(crate) fn forget(connection: &mut Connection, ids: &[TicketId]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    take_out(&transaction, ids)?;
    Ok(transaction.commit()?)
}

/// Removes one batch of those that are asked for. Gives which.
pub(crate) fn remove(
    connection: &mut Connection,
    filter: &CaptureFilter,
    batch: u32,
) -> Result<Vec<TicketId>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = find(&transaction, filter, None, batch)?;
    let ids: Vec<TicketId> = found.into_iter().map(|head| head.id).collect();
    take_out(&transaction, &ids)?;
    transaction.commit()?;
    Ok(ids)
}

/// Every capture there is.
pub(crate) fn ids(connection: &Connection) -> Result<HashSet<TicketId>, StoreError> {
    let mut statement = connection.prepare("SELECT ticket FROM captures")?;
    let rows = statement.query_map([], |row| row.get(0).map(id))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many there are, and what their files take.
pub(crate) fn sums(connection: &Connection) -> Result<(u64, u64), StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT captures, file_bytes FROM capture_sums WHERE id = 1")?;
    Ok(statement.query_row([], |row| Ok((uint(row.get(0)?), uint(row.get(1)?))))?)
}

/// One page, newest first.
pub(crate) fn find(
    connection: &Connection,
    filter: &CaptureFilter,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Vec<CaptureHead>, StoreError> {
    let mut sql = "SELECT * FROM captures WHERE ticket >= ? AND ticket < ?".to_owned();
    let upper = before(after).min(first_ticket(filter.range.to));
    let mut values = vec![Value::Blob(first_ticket(filter.range.from).to_vec()), Value::Blob(upper.to_vec())];
    let mut ask = |condition: &str, wanted: Vec<Value>| {
        sql.push_str(condition);
        values.extend(wanted);
    };
    if let Some(id) = filter.id {
        ask(" AND ticket = ?", vec![Value::Blob(ticket_blob(id).to_vec())]);
    }
    for (condition, wanted) in [
        (" AND key = ?", &filter.key),
        (" AND model = ?", &filter.model),
        (" AND backend = ?", &filter.backend),
        (" AND request_id = ?", &filter.request_id),
    ] {
        if let Some(wanted) = wanted {
            ask(condition, vec![Value::Text(wanted.clone())]);
        }
    }
    if let Some(status) = &filter.status {
        let ends = [*status.start(), *status.end()].map(|end| Value::Integer(i64::from(end)));
        ask(" AND status BETWEEN ? AND ?", ends.to_vec());
    }
    ask(" ORDER BY ticket DESC LIMIT ?", vec![Value::Integer(i64::from(limit))]);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| Ok(head(row)))?;
    rows.map(|row| row?).collect()
}

fn head(row: &Row<'_>) -> Result<CaptureHead, StoreError> {
    let text = |name: &str| -> Result<Option<std::sync::Arc<str>>, rusqlite::Error> {
        Ok(row.get::<_, Option<String>>(name)?.map(Into::into))
    };
    let ended: String = row.get("ended")?;
    let ended = CaptureEnd::ALL.into_iter().find(|end| end.name() == ended);
    Ok(CaptureHead {
        id: id(row.get("ticket")?),
        request_id: row.get::<_, String>("request_id")?.into(),
        at: Timestamp(row.get("at")?),
        key: text("key")?,
        model: text("model")?,
        backend: text("backend")?,
        status: row.get("status")?,
        ended: ended.ok_or(StoreError::Unreadable("end of a capture"))?,
        request_bytes: uint(row.get("request_bytes")?),
        response_bytes: uint(row.get("response_bytes")?),
        request_cut: row.get("request_cut")?,
        response_cut: row.get("response_cut")?,
    })
}

fn id(ticket: [u8; 16]) -> TicketId {
    TicketId(u128::from_be_bytes(ticket))
}
