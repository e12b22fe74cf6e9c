//! Decides the course of one call: a connection, the request on it, the head of the answer; never a second attempt, save
//! where an idle connection turned out to be dead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, Request};
use protocol::{Deadlines, Failure, FailureKind};
use rustls::RootCertStore;
use tokio::time::{Instant, MissedTickBehavior};

use super::answer::{Answer, Inflow};
use super::body::{CallBody, OutBody};
use super::connect::Connector;
use super::countdown::Countdown;
use super::endpoint::{Endpoint, Origin, Speaks};
use super::h1::{self, Wire};
use super::h2::{self, Seat, Shared};
use super::pool::{Pool, PoolLimits};
use super::tls;
use crate::process::Fleet;

/// What all calls have in common.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Idle HTTP/1.1 connections kept per origin.
    pub idle_per_origin_max: usize,
    /// How long a connection may lie idle.
    pub idle_timeout: Duration,
    /// The longest head of an answer.
    pub head_bytes_max: usize,
    /// HTTP/2 connections per origin, once each has as many streams as the other side allows.
    pub http2_connections_max: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            idle_per_origin_max: 128,
            // Below the 60 s after which most load balancers hang up.
            idle_timeout: Duration::from_secs(50),
            head_bytes_max: 64 * 1024,
            http2_connections_max: 16,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be had.
    #[error("TLS is not available: {0}")]
    Tls(#[from] rustls::Error),
}

/// One call to an endpoint.
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The path with its query, relative to the base URL: `/chat/completions`.
    pub path: &'a str,
    /// The headers of the call; the endpoint's own come on top. Framing headers and `host` are not the caller's to set.
    pub headers: HeaderMap,
    /// The body.
    pub body: CallBody,
    /// How long each wait may last.
    pub deadlines: Deadlines,
    /// Where the total deadline counts from.
    pub started: Instant,
}

/// Carries calls to endpoints, over connections that are kept. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ClientSettings,
    machine_roots: Arc<RootCertStore>,
    pools: Mutex<HashMap<Arc<Origin>, Arc<Pool>>>,
    /// The local processes that can be called.
    fleet: OnceLock<Arc<Fleet>>,
}

