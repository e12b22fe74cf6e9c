//! Speaks with one connected client: unframes its calls, answers them, and pushes; never what an answer says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};

use crate::frames::{Came, Packer, Unframer, frame};
use crate::scenario::{Cut, UpdateEndpoint};
use crate::world::World;
use crate::{auth, chat};

/// Messages that wait for a client to read them; one that lets so many wait is not reading.
const OUT_MAX: usize = 4096;

/// One connection.
pub(crate) struct Client {
    out: mpsc::Sender<String>,
    pushes: AtomicU64,
    acks: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    /// Pushes are serial.
    turn: tokio::sync::Mutex<()>,
    /// Whether the connection is over, or is to be; everybody who waits for that hears of it.
    gone: watch::Sender<bool>,
    initialized: AtomicBool,
}

/// Takes connections for as long as the program runs.
pub(crate) async fn serve(listener: TcpListener, world: Arc<World>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, Arc::clone(&world)));
        while connections.try_join_next().is_some() {}
    }
}

/// Only these paths are known, and nobody's page may connect.
struct Door;

impl Callback for Door {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        if matches!(request.uri().path(), "/" | "/ws") && !request.headers().contains_key("origin") {
            return Ok(response);
        }
        let mut refused = ErrorResponse::new(None);
        *refused.status_mut() = http::StatusCode::FORBIDDEN;
        Err(refused)
    }
}

async fn converse(stream: TcpStream, world: Arc<World>) {
    let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, Door).await else { return };
    let (sink, mut incoming) = socket.split();
    let (out, outgoing) = mpsc::channel(OUT_MAX);
    let client = Arc::new(Client {
        out,
        pushes: AtomicU64::new(0),
        acks: Mutex::default(),
        turn: tokio::sync::Mutex::default(),
        gone: watch::Sender::new(false),
        initialized: AtomicBool::new(false),
    });
    world.came(Arc::clone(&client));
    let mut work = JoinSet::new();
    work.spawn(write(sink, outgoing, Arc::clone(&world)));
    let mut unframer = Unframer::default();
    'connected: loop {
        let message = tokio::select! {
            message = incoming.next() => message,
            () = client.left() => break,
        };
        match message {
            Some(Ok(Message::Text(text))) => unframer.push(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => unframer.push(&bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => break,
        }
        while let Some(came) = unframer.next() {
            match came {
                Came::Message(text) => take(&text, &client, &world, &mut work),
                Came::NoHeader(length) => {
                    println!("Unknown message header ({length} bytes)");
                    world.see(|stats| stats.bare += 1);
                    if world.scenario().closes_on_bare_json {
                        break 'connected;
                    }
                }
            }
        }
    }
    client.drop_socket();
    world.left(&client);
}

