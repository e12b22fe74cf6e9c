//! Requests as clients write them, Codex's among them, and what becomes of each field; never a whole conversation's worth.

use serde_json::{Value, json};

use super::*;
use crate::conversation::loss::Place;
use crate::conversation::part::{
    Cache, Content, Image, Part, Source, Takes, Text, Thinking, ToolCall, ToolResult,
};
use crate::conversation::request::{Amount, Request, Role, Turn};
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::tool::{Function, Tool, ToolChoice, ToolKind};
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::translate::{Manner, Target};

fn read(body: &Value) -> Request {
    decode(&body.to_string()).unwrap()
}

fn written(request: &Request) -> (Value, Vec<String>) {
    let target = Target { model: "native", max_output_tokens: 9, manner: Manner::default() };
    let encoded = encode(request, &target);
    let mut losses: Vec<String> =
        encoded.losses.iter().chain(&request.losses).map(|loss| loss.path(field_path, aspect_path)).collect();
    losses.sort();
    (serde_json::from_slice(&encoded.body).unwrap(), losses)
}

/// Takes a request through the conversation back into this dialect.
#[track_caller]
fn check(body: &Value, fields: &[(&str, Value)], losses: &[&str]) {
    let (back, lost) = written(&read(body));
    for (name, value) in fields {
        assert_eq!(&back[name], value, "{name}");
    }
    assert_eq!(lost, losses);
}

/// What the CLI sends in a session: thoughts, calls, results, tools in namespaces, and no limit.
fn codex() -> Value {
    json!({
        "model": "gpt-5", "instructions": "You are Codex.", "stream": true, "store": false,
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "content": null,
             "encrypted_content": "gAAA"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "On it."}],
             "phase": "commentary"},
            {"type": "function_call", "name": "log", "namespace": "mcp__git", "arguments": "{}", "call_id": "c1"},
            {"type": "custom_tool_call", "status": "completed", "call_id": "c2", "name": "apply_patch",
             "input": "*** Begin"},
            {"type": "function_call_output", "call_id": "c1", "output": "abc"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"}]},
        ],
        "tools": [
            {"type": "function", "name": "shell", "description": "d", "strict": false,
             "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "apply_patch", "description": "p",
             "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
            {"type": "namespace", "name": "mcp__git", "description": "git", "tools": [
                {"type": "function", "name": "log", "strict": false, "parameters": {"type": "object"}}]},
            {"type": "web_search", "external_web_access": true},
        ],
        "tool_choice": "auto", "parallel_tool_calls": true,
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k",
        "text": {"verbosity": "low"}, "client_metadata": {"x": "y"},
    })
}

#[test]
fn codex_is_understood() {
    let request = read(&codex());
    let roles: Vec<(Role, usize)> = request.turns.iter().map(|turn| (turn.role, turn.parts.len())).collect();
    assert_eq!(
        roles,
        [(Role::System, 1), (Role::Developer, 1), (Role::User, 1), (Role::Assistant, 4), (Role::User, 2)]
    );
    let names: Vec<Option<&str>> = request
        .tools
        .iter()
        .map(|tool| crate::dialect::openai_responses::tool::name_in(&tool.kind))
        .collect();
    assert_eq!(names, [Some("shell"), Some("apply_patch"), Some("mcp__git__log"), None]);
    let Content::ToolCall(call) = &request.turns[3].parts[2].content else { panic!("{:?}", request.turns) };
    assert_eq!((call.name.as_str(), call.id.as_str()), ("mcp__git__log", "c1"));
    let Content::ToolResult(result) = &request.turns[4].parts[0].content else {
        panic!("{:?}", request.turns)
    };
    assert_eq!(result.name.as_deref(), Some("mcp__git__log"));
    check(
        &codex(),
        &[
            ("model", json!("native")),
            ("instructions", json!("You are Codex.")),
            ("stream", json!(true)),
            ("store", json!(false)),
            ("include", json!(["reasoning.encrypted_content"])),
            ("reasoning", json!({"effort": "high", "summary": "auto"})),
            ("max_output_tokens", json!(null)),
            ("text", json!({"verbosity": "low"})),
            ("client_metadata", json!({"x": "y"})),
        ],
        &["input[3].phase", "tools[2].description"],
    );
    let (back, _) = written(&request);
    let types: Vec<&str> =
        back["input"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "message",
            "message",
            "reasoning",
            "message",
            "function_call",
            "custom_tool_call",
            "function_call_output",
            "custom_tool_call_output"
        ]
    );
    assert_eq!(back["tools"][3], codex()["tools"][3]);
    assert_eq!(back["input"][7]["output"], codex()["input"][7]["output"]);
    assert_eq!(back["input"][2]["encrypted_content"], "gAAA");
}

