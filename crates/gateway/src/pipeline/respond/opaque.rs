//! Decides how an answer passes through untouched; when the upstream breaks off, so does the client's connection.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{StatusCode, header};
use policy::Outcome;
use protocol::{AnswerOutline, Dialect, StreamPlan, StreamRelay, StreamTally};
use upstream::Answer;

use super::super::{
    admit::Ticket,
    call::is_event_stream,
    route::Lease,
    settle::{End, Flush, outcome_of},
};
use crate::{body::BrokenOff, refusal::Refusal};

/// An answer whose bytes pass through as they come.
pub(crate) struct OpaqueBody {
    answer: Answer,
    status: StatusCode,
    length: Option<u64>,
    held: Option<(Lease, Ticket)>,
    /// Where it comes in events: what they tell of what was used.
    ear: Option<Box<Ear>>,
    flush: Option<Flush>,
}

/// Listens to events that pass by untouched.
struct Ear {
    relay: StreamRelay,
    heard: Vec<Bytes>,
    /// It met what is no stream of events: nothing more can be told.
    is_deaf: bool,
}

/// The longest event that is listened to: a large picture, as text.
const HEARD_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Ear {
    fn new() -> Self {
        let plan = StreamPlan { withhold_usage: false, rename_model: None, event_bytes_max: HEARD_BYTES_MAX };
        Self { relay: StreamRelay::new(Dialect::OpenAiRaw, plan), heard: Vec::new(), is_deaf: false }
    }

    fn listen(&mut self, chunk: Bytes) -> &StreamTally {
        self.is_deaf = self.is_deaf || self.relay.push(chunk, &mut self.heard).is_err();
        self.heard.clear();
        self.relay.tally()
    }
}

impl OpaqueBody {
    pub(super) fn new(answer: Answer, status: StatusCode, lease: Lease, mut ticket: Ticket) -> Self {
        ticket.facts().answered(&AnswerOutline::default());
        let length =
            answer.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let ear = is_event_stream(&answer.headers).then(|| Box::new(Ear::new()));
        Self { answer, status, length, held: Some((lease, ticket)), ear, flush: None }
    }

    /// The next bytes for the client.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if let Some(flush) = &mut self.flush {
            ready!(flush.as_mut().poll(cx));
            self.flush = None;
            return Poll::Ready(None);
        }
        match ready!(self.answer.poll_chunk(cx)) {
            Some(Ok(chunk)) => {
                if let Some((_lease, ticket)) = &mut self.held {
                    ticket.facts().bytes_out += chunk.len() as u64;
                    if let Some(ear) = &mut self.ear {
                        ticket.facts().streamed(ear.listen(chunk.clone()));
                    }
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            Some(Err(failure)) => {
                let broken = BrokenOff(failure.detail.clone());
                if let Some((lease, mut ticket)) = self.held.take() {
                    ticket.facts().end =
                        Some(End::broken(self.status.as_u16(), Refusal::from(&failure).code));
                    lease.finish(outcome_of(&failure));
                    // The client sees no end of this answer.
                    drop(ticket.settle());
                }
                Poll::Ready(Some(Err(broken)))
            }
            None => {
                if let Some((lease, mut ticket)) = self.held.take() {
                    ticket.facts().end = Some(End::completed(self.status.as_u16()));
                    lease.finish(Outcome::Success { tokens: None });
                    self.flush = ticket.settle();
                }
                match self.flush {
                    Some(_) => self.poll_next(cx),
                    None => Poll::Ready(None),
                }
            }
        }
    }

    /// The answer's length, where the upstream declared one.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }
}
