//! Decides when a connection has been silent or slow for too long, with one coarse timer for its whole life.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::ConnectionLimits;
use crate::body::{Body, BoxError};

/// How often a connection is looked at. Limits are kept to within this much.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long what a client goes on sending is thrown away, so that it can read why nobody wants it.
const FAREWELL: Duration = Duration::from_secs(10);

/// What a connection is at, and since when.
///
/// A timer per request would cost more than the rest of a small request's book-keeping, so reads, writes and requests only
/// leave time stamps here, and one timer per connection looks at them.
pub(super) struct Pulse {
    limits: ConnectionLimits,
    opened: Instant,
    /// Requests being answered.
    busy: AtomicU32,
    /// Milliseconds after `opened` plus one at which each state began; zero when it is not so.
    head_since: AtomicU64,
    idle_since: AtomicU64,
    unwritten_since: AtomicU64,
    closing_since: AtomicU64,
    /// The gateway stops: nobody is waited for.
    is_hurried: AtomicBool,
}

impl Pulse {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            opened: Instant::now(),
            busy: AtomicU32::new(0),
            head_since: AtomicU64::new(1),
            idle_since: AtomicU64::new(0),
            unwritten_since: AtomicU64::new(0),
            closing_since: AtomicU64::new(0),
            is_hurried: AtomicBool::new(false),
        }
    }

    /// From now on connections are closed without a farewell.
    pub(super) fn hurry(&self) {
        self.is_hurried.store(true, Ordering::Relaxed);
    }

    /// A request's head is complete: it is being answered until the returned value is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        self.idle_since.store(0, Ordering::Relaxed);
        Busy { pulse: self.clone() }
    }

    /// Resolves when a limit was passed, with its name.
    pub(super) async fn overdue(&self) -> &'static str {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Some(limit) = self.passed_limit() {
                return limit;
            }
        }
    }

    fn passed_limit(&self) -> Option<&'static str> {
        let now = self.stamp();
        let passed = |since: &AtomicU64, limit: Duration| {
            let since = since.load(Ordering::Relaxed);
            since != 0 && u128::from(now.saturating_sub(since)) >= limit.as_millis()
        };
        if passed(&self.unwritten_since, self.limits.write) {
            return Some("the client does not read its answer");
        }
        if passed(&self.closing_since, FAREWELL) {
            return Some("the client goes on sending what is not wanted");
        }
        if self.busy.load(Ordering::Relaxed) > 0 {
            return None;
        }
        if passed(&self.head_since, self.limits.header) {
            return Some("a request's head did not arrive in time");
        }
        passed(&self.idle_since, self.limits.idle).then_some("the connection was idle")
    }

    fn was_read(&self) {
        let is_head_begun =
            self.busy.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0;
        if is_head_begun {
            self.idle_since.store(0, Ordering::Relaxed);
            self.head_since.store(self.stamp(), Ordering::Relaxed);
        }
    }

    /// The client takes what is written to it.
    fn was_written(&self) {
        if self.unwritten_since.load(Ordering::Relaxed) != 0 {
            self.unwritten_since.store(0, Ordering::Relaxed);
        }
    }

    /// The client leaves what was written unread.
    fn was_blocked(&self) {
        if self.unwritten_since.load(Ordering::Relaxed) == 0 {
            self.unwritten_since.store(self.stamp(), Ordering::Relaxed);
        }
    }

    /// Nothing more is written.
    fn was_shut(&self) {
        if self.closing_since.load(Ordering::Relaxed) == 0 {
            self.closing_since.store(self.stamp(), Ordering::Relaxed);
        }
    }

    fn stamp(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}

/// A request being answered.
pub(super) struct Busy {
    pulse: Arc<Pulse>,
}

impl Busy {
    /// Stays busy until `body` was sent or dropped.
    pub(super) fn until_end(self, body: Body) -> UntilEnd {
        UntilEnd { body, _busy: self }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.pulse.busy.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.pulse.idle_since.store(self.pulse.stamp(), Ordering::Relaxed);
        }
    }
}

/// A body that keeps its connection marked busy.
pub(super) struct UntilEnd {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for UntilEnd {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A client's connection, noting what it does.
pub(super) struct Watched {
    stream: TcpStream,
    pulse: Arc<Pulse>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        match &written {
            Poll::Ready(_) => self.pulse.was_written(),
            Poll::Pending => self.pulse.was_blocked(),
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.pulse.was_read();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says that nothing more is written, and then waits for the client to say the same. A connection that is closed with
    /// bytes left unread is reset, and a reset may overtake the answer that it follows: the client would never learn why
    /// its body was refused (RFC 9112, 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        self.pulse.was_shut();
        let mut unwanted = [0; 4096];
        while !self.pulse.is_hurried.load(Ordering::Relaxed) {
            let mut unwanted = ReadBuf::new(&mut unwanted);
            // What went wrong with a connection that is over is nobody's affair.
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut unwanted));
            if read.is_err() || unwanted.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
