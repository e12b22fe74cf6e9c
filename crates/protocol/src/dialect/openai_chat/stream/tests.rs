//! Chunks as servers write them, read; steps as other dialects give them, written; never both at once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::read::Reader;
use super::write::Writer;
use crate::conversation::answer::{AnswerPlan, Finish};
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::loss::Place;
use crate::conversation::part::{Citation, Takes};
use crate::conversation::request::Request;
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::tool::{Function, Tool, ToolKind};
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::error::WireError;
use crate::relay::stream::StreamEnd;
use crate::translate::{EventReader, EventWriter};

/// Short for what a step says.
fn brief(event: &Event) -> String {
    match event {
        Event::Start { id, model } => format!("start {id} {model}"),
        Event::Open { part, opening } => match opening {
            Opening::Text => format!("{part} text"),
            Opening::Refusal => format!("{part} refusal"),
            Opening::Thinking { is_summary, id } => {
                format!("{part} thinking {is_summary} {}", id.as_deref().unwrap_or("-"))
            }
            Opening::ToolCall { id, name, takes } => format!("{part} call {id} {name} {takes:?}"),
            Opening::Image(image) => format!("{part} image {:?}", image.source),
            Opening::Native(native) => format!("{part} native {}", native.json.as_str()),
        },
        Event::Delta { part, delta } => match delta {
            Delta::Text(text) => format!("{part} +{text}"),
            Delta::Seal(seal) => format!("{part} seal {} {}", seal.dialect, seal.value),
            Delta::Citation(citation) => format!("{part} cites {} {:?}", citation.url, citation.range),
        },
        Event::Close { part } => format!("{part} end"),
        Event::Usage(usage) => format!("usage {} {}", usage.input, usage.output),
        Event::Finish(finish) => format!("finish {finish:?}"),
        Event::End => "end".to_owned(),
        Event::Failed(failure) => format!("failed {}", failure.kind),
    }
}

#[track_caller]
fn check_read(chunks: &[&str], expected: &[&str], end: StreamEnd) {
    let (mut reader, mut steps) = (Reader::default(), Vec::new());
    for chunk in chunks {
        let known = steps.len();
        if reader.read(None, chunk, &mut steps).is_err() {
            assert_eq!(steps.len(), known, "a malformed chunk has no meaning");
        }
    }
    assert_eq!(reader.end(&mut steps), end);
    assert_eq!(steps.iter().map(brief).collect::<Vec<_>>(), expected);
}

#[test]
fn a_stream_of_text_is_read() {
    check_read(
        &[
            r#"{"choices":[],"prompt_filter_results":[],"id":"","model":""}"#,
            r#"{"id":"c1","model":"gpt","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"id":"c1","choices":[{"index":1,"delta":{"content":"other"}},{"index":0,"delta":{"content":"a\n"}}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"b"},"finish_reason":""}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"c"}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":0,"end_index":1}}]}}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "[DONE]",
            r#"{"choices":[{"delta":{"content":"late"}}]}"#,
        ],
        &[
            "start c1 gpt",
            "0 text",
            "0 +a\n",
            "0 +b",
            "0 cites u Some((0, 1))",
            "usage 3 2",
            "0 end",
            "finish Stop",
            "end",
        ],
        StreamEnd::Complete,
    );
}

