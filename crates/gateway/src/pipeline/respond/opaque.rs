//! Decides how an answer passes through unread; when the upstream breaks off, so does the client's connection.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{StatusCode, header};
use policy::Outcome;
use upstream::Answer;

use super::super::{
    admit::Ticket,
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
    flush: Option<Flush>,
}

impl OpaqueBody {
    pub(super) fn new(answer: Answer, status: StatusCode, lease: Lease, mut ticket: Ticket) -> Self {
        ticket.facts().answered(None, 0);
        let length =
            answer.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { answer, status, length, held: Some((lease, ticket)), flush: None }
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
