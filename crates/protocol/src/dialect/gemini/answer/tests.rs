//! Whole answers through both halves; streams have their own tests.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::conversation::request::{Reasoning, Request};
use crate::dialect::Dialect;

fn plan(shown: Option<&str>) -> AnswerPlan {
    let reasoning = Reasoning { shown: shown.map(str::to_owned), ..Reasoning::default() };
    AnswerPlan {
        model: "alias".into(),
        id: "req-1".into(),
        created: 0,
        request: Arc::new(Request { reasoning: Some(reasoning), ..Request::default() }),
    }
}

fn rewrite(body: &Value) -> Value {
    let answer = decode(&body.to_string()).expect("a test's answer is one");
    serde_json::from_slice(&encode(&answer, &plan(Some("auto")))).expect("what is written is JSON")
}

fn answer(parts: Value, reason: &str) -> Value {
    json!({
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": 0}],
        "modelVersion": "alias",
        "responseId": "r1",
    })
}

fn unchanged(body: &Value) {
    assert_eq!(&rewrite(body), body);
}

#[test]
fn an_answer_goes_through() {
    unchanged(&answer(json!([{"text": "hello"}]), "STOP"));
    unchanged(&answer(json!([{"text": "hello"}]), "MAX_TOKENS"));
    unchanged(&answer(json!([{"text": ""}]), "SAFETY"));
    unchanged(&answer(
        json!([
            {"text": "hm", "thought": true, "thoughtSignature": "QUJD"},
            {"text": "so", "thought": true},
            {"functionCall": {"id": "c", "name": "f", "args": {"a": 1.10}}, "thoughtSignature": "REVG"},
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
        ]),
        "STOP",
    ));
    let mut full = answer(json!([{"text": "Größe"}]), "STOP");
    full["usageMetadata"] = json!({
        "promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2, "totalTokenCount": 14,
    });
    full["candidates"][0]["groundingMetadata"] = json!({
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 4, "text": "Grö"}, "groundingChunkIndices": [0]}],
    });
    unchanged(&full);
}

#[test]
fn a_signature_on_text_is_kept_behind_it() {
    assert_eq!(
        rewrite(&answer(json!([{"text": "a", "thoughtSignature": "QUJD"}]), "STOP")),
        answer(json!([{"text": "a"}, {"text": "", "thoughtSignature": "QUJD"}]), "STOP")
    );
}

#[test]
fn a_prompt_that_was_blocked_has_an_empty_answer() {
    let blocked = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "responseId": "r1"});
    assert_eq!(rewrite(&blocked), answer(json!([{"text": ""}]), "SAFETY"));
}

#[test]
fn calls_without_ids_are_given_some() {
    let ids = |id: &str| -> Vec<String> {
        let call = json!({"functionCall": {"name": "f", "args": {}}});
        let mut body = answer(json!([call, call]), "STOP");
        body["responseId"] = id.into();
        let answer = decode(&body.to_string()).expect("it is an answer");
        assert_eq!(answer.finish, Finish::ToolCalls);
        answer
            .parts
            .into_iter()
            .map(|part| match part.content {
                Content::ToolCall(call) => call.id,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(ids("kP-3_a"), ["call_kP-3_a_0", "call_kP-3_a_1"]);
    let digested = ids("");
    assert!(digested[0].starts_with("call_") && digested[0] != digested[1], "{digested:?}");
    assert_eq!(ids("no id: it has \"letters\""), digested);
}

fn fails(body: &str, kind: FailureKind) {
    let failure = decode(body).expect_err("it is no answer");
    assert_eq!(failure.kind, kind, "{body}: {failure:?}");
}

#[test]
fn what_is_no_answer_fails() {
    fails("", FailureKind::Truncated);
    fails("<html>", FailureKind::Malformed);
    fails("{}", FailureKind::Malformed);
    fails(r#"{"candidates":[]}"#, FailureKind::Malformed);
    fails(r#"{"candidates":[{"content":{"parts":[{"text":"a"#, FailureKind::Truncated);
    fails(r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#, FailureKind::RateLimited);
    fails(r#"[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#, FailureKind::Unavailable);
    fails(r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#, FailureKind::ErrorAnswer);
}

#[test]
fn only_good_reasons_make_a_good_end() {
    for (reason, expected) in [
        ("STOP", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::ContentFilter),
        ("RECITATION", Finish::ContentFilter),
        ("OTHER", Finish::ContentFilter),
        ("SOMETHING_NEW", Finish::ContentFilter),
    ] {
        let body = answer(json!([{"text": "a"}]), reason).to_string();
        assert_eq!(decode(&body).expect("it is an answer").finish, expected, "{reason}");
    }
}

#[test]
fn thoughts_are_shown_to_who_asked_and_seals_to_everybody() {
    let sealed = |kind| {
        let (dialect, value) = (Dialect::AnthropicMessages, "s".to_owned());
        Some(Seal { dialect, kind, value, id: None, maker: None })
    };
    let written = |shown: Option<&str>, seal: Option<Seal>| -> Value {
        let thought = Thinking { text: "hm".to_owned(), is_summary: true, seal, id: None };
        let parts = vec![Part::new(Content::Thinking(thought)), Part::new(Content::Refusal("no".to_owned()))];
        let answer = Answer { parts, finish: Finish::Refusal, ..Answer::default() };
        let body: Value = serde_json::from_slice(&encode(&answer, &plan(shown))).expect("it is JSON");
        body["candidates"][0]["content"]["parts"].clone()
    };
    let (signature, encrypted) = (sealed(SealKind::Signature), sealed(SealKind::Encrypted));
    let shown = |seal: &Option<Seal>| seal::shown(seal.as_ref().expect("there is one"));
    let (no, hm) = (json!({"text": "no"}), json!({"text": "hm", "thought": true}));
    assert_eq!(written(Some("auto"), None), json!([hm, no]));
    assert_eq!(written(None, None), json!([no]));
    assert_eq!(written(Some("none"), None), json!([no]));
    assert_eq!(
        written(None, signature.clone()),
        json!([{"text": "hm", "thought": true, "thoughtSignature": shown(&signature)}, no])
    );
    assert_eq!(
        written(None, encrypted.clone()),
        json!([{"text": "", "thoughtSignature": shown(&encrypted)}, no])
    );
}