#[test]
fn odd_ends_are_ends_and_cuts_are_cuts() {
    let text = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
    // `transformers serve`: no `[DONE]`, the usage with the last choice, no id.
    let last = r#"{"choices":[{"delta":{"content":"b"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    check_read(
        &[text, last],
        &["start  ", "0 text", "0 +a", "0 +b", "usage 1 1", "0 end", "finish Length", "end"],
        StreamEnd::Complete,
    );
    check_read(&[text], &["start  ", "0 text", "0 +a"], StreamEnd::Cut);
    check_read(&["[DONE]"], &[], StreamEnd::Cut);
    check_read(&[], &[], StreamEnd::Cut);
    check_read(
        &[text, r#"{"error":{"message":"overloaded","code":503}}"#],
        &["start  ", "0 text", "0 +a", "failed unavailable"],
        StreamEnd::Complete,
    );
    check_read(
        &[r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#],
        &["start  ", "failed error_answer"],
        StreamEnd::Complete,
    );
    check_read(
        &[r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop","stop_reason":"END"}]}"#, "[DONE]"],
        &["start  ", "0 text", "0 +a", "0 end", "finish StopSequence(\"END\")", "end"],
        StreamEnd::Complete,
    );
}

#[test]
fn calls_are_read_however_they_come() {
    check_read(
        &[
            r#"{"id":"c","choices":[{"delta":{"content":"Hm."}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","type":"custom","custom":{"name":"g","input":"in"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"stop"}]}"#,
            "[DONE]",
        ],
        &[
            "start c ",
            "0 text",
            "0 +Hm.",
            "0 end",
            "1 call a f Object",
            "1 +{\"x\"",
            "2 call b g Text",
            "2 +in",
            "1 +:1}",
            "1 end",
            "2 end",
            "finish ToolCalls",
            "end",
        ],
        StreamEnd::Complete,
    );
    // No index, no id, the name after the arguments, arguments as an object.
    check_read(
        &[
            r#"{"id":"chat-9","choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"x":1}}},{"id":"k","function":{"name":"g"},"extra_content":{"google":{"thought_signature":"S"}}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":7,"function":{"arguments":"1"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":7,"function":{"name":"h","arguments":"2"}}]},"finish_reason":"tool_calls"}]}"#,
        ],
        &[
            "start chat-9 ",
            "0 call call_chat9_0 f Object",
            "0 +{\"x\":1}",
            "1 call k g Object",
            "1 +{}",
            "2 call call_chat9_7 h Object",
            "2 +1",
            "2 +2",
            "0 end",
            "1 seal openai_chat S",
            "1 end",
            "2 end",
            "finish ToolCalls",
            "end",
        ],
        StreamEnd::Complete,
    );
    check_read(
        &[
            r#"{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{}"}},"finish_reason":"function_call"}]}"#,
        ],
        &["start  ", "0 call call__0 f Object", "0 +{}", "0 end", "finish ToolCalls", "end"],
        StreamEnd::Complete,
    );
    check_read(
        &[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1"}}]},"finish_reason":"stop"}]}"#,
        ],
        &["start  ", "failed malformed"],
        StreamEnd::Complete,
    );
}

#[test]
fn what_is_said_in_no_words_is_named_once() {
    check_read(
        &[
            r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"a","images":[{"type":"image_url"}],"audio":null}}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"content":[{"type":"image_url"}],"images":[],"audio":{"data":"x"}}}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"b","audio":{"data":"y"}},"finish_reason":"stop"}]}"#,
            "[DONE]",
        ],
        &[
            "start c1 m",
            "0 text",
            "0 +a",
            r#"1 native {"type":"image"}"#,
            "1 end",
            r#"2 native {"type":"audio"}"#,
            "2 end",
            "0 +b",
            "0 end",
            "finish Stop",
            "end",
        ],
        StreamEnd::Complete,
    );
}

#[test]
fn thoughts_are_read_in_every_spelling() {
    let done = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    check_read(
        &[
            r#"{"choices":[{"delta":{"reasoning_content":"Hm","content":null}}]}"#,
            r#"{"choices":[{"delta":{"content":"a"}}]}"#,
            done,
        ],
        &[
            "start  ",
            "0 thinking false -",
            "0 +Hm",
            "0 seal openai_chat reasoning_content",
            "0 end",
            "1 text",
            "1 +a",
            "1 end",
            "finish Stop",
            "end",
        ],
        StreamEnd::Complete,
    );
    check_read(
        &[
            r#"{"choices":[{"delta":{"reasoning":"Hm","reasoning_details":[{"type":"reasoning.text","text":"Hm","index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","signature":"S","index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"D","id":"r","index":1}]}}]}"#,
            done,
        ],
        &[
            "start  ",
            "0 thinking false -",
            "0 +Hm",
            r#"0 seal openai_chat [{"type":"reasoning.text","signature":"S","index":0}]"#,
            "0 end",
            "1 thinking false r",
            r#"1 seal openai_chat [{"type":"reasoning.encrypted","data":"D","id":"r","index":1}]"#,
            "1 end",
            "finish Stop",
            "end",
        ],
        StreamEnd::Complete,
    );
    check_read(
        &[
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"a"}]},"finish_reason":"stop"}]}"#,
        ],
        &["start  ", "0 thinking false -", "0 +Hm", "0 end", "1 text", "1 +a", "1 end", "finish Stop", "end"],
        StreamEnd::Complete,
    );
    check_read(
        &[r#"{"choices":[{"delta":{"refusal":"No."},"finish_reason":"stop"}]}"#],
        &["start  ", "0 refusal", "0 +No.", "0 end", "finish Refusal", "end"],
        StreamEnd::Complete,
    );
}

