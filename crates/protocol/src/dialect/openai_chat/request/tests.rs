//! Chat requests, read and written again; never another dialect's.

use serde_json::{Value, json};

use super::decode::decode;
use super::encode::encode;
use crate::conversation::part::{Content, Source, Takes};
use crate::conversation::request::{Amount, Request, Role};
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::tool::ToolChoice;
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::translate::{Manner, Target, loss_paths};

const TARGET: Target<'_> = Target { model: "m", max_output_tokens: 1_000, manner: Manner::ORIGINAL };

const OPEN_ROUTER: Target<'_> = Target {
    manner: Manner {
        takes_max_tokens: true,
        lacks_developer: true,
        takes_cache_control: true,
        ..Manner::ORIGINAL
    },
    ..TARGET
};

fn read(body: &Value) -> Request {
    decode(&body.to_string()).unwrap()
}

/// A request with one message and `fields`.
fn asking(fields: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi."}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Reads a request, writes it, and compares it and what was lost on both ways.
#[track_caller]
fn check(target: &Target<'_>, body: &Value, expected: &Value, lost: &[&str]) {
    let request = read(body);
    let encoded = encode(&request, target);
    let mut written: Value = serde_json::from_slice(&encoded.body).unwrap();
    for (name, usual) in [("model", json!("m")), ("stream", json!(false))] {
        if written[name] == usual && expected.get(name).is_none() {
            written.as_object_mut().unwrap().remove(name);
        }
    }
    assert_eq!(written, *expected, "{written:#}");
    assert_eq!(loss_paths(Dialect::OpenAiChat, &request, &encoded.losses), lost);
}

#[track_caller]
fn check_messages(messages: &Value, expected: &Value, lost: &[&str]) {
    check(&TARGET, &json!({"messages": messages}), &json!({"messages": expected}), lost);
}

/// Messages that come out as they went in.
#[track_caller]
fn check_kept(messages: &Value) {
    check_messages(messages, messages, &[]);
}

#[test]
fn every_role_and_form_of_content_is_understood() {
    check_kept(&json!([
        {"role": "system", "content": "a"},
        {"role": "developer", "content": "b"},
        {"role": "user", "name": "Ada", "content": "c"},
        {"role": "assistant", "content": "d"},
        {"role": "user", "content": [{"type": "text", "text": "e"}, {"type": "text", "text": "f"}]},
        {"role": "assistant", "content": null, "refusal": "No."},
        {"role": "user", "content": [
            {"type": "text", "text": "g"},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ]},
    ]));
    check_messages(
        &json!([
            {"role": "user", "content": null},
            {"role": "user", "content": ""},
            {"role": "user", "content": ["a", {"type": "input_text", "text": "b"}, {"type": "text", "text": ""}]},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "refusal", "refusal": "d"}]},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": [{"type": "image_url", "image_url": "https://a.example/b.png"}]},
        ]),
        &json!([
            {"role": "user", "content": ""},
            {"role": "user", "content": ""},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c", "refusal": "d"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]},
        ]),
        &[],
    );
}

#[test]
fn calls_and_results_keep_their_places() {
    check_kept(&json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.0}"}},
            {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free text"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "d"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "e"}, {"type": "text", "text": "f"}]},
        {"role": "user", "content": "g"},
    ]));
    // Results come first, pictures in them go to the user, ids and names that are missing are found.
    check_messages(
        &json!([
            {"role": "assistant", "tool_calls": [
                {"function": {"name": "f", "arguments": {"x": 1}}},
                {"id": "", "type": "function", "function": {"name": "g"}},
            ]},
            {"role": "tool", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]},
            {"role": "user", "content": "h"},
            {"role": "tool", "content": "i"},
            {"role": "assistant", "content": "j", "function_call": {"name": "k", "arguments": "{}"}},
            {"role": "function", "name": "k", "content": "l"},
        ]),
        &json!([
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_0_0", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "call_0_1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_0_0", "content": ""},
            {"role": "tool", "tool_call_id": "call_0_1", "content": "i"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]},
            {"role": "user", "content": "h"},
            {"role": "assistant", "content": "j", "tool_calls": [
                {"id": "call_4", "type": "function", "function": {"name": "k", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_4", "content": "l"},
        ]),
        &[],
    );
    let request = read(&json!({"messages": [
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "g", "input": ""}}]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]}));
    let Content::ToolResult(result) = &request.turns[1].parts[0].content else { panic!("{request:?}") };
    assert_eq!(
        (result.name.as_deref(), result.takes, request.turns[1].role),
        (Some("g"), Takes::Text, Role::User)
    );
}

