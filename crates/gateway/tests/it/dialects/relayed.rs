//! Thoughts that a provider has sealed and that a client of its own dialect sends back as they are: who made them is asked
//! first, any other is told the conversation without them, and nobody's refusal of one ends a conversation.

use http::StatusCode;
use policy::{BackendSpec, Bound, Timestamp};
use protocol::Dialect;
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider, TestAnswer, TestClient};

use super::crossing::plan;
use crate::scene::{MODEL, Plan, Scene};

/// One dialect, as far as seals differ in it.
struct Case {
    dialect: Dialect,
    path: &'static str,
    /// A request with this in the model's turn.
    asking: fn(Value) -> Value,
    /// What a model says in that turn with this seal, and something aloud.
    sealed: fn(&str) -> Value,
    /// A whole answer with that in it.
    answer: fn(Value) -> Value,
    /// The same as a stream, as far as it is a valid one.
    events: fn(Value) -> Vec<Value>,
    /// Where the seal stands in the request, or what goes with it.
    lost: &'static str,
    /// How its servers refuse a seal.
    refusal: &'static str,
}

const MESSAGES: Case = Case {
    dialect: Dialect::AnthropicMessages,
    path: "/v1/messages",
    asking: |said| {
        let turns = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": said},
            {"role": "user", "content": "y"}]);
        json!({"model": MODEL, "max_tokens": 99, "messages": turns})
    },
    sealed: |seal| json!([{"type": "thinking", "thinking": "hm", "signature": seal}, {"type": "text", "text": "so"}]),
    answer: |said| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": said,
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
    },
    events: |said| {
        let begun = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [],
            "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
        vec![
            json!({"type": "message_start", "message": begun}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": said[0]["signature"]}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}),
            json!({"type": "message_stop"}),
        ]
    },
    lost: "messages[1].content[0]",
    refusal: "messages.1.content.0: Invalid `signature` in `thinking` block",
};

const GEMINI: Case = Case {
    dialect: Dialect::Gemini,
    path: "/v1beta/models/tiny:generateContent",
    asking: |said| {
        json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": said},
            {"role": "user", "parts": [{"text": "y"}]}]})
    },
    sealed: |seal| json!([{"text": "so", "thoughtSignature": seal}]),
    answer: |said| json!({"candidates": [{"content": {"role": "model", "parts": said}, "finishReason": "STOP"}]}),
    events: |said| {
        vec![json!({"candidates": [{"content": {"role": "model", "parts": said}, "finishReason": "STOP"}]})]
    },
    lost: "contents[1].parts[0].thoughtSignature",
    refusal: "Corrupted thought signature.",
};