fn plan(request: Request) -> AnswerPlan {
    AnswerPlan { model: "m".into(), id: "req-1".into(), created: 7, request: Arc::new(request) }
}

/// Writes steps and gives each chunk's delta, or the chunk where it has none.
fn write(request: Request, events: &[Event]) -> Vec<Value> {
    let mut writer = Writer::new(plan(request));
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let mut found = Vec::new();
    for event in text.split_terminator("\n\n") {
        let data = event.strip_prefix("data: ").unwrap();
        if data == "[DONE]" {
            found.push(json!(data));
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            (&chunk["object"], &chunk["model"], &chunk["created"]),
            (&json!("chat.completion.chunk"), &json!("m"), &json!(7))
        );
        found.push(match chunk["choices"].get(0) {
            Some(choice) if choice["finish_reason"].is_null() => choice["delta"].clone(),
            Some(choice) => choice["finish_reason"].clone(),
            None => chunk["usage"].clone(),
        });
    }
    found
}

fn open(part: u32, opening: Opening) -> Event {
    Event::Open { part, opening }
}

fn text(part: u32, text: &str) -> Event {
    Event::Delta { part, delta: Delta::Text(text.to_owned()) }
}

fn sealed(part: u32, dialect: Dialect, kind: SealKind) -> Event {
    let id = Some("i".to_owned());
    let seal = Seal { dialect, kind, value: "S".to_owned(), id, maker: None };
    Event::Delta { part, delta: Delta::Seal(seal) }
}

fn call(part: u32, id: &str, takes: Takes) -> Event {
    open(part, Opening::ToolCall { id: id.to_owned(), name: "f".to_owned(), takes })
}

fn start() -> Event {
    Event::Start { id: "c".to_owned(), model: "other".to_owned() }
}

#[test]
fn a_stream_is_written_as_openai_does() {
    let role = json!({"role": "assistant", "content": "", "refusal": null});
    let events = [
        start(),
        open(0, Opening::Text),
        text(0, "a\"\n"),
        Event::Usage(Usage { input: 3, cached_input: 1, output: 2, ..Usage::default() }),
        Event::Delta {
            part: 0,
            delta: Delta::Citation(Citation { url: "u".to_owned(), ..Citation::default() }),
        },
        Event::Close { part: 0 },
        Event::Finish(Finish::Length),
        Event::End,
    ];
    let cited = json!({"annotations": [{"type": "url_citation", "index": 0, "url_citation":
        {"url": "u", "title": "", "start_index": 0, "end_index": 3}}]});
    let mut expected = vec![role, json!({"content": "a\"\n"}), cited, json!("length")];
    let request = Request { include_usage: true, ..Request::default() };
    let mut with_usage = expected.clone();
    with_usage.push(json!({
        "prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    }));
    with_usage.push(json!("[DONE]"));
    expected.push(json!("[DONE]"));
    assert_eq!(write(Request::default(), &events), expected);
    assert_eq!(write(request, &events), with_usage);
}

/// A request that offers `f` as a tool that takes text.
fn offering_custom() -> Request {
    let body =
        r#"{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"custom","custom":{"name":"f"}}]}"#;
    crate::decode_request(Dialect::OpenAiChat, body.as_bytes()).unwrap().unwrap()
}

#[test]
fn a_custom_tool_is_called_as_one_by_whoever_knows_functions_only() {
    let called = json!({"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": ""}}]});
    let end = [json!("tool_calls"), json!("[DONE]")];
    for (pieces, input) in [
        (["{\"inp", "ut\":\"a\\nb\"}"], "a\nb"),
        (["{\"input\":", "7}"], "{\"input\":7}"),
        (["not ", "JSON"], "not JSON"),
    ] {
        let events = [
            start(),
            call(0, "a", Takes::Object),
            text(0, pieces[0]),
            text(0, pieces[1]),
            Event::Close { part: 0 },
            Event::Finish(Finish::ToolCalls),
            Event::End,
        ];
        let said = json!({"tool_calls": [{"index": 0, "custom": {"input": input}}]});
        let expected = [&[called.clone(), said][..], &end].concat();
        assert_eq!(write(offering_custom(), &events)[1..], expected);
    }
}

