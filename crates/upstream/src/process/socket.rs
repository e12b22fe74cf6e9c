//! Decides how one connection to a program is used: everything is acknowledged before it is looked at, answers go to
//! whoever called, pushes to the turn they belong to; never what they say.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use protocol::agent_rpc::{Addressee, Step, addressee, refused};
use protocol::json_rpc::{self, Message, RpcError, Unframer};
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};

use super::profile::Profile;

/// The longest message of a program's.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Messages that wait to be written.
const OUT_MAX: usize = 1024;
/// Pushes of one turn that wait to be read, and what they may hold together: beyond either its reader is too slow.
const PUSHES_MAX: usize = 16 * 1024;
const PUSHES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why a call got no result.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// The connection is gone.
    #[error("the connection to the process was lost")]
    Lost,
    /// Nobody answered.
    #[error("the process did not answer in time")]
    TimedOut,
    /// It was answered with an error.
    #[error("the process answered with an error: {0}")]
    Refused(#[from] RpcError),
}

/// What came of a call: the result as JSON, `null` where there is none.
pub(super) type CallResult = Result<Box<str>, CallError>;

/// A push of a turn, as an event of the dialect `agent_rpc`.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) event: Bytes,
    /// Whether it ends its turn.
    pub(super) is_last: bool,
}

/// One connection, for all that call. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rpc {
    shared: Arc<Shared>,
    out: mpsc::Sender<String>,
}

struct Shared {
    is_framed: bool,
    next_id: AtomicU64,
    calls: Mutex<HashMap<u64, oneshot::Sender<CallResult>>>,
    turns: Mutex<HashMap<String, Mailbox>>,
    /// Rung when something was told that may change who is signed in.
    account_changed: Notify,
}

struct Mailbox {
    pushes: mpsc::Sender<Push>,
    held_bytes: Arc<AtomicUsize>,
}

/// The connection itself; it works for as long as it is [driven](Connection::drive).
pub(super) struct Connection {
    shared: Ending,
    sink: SplitSink<WebSocketStream<TcpStream>, tungstenite::Message>,
    stream: SplitStream<WebSocketStream<TcpStream>>,
    outgoing: mpsc::Receiver<String>,
    acks: mpsc::Sender<String>,
}

/// Connects to a program on this machine.
pub(super) async fn connect(port: u16, profile: &Profile) -> io::Result<(Rpc, Connection)> {
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    tcp.set_nodelay(true)?;
    let mut limits = WebSocketConfig::default();
    (limits.max_message_size, limits.max_frame_size) = (Some(MESSAGE_BYTES_MAX), Some(MESSAGE_BYTES_MAX));
    (limits.read_buffer_size, limits.write_buffer_size) = (8 * 1024, 0);
    let url = format!("ws://127.0.0.1:{port}/");
    let (socket, _) = tokio_tungstenite::client_async_with_config(url, tcp, Some(limits))
        .await
        .map_err(|error| io::Error::other(error.to_string()))?;
    let (sink, stream) = socket.split();
    let (out, outgoing) = mpsc::channel(OUT_MAX);
    let shared = Arc::new(Shared {
        is_framed: profile.framed,
        next_id: AtomicU64::new(1),
        calls: Mutex::default(),
        turns: Mutex::default(),
        account_changed: Notify::new(),
    });
    let connection =
        Connection { shared: Ending(Arc::clone(&shared)), sink, stream, outgoing, acks: out.clone() };
    Ok((Rpc { shared, out }, connection))
}

impl Rpc {
    /// Calls, and waits for the result.
    pub(super) async fn call(&self, method: &str, params: &RawValue, timeout: Duration) -> CallResult {
        let waiting = self.begin(method, params).await?;
        match tokio::time::timeout(timeout, waiting).await {
            Ok(result) => result,
            Err(_) => Err(CallError::TimedOut),
        }
    }

