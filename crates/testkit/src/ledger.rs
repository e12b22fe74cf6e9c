//! Reads what a data folder's ledger holds, row by row as it is stored, so that nothing a query hides is missed; never
//! changes it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

/// All that a ledger says of requests and their calls.
#[derive(Debug, Default)]
pub struct LedgerRead {
    /// Every attempt, in the order in which it was written.
    pub attempts: Vec<AttemptLine>,
    /// Every receipt, in the same order.
    pub receipts: Vec<ReceiptLine>,
    /// What the daily roll-up says they add up to.
    pub daily: Sums,
    /// What the hourly roll-up says.
    pub hourly: Sums,
}

/// One call to one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptLine {
    /// The request it belongs to; `None` where its ticket has no receipt.
    pub request_id: Option<String>,
    /// Which call of the request it was, from 1.
    pub number: u8,
    /// Who was called.
    pub backend: String,
    /// How it ended.
    pub outcome: String,
    /// Prompt tokens, of any kind.
    pub input: u64,
    /// Completion tokens.
    pub output: u64,
    /// Who says so.
    pub usage_source: String,
    /// Picodollars.
    pub cost: i128,
    /// What went wrong.
    pub error_code: Option<String>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptLine {
    /// Its name.
    pub request_id: String,
    /// How it ended.
    pub outcome: String,
    /// How many calls it made.
    pub attempts: u8,
}

/// What a roll-up adds up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests.
    pub requests: u64,
    /// Calls.
    pub attempts: u64,
    /// Prompt tokens.
    pub input: u64,
    /// Completion tokens.
    pub output: u64,
    /// Picodollars.
    pub cost: i128,
}

const ATTEMPTS: &str = "SELECT r.request_id, a.number, a.backend, a.outcome, a.input + a.cached_input + a.cache_write \
     + a.cache_write_1h + a.audio_input, a.output, a.usage_source, a.cost_micros, a.cost_picos, a.error_code \
     FROM attempts a LEFT JOIN receipts r ON r.ticket = a.ticket ORDER BY a.ticket, a.number";
const RECEIPTS: &str = "SELECT request_id, outcome, attempts FROM receipts ORDER BY ticket";
const SUMS: &str = "SELECT coalesce(sum(requests), 0), coalesce(sum(attempts), 0), \
     coalesce(sum(input + cached_input + cache_write + cache_write_1h + audio_input), 0), coalesce(sum(output), 0), \
     coalesce(sum(cost_micros), 0), coalesce(sum(cost_picos), 0) FROM";

impl LedgerRead {
    /// Reads the ledger of the data folder `data`, whose gateway has ended.
    pub fn of(data: &Path) -> Result<Self, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(data.join("lockgate.db"), flags)?;
        let attempts = connection.prepare(ATTEMPTS)?.query_map([], attempt)?.collect::<Result<_, _>>()?;
        let receipts = connection.prepare(RECEIPTS)?.query_map([], receipt)?.collect::<Result<_, _>>()?;
        let daily = connection.query_row(&format!("{SUMS} usage_daily"), [], sums)?;
        let hourly = connection.query_row(&format!("{SUMS} usage_hourly"), [], sums)?;
        Ok(Self { attempts, receipts, daily, hourly })
    }

    /// What the lines themselves add up to.
    pub fn sums(&self) -> Sums {
        let add = |sums: Sums, line: &AttemptLine| Sums {
            attempts: sums.attempts + 1,
            input: sums.input + line.input,
            output: sums.output + line.output,
            cost: sums.cost + line.cost,
            ..sums
        };
        let requests = Sums { requests: self.receipts.len() as u64, ..Sums::default() };
        self.attempts.iter().fold(requests, add)
    }
}

fn attempt(row: &Row<'_>) -> Result<AttemptLine, rusqlite::Error> {
    Ok(AttemptLine {
        request_id: row.get(0)?,
        number: row.get(1)?,
        backend: row.get(2)?,
        outcome: row.get(3)?,
        input: count(row, 4)?,
        output: count(row, 5)?,
        usage_source: row.get(6)?,
        cost: picos(row, 7)?,
        error_code: row.get(9)?,
    })
}

fn receipt(row: &Row<'_>) -> Result<ReceiptLine, rusqlite::Error> {
    Ok(ReceiptLine { request_id: row.get(0)?, outcome: row.get(1)?, attempts: row.get(2)? })
}

fn sums(row: &Row<'_>) -> Result<Sums, rusqlite::Error> {
    Ok(Sums {
        requests: count(row, 0)?,
        attempts: count(row, 1)?,
        input: count(row, 2)?,
        output: count(row, 3)?,
        cost: picos(row, 4)?,
    })
}

fn count(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, count))
}

/// Money is kept as microdollars in one column and the picodollars beyond them in the next.
fn picos(row: &Row<'_>, column: usize) -> Result<i128, rusqlite::Error> {
    let (micros, picos): (i64, i64) = (row.get(column)?, row.get(column + 1)?);
    Ok(i128::from(micros) * 1_000_000 + i128::from(picos))
}
