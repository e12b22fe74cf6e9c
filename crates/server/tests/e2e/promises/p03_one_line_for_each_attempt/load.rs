//! Decides who asks what, and when they leave; keeps what each of them saw, and never what the ledger should say of it.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use testkit::{TestAnswer, TestClient};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fuse::{Fuse, Trigger};

/// What the providers answer; its words are its tokens.
pub(super) const ANSWER: &str = "The quick brown fox jumps over the lazy dog.";
const CLIENTS: usize = 5;

/// Everybody who asks.
pub(super) struct Load {
    seed: u64,
    leaving: Leaving,
    calls: Arc<watch::Sender<u64>>,
    fuse: Arc<Fuse>,
    tags: String,
}

/// How many leave before their answer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    None,
    Some,
    Most,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    ChatStream,
    ChatStreamWithUsage,
    ResponsesStream,
    Embeddings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Never,
    /// As soon as any provider is called.
    OnceCalled,
    /// After so many pieces of the answer.
    After(u32),
}

/// What one request's client saw.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) number: u64,
    pub(super) kind: Kind,
    /// Attempts, as the head of the answer names them.
    pub(super) attempts: Option<usize>,
    /// Prompt and completion tokens, as the answer named them.
    pub(super) usage: Option<(u64, u64)>,
    pub(super) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The whole answer came.
    Whole,
    /// An error came instead of an answer.
    Refused(u16),
    /// The answer broke off, or said that it did.
    Broken,
    /// The client left.
    Left,
    /// The gateway did not answer.
    Lost,
}

impl Seen {
    pub(super) fn is_whole(&self) -> bool {
        self.end == End::Whole
    }
}

/// By which the request is known to everybody.
pub(super) fn request_id(number: u64) -> String {
    format!("p03-{number}")
}

/// What the provider counts for a whole answer.
pub(super) fn tokens(seen: &Seen) -> (u64, u64) {
    let output = match seen.kind {
        Kind::Embeddings => 0,
        Kind::Chat | Kind::ChatStream | Kind::ChatStreamWithUsage | Kind::ResponsesStream => {
            ANSWER.split(' ').count() as u64
        }
    };
    (prompt_words(seen.number), output)
}

/// Requests beside each other differ, so that a charge to the wrong one shows.
fn prompt_words(number: u64) -> u64 {
    1 + number % 89
}

impl Load {
    pub(super) fn new(seed: u64, leaving: Leaving, calls: Arc<watch::Sender<u64>>, fuse: Arc<Fuse>) -> Self {
        Self { seed, leaving, calls, fuse, tags: "proof=p03".to_owned() }
    }

    /// With the longest tags that are kept, so that each request takes much room.
    #[must_use]
    pub(super) fn verbose(self) -> Self {
        let long = "t".repeat(60);
        let tags: Vec<_> = (10..26).map(|tag| format!("{long}{tag}={long}{tag}")).collect();
        Self { tags: tags.join(","), ..self }
    }