    /// Sends a call; what is returned waits for its result, and forgets the call when it is dropped.
    pub(super) async fn begin(&self, method: &str, params: &RawValue) -> Result<Waiting, CallError> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, result) = oneshot::channel();
        locked(&self.shared.calls).insert(id, answer);
        let waiting = Waiting { id, result, shared: Arc::clone(&self.shared) };
        let text = self.shared.pack(&json_rpc::request(id, method, params));
        self.out.send(text).await.map_err(|_| CallError::Lost)?;
        Ok(waiting)
    }

    /// The text of a step that nobody waits for, to be sent from where nothing can be awaited.
    pub(super) fn written(&self, step: &Step) -> String {
        self.shared.pack(&match step.is_notification {
            true => json_rpc::notification(step.method, &step.params),
            false => {
                // Its answer finds nobody, and is dropped.
                let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
                json_rpc::request(id, step.method, &step.params)
            }
        })
    }

    /// A place in the queue of what is sent, to be used at any time.
    pub(super) async fn place(&self) -> Result<mpsc::OwnedPermit<String>, CallError> {
        self.out.clone().reserve_owned().await.map_err(|_| CallError::Lost)
    }

    /// Hears the pushes of the turn of this name until what is returned is dropped.
    pub(super) fn listen(&self, name: String) -> Listening {
        let (pushes, incoming) = mpsc::channel(PUSHES_MAX);
        let held_bytes = Arc::new(AtomicUsize::new(0));
        let mailbox = Mailbox { pushes, held_bytes: Arc::clone(&held_bytes) };
        locked(&self.shared.turns).insert(name.clone(), mailbox);
        Listening { name, incoming, held_bytes, shared: Arc::clone(&self.shared) }
    }

    /// How many turns are heard.
    pub(super) fn turns(&self) -> usize {
        locked(&self.shared.turns).len()
    }

    /// Waits until something was told of the account.
    pub(super) async fn account_changed(&self) {
        self.shared.account_changed.notified().await;
    }
}

/// A call that is not answered yet.
pub(super) struct Waiting {
    id: u64,
    result: oneshot::Receiver<CallResult>,
    shared: Arc<Shared>,
}

impl Future for Waiting {
    type Output = CallResult;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<CallResult> {
        std::pin::Pin::new(&mut self.result)
            .poll(context)
            .map(|result| result.unwrap_or(Err(CallError::Lost)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        locked(&self.shared.calls).remove(&self.id);
    }
}

/// A turn that is being heard.
pub(super) struct Listening {
    name: String,
    incoming: mpsc::Receiver<Push>,
    held_bytes: Arc<AtomicUsize>,
    shared: Arc<Shared>,
}

impl Listening {
    /// The next push; none when the connection is gone, or too much waited to be read.
    pub(super) fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Push>> {
        let next = self.incoming.poll_recv(context);
        if let std::task::Poll::Ready(Some(push)) = &next {
            self.held_bytes.fetch_sub(push.event.len(), Ordering::Relaxed);
        }
        next
    }
}

impl Listening {
    /// What was answered casts doubt on who is signed in.
    pub(super) fn doubt_account(&self) {
        self.shared.account_changed.notify_one();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        locked(&self.shared.turns).remove(&self.name);
    }
}

impl Connection {
    /// Works until the connection is gone; says why.
    pub(super) async fn drive(self) -> String {
        let Self { shared, sink, mut stream, outgoing, acks } = self;
        tokio::select! {
            // Neither is resumed after the other has ended, so nothing can be lost.
            () = write(sink, outgoing) => "it takes no more messages".to_owned(),
            why = read(&mut stream, &shared.0, &acks) => why,
        }
    }
}

/// What a connection leaves behind: whoever still waits learns that it is gone.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        locked(&self.0.calls).clear();
        locked(&self.0.turns).clear();
    }
}

async fn write(
    mut sink: SplitSink<WebSocketStream<TcpStream>, tungstenite::Message>,
    mut outgoing: mpsc::Receiver<String>,
) {
    while let Some(text) = outgoing.recv().await {
        if sink.send(tungstenite::Message::text(text)).await.is_err() {
            return;
        }
    }
}