#[test]
fn the_upstreams_own_thoughts_go_back_as_they_came() {
    check_kept(&json!([{"role": "assistant", "content": "a", "reasoning_content": "Hm."}]));
    check_kept(&json!([{"role": "assistant", "content": "a", "reasoning": "Hm."}]));
    check_kept(&json!([{"role": "assistant", "content": "a", "reasoning_details": [
        {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "xyz", "id": "rs_1", "index": 1},
        {"type": "reasoning.summary", "summary": "Sum.", "index": 2},
    ]}]));
    // Pieces of one thought are put together, and the same words are not sent twice.
    check_messages(
        &json!([{"role": "assistant", "content": "a", "reasoning_content": "Hm. Well.", "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm.", "index": 0},
            {"type": "reasoning.text", "text": " Well.", "index": 0},
            {"type": "reasoning.text", "signature": "sig", "index": 0},
            {"type": "reasoning.server_tool_call"},
        ]}]),
        &json!([{"role": "assistant", "content": "a", "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm. Well.", "signature": "sig", "index": 0},
        ]}]),
        &["messages[0].reasoning_details[3]"],
    );
}

#[test]
fn a_chat_client_keeps_the_seals_of_others() {
    let seal = Seal {
        dialect: Dialect::AnthropicMessages,
        kind: SealKind::Signature,
        value: "EqQ.B/+=".to_owned(),
        id: None,
        maker: None,
    };
    let call = Seal { dialect: Dialect::Gemini, value: "Cs==".to_owned(), ..seal.clone() };
    let body = json!({"messages": [{"role": "assistant",
        "reasoning_content": "Hm.",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm.", "index": 0},
            {"type": "reasoning.text", "signature": seal.shown_in(Dialect::OpenAiChat), "index": 0},
        ],
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": call.shown_in(Dialect::OpenAiChat)}}}],
    }]});
    let request = read(&body);
    let [thought, called] = request.turns[0].parts.as_slice() else { panic!("{request:?}") };
    let Content::Thinking(thinking) = &thought.content else { panic!("{thought:?}") };
    assert_eq!((thinking.text.as_str(), &thinking.seal), ("Hm.", &Some(seal)));
    let Content::ToolCall(found) = &called.content else { panic!("{called:?}") };
    assert_eq!(found.seal, Some(call));
    // No server of this dialect has a use for either.
    check(
        &TARGET,
        &body,
        &json!({"messages": [{"role": "assistant", "content": null,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]}),
        &[
            "messages[0].reasoning_details[0]",
            "messages[0].tool_calls[0].extra_content.google.thought_signature",
        ],
    );
}

#[test]
fn tools_and_choices_of_every_form() {
    let function = json!({"type": "function", "function": {
        "name": "f", "description": "d", "parameters": {"z": 1, "a": {"b": 1.50}}, "strict": true}});
    let custom = json!({"type": "custom", "custom": {"name": "g", "format":
        {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}}});
    let native = json!({"type": "web_search", "depth": 2});
    let tools = json!([function, custom, native]);
    for choice in [
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "function": {"name": "f"}}),
        json!({"type": "custom", "custom": {"name": "g"}}),
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
            {"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}]}}),
    ] {
        let body = asking(&json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": false}));
        let mut expected = body.clone();
        expected.as_object_mut().unwrap().remove("model");
        check(&TARGET, &body, &expected, &[]);
    }
    let legacy = asking(&json!({"functions": [{"name": "f"}], "function_call": {"name": "f"}}));
    let request = read(&legacy);
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".to_owned())));
    let body = asking(&json!({"tool_choice": "required", "parallel_tool_calls": true}));
    check(&TARGET, &body, &json!({"messages": body["messages"]}), &["tool_choice"]);
}

