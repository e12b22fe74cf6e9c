//! Decides how one attempt is made; before its answer is committed to, a failure may move to another backend.

mod commit;
mod outgoing;
mod passage;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use policy::{BackendId, Repeat};
use protocol::{AnswerOutline, Failure, FailureKind, Objection, Retry, StreamTally};
use upstream::{Answer, Call};

use super::{
    admit::{Ticket, unrecorded},
    decode::{Ask, Payload},
    route::{self, Lease},
};
use crate::{
    refusal::{Passed, Refusal},
    routes::Operation,
    tape::Tape,
};
pub(super) use commit::is_event_stream;
pub(super) use outgoing::DROPPED;
use outgoing::Outgoing;
pub(crate) use passage::Passage;
pub(super) use passage::{Ended, advance};

/// An answer that was committed to: from here on nothing is retried.
pub(crate) struct Reply {
    pub(super) lease: Lease,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
}

/// What the answer consists of.
pub(super) enum Content {
    /// A whole JSON answer, checked to be complete.
    Whole { body: Bytes, outline: Option<AnswerOutline>, untold: Vec<String> },
    /// An event stream whose first event is here.
    Stream(Box<Stream>),
    /// Bytes that pass through as they come.
    Opaque(Answer),
}

/// A committed event stream.
pub(super) struct Stream {
    pub(super) answer: Answer,
    pub(super) passage: Passage,
    /// Whole events, ready to go out.
    pub(super) ready: Vec<Bytes>,
    /// How the stream ended, when it ended within what was read so far.
    pub(super) ended: Option<Ended>,
}

/// An attempt that did not lead to an answer.
pub(super) struct Failed {
    lease: Lease,
    failure: Failure,
    passed: Option<Passed>,
    /// What a stream told before it failed.
    tally: Option<StreamTally>,
    /// What of the request it was refused for.
    objection: Option<Objection>,
}

/// An attempt that is open in the journal, and not sent yet.
pub(super) struct Sending {
    lease: Lease,
    outgoing: Outgoing,
}

