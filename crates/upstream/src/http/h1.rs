//! Decides how one HTTP/1.1 exchange runs on one connection; never which connection that is.
//!
//! The connection is driven by whoever waits for the answer, not by a task of its own: no hop between threads for
//! each chunk, nothing is read ahead of the reader, and dropping the exchange closes the socket at once.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use protocol::{Deadline, Failure};
use tokio::time::Instant;

use super::bell::Bell;
use super::body::{OutBody, Upload};
use super::connect::Io;
use super::countdown::{Countdown, overdue};
use super::fault;

/// An open HTTP/1.1 connection and the timer that goes with it.
pub(super) struct Wire {
    sender: SendRequest<OutBody>,
    carrier: Carrier,
    bell: Bell,
    countdown: Countdown,
    /// When it was last put back.
    pub(super) idle_since: Instant,
}

/// hyper's side of a connection, and how it ended.
struct Carrier {
    connection: Connection<Io, OutBody>,
    is_over: bool,
    error: Option<hyper::Error>,
}

impl Carrier {
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.is_over
            && let Poll::Ready(end) = Pin::new(&mut self.connection).poll(context)
        {
            self.is_over = true;
            self.error = end.err();
        }
    }
}

/// Why an exchange ended before the head of its answer.
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    /// Not a byte of the request went out: nobody can have acted upon it.
    pub(super) unsent: bool,
}

impl Wire {
    /// Speaks HTTP/1.1 on a new connection.
    pub(super) async fn open(
        io: Io,
        head_bytes_max: usize,
        countdown: Countdown,
    ) -> Result<Box<Self>, Failure> {
        let mut builder = Builder::new();
        builder.max_header_size(head_bytes_max);
        let (sender, connection) =
            builder.handshake(io).await.map_err(|error| fault::before_head(&error, None))?;
        let idle_since = Instant::now();
        let carrier = Carrier { connection, is_over: false, error: None };
        Ok(Box::new(Self { sender, carrier, bell: Bell::new(), countdown, idle_since }))
    }

    /// Whether a request may go out on it now. Sees a farewell that arrived while it lay idle.
    pub(super) fn is_usable(&mut self) -> bool {
        let Self { bell, carrier, .. } = self;
        bell.peek(|context| carrier.drive(context));
        !self.carrier.is_over && self.sender.is_ready()
    }

    pub(super) fn countdown(&mut self) -> &mut Countdown {
        &mut self.countdown
    }

    /// Sends a request and waits for the head of its answer, under the first-event deadline.
    pub(super) async fn ask(
        &mut self,
        request: Request<OutBody>,
        upload: Option<&Upload>,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.countdown.enter(Deadline::FirstEvent);
        let mut answer = pin!(self.sender.try_send_request(request));
        self.bell.ring();
        poll_fn(|context| {
            let seen = self.bell.answer(context, |inside| {
                self.carrier.drive(inside);
                answer.as_mut().poll(inside)
            });
            match seen {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(sent)) => {
                    let unsent = sent.message().is_some();
                    let failure = fault::before_head(&sent.into_error(), upload);
                    Poll::Ready(Err(Unanswered { failure, unsent }))
                }
                Poll::Pending => self
                    .poll_due(context, upload)
                    .map(|due| Err(Unanswered { failure: overdue(due), unsent: false })),
            }
        })
        .await
    }

    /// The deadline that passed, if one did. A body on its way out is a sign of life.
    fn poll_due(&mut self, context: &mut Context<'_>, upload: Option<&Upload>) -> Poll<Deadline> {
        loop {
            match self.countdown.poll_due(context) {
                Poll::Ready(Deadline::FirstEvent) if upload.is_some_and(Upload::excuses_silence) => {
                    self.countdown.extend();
                }
                due => return due,
            }
        }
    }
}

/// The body of an answer, and the connection that brings it.
pub(super) struct Inflow {
    wire: Box<Wire>,
    body: Incoming,
    upload: Option<Arc<Upload>>,
}

impl Inflow {
    pub(super) fn new(wire: Box<Wire>, body: Incoming, upload: Option<Arc<Upload>>) -> Self {
        Self { wire, body, upload }
    }

    pub(super) fn body(&self) -> &Incoming {
        &self.body
    }

    /// The next bytes, `None` at the end of the body, or what broke it.
    pub(super) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            let seen = self.wire.bell.answer(context, |inside| {
                self.wire.carrier.drive(inside);
                Pin::new(&mut self.body).poll_frame(inside)
            });
            match seen {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(chunk) = frame.into_data() else { continue };
                    if self.wire.countdown.is_spent() {
                        return Poll::Ready(Some(Err(overdue(Deadline::Total))));
                    }
                    self.wire.countdown.enter(Deadline::Idle);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Poll::Ready(Some(Err(error))) => {
                    let error = self.wire.carrier.error.take().unwrap_or(error);
                    return Poll::Ready(Some(Err(fault::within_body(&error, self.upload.as_deref()))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let due = self.wire.poll_due(context, self.upload.as_deref());
                    return due.map(|due| Some(Err(overdue(due))));
                }
            }
        }
    }

    /// The connection, once the body was read to its end and the request went out whole.
    pub(super) fn into_wire(self) -> Option<Box<Wire>> {
        let Self { mut wire, body, .. } = self;
        drop(body);
        wire.is_usable().then_some(wire)
    }
}
