//! Decides when the provider's hidden limit refuses a call; never tells anyone what the limit is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A hidden limit: so many calls a minute, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Calls that become free each minute.
    pub per_minute: u32,
    /// Calls that may come at once.
    pub burst: u32,
}

/// A token bucket in whole nanoseconds: the instant when it will be full again.
pub(super) struct Bucket {
    per_call: Duration,
    capacity: Duration,
    full_at: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        let per_call = Duration::from_secs(60) / rate.per_minute.max(1);
        Self { per_call, capacity: per_call * rate.burst.max(1), full_at: Instant::now() }
    }

    /// How long a call must wait, or `None` where it may pass (and is charged).
    pub(super) fn refusal(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let full_at = self.full_at.max(now) + self.per_call;
        let over = (full_at - now).saturating_sub(self.capacity);
        if over.is_zero() {
            self.full_at = full_at;
            None
        } else {
            Some(over)
        }
    }
}