impl Sending {
    /// The backend it is for.
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Failed {
    fn before_sending(lease: Lease, failure: Failure) -> Self {
        Failed { lease, failure, passed: None, tally: None, objection: None }
    }

    /// The backend that failed.
    pub(super) fn backend(&self) -> BackendId {
        self.lease.backend()
    }

    /// Closes the attempt, and says what it came to.
    pub(super) fn close(self, ask: &Ask, ticket: &mut Ticket) -> Closed {
        let Self { lease, failure, passed, tally, objection: _ } = self;
        let facts = ticket.facts();
        let backend = lease.backend();
        facts.failed(lease, &failure, tally.as_ref());
        if failure.kind == FailureKind::RateLimited {
            // Its cooldown keeps it away; once that is over it is as good as any.
            facts.tries.backends.retain(|tried| *tried != backend);
        }
        let repeat = facts.tries.failures.add(failure.kind, &ask.view.snapshot.settings);
        Closed { failure, passed, repeat }
    }
}

/// What a failed attempt came to.
pub(super) struct Closed {
    failure: Failure,
    passed: Option<Passed>,
    /// Whether another may follow, as far as the number of failures goes.
    repeat: Repeat,
}

/// Opens an attempt on the leased backend in the journal; one that this request has been to is given a pause first.
/// What cannot be recorded is not sent, and is nobody's failure but the gateway's own.
pub(super) async fn record(ask: &Ask, lease: &mut Lease, ticket: &mut Ticket) -> Result<(), Refusal> {
    let facts = ticket.facts();
    if facts.tries.backends.contains(&lease.backend()) {
        let pause = policy::backoff(u32::from(facts.stamp.attempts()), &mut rand::rng());
        tokio::time::sleep(pause).await;
    }
    facts.open(ask, lease).map_err(|unwritten| unrecorded(&unwritten.to_string()))?;
    // From here on at least the prompt counts, should the client leave.
    lease.used(Some(ask.estimate.prompt));
    Ok(())
}

/// Puts together what goes to the leased backend.
pub(super) fn prepare(ask: &mut Ask, lease: Lease) -> Result<Sending, Box<Failed>> {
    let outgoing = match outgoing::repeatable(ask, &lease) {
        Ok(Some(outgoing)) => outgoing,
        Ok(None) => outgoing::once(ask, &lease),
        Err(failure) => return Err(Failed::before_sending(lease, failure).into()),
    };
    Ok(Sending { lease, outgoing })
}

/// Opens a second attempt beside one that runs, if its body can be sent again and the journal takes its line.
pub(super) fn open_beside(ask: &Ask, mut lease: Lease, ticket: &mut Ticket) -> Option<Sending> {
    let outgoing = outgoing::repeatable(ask, &lease).ok()??;
    if let Err(unwritten) = ticket.facts().open_beside(ask, &lease) {
        tracing::warn!(request_id = ask.stamp.request_id(), %unwritten, "the journal took no line: not hedged");
        return None;
    }
    lease.used(Some(ask.estimate.prompt));
    Some(Sending { lease, outgoing })
}

/// Calls the backend and waits until its answer can be committed to.
pub(super) async fn answer(ask: &Ask, sending: Sending) -> Result<Reply, Failed> {
    let Sending { lease, outgoing: Outgoing { path, headers, body, mut lost } } = sending;
    let call = Call {
        method: ask.method.clone(),
        path: &path,
        headers,
        body,
        deadlines: match ask.operation == Operation::Generate && !ask.is_stream() {
            true => lease.serving.backend.deadlines.of_plain_answer(),
            false => lease.serving.backend.deadlines,
        },
        started: ask.at,
    };
    let called = lease.client().call(lease.endpoint(), call).await;
    if let Some(tape) = &ask.tape {
        tell(tape, &lease, &called);
    }
    let mut reply = match called {
        Ok(answer) => commit::commit(ask, lease, answer).await?,
        Err(failure) => return Err(Failed::before_sending(lease, failure)),
    };
    if let Content::Whole { untold, .. } = &reply.content {
        lost.extend(untold.iter().cloned());
    }
    if let Some(dropped) = outgoing::dropped(&lost) {
        reply.headers.insert(DROPPED.clone(), dropped);
    }
    Ok(reply)
}

/// What a capture tells of an attempt.
fn tell(tape: &Tape, lease: &Lease, called: &Result<Answer, Failure>) {
    let backend = &lease.serving.backend.name;
    match called {
        Ok(answer) => {
            let head = (answer.status.as_u16(), &answer.headers);
            tape.answered(backend, head, |value| lease.is_quoted_in(value));
        }
        Err(failure) => tape.failed(backend, failure.kind.name()),
    }
}

/// Closes a failed attempt: the refusal it comes to where no other may follow, else what to tell should none be possible;
/// nothing of a rate limit, for how long all of them last is known better here than by one of them.
pub(super) async fn retry(
    failed: Failed,
    ask: &mut Ask,
    ticket: &mut Ticket,
) -> Result<Option<Refusal>, Refusal> {
    let pool = failed.lease.tier().pool.clone();
    let total = failed.lease.serving.backend.deadlines.total;
    let is_sought = is_sought(ask, &failed);
    let withholds = failed.objection == Some(Objection::Seals) && ask.has_seals_to_withhold(&failed.lease);
    let backend = failed.backend();
    let Closed { failure, passed, repeat } = failed.close(ask, ticket);
    let facts = ticket.facts();
    if withholds {
        ask.withhold_seals();
        // It has nothing against the rest.
        facts.tries.backends.retain(|tried| *tried != backend);
    }
    let lacks_it = is_sought || failure.kind == FailureKind::ModelMissing;
    let may_help = (failure.retry() == Retry::ElsewhereNow || is_sought || withholds)
        && (!lacks_it || is_elsewhere_left(ask, &facts.tries.backends))
        && !matches!(ask.payload, Payload::Opaque(None))
        && ask.at.elapsed() < total
        && facts.can_pay(1)
        && match repeat {
            Repeat::Freely => true,
            Repeat::OnBudget if withholds => true,
            Repeat::OnBudget => facts.gateway.live.may_retry(&pool, tokio::time::Instant::now().into_std()),
            Repeat::Never => false,
        };
    match (may_help, passed) {
        (true, _) if failure.kind == FailureKind::RateLimited => Ok(None),
        (true, passed) => Ok(Some(told(passed, &failure))),
        // The provider speaks of one backend, and often not even of that.
        (false, None) if failure.kind == FailureKind::RateLimited => {
            Err(Refusal::from(&failure).retry_after(route::soonest(ask, ticket)))
        }
        // Who broke off the body that passes through is told why, whatever that came to on the way.
        (false, None) => Err(ask.upload.refusal().unwrap_or_else(|| Refusal::from(&failure))),
        (false, passed) => Err(told(passed, &failure)),
    }
}

fn told(passed: Option<Passed>, failure: &Failure) -> Refusal {
    match passed {
        Some(passed) => Refusal::passed(passed, failure),
        None => Refusal::from(failure),
    }
}

/// Whether nobody knew where the response is that is asked for, or to be continued, and it was not here: it may be with
/// another.
fn is_sought(ask: &Ask, failed: &Failed) -> bool {
    let is_missed = match ask.operation {
        Operation::Stored => failed.failure.status == Some(404),
        Operation::Generate => failed.objection == Some(Objection::Past),
        Operation::CountTokens
        | Operation::Relay
        | Operation::ListModels
        | Operation::ShowModel
        | Operation::Resume
        | Operation::WebSocket
        | Operation::Hello => false,
    };
    is_missed && ask.bound.is_none()
}

/// Whether there is a backend that this request has not been to: one that lacks the model will not have it a moment later.
fn is_elsewhere_left(ask: &Ask, tried: &[BackendId]) -> bool {
    let mut candidates = ask.route.tiers.iter().flat_map(|tier| &tier.candidates);
    candidates.any(|candidate| !tried.contains(&candidate.backend))
}
