//! P02: until the first content has reached the client, any retryable fault moves to another backend; the rest is passed on.

use std::time::Duration;

use policy::{BackendStatus, Health};
use serde_json::{Value, json};
use testkit::{Behaviour, Ending, Framing, ProviderSettings, ScriptedProvider, TestAnswer, Transport};

use crate::scene::{Plan, Scene, chat, chat_stream};

/// How a backend stands after one fault.
#[derive(Debug, Clone, Copy)]
enum After {
    /// It counts as one failure towards its breaker.
    Failed,
    /// It cools down.
    Cooling,
    /// Its credential is not used again.
    Error,
    /// Nothing is held against it.
    Untouched,
}

fn assert_standing(backend: &BackendStatus, after: After, context: &str) {
    let seen = (backend.state, backend.consecutive_failures, backend.consecutive_rate_limited);
    let expected = match after {
        After::Failed => (Health::Healthy, 1, 0),
        After::Cooling => (Health::Cooling, 0, 1),
        After::Error => (Health::Error, 0, 0),
        After::Untouched => (Health::Healthy, 0, 0),
    };
    assert_eq!(seen, expected, "{context}: {:?}", backend.last_error);
}

fn assert_whole(body: &[u8], context: &str) {
    let text = String::from_utf8_lossy(body);
    match context.contains("streamed") {
        true => assert!(text.ends_with("data: [DONE]\n\n") && text.contains("lazy"), "{context}: {text}"),
        false => {
            let body: Value = serde_json::from_slice(body).expect("JSON");
            assert_eq!(body["choices"][0]["message"]["content"], saying(), "{context}");
        }
    }
    assert!(!text.contains("error"), "{context}: {text}");
}

fn saying() -> String {
    Behaviour::healthy().text
}

/// The caller sees a plain success of the second backend, and the first is judged as it should be.
async fn check_moved(base_url: String, fault: &str, after: After) {
    for (how, ask) in [("whole", chat()), ("streamed", chat_stream())] {
        let context = format!("{fault}, {how}");
        let healthy = ScriptedProvider::start().await;
        let scene = Plan::of(&[base_url.clone(), healthy.base_url()]).start().await;
        let mut answer = scene.client().post("/v1/chat/completions", &ask).await.expect("an answer");
        assert_eq!(answer.status, 200, "{context}");
        assert_eq!(answer.header("x-lockgate-attempts"), Some("2"), "{context}");
        assert_eq!(answer.header("x-lockgate-backend"), Some("b1"), "{context}");
        assert_whole(&answer.body().await.expect("a whole body"), &context);
        assert_standing(&scene.backend("b0"), after, &context);
        assert_standing(&scene.backend("b1"), After::Untouched, &context);
        let detail = scene.only_receipt().await;
        assert_eq!((detail.receipt.status, detail.receipt.attempts), (200, 2), "{context}");
        assert_eq!(detail.attempts.len(), 2, "{context}");
    }
}

async fn check_behaviour(fault: &str, behaviour: Behaviour, after: After) {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(behaviour);
    check_moved(provider.base_url(), fault, after).await;
}

