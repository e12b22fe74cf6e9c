//! Does to a data folder's database what others do who can write to its disk: keeps it from everybody, as a stuck backup
//! would, or changes it behind everybody's back.

use std::path::Path;
use std::time::Duration;

/// A database that nobody else can write to until this is dropped.
pub struct HeldDatabase {
    _connection: rusqlite::Connection,
}

impl HeldDatabase {
    /// Takes the exclusive lock of the database in `data`, and waits for it where somebody has it.
    pub fn lock(data: &Path) -> Result<Self, rusqlite::Error> {
        let connection = rusqlite::Connection::open(data.join("lockgate.db"))?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(Self { _connection: connection })
    }
}

/// Changes the database in `data` as somebody does who knows how to. Gives the number of rows that changed.
pub fn alter_database(data: &Path, sql: &str) -> Result<usize, rusqlite::Error> {
    let connection = rusqlite::Connection::open(data.join("lockgate.db"))?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute(sql, [])
}
