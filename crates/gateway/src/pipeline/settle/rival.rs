//! Decides which of two racing attempts the facts speak of, and what the one that is given up is charged; never who wins.

use policy::{AttemptOutcome, BackendId};
use store::JournalError;

use super::{Ask, Attempt, Facts, Lease, Meter, Served};

/// An attempt that is open beside the one that is spoken of. It has no event yet.
pub(super) struct Rival {
    attempt: Attempt,
    served: Served,
}

/// What the line of an attempt says that another one was faster than.
const HEDGE_LOST: &str = "hedge_lost";

impl Facts {
    /// Opens a second attempt beside the one that runs, which becomes its rival.
    pub(in crate::pipeline) fn open_beside(&mut self, ask: &Ask, lease: &Lease) -> Result<(), JournalError> {
        self.set_aside();
        let opened = self.open(ask, lease);
        if opened.is_err() {
            self.served = None;
            self.turn_to_rival();
        }
        opened
    }

    /// Speaks of the attempt on `backend` from now on, should that be the rival.
    pub(in crate::pipeline) fn turn_to(&mut self, backend: BackendId) {
        if self.rival.as_ref().is_some_and(|rival| rival.served.serving.backend.id == backend) {
            self.turn_to_rival();
        }
    }

    /// Speaks of the rival from now on; the attempt before becomes its rival, if it is still open.
    pub(in crate::pipeline) fn turn_to_rival(&mut self) {
        if let Some(Rival { attempt, served }) = self.rival.take() {
            self.set_aside();
            self.stamp.name(served.serving.name.clone());
            (self.attempt, self.served) = (Some(attempt), Some(served));
        }
    }

    fn set_aside(&mut self) {
        let aside = self.attempt.take().zip(self.served.take());
        self.rival = aside.map(|(attempt, served)| Rival { attempt, served });
        self.meter = Meter::default();
    }

    /// Closes the rival, which answered later than the other: its prompt is paid for all the same.
    pub(in crate::pipeline) fn cancel_rival(&mut self) {
        self.close_rival(None, HEDGE_LOST);
    }

    pub(super) fn close_rival(&mut self, status: Option<u16>, code: &'static str) {
        let Some(Rival { attempt, served }) = self.rival.take() else { return };
        let paid = Meter { is_answered: true, ..Meter::default() };
        let kept = (self.attempt.replace(attempt), self.served.replace(served));
        let meter = std::mem::replace(&mut self.meter, paid);
        // What the client saw was of the other.
        let first_event = self.first_event.take();
        let closed = self.close(AttemptOutcome::Cancelled, status, Some(code));
        (self.attempt, self.served) = kept;
        (self.meter, self.first_event) = (meter, first_event);
        self.write_closed(closed);
    }
}
