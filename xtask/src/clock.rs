//! The one place of the tools that reads the running clock; never decides anything by it.

use std::time::{Duration, Instant};

/// Now, on the clock that never goes back.
#[expect(clippy::disallowed_methods, reason = "these tools measure real time; that is what they are for")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Time since some moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self(now())
    }

    /// How long it has run.
    pub(crate) fn elapsed(self) -> Duration {
        now() - self.0
    }
}
