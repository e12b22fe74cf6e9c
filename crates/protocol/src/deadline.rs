//! Names the waits of one attempt and says how long each may last; never measures one.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The named waits of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// Until a connection stands.
    Connect,
    /// Until the answer's first event.
    FirstEvent,
    /// Between two events.
    Idle,
    /// Over the whole call.
    Total,
}

/// How long each named wait may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// From the start of the attempt to a connection ready for use (name, TCP, TLS).
    pub connect: Duration,
    /// From then to the first event of the answer; a body still being uploaded counts as life.
    pub first_event: Duration,
    /// The same for an answer that is no stream: it comes when the model has thought and written all of it.
    pub answer: Duration,
    /// Between two events. Only time spent waiting for the backend counts.
    pub idle: Duration,
    /// From the first attempt to the end of the answer.
    pub total: Duration,
}

impl Deadlines {
    /// As they are for an answer that comes in one piece.
    #[must_use]
    pub fn of_plain_answer(self) -> Self {
        Self { first_event: self.answer, ..self }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_event: Duration::from_secs(120),
            // After two that have stalled the total still leaves time for a third.
            answer: Duration::from_secs(240),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(600),
        }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Deadline::Connect => "connect",
            Deadline::FirstEvent => "first_event",
            Deadline::Idle => "idle",
            Deadline::Total => "total",
        })
    }
}
