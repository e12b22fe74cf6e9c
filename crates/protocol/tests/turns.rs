//! Conversations of several turns between the dialects: what a provider wants back must come back to
//! it, whichever dialect the client keeps it in; how one turn is written is tested beside the code.

use std::sync::Arc;

use protocol::conversation::answer::AnswerPlan;
use protocol::conversation::request::Request;
use protocol::{
    Dialect, Manner, Target, decode_answer, decode_request, encode_answer, encode_request, loss_paths,
};
use serde_json::{Value, json};

const OTHERS: [Dialect; 3] = [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::AnthropicMessages];

/// What an upstream of `from` answers, as a client of `to` reads it.
fn answer(from: Dialect, body: &Value, to: Dialect) -> Value {
    let answer = decode_answer(from, body.to_string().as_bytes()).expect("it is an answer");
    let request = Arc::new(Request::default());
    let plan = AnswerPlan { model: "alias".into(), id: "req-1".into(), created: 1, request };
    let written = encode_answer(to, &answer, &plan).expect("the dialect converses");
    serde_json::from_slice(&written).expect("an answer is JSON")
}

/// What a client of `from` asks, as an upstream of `to` reads it, and what was lost.
fn request(from: Dialect, body: &Value, to: Dialect, model: &str) -> (Value, Vec<String>) {
    let request = decode_request(from, body.to_string().as_bytes())
        .expect("the dialect converses")
        .expect("it is a request");
    let target = Target { model, max_output_tokens: 100, manner: Manner::default() };
    let encoded = encode_request(to, &request, &target).expect("the dialect converses");
    let lost = loss_paths(from, &request, &encoded.losses);
    (serde_json::from_slice(&encoded.body).expect("a request is JSON"), lost)
}

/// The next request of a client who was answered with `answer` and has the result of each call.
fn follow_up(dialect: Dialect, answer: &Value) -> Value {
    match dialect {
        Dialect::OpenAiChat => {
            let said = &answer["choices"][0]["message"];
            let mut messages = vec![json!({"role": "user", "content": "go"}), said.clone()];
            for call in said["tool_calls"].as_array().into_iter().flatten() {
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "done"}));
            }
            json!({"model": "m", "messages": messages})
        }
        Dialect::AnthropicMessages => {
            let said = answer["content"].as_array().expect("it has blocks");
            let calls = said.iter().filter(|block| block["type"] == "tool_use");
            let results = calls
                .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "done"}));
            json!({"model": "m", "max_tokens": 9, "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": said},
                {"role": "user", "content": results.collect::<Vec<_>>()},
            ]})
        }
        Dialect::Gemini => {
            let said = &answer["candidates"][0]["content"];
            let calls =
                said["parts"].as_array().expect("it has parts").iter().map(|part| &part["functionCall"]);
            let results = calls.filter(|call| call.is_object()).map(|call| {
                json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": "done"}}})
            });
            json!({"contents": [
                {"role": "user", "parts": [{"text": "go"}]},
                said,
                {"role": "user", "parts": results.collect::<Vec<_>>()},
            ]})
        }
        Dialect::OpenAiResponses => {
            let said = answer["output"].as_array().expect("it has items");
            let calls = said.iter().filter(|item| item["type"] == "function_call");
            let results = calls.map(
                |call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "done"}),
            );
            let begun = [json!({"role": "user", "content": "go"})];
            let input: Vec<Value> = begun.into_iter().chain(said.iter().cloned()).chain(results).collect();
            json!({"model": "m", "input": input})
        }
        Dialect::OpenAiCompletions | Dialect::OpenAiEmbeddings | Dialect::OpenAiRaw | Dialect::AgentRpc => {
            panic!("no follow-up in {dialect}")
        }
    }
}

#[test]
fn googles_signatures_come_back_to_it_through_every_client() {
    let parts = json!([
        {"text": "hm", "thought": true, "thoughtSignature": "R0hJ"},
        {"text": "I look.", "thoughtSignature": "QUJD"},
        {"functionCall": {"id": "c1", "name": "f", "args": {"city": "Köln"}}, "thoughtSignature": "REVG"},
        {"functionCall": {"id": "c2", "name": "g", "args": {}}},
    ]);
    let body = json!({
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}],
        "responseId": "r1", "modelVersion": "m",
    });
    for client in OTHERS {
        let shown = answer(Dialect::Gemini, &body, client);
        let (asked, lost) = request(client, &follow_up(client, &shown), Dialect::Gemini, "gemini-3.8-flash");
        let contents = asked["contents"].as_array().expect("there are some");
        assert_eq!(contents.len(), 3, "{client}: {asked}");
        let said = contents[1]["parts"].as_array().expect("there are some");
        let calls: Vec<&Value> = said.iter().filter(|part| part["functionCall"].is_object()).collect();
        let signatures: Vec<&Value> = calls.iter().map(|call| &call["thoughtSignature"]).collect();
        assert_eq!(signatures, [&json!("REVG"), &Value::Null], "{client}: {asked}");
        assert!(said.iter().any(|part| part["thoughtSignature"] == "QUJD"), "{client}: {asked}");
        assert!(said.iter().any(|part| part["text"] == "I look."), "{client}: {asked}");
        assert!(
            said.iter().any(|part| part["text"] == "hm" && part["thoughtSignature"] == "R0hJ"),
            "{client}: {asked}"
        );
        let results = contents[2]["parts"].as_array().expect("there are some");
        let named: Vec<&Value> = results.iter().map(|part| &part["functionResponse"]["name"]).collect();
        assert_eq!(named, ["f", "g"], "{client}: {asked}");
        assert_eq!(results[0]["functionResponse"]["response"], json!({"output": "done"}));
        assert!(lost.is_empty(), "{client}: {lost:?}");
    }
}

