//! Whole answers there and back; never a stream.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::conversation::part::{Citation, Native, Takes, Text, Thinking, ToolCall};
use crate::conversation::request::Request;
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;

fn plan(body: &Value) -> AnswerPlan {
    let request = crate::decode_request(Dialect::OpenAiResponses, body.to_string().as_bytes());
    let request: Request = request.unwrap().unwrap();
    AnswerPlan { model: "m".into(), id: "q".into(), created: 7, request: Arc::new(request) }
}

#[test]
fn an_answer_is_written_whole_and_read_back() {
    let seal = Seal {
        dialect: Dialect::AnthropicMessages,
        kind: SealKind::Signature,
        value: "s".to_owned(),
        id: None,
        maker: None,
    };
    let cited =
        Citation { url: "u".to_owned(), title: Some("t".to_owned()), quote: None, range: Some((0, 2)) };
    let call = |takes| {
        let name = "f".to_owned();
        Content::ToolCall(ToolCall {
            id: "c".to_owned(),
            name,
            arguments: "{}".to_owned(),
            takes,
            seal: None,
        })
    };
    let contents = vec![
        Content::Thinking(Thinking {
            text: "why".to_owned(),
            is_summary: true,
            seal: Some(seal),
            id: Some("rs_q_0".to_owned()),
        }),
        Content::Text(Text { text: "hi".to_owned(), citations: vec![cited] }),
        Content::Refusal("no".to_owned()),
        call(Takes::Object),
        call(Takes::Text),
        Content::Native(Native {
            dialect: Dialect::OpenAiResponses,
            json: crate::dialect::object::json(r#"{"type":"web_search_call","id":"ws_1"}"#),
        }),
    ];
    let answer = Answer {
        id: "resp_q".to_owned(),
        model: "m".to_owned(),
        parts: contents.into_iter().map(Part::new).collect(),
        finish: Finish::ToolCalls,
        usage: Some(Usage { input: 1, cached_input: 2, output: 4, reasoning: 3, ..Usage::default() }),
        service_tier: Some("default".to_owned()),
    };
    let request = json!({"input": "", "instructions": "i", "temperature": 0.1, "store": false, "metadata": {"a": "b"},
        "tools": [{"type": "function", "name": "f", "parameters": {}}], "tool_choice": "required"});
    let body = encode(&answer, &plan(&request));
    assert_eq!(decode(std::str::from_utf8(&body).unwrap()).unwrap(), answer);
    let body: Value = serde_json::from_slice(&body).unwrap();
    for (name, value) in [
        ("instructions", json!("i")),
        ("temperature", json!(0.1)),
        ("store", json!(false)),
        ("metadata", json!({"a": "b"})),
        ("tools", request["tools"].clone()),
        ("tool_choice", json!("required")),
        ("parallel_tool_calls", json!(true)),
        ("status", json!("completed")),
        ("error", json!(null)),
        ("created_at", json!(7)),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert_eq!(body["usage"]["input_tokens_details"]["cached_tokens"], 2);
    assert_eq!(body["output"][5], json!({"type": "web_search_call", "id": "ws_1"}));
}

#[test]
fn why_an_answer_ends_is_read_off_it() {
    let text =
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]});
    let refusal =
        json!({"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "a"}]});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}});
    let cut = |reason: &str| json!({"status": "incomplete", "incomplete_details": {"reason": reason}});
    for (item, more, finish) in [
        (&text, json!({"status": "completed"}), Finish::Stop),
        (&text, json!({}), Finish::Stop),
        (&call, json!({"status": "completed"}), Finish::ToolCalls),
        (&refusal, json!({"status": "completed"}), Finish::Refusal),
        (&call, cut("max_output_tokens"), Finish::Length),
        (&text, cut("content_filter"), Finish::ContentFilter),
        (&text, json!({"status": "incomplete"}), Finish::Length),
    ] {
        let mut body = more;
        body["output"] = json!([item]);
        assert_eq!(decode(&body.to_string()).unwrap().finish, finish, "{body}");
    }
}

#[test]
fn what_is_no_answer_is_a_failure() {
    for (body, kind) in [
        (json!({"error": {"code": "rate_limit_exceeded", "message": "m"}}), FailureKind::RateLimited),
        (json!({"status": "failed", "output": []}), FailureKind::ErrorAnswer),
        (json!({"choices": []}), FailureKind::Malformed),
        (json!({"output": 7}), FailureKind::Malformed),
        (json!({"output": [{"type": "function_call"}]}), FailureKind::Malformed),
        (json!([]), FailureKind::Malformed),
    ] {
        assert_eq!(decode(&body.to_string()).unwrap_err().kind, kind, "{body}");
    }
}
