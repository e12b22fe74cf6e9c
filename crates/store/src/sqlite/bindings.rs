//! Keeps which backend minted which id, up to a number and an age; it never decides where a request goes.

use std::sync::Arc;

use policy::{Bound, Timestamp};
use rusqlite::{Connection, Transaction, params};

use crate::bindings::{AGE_MAX, BINDINGS_MAX};
use crate::error::StoreError;

/// Keeps the newest of each id, and forgets what has become too old or too many.
pub(super) fn insert(transaction: &Transaction<'_>, bindings: &[Bound]) -> Result<(), StoreError> {
    let Some(newest) = bindings.iter().map(|bound| bound.at.0).max() else { return Ok(()) };
    let mut bind = transaction.prepare_cached(
        "INSERT INTO bindings (id, backend, at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (id) DO UPDATE SET backend = excluded.backend, at = excluded.at WHERE excluded.at >= at",
    )?;
    for Bound { id, backend, at } in bindings {
        bind.execute(params![id, backend, at.0])?;
    }
    // Ages are counted from the newest binding, so that no clock is read here.
    transaction
        .prepare_cached("DELETE FROM bindings WHERE at < ?1")?
        .execute([Timestamp(newest).before(AGE_MAX).0])?;
    transaction
        .prepare_cached(
            "DELETE FROM bindings WHERE id IN (SELECT id FROM bindings ORDER BY at DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([i64::try_from(BINDINGS_MAX).unwrap_or(i64::MAX)])?;
    Ok(())
}

/// All of them, oldest first.
pub(crate) fn all(connection: &mut Connection) -> Result<Vec<Bound>, StoreError> {
    let mut statement = connection.prepare("SELECT id, backend, at FROM bindings ORDER BY at")?;
    let bound = |row: &rusqlite::Row<'_>| {
        let (id, backend): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(Bound { id: Arc::from(id), backend: Arc::from(backend), at: Timestamp(row.get(2)?) })
    };
    let rows = statement.query_map([], bound)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
