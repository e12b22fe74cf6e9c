//! Whole answers as servers write them, and as clients read them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{decode, encode};
use crate::conversation::answer::AnswerPlan;
use crate::conversation::request::Request;
use crate::failure::FailureKind;

/// Reads a message, writes it again for a client, and compares.
#[track_caller]
fn check(message: &Value, reason: Option<&str>, expected: &Value, expected_reason: &str) {
    let body = json!({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": reason}]});
    let answer = decode(&body.to_string()).unwrap();
    let plan =
        AnswerPlan { model: "m".into(), id: "r".into(), created: 1, request: Arc::new(Request::default()) };
    let written: Value = serde_json::from_slice(&encode(&answer, &plan)).unwrap();
    let mut whole = json!({"role": "assistant", "content": null, "refusal": null, "annotations": []});
    for (name, value) in expected.as_object().unwrap() {
        whole[name] = value.clone();
    }
    assert_eq!(
        written,
        json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "message": whole, "logprobs": null, "finish_reason": expected_reason}]})
    );
}

#[test]
fn answers_keep_what_they_say() {
    check(&json!({"content": "a"}), Some("stop"), &json!({"content": "a"}), "stop");
    check(&json!({"content": null}), None, &json!({}), "stop");
    check(
        &json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        Some(""),
        &json!({"content": "ab"}),
        "stop",
    );
    check(&json!({"refusal": "No."}), Some("stop"), &json!({"refusal": "No."}), "stop");
    check(&json!({"content": "a"}), Some("content_filter"), &json!({"content": "a"}), "content_filter");
    let calls = json!({"tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"},
            "extra_content": {"google": {"thought_signature": "S"}}},
        {"id": "b", "type": "custom", "custom": {"name": "g", "input": "in"}},
    ]});
    check(&calls, Some("stop"), &calls, "tool_calls");
    // The same id twice is two calls, since each entry is whole.
    let twice = json!({"tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}},
        {"id": "a", "type": "function", "function": {"name": "g"}},
    ]});
    let expected = json!({"tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "a", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]});
    check(&twice, Some("tool_calls"), &expected, "tool_calls");
}

#[test]
fn a_custom_tool_is_called_as_one_by_whoever_knows_functions_only() {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "custom", "custom": {"name": "f"}}]});
    let request = crate::decode_request(crate::Dialect::OpenAiChat, body.to_string().as_bytes()).unwrap();
    let plan =
        AnswerPlan { model: "m".into(), id: "r".into(), created: 1, request: Arc::new(request.unwrap()) };
    let call =
        json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"input\":\"a b\"}"}});
    let body = json!({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    let written: Value = serde_json::from_slice(&encode(&decode(&body.to_string()).unwrap(), &plan)).unwrap();
    assert_eq!(
        written["choices"][0]["message"]["tool_calls"],
        json!([{"id": "a", "type": "custom", "custom": {"name": "f", "input": "a b"}}])
    );
}

#[test]
fn errors_in_disguise_are_failures() {
    for (body, kind) in [
        (r#"{"error":{"message":"slow down","code":429}}"#, FailureKind::RateLimited),
        (r#"[{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}]"#, FailureKind::Unavailable),
        (r#"{"choices":[]}"#, FailureKind::Malformed),
        ("{}", FailureKind::Malformed),
        ("[]", FailureKind::Malformed),
        ("", FailureKind::Malformed),
        ("<html>", FailureKind::Malformed),
        (r#"{"choices":[{"message":{"content":"a"#, FailureKind::Truncated),
        (r#"{"choices":[{"message":{},"finish_reason":"error"}]}"#, FailureKind::ErrorAnswer),
    ] {
        assert_eq!(decode(body).unwrap_err().kind, kind, "{body}");
    }
}
