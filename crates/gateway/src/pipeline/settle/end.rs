//! Decides what is said of how a request ended: its status, its outcome and its code; never what it used.

use policy::{AttemptOutcome, RequestOutcome};

use super::Commitment;
use crate::refusal::{Code, Refusal};

/// How the request ended for the client.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct End {
    pub(super) status: u16,
    pub(super) outcome: RequestOutcome,
    pub(super) attempt: AttemptOutcome,
    pub(super) code: Option<&'static str>,
}

impl End {
    /// The client got the whole answer.
    pub(in crate::pipeline) fn completed(status: u16) -> Self {
        Self { status, outcome: RequestOutcome::Completed, attempt: AttemptOutcome::Succeeded, code: None }
    }

    /// The client was told that the answer broke off after it had begun.
    pub(in crate::pipeline) fn broken(status: u16, code: Code) -> Self {
        Self {
            status,
            outcome: RequestOutcome::Failed,
            attempt: AttemptOutcome::Failed,
            code: Some(code.name),
        }
    }

    /// The client got an error instead of an answer.
    pub(in crate::pipeline) fn refused(refusal: &Refusal) -> Self {
        Self {
            status: refusal.status(),
            outcome: RequestOutcome::Failed,
            attempt: AttemptOutcome::Failed,
            code: Some(refusal.code.name),
        }
    }

    /// The client left, and the upstream was heard to the end of its answer.
    pub(in crate::pipeline) fn drained() -> Self {
        Self { attempt: AttemptOutcome::Succeeded, ..Self::cancelled() }
    }

    /// What the client saw of it, where a keepalive had told the status before.
    pub(super) fn seen_behind(self, commitment: &Commitment) -> Self {
        match (commitment.is_made(), self.outcome) {
            (true, RequestOutcome::Completed | RequestOutcome::Failed) => Self { status: 200, ..self },
            (true, RequestOutcome::Cancelled | RequestOutcome::Interrupted) | (false, _) => self,
        }
    }

    /// The client left.
    pub(super) fn cancelled() -> Self {
        Self {
            status: Code::CLIENT_CLOSED.status,
            outcome: RequestOutcome::Cancelled,
            attempt: AttemptOutcome::Cancelled,
            code: Some(Code::CLIENT_CLOSED.name),
        }
    }
}
