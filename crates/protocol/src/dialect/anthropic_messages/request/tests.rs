//! What is made of a request on its way through the conversation and back, and what is lost; which models there are is no
//! affair of this test.

use serde_json::{Value, json};

use super::{decode, encode};
use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::{Audio, Content, Part, Source, Takes, Thinking, ToolCall};
use crate::conversation::request::{Amount, Format, Reasoning, Request, Role, Turn};
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::tool::{Function, Tool, ToolChoice, ToolKind};
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::wire::id;
use crate::dialect::ask::DecodeError;
use crate::translate::{Manner, Target, loss_paths};

const MODEL: &str = "claude-haiku-4-5";

fn written(request: &Request, model: &str) -> (Value, Vec<String>) {
    let target = Target { model, max_output_tokens: 8_000, manner: Manner::default() };
    let encoded = encode(request, &target);
    let body = serde_json::from_slice(&encoded.body).expect("a body is JSON");
    (body, loss_paths(Dialect::AnthropicMessages, request, &encoded.losses))
}

/// A request with `fields`, and what becomes of it.
fn through(fields: &Value, model: &str) -> (Value, Vec<String>) {
    let mut body = json!({"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    written(&decode(&body.to_string()).expect("a request"), model)
}

#[track_caller]
fn check(fields: &Value, expected: &Value, losses: &[&str]) {
    let (body, lost) = through(fields, MODEL);
    for (name, value) in expected.as_object().expect("fields") {
        assert_eq!(body.get(name).unwrap_or(&Value::Null), value, "{name} of {fields}");
    }
    assert_eq!(lost, losses, "{fields}");
}

/// What comes back as it was sent.
#[track_caller]
fn check_kept(fields: &Value) {
    check(fields, fields, &[]);
}

#[test]
fn what_both_sides_know_comes_back_as_it_was() {
    for fields in [
        json!({"max_tokens": 7, "stream": true, "temperature": 0.25, "top_k": 5, "stop_sequences": ["a", "b\n"]}),
        json!({"top_p": 0.5}),
        json!({"metadata": {"user_id": "u-1"}, "service_tier": "auto"}),
        json!({"service_tier": "standard_only"}),
        json!({"system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}),
        json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "x": 1e2}}}}),
        json!({"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 2000}}),
        json!({"thinking": {"type": "disabled"}}),
        json!({
            "tools": [
                {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}, "strict": true},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
            ],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        }),
        json!({"tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
            "tool_choice": {"type": "any"}}),
        json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "none"}}),
    ] {
        check_kept(&fields);
    }
}

#[test]
fn a_conversation_with_tools_and_thoughts_comes_back_as_it_was() {
    check_kept(&json!({
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://a.b/c.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
                    "title": "t", "context": "c", "citations": {"enabled": true}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
                {"type": "document", "source": {"type": "url", "url": "https://a.b/c.pdf"}},
                {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "I look."},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1.0}},
                {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                    {"type": "text", "text": "done"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "BBBB"}},
                    {"type": "document", "source": {"type": "url", "url": "https://a.b/c.pdf"}},
                ]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true},
                {"type": "text", "text": "and?"},
            ]},
        ],
    }));
}

#[test]
fn what_cannot_be_carried_is_named() {
    for (fields, losses) in [
        (
            json!({"context_management": {"edits": []}, "container": "c", "mcp_servers": []}),
            &["container", "context_management", "mcp_servers"][..],
        ),
        (json!({"x": null, "metadata": {"user_id": "u", "team": 1}}), &["metadata.team"]),
        (
            json!({"output_config": {"effort": "low", "task_budget": 1}, "thinking": {"type": "disabled"}}),
            &["output_config.effort", "output_config.task_budget"],
        ),
        (json!({"output_format": {"type": "grammar"}}), &["output_format"]),
        (
            json!({"tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": true}]}),
            &["tools[0].defer_loading"],
        ),
        (
            json!({"messages": [{"role": "user", "name": "n", "content": [
                {"type": "text", "text": "hi", "x": 1},
                {"type": "document", "source": {"type": "content", "content": [
                    {"type": "text", "text": "a"}, {"type": "image", "source": {}}]}},
                {"type": "search_result", "source": "https://a.b", "title": "t", "content": [{"type": "text", "text": "b"}]},
            ]}]}),
            &[
                "messages[0].content[0].x",
                "messages[0].content[1].source.content[1]",
                "messages[0].content[2].source",
                "messages[0].name",
            ],
        ),
        (
            json!({"messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_result", "tool_use_id": "u"}]}]}]}),
            &["messages[0].content[0].content[0]"],
        ),
        (json!({"stop_sequences": ["a", " "]}), &["stop_sequences"]),
        (json!({"tool_choice": {"type": "any"}}), &["tool_choice"]),
        (
            json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": " "}, {"type": "text", "text": ""}, {"type": "text", "text": "a", "citations": [
                {"type": "char_location", "cited_text": "q", "document_title": "t"}]}]}]}),
            &["messages[0].content[0]", "messages[0].content[2].citations"],
        ),
        (json!({"service_tier": "flex"}), &["service_tier"]),
    ] {
        check(&fields, &json!({}), losses);
    }
}

