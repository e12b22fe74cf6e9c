//! Keeps the settings that were changed through the API, and the digest of the admin token; it never reads what a setting says.

use policy::Digest;
use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::directory::{CHANGE, change, parsed};
use crate::audit::{Author, Deed};
use crate::error::StoreError;

const SETTING: &str = "setting";

pub(crate) fn all(connection: &Connection) -> Result<Vec<(String, Value)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name, value FROM settings ORDER BY name")?;
    let rows = statement
        .query_map([], |row| Ok(parsed(row, "value").and_then(|value| Ok((row.get("name")?, value)))))?;
    rows.map(|row| row?).collect()
}

const SET_SETTING: &str = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

pub(crate) fn edit(
    connection: &mut Connection,
    author: &Author,
    changes: &[(String, Option<Value>)],
) -> Result<(), StoreError> {
    change(connection, author, |transaction| {
        let known: Map<String, Value> = all(transaction)?.into_iter().collect();
        let (mut before, mut after) = (Map::new(), Map::new());
        for (name, value) in changes {
            before.insert(name.clone(), known.get(name).cloned().unwrap_or(Value::Null));
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
