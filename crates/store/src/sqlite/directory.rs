//! Keeps backends, keys and settings in rows; every change counts up in the same transaction; it never reads
//! what is inside a spec.

use policy::{Digest, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value, json};

use super::ledger::uint;
use super::{audit, secrets};
use crate::audit::{Author, Deed};
use crate::directory::{
    BackendChange, CredentialChange, Editor, KeyChange, NewBackend, NewKey, StoredBackend, StoredKey, Target,
};
use crate::error::StoreError;
use crate::vault::Ring;

const BACKEND: &str = "backend";
const KEY: &str = "key";
const SETTING: &str = "setting";
pub(super) const CREATE: &str = "create";
pub(super) const CHANGE: &str = "change";
pub(super) const DELETE: &str = "delete";

/// Where a backend's credential is kept in the vault.
fn credential_of(id: &str) -> String {
    format!("backend/{id}/credential")
}

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

fn time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

// Backends ------------------------------------------------------------------------------------------------------

fn backend_row(connection: &Connection, ring: &Ring, row: &Row<'_>) -> Result<StoredBackend, StoreError> {
    let id: String = row.get("id")?;
    Ok(StoredBackend {
        credential: secrets::get(connection, ring, &credential_of(&id))?,
        id,
        name: row.get("name")?,
        spec: parsed(row, "spec")?,
        masked: row.get("masked")?,
        enabled: row.get("enabled")?,
        created: Timestamp(row.get("created")?),
        updated: Timestamp(row.get("updated")?),
        revision: uint(row.get("revision")?),
    })
}

pub(crate) fn backends(connection: &mut Connection, ring: &Ring) -> Result<Vec<StoredBackend>, StoreError> {
    // One read transaction: a backend and its credential are of the same moment.
    let snapshot = connection.transaction()?;
    let mut statement = snapshot.prepare_cached("SELECT * FROM backends ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok(backend_row(&snapshot, ring, row)))?;
    rows.map(|row| row?).collect()
}

pub(crate) fn backend(
    connection: &mut Connection,
    ring: &Ring,
    id: &str,
) -> Result<StoredBackend, StoreError> {
    let snapshot = connection.transaction()?;
    find_backend(&snapshot, ring, id)
}

fn find_backend(connection: &Connection, ring: &Ring, id: &str) -> Result<StoredBackend, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM backends WHERE id = ?1")?;
    let found = statement.query_row([id], |row| Ok(backend_row(connection, ring, row))).optional()?;
    found.unwrap_or_else(|| Err(missing(BACKEND, id)))
}

/// What the audit log tells of a backend.
fn told_backend(backend: &StoredBackend) -> Value {
    json!({
        "id": backend.id, "name": backend.name, "enabled": backend.enabled, "credential": backend.masked,
        "spec": backend.spec,
    })
}

pub(crate) fn add_backend(
    connection: &mut Connection,
    editor: &Editor,
    new: &NewBackend,
    now: Timestamp,
) -> Result<StoredBackend, StoreError> {
    change(connection, &editor.author, |transaction| {
        let masked = new.credential.as_ref().map(policy::Secret::masked);
        transaction
            .execute(
                "INSERT INTO backends (id, name, spec, masked, enabled, created, updated, revision) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 1)",
                params![new.id, new.name, new.spec.to_string(), masked, new.enabled, now.0],
            )
            .map_err(taken(BACKEND, &new.name))?;
        if let Some(credential) = &new.credential {
            secrets::put(transaction, &editor.ring, &credential_of(&new.id), credential)?;
        }
        let added = find_backend(transaction, &editor.ring, &new.id)?;
        let deed = Deed::of(CREATE, BACKEND, &added.name).after(told_backend(&added));
        Ok((added, deed))
    })
}

pub(crate) fn change_backend(
    connection: &mut Connection,
    editor: &Editor,
    target: Target<'_>,
    wanted: BackendChange,
    now: Timestamp,
) -> Result<StoredBackend, StoreError> {
    let ring = &editor.ring;
    change(connection, &editor.author, |transaction| {
        let old = find_backend(transaction, ring, target.id)?;
        expect_revision(BACKEND, target, old.revision)?;
        let before = told_backend(&old);
        let name = wanted.name.unwrap_or(old.name);
        let masked = match &wanted.credential {
            CredentialChange::Keep => old.masked,
            CredentialChange::Set(credential) => {
                secrets::put(transaction, ring, &credential_of(target.id), credential)?;
                Some(credential.masked())
            }
            CredentialChange::Clear => {
                secrets::remove(transaction, &credential_of(target.id))?;
                None
            }
        };
        let spec = wanted.spec.unwrap_or(old.spec).to_string();
        let enabled = wanted.enabled.unwrap_or(old.enabled);
        transaction
            .execute(
                "UPDATE backends SET name = ?2, spec = ?3, masked = ?4, enabled = ?5, updated = ?6, \
                 revision = revision + 1 WHERE id = ?1",
                params![target.id, name, spec, masked, enabled, now.0],
            )
            .map_err(taken(BACKEND, &name))?;
        let changed = find_backend(transaction, ring, target.id)?;
        let mut after = told_backend(&changed);
        if changed.credential != old.credential {
            // Two credentials may look the same when masked.
            note(&mut after, "credential_replaced");
        }
        let deed = Deed::of(CHANGE, BACKEND, &changed.name).before(before).after(after);
        Ok((changed, deed))
    })
}

/// Says something beside what is told.
fn note(told: &mut Value, what: &str) {
    if let Value::Object(fields) = told {
        fields.insert(what.to_owned(), Value::Bool(true));
    }
}

