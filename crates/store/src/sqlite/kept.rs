//! Keeps sealed responses in rows; it never decides which, for whom or how long.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::error::StoreError;
use crate::shelf::{Cipher, KeptResponse, SealedResponse, Writing};

/// Brings one batch into the table: all of it or nothing.
pub(crate) fn write(connection: &mut Connection, writing: &Writing) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    if writing.forget_all {
        transaction.execute("DELETE FROM kept_responses", [])?;
    }
    {
        let mut forget = transaction.prepare_cached("DELETE FROM kept_responses WHERE id = ?1")?;
        for id in &writing.forgotten {
            forget.execute([id])?;
        }
        let mut keep = transaction.prepare_cached(
            "INSERT OR IGNORE INTO kept_responses (id, owner, until, sealed) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for SealedResponse { id, owner, until, sealed } in &writing.sealed {
            keep.execute(params![id, owner, until.0, sealed])?;
        }
    }
    Ok(transaction.commit()?)
}

/// All that can be opened, the first to end first. What cannot was altered, or is of another folder's vault: it is of
/// no use to anybody, and goes.
pub(crate) fn all(connection: &mut Connection, cipher: &Cipher) -> Result<Vec<KeptResponse>, StoreError> {
    let transaction = connection.transaction()?;
    let mut kept = Vec::new();
    let mut spoilt = HashMap::new();
    {
        let mut statement =
            transaction.prepare("SELECT id, owner, until, sealed FROM kept_responses ORDER BY until, id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let sealed = SealedResponse {
                id: row.get::<_, String>(0)?.into(),
                owner: row.get::<_, String>(1)?.into(),
                until: policy::Timestamp(row.get(2)?),
                sealed: row.get(3)?,
            };
            match cipher.open(&sealed) {
                Ok(response) => kept.push(response),
                Err(error) => drop(spoilt.insert(sealed.id, error)),
            }
        }
    }
    for (id, error) in &spoilt {
        tracing::warn!(%id, %error, "a kept response cannot be read and is forgotten");
        transaction.execute("DELETE FROM kept_responses WHERE id = ?1", [id])?;
    }
    transaction.commit()?;
    Ok(kept)
}