#[test]
fn the_key_order_and_digits_of_schemas_are_kept() {
    let body = r#"{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"z": 1.50,"a":1e2}}}]}"#;
    let encoded = encode(&decode(body).unwrap(), &TARGET);
    let written = str::from_utf8(&encoded.body).unwrap();
    assert!(written.contains(r#""parameters":{"z": 1.50,"a":1e2}"#), "{written}");
}

#[test]
fn wishes_are_carried_or_named() {
    let kept = json!({
        "max_completion_tokens": 7, "temperature": 0.5, "top_p": 1, "seed": 3, "presence_penalty": 0.1,
        "frequency_penalty": -0.1, "logit_bias": {"5": 1}, "stop": ["a", "b"], "reasoning_effort": "high",
        "verbosity": "low", "user": "u", "service_tier": "flex", "prompt_cache_key": "k", "store": true,
        "metadata": {"a": "b"}, "response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "description": "d", "schema": {"type": "object"}, "strict": true}},
    });
    let body = asking(&kept);
    let mut expected = body.clone();
    expected.as_object_mut().unwrap().remove("model");
    check(&TARGET, &body, &expected, &[]);
    let streamed = asking(
        &json!({"stream": true, "stop": "x", "max_tokens": 9, "response_format": {"type": "json_object"}}),
    );
    check(
        &OPEN_ROUTER,
        &streamed,
        &json!({"messages": streamed["messages"], "stream": true, "stream_options": {"include_usage": true},
            "stop": ["x"], "max_tokens": 9, "response_format": {"type": "json_object"}}),
        &[],
    );
    let lost = asking(&json!({
        "top_k": 5, "n": 2, "logprobs": true, "top_logprobs": 3, "audio": {"voice": "x"}, "modalities": ["audio"],
        "prediction": {}, "web_search_options": {}, "x_vendor": 1, "store": false, "metadata": {}, "nothing": null,
        "stream_options": {"include_usage": true, "x": 1}, "response_format": {"type": "odd"},
        "reasoning": {"effort": "none", "x": 2}, "stop": ["1", "2", "3", "4", "5"],
    }));
    check(
        &TARGET,
        &lost,
        &json!({"messages": lost["messages"], "stop": ["1", "2", "3", "4"]}),
        &[
            "audio",
            "logprobs",
            "metadata",
            "modalities[0]",
            "n",
            "prediction",
            "reasoning.x",
            "reasoning_effort",
            "response_format",
            "stop",
            "stream_options.x",
            "top_k",
            "web_search_options",
            "x_vendor",
        ],
    );
}

#[test]
fn thinking_is_asked_for_in_many_ways() {
    for (fields, amount) in [
        (json!({"reasoning_effort": "low"}), Some(Amount::Effort("low".to_owned()))),
        (json!({"reasoning_effort": "none"}), Some(Amount::Effort("none".to_owned()))),
        (json!({"reasoning": {"effort": "high"}}), Some(Amount::Effort("high".to_owned()))),
        (json!({"reasoning": {"max_tokens": 99}}), Some(Amount::Tokens(99))),
        (json!({"reasoning": {"enabled": true}}), Some(Amount::Adaptive)),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 5}}), Some(Amount::Tokens(5))),
        (json!({"thinking": {"type": "disabled"}}), Some(Amount::Off)),
        (json!({"reasoning_effort": null}), None),
    ] {
        let request = read(&asking(&fields));
        assert_eq!(request.reasoning.and_then(|reasoning| reasoning.amount), amount, "{fields}");
    }
}