#[test]
fn every_field_is_carried_or_named() {
    let schema = json!({"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true});
    check(
        &json!({
            "input": "hi", "max_output_tokens": 5, "temperature": 0.5, "top_p": 1, "user": "u", "truncation": "auto",
            "metadata": {"a": "b"}, "service_tier": "flex", "previous_response_id": "resp_1", "store": true,
            "text": {"format": schema, "extra": 1}, "reasoning": {"effort": "none", "context": "auto"},
            "background": true, "max_tool_calls": 3, "top_logprobs": 2, "prompt": {"id": "p"}, "top_k": 4,
            "include": ["web_search_call.results"], "stream_options": {"include_obfuscation": true}, "nothing": null,
        }),
        &[
            ("max_output_tokens", json!(5)),
            ("temperature", json!(0.5)),
            ("top_p", json!(1)),
            ("user", json!("u")),
            ("metadata", json!({"a": "b"})),
            ("service_tier", json!("flex")),
            ("previous_response_id", json!("resp_1")),
            ("store", json!(true)),
            ("text", json!({"format": schema})),
            ("reasoning", json!({"effort": "none"})),
            ("include", json!(null)),
            // What the conversation has no word for is this dialect's own.
            ("background", json!(true)),
            ("max_tool_calls", json!(3)),
            ("prompt", json!({"id": "p"})),
            ("top_k", json!(4)),
            ("top_logprobs", json!(2)),
            ("truncation", json!("auto")),
        ],
        &["include[0]", "reasoning.context", "stream_options.include_obfuscation", "text.extra"],
    );
    check(
        &json!({"input": "hi", "background": false, "truncation": "disabled", "top_logprobs": 0,
            "stream_options": {"include_obfuscation": false}}),
        &[(
            "input",
            json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]),
        )],
        &[],
    );
}

#[test]
fn every_choice_of_tools_is_carried() {
    let tools = json!([{"type": "function", "name": "f"}, {"type": "custom", "name": "c"},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "i"}]}]);
    for (choice, expected, losses) in [
        (json!("required"), json!("required"), &[][..]),
        (json!({"type": "function", "name": "f"}), json!({"type": "function", "name": "f"}), &[]),
        (json!({"type": "custom", "name": "c"}), json!({"type": "custom", "name": "c"}), &[]),
        (
            json!({"type": "function", "function": {"name": "f"}}),
            json!({"type": "function", "name": "f"}),
            &[],
        ),
        (
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "c"},
                {"type": "namespace", "name": "n"}, {"type": "web_search"}]}),
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "c"},
                {"type": "function", "name": "n__i"}]}),
            &["tool_choice.tools[2]"],
        ),
        (json!({"type": "web_search_preview"}), json!(null), &["tool_choice"]),
        (json!("whatever"), json!(null), &["tool_choice"]),
    ] {
        check(
            &json!({"input": "", "tools": tools, "tool_choice": choice}),
            &[("tool_choice", expected)],
            losses,
        );
    }
}

