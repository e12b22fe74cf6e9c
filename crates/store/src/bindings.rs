//! Decides which bindings of ids to backends a new process begins with; never what one means.

use std::time::Duration;

use policy::Bound;

use crate::error::StoreError;
use crate::journal::{Journal, JournalError, Met, Position, entry};
use crate::sqlite::{self, Database};

/// The most ids kept; the oldest are forgotten first.
pub const BINDINGS_MAX: usize = 100_000;

/// An id that nobody has seen for so long is forgotten. Providers keep a stored response for a month by default.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What the database has, and behind it what the journal has beyond `taken`: the mover did not come to that yet.
pub(crate) fn remembered(
    database: &Database,
    journal: &Journal,
    taken: Position,
) -> Result<Vec<Bound>, StoreError> {
    let mut bindings = database.write_blocking(sqlite::bindings::all)?;
    let mut tail = journal.tail();
    let mut read = || {
        tail.read(|position, met| {
            if let Met::Line { payload, .. } = met
                && position > taken
            {
                bindings.extend(entry::decode_bound(payload));
            }
        })
    };
    while read().map_err(JournalError::Io)? {}
    Ok(bindings)
}
