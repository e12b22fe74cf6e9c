//! Decides what every change of the directory is: counted and entered in the audit log in the same transaction, refused where
//! its target has changed; it never knows what is changed.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior};
use serde_json::Value;

use super::audit;
use super::ledger::uint;
use crate::audit::{Author, Deed};
use crate::directory::Target;
use crate::error::StoreError;

pub(super) const CREATE: &str = "create";
pub(super) const CHANGE: &str = "change";
pub(super) const DELETE: &str = "delete";

/// One change: all of it with the counter and the entry in the audit log, or nothing.
pub(super) fn change<T>(
    connection: &mut Connection,
    author: &Author,
    work: impl FnOnce(&Transaction<'_>) -> Result<(T, Deed), StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (done, deed) = work(&transaction)?;
    transaction.execute("UPDATE directory SET changes = changes + 1 WHERE id = 1", [])?;
    audit::append(&transaction, author, &deed)?;
    transaction.commit()?;
    Ok(done)
}

pub(crate) fn changes(connection: &Connection) -> Result<u64, StoreError> {
    Ok(uint(connection.query_row("SELECT changes FROM directory WHERE id = 1", [], |row| row.get(0))?))
}

pub(super) fn missing(what: &'static str, id: &str) -> StoreError {
    StoreError::NotFound { what, name: id.to_owned() }
}

/// A second thing of the same name is the caller's mistake, not the database's.
pub(super) fn taken(what: &'static str, name: &str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            StoreError::Conflict { what, name: name.to_owned(), why: "exists already" }
        }
        _ => error.into(),
    }
}

pub(super) fn expect_revision(what: &'static str, target: Target<'_>, found: u64) -> Result<(), StoreError> {
    match target.revision {
        Some(revision) if revision != found => Err(StoreError::Changed { what, name: target.id.to_owned() }),
        _ => Ok(()),
    }
}

pub(super) fn parsed(row: &Row<'_>, column: &'static str) -> Result<Value, StoreError> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|_| StoreError::Unreadable(column))
}

/// Deletes the row of a target that is as its caller saw it.
pub(super) fn remove(
    transaction: &Transaction<'_>,
    what: &'static str,
    table: &'static str,
    target: Target<'_>,
) -> Result<(), StoreError> {
    let revision: Option<i64> = transaction
        .query_row(&format!("SELECT revision FROM {table} WHERE id = ?1"), [target.id], |row| row.get(0))
        .optional()?;
    expect_revision(what, target, uint(revision.ok_or_else(|| missing(what, target.id))?))?;
    transaction.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [target.id])?;
    Ok(())
}

/// Says something beside what the audit log is told.
pub(super) fn note(told: &mut Value, what: &str) {
    if let Value::Object(fields) = told {
        fields.insert(what.to_owned(), Value::Bool(true));
    }
}
