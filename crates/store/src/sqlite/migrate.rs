//! Brings a database to this release's schema, forward only, each step in its own transaction; it never touches
//! a database that a newer release wrote.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::time::Instant;

use super::Place;
use crate::error::StoreError;

/// Every schema there ever was, in order. An entry is never edited once released: append.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_directory_and_ledger.sql"),
    include_str!("../../migrations/0002_bindings.sql"),
    include_str!("../../migrations/0003_audit.sql"),
    include_str!("../../migrations/0004_records.sql"),
    include_str!("../../migrations/0005_specs.sql"),
    include_str!("../../migrations/0006_kept_responses.sql"),
    include_str!("../../migrations/0007_door.sql"),
    include_str!("../../migrations/0008_reasons.sql"),
    include_str!("../../migrations/0009_captures.sql"),
    include_str!("../../migrations/0010_sums_alone.sql"),
    include_str!("../../migrations/0011_events.sql"),
    include_str!("../../migrations/0012_charged_prices.sql"),
    include_str!("../../migrations/0013_event_fields.sql"),
    include_str!("../../migrations/0014_images.sql"),
];

/// The newest schema known here.
pub(crate) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Refuses a database of a newer release before anything could write to it.
pub(crate) fn refuse_newer(place: &Place) -> Result<(), StoreError> {
    if !place.path.exists() {
        return Ok(());
    }
    let connection = Connection::open_with_flags(&place.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(place.busy_timeout)?;
    refuse(version(&connection)?)
}

fn refuse(found: i64) -> Result<(), StoreError> {
    let known = newest();
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(()) }
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// A start that takes longer than this says what it is at, and again each time as much has passed.
const PATIENCE: Duration = Duration::from_secs(3);
/// Steps of SQLite's machine between two looks at the clock: some milliseconds.
const STEPS_BETWEEN: i32 = 100_000;

/// Applies what is missing and proves that what was applied is what this release carries.
pub(crate) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    let (from, to) = (version(connection)?, newest());
    let began = Instant::now();
    let mut patience = Patience::new(began);
    let say = move || {
        if patience.is_over(Instant::now()) {
            let seconds = began.elapsed().as_secs();
            tracing::info!(from, to, seconds, "the database of an earlier release is brought up to date");
        }
        false
    };
    connection.progress_handler(STEPS_BETWEEN, Some(say))?;
    let applied = apply(connection, MIGRATIONS);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    applied?;
    if began.elapsed() > PATIENCE {
        let seconds = began.elapsed().as_secs();
        tracing::info!(from, to, seconds, "the database is up to date");
    }
    Ok(())
}

/// Says now and then that something still goes on.
#[derive(Debug)]
struct Patience(Instant);

impl Patience {
    fn new(now: Instant) -> Self {
        Self(now + PATIENCE)
    }

    /// Once each time.
    fn is_over(&mut self, now: Instant) -> bool {
        let is_over = now >= self.0;
        if is_over {
            self.0 = now + PATIENCE;
        }
        is_over
    }
}

