//! P01: a cut or stalled answer never looks like a complete one, and nothing is repeated; each recording is cut at each byte.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::{Behaviour, Ending, Framing, ScriptedProvider, TestClient};

use crate::scene::{MODEL, Plan};

/// What one endpoint is asked and how a provider answered it once.
struct Recording {
    path: &'static str,
    body: Value,
    /// The events of a stream, or one whole answer.
    pieces: Vec<String>,
    /// Pieces from which on an answer may be called complete when its end is told by nothing but the connection's.
    finished_at: usize,
}

fn chunk(object: &str, choice: &Value) -> String {
    let event = json!({"id": "c-1", "object": object, "created": 1, "model": MODEL, "choices": [choice]});
    format!("data: {event}\n\n")
}

fn chat_recording(text: &str) -> Recording {
    let delta = |delta: Value, reason: Value| {
        chunk("chat.completion.chunk", &json!({"index": 0, "delta": delta, "finish_reason": reason}))
    };
    let mut pieces = vec![
        delta(json!({"role": "assistant", "content": text}), Value::Null),
        delta(json!({"content": " \u{e9}\u{4e16}"}), Value::Null),
        delta(json!({}), json!("stop")),
    ];
    pieces.push(format!(
        "data: {}\n\n",
        json!({"id": "c-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
    ));
    pieces.push("data: [DONE]\n\n".to_owned());
    Recording {
        path: "/v1/chat/completions",
        body: json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": true,
            "stream_options": {"include_usage": true}}),
        pieces,
        finished_at: 3,
    }
}

fn completions_recording(text: &str) -> Recording {
    let piece = |text: &str, reason: Value| {
        chunk("text_completion", &json!({"index": 0, "text": text, "finish_reason": reason}))
    };
    let mut pieces = vec![piece(text, Value::Null), piece(" b", Value::Null), piece("", json!("length"))];
    pieces.push("data: [DONE]\n\n".to_owned());
    Recording {
        path: "/v1/completions",
        body: json!({"model": MODEL, "prompt": "hi", "stream": true, "stream_options": {"include_usage": true}}),
        pieces,
        finished_at: 3,
    }
}

fn responses_recording(text: &str) -> Recording {
    let event = |kind: &str, number: u64, rest: Value| {
        let mut data = json!({"type": kind, "sequence_number": number});
        data.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let response = |status: &str, output: Value| json!({"response": {"id": "resp_1", "object": "response", "status": status, "model": MODEL, "output": output}});
    let message = json!([{"type": "message", "content": [{"type": "output_text", "text": text}]}]);
    Recording {
        path: "/v1/responses",
        body: json!({"model": MODEL, "input": "hi", "stream": true}),
        pieces: vec![
            event("response.created", 0, response("in_progress", json!([]))),
            event("response.output_text.delta", 1, json!({"output_index": 0, "delta": text})),
            event("response.completed", 2, response("completed", message)),
        ],
        finished_at: 3,
    }
}

fn whole_recordings(text: &str) -> Vec<Recording> {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    let whole = |path, body: Value, answer: Value| Recording {
        path,
        body,
        pieces: vec![answer.to_string()],
        finished_at: 1,
    };
    vec![
        whole(
            "/v1/chat/completions",
            json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}),
            json!({"id": "c", "object": "chat.completion", "model": MODEL, "usage": usage, "choices":
                [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}),
        ),
        whole(
            "/v1/completions",
            json!({"model": MODEL, "prompt": "hi"}),
            json!({"id": "c", "object": "text_completion", "model": MODEL, "usage": usage,
                "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}),
        ),
        whole(
            "/v1/embeddings",
            json!({"model": MODEL, "input": text}),
            json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1e-3]}],
                "model": MODEL, "usage": {"prompt_tokens": 1, "total_tokens": 1}}),
        ),
        whole(
            "/v1/responses",
            json!({"model": MODEL, "input": "hi"}),
            json!({"id": "resp_1", "object": "response", "status": "completed", "model": MODEL, "output":
                [{"type": "message", "content": [{"type": "output_text", "text": text}]}]}),
        ),
    ]
}

impl Recording {
    fn is_stream(&self) -> bool {
        self.body["stream"] == true
    }

    fn bytes(&self) -> Vec<u8> {
        self.pieces.concat().into_bytes()
    }

