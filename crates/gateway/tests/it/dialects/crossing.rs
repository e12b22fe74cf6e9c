//! Another dialect in than out: every client with every backend, whole and streamed; errors, losses, faults.

use policy::BackendKind;
use protocol::Dialect;
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider, TestAnswer};

use crate::scene::{MODEL, Plan, Scene, key};

/// How a client of one dialect asks, and where its answer has what matters.
#[derive(Clone, Copy)]
pub(super) struct Client {
    pub(super) dialect: Dialect,
    whole: &'static str,
    streamed: &'static str,
    body: fn() -> Value,
    /// Where a whole answer has its text.
    pub(super) text: &'static str,
    /// Where an event of a stream has a piece of it.
    piece: &'static str,
    /// Where an error has its message.
    message: &'static str,
    /// What the last event of a stream says, and that of one that broke off.
    pub(super) end: &'static str,
    pub(super) broken: &'static str,
}

const CHAT: Client = Client {
    dialect: Dialect::OpenAiChat,
    whole: "/v1/chat/completions",
    streamed: "/v1/chat/completions",
    body: || json!({"model": MODEL, "messages": [{"role": "user", "content": "one two three"}]}),
    text: "/choices/0/message/content",
    piece: "/choices/0/delta/content",
    message: "/error/message",
    end: "data: [DONE]",
    broken: "\"error\"",
};

const MESSAGES: Client = Client {
    dialect: Dialect::AnthropicMessages,
    whole: "/v1/messages",
    streamed: "/v1/messages",
    body: || json!({"model": MODEL, "max_tokens": 99, "messages": [{"role": "user", "content": "one two three"}]}),
    text: "/content/0/text",
    piece: "/delta/text",
    message: "/error/message",
    end: "message_stop",
    broken: "event: error",
};

const GEMINI: Client = Client {
    dialect: Dialect::Gemini,
    whole: "/v1beta/models/tiny:generateContent",
    streamed: "/v1beta/models/tiny:streamGenerateContent?alt=sse",
    body: || json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]}),
    text: "/candidates/0/content/parts/0/text",
    piece: "/candidates/0/content/parts/0/text",
    message: "/error/message",
    end: "\"finishReason\":\"STOP\"",
    broken: "\"error\"",
};

const RESPONSES: Client = Client {
    dialect: Dialect::OpenAiResponses,
    whole: "/v1/responses",
    streamed: "/v1/responses",
    body: || json!({"model": MODEL, "input": "one two three", "store": false}),
    text: "/output/0/content/0/text",
    piece: "/delta",
    message: "/error/message",
    end: "response.completed",
    broken: "response.failed",
};

/// All whose halves there are.
pub(super) fn clients() -> impl Iterator<Item = Client> {
    [CHAT, MESSAGES, GEMINI, RESPONSES].into_iter().filter(|client| protocol::converses(client.dialect))
}

impl Client {
    fn asking(&self, stream: bool) -> (&'static str, Value) {
        let mut body = (self.body)();
        if stream && self.dialect != Dialect::Gemini {
            body["stream"] = json!(true);
        }
        (if stream { self.streamed } else { self.whole }, body)
    }

    pub(super) async fn ask(&self, scene: &Scene, stream: bool) -> TestAnswer {
        let (path, body) = self.asking(stream);
        scene.client().post(path, &body).await.expect("an answer")
    }
}

/// A gateway before these providers, all of which speak one dialect.
pub(super) async fn stage(providers: &[&ScriptedProvider], dialect: Dialect) -> Scene {
    plan(providers, dialect).start().await
}

pub(super) fn plan(providers: &[&ScriptedProvider], dialect: Dialect) -> Plan {
    Plan::before(providers).backends(|spec| {
        spec.kind = BackendKind::OpenAiCompatible;
        spec.dialects = Some(vec![dialect]);
    })
}

pub(super) fn text_of(client: &Client, stream: &[u8]) -> String {
    let text = String::from_utf8_lossy(stream);
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let bodies = data.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok());
    let pieces = bodies.filter_map(|body| {
        // A Responses stream says its text again when it is whole.
        let is_piece = body["type"].as_str().is_none_or(|kind| kind.ends_with("delta"));
        is_piece.then(|| body.pointer(client.piece)?.as_str().map(str::to_owned)).flatten()
    });
    pieces.collect()
}

