//! Decides which behaviour meets which request, and keeps what came in; never judges it.

mod agent;
mod behaviour;
mod connection;
mod control;
mod foreign;
mod limiter;
mod openai;
mod received;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub use self::behaviour::{Answering, Behaviour, Ending, Framing, Newline, Pace, Step, UsageShown};
pub use self::limiter::Rate;
pub use self::received::{Arrived, Gone, Received};

/// How a provider listens.
#[derive(Debug, Clone, Default)]
pub struct ProviderSettings {
    /// Plain, encrypted, or nonsense where encryption is expected.
    pub transport: Transport,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Refuses calls without this key.
    pub key: Option<String>,
    /// Keeps nothing of what comes in, for runs that are measured.
    pub forgetful: bool,
}

/// What is spoken below HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// TCP.
    #[default]
    Plain,
    /// TLS with a certificate of its own for `localhost` and `127.0.0.1`.
    SelfSigned,
    /// Bytes that are no TLS at all.
    Garbage,
}

/// The provider's own books: what it did, by its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// Connections that were made.
    pub connections: u64,
    /// Calls that it began to answer.
    pub accepted: u64,
    /// Calls that its hidden limit refused.
    pub refused: u64,
    /// Answers that went out to their last byte.
    pub completed: u64,
    /// Prompt tokens of those answers that showed their usage and went out whole.
    pub input_tokens: u64,
    /// Completion tokens of the same.
    pub output_tokens: u64,
}

/// A real HTTP/1.1 server on a loopback port that does to each request what its script says. Stops when dropped.
pub struct ScriptedProvider {
    stage: Arc<Stage>,
    address: SocketAddr,
    certificate: Option<String>,
    _tasks: JoinSet<()>,
}

/// What all connections of a provider share.
pub(crate) struct Stage {
    script: Mutex<Script>,
    pub(crate) pace: Pace,
    key: Option<String>,
    forgetful: bool,
    arrivals: watch::Sender<usize>,
}

struct Script {
    queue: VecDeque<Behaviour>,
    otherwise: Behaviour,
    limit: Option<limiter::Bucket>,
    /// Who says how requests are met, in place of all of the above.
    hand: Option<mpsc::UnboundedSender<Asked>>,
    received: Vec<Received>,
    /// How many of them `next_request` has handed out.
    handed_out: usize,
    count: Count,
}

/// A request whose sender waits to be met by hand; dropped, it is met as one that the script knows nothing about.
#[derive(Debug)]
pub struct Asked {
    /// What came in.
    pub request: Received,
    answer: oneshot::Sender<Behaviour>,
}

impl Asked {
    /// Meets it.
    pub fn meet(self, behaviour: Behaviour) {
        // Its sender may have left.
        drop(self.answer.send(behaviour));
    }
}

/// How a request is met.
pub(crate) enum Met {
    /// As was said before it came.
    By(Box<Behaviour>),
    /// As somebody is going to say.
    ByHand(oneshot::Receiver<Behaviour>),
}

impl ScriptedProvider {
    /// Listens in plain text on a free port and answers everything as a healthy provider would.
    pub async fn start() -> Self {
        Self::start_with(ProviderSettings::default()).await.expect("a loopback port is free")
    }

    /// The same, encrypted; `certificate` is what a client must trust.
    pub async fn start_tls() -> Self {
        let settings = ProviderSettings { transport: Transport::SelfSigned, ..ProviderSettings::default() };
        Self::start_with(settings).await.expect("a loopback port is free")
    }