    fn behaviour(&self) -> Behaviour {
        let kind = if self.is_stream() { "text/event-stream" } else { "application/json" };
        Behaviour::chunks(kind, self.pieces.iter().map(|piece| piece.clone().into_bytes()))
    }

    /// Where each piece ends.
    fn piece_ends(&self) -> Vec<usize> {
        let lengths = self.pieces.iter().map(String::len);
        lengths
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect()
    }

    async fn ask(&self, client: &TestClient) -> Got {
        let body = Bytes::from(self.body.to_string());
        let mut answer = client.send(Method::POST, self.path, body).await.expect("an answer");
        Got {
            status: answer.status.as_u16(),
            attempts: answer.header("x-lockgate-attempts").unwrap_or_default().to_owned(),
            body: answer.body().await.expect("an HTTP body with a proper end").to_vec(),
        }
    }
}

/// What the client got.
struct Got {
    status: u16,
    attempts: String,
    body: Vec<u8>,
}

/// How an answer is broken off.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// FIN inside a body in chunks.
    Chunked,
    /// RST inside a body in chunks.
    Reset,
    /// FIN inside a body of declared length.
    Length,
    /// FIN, where that is also how the body would have ended.
    UntilClose,
    /// Silence.
    Stall,
}

impl Cut {
    fn apply(self, behaviour: Behaviour, at: usize) -> Behaviour {
        let at = at as u64;
        match self {
            Cut::Chunked => behaviour.framed(Framing::Chunked).ending(Ending::CloseAt(at)),
            Cut::Reset => behaviour.framed(Framing::Chunked).ending(Ending::ResetAt(at)),
            Cut::Length => behaviour.framed(Framing::Length).ending(Ending::CloseAt(at)),
            Cut::UntilClose => behaviour.framed(Framing::UntilClose).ending(Ending::CloseAt(at)),
            Cut::Stall => behaviour.framed(Framing::Chunked).ending(Ending::HangAt(at)),
        }
    }
}

/// A stream that broke off after `begun` begins as the recording does, then says so, and has no end that looks good.
fn assert_honest(got: &Got, recording: &Recording, context: &str) {
    let text = String::from_utf8(got.body.clone()).expect("UTF-8, as whole events are");
    let original = recording.pieces.concat();
    let shared = recording
        .pieces
        .iter()
        .scan(0, |at, piece| {
            let starts = text.get(*at..).is_some_and(|rest| rest.starts_with(piece.as_str()));
            *at += piece.len();
            starts.then_some(*at)
        })
        .last()
        .unwrap_or(0);
    let (said, told) = text.split_at(shared);
    assert!(!said.is_empty() && original.starts_with(said), "{context}: {text}");
    for end in ["[DONE]", "response.completed", "\"completed\"", "\"stop\"", "\"length\""] {
        assert!(!told.contains(end), "{context}: {told}");
    }
    assert!(!said.contains("[DONE]") && !said.contains("response.completed"), "{context}: {said}");
    assert!(told.ends_with("\n\n"), "{context}: {told:?}");
    let mut errors = 0;
    for event in told.split_terminator("\n\n") {
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event with data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        let error = if data["response"].is_object() { &data["response"]["error"] } else { &data["error"] };
        assert!(error["message"].is_string() && error["code"].is_string(), "{context}: {data}");
        errors += 1;
    }
    let most = if recording.path == "/v1/responses" { 2 } else { 1 };
    assert!((1..=most).contains(&errors), "{context}: {told}");
}

fn assert_refused(got: &Got, context: &str) {
    assert!(matches!(got.status, 502 | 504), "{context}: {}", got.status);
    let body: Value = serde_json::from_slice(&got.body).expect("an error in JSON");
    assert!(body["error"]["message"].is_string() && body["error"]["code"].is_string(), "{context}: {body}");
}

/// From which byte on the answer may be told as complete.
fn complete_from(recording: &Recording, cut: Cut) -> usize {
    let ends = recording.piece_ends();
    let last = ends.last().copied().unwrap_or(0);
    match cut {
        // The last piece's blank line is all that can be missing.
        Cut::UntilClose if recording.is_stream() => ends[recording.finished_at - 1] - 2,
        Cut::Chunked | Cut::Reset | Cut::Length | Cut::UntilClose | Cut::Stall => last,
    }
}

