//! Keeps backends in rows and their credentials in the vault, never one without the other; it never reads what is inside a spec.

use policy::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use super::directory::{CHANGE, CREATE, DELETE, change, expect_revision, missing, note, parsed, taken};
use super::ledger::uint;
use super::{directory, secrets};
use crate::audit::Deed;
use crate::directory::{BackendChange, CredentialChange, Editor, NewBackend, StoredBackend, Target};
use crate::error::StoreError;
use crate::vault::Ring;

const BACKEND: &str = "backend";

/// Where a backend's credential is kept in the vault.
fn credential_of(id: &str) -> String {
    format!("backend/{id}/credential")
}

fn row_of(connection: &Connection, ring: &Ring, row: &Row<'_>) -> Result<StoredBackend, StoreError> {
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

pub(crate) fn all(connection: &mut Connection, ring: &Ring) -> Result<Vec<StoredBackend>, StoreError> {
    // One read transaction: a backend and its credential are of the same moment.
    let snapshot = connection.transaction()?;
    let mut statement = snapshot.prepare_cached("SELECT * FROM backends ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok(row_of(&snapshot, ring, row)))?;
    rows.map(|row| row?).collect()
}

fn find(connection: &Connection, ring: &Ring, id: &str) -> Result<StoredBackend, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM backends WHERE id = ?1")?;
    let found = statement.query_row([id], |row| Ok(row_of(connection, ring, row))).optional()?;
    found.unwrap_or_else(|| Err(missing(BACKEND, id)))
}

/// What the audit log tells of a backend.
fn told(backend: &StoredBackend) -> Value {
    json!({
        "id": backend.id, "name": backend.name, "enabled": backend.enabled, "credential": backend.masked,
        "spec": backend.spec,
    })
}

pub(crate) fn add(
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
        let added = find(transaction, &editor.ring, &new.id)?;
        let deed = Deed::of(CREATE, BACKEND, &added.name).after(told(&added));
        Ok((added, deed))
    })
}

pub(crate) fn edit(
    connection: &mut Connection,
    editor: &Editor,
    target: Target<'_>,
    wanted: BackendChange,
    now: Timestamp,
) -> Result<StoredBackend, StoreError> {
    let ring = &editor.ring;
    change(connection, &editor.author, |transaction| {
        let old = find(transaction, ring, target.id)?;
        expect_revision(BACKEND, target, old.revision)?;
        let before = told(&old);
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
        let changed = find(transaction, ring, target.id)?;
        let mut after = told(&changed);
        if changed.credential != old.credential {
            // Two credentials may look the same when masked.
            note(&mut after, "credential_replaced");
        }
        let deed = Deed::of(CHANGE, BACKEND, &changed.name).before(before).after(after);
        Ok((changed, deed))
    })
}

pub(crate) fn remove(
    connection: &mut Connection,
    editor: &Editor,
    target: Target<'_>,
) -> Result<(), StoreError> {
    change(connection, &editor.author, |transaction| {
        let old = find(transaction, &editor.ring, target.id)?;
        directory::remove(transaction, BACKEND, "backends", target)?;
        secrets::remove(transaction, &credential_of(target.id))?;
        Ok(((), Deed::of(DELETE, BACKEND, &old.name).before(told(&old))))
    })
}
