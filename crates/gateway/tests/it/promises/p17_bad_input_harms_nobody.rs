//! P17: bad input gets a clear error in the caller's dialect and harms nobody else: whatever the others send, a well-behaved
//! client is served each event of its stream the moment it is there.

mod bodies;
mod clients;
mod heads;
mod smuggling;

use std::time::Duration;

use protocol::Dialect;
use serde_json::{Value, json};
use testkit::{Behaviour, Pace, ScriptedProvider, StillClock, TestAnswer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::scene::{MODEL, Plan, Scene, chat, chat_stream};

const CHAT: &str = "/v1/chat/completions";
const BODY_BYTES_MAX: u64 = 1_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// A gateway whose deadlines leave a stream alone for as long as a test takes.
async fn stage() -> (ScriptedProvider, Scene) {
    let provider = ScriptedProvider::start().await;
    let scene = plan(&provider).start().await;
    (provider, scene)
}

fn plan(provider: &ScriptedProvider) -> Plan {
    let plan = Plan::before(&[provider]).with(|draft| draft.settings.body_bytes_max = BODY_BYTES_MAX);
    plan.backends(|spec| {
        spec.deadlines.idle = DAY;
        spec.deadlines.total = DAY;
    })
}

/// A client that does everything right, in the middle of a long stream.
struct Good {
    answer: TestAnswer,
    gate: Pace,
    said: String,
    heard: Vec<u8>,
}

impl Good {
    /// Begins its stream, which is the first request of this provider.
    async fn start(provider: &ScriptedProvider, scene: &Scene) -> Self {
        // A provider's pieces end with a word, not with a blank.
        let (gate, said) = (Pace::new(), ["word"; 300].join(" "));
        provider.then(Behaviour::healthy().saying(&said).paced_by(&gate));
        gate.step(1);
        let answer = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
        assert_eq!(answer.status, 200);
        let mut good = Self { answer, gate, said, heard: Vec::new() };
        good.hear("at the beginning").await;
        good
    }

    async fn hear(&mut self, context: &str) {
        let event = self.answer.event().await.unwrap_or_else(|| panic!("the stream ended {context}"));
        self.heard.extend_from_slice(&event.unwrap_or_else(|error| panic!("{error} {context}")));
    }

    /// One more event, which comes without any time going by.
    async fn goes_on(&mut self, context: &str) {
        let _still = StillClock::hold();
        self.gate.step(1);
        self.hear(context).await;
    }

    /// The rest of it, after which all of it was there.
    async fn ends(mut self) {
        self.gate.step(self.said.len());
        self.heard.extend_from_slice(&self.answer.body().await.expect("a whole stream"));
        let heard = String::from_utf8(self.heard).expect("text");
        let data = heard.lines().filter_map(|line| line.strip_prefix("data: "));
        let pieces = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let text: String = pieces
            .filter_map(|piece| piece.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned))
            .collect();
        assert_eq!(text, self.said);
        assert!(heard.ends_with("data: [DONE]\n\n"), "{heard}");
    }
}

async fn connect(scene: &Scene) -> TcpStream {
    TcpStream::connect(scene.address).await.expect("a connection")
}

/// Everything that comes until the gateway closes.
async fn read_to_end(connection: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is a way of closing, too.
    let _ = connection.read_to_end(&mut all).await;
    String::from_utf8_lossy(&all).into_owned()
}

async fn assert_serves(scene: &Scene, context: &str) {
    let answer = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(answer.status, 200, "after {context}");
}

/// A way in, and a request that is right there.
#[derive(Clone, Copy)]
struct Door {
    path: &'static str,
    /// Whose words its errors are in.
    dialect: Dialect,
    body: fn() -> Value,
}

/// What people may post JSON to.
const DOORS: [Door; 12] = [
    Door { path: CHAT, dialect: Dialect::OpenAiChat, body: chat },
    Door { path: "/chat/completions", dialect: Dialect::OpenAiChat, body: chat_stream },
    Door {
        path: "/v1/completions",
        dialect: Dialect::OpenAiCompletions,
        body: || json!({"model": MODEL, "prompt": "one two"}),
    },
    Door {
        path: "/v1/embeddings",
        dialect: Dialect::OpenAiEmbeddings,
        body: || json!({"model": MODEL, "input": ["one", [1, 2]]}),
    },
    Door { path: "/v1/responses", dialect: Dialect::OpenAiResponses, body: responses },
    Door { path: "/v1/messages", dialect: Dialect::AnthropicMessages, body: messages },
    Door { path: "/anthropic/v1/messages/count_tokens", dialect: Dialect::AnthropicMessages, body: messages },
    Door { path: "/v1beta/models/tiny:generateContent", dialect: Dialect::Gemini, body: contents },
    Door { path: "/v1beta/models/tiny:streamGenerateContent", dialect: Dialect::Gemini, body: contents },
    Door { path: "/v1beta/models/tiny:countTokens", dialect: Dialect::Gemini, body: contents },
    Door {
        path: "/v1/images/generations",
        dialect: Dialect::OpenAiRaw,
        body: || json!({"model": MODEL, "prompt": "one", "n": 1}),
    },
    Door {
        path: "/v1/moderations",
        dialect: Dialect::OpenAiRaw,
        body: || json!({"model": MODEL, "input": "one"}),
    },
];

fn responses() -> Value {
    json!({"model": MODEL, "store": false, "max_output_tokens": 9, "reasoning": {"effort": "low"}, "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "one"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\": 1}"},
        {"type": "function_call_output", "call_id": "c1", "output": "two"},
    ]})
}

fn messages() -> Value {
    json!({"model": MODEL, "max_tokens": 9, "system": [{"type": "text", "text": "be"}], "messages": [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [
            {"type": "text", "text": "two"},
        ]}]},
    ], "tools": [{"name": "f", "input_schema": {"type": "object"}}]})
}

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "one"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}],
        "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5}})
}

/// Whether the gateway's own error is one of this dialect, with all that it owes: its code, or why it is none.
fn told(dialect: Dialect, status: u16, body: &[u8]) -> Result<String, String> {
    let said: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let text = |pointer: &str| -> Result<String, String> {
        let text = said.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| format!("no {pointer}: {said}"))
    };
    text("/error/message")?;
    match dialect {
        Dialect::AnthropicMessages => {
            text("/error/type")?;
            text("/request_id")?;
            (said["type"] == "error")
                .then(|| text("/error/code"))
                .ok_or_else(|| format!("no type: {said}"))?
        }
        Dialect::Gemini => {
            text("/error/status")?;
            let code = said.pointer("/error/code").and_then(Value::as_u64);
            (code == Some(status.into()))
                .then(|| text("/error/details/0/reason"))
                .ok_or_else(|| format!("no code: {said}"))?
        }
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiResponses
        | Dialect::OpenAiRaw
        | Dialect::AgentRpc => text("/error/type").and_then(|_| text("/error/code")),
    }
}

#[tokio::test(start_paused = true)]
async fn p17_a_request_that_always_fails_closes_its_backend_to_nobody() {
    let (provider, scene) = stage().await;
    provider.otherwise(Behaviour::error(500, "it breaks me"));
    let failed = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert!(failed.status.is_server_error(), "{}", failed.status);
    let attempts = provider.received().len();
    assert!(attempts >= 5, "{attempts} attempts are enough to open a breaker that counts them");
    provider.otherwise(Behaviour::healthy());
    let began = Instant::now();
    let answer = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(began.elapsed() < Duration::from_secs(1), "it waited for {:?}", began.elapsed());
}