pub(crate) fn remove_backend(
    connection: &mut Connection,
    editor: &Editor,
    target: Target<'_>,
) -> Result<(), StoreError> {
    change(connection, &editor.author, |transaction| {
        let old = find_backend(transaction, &editor.ring, target.id)?;
        remove(transaction, BACKEND, "backends", target)?;
        secrets::remove(transaction, &credential_of(target.id))?;
        Ok(((), Deed::of(DELETE, BACKEND, &old.name).before(told_backend(&old))))
    })
}

fn remove(
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

// Keys ----------------------------------------------------------------------------------------------------------

fn key_row(row: &Row<'_>) -> Result<StoredKey, StoreError> {
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

pub(crate) fn keys(connection: &Connection) -> Result<Vec<StoredKey>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM keys ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok(key_row(row)))?;
    rows.map(|row| row?).collect()
}

pub(crate) fn key(connection: &Connection, id: &str) -> Result<StoredKey, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM keys WHERE id = ?1")?;
    let found = statement.query_row([id], |row| Ok(key_row(row))).optional()?;
    found.unwrap_or_else(|| Err(missing(KEY, id)))
}

/// What the audit log tells of a key.
fn told_key(key: &StoredKey) -> Value {
    json!({
        "id": key.id, "name": key.name, "enabled": key.enabled, "secret": key.masked, "team": key.team,
        "expires": key.expires, "limits": key.limits,
    })
}

pub(crate) fn add_key(
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
        let added = key(transaction, &new.id)?;
        let deed = Deed::of(CREATE, KEY, &added.name).after(told_key(&added));
        Ok((added, deed))
    })
}

pub(crate) fn change_key(
    connection: &mut Connection,
    author: &Author,
    target: Target<'_>,
    wanted: KeyChange,
    now: Timestamp,
) -> Result<StoredKey, StoreError> {
    change(connection, author, |transaction| {
        let old = key(transaction, target.id)?;
        expect_revision(KEY, target, old.revision)?;
        let (before, is_replaced) = (told_key(&old), wanted.secret.is_some());
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
        let changed = key(transaction, target.id)?;
        let mut after = told_key(&changed);
        if is_replaced {
            note(&mut after, "secret_replaced");
        }
        let deed = Deed::of(CHANGE, KEY, &changed.name).before(before).after(after);
        Ok((changed, deed))
    })
}

pub(crate) fn remove_key(
    connection: &mut Connection,
    author: &Author,
    target: Target<'_>,
) -> Result<(), StoreError> {
    change(connection, author, |transaction| {
        let old = key(transaction, target.id)?;
        remove(transaction, KEY, "keys", target)?;
        Ok(((), Deed::of(DELETE, KEY, &old.name).before(told_key(&old))))
    })
}

// Settings ------------------------------------------------------------------------------------------------------

pub(crate) fn settings(connection: &Connection) -> Result<Vec<(String, Value)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name, value FROM settings ORDER BY name")?;
    let rows = statement
        .query_map([], |row| Ok(parsed(row, "value").and_then(|value| Ok((row.get("name")?, value)))))?;
    rows.map(|row| row?).collect()
}

const SET_SETTING: &str = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

pub(crate) fn set_setting(
    connection: &mut Connection,
    author: &Author,
    name: &str,
    value: &Value,
) -> Result<(), StoreError> {
    change_settings(connection, author, &[(name.to_owned(), Some(value.clone()))])
}

pub(crate) fn change_settings(
    connection: &mut Connection,
    author: &Author,
    changes: &[(String, Option<Value>)],
) -> Result<(), StoreError> {
    change(connection, author, |transaction| {
        let all: Map<String, Value> = settings(transaction)?.into_iter().collect();
        let (mut before, mut after) = (Map::new(), Map::new());
        for (name, value) in changes {
            before.insert(name.clone(), all.get(name).cloned().unwrap_or(Value::Null));
            after.insert(name.clone(), value.clone().unwrap_or(Value::Null));
            match value {
                Some(value) => transaction.execute(SET_SETTING, params![name, value.to_string()])?,
                None => transaction.execute("DELETE FROM settings WHERE name = ?1", [name])?,
            };
        }
        let names: Vec<&str> = changes.iter().map(|(name, _)| name.as_str()).collect();
        let deed = Deed::of(CHANGE, SETTING, names.join(" "));
        Ok(((), deed.before(Value::Object(before)).after(Value::Object(after))))
    })
}

pub(crate) fn remove_setting(
    connection: &mut Connection,
    author: &Author,
    name: &str,
) -> Result<(), StoreError> {
    change(connection, author, |transaction| {
        let before = settings(transaction)?.into_iter().find(|(stored, _)| stored == name);
        let (_, before) = before.ok_or_else(|| missing(SETTING, name))?;
        transaction.execute("DELETE FROM settings WHERE name = ?1", [name])?;
        Ok(((), Deed::of(DELETE, SETTING, name).before(before)))
    })
}

pub(crate) fn admin_token_digest(connection: &Connection) -> Result<Option<Digest>, StoreError> {
    let read =
        connection.query_row("SELECT admin_token_digest FROM directory WHERE id = 1", [], |row| row.get(0));
    Ok(read.map(|digest: Option<[u8; 32]>| digest.map(Digest::from_bytes))?)
}

pub(crate) fn set_admin_token_digest(
    connection: &mut Connection,
    author: &Author,
    digest: &Digest,
) -> Result<(), StoreError> {
    change(connection, author, |transaction| {
        transaction.execute("UPDATE directory SET admin_token_digest = ?1 WHERE id = 1", [digest.bytes()])?;
        Ok(((), Deed::of("mint", "token", "admin")))
    })
}