#[test]
fn tools_that_take_text_are_functions_for_all_but_openai() {
    let call = json!({"id": "c", "type": "custom", "custom": {"name": "patch", "input": "a\nb"}});
    let tool = json!({"name": "patch", "description": "Patches.", "format": {"type": "text"}});
    let body = json!({
        "messages": [{"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "done"}],
        "tools": [{"type": "custom", "custom": tool}],
        "tool_choice": {"type": "custom", "custom": {"name": "patch"}},
    });
    check(&TARGET, &body, &body, &[]);
    let call = json!({"id": "c", "type": "function", "function": {"name": "patch", "arguments": "{\"input\":\"a\\nb\"}"}});
    let schema =
        json!({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]});
    let tool = json!({"name": "patch", "description": "Patches.", "parameters": schema});
    let expected = json!({
        "messages": [{"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "done"}],
        "tools": [{"type": "function", "function": tool}],
        "tool_choice": {"type": "function", "function": {"name": "patch"}},
    });
    check(&OPEN_ROUTER, &body, &expected, &["tools[0].format"]);
}

#[test]
fn cache_marks_go_where_they_are_understood() {
    let marked = json!([
        {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"role": "user", "content": [
            {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "c"}]},
    ]);
    let tools =
        json!([{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}]);
    let body = json!({"messages": marked, "tools": tools});
    check(&OPEN_ROUTER, &body, &body, &[]);
    check(
        &TARGET,
        &body,
        &json!({"messages": [
            {"role": "system", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        ], "tools": [{"type": "function", "function": {"name": "f"}}]}),
        &[
            "messages[0].content[0].cache_control",
            "messages[1].content[0].cache_control",
            "tools[0].cache_control",
        ],
    );
    let developer = json!({"messages": [{"role": "developer", "content": "a"}]});
    check(&OPEN_ROUTER, &developer, &json!({"messages": [{"role": "system", "content": "a"}]}), &[]);
}

#[test]
fn what_is_wrong_is_named() {
    let deep = format!("{{\"messages\":{}", "[".repeat(1_000));
    for (body, param) in [
        (r#"{"messages":[{"role":"user","content":{}}]}"#, Some("messages[0].content")),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":1}]}]}"#,
            Some("messages[0].content[0].text"),
        ),
        (r#"{"messages":[{"role":"king"}]}"#, Some("messages[0].role")),
        (r#"{"messages":[7]}"#, Some("messages[0]")),
        (r#"{"messages":{}}"#, Some("messages")),
        (r#"{"messages":[]}"#, Some("messages")),
        ("{}", Some("messages")),
        (r#"{"messages":[{"role":"user"}],"temperature":"hot"}"#, Some("temperature")),
        (r#"{"messages":[{"role":"user"}],"max_tokens":-1}"#, Some("max_tokens")),
        (r#"{"messages":[{"role":"user"}],"stop":3}"#, Some("stop")),
        (r#"{"messages":[{"role":"user"}],"tools":[{"type":"function"}]}"#, Some("tools[0].function")),
        (
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a"}]}]}"#,
            Some("messages[0].tool_calls[0].function"),
        ),
        ("[]", None),
        ("{", None),
        (deep.as_str(), None),
    ] {
        let error: DecodeError = decode(body).unwrap_err();
        assert_eq!(error.param(), param, "{body}: {error}");
    }
}

#[test]
fn data_urls_are_unpacked() {
    for (url, source) in [
        (
            "data:image/png;base64,AA==",
            Source::Base64 { media_type: "image/png".into(), data: "AA==".into() },
        ),
        (
            "data:image/png;x=y;base64,AA",
            Source::Base64 { media_type: "image/png".into(), data: "AA".into() },
        ),
        ("data:,hello", Source::Url("data:,hello".into())),
        ("https://a.example", Source::Url("https://a.example".into())),
    ] {
        let request = read(&json!({"messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}));
        let Content::Image(image) = &request.turns[0].parts[0].content else { panic!("{request:?}") };
        assert_eq!(image.source, source);
    }
}
