//! Decides how the body of an answer is handed out: each chunk as it came, under its deadlines; never what it says.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use protocol::{Failure, FailureKind};

use super::h1;
use super::h2;
use super::pool::Pool;
use crate::process;

/// The answer of an endpoint: its head, and a body that is still arriving. Dropping it ends the exchange at once.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, as they came.
    pub headers: HeaderMap,
    /// What is still to come; `None` when the body has ended or broken.
    inflow: Option<Inflow>,
    /// Where its connection goes back to; none where it had none of its own.
    pool: Option<Arc<Pool>>,
}

pub(super) enum Inflow {
    Http1(h1::Inflow),
    Http2(Box<h2::Inflow>),
    /// A turn of a local process.
    Turn(Box<process::Inflow>),
    /// What was known beforehand.
    Bytes(Bytes),
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, inflow: Inflow, pool: Arc<Pool>) -> Self {
        let mut answer = Self { status, headers, inflow: Some(inflow), pool: Some(pool) };
        // An answer without a body is over with its head.
        answer.settle_if_ended();
        answer
    }

    /// The answer of a local process, as it comes.
    pub(crate) fn of_turn(status: StatusCode, headers: HeaderMap, turn: process::Inflow) -> Self {
        Self { status, headers, inflow: Some(Inflow::Turn(Box::new(turn))), pool: None }
    }

    /// An answer that is known already.
    pub(crate) fn of_bytes(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { status, headers, inflow: Some(Inflow::Bytes(body)), pool: None }
    }

    /// The next chunk as it arrived, `None` at the end, or once what broke the body.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Failure>> {
        poll_fn(|context| self.poll_chunk(context)).await
    }

    /// The same for those who poll.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let next = match &mut self.inflow {
            Some(Inflow::Http1(inflow)) => inflow.poll_chunk(context),
            Some(Inflow::Http2(inflow)) => inflow.poll_chunk(context),
            Some(Inflow::Turn(turn)) => turn.poll_chunk(context),
            Some(Inflow::Bytes(bytes)) if bytes.is_empty() => Poll::Ready(None),
            Some(Inflow::Bytes(bytes)) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            None => return Poll::Ready(None),
        };
        match &next {
            Poll::Ready(Some(Ok(_))) => self.settle_if_ended(),
            Poll::Ready(None) => self.settle(),
            Poll::Ready(Some(Err(_))) => self.inflow = None,
            Poll::Pending => {}
        }
        next
    }

    /// The body whole, unless it is longer than `bytes_max`.
    pub async fn whole(&mut self, bytes_max: usize) -> Result<Bytes, Failure> {
        let Some(first) = self.chunk().await else { return Ok(Bytes::new()) };
        let first = first?;
        let Some(second) = self.next_within(first.len(), bytes_max).await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity(self.size_expected(first.len() + second.len(), bytes_max));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(chunk) = self.next_within(whole.len(), bytes_max).await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// Whether the body has ended (or broken), so that no more comes.
    pub fn is_ended(&self) -> bool {
        self.inflow.is_none()
    }

    /// The next chunk, unless `had` bytes are too many already or it makes them so.
    async fn next_within(&mut self, had: usize, bytes_max: usize) -> Result<Option<Bytes>, Failure> {
        let next = if had > bytes_max { None } else { self.chunk().await.transpose()? };
        if next.as_ref().map_or(had, |chunk| had.saturating_add(chunk.len())) > bytes_max {
            self.inflow = None;
            return Err(Failure::new(
                FailureKind::TooLarge,
                format!("the answer is longer than the {bytes_max} bytes allowed"),
            ));
        }
        Ok(next)
    }

    fn size_expected(&self, had: usize, bytes_max: usize) -> usize {
        let left = match &self.inflow {
            Some(Inflow::Http1(inflow)) => inflow.body().size_hint().lower(),
            Some(Inflow::Http2(inflow)) => inflow.body().size_hint().lower(),
            Some(Inflow::Turn(_) | Inflow::Bytes(_)) | None => 0,
        };
        had.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)).min(bytes_max.max(had))
    }

    fn settle_if_ended(&mut self) {
        let ended = match &self.inflow {
            Some(Inflow::Http1(inflow)) => inflow.body().is_end_stream(),
            Some(Inflow::Http2(inflow)) => inflow.body().is_end_stream(),
            Some(Inflow::Turn(turn)) => turn.is_over(),
            Some(Inflow::Bytes(bytes)) => bytes.is_empty(),
            None => false,
        };
        if ended {
            self.settle();
        }
    }

    /// The body was read to its end: its connection may serve the next call.
    fn settle(&mut self) {
        if let Some(Inflow::Http1(inflow)) = self.inflow.take()
            && let Some(wire) = inflow.into_wire()
            && let Some(pool) = &self.pool
        {
            pool.put(wire);
        }
    }
}
