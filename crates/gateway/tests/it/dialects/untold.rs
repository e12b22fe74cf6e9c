//! What an answer has and its client's dialect has no word for: it is named, and never silently left out.

use protocol::Dialect;
use serde_json::json;
use testkit::{Behaviour, ScriptedProvider};

use super::crossing::{clients, stage, text_of};

/// An answer of Gemini's with a picture in it.
fn pictured() -> serde_json::Value {
    let parts = json!([{"text": "Look: "}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]);
    json!({"responseId": "r", "modelVersion": "m",
        "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": parts}}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}})
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_cannot_be_told_is_named() {
    for client in clients() {
        let is_lost = client.dialect == Dialect::AnthropicMessages;
        let context = client.dialect;
        let provider = ScriptedProvider::start().await;
        let scene = stage(&[&provider], Dialect::Gemini).await;
        provider.otherwise(Behaviour::json(200, &pictured()));
        let mut answer = client.ask(&scene, false).await;
        assert_eq!(answer.header("x-lockgate-dropped"), is_lost.then_some("answer.image"), "{context}");
        let body = answer.json().await.expect("JSON");
        assert_eq!(body.pointer(client.text), Some(&json!("Look: ")), "{context}: {body}");
        assert_eq!(body.to_string().contains("aGk="), !is_lost, "{context}: {body}");
        provider.otherwise(Behaviour::replay([format!("data: {}\n\n", pictured())]));
        let stream = client.ask(&scene, true).await.body().await.expect("a whole stream");
        assert_eq!(text_of(&client, &stream), "Look: ", "{context}");
        let stream = String::from_utf8_lossy(&stream);
        let is_named = stream.starts_with(": x-lockgate-dropped: answer.image\n\n");
        assert_eq!((is_named, stream.contains("aGk=")), (is_lost, !is_lost), "{context}: {stream}");
        let counted = format!("lockgate_answers_untold_total{{dialect=\"{}\"}} 2", client.dialect);
        assert_eq!(scene.metrics().contains(&counted), is_lost, "{context}: {}", scene.metrics());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_request_lost_is_named_before_what_its_answer_did() {
    let provider = ScriptedProvider::start().await;
    let scene = stage(&[&provider], Dialect::Gemini).await;
    provider.otherwise(Behaviour::json(200, &pictured()));
    let body = json!({"model": crate::scene::MODEL, "max_tokens": 9, "container": "c",
        "messages": [{"role": "user", "content": "x"}]});
    let client = scene.client().with_header("x-lockgate-strict", "0");
    let answer = client.post("/v1/messages", &body).await.expect("an answer");
    assert_eq!(answer.header("x-lockgate-dropped"), Some("container,answer.image"));
}