#[test]
fn anthropics_signatures_come_back_to_it_through_every_client() {
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "EqQB+/=="},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Köln"}},
    ]);
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2},
    });
    for client in [Dialect::Gemini, Dialect::OpenAiChat, Dialect::OpenAiResponses] {
        let shown = answer(Dialect::AnthropicMessages, &body, client);
        let next = follow_up(client, &shown);
        let (asked, lost) = request(client, &next, Dialect::AnthropicMessages, "claude");
        assert_eq!(asked["messages"][1]["content"], content, "{client}: {asked}");
        assert_eq!(asked["messages"][2]["content"][0]["tool_use_id"], "toolu_1", "{client}");
        assert!(lost.is_empty(), "{client}: {lost:?}");
    }
}

#[test]
fn the_seals_of_openai_come_back_to_it_through_anthropics_clients() {
    let client = Dialect::AnthropicMessages;
    let output = json!([
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA.b/c+="},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"},
    ]);
    let body = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": output,
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}});
    let shown = answer(Dialect::OpenAiResponses, &body, client);
    let (asked, lost) = request(client, &follow_up(client, &shown), Dialect::OpenAiResponses, "gpt");
    assert_eq!(asked["input"][1]["encrypted_content"], "gAAA.b/c+=", "{asked}");
    assert_eq!(asked["input"][1]["id"], "rs_1", "{asked}");
    assert_eq!(asked["input"][1]["summary"][0]["text"], "hm", "{asked}");
    assert_eq!(asked["input"][2]["call_id"], "call_1", "{asked}");
    assert!(lost.is_empty(), "{lost:?}");

    let message = json!({"role": "assistant", "content": "hi", "reasoning_content": "hm"});
    let body = json!({"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    let shown = answer(Dialect::OpenAiChat, &body, client);
    let (asked, lost) = request(client, &follow_up(client, &shown), Dialect::OpenAiChat, "deepseek");
    assert_eq!(asked["messages"][1]["reasoning_content"], "hm", "{asked}");
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn encrypted_thoughts_come_back_through_googles_clients() {
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA+/="});
    let body = json!({
        "id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [
            thought,
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}",
             "status": "completed"},
        ],
    });
    let shown = answer(Dialect::OpenAiResponses, &body, Dialect::Gemini);
    let next = follow_up(Dialect::Gemini, &shown);
    let (asked, lost) = request(Dialect::Gemini, &next, Dialect::OpenAiResponses, "gpt");
    let input = asked["input"].as_array().expect("there are items");
    let position = |kind: &str| input.iter().position(|item| item["type"] == kind);
    let (Some(thought_at), Some(call_at)) = (position("reasoning"), position("function_call")) else {
        panic!("{asked}");
    };
    assert!(thought_at < call_at, "{asked}");
    assert_eq!(input[thought_at]["id"], "rs_1");
    assert_eq!(input[thought_at]["encrypted_content"], "gAAAA+/=");
    assert_eq!(input[call_at]["call_id"], "c1");
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn a_chat_request_asks_google_for_the_same() {
    let (asked, lost) = request(
        Dialect::OpenAiChat,
        &json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [
                    {"type": "text", "text": "what is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.webp"}},
                ]},
            ],
            "tools": [{"type": "function", "function": {
                "name": "f", "parameters": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
            }}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "max_completion_tokens": 50, "temperature": 0.1, "seed": 3, "stop": "x", "n": 2,
            "reasoning_effort": "low", "logit_bias": {"1": 2}, "user": "u",
        }),
        Dialect::Gemini,
        "gemini-3.8-flash",
    );
    assert_eq!(
        asked,
        json!({
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [{"role": "user", "parts": [
                {"text": "what is it?"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
                {"fileData": {"mimeType": "image/webp", "fileUri": "https://example.com/a.webp"}},
            ]}],
            "tools": [{"functionDeclarations": [{
                "name": "f",
                "parametersJsonSchema": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
            }]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {
                "maxOutputTokens": 50, "temperature": 0.1, "seed": 3, "stopSequences": ["x"],
                "thinkingConfig": {"thinkingLevel": "low"},
            },
        })
    );
    assert_eq!(lost, ["logit_bias", "n", "user"]);
}

#[test]
fn a_tool_that_takes_text_is_offered_as_a_function() {
    let custom = json!({"type": "custom", "custom": {"name": "patch", "description": "d"}});
    let (asked, lost) = request(
        Dialect::OpenAiChat,
        &json!({
            "model": "m",
            "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "{\"a\":1}"}},
                ]},
                {"role": "tool", "tool_call_id": "c", "content": "{\"ok\": true}"},
            ],
            "tools": [custom],
        }),
        Dialect::Gemini,
        "gemini-2.5-flash",
    );
    assert_eq!(
        asked,
        json!({
            "contents": [
                {"role": "user", "parts": [{"text": "go"}]},
                {"role": "model", "parts": [
                    {"functionCall": {"id": "c", "name": "patch", "args": {"input": "{\"a\":1}"}}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"id": "c", "name": "patch", "response": {"ok": true}}},
                ]},
            ],
            "tools": [{"functionDeclarations": [{
                "name": "patch", "description": "d",
                "parameters": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
            }]}],
        })
    );
    assert!(lost.is_empty(), "{lost:?}");
}
