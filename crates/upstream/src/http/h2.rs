//! Decides how calls share HTTP/2 connections: no stream is opened where the other side would leave it waiting.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use protocol::{Deadline, Failure};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::body::{OutBody, Upload};
use super::connect::Io;
use super::countdown::{Countdown, overdue};
use super::fault;

/// What most servers allow, until one says otherwise.
const STREAMS_EXPECTED: usize = 100;

/// The HTTP/2 connections to one origin, and the tasks that drive them.
pub(super) struct Shared {
    lanes: Mutex<Vec<Lane>>,
    /// Held by the one call that opens a connection while others wait to see whether it has room for them.
    pub(super) opening: Semaphore,
    crew: Arc<Crew>,
    connections_max: usize,
    /// How many streams the other side allows on a connection, as it said last. A new connection is taken to be no
    /// better before it has said so itself.
    streams_max: Arc<AtomicUsize>,
}

/// One connection, and how many streams of ours are open on it.
#[derive(Clone)]
struct Lane {
    sender: SendRequest<OutBody>,
    load: Arc<()>,
    answered: Arc<Notify>,
}

/// A place on a connection, held while its stream is open.
pub(super) struct Seat {
    sender: SendRequest<OutBody>,
    answered: Arc<Notify>,
    /// On a new connection: comes when the limit that its first answer proves is known.
    learned: Option<oneshot::Receiver<()>>,
    _load: Arc<()>,
}

impl Lane {
    fn seat(&self) -> Seat {
        Seat {
            sender: self.sender.clone(),
            answered: Arc::clone(&self.answered),
            learned: None,
            _load: Arc::clone(&self.load),
        }
    }

    fn streams(&self) -> usize {
        Arc::strong_count(&self.load).saturating_sub(1)
    }
}

impl Shared {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            lanes: Mutex::new(Vec::new()),
            opening: Semaphore::new(1),
            crew: Arc::new(Crew(Mutex::new(JoinSet::new()))),
            connections_max,
            streams_max: Arc::new(AtomicUsize::new(STREAMS_EXPECTED)),
        }
    }

    /// A place on an open connection: one that has room, else the least loaded one where no more may be opened.
    pub(super) fn seat(&self) -> Option<Seat> {
        let mut lanes = self.lanes();
        lanes.retain(|lane| !lane.sender.is_closed());
        let streams_max = self.streams_max.load(Ordering::Relaxed);
        let roomy = lanes.iter().find(|lane| lane.streams() < streams_max);
        let lane = match roomy {
            Some(lane) => lane,
            None if lanes.len() < self.connections_max => return None,
            None => lanes.iter().min_by_key(|lane| lane.streams())?,
        };
        Some(lane.seat())
    }

    /// Makes a connection ready to be shared, and takes the first place on it.
    pub(super) async fn open(&self, io: Io, head_bytes_max: usize) -> Result<Seat, Failure> {
        let mut builder = Builder::new(Hand(Arc::downgrade(&self.crew)));
        builder.max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX));
        builder.initial_max_send_streams(self.streams_max.load(Ordering::Relaxed));
        // Room for a long prompt's answer without a window update per chunk.
        builder.adaptive_window(true);
        let (sender, connection) =
            builder.handshake(io).await.map_err(|error| fault::before_head(&error, None))?;
        let lane = Lane { sender, load: Arc::new(()), answered: Arc::new(Notify::new()) };
        let (streams_max, answered) = (Arc::clone(&self.streams_max), Arc::clone(&lane.answered));
        let (learns, learned) = oneshot::channel();
        let mut learns = Some(learns);
        self.crew.add(async move {
            let mut connection = pin!(connection);
            loop {
                tokio::select! {
                    biased;
                    // What ends a connection is told to the exchanges on it.
                    _ = connection.as_mut() => return,
                    // Both branches are safe to drop. An answer proves that the other side's settings were read.
                    () = answered.notified() => {}
                }
                streams_max.store(connection.current_max_send_streams(), Ordering::Relaxed);
                if let Some(learns) = learns.take() {
                    // Its call may have been given up.
                    let _ = learns.send(());
                }
            }
        });
        let seat = Seat { learned: Some(learned), ..lane.seat() };
        self.lanes().push(lane);
        Ok(seat)
    }

    /// Forgets closed connections. Says whether any are left.
    pub(super) fn sweep(&self) -> bool {
        let mut lanes = self.lanes();
        lanes.retain(|lane| !lane.sender.is_closed());
        !lanes.is_empty()
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tasks of the connections; they end with the pool.
struct Crew(Mutex<JoinSet<()>>);

impl Crew {
    fn add(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }
}

/// What hyper spawns with. Weak, as a task must not keep alive the set that it is in.
#[derive(Clone)]
struct Hand(Weak<Crew>);

impl<F> hyper::rt::Executor<F> for Hand
where
    F: Future + Send + 'static,
{
    fn execute(&self, work: F) {
        if let Some(crew) = self.0.upgrade() {
            crew.add(async move {
                work.await;
            });
        }
    }
}

/// Why a stream had no answer, and the request where it never went out.
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    pub(super) unsent: Option<Box<Request<OutBody>>>,
}

impl Seat {
    /// Sends a request and waits for the head of its answer, under the first-event deadline.
    pub(super) async fn ask(
        &mut self,
        request: Request<OutBody>,
        countdown: &mut Countdown,
        upload: Option<&Upload>,
    ) -> Result<Response<Incoming>, Unanswered> {
        countdown.enter(Deadline::FirstEvent);
        let mut answer = pin!(self.sender.try_send_request(request));
        let response = poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(mut sent)) => {
                let unsent = sent.take_message().map(Box::new);
                let failure = fault::before_head(&sent.into_error(), upload);
                Poll::Ready(Err(Unanswered { failure, unsent }))
            }
            Poll::Pending => poll_due(countdown, context, upload)
                .map(|due| Err(Unanswered { failure: overdue(due), unsent: None })),
        })
        .await?;
        self.answered.notify_one();
        if let Some(learned) = self.learned.take() {
            // Ends at once where the connection already has.
            let _ = learned.await;
        }
        Ok(response)
    }
}

/// The deadline that passed, if one did. A body on its way out is a sign of life.
fn poll_due(countdown: &mut Countdown, context: &mut Context<'_>, upload: Option<&Upload>) -> Poll<Deadline> {
    loop {
        match countdown.poll_due(context) {
            Poll::Ready(Deadline::FirstEvent) if upload.is_some_and(Upload::excuses_silence) => {
                countdown.extend()
            }
            due => return due,
        }
    }
}

/// The body of an answer on a shared connection; dropping it resets the stream.
pub(super) struct Inflow {
    body: Incoming,
    countdown: Countdown,
    upload: Option<Arc<Upload>>,
    _seat: Seat,
}

impl Inflow {
    pub(super) fn new(seat: Seat, body: Incoming, countdown: Countdown, upload: Option<Arc<Upload>>) -> Self {
        Self { body, countdown, upload, _seat: seat }
    }

    pub(super) fn body(&self) -> &Incoming {
        &self.body
    }

    /// The next bytes, `None` at the end of the body, or what broke it.
    pub(super) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(chunk) = frame.into_data() else { continue };
                    if self.countdown.is_spent() {
                        return Poll::Ready(Some(Err(overdue(Deadline::Total))));
                    }
                    self.countdown.enter(Deadline::Idle);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(fault::within_body(&error, self.upload.as_deref()))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    return poll_due(&mut self.countdown, context, self.upload.as_deref())
                        .map(|due| Some(Err(overdue(due))));
                }
            }
        }
    }
}