#[test]
fn content_of_every_kind_is_carried_or_named() {
    let message = |pieces: Value| json!({"input": [{"role": "user", "content": pieces}]});
    for (piece, losses) in [
        (json!({"type": "input_text", "text": "a"}), &[][..]),
        (json!({"type": "input_image", "detail": "low", "image_url": "https://x/y.png"}), &[]),
        (json!({"type": "input_image", "detail": "auto", "file_id": "file_1"}), &[]),
        (
            json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}),
            &[],
        ),
        (json!({"type": "input_file", "file_url": "https://x/y.pdf"}), &[]),
        (json!({"type": "input_file", "file_id": "file_2"}), &[]),
        (json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}), &[]),
    ] {
        let back = json!([{"type": "message", "role": "user", "content": [piece]}]);
        check(&message(json!([piece])), &[("input", back)], losses);
    }
    check(
        &message(json!([
            {"type": "input_hologram"},
            {"type": "input_text", "text": "a", "x": 1, "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "input_file", "filename": "b.pdf", "file_data": "AA", "detail": "high"},
            "bare",
        ])),
        &[],
        &[
            "input[0].content[0]",
            "input[0].content[1].cache_control",
            "input[0].content[1].x",
            "input[0].content[2].detail",
        ],
    );
}

#[test]
fn what_is_no_request_is_refused_with_its_place() {
    for (body, param) in [
        (json!({}), "input"),
        (json!({"input": 7}), "input"),
        (json!({"input": ["x"]}), "input[0]"),
        (json!({"input": [{"role": "tool"}]}), "input[0].role"),
        (json!({"input": [{"role": "user", "content": 7}]}), "input[0].content"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text",
        ),
        (json!({"input": [{"type": "function_call", "name": "f"}]}), "input[0].call_id"),
        (json!({"input": "", "tools": {}}), "tools"),
        (json!({"input": "", "tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"input": "", "temperature": "hot"}), "temperature"),
        (json!({"input": "", "text": {"format": {"type": "json_schema"}}}), "text.format.schema"),
        (json!({"input": "", "instructions": []}), "instructions"),
    ] {
        let error = decode(&body.to_string()).unwrap_err();
        assert_eq!(error.param(), Some(param), "{body}: {error}");
    }
    assert_eq!(decode("[]").unwrap_err(), DecodeError::NotAnObject);
    for deep in ["[".repeat(100_000), format!("{{\"input\":{}", "[".repeat(100_000))] {
        assert_eq!(decode(&deep).unwrap_err().code(), "invalid_json");
    }
}

/// A request as a client of another dialect may have made it.
fn foreign() -> Request {
    let at = |path: &str| Place::new(path);
    let part = |content, path: &str| Part { content, cache: None, at: at(path) };
    let text = |text: &str, path: &str| {
        part(Content::Text(Text { text: text.to_owned(), citations: Vec::new() }), path)
    };
    let seal = |dialect, value: &str| Seal {
        dialect,
        kind: SealKind::Encrypted,
        value: value.to_owned(),
        id: Some("rs_9".to_owned()),
        maker: None,
    };
    let thought = |seal| Content::Thinking(Thinking { text: "t".to_owned(), seal, ..Thinking::default() });
    let call = ToolCall {
        id: "toolu_1".to_owned(),
        name: "f".to_owned(),
        arguments: " ".to_owned(),
        takes: Takes::Object,
        seal: Some(seal(Dialect::Gemini, "g")),
    };
    let image = Content::Image(Image { source: Source::Url("u".to_owned()), detail: None, id: None });
    let result = ToolResult {
        call_id: "toolu_1".to_owned(),
        name: None,
        parts: vec![text("a", ""), text("b", "")],
        is_error: true,
        takes: Takes::Object,
    };
    let turn = |role, parts, path: &str| Turn { role, name: None, parts, at: at(path) };
    let cached = Part { cache: Some(Cache::Usual), ..text("s1", "system[0]") };
    let function = Function { name: "f".to_owned(), description: None, parameters: None, strict: None };
    let mut request = Request {
        turns: vec![
            turn(Role::System, vec![cached, text("s2", "system[1]")], "system"),
            turn(Role::User, vec![text("q", "m0")], "m0"),
            turn(
                Role::Assistant,
                vec![
                    part(thought(Some(seal(Dialect::OpenAiResponses, "gAAA"))), "m1[0]"),
                    part(thought(Some(seal(Dialect::AnthropicMessages, "sig"))), "m1[1]"),
                    text("says", "m1[2]"),
                    part(image, "m1[3]"),
                    part(Content::ToolCall(call), "m1[4]"),
                ],
                "m1",
            ),
            turn(Role::User, vec![part(Content::ToolResult(result), "m2[0]")], "m2"),
        ],
        tools: vec![Tool { kind: ToolKind::Function(function), cache: None, at: at("tools[0]") }],
        tool_choice: Some(ToolChoice::Named("f".to_owned())),
        reasoning: Some(crate::conversation::request::Reasoning {
            amount: Some(Amount::Tokens(9_000)),
            ..Default::default()
        }),
        ..Request::default()
    };
    request.sampling.stop = vec!["x".to_owned()];
    request
}

#[test]
fn what_other_dialects_say_is_written_or_named() {
    let request = foreign();
    let (back, losses) = written(&request);
    assert_eq!(losses, ["m1[1]", "m1[3]", "m1[4]", "m2[0].is_error", "stop", "system[0].cache_control"]);
    assert_eq!(back["instructions"], "s1\n\ns2");
    assert_eq!(
        back["input"],
        json!([
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]},
            {"type": "reasoning", "id": "rs_9", "summary": [{"type": "summary_text", "text": "t"}],
             "encrypted_content": "gAAA"},
            {"type": "message", "role": "assistant",
             "content": [{"type": "output_text", "text": "says", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "call_id": "toolu_1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "toolu_1", "output": "a\nb"},
        ])
    );
    let nothing = json!({"type": "object", "properties": {}});
    assert_eq!(
        back["tools"],
        json!([{"type": "function", "name": "f", "parameters": nothing, "strict": false}])
    );
    assert_eq!(back["tool_choice"], json!({"type": "function", "name": "f"}));
    assert_eq!(back["reasoning"], json!({"effort": "high"}));
    assert_eq!((&back["include"][0], &back["store"]), (&json!("reasoning.encrypted_content"), &json!(false)));
}

#[test]
fn seals_of_calls_find_their_calls() {
    let sealed = |id: &str| {
        let kept = Seal {
            dialect: Dialect::Gemini,
            kind: SealKind::Signature,
            value: "s.i/g".to_owned(),
            id: Some(id.to_owned()),
            maker: None,
        };
        json!({"type": "reasoning", "summary": [], "encrypted_content": kept.shown_in(Dialect::OpenAiResponses)})
    };
    let request = read(&json!({"input": [
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}, sealed("c1"), sealed("c7"),
    ]}));
    let [called, rest] = request.turns[0].parts.as_slice() else { panic!("{:?}", request.turns) };
    let Content::ToolCall(call) = &called.content else { panic!("{called:?}") };
    let seal = call.seal.as_ref().unwrap();
    assert_eq!((seal.dialect, seal.value.as_str(), seal.id.as_deref()), (Dialect::Gemini, "s.i/g", None));
    assert!(matches!(rest.content, Content::Thinking(_)), "a seal of an unknown call stays what it is");
}

#[test]
fn names_of_namespaces_stay_apart() {
    let long = "n".repeat(70);
    let request = read(&json!({"input": "", "tools": [
        {"type": "function", "name": "a__b"},
        {"type": "namespace", "name": "a", "tools": [{"type": "function", "name": "b"}]},
        {"type": "namespace", "name": long, "tools": [{"type": "function", "name": "b"}, {"type": "custom", "name": "c"}]},
    ]}));
    let mut names: Vec<&str> = request
        .tools
        .iter()
        .filter_map(|tool| crate::dialect::openai_responses::tool::name_in(&tool.kind))
        .collect();
    assert!(names.iter().all(|name| name.len() <= 64), "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 4);
    let inner: Vec<(&str, &str)> =
        request.namespaced.iter().map(|kept| (kept.namespace.as_str(), kept.inner.as_str())).collect();
    assert_eq!(inner, [("a", "b"), (long.as_str(), "b"), (long.as_str(), "c")]);
}
