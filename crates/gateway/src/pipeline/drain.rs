//! Decides what becomes of a request whose client left: settled at once, or, where its backend says so, when the upstream
//! has told what it used. Never keeps the caller's place meanwhile.

use std::time::Duration;

use policy::Outcome;
use tokio::sync::{mpsc, oneshot};
use upstream::Answer;

use super::{
    call::{Ended, Passage, advance},
    route::Lease,
    settle::{End, Facts, outcome_of, settle},
};
use crate::tasks::Counted;

/// A stream is read on without its client for at most so long, beside the deadlines of its backend.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(120);
/// And for at most so many bytes.
const DRAIN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a client left behind.
pub(crate) enum Abandoned {
    /// A ticket, to be settled.
    Ticket(Box<Facts>),
    /// A stream that has begun, on a backend that is to be heard to the end.
    Stream(Box<Drain>),
    /// Nothing: somebody waits until what was left before has been taken up.
    Mark(oneshot::Sender<()>),
}

/// An event stream as it comes from the upstream.
pub(super) struct Flow {
    pub(super) answer: Answer,
    pub(super) passage: Passage,
}

/// A stream that is read for its usage alone.
pub(crate) struct Drain {
    flow: Flow,
    lease: Lease,
    facts: Box<Facts>,
    counted: Counted,
}

impl Drain {
    /// Counted from here on, so that a graceful stop waits for it.
    pub(super) fn new(flow: Flow, lease: Lease, facts: Box<Facts>) -> Self {
        let counted = facts.gateway.tasks.announce("drain");
        Self { flow, lease, facts, counted }
    }

    /// Frees the caller's place and reads on, if there is a place for that.
    fn start(self) {
        let Self { mut flow, mut lease, mut facts, counted } = self;
        facts.discharge();
        let Ok(place) = facts.gateway.drains.clone().try_acquire_owned() else {
            lease.used(Some(facts.tokens()));
            drop(lease);
            drop(settle(facts));
            return;
        };
        counted.run(async move {
            let _place = place;
            let read = tokio::time::timeout(DRAIN_TIME_MAX, read(&mut flow, &mut facts)).await;
            facts.streamed(flow.passage.tally());
            lease.used(Some(facts.tokens()));
            match read.unwrap_or_default() {
                Some(Ended::Complete) => {
                    facts.end = Some(End::drained());
                    lease.finish(Outcome::Success { tokens: Some(facts.tokens()) });
                }
                Some(Ended::Cut(failure) | Ended::Told { failure, .. }) => lease.finish(outcome_of(&failure)),
                // The cap was reached: given up as if the client had left only now.
                None => drop(lease),
            }
            drop(settle(facts));
        });
    }
}

/// Reads to the end, or to the cap on bytes.
async fn read(flow: &mut Flow, facts: &mut Facts) -> Option<Ended> {
    let (mut ready, mut bytes) = (Vec::new(), 0_usize);
    loop {
        let came = flow.answer.chunk().await;
        bytes += came.as_ref().and_then(|chunk| chunk.as_ref().ok()).map_or(0, bytes::Bytes::len);
        if let Some(ended) = advance(&mut flow.passage, came, &mut ready) {
            return Some(ended);
        }
        ready.clear();
        facts.progress(flow.passage.tally(), tokio::time::Instant::now());
        if flow.passage.is_done() {
            return Some(Ended::Complete);
        }
        if bytes > DRAIN_BYTES_MAX {
            return None;
        }
    }
}

/// Takes up what clients left, in the order they left.
pub(crate) async fn settle_abandoned(mut abandoned: mpsc::Receiver<Abandoned>) {
    while let Some(left) = abandoned.recv().await {
        match left {
            // Nobody waits for the end of this answer.
            Abandoned::Ticket(facts) => drop(settle(facts)),
            Abandoned::Stream(drain) => drain.start(),
            // Whoever waited may have gone.
            Abandoned::Mark(waiter) => drop(waiter.send(())),
        }
    }
}