impl Client {
    /// A client that trusts the certificates of this machine.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let machine_roots = Arc::new(tls::machine_roots());
        // Whether TLS works at all is better learned now than with the first call.
        tls::terms(Arc::clone(&machine_roots), Speaks::Http1)?;
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                machine_roots,
                pools: Mutex::default(),
                fleet: OnceLock::new(),
            }),
        })
    }

    /// Lets calls go to these local processes, too. Heard once.
    pub fn carry_to(&self, fleet: Arc<Fleet>) {
        // A second fleet would leave the first one without calls.
        let _ = self.inner.fleet.set(fleet);
    }

    /// Carries one call to `endpoint`, as far as the head of its answer.
    ///
    /// # Cancel safety
    /// Dropping the future, like dropping the answer, ends the exchange: HTTP/1.1 by closing its connection, HTTP/2 by
    /// resetting its stream. A failure of the kind `Rejected` without a status is the caller's own body breaking off.
    pub async fn call(&self, endpoint: &Endpoint, call: Call<'_>) -> Result<Answer, Failure> {
        if endpoint.origin().speaks == Speaks::Process {
            let none = || Failure::new(FailureKind::NotReady, "no local process runs here");
            let fleet = self.inner.fleet.get().ok_or_else(none)?;
            return Box::pin(fleet.call(&endpoint.origin().host, call)).await;
        }
        let pool = self.pool(endpoint.origin())?;
        let head = endpoint.head(call.method, call.path, call.headers)?;
        let exchange = Exchange {
            pool,
            head,
            body: call.body,
            deadlines: call.deadlines,
            started: call.started,
            head_bytes_max: self.inner.settings.head_bytes_max,
        };
        match endpoint.origin().speaks {
            Speaks::Http1 | Speaks::Process => exchange.run().await,
            // Of its own, so that a call over HTTP/1.1 need not carry the room for it.
            Speaks::Http2 => Box::pin(exchange.run_shared()).await,
        }
    }

    /// Closes idle connections when their time has come, for as long as it is polled. Without it they are closed when
    /// their origin is next called.
    pub async fn tend(&self) {
        let mut rounds =
            tokio::time::interval(self.inner.settings.idle_timeout.max(Duration::from_secs(2)) / 2);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.sweep();
        }
    }

    /// Closes what is idle too long or dead, and forgets origins that nothing is open to.
    pub fn sweep(&self) {
        let pools: Vec<_> =
            self.pools().iter().map(|(key, pool)| (Arc::clone(key), Arc::clone(pool))).collect();
        for (key, pool) in pools {
            let in_use = pool.sweep() | pool.shared.sweep();
            let mut pools = self.pools();
            // Two: the one in the table and the one in this loop.
            if !in_use && Arc::strong_count(&pool) <= 2 {
                pools.remove(&key);
            }
        }
    }

    fn pool(&self, origin: &Arc<Origin>) -> Result<Arc<Pool>, Failure> {
        if let Some(pool) = self.pools().get(origin) {
            return Ok(Arc::clone(pool));
        }
        let pool = Arc::new(self.new_pool(origin)?);
        Ok(Arc::clone(self.pools().entry(Arc::clone(origin)).or_insert(pool)))
    }

    fn new_pool(&self, origin: &Origin) -> Result<Pool, Failure> {
        let settings = &self.inner.settings;
        let terms = if origin.secure {
            let roots = match &origin.trusted {
                Some(pem) => Arc::new(tls::roots_of(pem).map_err(|why| Failure::new(FailureKind::Tls, why))?),
                None => Arc::clone(&self.inner.machine_roots),
            };
            let terms = tls::terms(roots, origin.speaks);
            Some(terms.map_err(|error| Failure::new(FailureKind::Tls, error.to_string()))?)
        } else {
            None
        };
        Ok(Pool::new(
            Connector::new(origin, terms)?,
            Shared::new(settings.http2_connections_max),
            PoolLimits { idle_max: settings.idle_per_origin_max, idle_timeout: settings.idle_timeout },
        ))
    }

    fn pools(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<Origin>, Arc<Pool>>> {
        self.inner.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call on its way.
struct Exchange {
    pool: Arc<Pool>,
    head: Request<()>,
    body: CallBody,
    deadlines: Deadlines,
    started: Instant,
    head_bytes_max: usize,
}

impl Exchange {
    /// Over HTTP/1.1, on a kept connection where there is one.
    ///
    /// A kept connection may be found closed in the instant that it is used. As long as nothing of the request went
    /// out, it takes a new connection: that is no failure of the endpoint. Once something did, the endpoint may have
    /// acted upon it and charged for it, so a repetition is another attempt, which is the caller's to make and to
    /// record. A body that can be sent only once takes a new connection from the start.
    async fn run(self) -> Result<Answer, Failure> {
        let Self { pool, head, mut body, deadlines, started, head_bytes_max } = self;
        if let Some(again) = body.again()
            && let Some(mut wire) = pool.take()
        {
            wire.countdown().restart(deadlines, started);
            match ask(&pool, wire, head.clone(), body).await {
                Ok(answer) => return Ok(answer),
                Err(h1::Unanswered { unsent: true, .. }) => body = again,
                Err(h1::Unanswered { failure, .. }) => return Err(failure),
            }
        }
        let countdown = Countdown::new(deadlines, started);
        // Few calls open a connection: the others need not carry the room for a handshake.
        let wire = Box::pin(open(&pool, head_bytes_max, countdown)).await?;
        ask(&pool, wire, head, body).await.map_err(|unanswered| unanswered.failure)
    }

    /// Over HTTP/2, on a connection that has room.
    async fn run_shared(self) -> Result<Answer, Failure> {
        let Self { pool, head, body, deadlines, started, head_bytes_max } = self;
        let mut countdown = Countdown::new(deadlines, started);
        let (body, upload) = OutBody::new(body);
        let mut request = head.map(|()| body);
        loop {
            let (mut seat, is_new) = match countdown.bound(seat(&pool, head_bytes_max)).await?? {
                Seated::Kept(seat) => (seat, false),
                Seated::New(seat) => (seat, true),
            };
            match seat.ask(request, &mut countdown, upload.as_deref()).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    let inflow = Inflow::Http2(Box::new(h2::Inflow::new(seat, body, countdown, upload)));
                    return Ok(Answer::new(parts.status, parts.headers, inflow, pool));
                }
                Err(h2::Unanswered { unsent: Some(unsent), .. }) if !is_new => request = *unsent,
                Err(h2::Unanswered { failure, .. }) => return Err(failure),
            }
        }
    }
}

async fn open(pool: &Pool, head_bytes_max: usize, mut countdown: Countdown) -> Result<Box<Wire>, Failure> {
    let io = countdown.bound(pool.connector.open()).await??;
    Wire::open(io, head_bytes_max, countdown).await
}

/// Sends a request on a connection of its own and waits for the head of the answer.
async fn ask(
    pool: &Arc<Pool>,
    mut wire: Box<Wire>,
    head: Request<()>,
    body: CallBody,
) -> Result<Answer, h1::Unanswered> {
    let (body, upload) = OutBody::new(body);
    let response = wire.ask(head.map(|()| body), upload.as_deref()).await?;
    let (parts, body) = response.into_parts();
    let inflow = Inflow::Http1(h1::Inflow::new(wire, body, upload));
    Ok(Answer::new(parts.status, parts.headers, inflow, Arc::clone(pool)))
}

enum Seated {
    Kept(Seat),
    New(Seat),
}

/// A place on a shared connection. One call at a time opens a connection; the others wait to see whether it serves them
/// too.
async fn seat(pool: &Pool, head_bytes_max: usize) -> Result<Seated, Failure> {
    let shared = &pool.shared;
    if let Some(seat) = shared.seat() {
        return Ok(Seated::Kept(seat));
    }
    let _turn = shared.opening.acquire().await;
    if let Some(seat) = shared.seat() {
        return Ok(Seated::Kept(seat));
    }
    let io = pool.connector.open().await?;
    shared.open(io, head_bytes_max).await.map(Seated::New)
}