#[test]
fn a_request_of_a_wrong_type_says_where() {
    for (body, param) in [
        (r#"{"messages":[{"role":"tool","content":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"role":"user","content":7}]}"#, "messages[0].content"),
        (r#"{"messages":[{"role":"user","content":[7]}]}"#, "messages[0].content[0]"),
        (r#"{"messages":[{"role":"user","content":[{"text":"x"}]}]}"#, "messages[0].content[0].type"),
        (r#"{"messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "messages[0].content[0].text"),
        (r#"{"messages":[{"role":"user","content":[{"type":"image"}]}]}"#, "messages[0].content[0].source"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"x"}}]}]}"#,
            "messages[0].content[0].source.type",
        ),
        (
            r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":[]}]}]}"#,
            "messages[0].content[0].input",
        ),
        (r#"{"messages":[{"role":"user","content":"x"}],"tools":[{"input_schema":{}}]}"#, "tools[0].name"),
        (r#"{"messages":[{"role":"user","content":"x"}],"tool_choice":{"type":"x"}}"#, "tool_choice.type"),
        (r#"{"messages":[{"role":"user","content":"x"}],"max_tokens":"1"}"#, "max_tokens"),
        (r#"{"messages":[{"role":"user","content":"x"}],"stop_sequences":[1]}"#, "stop_sequences[0]"),
        (r#"{"messages":7}"#, "messages"),
        (r#"{"messages":[]}"#, "messages"),
    ] {
        let error = decode(body).expect_err(body);
        assert_eq!(error.param(), Some(param), "{body}: {error}");
    }
    assert_eq!(decode("[]"), Err(DecodeError::NotAnObject));
    let deep = format!(r#"{{"messages":{}"#, "[".repeat(100_000));
    assert_eq!(decode(&deep).map_err(|error| error.code()), Err("invalid_json"));
}

fn turn(role: Role, contents: Vec<Content>) -> Turn {
    let parts = contents.into_iter().map(|content| Part { at: Place::new("p"), ..Part::new(content) });
    Turn { role, name: None, parts: parts.collect(), at: Place::new("t") }
}

fn text(text: &str) -> Content {
    Content::Text(crate::conversation::part::Text { text: text.to_owned(), citations: Vec::new() })
}

fn call(arguments: &str, takes: Takes) -> Content {
    Content::ToolCall(ToolCall {
        id: "call.1/x".to_owned(),
        name: "f".to_owned(),
        arguments: arguments.to_owned(),
        takes,
        seal: None,
    })
}

fn result(said: &str) -> Content {
    Content::ToolResult(crate::conversation::part::ToolResult {
        call_id: "call.1/x".to_owned(),
        name: None,
        parts: vec![Part::new(text(said))],
        is_error: false,
        takes: Takes::Object,
    })
}

#[track_caller]
fn check_turns(turns: Vec<Turn>, expected: &Value, losses: usize) {
    let request = Request { turns, ..Request::default() };
    let target = Target { model: MODEL, max_output_tokens: 8_000, manner: Manner::default() };
    let encoded = encode(&request, &target);
    let body: Value = serde_json::from_slice(&encoded.body).expect("a body is JSON");
    let system = body.get("system").cloned().unwrap_or_default();
    assert_eq!(&json!({"system": system, "messages": body["messages"]}), expected);
    assert_eq!(encoded.losses.len(), losses, "{:?}", encoded.losses);
}

fn block(said: &str) -> Value {
    json!({"type": "text", "text": said})
}

#[test]
fn turns_come_in_the_order_that_is_demanded() {
    use Role::{Assistant, Developer, System, User};
    let id = id("call.1/x");
    let use_of = |input: Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});
    let answer = json!({"type": "tool_result", "tool_use_id": id, "content": [block("done")]});
    // The system before all others, later in its place; neighbours of one role are one; results come first.
    check_turns(
        vec![
            turn(System, vec![text("a")]),
            turn(Developer, vec![text("b")]),
            turn(User, vec![text("c")]),
            turn(User, vec![text("d")]),
            turn(Assistant, vec![call(r#"{"x":1}"#, Takes::Object)]),
            turn(Developer, vec![text("e")]),
            turn(User, vec![result("done")]),
            turn(User, vec![text("f")]),
        ],
        &json!({
            "system": [block("a"), block("b")],
            "messages": [
                {"role": "user", "content": [block("c"), block("d")]},
                {"role": "assistant", "content": [use_of(json!({"x": 1}))]},
                {"role": "user", "content": [answer, block("<system>\ne\n</system>"), block("f")]},
            ],
        }),
        0,
    );
    let opening = block("(The assistant speaks first.)");
    check_turns(
        vec![turn(Assistant, vec![text("hello  \n")])],
        &json!({"system": null, "messages": [
            {"role": "user", "content": [opening]}, {"role": "assistant", "content": [block("hello")]}]}),
        0,
    );
    check_turns(
        vec![turn(System, vec![text("a")])],
        &json!({"system": null, "messages": [{"role": "user", "content": [block("a")]}]}),
        0,
    );
    for (arguments, takes, input, losses) in [
        ("", Takes::Object, json!({}), 0),
        ("{\"a\":", Takes::Object, json!({"input": "{\"a\":"}), 1),
        ("[1]", Takes::Object, json!({"input": "[1]"}), 1),
        ("{\"a\":1}", Takes::Text, json!({"input": "{\"a\":1}"}), 0),
    ] {
        check_turns(
            vec![turn(User, vec![text("c")]), turn(Assistant, vec![call(arguments, takes)])],
            &json!({"system": null, "messages": [
                {"role": "user", "content": [block("c")]}, {"role": "assistant", "content": [use_of(input)]}]}),
            losses,
        );
    }
}

#[test]
fn what_other_dialects_say_is_taken_over_or_named() {
    let seal = |dialect, kind| Seal { dialect, kind, value: "v".to_owned(), id: None, maker: None };
    let thought = |seal| Content::Thinking(Thinking { text: "hm".to_owned(), seal, ..Thinking::default() });
    let image = |source| {
        Content::Image(crate::conversation::part::Image { source, detail: Some("high".to_owned()), id: None })
    };
    let document = |media_type: &str, data: &str| {
        let source = Source::Base64 { media_type: media_type.to_owned(), data: data.to_owned() };
        let (title, context) = (None, None);
        Content::Document(crate::conversation::part::Document { source, title, context, citations: false })
    };
    let audio = Audio { data: String::new(), format: "wav".to_owned(), transcript: None, id: None };
    check_turns(
        vec![turn(
            Role::User,
            vec![
                text("a"),
                thought(None),
                thought(Some(seal(Dialect::Gemini, SealKind::Signature))),
                thought(Some(seal(Dialect::AnthropicMessages, SealKind::Signature))),
                Content::Refusal("no".to_owned()),
                Content::Audio(audio),
                image(Source::File("file-openai".to_owned())),
                image(Source::Url("https://a.b/c".to_owned())),
                document("text/markdown", "R3LDvMOfZQ=="),
                document("text/plain", "R3LD"),
                document("application/zip", "UEsD"),
            ],
        )],
        &json!({"system": null, "messages": [{"role": "user", "content": [
            block("a"),
            {"type": "thinking", "thinking": "hm", "signature": "v"},
            block("no"),
            {"type": "image", "source": {"type": "url", "url": "https://a.b/c"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
        ]}]}),
        7,
    );
}

#[track_caller]
fn check_thinking(
    model: &str,
    amount: Amount,
    change: impl FnOnce(&mut Request),
    expected: &Value,
    losses: &[&str],
) {
    let mut request = decode(r#"{"messages":[{"role":"user","content":"hi"}]}"#).expect("a request");
    request.reasoning = Some(Reasoning { amount: Some(amount), ..Reasoning::default() });
    request.tools = vec![Tool {
        kind: ToolKind::Function(Function {
            name: "f".to_owned(),
            description: None,
            parameters: None,
            strict: None,
        }),
        cache: None,
        at: Place::default(),
    }];
    change(&mut request);
    let (body, lost) = written(&request, model);
    let told = json!({"thinking": body["thinking"], "effort": body["output_config"]["effort"]});
    assert_eq!(&told, expected, "{model}");
    assert_eq!(lost, losses, "{model}");
}

#[test]
fn each_generation_is_told_to_think_in_its_own_way() {
    let effort = |effort: &str| Amount::Effort(effort.to_owned());
    let budget =
        |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}, "effort": null});
    let adaptive = |effort: Value| json!({"thinking": {"type": "adaptive"}, "effort": effort});
    let off = json!({"thinking": {"type": "disabled"}, "effort": null});
    let nothing = json!({"thinking": null, "effort": null});
    for (model, amount, expected) in [
        (MODEL, Amount::Tokens(10), budget(1024)),
        (MODEL, Amount::Tokens(9_000), budget(6_000)),
        (MODEL, effort("low"), budget(2_048)),
        (MODEL, effort("high"), budget(6_000)),
        (MODEL, Amount::Adaptive, budget(6_000)),
        (MODEL, effort("none"), off.clone()),
        (MODEL, Amount::Off, off.clone()),
        ("claude-opus-4-6", effort("xhigh"), adaptive(json!("high"))),
        ("claude-opus-4-7", effort("xhigh"), adaptive(json!("xhigh"))),
        ("claude-opus-4-7", effort("minimal"), adaptive(json!("low"))),
        ("claude-opus-4-7", Amount::Tokens(8_000), adaptive(json!("medium"))),
        ("claude-opus-4-7", Amount::Adaptive, adaptive(Value::Null)),
        ("claude-opus-4-7", Amount::Off, off.clone()),
    ] {
        check_thinking(model, amount, |_| {}, &expected, &[]);
    }
    check_thinking("claude-opus-4-7", effort("odd"), |_| {}, &nothing, &["thinking"]);
    let low = |request: &mut Request| request.sampling.max_output_tokens = Some(1_000);
    check_thinking(MODEL, effort("low"), low, &nothing, &["thinking"]);
    let forced = |request: &mut Request| request.tool_choice = Some(ToolChoice::Required);
    check_thinking(MODEL, effort("low"), forced, &nothing, &["thinking"]);
    check_thinking("claude-sonnet-5", effort("low"), forced, &adaptive(json!("low")), &[]);
    // The thoughts of another provider cannot come back, and a turn that calls must begin with one.
    let in_loop = |request: &mut Request| {
        request.turns.push(turn(Role::Assistant, vec![call("{}", Takes::Object)]));
        request.turns.push(turn(Role::User, vec![result("done")]));
    };
    check_thinking(MODEL, effort("low"), in_loop, &nothing, &["thinking"]);
    check_thinking("claude-opus-4-6", effort("low"), in_loop, &adaptive(json!("low")), &[]);
}

#[test]
fn words_are_chosen_as_the_model_lets_one() {
    for (model, fields, expected, losses) in [
        (MODEL, json!({"temperature": 1.7}), json!({"temperature": 1}), &["temperature"][..]),
        (MODEL, json!({"temperature": 0.2, "top_p": 0.9}), json!({"temperature": 0.2}), &["top_p"]),
        (MODEL, json!({"temperature": 1, "top_p": 1}), json!({}), &[]),
        (
            "claude-opus-4-7",
            json!({"temperature": 0.2, "top_k": 4, "top_p": 0.9}),
            json!({}),
            &["temperature", "top_k", "top_p"],
        ),
        (
            "claude-opus-4-6",
            json!({"thinking": {"type": "adaptive"}, "temperature": 0.2, "top_k": 4, "top_p": 0.96}),
            json!({"top_p": 0.96}),
            &["temperature", "top_k"],
        ),
        ("claude-opus-4-6", json!({"thinking": {"type": "adaptive"}, "top_p": 0.5}), json!({}), &["top_p"]),
    ] {
        let (body, lost) = through(&fields, model);
        let told: serde_json::Map<String, Value> = ["temperature", "top_k", "top_p"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), body.get(name)?.clone())))
            .collect();
        assert_eq!(
            (Value::Object(told), lost),
            (expected, losses.iter().map(ToString::to_string).collect()),
            "{model} {fields}"
        );
    }
}

#[test]
fn wishes_without_a_word_are_named_unless_they_are_granted_anyway() {
    let mut request = decode(r#"{"messages":[{"role":"user","content":"hi"}]}"#).expect("a request");
    request.sampling.presence_penalty = Some(0.into());
    request.sampling.candidates = Some(1);
    request.store = Some(false);
    request.format = Some(Format::Text);
    let target = Target { model: MODEL, max_output_tokens: 8_000, manner: Manner::default() };
    assert_eq!(encode(&request, &target).losses, []);
    request.sampling.presence_penalty = Some(1.into());
    request.sampling.frequency_penalty = Some(1.into());
    request.sampling.candidates = Some(2);
    request.sampling.seed = Some(7.into());
    request.sampling.logprobs = Some(1);
    request.store = Some(true);
    request.format = Some(Format::JsonObject);
    request.verbosity = Some("low".to_owned());
    request.prompt_cache_key = Some("k".to_owned());
    request.previous_response_id = Some("resp_1".to_owned());
    let encoded = encode(&request, &target);
    assert_eq!(encoded.losses.len(), 9, "the key of a cache is none of them");
    assert!(encoded.losses.iter().all(|loss| matches!(loss, Loss::Field(_))));
    let body: Value = serde_json::from_slice(&encoded.body).expect("a body is JSON");
    assert_eq!(body["max_tokens"], 8_000);
}

#[test]
fn tools_of_other_dialects_take_objects() {
    let function = |parameters: Option<&str>| {
        let parameters = parameters.map(|text| crate::conversation::part::Json::read(text).expect("JSON"));
        ToolKind::Function(Function {
            name: "f".to_owned(),
            description: None,
            parameters,
            strict: Some(false),
        })
    };
    let custom = ToolKind::Custom { name: "c".to_owned(), description: Some("d".to_owned()), format: None };
    let object = json!({"type": "object", "properties": {}});
    for (kind, expected) in [
        (function(None), json!({"name": "f", "input_schema": object})),
        (function(Some(" {} ")), json!({"name": "f", "input_schema": object})),
        (
            function(Some(r#"{"required":[]}"#)),
            json!({"name": "f", "input_schema": {"type": "object", "required": []}}),
        ),
        (function(Some(r#"{"type":"object"}"#)), json!({"name": "f", "input_schema": {"type": "object"}})),
        (
            custom,
            json!({"name": "c", "description": "d", "input_schema":
            {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}}),
        ),
    ] {
        let mut request = decode(r#"{"messages":[{"role":"user","content":"hi"}]}"#).expect("a request");
        request.tools = vec![Tool { kind, cache: None, at: Place::default() }];
        assert_eq!(written(&request, MODEL), {
            let mut body = written(
                &decode(r#"{"messages":[{"role":"user","content":"hi"}]}"#).expect("a request"),
                MODEL,
            )
            .0;
            body["tools"] = json!([expected]);
            (body, Vec::new())
        });
    }
}

/// The seals of other dialects are wrapped in blocks of this one, and come out of them again.
#[test]
fn what_was_wrapped_for_the_client_is_unwrapped() {
    let body = json!({"messages": [{"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "lg1.openai_responses.e.rs_1.gAAA"},
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "redacted_thinking", "data": "lg1.openai_responses.e.rs_2.gBBB"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "redacted_thinking", "data": "lgcall.lg1.gemini.s..CoQ"},
    ]}]});
    let request = decode(&body.to_string()).expect("a request");
    let seals: Vec<Option<(Dialect, SealKind, &str)>> = request.turns[0]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::Thinking(thought) => thought.seal.as_ref(),
            Content::ToolCall(call) => call.seal.as_ref(),
            other => panic!("{other:?}"),
        })
        .map(|seal| seal.map(|seal| (seal.dialect, seal.kind, seal.value.as_str())))
        .collect();
    assert_eq!(
        seals,
        [
            Some((Dialect::OpenAiResponses, SealKind::Encrypted, "gAAA")),
            None,
            Some((Dialect::OpenAiResponses, SealKind::Encrypted, "gBBB")),
            Some((Dialect::Gemini, SealKind::Signature, "CoQ")),
        ]
    );
    let (body, lost) = written(&request, MODEL);
    assert_eq!(
        body["messages"][1]["content"],
        json!([{"type": "tool_use", "id": "t", "name": "f", "input": {}}])
    );
    let at = |number| format!("messages[0].content[{number}]");
    assert_eq!(lost, [at(0), at(1), at(2), at(3)]);
}