fn apply(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    for (number, sql) in (1_i64..).zip(migrations) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read again under the lock: another process may have been faster.
        let at = version(&transaction)?;
        refuse(at)?;
        let sum = i64::from(crc32c::crc32c(sql.as_bytes()));
        if at >= number {
            let applied: i64 = transaction.query_row(
                "SELECT checksum FROM migrations WHERE version = ?1",
                [number],
                |row| row.get(0),
            )?;
            if applied != sum {
                return Err(StoreError::Foreign(number));
            }
            continue;
        }
        transaction.execute_batch(sql)?;
        transaction.execute("INSERT INTO migrations (version, checksum) VALUES (?1, ?2)", [number, sum])?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::inspection::Inspection;
    use super::*;

    /// What was there before this migration is in the sums that it makes.
    const SUMS_ALONE: usize = 10;

    fn place(dir: &tempfile::TempDir) -> Place {
        Place { path: dir.path().join("lockgate.db"), busy_timeout: Duration::from_millis(50) }
    }

    #[test]
    fn a_newer_schema_is_refused_and_no_byte_of_it_changes() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = place(&dir);
        let connection = Connection::open(&place.path).expect("a database");
        connection.pragma_update(None, "journal_mode", "wal").expect("wal");
        connection.execute_batch("CREATE TABLE future (x)").expect("a table");
        connection.pragma_update(None, "user_version", newest() + 1).expect("a version");
        drop(connection);
        let before = std::fs::read(&place.path).expect("the file");
        let refused =
            super::super::Database::open(place.clone(), Inspection::Skipped).expect_err("a newer schema");
        assert!(matches!(refused, StoreError::Newer { .. }), "{refused}");
        assert!(std::fs::read(&place.path).expect("the file") == before, "the file was touched");
    }

    #[test]
    fn a_newer_schema_that_is_still_in_the_write_ahead_log_is_refused_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = place(&dir);
        let owner = Connection::open(&place.path).expect("a database");
        owner.pragma_update(None, "journal_mode", "wal").expect("wal");
        owner.pragma_update(None, "user_version", newest() + 7).expect("a version");
        let wal = dir.path().join("lockgate.db-wal");
        let before = (std::fs::read(&place.path).expect("file"), std::fs::read(&wal).expect("log"));
        let refused =
            super::super::Database::open(place.clone(), Inspection::Skipped).expect_err("a newer schema");
        assert!(matches!(refused, StoreError::Newer { .. }), "{refused}");
        assert!((std::fs::read(&place.path).expect("file"), std::fs::read(&wal).expect("log")) == before);
    }

    /// Tables and indexes, as they are.
    fn schema(connection: &Connection) -> Vec<(String, Option<String>)> {
        let mut statement =
            connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").expect("a query");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.collect::<Result<_, _>>().expect("names and texts")
    }

    #[test]
    fn p20_every_earlier_schema_is_brought_up_with_what_it_held() {
        let mut fresh = Connection::open_in_memory().expect("a database");
        run(&mut fresh).expect("the schema of this release");
        for known in 1..MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().expect("a database");
            apply(&mut connection, &MIGRATIONS[..known]).expect("an earlier schema");
            connection
                .execute_batch(
                    "INSERT INTO settings VALUES ('limits.queue_max', '7'); \
                     INSERT INTO backends VALUES ('b1', 'main', '{}', 'sk-***', 1, 1, 2, 3); \
                     INSERT INTO usage_daily (bucket, backend, model, key, team, requests, completed, failed, \
                     cancelled, interrupted, queue_ms, total_ms, first_event_ms, first_events, bytes_in, bytes_out, \
                     attempts, attempts_failed, input, cached_input, cache_write, cache_write_1h, output, reasoning, \
                     audio_input, audio_output, cost_micros, cost_picos, unpriced) VALUES (86400000, 'main', 'm', \
                     'app', '', 5, 5, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0, 8, 0, 0, 0, 9, 0, 0, 0, 10, 11, 0);",
                )
                .expect("what it held");
            run(&mut connection).expect("brought up");
            assert_eq!(version(&connection).expect("a version"), newest(), "from {known}");
            assert_eq!(schema(&connection), schema(&fresh), "from {known}");
            let held: (String, i64, i64) = connection
                .query_row(
                    "SELECT (SELECT value FROM settings), (SELECT revision FROM backends), \
                     (SELECT cost_picos FROM usage_daily)",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .expect("what it held");
            assert_eq!(held, ("7".to_owned(), 3, 11), "from {known}");
            let ever: i64 = connection
                .query_row(
                    "SELECT coalesce(sum(cost_picos), 0) FROM sums_ever WHERE dimension = 'team'",
                    [],
                    |row| row.get(0),
                )
                .expect("sums");
            assert_eq!(ever, if known < SUMS_ALONE { 11 } else { 0 }, "from {known}");
        }
    }

    #[test]
    fn what_takes_long_says_so_each_time_as_much_has_passed() {
        let began = Instant::now();
        let mut patience = Patience::new(began);
        let at = |tenths: u32| began + PATIENCE * tenths / 10;
        let said: Vec<u32> = (0..40).filter(|tenths| patience.is_over(at(*tenths))).collect();
        assert_eq!(said, [10, 20, 30]);
    }

    #[test]
    fn migrations_run_once_and_a_changed_one_is_noticed() {
        let mut connection = Connection::open_in_memory().expect("a database");
        run(&mut connection).expect("first");
        run(&mut connection).expect("again");
        assert_eq!(version(&connection).expect("a version"), newest());
        connection.execute("UPDATE migrations SET checksum = checksum + 1", []).expect("an edit");
        assert!(matches!(run(&mut connection), Err(StoreError::Foreign(1))));
    }
}