const RESPONSES: Case = Case {
    dialect: Dialect::OpenAiResponses,
    path: "/v1/responses",
    asking: |said| {
        let mut input = vec![json!({"role": "user", "content": "x"})];
        input.extend(said.as_array().cloned().unwrap_or_default());
        input.push(json!({"role": "user", "content": "y"}));
        json!({"model": MODEL, "store": false, "input": input})
    },
    sealed: |seal| {
        json!([{"type": "reasoning", "summary": [], "encrypted_content": seal},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so", "annotations": []}]}])
    },
    answer: |said| json!({"id": "resp_1", "object": "response", "status": "completed", "model": MODEL, "output": said}),
    events: |said| {
        let response = |status: &str| json!({"id": "resp_1", "object": "response", "status": status, "model": MODEL, "output": []});
        vec![
            json!({"type": "response.created", "response": response("in_progress")}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": said[0]}),
            json!({"type": "response.completed", "response": response("completed")}),
        ]
    },
    lost: "input[1]",
    refusal: "The encrypted content could not be verified.",
};

const CASES: [Case; 3] = [MESSAGES, GEMINI, RESPONSES];

impl Case {
    /// A turn that goes on behind what was sealed.
    fn on(&self, seal: &str) -> Value {
        (self.asking)((self.sealed)(seal))
    }

    fn whole(&self, seal: &str) -> Behaviour {
        Behaviour::json(200, &(self.answer)((self.sealed)(seal)))
    }

    fn streamed(&self, seal: &str) -> Behaviour {
        let events = (self.events)((self.sealed)(seal)).into_iter();
        Behaviour::replay(events.map(|event| match event["type"].as_str() {
            Some(kind) => format!("event: {kind}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        }))
    }

    fn refused(&self) -> Behaviour {
        Behaviour::json(400, &json!({"error": {"message": self.refusal, "type": "invalid_request_error"}}))
    }

    /// Asks for a stream, or a whole answer.
    async fn ask(&self, client: &TestClient, body: &Value, streams: bool) -> TestAnswer {
        let mut body = body.clone();
        let path = match (self.dialect, streams) {
            (Dialect::Gemini, true) => "/v1beta/models/tiny:streamGenerateContent?alt=sse",
            (_, true) => {
                body["stream"] = json!(true);
                self.path
            }
            (_, false) => self.path,
        };
        let mut answer = client.post(path, &body).await.expect("an answer");
        answer.body().await.expect("a body");
        answer
    }
}

const NAMES: [&str; 2] = ["a", "b"];

/// Two accounts at two providers, equal but for what they seal.
async fn two(case: &Case, change: impl Fn(&mut BackendSpec)) -> ([ScriptedProvider; 2], Plan) {
    let providers = [ScriptedProvider::start().await, ScriptedProvider::start().await];
    let plan = plan(&[&providers[0], &providers[1]], case.dialect)
        .backends(change)
        .with(|draft| "primary".clone_into(&mut draft.backends[1].pool));
    (providers, plan)
}

fn by(answer: &TestAnswer) -> usize {
    usize::from(answer.header("x-lockgate-backend") == Some("b1"))
}

async fn sent_to(provider: &ScriptedProvider) -> String {
    String::from_utf8_lossy(&provider.next_request().await.body).into_owned()
}

fn strict(scene: &Scene) -> TestClient {
    scene.client().with_header("x-lockgate-strict", "1")
}

#[tokio::test(start_paused = true)]
async fn thoughts_go_back_to_who_sealed_them_and_no_other_is_told_them() {
    for (case, streams) in CASES.iter().flat_map(|case| [(case, false), (case, true)]) {
        let context = format!("{}, streamed: {streams}", case.dialect);
        let (providers, plan) = two(case, |_| ()).await;
        for (provider, name) in providers.iter().zip(NAMES) {
            let seal = format!("seal-of-{name}");
            provider.otherwise(if streams { case.streamed(&seal) } else { case.whole(&seal) });
        }
        let scene = plan.start().await;
        let home = by(&case.ask(&scene.client(), &(case.asking)(json!([])), streams).await);
        drop(sent_to(&providers[home]).await);
        let on = case.on(&format!("seal-of-{}", NAMES[home]));
        for client in [scene.client(), strict(&scene)] {
            for _ in 0..4 {
                let answer = case.ask(&client, &on, streams).await;
                assert_eq!((by(&answer), answer.status), (home, StatusCode::OK), "{context}");
                assert_eq!(answer.header("x-lockgate-dropped"), None, "{context}");
                let sent: Value = serde_json::from_str(&sent_to(&providers[home]).await).expect("JSON");
                let list =
                    ["messages", "contents", "input"].map(|list| (sent[list].clone(), on[list].clone()));
                list.iter().for_each(|(sent, on)| assert_eq!(sent, on, "{context}"));
            }
        }
        providers[home].otherwise(Behaviour::error(500, "down"));
        let asked = providers[1 - home].count().accepted;
        let answer = case.ask(&strict(&scene), &on, streams).await;
        assert!(answer.status.is_server_error(), "{context}: nothing was to be lost, {}", answer.status);
        assert_eq!(providers[1 - home].count().accepted, asked, "{context}");
        let answer = case.ask(&scene.client(), &on, streams).await;
        assert_eq!((by(&answer), answer.status), (1 - home, StatusCode::OK), "{context}");
        assert_eq!(answer.header("x-lockgate-dropped"), Some(case.lost), "{context}");
        let sent = sent_to(&providers[1 - home]).await;
        assert!(!sent.contains("seal-of") && sent.contains("so"), "{context}: {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_sealed_a_thought_is_known_after_a_restart() {
    for case in &CASES {
        let (providers, mut plan) = two(case, |_| ()).await;
        plan = plan.with(|draft| "fallback".clone_into(&mut draft.backends[1].pool));
        let on = case.on("seal-of-b");
        let body = serde_json::to_vec(&on).expect("JSON");
        let marks = protocol::outline(case.dialect, &body).expect("a request").seals;
        let id = marks.first().expect("a seal").to_string().into();
        plan.bindings = vec![Bound { id, backend: "b1".into(), at: Timestamp(0) }];
        for provider in &providers {
            provider.otherwise(case.whole("seal-of-c"));
        }
        let scene = plan.start().await;
        let answer = case.ask(&scene.client(), &on, false).await;
        assert_eq!((by(&answer), answer.status), (1, StatusCode::OK), "{}", case.dialect);
        assert!(sent_to(&providers[1]).await.contains("seal-of-b"), "{}", case.dialect);
        let unknown = case.ask(&scene.client(), &case.on("seal-of-d"), false).await;
        assert_eq!(by(&unknown), 0, "{}: of whom nothing is known goes where all go", case.dialect);
        assert!(sent_to(&providers[0]).await.contains("seal-of-d"), "{}", case.dialect);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_cannot_read_it_is_told_again_without() {
    for (case, streams) in CASES.iter().flat_map(|case| [(case, false), (case, true)]) {
        let context = format!("{}, streamed: {streams}", case.dialect);
        let provider = ScriptedProvider::start().await;
        let scene = plan(&[&provider], case.dialect).start().await;
        provider.then(case.refused());
        provider.otherwise(if streams { case.streamed("new") } else { case.whole("new") });
        let on = case.on("seal-of-somebody");
        let answer = case.ask(&scene.client(), &on, streams).await;
        assert_eq!(answer.status, StatusCode::OK, "{context}");
        assert_eq!(answer.header("x-lockgate-dropped"), Some(case.lost), "{context}");
        let [first, second] = [sent_to(&provider).await, sent_to(&provider).await];
        assert!(first.contains("seal-of-somebody"), "{context}: kept as long as it can be: {first}");
        assert!(!second.contains("seal-of-somebody") && second.contains("so"), "{context}: {second}");
        for (client, body) in [(strict(&scene), on.clone()), (scene.client(), (case.asking)(json!([])))] {
            provider.then(case.refused());
            let mut answer = client.post(case.path, &body).await.expect("an answer");
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{context}: there is nothing to leave out");
            let told = answer.json().await.expect("JSON")["error"]["message"].clone();
            assert_eq!(told, case.refusal, "{context}: as it was said");
            drop(sent_to(&provider).await);
        }
        assert_eq!(provider.count().accepted, 4, "{context}");
    }
}

#[tokio::test(start_paused = true)]
async fn accounts_of_one_provider_read_each_others_messages() {
    let (providers, plan) =
        two(&MESSAGES, |spec| spec.kind = policy::BackendKind::named("anthropic").expect("a kind")).await;
    for provider in &providers {
        provider.otherwise(MESSAGES.whole("seal-of-a"));
    }
    let scene = plan.start().await;
    let home = by(&MESSAGES.ask(&scene.client(), &(MESSAGES.asking)(json!([])), false).await);
    drop(sent_to(&providers[home]).await);
    providers[home].otherwise(Behaviour::error(500, "down"));
    let answer = MESSAGES.ask(&scene.client(), &MESSAGES.on("seal-of-a"), false).await;
    assert_eq!((by(&answer), answer.header("x-lockgate-dropped")), (1 - home, None));
    assert!(sent_to(&providers[1 - home]).await.contains("seal-of-a"));
}
