//! Decides how connections are taken, watched and drained: slow, silent and surplus clients are cut, streams are finished.

mod pulse;

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use crate::{body::Body, tasks::Tasks};
use pulse::{Pulse, Watched};

/// What a client connection may take.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at a time; the next one waits in the kernel's backlog.
    pub connections_max: usize,
    /// From the connection's opening to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a request's head to its end.
    pub header: Duration,
    /// Between two requests on one connection.
    pub idle: Duration,
    /// How long a client may leave an answer unread.
    pub write: Duration,
    /// Streams at a time on one HTTP/2 connection.
    pub streams_max: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(120),
            streams_max: 256,
        }
    }
}

/// Answers requests of one listener.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves `listener` until `stop` turns true, then lets connections finish what they are at.
///
/// Resolves when no connection is accepted any more; those left are counted in `tasks` under `connection`.
pub async fn listen<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    limits: ConnectionLimits,
    tasks: Tasks,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            _ = stop.wait_for(|stopping| *stopping) => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (handler, stop) = (handler.clone(), stop.clone());
                tasks.spawn("connection", async move {
                    let _slot = slot;
                    if let Err(error) = serve(stream, peer, handler, limits, stop).await {
                        tracing::debug!(%peer, %error, "a connection ended early");
                    }
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Out of file descriptors or memory: accepting again at once would only spin.
async fn pause_after(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// What an HTTP/2 client sends first.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn serve<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<H>,
    limits: ConnectionLimits,
    stop: watch::Receiver<bool>,
) -> Result<(), BoxError> {
    stream.set_nodelay(true)?;
    // Only looked at: a head that hyper gets in one piece fits its first buffer.
    let mut first = [0; HTTP2_PREFACE.len()];
    let seen = tokio::time::timeout(limits.first_byte, stream.peek(&mut first)).await??;
    if seen == 0 {
        return Ok(());
    }
    let is_http2 = seen >= 3 && HTTP2_PREFACE.starts_with(&first[..seen]);
    let pulse = Arc::new(Pulse::new(limits));
    let io = TokioIo::new(Watched::new(stream, pulse.clone()));
    let service = service_fn({
        let pulse = pulse.clone();
        move |request| {
            let (handler, busy) = (handler.clone(), pulse.busy());
            // On the heap: hyper keeps room for it in each connection, also while that lies idle or streams for hours.
            Box::pin(async move {
                let response = handler.handle(request, peer).await;
                Ok::<_, std::convert::Infallible>(response.map(|body| busy.until_end(body)))
            })
        }
    });
    match is_http2 {
        true => {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(limits.streams_max);
            builder.keep_alive_interval(Duration::from_secs(30)).max_header_list_size(64 * 1024);
            drive(pin!(builder.serve_connection(io, service)), pulse, stop).await
        }
        false => {
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.header_read_timeout(None);
            drive(pin!(builder.serve_connection(io, service)), pulse, stop).await
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Runs a connection to its end, to the end of its patience, or, when stopping, to the end of its present requests.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    pulse: Arc<Pulse>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), BoxError>
where
    C: Future<Output = Result<(), hyper::Error>> + Graceful,
{
    tokio::select! {
        ended = &mut connection => return Ok(ended?),
        overdue = pulse.overdue() => return Err(overdue.into()),
        _ = stop.wait_for(|stopping| *stopping) => {
            pulse.hurry();
            connection.as_mut().graceful_shutdown();
        }
    }
    tokio::select! {
        ended = &mut connection => Ok(ended?),
        overdue = pulse.overdue() => Err(overdue.into()),
    }
}

/// A connection that can be asked to end after its present requests.
trait Graceful {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, S> Graceful for hyper::server::conn::http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = pulse::UntilEnd>,
    S::Error: Into<BoxError>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        hyper::server::conn::http1::Connection::graceful_shutdown(self);
    }
}

impl<I, S> Graceful for hyper::server::conn::http2::Connection<I, S, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = pulse::UntilEnd>,
    S::Error: Into<BoxError>,
    TokioExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, pulse::UntilEnd>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        hyper::server::conn::http2::Connection::graceful_shutdown(self);
    }
}
