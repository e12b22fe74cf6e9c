//! Keeps gateway keys in rows: digests, never secrets; it never reads what a key may do.

use policy::{Digest, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use super::directory;
use super::directory::{CHANGE, CREATE, DELETE, change, expect_revision, missing, note, parsed, taken};
use super::ledger::uint;
use crate::audit::{Author, Deed};
use crate::directory::{KeyChange, NewKey, StoredKey, Target};
use crate::error::StoreError;

const KEY: &str = "key";

fn time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

fn row_of(row: &Row<'_>) -> Result<StoredKey, StoreError> {
    Ok(StoredKey {
        id: row.get("id")?,
        name: row.get("name")?,
        digest: Digest::from_bytes(row.get("digest")?),
        masked: row.get("masked")?,
        team: row.get("team")?,
        limits: parsed(row, "limits")?,
        enabled: row.get("enabled")?,
        expires: time(row, "expires")?,
        created: Timestamp(row.get("created")?),
        updated: Timestamp(row.get("updated")?),
        last_used: time(row, "last_used")?,
        revision: uint(row.get("revision")?),
    })
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<StoredKey>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM keys ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok(row_of(row)))?;
    rows.map(|row| row?).collect()
}

fn find(connection: &Connection, id: &str) -> Result<StoredKey, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM keys WHERE id = ?1")?;
    let found = statement.query_row([id], |row| Ok(row_of(row))).optional()?;
    found.unwrap_or_else(|| Err(missing(KEY, id)))
}

/// What the audit log tells of a key.
fn told(key: &StoredKey) -> Value {
    json!({
        "id": key.id, "name": key.name, "enabled": key.enabled, "secret": key.masked, "team": key.team,
        "expires": key.expires, "limits": key.limits,
    })
}

pub(crate) fn add(
    connection: &mut Connection,
    author: &Author,
    new: &NewKey,
    now: Timestamp,
) -> Result<StoredKey, StoreError> {
    change(connection, author, |transaction| {
        transaction
            .execute(
                "INSERT INTO keys (id, name, digest, masked, team, limits, enabled, expires, created, updated, \
                 revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 1)",
                params![
                    new.id,
                    new.name,
                    new.digest.bytes(),
                    new.masked,
                    new.team,
                    new.limits.to_string(),
                    new.enabled,
                    new.expires.map(|at| at.0),
                    now.0
                ],
            )
            .map_err(taken(KEY, &new.name))?;
        let added = find(transaction, &new.id)?;
        let deed = Deed::of(CREATE, KEY, &added.name).after(told(&added));
        Ok((added, deed))
    })
}

pub(crate) fn edit(
    connection: &mut Connection,
    author: &Author,
    target: Target<'_>,
    wanted: KeyChange,
    now: Timestamp,
) -> Result<StoredKey, StoreError> {
    change(connection, author, |transaction| {
        let old = find(transaction, target.id)?;
        expect_revision(KEY, target, old.revision)?;
        let (before, is_replaced) = (told(&old), wanted.secret.is_some());
        let name = wanted.name.unwrap_or(old.name);
        let (digest, masked) = wanted.secret.unwrap_or((old.digest, old.masked));
        transaction
            .execute(
                "UPDATE keys SET name = ?2, digest = ?3, masked = ?4, team = ?5, limits = ?6, enabled = ?7, \
                 expires = ?8, updated = ?9, revision = revision + 1 WHERE id = ?1",
                params![
                    target.id,
                    name,
                    digest.bytes(),
                    masked,
                    wanted.team.unwrap_or(old.team),
                    wanted.limits.unwrap_or(old.limits).to_string(),
                    wanted.enabled.unwrap_or(old.enabled),
                    wanted.expires.unwrap_or(old.expires).map(|at| at.0),
                    now.0
                ],
            )
            .map_err(taken(KEY, &name))?;
        let changed = find(transaction, target.id)?;
        let mut after = told(&changed);
        if is_replaced {
            note(&mut after, "secret_replaced");
        }
        let deed = Deed::of(CHANGE, KEY, &changed.name).before(before).after(after);
        Ok((changed, deed))
    })
}

pub(crate) fn remove(
    connection: &mut Connection,
    author: &Author,
    target: Target<'_>,
) -> Result<(), StoreError> {
    change(connection, author, |transaction| {
        let old = find(transaction, target.id)?;
        directory::remove(transaction, KEY, "keys", target)?;
        Ok(((), Deed::of(DELETE, KEY, &old.name).before(told(&old))))
    })
}
