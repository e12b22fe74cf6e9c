//! Keeps teams, budgets and prices in rows of one form; it never reads what is inside a spec.

use policy::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value, json};

use super::directory::{CHANGE, CREATE, DELETE, change, expect_revision, missing, parsed, taken};
use super::ledger::uint;
use crate::audit::{Author, Deed};
use crate::directory::{Kind, NewSpec, SpecChange, StoredSpec, Target};
use crate::error::StoreError;

fn row_of(row: &Row<'_>) -> Result<StoredSpec, StoreError> {
    Ok(StoredSpec {
        id: row.get("id")?,
        name: row.get("name")?,
        spec: parsed(row, "spec")?,
        created: Timestamp(row.get("created")?),
        updated: Timestamp(row.get("updated")?),
        revision: uint(row.get("revision")?),
    })
}

pub(crate) fn all(connection: &Connection, kind: Kind) -> Result<Vec<StoredSpec>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM specs WHERE kind = ?1 ORDER BY name, id")?;
    let rows = statement.query_map([kind.name()], |row| Ok(row_of(row)))?;
    rows.map(|row| row?).collect()
}

fn find(connection: &Connection, kind: Kind, id: &str) -> Result<StoredSpec, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM specs WHERE kind = ?1 AND id = ?2")?;
    let found = statement.query_row([kind.name(), id], |row| Ok(row_of(row))).optional()?;
    found.unwrap_or_else(|| Err(missing(kind.name(), id)))
}

/// What the audit log tells of one.
fn told(stored: &StoredSpec) -> Value {
    json!({"id": stored.id, "name": stored.name, "spec": stored.spec})
}

pub(crate) fn add(
    connection: &mut Connection,
    author: &Author,
    kind: Kind,
    new: &NewSpec,
    now: Timestamp,
) -> Result<StoredSpec, StoreError> {
    change(connection, author, |transaction| {
        transaction
            .execute(
                "INSERT INTO specs (id, kind, name, spec, created, updated, revision) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)",
                params![new.id, kind.name(), new.name, new.spec.to_string(), now.0],
            )
            .map_err(taken(kind.name(), &new.name))?;
        let added = find(transaction, kind, &new.id)?;
        let deed = Deed::of(CREATE, kind.name(), &added.name).after(told(&added));
        Ok((added, deed))
    })
}

/// Which one, and of what kind.
pub(crate) struct Place<'a> {
    pub(crate) kind: Kind,
    pub(crate) target: Target<'a>,
}

pub(crate) fn edit(
    connection: &mut Connection,
    author: &Author,
    Place { kind, target }: Place<'_>,
    wanted: &SpecChange,
    now: Timestamp,
) -> Result<StoredSpec, StoreError> {
    change(connection, author, |transaction| {
        let old = find(transaction, kind, target.id)?;
        expect_revision(kind.name(), target, old.revision)?;
        transaction
            .execute(
                "UPDATE specs SET name = ?2, spec = ?3, updated = ?4, revision = revision + 1 WHERE id = ?1",
                params![target.id, wanted.name, wanted.spec.to_string(), now.0],
            )
            .map_err(taken(kind.name(), &wanted.name))?;
        let changed = find(transaction, kind, target.id)?;
        let deed = Deed::of(CHANGE, kind.name(), &changed.name).before(told(&old)).after(told(&changed));
        Ok((changed, deed))
    })
}

pub(crate) fn remove(
    connection: &mut Connection,
    author: &Author,
    Place { kind, target }: Place<'_>,
) -> Result<(), StoreError> {
    change(connection, author, |transaction| {
        let old = find(transaction, kind, target.id)?;
        expect_revision(kind.name(), target, old.revision)?;
        transaction.execute("DELETE FROM specs WHERE id = ?1", [target.id])?;
        Ok(((), Deed::of(DELETE, kind.name(), &old.name).before(told(&old))))
    })
}

/// All of them or none: one of a known name is replaced where it differs, the others are added.
pub(crate) fn put(
    connection: &mut Connection,
    author: &Author,
    kind: Kind,
    all: &[NewSpec],
    now: Timestamp,
) -> Result<usize, StoreError> {
    change(connection, author, |transaction| {
        let mut changed = Map::new();
        for new in all {
            let rows = transaction.execute(
                "INSERT INTO specs (id, kind, name, spec, created, updated, revision) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1) ON CONFLICT (kind, name) DO UPDATE SET \
                 spec = excluded.spec, updated = excluded.updated, revision = revision + 1 \
                 WHERE spec <> excluded.spec",
                params![new.id, kind.name(), new.name, new.spec.to_string(), now.0],
            )?;
            if rows > 0 {
                changed.insert(new.name.clone(), new.spec.clone());
            }
        }
        let count = changed.len();
        Ok((
            count,
            Deed::of("import", kind.name(), format!("{count} of {}", all.len())).after(changed.into()),
        ))
    })
}
