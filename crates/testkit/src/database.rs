//! Keeps a data folder's database from everybody else, as a stuck backup would; never reads or changes what is in it.

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