#[tokio::test(start_paused = true)]
async fn every_client_is_served_by_every_backend() {
    let said = Behaviour::healthy().text;
    for client in clients() {
        for upstream in clients() {
            let context = format!("{} by {}", client.dialect, upstream.dialect);
            let provider = ScriptedProvider::start().await;
            let scene = stage(&[&provider], upstream.dialect).await;
            let mut answer = client.ask(&scene, false).await;
            assert_eq!(answer.status, 200, "{context}");
            let body = answer.json().await.expect("JSON");
            assert_eq!(body.pointer(client.text), Some(&json!(said)), "{context}: {body}");
            let id = answer.header("x-request-id").expect("an id").to_owned();
            let whole = scene.receipt(&id).await.receipt;
            let mut answer = client.ask(&scene, true).await;
            assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{context}");
            let id = answer.header("x-request-id").expect("an id").to_owned();
            let stream = answer.body().await.expect("a whole stream");
            assert_eq!(text_of(&client, &stream), said, "{context}");
            let last = String::from_utf8_lossy(&stream);
            assert!(last.contains(client.end), "{context}: {last}");
            let streamed = scene.receipt(&id).await.receipt;
            for receipt in [&whole, &streamed] {
                assert_eq!(
                    (receipt.dialect_in, receipt.dialect_out),
                    (client.dialect, Some(upstream.dialect)),
                    "{context}"
                );
                assert_eq!(receipt.usage_source, protocol::UsageSource::Provider, "{context}");
                assert!(receipt.usage.output > 0 && receipt.usage.input_total() > 0, "{context}");
            }
            assert_eq!(whole.usage, streamed.usage, "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstreams_refusal_is_told_in_the_clients_words() {
    for client in clients() {
        for upstream in clients().filter(|upstream| upstream.dialect != client.dialect) {
            let context = format!("{} by {}", client.dialect, upstream.dialect);
            let provider = ScriptedProvider::start().await;
            provider.otherwise(Behaviour::error(422, "too odd"));
            let scene = stage(&[&provider], upstream.dialect).await;
            for stream in [false, true] {
                let mut answer = client.ask(&scene, stream).await;
                assert_eq!(answer.status, 422, "{context}");
                let body = answer.json().await.expect("JSON");
                assert_eq!(body.pointer(client.message), Some(&json!("too odd")), "{context}: {body}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p01_an_upstreams_error_event_is_told_in_the_clients_words() {
    for client in clients() {
        for upstream in clients().filter(|upstream| upstream.dialect != client.dialect) {
            let context = format!("{} by {}", client.dialect, upstream.dialect);
            let provider = ScriptedProvider::start().await;
            provider.otherwise(Behaviour { error_event_at: Some(4), ..Behaviour::healthy() });
            let scene = stage(&[&provider], upstream.dialect).await;
            let stream = client.ask(&scene, true).await.body().await.expect("an honest end");
            let stream = String::from_utf8_lossy(&stream);
            assert!(stream.contains(client.broken), "{context}: {stream}");
            assert!(!stream.trim_end().ends_with(client.end), "{context}: {stream}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p08_what_is_lost_is_named_and_nothing_is_lost_under_strict() {
    let provider = ScriptedProvider::start().await;
    let scene = stage(&[&provider], Dialect::AnthropicMessages).await;
    let mut body = (CHAT.body)();
    body["seed"] = json!(7);
    body["messages"][0]["x_vendor"] = json!(1);
    let answer = scene.client().post(CHAT.whole, &body).await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-lockgate-dropped"), Some("messages[0].x_vendor,seed"));
    let accepted = provider.count().accepted;
    let strict = scene.client().with_header("x-lockgate-strict", "1");
    let mut answer = strict.post(CHAT.whole, &body).await.expect("an answer");
    assert_eq!(answer.status, 400);
    let error = answer.json().await.expect("JSON");
    assert_eq!(error["error"]["code"], "unsupported_for_backend");
    let message = error["error"]["message"].as_str().expect("a message");
    assert!(message.contains("`seed`") && message.contains("`messages[0].x_vendor`"), "{message}");
    assert_eq!(provider.count().accepted, accepted, "nobody was called");
    let answer = strict.post(CHAT.whole, &(CHAT.body)()).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.header("x-lockgate-dropped")), (200, None));
}

#[tokio::test(start_paused = true)]
async fn a_strict_request_goes_where_nothing_is_lost() {
    let (foreign, own) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let plan = plan(&[&foreign, &own], Dialect::AnthropicMessages).with(|draft| {
        draft.backends[1].dialects = Some(vec![Dialect::OpenAiChat]);
        let mut strict = key("lg-strict");
        strict.strict = true;
        draft.keys = vec![key("lg-any"), strict];
    });
    let scene = plan.start().await;
    let mut body = (CHAT.body)();
    body["seed"] = json!(7);
    for (who, backend) in [("lg-any", "b0"), ("lg-strict", "b1")] {
        let answer = scene.client().with_key(who).post(CHAT.whole, &body).await.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-lockgate-backend")),
            (200, Some(backend)),
            "{who}"
        );
    }
    assert_eq!(own.next_request().await.json()["seed"], 7);
}

/// What is lost depends on the backend's habits and its model, not on its dialect alone.
#[tokio::test(start_paused = true)]
async fn a_strict_request_is_judged_by_the_backend_that_would_get_it() {
    let (plain, marked) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let plan = plan(&[&plain, &marked], Dialect::OpenAiChat).with(|draft| {
        draft.backends[1].kind = BackendKind::named("openrouter").expect("a kind");
        draft.backends[1].dialects = Some(vec![Dialect::OpenAiChat]);
    });
    let scene = plan.start().await;
    let strict = scene.client().with_header("x-lockgate-strict", "1");
    let mut body = (MESSAGES.body)();
    body["system"] = json!([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]);
    let answer = strict.post(MESSAGES.whole, &body).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.header("x-lockgate-backend")), (200, Some("b1")));
    assert_eq!((plain.count().accepted, answer.header("x-lockgate-dropped")), (0, None));
    // Nobody is asked for thoughts that a model cannot be asked for.
    body["thinking"] = json!({"type": "disabled"});
    let answer = strict.post(MESSAGES.whole, &body).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), plain.count().accepted), (400, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_refused_before_anybody_is_called() {
    let provider = ScriptedProvider::start().await;
    let scene = stage(&[&provider], Dialect::AnthropicMessages).await;
    let mut body = (CHAT.body)();
    body["tools"] = json!("a hammer");
    let mut answer = scene.client().post(CHAT.whole, &body).await.expect("an answer");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json().await.expect("JSON")["error"]["param"], "tools");
    assert_eq!(provider.count().accepted, 0);
    assert_eq!(scene.only_receipt().await.attempts.len(), 0);
}
