//! Whose fault a failed attempt is, whether another may help, and what it taints; never what is done about it.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::deadline::Deadline;

pub(crate) mod classify;
mod objection;
mod redact;
mod retry_after;
#[cfg(test)]
mod tests;

pub use objection::Objection;

/// How one attempt at a backend has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// The upstream's status, where it came as far as one.
    pub status: Option<u16>,
    /// How long the upstream asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What the operator's log says: bounded, and without anything that looks like a secret.
    pub detail: Box<str>,
}

/// What happened to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection was made.
    Connect,
    /// A connection was made but its other end could not prove itself.
    Tls,
    /// The connection broke.
    Reset,
    /// The answer stopped before its end.
    Truncated,
    /// The answer is not what its dialect says.
    Malformed,
    /// The answer is an error under a status, or in a stream, that promised success.
    ErrorAnswer,
    /// The upstream's limits are reached.
    RateLimited,
    /// The upstream does not accept our credential.
    Unauthorized,
    /// The backend does not have the model.
    ModelMissing,
    /// The upstream cannot serve now.
    Unavailable,
    /// The backend is being started or signed in, or waits for somebody to do that.
    NotReady,
    /// The upstream has understood the request and will not serve it; no other would.
    Rejected,
    /// A deadline of ours has passed.
    Deadline(Deadline),
    /// The answer is larger than we are willing to hold.
    TooLarge,
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The backend, or the way to it.
    Upstream,
    /// The request.
    Caller,
    /// The gateway: its settings or its credential.
    Ours,
}

/// Whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// On another backend, at once.
    ElsewhereNow,
    /// Not at all.
    Never,
}

/// What is not to be trusted for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Taint {
    /// Nothing beyond this call.
    Call,
    /// The credential it was made with.
    Credential,
    /// The backend it was made to.
    Backend,
}

impl Failure {
    /// A failure without a status. The detail is bounded and cleaned here, whatever it is made of.
    pub fn new(kind: FailureKind, detail: impl AsRef<str>) -> Self {
        Failure { kind, status: None, retry_after: None, detail: redact::detail(detail.as_ref()) }
    }

    /// Reads what an answer whose status is no success tells about the attempt.
    pub fn from_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = classify::ErrorText::read(body);
        let mut failure = classify::classify(Some(status.as_u16()), &text, FailureKind::ErrorAnswer);
        failure.retry_after = retry_after::read(headers).or(failure.retry_after);
        failure
    }

    /// Who is to blame.
    pub fn fault(&self) -> Fault {
        match self.kind {
            FailureKind::Connect
            | FailureKind::Tls
            | FailureKind::Reset
            | FailureKind::Truncated
            | FailureKind::Malformed
            | FailureKind::ErrorAnswer
            | FailureKind::RateLimited
            | FailureKind::Unavailable
            | FailureKind::Deadline(_)
            | FailureKind::TooLarge => Fault::Upstream,
            FailureKind::Unauthorized | FailureKind::ModelMissing | FailureKind::NotReady => Fault::Ours,
            FailureKind::Rejected => Fault::Caller,
        }
    }

    /// Whether another attempt may help.
    pub fn retry(&self) -> Retry {
        match self.kind {
            FailureKind::Connect
            | FailureKind::Tls
            | FailureKind::Reset
            | FailureKind::Truncated
            | FailureKind::Malformed
            | FailureKind::ErrorAnswer
            | FailureKind::RateLimited
            | FailureKind::Unauthorized
            | FailureKind::ModelMissing
            | FailureKind::Unavailable
            | FailureKind::NotReady
            | FailureKind::Deadline(Deadline::Connect | Deadline::FirstEvent | Deadline::Idle) => {
                Retry::ElsewhereNow
            }
            FailureKind::Rejected | FailureKind::Deadline(Deadline::Total) | FailureKind::TooLarge => {
                Retry::Never
            }
        }
    }

    /// What is not to be trusted for a while.
    pub fn taint(&self) -> Taint {
        match self.kind {
            FailureKind::RateLimited | FailureKind::Unauthorized => Taint::Credential,
            FailureKind::Connect
            | FailureKind::Tls
            | FailureKind::Reset
            | FailureKind::Truncated
            | FailureKind::Malformed
            | FailureKind::ErrorAnswer
            | FailureKind::Unavailable
            | FailureKind::Deadline(Deadline::Connect | Deadline::FirstEvent | Deadline::Idle) => {
                Taint::Backend
            }
            // The total covers what came before this backend, too; and whether it is ready is known elsewhere.
            FailureKind::ModelMissing
            | FailureKind::NotReady
            | FailureKind::Rejected
            | FailureKind::TooLarge
            | FailureKind::Deadline(Deadline::Total) => Taint::Call,
        }
    }
}

impl FailureKind {
    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Connect => "connect",
            FailureKind::Tls => "tls",
            FailureKind::Reset => "reset",
            FailureKind::Truncated => "truncated",
            FailureKind::Malformed => "malformed",
            FailureKind::ErrorAnswer => "error_answer",
            FailureKind::RateLimited => "rate_limited",
            FailureKind::Unauthorized => "unauthorized",
            FailureKind::ModelMissing => "model_missing",
            FailureKind::Unavailable => "unavailable",
            FailureKind::NotReady => "not_ready",
            FailureKind::Rejected => "rejected",
            FailureKind::Deadline(Deadline::Connect) => "deadline_connect",
            FailureKind::Deadline(Deadline::FirstEvent) => "deadline_first_event",
            FailureKind::Deadline(Deadline::Idle) => "deadline_idle",
            FailureKind::Deadline(Deadline::Total) => "deadline_total",
            FailureKind::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text for operators, such as a line that a program has printed: bounded, and without anything that looks like a
/// secret.
pub fn without_secrets(text: &str) -> Box<str> {
    redact::detail(text)
}
