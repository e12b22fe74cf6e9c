//! Decides where wall time and ids come from, so that tests can inject both; never used for measuring durations.

use std::time::SystemTime;

use policy::{TicketId, Timestamp};

/// Wall time, as receipts and logs show it.
pub trait Clock: Send + Sync {
    /// The present wall time in unix milliseconds.
    fn wall(&self) -> Timestamp;
}

/// Ids for arrivals; each must be new for the life of the ledger.
pub trait Ids: Send + Sync {
    /// A new id; sorts by time where the source allows.
    fn ticket(&self) -> TicketId;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's wall clock"
    )]
    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// ULIDs: 48 bits of wall time, 80 random bits.
#[derive(Debug, Default, Clone, Copy)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn ticket(&self) -> TicketId {
        let millis = u64::try_from(SystemClock.wall().0).unwrap_or(0);
        TicketId(ulid::Ulid::from_parts(millis, rand::random::<u128>()).0)
    }
}
