//! Decides how a whole answer goes out: settled with its last piece, before the client can see its end.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use policy::Outcome;
use protocol::Segments;

use super::super::{
    admit::Ticket,
    route::Lease,
    settle::{End, Facts, Flush},
};

/// A whole answer, in pieces that were never copied together.
pub(crate) struct WholeBody {
    segments: Segments,
    sent: usize,
    left: u64,
    held: Option<(StatusCode, Lease, Ticket)>,
    flush: Option<Flush>,
}

impl WholeBody {
    pub(super) fn new(segments: Segments, status: StatusCode, lease: Lease, ticket: Ticket) -> Self {
        let left = segments.iter().map(|segment| segment.len() as u64).sum();
        let mut body = Self { segments, sent: 0, left, held: Some((status, lease, ticket)), flush: None };
        if left == 0 {
            // A body without bytes is never polled.
            body.settle();
        }
        body
    }

    /// The next piece.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.sent + 1 >= self.segments.len() {
            self.settle();
        }
        if let Some(flush) = &mut self.flush {
            ready!(flush.as_mut().poll(cx));
            self.flush = None;
        }
        let segment = self.segments.get_mut(self.sent).map(std::mem::take);
        self.sent += 1;
        self.left -= segment.as_ref().map_or(0, |segment| segment.len() as u64);
        Poll::Ready(segment)
    }

    fn settle(&mut self) {
        if let Some((status, lease, mut ticket)) = self.held.take() {
            let facts = ticket.facts();
            facts.bytes_out = self.segments.iter().map(|segment| segment.len() as u64).sum();
            facts.end = Some(End::completed(status.as_u16()));
            lease.finish(Outcome::Success { tokens: Some(facts.tokens()) });
            self.flush = ticket.settle();
        }
    }

    /// Whether every piece was handed out.
    pub(crate) fn is_sent(&self) -> bool {
        self.held.is_none() && self.sent >= self.segments.len()
    }

    /// Bytes not handed out yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

/// Adds the `lockgate` object to a JSON answer: who served it and how long each part took.
pub(super) fn with_debug(segments: Segments, facts: &Facts, lease: &Lease) -> Segments {
    let millis = |duration: std::time::Duration| duration.as_millis();
    let object = serde_json::json!({
        "backend": &*lease.serving.backend.name,
        "attempts": facts.stamp.attempts(),
        "queue_ms": millis(facts.queued),
        "first_token_ms": facts.first_event.map(millis),
        "total_ms": millis(facts.elapsed()),
    });
    let Some(last) = segments.last() else { return segments };
    let Some(brace) = last.iter().rposition(|byte| *byte == b'}') else { return segments };
    let head = last.slice(..brace);
    let tail = last.slice(brace..);
    let mut extended: Segments = segments[..segments.len() - 1].iter().cloned().collect();
    extended.push(head);
    extended.push(Bytes::from(format!(",\"lockgate\":{object}")));
    extended.push(tail);
    extended
}