/// Cuts the recording at each byte, with no other backend there.
async fn check_alone(recording: &Recording, cut: Cut) {
    let provider = ScriptedProvider::start().await;
    let plan = Plan::before(&[&provider]).unforgetting().with(|draft| draft.settings.attempts_max = 1);
    let scene = plan.start().await;
    let client = scene.client();
    let (whole, complete_from) = (recording.bytes(), complete_from(recording, cut));
    let first_event = if recording.is_stream() { recording.pieces[0].len() } else { whole.len() };
    for at in 0..whole.len() {
        let context = format!("{} {cut:?} at {at}", recording.path);
        provider.then(cut.apply(recording.behaviour(), at));
        let got = recording.ask(&client).await;
        if got.status != 200 {
            assert!(at < first_event, "{context}: {}", got.status);
            assert_refused(&got, &context);
        } else if at >= complete_from {
            assert_complete_or_honest(&got, recording, &context);
        } else {
            assert_honest(&got, recording, &context);
        }
    }
    scene.at_rest().await;
}

/// Where only the `[DONE]` or a blank line is missing, both are right: to say that it broke off, or to end it well.
fn assert_complete_or_honest(got: &Got, recording: &Recording, context: &str) {
    let text = String::from_utf8_lossy(&got.body);
    if !text.contains("\"error\":{") {
        let (said, done) = text.split_at(text.len() - "data: [DONE]\n\n".len());
        let ends_well = match recording.path {
            "/v1/responses" => *text == *recording.pieces.concat(),
            _ => done == "data: [DONE]\n\n" && recording.pieces.concat().starts_with(said),
        };
        assert!(ends_well, "{context}: {text}");
        return;
    }
    assert_honest(got, recording, context);
}

/// Cuts the recording at each byte, with another backend there that answers otherwise.
async fn check_with_another(recording: &Recording, other: &Recording, cut: Cut) {
    let (provider, healthy) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    healthy.otherwise(other.behaviour());
    let scene = Plan::before(&[&provider, &healthy]).unforgetting().start().await;
    let client = scene.client();
    let (whole, complete_from) = (recording.bytes(), complete_from(recording, cut));
    for at in 0..whole.len() {
        let context = format!("{} {cut:?} at {at}, with another", recording.path);
        provider.then(cut.apply(recording.behaviour(), at));
        let got = recording.ask(&client).await;
        assert_eq!(got.status, 200, "{context}");
        match got.attempts.as_str() {
            "2" => assert_eq!(
                String::from_utf8_lossy(&got.body),
                String::from_utf8_lossy(&other.bytes()),
                "{context}"
            ),
            "1" if at >= complete_from => assert_complete_or_honest(&got, recording, &context),
            attempts => {
                assert_eq!(attempts, "1", "{context}");
                assert!(recording.is_stream() && at >= recording.pieces[0].len(), "{context}");
                assert_honest(&got, recording, &context);
            }
        }
    }
    scene.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn p01_a_chat_stream_cut_at_any_byte_ends_honestly() {
    for cut in [Cut::Chunked, Cut::Reset, Cut::UntilClose, Cut::Stall] {
        check_alone(&chat_recording("alpha"), cut).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p01_a_completions_stream_cut_at_any_byte_ends_honestly() {
    for cut in [Cut::Chunked, Cut::Reset, Cut::UntilClose, Cut::Stall] {
        check_alone(&completions_recording("alpha"), cut).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p01_a_responses_stream_cut_at_any_byte_ends_honestly() {
    for cut in [Cut::Chunked, Cut::Reset, Cut::UntilClose, Cut::Stall] {
        check_alone(&responses_recording("alpha"), cut).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p01_a_stream_cut_before_its_first_event_is_another_backends() {
    for cut in [Cut::Chunked, Cut::Reset, Cut::UntilClose] {
        check_with_another(&chat_recording("alpha"), &chat_recording("other"), cut).await;
        check_with_another(&completions_recording("alpha"), &completions_recording("other"), cut).await;
        check_with_another(&responses_recording("alpha"), &responses_recording("other"), cut).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p01_a_whole_answer_cut_at_any_byte_is_an_error() {
    for recording in whole_recordings("alpha") {
        for cut in [Cut::Chunked, Cut::Reset, Cut::Length, Cut::UntilClose, Cut::Stall] {
            check_alone(&recording, cut).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p01_a_whole_answer_cut_at_any_byte_is_another_backends() {
    for (recording, other) in whole_recordings("alpha").iter().zip(&whole_recordings("other")) {
        for cut in [Cut::Length, Cut::Reset, Cut::UntilClose] {
            check_with_another(recording, other, cut).await;
        }
    }
}
