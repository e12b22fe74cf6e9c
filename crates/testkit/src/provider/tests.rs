//! The provider does what its script says, so that other tests may believe it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Behaviour, Count, Newline, Pace, ProviderSettings, Rate, ScriptedProvider, UsageShown};
use crate::client::TestClient;

fn client(provider: &ScriptedProvider) -> TestClient {
    TestClient::new(provider.address())
}

fn ask(stream: bool, include_usage: bool) -> Value {
    let mut body =
        json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "one two three"}]});
    if include_usage {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

/// The data of the events that a behaviour answers with.
async fn events(provider: &ScriptedProvider, behaviour: Behaviour, ask: &Value) -> Vec<String> {
    provider.then(behaviour);
    let mut answer = client(provider).post("/v1/chat/completions", ask).await.expect("an answer");
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let mut events = Vec::new();
    while let Some(event) = answer.event().await {
        let event = String::from_utf8(event.expect("whole").to_vec()).expect("text");
        events.push(event.trim_end().trim_start_matches("data: ").to_owned());
    }
    events
}

fn usages(events: &[String]) -> usize {
    events.iter().filter(|event| event.contains("\"completion_tokens\":2")).count()
}

#[tokio::test]
async fn a_healthy_stream_shows_its_usage_as_it_should() {
    let provider = ScriptedProvider::start().await;
    let two = || Behaviour::healthy().saying("hello world");
    for (shown, asked, expected) in [
        (UsageShown::WhenAsked, false, 0),
        (UsageShown::WhenAsked, true, 1),
        (UsageShown::EachChunk, false, 4),
        (UsageShown::Never, true, 0),
    ] {
        let behaviour = Behaviour { usage: shown, ..two() };
        let events = events(&provider, behaviour, &ask(true, asked)).await;
        assert_eq!(usages(&events), expected, "{shown:?} {asked}: {events:?}");
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    }
    let count = provider.count();
    assert_eq!(
        (count.completed, count.input_tokens, count.output_tokens),
        (4, 6, 4),
        "only what was shown is booked"
    );
}

#[tokio::test]
async fn a_stream_goes_wrong_where_it_is_told_to() {
    let provider = ScriptedProvider::start().await;
    let two = || Behaviour::healthy().saying("hello world");
    let all = events(&provider, two(), &ask(true, false)).await;
    let crlf = events(&provider, Behaviour { newline: Newline::CrLf, ..two() }, &ask(true, false)).await;
    assert_eq!(all, crlf);
    let open = events(&provider, Behaviour { no_done: true, ..two() }, &ask(true, false)).await;
    assert_eq!(open, all[..all.len() - 1]);
    let bad = events(&provider, Behaviour { bad_line_at: Some(2), ..two() }, &ask(true, false)).await;
    assert_eq!(bad.len(), all.len() + 1);
    assert!(serde_json::from_str::<Value>(&bad[2]).is_err());
    for at in [0, 2] {
        let failed =
            events(&provider, Behaviour { error_event_at: Some(at), ..two() }, &ask(true, false)).await;
        assert_eq!(failed.len(), at + 1);
        assert!(failed[at].contains("server_error"), "{failed:?}");
    }
}

#[tokio::test]
async fn each_endpoint_has_its_answer() {
    let provider = ScriptedProvider::start().await;
    for (path, body, pointer, expected) in [
        ("/v1/chat/completions", ask(false, false), "/usage/prompt_tokens", json!(3)),
        ("/chat/completions", ask(false, false), "/choices/0/finish_reason", json!("stop")),
        ("/v1/completions", json!({"prompt": "a b"}), "/usage/prompt_tokens", json!(2)),
        ("/v1/embeddings", json!({"input": ["a", "b c"]}), "/usage/total_tokens", json!(3)),
        ("/v1/embeddings", json!({"input": "a", "encoding_format": "base64"}), "/data/0/index", json!(0)),
        ("/v1/responses", json!({"input": "a b"}), "/usage/input_tokens", json!(2)),
        ("/v1/responses/resp_7/cancel", json!({}), "/id", json!("resp_7")),
        ("/v1/responses/resp_7/cancel", json!({}), "/status", json!("cancelled")),
        ("/v1/images/generations", json!({"prompt": "x"}), "/body_bytes", json!(14)),
    ] {
        let mut answer = client(&provider).post(path, &body).await.expect("an answer");
        assert_eq!(answer.json().await.expect("JSON").pointer(pointer), Some(&expected), "{path} {pointer}");
    }
    let tool =
        json!({"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "look"}}]});
    let mut answer = client(&provider).post("/v1/chat/completions", &tool).await.expect("an answer");
    let called = answer.json().await.expect("JSON");
    assert_eq!(called["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "look");
}

#[tokio::test(start_paused = true)]
async fn a_hidden_limit_refuses_and_says_until_when() {
    let provider = ScriptedProvider::start().await;
    provider.limit(Some(Rate { per_minute: 60, burst: 2 }));
    let client = client(&provider);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = client.post("/v1/chat/completions", &ask(false, false)).await.expect("an answer");
        statuses.push((answer.status.as_u16(), answer.header("retry-after-ms").map(str::to_owned)));
    }
    assert_eq!(statuses[..2], [(200, None), (200, None)]);
    let wait: u64 = statuses[2].1.as_ref().and_then(|wait| wait.parse().ok()).expect("it says when");
    assert!(statuses[2].0 == 429 && (1..=1000).contains(&wait), "{statuses:?}");
    tokio::time::advance(Duration::from_millis(wait)).await;
    assert_eq!(client.post("/v1/chat/completions", &ask(false, false)).await.expect("an answer").status, 200);
    let Count { accepted, refused, .. } = provider.count();
    assert_eq!((accepted, refused), (3, 1));
}

#[tokio::test]
async fn a_key_may_be_needed() {
    let settings = ProviderSettings { key: Some("sk-right".to_owned()), ..ProviderSettings::default() };
    let provider = ScriptedProvider::start_with(settings).await.expect("a port");
    for (key, status) in [(None, 401), (Some("sk-wrong"), 401), (Some("sk-right"), 200)] {
        let client = key.map_or(client(&provider), |key| client(&provider).with_key(key));
        let answer = client.post("/v1/chat/completions", &ask(false, false)).await.expect("an answer");
        assert_eq!(answer.status, status, "{key:?}");
    }
}

#[tokio::test]
async fn a_script_may_come_over_http() {
    let provider = ScriptedProvider::start().await;
    let client = client(&provider);
    let script = json!({
        "queue": [{"answering": {"chunks": ["a", [0xff, 0x00]]}, "status": 201, "ending": "then_close"}],
        "otherwise": {"text": "other words", "ending": {"close_at": 10}},
        "limit": {"per_minute": 60, "burst": 2},
    });
    assert_eq!(client.post("/__control/script", &script).await.expect("an answer").status, 200);
    let mut first = client.post("/v1/x", &json!({})).await.expect("an answer");
    assert_eq!(
        (first.status.as_u16(), first.body().await.expect("a body").to_vec()),
        (201, vec![b'a', 0xff, 0])
    );
    let mut second = client.post("/v1/chat/completions", &ask(false, false)).await.expect("an answer");
    assert!(second.body().await.is_err(), "it is cut");
    assert_eq!(client.post("/v1/x", &json!({})).await.expect("an answer").status, 429);

    let count = client.get("/__control/count").await.expect("an answer").json().await.expect("JSON");
    assert_eq!((count["accepted"].as_u64(), count["refused"].as_u64()), (Some(2), Some(1)));
    let received = client.get("/__control/received").await.expect("an answer").json().await.expect("JSON");
    assert_eq!(received[0]["path"], "/v1/x");
    assert_eq!(received[1]["fate"]["left_early"], false);
    for nonsense in [json!({"que": []}), json!({"queue": [{"answer": 1}]})] {
        assert_eq!(
            client.post("/__control/script", &nonsense).await.expect("an answer").status,
            400,
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn gates_are_separate() {
    let provider = ScriptedProvider::start().await;
    let (one, two) = (Pace::new(), Pace::new());
    provider.then(Behaviour::replay(["data: 1\n\n"]).paced_by(&one));
    let mut first = client(&provider).post("/v1/x", &json!({})).await.expect("a head");
    provider.then(Behaviour::replay(["data: 2\n\n"]).paced_by(&two));
    let mut second = client(&provider).post("/v1/x", &json!({})).await.expect("a head");
    two.step(1);
    assert_eq!(second.event().await.expect("an event").expect("whole"), "data: 2\n\n");
    one.reached(1).await;
    assert_eq!(provider.received()[0].fate(), None, "the other gate is still closed");
    one.step(1);
    assert_eq!(first.event().await.expect("an event").expect("whole"), "data: 1\n\n");
}

#[tokio::test]
async fn a_hand_meets_what_comes_after_it_was_asked_for() {
    let provider = ScriptedProvider::start().await;
    let mut asked = provider.by_hand();
    provider.then(Behaviour::error(500, "the script plays no part"));
    for status in [200, 429, 503] {
        let met = async {
            let asked = asked.recv().await.expect("a request");
            assert_eq!(asked.request.json()["model"], "m");
            asked.meet(Behaviour::json(status, &json!({})));
        };
        let (client, body) = (client(&provider), ask(false, false));
        let (answer, ()) = tokio::join!(client.post("/v1/chat/completions", &body), met);
        assert_eq!(answer.expect("an answer").status, status);
    }
    drop(asked);
    let answer = client(&provider).post("/v1/chat/completions", &ask(false, false)).await;
    assert_eq!(answer.expect("an answer").status, 500, "a hand that is gone lets nobody wait");
}
