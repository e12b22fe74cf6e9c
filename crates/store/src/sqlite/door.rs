//! Keeps admin tokens and sessions in rows. What is noted of their use counts as no change of the directory: nothing is
//! published for it.

use policy::{Digest, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde_json::{Value, json};

use super::audit;
use super::directory::{missing, taken};
use crate::audit::{Author, Deed};
use crate::door::{NewToken, SessionBounds, StoredSession, StoredToken};
use crate::error::StoreError;

const TOKEN: &str = "admin token";
const ALL: &str = "id, name, role, masked, created, expires, last_used";

fn token_row(row: &Row<'_>) -> rusqlite::Result<StoredToken> {
    Ok(StoredToken {
        id: row.get("id")?,
        name: row.get("name")?,
        role: row.get("role")?,
        masked: row.get("masked")?,
        created: Timestamp(row.get("created")?),
        expires: row.get::<_, Option<i64>>("expires")?.map(Timestamp),
        last_used: row.get::<_, Option<i64>>("last_used")?.map(Timestamp),
    })
}

fn told(token: &StoredToken) -> Value {
    json!({"role": token.role, "expires": token.expires})
}

fn change<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

pub(crate) fn tokens(connection: &Connection) -> Result<Vec<StoredToken>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ALL} FROM admin_tokens ORDER BY name"))?;
    let rows = statement.query_map([], token_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn token_of(connection: &Connection, digest: &Digest) -> Result<Option<StoredToken>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ALL} FROM admin_tokens WHERE digest = ?1"))?;
    Ok(statement.query_row([digest.bytes()], token_row).optional()?)
}

fn token(connection: &Connection, id: &str) -> Result<StoredToken, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ALL} FROM admin_tokens WHERE id = ?1"))?;
    statement.query_row([id], token_row).optional()?.ok_or_else(|| missing(TOKEN, id))
}

pub(crate) fn add_token(
    connection: &mut Connection,
    author: &Author,
    new: &NewToken,
    count_max: u32,
    now: Timestamp,
) -> Result<StoredToken, StoreError> {
    change(connection, |transaction| {
        let count: u32 = transaction.query_row("SELECT count(*) FROM admin_tokens", [], |row| row.get(0))?;
        if count >= count_max {
            let name = new.name.clone();
            return Err(StoreError::Conflict {
                what: TOKEN,
                name,
                why: "is one too many; remove another one",
            });
        }
        transaction
            .execute(
                "INSERT INTO admin_tokens (id, name, role, digest, masked, created, expires) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    new.id,
                    new.name,
                    new.role,
                    new.digest.bytes(),
                    new.masked,
                    now.0,
                    new.expires.map(|at| at.0)
                ],
            )
            .map_err(taken(TOKEN, &new.name))?;
        let made = token(transaction, &new.id)?;
        audit::append(transaction, author, &Deed::of("create", TOKEN, &new.name).after(told(&made)))?;
        Ok(made)
    })
}

pub(crate) fn remove_token(connection: &mut Connection, author: &Author, id: &str) -> Result<(), StoreError> {
    change(connection, |transaction| {
        let old = token(transaction, id)?;
        transaction.execute(
            "DELETE FROM admin_sessions WHERE token = (SELECT digest FROM admin_tokens WHERE id = ?1)",
            [id],
        )?;
        transaction.execute("DELETE FROM admin_tokens WHERE id = ?1", [id])?;
        audit::append(transaction, author, &Deed::of("delete", TOKEN, &old.name).before(told(&old)))
    })
}

pub(crate) fn token_used(connection: &Connection, id: &str, now: Timestamp) -> Result<(), StoreError> {
    connection.execute("UPDATE admin_tokens SET last_used = ?2 WHERE id = ?1", params![id, now.0])?;
    Ok(())
}

pub(crate) fn session(connection: &Connection, digest: &Digest) -> Result<Option<StoredSession>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT digest, token, created, seen FROM admin_sessions WHERE digest = ?1")?;
    let found = statement.query_row([digest.bytes()], |row| {
        Ok(StoredSession {
            digest: Digest::from_bytes(row.get("digest")?),
            token: Digest::from_bytes(row.get("token")?),
            created: Timestamp(row.get("created")?),
            seen: Timestamp(row.get("seen")?),
        })
    });
    Ok(found.optional()?)
}

pub(crate) fn add_session(
    connection: &mut Connection,
    author: &Author,
    new: &StoredSession,
    bounds: SessionBounds,
) -> Result<(), StoreError> {
    change(connection, |transaction| {
        transaction.execute(
            "INSERT INTO admin_sessions (digest, token, created, seen) VALUES (?1, ?2, ?3, ?4)",
            params![new.digest.bytes(), new.token.bytes(), new.created.0, new.seen.0],
        )?;
        transaction.execute(
            "DELETE FROM admin_sessions WHERE created < ?1 OR seen < ?2",
            [bounds.created_since.0, bounds.seen_since.0],
        )?;
        transaction.execute(
            "DELETE FROM admin_sessions WHERE digest IN \
             (SELECT digest FROM admin_sessions WHERE digest <> ?2 ORDER BY seen DESC, digest LIMIT -1 OFFSET ?1)",
            params![bounds.count_max.saturating_sub(1), new.digest.bytes()],
        )?;
        audit::append(transaction, author, &Deed::of("login", "session", &*author.name))
    })
}

pub(crate) fn session_used(
    connection: &Connection,
    digest: &Digest,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .execute("UPDATE admin_sessions SET seen = ?2 WHERE digest = ?1", params![digest.bytes(), now.0])?;
    Ok(())
}

pub(crate) fn remove_session(connection: &Connection, digest: &Digest) -> Result<(), StoreError> {
    connection.execute("DELETE FROM admin_sessions WHERE digest = ?1", [digest.bytes()])?;
    Ok(())
}