async fn read(
    stream: &mut SplitStream<WebSocketStream<TcpStream>>,
    shared: &Shared,
    acks: &mpsc::Sender<String>,
) -> String {
    let mut unframer = Unframer::new(MESSAGE_BYTES_MAX);
    while let Some(message) = stream.next().await {
        let bytes = match message {
            Ok(tungstenite::Message::Text(text)) => Bytes::from(text),
            Ok(tungstenite::Message::Binary(bytes)) => bytes,
            Ok(
                tungstenite::Message::Ping(_)
                | tungstenite::Message::Pong(_)
                | tungstenite::Message::Frame(_),
            ) => continue,
            Ok(tungstenite::Message::Close(_)) => break,
            Err(error) => return error.to_string(),
        };
        if !shared.is_framed {
            if let Ok(text) = std::str::from_utf8(&bytes) {
                shared.take(text, acks).await;
            }
            continue;
        }
        unframer.push(&bytes);
        loop {
            match unframer.next_message() {
                Ok(Some(text)) => shared.take(text, acks).await,
                Ok(None) => break,
                Err(error) => return error.to_string(),
            }
        }
    }
    "it was closed".to_owned()
}

impl Shared {
    fn pack(&self, json: &str) -> String {
        if self.is_framed { json_rpc::frame(json) } else { json.to_owned() }
    }

    /// Takes one message: acknowledges it first, looks at it second. Programs send nothing more until they hear from us.
    async fn take(&self, text: &str, acks: &mpsc::Sender<String>) {
        match json_rpc::read(text) {
            Some(Message::Response { id, result }) => {
                let caller = locked(&self.calls).remove(&id);
                if let Some(caller) = caller {
                    let result = result.map(|result| result.map_or("null", RawValue::get).into());
                    // It may have given up just now.
                    let _ = caller.send(result.map_err(CallError::from));
                }
            }
            Some(Message::Request { id, method, params }) => {
                let params = params.map_or("{}", RawValue::get);
                let ack = self.pack(&json_rpc::response(id, &refused(&method, params)));
                // Nobody acknowledges on a connection that is gone.
                let _ = acks.send(ack).await;
                self.pushed(&method, params);
            }
            Some(Message::Notification { method, params }) => {
                self.pushed(&method, params.map_or("{}", RawValue::get));
            }
            None => {}
        }
    }

    fn pushed(&self, method: &str, params: &str) {
        let (request, session) = match addressee(method, params) {
            Addressee::Turn { request, session } => (request, session),
            Addressee::Nobody => {
                if matches!(method, "auth/report" | "config/changeEndpoint") {
                    self.account_changed.notify_one();
                }
                return;
            }
        };
        let mut turns = locked(&self.turns);
        let mut names = [request, session].into_iter().flatten();
        let Some(name) = names.find(|name| turns.contains_key(name)) else { return };
        let Some(mailbox) = turns.get(&name) else { return };
        let is_last = matches!(method, "chat/finish" | "done") || is_session_end(method, params);
        if is_last && tells_of_account(params) {
            self.account_changed.notify_one();
        }
        let event = event(method, params);
        let size = event.len();
        let held = mailbox.held_bytes.fetch_add(size, Ordering::Relaxed);
        let is_full = held.saturating_add(size) > PUSHES_BYTES_MAX;
        if is_full || mailbox.pushes.try_send(Push { event, is_last }).is_err() {
            // What is missing would make a wrong answer: the turn is cut.
            turns.remove(&name);
        }
    }
}

/// `session/update` tells of many things; one of them is the end.
fn is_session_end(method: &str, params: &str) -> bool {
    method == "session/update" && params.contains("\"chat_finish\"")
}

/// Whether the end of a turn may mean that nobody is signed in any more: it is worth a look.
fn tells_of_account(params: &str) -> bool {
    [":401", ": 401", ":403", ": 403"].iter().any(|status| params.contains(status))
}

/// A push as an event: its method is the name, its parameters the data, in one line.
fn event(method: &str, params: &str) -> Bytes {
    let mut event = String::with_capacity(method.len() + params.len() + 16);
    event.push_str("event: ");
    event.push_str(method);
    event.push_str("\ndata: ");
    // Between JSON's tokens a line end is as good as a space; inside of them there is none.
    event.extend(params.chars().map(|letter| if matches!(letter, '\n' | '\r') { ' ' } else { letter }));
    event.push_str("\n\n");
    event.into()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
