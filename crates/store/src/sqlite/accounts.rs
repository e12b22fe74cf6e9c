//! Keeps the accounts of local processes: a row that tells of one, and beside it the whole of it, sealed; never either alone.

use policy::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use super::directory::{CHANGE, CREATE, DELETE, change, missing};
use super::{secrets, specs};
use crate::audit::Deed;
use crate::directory::{Editor, Kind, NewAccount, StoredAccount};
use crate::error::StoreError;
use crate::vault::Ring;

const ACCOUNT: Kind = Kind::Account;

/// Where an account is kept in the vault; its row has the same id.
fn id_of(place: &str) -> String {
    format!("account/{place}")
}

pub(crate) fn all(connection: &mut Connection, ring: &Ring) -> Result<Vec<StoredAccount>, StoreError> {
    // One read transaction: a row and its secret are of the same moment.
    let snapshot = connection.transaction()?;
    let rows = specs::all(&snapshot, ACCOUNT)?.into_iter();
    rows.map(|row| {
        let account = secrets::get(&snapshot, ring, &row.id)?.ok_or(StoreError::Unreadable("account"))?;
        Ok(StoredAccount { place: row.name, account })
    })
    .collect()
}

pub(crate) fn put(
    connection: &mut Connection,
    editor: &Editor,
    new: &NewAccount,
    now: Timestamp,
) -> Result<(), StoreError> {
    change(connection, &editor.author, |transaction| {
        let (id, told) = (id_of(&new.place), json!({ "signs_in_with": new.kind }));
        let before = told_of(transaction, &id)?;
        transaction.execute(
            "INSERT INTO specs (id, kind, name, spec, created, updated, revision) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1) ON CONFLICT (id) DO UPDATE SET \
             spec = excluded.spec, updated = excluded.updated, revision = revision + 1",
            params![id, ACCOUNT.name(), new.place, told.to_string(), now.0],
        )?;
        secrets::put(transaction, &editor.ring, &id, &new.account)?;
        let action = if before.is_some() { CHANGE } else { CREATE };
        Ok(((), Deed { before, ..Deed::of(action, ACCOUNT.name(), &new.place).after(told) }))
    })
}

pub(crate) fn remove(connection: &mut Connection, editor: &Editor, place: &str) -> Result<(), StoreError> {
    change(connection, &editor.author, |transaction| {
        let id = id_of(place);
        let before = told_of(transaction, &id)?.ok_or_else(|| missing(ACCOUNT.name(), place))?;
        transaction.execute("DELETE FROM specs WHERE id = ?1", [&id])?;
        secrets::remove(transaction, &id)?;
        Ok(((), Deed::of(DELETE, ACCOUNT.name(), place).before(before)))
    })
}

/// What is told of an account, if there is one.
fn told_of(connection: &Connection, id: &str) -> Result<Option<Value>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT spec FROM specs WHERE id = ?1")?;
    let spec: Option<String> = statement.query_row([id], |row| row.get(0)).optional()?;
    spec.map(|spec| serde_json::from_str(&spec).map_err(|_| StoreError::Unreadable("spec"))).transpose()
}