async fn write(
    mut sink: SplitSink<WebSocketStream<TcpStream>, Message>,
    mut outgoing: mpsc::Receiver<String>,
    world: Arc<World>,
) {
    let mut packer = Packer::default();
    while let Some(text) = outgoing.recv().await {
        let scenario = world.scenario();
        let mut messages = packer.pack(frame(&text), scenario.packing);
        if outgoing.is_empty() {
            // Whoever is about to say more gets the chance.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            if outgoing.is_empty() {
                messages.extend(packer.flush());
            }
        }
        for bytes in messages {
            let message = match String::from_utf8(bytes) {
                Ok(text) if !scenario.binary => Message::text(text),
                Ok(text) => Message::binary(text.into_bytes()),
                Err(cut) => Message::binary(cut.into_bytes()),
            };
            if sink.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// Takes one message of the client's: an acknowledgement at once, a call as work of its own.
fn take(text: &str, client: &Arc<Client>, world: &Arc<World>, work: &mut JoinSet<()>) {
    let Ok(message) = serde_json::from_str::<Value>(text) else { return };
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        let id = message.get("id").and_then(Value::as_u64).unwrap_or_default();
        let acked = client.acks.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(acked) = acked {
            world.see(|stats| stats.acked += 1);
            let _ = acked.send(message);
        }
        return;
    };
    world.see(|stats| stats.methods.push(method.to_owned()));
    let call = Call {
        id: message.get("id").cloned(),
        method: method.to_owned(),
        params: message.get("params").cloned().unwrap_or_default(),
        client: Arc::clone(client),
        world: Arc::clone(world),
    };
    while work.try_join_next().is_some() {}
    work.spawn(call.serve());
}

/// One call of the client's.
pub(crate) struct Call {
    id: Option<Value>,
    method: String,
    pub(crate) params: Value,
    pub(crate) client: Arc<Client>,
    pub(crate) world: Arc<World>,
}

impl Call {
    async fn serve(self) {
        let is_known = self.client.initialized.load(Ordering::SeqCst) || self.world.scenario().lenient;
        match self.method.as_str() {
            "initialize" => {
                self.client.initialized.store(true, Ordering::SeqCst);
                let server = json!({"name": "lingma", "version": "2.11.1"});
                self.answer(json!({"capabilities": {}, "serverInfo": server, "experimental": {}}));
            }
            "initialized" => println!("unknown method: initialized"),
            _ if !is_known => self.fail(-32002, "not initialized"),
            "ping" => self.answer(json!({"success": true})),
            "config/queryModels" => self.answer(models(&self.world)),
            "config/getEndpoint" => self.answer(json!({"endpoint": self.world.endpoint()})),
            "config/updateEndpoint" => self.update_endpoint().await,
            method if method.starts_with("auth/") || method.starts_with("login/") => auth::serve(self).await,
            method if method.starts_with("session/") && !self.world.scenario().sessions => {
                self.fail(-32601, "unknown method");
            }
            method if method.starts_with("chat/") || method.starts_with("session/") => {
                chat::serve(self).await
            }
            "tool/invokeResult" => {
                let result = self.params.clone();
                self.world.see(|stats| stats.tool_replies.push(result));
                self.answer(json!({"errorCode": null, "errorMessage": null}));
            }
            method => {
                println!("unknown method: {method}");
                self.fail(-32601, "unknown method");
            }
        }
    }

    async fn update_endpoint(self) {
        let endpoint = self.params.get("endpoint").and_then(Value::as_str).unwrap_or_default().to_owned();
        match self.world.scenario().update_endpoint {
            UpdateEndpoint::Good => {
                self.world.set_endpoint(&endpoint);
                self.answer(json!({"success": true}));
                let push = json!({"endpoint": endpoint});
                self.client.push(&self.world, "config/changeEndpoint", push).await;
            }
            UpdateEndpoint::Fail => self.answer(json!({"success": false})),
            UpdateEndpoint::Hang => std::future::pending().await,
        }
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn answer(&self, result: Value) {
        self.reply(json!({"jsonrpc": "2.0", "id": self.id, "result": result}));
    }

    pub(crate) fn fail(&self, code: i64, message: &str) {
        self.reply(json!({"jsonrpc": "2.0", "id": self.id, "error": {"code": code, "message": message}}));
    }

    fn reply(&self, message: Value) {
        if self.id.is_some() {
            self.client.send(&message);
        }
    }
}

impl Client {
    fn send(&self, message: &Value) {
        match self.out.try_send(message.to_string()) {
            // Nobody hears it once the connection is gone.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                println!("a client does not read; its connection is closed");
                self.drop_socket();
            }
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Ends the connection.
    pub(crate) fn drop_socket(&self) {
        self.gone.send_replace(true);
    }

    /// Waits until the connection is over.
    pub(crate) async fn left(&self) {
        // The sender is ours: it cannot be gone before.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// A push that no answer is awaited to.
    pub(crate) fn notify(&self, method: &str, params: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// A push in its turn; gives the client's acknowledgement, unless none came in time.
    pub(crate) async fn push(&self, world: &World, method: &str, params: Value) -> Option<Value> {
        let scenario = world.scenario();
        let id = self.pushes.fetch_add(1, Ordering::SeqCst) + 1;
        let (acked, ack) = oneshot::channel();
        let turn = self.turn.lock().await;
        self.acks.lock().unwrap_or_else(PoisonError::into_inner).insert(id, acked);
        world.see(|stats| stats.pushes += 1);
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        if scenario.packing.cut == Cut::Coalesce {
            // Several go out together, so none waits for another.
            drop(turn);
            return None;
        }
        let waited = tokio::time::timeout(Duration::from_millis(scenario.ack_timeout_ms), ack).await;
        match waited {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(_)) | Err(_) => {
                if !self.is_gone() {
                    println!("no response to {method} within the timeout");
                    world.see(|stats| stats.unacked += 1);
                }
                None
            }
        }
    }
}

fn models(world: &World) -> Value {
    if !world.is_logged_in() || world.has_no_models_yet() {
        return json!({});
    }
    let model = |key: &str, name: &str, reasoning: bool, vision: bool| {
        json!({"key": key, "displayName": name, "format": "openai", "source": "system", "isReasoning": reasoning,
            "isVl": vision, "url": "", "apiKey": "", "model": "", "somethingNew": [1, 2]})
    };
    json!({
        "chat": [
            model("auto", "Auto", false, false),
            model("dashscope_qwen3_coder", "qwen3-coder", false, false),
            model("dashscope_qwen_plus_thinking", "qwen-plus-thinking", true, false),
        ],
        "assistant": [
            model("auto", "Automatic", false, false),
            model("dashscope_qwen_vl", "qwen-vl", false, true),
        ],
        "revision": 7,
    })
}