#[test]
fn calls_and_thoughts_are_written_with_their_seals() {
    let events = [
        start(),
        open(0, Opening::Thinking { is_summary: false, id: None }),
        text(0, "Hm"),
        sealed(0, Dialect::AnthropicMessages, SealKind::Signature),
        Event::Close { part: 0 },
        call(1, "a", Takes::Object),
        sealed(1, Dialect::Gemini, SealKind::Signature),
        call(2, "b", Takes::Text),
        text(2, "in"),
        text(1, "{}"),
        Event::Close { part: 2 },
        Event::Close { part: 1 },
        call(3, "c", Takes::Object),
        Event::Close { part: 3 },
        open(4, Opening::Refusal),
        text(4, "No."),
        Event::Close { part: 4 },
        Event::Finish(Finish::ToolCalls),
        Event::End,
    ];
    assert_eq!(
        write(Request::default(), &events)[1..],
        [
            json!({"reasoning_content": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]}),
            json!({"reasoning_details": [{"type": "reasoning.text", "signature": "lg1.anthropic_messages.s.i.S", "id": "i", "index": 0}]}),
            json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""},
                "extra_content": {"google": {"thought_signature": "lg1.gemini.s.i.S"}}}]}),
            json!({"tool_calls": [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "f", "input": ""}}]}),
            json!({"tool_calls": [{"index": 1, "custom": {"input": "in"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 2, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 2, "function": {"arguments": "{}"}}]}),
            json!({"refusal": "No."}),
            json!("tool_calls"),
            json!("[DONE]"),
        ]
    );
}

#[test]
fn a_client_of_functions_reads_a_function_call() {
    let function = Function { name: "f".to_owned(), description: None, parameters: None, strict: None };
    let tool = Tool { kind: ToolKind::Function(function), cache: None, at: Place::new("functions[0]") };
    let request = Request { tools: vec![tool], ..Request::default() };
    let events = [
        start(),
        call(0, "a", Takes::Object),
        text(0, "{}"),
        Event::Close { part: 0 },
        Event::Finish(Finish::ToolCalls),
    ];
    assert_eq!(
        write(request, &events)[1..],
        [
            json!({"function_call": {"name": "f", "arguments": ""}}),
            json!({"function_call": {"arguments": "{}"}}),
            json!("function_call"),
        ]
    );
}

#[test]
fn a_broken_stream_says_so_at_any_point() {
    let error = WireError { status: 502, code: "upstream_error", message: "x", param: None, request_id: "r" };
    for begun in [&[][..], &[start()], &[start(), open(0, Opening::Text), text(0, "a")]] {
        let mut writer = Writer::new(plan(Request::default()));
        let mut out = Vec::new();
        begun.iter().for_each(|event| writer.write(event, &mut out));
        let before = out.len();
        writer.fail(&error, &mut out);
        let said = str::from_utf8(&out[before..]).unwrap();
        assert!(said.starts_with("data: {\"error\":{") && said.ends_with("}}\n\n"), "{said}");
    }
}