    /// Listens as `settings` say.
    pub async fn start_with(settings: ProviderSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;
        let address = listener.local_addr()?;
        let stage = Arc::new(Stage {
            script: Mutex::new(Script {
                queue: VecDeque::new(),
                otherwise: Behaviour::healthy(),
                limit: None,
                hand: None,
                received: Vec::new(),
                handed_out: 0,
                count: Count::default(),
            }),
            pace: Pace::new(),
            key: settings.key,
            forgetful: settings.forgetful,
            arrivals: watch::Sender::new(0),
        });
        let identity = match settings.transport {
            Transport::SelfSigned => Some(tls::Identity::new()?),
            Transport::Plain | Transport::Garbage => None,
        };
        let certificate = identity.as_ref().map(|identity| identity.certificate.clone());
        let door = match (settings.transport, identity) {
            (Transport::Garbage, _) => connection::Door::Garbage,
            (_, Some(identity)) => connection::Door::Tls(identity.acceptor),
            (_, None) => connection::Door::Plain,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(connection::serve(listener, door, Arc::clone(&stage)));
        Ok(Self { stage, address, certificate, _tasks: tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, as an OpenAI SDK takes it.
    pub fn base_url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/v1", self.address)
    }

    /// What a client must trust to believe it, as PEM.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Meets one more request with `behaviour`, after those already queued.
    pub fn then(&self, behaviour: Behaviour) -> &Self {
        self.stage.script().queue.push_back(behaviour);
        self
    }

    /// Meets every request that finds no queued behaviour with `behaviour`.
    pub fn otherwise(&self, behaviour: Behaviour) -> &Self {
        self.stage.script().otherwise = behaviour;
        self
    }

    /// Forgets the queued behaviours.
    pub fn clear(&self) -> &Self {
        self.stage.script().queue.clear();
        self
    }

    /// Hides a limit behind the answers: calls over it get a 429. `None` lifts it.
    pub fn limit(&self, rate: Option<Rate>) -> &Self {
        self.stage.script().limit = rate.map(limiter::Bucket::new);
        self
    }

    /// Gives each request that comes in from now on to whoever holds what is returned, in place of the script: it may
    /// take its time, and decide when it knows more.
    pub fn by_hand(&self) -> mpsc::UnboundedReceiver<Asked> {
        let (hand, asked) = mpsc::unbounded_channel();
        self.stage.script().hand = Some(hand);
        asked
    }

    /// Lets `chunks` more chunks out of the paced answers.
    pub fn step(&self, chunks: usize) {
        self.stage.pace.step(chunks);
    }

    /// The gate of the paced answers that have none of their own.
    pub fn pace(&self) -> &Pace {
        &self.stage.pace
    }

    /// The next request that has come in whole or broken off, in order; waits for it.
    pub async fn next_request(&self) -> Received {
        let mut arrivals = self.stage.arrivals.subscribe();
        loop {
            {
                let mut script = self.stage.script();
                if let Some(request) = script.received.get(script.handed_out).cloned() {
                    script.handed_out += 1;
                    return request;
                }
            }
            arrivals.changed().await.expect("the provider holds the sender");
        }
    }

    /// All that came in.
    pub fn received(&self) -> Vec<Received> {
        self.stage.script().received.clone()
    }

    /// Its own books.
    pub fn count(&self) -> Count {
        self.stage.script().count
    }
}

impl Stage {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request in and says how it is met.
    pub(crate) fn meet(&self, request: &Received) -> Met {
        let mut script = self.script();
        if !self.forgetful {
            script.received.push(request.clone());
            self.arrivals.send_modify(|arrivals| *arrivals += 1);
        }
        if let Some(key) = &self.key
            && request.header("authorization") != Some(&format!("Bearer {key}"))
            && ["x-api-key", "x-goog-api-key", "api-key"].iter().all(|name| request.header(name) != Some(key))
        {
            return Met::By(Box::new(Behaviour::error(401, "Incorrect API key provided")));
        }
        if let Some(hand) = &script.hand {
            let (answer, waits) = oneshot::channel();
            // A hand that is gone has dropped the answer with what was sent.
            drop(hand.send(Asked { request: request.clone(), answer }));
            script.count.accepted += 1;
            return Met::ByHand(waits);
        }
        if let Some(wait) = script.limit.as_mut().and_then(limiter::Bucket::refusal) {
            script.count.refused += 1;
            return Met::By(Box::new(Behaviour::rate_limited(wait)));
        }
        script.count.accepted += 1;
        let behaviour = script.queue.pop_front();
        Met::By(Box::new(behaviour.unwrap_or_else(|| script.otherwise.clone())))
    }

    /// Books a connection.
    pub(crate) fn connected(&self) {
        self.script().count.connections += 1;
    }

    /// Books an answer that went out whole, and the usage it showed.
    pub(crate) fn completed(&self, usage: Option<(u64, u64)>) {
        let mut script = self.script();
        script.count.completed += 1;
        if let Some((input, output)) = usage {
            script.count.input_tokens += input;
            script.count.output_tokens += output;
        }
    }
}

/// A loopback address that refuses connections for as long as the socket is held.
pub fn refused_address() -> io::Result<(SocketAddr, TcpSocket)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    Ok((socket.local_addr()?, socket))
}