    /// Some clients ask these, each one after the other, until none is left or the gateway is gone.
    pub(super) async fn run(self: &Arc<Self>, gateway: SocketAddr, numbers: Range<u64>) -> Vec<Seen> {
        let next = Arc::new(AtomicU64::new(numbers.start));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (load, next) = (Arc::clone(self), Arc::clone(&next));
            clients.spawn(async move {
                let mut all = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return all;
                    }
                    let seen = load.ask(gateway, number).await;
                    let is_lost = seen.end == End::Lost;
                    all.push(seen);
                    if is_lost {
                        return all;
                    }
                }
            });
        }
        clients.join_all().await.into_iter().flatten().collect()
    }

    async fn ask(&self, gateway: SocketAddr, number: u64) -> Seen {
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_mul(31).wrapping_add(number));
        let (kind, leaves) = (kind(&mut rng), self.leaves(&mut rng));
        let mut seen = Seen { number, kind, attempts: None, usage: None, end: End::Lost };
        let client = TestClient::new(gateway)
            .with_header("x-request-id", &request_id(number))
            .with_header("x-lockgate-tags", &self.tags);
        let (path, body) = request(kind, number);
        let sending = client.post(path, &body);
        let answer = if leaves == Leaves::OnceCalled {
            let mut calls = self.calls.subscribe();
            tokio::select! {
                biased;
                _ = calls.changed() => {
                    seen.end = End::Left;
                    return seen;
                }
                answer = sending => answer,
            }
        } else {
            sending.await
        };
        if let Ok(answer) = answer {
            self.fuse.burn(Trigger::Talk);
            seen.attempts = answer.header("x-lockgate-attempts").and_then(|count| count.parse().ok());
            seen.end = self.read(answer, leaves, &mut seen.usage).await;
        }
        seen
    }

    fn leaves(&self, rng: &mut StdRng) -> Leaves {
        let share = match self.leaving {
            Leaving::None => 0,
            Leaving::Some => 3,
            Leaving::Most => 7,
        };
        if !rng.random_ratio(share, 10) {
            return Leaves::Never;
        }
        match rng.random_range(0..3) {
            0 => Leaves::OnceCalled,
            _ => Leaves::After(rng.random_range(0..14)),
        }
    }

    async fn read(&self, mut answer: TestAnswer, leaves: Leaves, usage: &mut Option<(u64, u64)>) -> End {
        let is_stream =
            answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let mut whole = Vec::new();
        let (mut is_done, mut pieces) = (false, 0);
        loop {
            if leaves == Leaves::After(pieces) {
                return if is_done { End::Whole } else { End::Left };
            }
            pieces += 1;
            let piece = if is_stream { answer.event().await } else { answer.chunk().await };
            self.fuse.burn(Trigger::Talk);
            let Some(Ok(piece)) = piece else { break };
            if is_stream {
                is_done |= take_event(&piece, usage);
            } else {
                whole.extend_from_slice(&piece);
            }
        }
        if is_stream {
            return if is_done { End::Whole } else { End::Broken };
        }
        match serde_json::from_slice::<Value>(&whole) {
            Ok(_) if !answer.status.is_success() => End::Refused(answer.status.as_u16()),
            Ok(body) => {
                *usage = shown(&body["usage"]);
                End::Whole
            }
            Err(_) => End::Broken,
        }
    }
}

/// Whether it is the event after which nothing more is due.
fn take_event(event: &[u8], usage: &mut Option<(u64, u64)>) -> bool {
    let text = String::from_utf8_lossy(event);
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
    if data == "[DONE]" {
        return true;
    }
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    *usage = shown(&event["usage"]).or_else(|| shown(&event["response"]["usage"])).or(*usage);
    event["type"] == "response.completed"
}

fn shown(usage: &Value) -> Option<(u64, u64)> {
    let count = |names: [&str; 2]| names.into_iter().find_map(|name| usage[name].as_u64());
    let input = count(["prompt_tokens", "input_tokens"])?;
    Some((input, count(["completion_tokens", "output_tokens"]).unwrap_or(0)))
}

fn kind(rng: &mut StdRng) -> Kind {
    match rng.random_range(0..6) {
        0 => Kind::Chat,
        1 => Kind::ChatStream,
        2 | 3 => Kind::ChatStreamWithUsage,
        4 => Kind::ResponsesStream,
        _ => Kind::Embeddings,
    }
}

fn request(kind: Kind, number: u64) -> (&'static str, Value) {
    let words = usize::try_from(prompt_words(number)).expect("a small number");
    let prompt = vec!["word"; words].join(" ");
    let messages = json!([{"role": "user", "content": prompt}]);
    match kind {
        Kind::Chat => ("/v1/chat/completions", json!({"model": "m", "messages": messages})),
        Kind::ChatStream => {
            ("/v1/chat/completions", json!({"model": "m", "messages": messages, "stream": true}))
        }
        Kind::ChatStreamWithUsage => (
            "/v1/chat/completions",
            json!({"model": "m", "messages": messages, "stream": true,
                "stream_options": {"include_usage": true}}),
        ),
        Kind::ResponsesStream => ("/v1/responses", json!({"model": "m", "input": prompt, "stream": true})),
        Kind::Embeddings => ("/v1/embeddings", json!({"model": "m", "input": prompt})),
    }
}