#[tokio::test(start_paused = true)]
async fn p02_a_backend_that_cannot_be_reached_is_passed_over() {
    let (address, _held) = testkit::refused_address().expect("an address");
    check_moved(format!("http://{address}/v1"), "refused", After::Failed).await;
    let garbage = ProviderSettings { transport: Transport::Garbage, ..ProviderSettings::default() };
    let garbage = ScriptedProvider::start_with(garbage).await.expect("a port");
    check_moved(format!("https://{}/v1", garbage.address()), "garbage for TLS", After::Failed).await;
    let unknown = ScriptedProvider::start_tls().await;
    check_moved(unknown.base_url(), "a certificate nobody signed", After::Failed).await;
    let plain = ScriptedProvider::start().await;
    check_moved(format!("https://{}/v1", plain.address()), "HTTP for TLS", After::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn p02_a_connection_that_breaks_or_hangs_is_passed_over() {
    for (fault, ending) in [
        ("closed at once", Ending::CloseFirst),
        ("reset at once", Ending::ResetFirst),
        ("silent before the head", Ending::HangFirst),
        ("closed in the head", Ending::CloseInHead),
        ("closed after the head", Ending::CloseAt(0)),
        ("reset in the first event", Ending::ResetAt(20)),
        ("silent after the head", Ending::HangAt(0)),
        ("silent in the first event", Ending::HangAt(20)),
    ] {
        check_behaviour(fault, Behaviour::healthy().ending(ending), After::Failed).await;
    }
    check_behaviour("a head that never ends", Behaviour::healthy().slow_head(), After::Failed).await;
    check_behaviour("a slow first byte", Behaviour::healthy().paced(), After::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn p02_an_error_status_that_another_may_better_is_passed_over() {
    for status in [408, 409, 425, 500, 502, 503, 504, 529] {
        let error = Behaviour::error(status, "The server had an error");
        check_behaviour(&format!("status {status}"), error, After::Failed).await;
    }
    for status in [401, 402, 403] {
        let error = Behaviour::error(status, "Incorrect API key provided");
        check_behaviour(&format!("status {status}"), error, After::Error).await;
    }
    check_behaviour("429", Behaviour::rate_limited(Duration::from_secs(7)), After::Cooling).await;
    check_behaviour("a page with 502", Behaviour::html(502), After::Failed).await;
    let missing = json!({"error": {"message": "The model `tiny` does not exist", "type": "invalid_request_error",
        "param": null, "code": "model_not_found"}});
    check_behaviour("no such model", Behaviour::json(404, &missing), After::Untouched).await;
}

#[tokio::test(start_paused = true)]
async fn p02_an_answer_that_is_none_is_passed_over() {
    for (fault, behaviour) in [
        ("a page with 200", Behaviour::html(200)),
        ("JSON that breaks off", Behaviour::bad_json()),
        ("an empty body", Behaviour::empty()),
        ("an error object with 200", Behaviour::error_object()),
        ("events that are no JSON", Behaviour::replay(["data: {\"choices\": [\n\n", "data: no\n\n"])),
        ("nothing but [DONE]", Behaviour::replay(["data: [DONE]\n\n"])),
        ("nothing but comments", Behaviour::replay([": waiting\n\n", ": still waiting\n\n"])),
        ("an empty stream", Behaviour::replay(Vec::<&str>::new())),
        (
            "an error event first",
            Behaviour::replay([r#"data: {"error":{"message":"overloaded","code":500}}"#, "\n\n"]),
        ),
        (
            "shorter than its length",
            Behaviour::chunks("application/json", ["{\"id\""]).framed(Framing::LengthOff(50)),
        ),
        (
            "longer than its length",
            Behaviour::healthy().framed(Framing::Length).header("content-length", "9"),
        ),
        ("no HTTP", Behaviour::raw("ICY 200 OK\r\n\r\n").ending(Ending::ThenClose)),
        ("a redirection", Behaviour::json(302, &json!({})).header("location", "http://127.0.0.1:1/")),
    ] {
        check_behaviour(fault, behaviour, After::Failed).await;
    }
}

async fn ask_both(behaviour: Behaviour) -> (Scene, TestAnswer, u64) {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    first.otherwise(behaviour);
    let scene = Plan::before(&[&first, &second]).start().await;
    let answer = scene.client().post("/v1/chat/completions", &chat()).await.expect("an answer");
    let called = second.count().accepted;
    (scene, answer, called)
}

#[tokio::test(start_paused = true)]
async fn p02_what_no_other_backend_could_better_is_passed_on() {
    let error = |code: &str| json!({"error": {"message": "No.", "type": "invalid_request_error", "param": "x", "code": code}});
    for (status, body) in [
        (400, error("invalid_value")),
        (400, error("content_policy_violation")),
        (400, error("context_length_exceeded")),
        (403, error("content_policy_violation")),
        (404, json!({"detail": "Not Found"})),
        (405, json!({})),
        (413, error("too_large")),
        (415, error("unsupported_media_type")),
        (422, json!({"detail": [{"loc": ["body", "n"], "msg": "field required"}]})),
        (451, error("legal")),
    ] {
        let context = format!("{status} {body}");
        let (scene, mut answer, called) = ask_both(Behaviour::json(status, &body)).await;
        assert_eq!(answer.status, status, "{context}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{context}");
        assert_eq!(answer.header("x-lockgate-attempts"), Some("1"), "{context}");
        assert_eq!(answer.body().await.expect("a body"), body.to_string(), "{context}");
        assert_eq!(called, 0, "{context}");
        assert_standing(&scene.backend("b0"), After::Untouched, &context);
        assert_eq!(scene.only_receipt().await.receipt.status, status, "{context}");
    }
}

#[tokio::test(start_paused = true)]
async fn p02_a_model_that_the_only_backend_lacks_is_asked_for_once() {
    let provider = ScriptedProvider::start().await;
    let missing = json!({"error": {"message": "The model does not exist", "code": "model_not_found"}});
    provider.otherwise(Behaviour::json(404, &missing));
    let scene = Plan::before(&[&provider]).start().await;
    let mut answer = scene.client().post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json().await.expect("JSON"), missing);
    assert_eq!(provider.count().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn p02_a_lone_backend_is_tried_again_up_to_the_limit() {
    let provider = ScriptedProvider::start().await;
    provider.then(Behaviour::error(500, "no")).then(Behaviour::error(503, "no"));
    let scene = Plan::before(&[&provider]).start().await;
    let mut answer = scene.client().post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.header("x-lockgate-attempts")), (200, Some("3")));
    assert_whole(&answer.body().await.expect("a body"), "whole");
    provider.otherwise(Behaviour::error(500, "no"));
    let mut answer = scene.client().post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.header("x-lockgate-attempts")), (502, Some("5")));
    assert_eq!(answer.json().await.expect("JSON")["error"]["code"], "upstream_error");
    assert_eq!(provider.count().accepted, 8);
}
