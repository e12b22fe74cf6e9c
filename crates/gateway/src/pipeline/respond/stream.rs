//! Decides what a client sees of an event stream: every event as it comes, and an honest end, whatever the upstream does.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use policy::Outcome;
use protocol::Failure;
use tokio::time::{Instant, Sleep};

use super::super::{
    admit::Ticket,
    call::{Ended, Stream, advance},
    decode::Minting,
    drain::Flow,
    keepalive::Heart,
    route::Lease,
    settle::{End, Flush, outcome_of},
};
use crate::refusal::Refusal;

/// After its last event an upstream has this long to end its body; then the connection is given up, not the stream.
const LINGER: Duration = Duration::from_secs(1);

/// An event stream on its way to the client.
pub(crate) struct StreamBody {
    /// Taken only when the client leaves.
    flow: Option<Flow>,
    ready: std::vec::IntoIter<Bytes>,
    spare: Vec<Bytes>,
    held: Option<(Lease, Ticket)>,
    is_ended: bool,
    minting: Minting,
    /// How many of the handles that its events have named were looked at.
    minted: usize,
    flush: Option<Flush>,
    lingering: Option<Pin<Box<Sleep>>>,
    /// What is sent while the upstream says nothing.
    heart: Option<Heart>,
}

impl StreamBody {
    pub(super) fn new(stream: Stream, minting: Minting, lease: Lease, ticket: Ticket) -> Self {
        let Stream { answer, passage, ready, ended } = stream;
        let mut body = Self {
            flow: Some(Flow { answer, passage }),
            ready: Vec::new().into_iter(),
            spare: Vec::new(),
            held: Some((lease, ticket)),
            is_ended: false,
            minting,
            minted: 0,
            flush: None,
            lingering: None,
            heart: None,
        };
        body.take(ready, ended);
        body
    }

    /// Keeps this stream alive.
    pub(crate) fn kept_by(&mut self, heart: Heart) {
        self.heart = Some(heart);
    }

    /// The next bytes for the client.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(flush) = &mut self.flush {
                ready!(flush.as_mut().poll(cx));
                self.flush = None;
            }
            if let Some(event) = self.ready.next() {
                return Poll::Ready(Some(event));
            }
            if self.is_ended {
                return Poll::Ready(None);
            }
            let Some(Flow { answer, passage }) = &mut self.flow else { return Poll::Ready(None) };
            let came = match answer.poll_chunk(cx) {
                Poll::Ready(came) => came,
                Poll::Pending if passage.is_done() => {
                    ready!(self.linger(cx));
                    self.is_ended = true;
                    continue;
                }
                Poll::Pending => return self.poll_beat(cx).map(Some),
            };
            let mut ready = std::mem::take(&mut self.spare);
            let ended = advance(passage, came, &mut ready);
            self.take(ready, ended);
        }
    }

    /// Queues what is ready; settles as soon as the end is known, so that the close line precedes the end of the answer.
    fn take(&mut self, mut ready: Vec<Bytes>, ended: Option<Ended>) {
        let Some(Flow { passage, .. }) = &self.flow else { return };
        if let Some((lease, ticket)) = &mut self.held {
            let facts = ticket.facts();
            let tally = passage.tally();
            let handles = tally.response_id.iter().chain(&tally.handles);
            for handle in handles.skip(self.minted) {
                // Before the client hears of it: it may cancel or follow up while the stream still goes on.
                self.minted += 1;
                if self.minting.covers(handle) {
                    facts.bind(handle, lease);
                }
            }
            facts.bytes_out += ready.iter().map(|event| event.len() as u64).sum::<u64>();
            let now = Instant::now();
            if ended.is_none() && !passage.is_done() {
                facts.progress(passage.tally(), now);
            }
            if let Some(heart) = self.heart.as_mut().filter(|_| !ready.is_empty()) {
                heart.spoke(now);
            }
        }
        match ended {
            None if passage.is_done() => self.complete(),
            None => {}
            Some(Ended::Complete) => {
                self.complete();
                self.is_ended = true;
            }
            Some(Ended::Cut(failure)) => {
                if let Some(event) = self.broken(&failure) {
                    ready.push(event);
                }
                self.is_ended = true;
            }
            Some(Ended::Told { mut failure, raw }) => {
                let raw = match &self.held {
                    Some((lease, _ticket)) => {
                        failure.detail = lease.hide_text(failure.detail);
                        lease.hide(raw)
                    }
                    None => raw,
                };
                self.broken(&failure);
                ready.push(match &mut self.flow {
                    Some(Flow { passage, .. }) => passage.told(raw),
                    None => raw,
                });
                self.is_ended = true;
            }
        }
        self.ready = ready.into_iter();
    }

    fn complete(&mut self) {
        let (Some(flow), Some((lease, mut ticket))) = (&mut self.flow, self.held.take()) else { return };
        let facts = ticket.facts();
        if let Some((memory, response)) = flow.passage.take_memory() {
            facts.gateway.keep(&memory, &response);
        }
        facts.streamed(flow.passage.tally());
        facts.end = Some(End::completed(200));
        lease.finish(Outcome::Success { tokens: Some(facts.tokens()) });
        self.flush = ticket.settle();
    }

    /// Settles a stream that broke off, and gives the event that tells the client so.
    fn broken(&mut self, failure: &Failure) -> Option<Bytes> {
        let Flow { passage, .. } = self.flow.as_mut()?;
        let (mut lease, mut ticket) = self.held.take()?;
        let facts = ticket.facts();
        facts.streamed(passage.tally());
        lease.used(Some(facts.tokens()));
        let refusal = Refusal::from(failure);
        tracing::warn!(
            request_id = facts.stamp.request_id(),
            backend = &*lease.serving.backend.name,
            kind = ?failure.kind,
            detail = &*failure.detail,
            "a stream broke off after it had begun"
        );
        lease.serving.metrics.failed(failure);
        facts.end = Some(End::broken(200, refusal.code));
        let event = refusal.into_stream_event(passage, &facts.stamp);
        facts.bytes_out += event.len() as u64;
        lease.finish(outcome_of(failure));
        self.flush = ticket.settle();
        Some(event)
    }

    /// Between events only: what the upstream has begun to say is held back until it is whole.
    fn poll_beat(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let Some(heart) = &mut self.heart else { return Poll::Pending };
        let beat = ready!(heart.poll_beat(cx));
        if let Some((_lease, ticket)) = &mut self.held {
            ticket.facts().bytes_out += beat.len() as u64;
        }
        Poll::Ready(beat)
    }

    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER))).as_mut().poll(cx)
    }
}

impl Drop for StreamBody {
    /// The client left: what was metered so far goes with the ticket to the settler, or the stream itself, where its
    /// backend is to be heard to the end.
    fn drop(&mut self) {
        let (Some(flow), Some((mut lease, mut ticket))) = (self.flow.take(), self.held.take()) else {
            return;
        };
        let facts = ticket.facts();
        facts.streamed(flow.passage.tally());
        if lease.serving.backend.drain_on_disconnect {
            ticket.leave(flow, lease);
        } else {
            lease.used(Some(facts.tokens()));
        }
    }
}
