//! Keeps sealed secrets in rows; it never sees a master key outside of the ring it is handed.

use std::path::Path;

use policy::Secret;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use super::ledger::uint;
use crate::error::StoreError;
use crate::vault::{Keys, MasterKey, Proof, Sealed, VaultError, envelope};

/// What proves a master key; none before the first start.
pub(crate) fn proof(connection: &Connection) -> Result<Option<Proof>, StoreError> {
    let read = connection.query_row("SELECT key_id, proof FROM vault WHERE id = 1", [], |row| {
        Ok(Proof { key_id: row.get(0)?, sealed: row.get(1)? })
    });
    let found = read.optional()?;
    if found.is_none() {
        let secrets: i64 = connection.query_row("SELECT count(*) FROM secrets", [], |row| row.get(0))?;
        if secrets > 0 {
            return Err(VaultError::Altered("vault/proof".to_owned()).into());
        }
    }
    Ok(found)
}

/// What proves a master key in another database.
pub(crate) fn proof_in(path: &Path) -> Result<Option<Proof>, StoreError> {
    proof(&Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

/// Writes the proof of the very first master key.
pub(crate) fn found(connection: &Connection, proof: &Proof) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO vault (id, key_id, proof) VALUES (1, ?1, ?2)",
        params![proof.key_id, proof.sealed],
    )?;
    Ok(())
}

/// Opens the secret of row `id`.
pub(crate) fn get(connection: &Connection, ring: &Keys, id: &str) -> Result<Option<Secret>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT key_id, wrapped, sealed FROM secrets WHERE id = ?1")?;
    let read = statement
        .query_row([id], |row| Ok(Sealed { key_id: row.get(0)?, wrapped: row.get(1)?, sealed: row.get(2)? }));
    let Some(sealed) = read.optional()? else { return Ok(None) };
    let bytes = envelope::open(&ring.find(&sealed.key_id)?, id, &sealed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| VaultError::Altered(id.to_owned()))?;
    Ok(Some(Secret::from(text)))
}

/// The id of the master key that everything is under at this moment.
pub(crate) fn key_in_force(connection: &Connection) -> Result<[u8; 8], StoreError> {
    Ok(connection.query_row("SELECT key_id FROM vault WHERE id = 1", [], |row| row.get(0))?)
}

/// The master key's id, how many secrets there are, and how many of them are under it.
pub(crate) fn counts(connection: &Connection) -> Result<([u8; 8], u64, u64), StoreError> {
    let counted = connection.query_row(
        "SELECT key_id, (SELECT count(*) FROM secrets), \
         (SELECT count(*) FROM secrets WHERE secrets.key_id = vault.key_id) FROM vault WHERE id = 1",
        [],
        |row| Ok((row.get(0)?, uint(row.get(1)?), uint(row.get(2)?))),
    )?;
    Ok(counted)
}

/// Seals a secret into row `id`, in place of any before.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    ring: &Keys,
    id: &str,
    secret: &Secret,
) -> Result<(), StoreError> {
    // As the database says, not as this process remembers: another one may have rotated.
    let key = ring.adopt(&key_in_force(transaction)?)?;
    let sealed = envelope::seal(&key, id, secret.expose().as_bytes())?;
    transaction.execute(
        "INSERT INTO secrets (id, key_id, wrapped, sealed) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE SET \
         key_id = excluded.key_id, wrapped = excluded.wrapped, sealed = excluded.sealed",
        params![id, sealed.key_id, sealed.wrapped, sealed.sealed],
    )?;
    Ok(())
}

/// Forgets the secret of row `id`.
pub(crate) fn remove(transaction: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM secrets WHERE id = ?1", [id])?;
    Ok(())
}

/// Puts every data key under `new`.
pub(crate) fn rewrap(
    transaction: &Transaction<'_>,
    ring: &Keys,
    new: &MasterKey,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, StoreError> {
    let rows: Vec<(String, [u8; 8], Vec<u8>)> = {
        let mut statement = transaction.prepare("SELECT id, key_id, wrapped FROM secrets ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let all = rows.len() as u64;
    for (done, (id, key_id, wrapped)) in (1..).zip(rows) {
        let wrapped = envelope::rewrap(&ring.find(&key_id)?, new, &id, &wrapped)?;
        transaction.execute(
            "UPDATE secrets SET key_id = ?2, wrapped = ?3 WHERE id = ?1",
            params![id, new.id(), wrapped],
        )?;
        progress(done, all);
    }
    Ok(all)
}

/// Puts the proof of another master key in place of the one before.
pub(crate) fn prove(transaction: &Transaction<'_>, proof: &Proof) -> Result<(), StoreError> {
    transaction.execute(
        "UPDATE vault SET key_id = ?1, proof = ?2 WHERE id = 1",
        params![proof.key_id, proof.sealed],
    )?;
    Ok(())
}
