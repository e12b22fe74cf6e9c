//! Streams through both halves, step by step; how chunks are cut is tested with the framing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::read::reader;
use super::write::writer;
use crate::conversation::answer::{AnswerPlan, Finish};
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Citation, Takes};
use crate::conversation::request::{Reasoning, Request};
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::error::WireError;
use crate::relay::stream::StreamEnd;

fn plan(shown: Option<&str>) -> AnswerPlan {
    let reasoning = Reasoning { shown: shown.map(str::to_owned), ..Reasoning::default() };
    AnswerPlan {
        model: "alias".into(),
        id: "req-1".into(),
        created: 0,
        request: Arc::new(Request { reasoning: Some(reasoning), ..Request::default() }),
    }
}

fn read(events: &[Value]) -> (Vec<Event>, StreamEnd) {
    let (mut reader, mut out) = (reader(), Vec::new());
    for event in events {
        reader.read(None, &event.to_string(), &mut out).expect("it is JSON");
    }
    let end = reader.end(&mut out);
    (out, end)
}

/// What a client reads: the responses, one an event.
fn written(events: &[Event], shown: Option<&str>) -> Vec<Value> {
    let (mut writer, mut out) = (writer(plan(shown)), Vec::new());
    events.iter().for_each(|event| writer.write(event, &mut out));
    responses(&out)
}

fn responses(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("it is text");
    let events = text.split_terminator("\n\n");
    events
        .map(|event| {
            let data = event.strip_prefix("data: ").expect("an event is one line of data");
            serde_json::from_str(data).expect("its data is JSON")
        })
        .collect()
}

fn event(part: Value) -> Value {
    json!({
        "candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
        "modelVersion": "alias",
        "responseId": "r1",
    })
}

fn last(reason: &str) -> Value {
    let mut event = event(json!({"text": ""}));
    event["candidates"][0]["finishReason"] = reason.into();
    event
}

/// A stream goes through the conversation and comes out as `expected`.
fn check(events: &[Value], expected: &[Value]) {
    let (steps, end) = read(events);
    assert_eq!(end, StreamEnd::Complete);
    assert_eq!(written(&steps, Some("auto")), expected);
}

#[test]
fn a_stream_goes_through() {
    let mut end = last("STOP");
    end["usageMetadata"] = json!({"promptTokenCount": 4, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 9});
    let events = [
        event(json!({"text": "hm", "thought": true})),
        event(json!({"text": " so", "thought": true})),
        event(json!({"text": "He\"l"})),
        event(json!({"text": "lo\u{2028}"})),
        event(
            json!({"functionCall": {"id": "a", "name": "f", "args": {"x": [1.10]}}, "thoughtSignature": "QUJD"}),
        ),
        event(json!({"functionCall": {"id": "b", "name": "g", "args": {}}})),
        event(json!({"executableCode": {"code": "1"}})),
        event(json!({"text": "done"})),
        end,
    ];
    check(&events, &events);
}

#[test]
fn a_reason_with_every_event_is_no_end() {
    let mut begun = event(json!({"text": "a"}));
    begun["candidates"][0]["finishReason"] = "STOP".into();
    let mut ended = event(json!({"text": "b"}));
    ended["candidates"][0]["finishReason"] = "MAX_TOKENS".into();
    check(&[begun, ended], &[event(json!({"text": "a"})), event(json!({"text": "b"})), last("MAX_TOKENS")]);
}

#[test]
fn a_signature_on_text_follows_the_whole_text() {
    check(
        &[
            event(json!({"text": "a", "thoughtSignature": "QUJD"})),
            event(json!({"text": "b"})),
            event(json!({"text": "", "thoughtSignature": "REVG"})),
            last("STOP"),
        ],
        &[
            event(json!({"text": "a"})),
            event(json!({"text": "b"})),
            event(json!({"text": "", "thoughtSignature": "REVG"})),
            last("STOP"),
        ],
    );
}

#[test]
fn sources_come_with_the_end() {
    let mut end = last("STOP");
    end["candidates"][0]["groundingMetadata"] = json!({
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [{"segment": {"startIndex": 1, "endIndex": 4}, "groundingChunkIndices": [0]}],
    });
    check(&[event(json!({"text": "facts"})), end.clone()], &[event(json!({"text": "facts"})), end.clone()]);
    // Nobody keeps the text, so that characters of several bytes cannot be counted.
    let mut bare = end.clone();
    bare["candidates"][0]["groundingMetadata"] =
        json!({"groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}]});
    check(&[event(json!({"text": "Größe"})), end], &[event(json!({"text": "Größe"})), bare]);
}

#[test]
fn a_prompt_that_was_blocked_ends_well() {
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r1"});
    check(&[blocked], &[last("SAFETY")]);
}

#[test]
fn a_stream_without_a_reason_is_cut() {
    for events in [vec![], vec![event(json!({"text": "a"}))], vec![json!({})]] {
        let (steps, end) = read(&events);
        assert_eq!(end, StreamEnd::Cut);
        assert!(!steps.iter().any(|step| matches!(step, Event::Finish(_) | Event::End)), "{steps:?}");
    }
}

#[test]
fn failures_in_a_stream_are_told() {
    for body in [
        json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}}),
        json!([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}}]),
        json!({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "f("}]}),
    ] {
        let (steps, end) = read(&[event(json!({"text": "a"})), body]);
        assert!(matches!(steps.last(), Some(Event::Failed(_))), "{steps:?}");
        assert_eq!(end, StreamEnd::Cut);
    }
}

#[test]
fn a_malformed_event_is_skipped() {
    let (mut reader, mut out) = (reader(), Vec::new());
    for bad in ["{", "nothing", "{\"candidates\":[{]}"] {
        assert!(reader.read(None, bad, &mut out).is_err(), "{bad}");
    }
    assert!(reader.read(None, "[DONE]", &mut out).is_ok());
    assert!(reader.read(None, &last("STOP").to_string(), &mut out).is_ok());
    assert_eq!(reader.end(&mut out), StreamEnd::Complete);
}

fn open(part: u32, opening: Opening) -> Event {
    Event::Open { part, opening }
}

fn text(part: u32, text: &str) -> Event {
    Event::Delta { part, delta: Delta::Text(text.to_owned()) }
}

fn tool(part: u32) -> Event {
    let (id, name) = (format!("c{part}"), "f".to_owned());
    open(part, Opening::ToolCall { id, name, takes: Takes::Object })
}

fn call(part: u32, args: Value) -> Value {
    json!({"functionCall": {"id": format!("c{part}"), "name": "f", "args": args}})
}

fn parts(responses: &[Value]) -> Vec<Value> {
    let parts = |response: &Value| response["candidates"][0]["content"]["parts"].as_array().cloned();
    responses.iter().flat_map(|response| parts(response).expect("each event has parts")).collect()
}

#[test]
fn calls_in_fragments_come_out_whole_and_in_order() {
    let steps = [
        Event::Start { id: String::new(), model: "m".to_owned() },
        tool(0),
        text(0, "{\"a\""),
        tool(1),
        text(1, ""),
        open(2, Opening::Text),
        text(2, "x"),
        text(0, ":1}"),
        Event::Close { part: 1 },
        Event::Close { part: 0 },
        text(2, "y"),
        tool(3),
        text(3, "broken {"),
        Event::Close { part: 3 },
        Event::Close { part: 2 },
        Event::Finish(Finish::ToolCalls),
        Event::Usage(Usage { input: 1, output: 1, ..Usage::default() }),
        Event::End,
    ];
    let responses = written(&steps, None);
    assert_eq!(
        parts(&responses),
        [
            call(0, json!({"a": 1})),
            call(1, json!({})),
            json!({"text": "x"}),
            json!({"text": "y"}),
            call(3, json!({"input": "broken {"})),
            json!({"text": ""}),
        ]
    );
    let end = responses.last().expect("there are some");
    assert_eq!(end["candidates"][0]["finishReason"], "STOP");
    assert_eq!(end["responseId"], "req-1");
    assert_eq!(end["usageMetadata"]["totalTokenCount"], 2);
}

#[test]
fn thoughts_are_held_back_from_who_has_not_asked() {
    let seal = |kind| {
        let (dialect, value) = (Dialect::AnthropicMessages, "s".to_owned());
        Seal { dialect, kind, value, id: None, maker: None }
    };
    let steps = |kind| {
        let thinking = Opening::Thinking { is_summary: false, id: None };
        let mut steps = vec![open(0, thinking), text(0, "h"), text(0, "m")];
        let seal = |kind| Event::Delta { part: 0, delta: Delta::Seal(seal(kind)) };
        steps.extend(Option::map(kind, seal));
        steps.extend([Event::Close { part: 0 }, Event::Finish(Finish::Stop), Event::End]);
        steps
    };
    let shown = |kind| crate::dialect::gemini::seal::shown(&seal(kind));
    let end = json!({"text": ""});
    let (signed, encrypted) = (SealKind::Signature, SealKind::Encrypted);
    assert_eq!(parts(&written(&steps(None), None)), std::slice::from_ref(&end));
    assert_eq!(
        parts(&written(&steps(Some(signed)), None)),
        [json!({"text": "hm", "thought": true, "thoughtSignature": shown(signed)}), end.clone()]
    );
    assert_eq!(
        parts(&written(&steps(Some(encrypted)), None)),
        [json!({"text": "", "thoughtSignature": shown(encrypted)}), end.clone()]
    );
    assert_eq!(
        parts(&written(&steps(Some(signed)), Some("auto"))),
        [
            json!({"text": "h", "thought": true}),
            json!({"text": "m", "thought": true}),
            json!({"text": "", "thought": true, "thoughtSignature": shown(signed)}),
            end,
        ]
    );
}

#[test]
fn ranges_count_from_the_beginning_of_the_stream() {
    let cite = |part, range| Event::Delta {
        part,
        delta: Delta::Citation(Citation { url: "u".to_owned(), range, ..Citation::default() }),
    };
    let steps = [
        open(0, Opening::Text),
        text(0, "abc"),
        cite(0, Some((0, 3))),
        Event::Close { part: 0 },
        open(1, Opening::Text),
        text(1, "de"),
        cite(1, Some((0, 2))),
        cite(1, Some((0, 3))),
        Event::Close { part: 1 },
        Event::Finish(Finish::Stop),
        Event::End,
    ];
    let responses = written(&steps, None);
    let grounding = &responses.last().expect("there are some")["candidates"][0]["groundingMetadata"];
    let segments: Vec<_> = grounding["groundingSupports"]
        .as_array()
        .expect("there are some")
        .iter()
        .map(|support| (support["segment"]["startIndex"].clone(), support["segment"]["endIndex"].clone()))
        .collect();
    assert_eq!(segments, [(json!(0), json!(3)), (json!(3), json!(5))]);
}

#[test]
fn a_stream_can_fail_at_any_point() {
    let error = WireError { status: 502, code: "upstream_error", message: "m", param: None, request_id: "r" };
    let steps = [open(0, Opening::Text), text(0, "a"), tool(1), text(1, "{")];
    for length in 0..=steps.len() {
        let (mut writer, mut out) = (writer(plan(None)), Vec::new());
        steps.iter().take(length).for_each(|step| writer.write(step, &mut out));
        writer.fail(&error, &mut out);
        let end = out.windows(2).rposition(|window| window == b"\n\n").expect("there is an event") + 2;
        let (events, bare) = out.split_at(end);
        let responses = responses(events);
        let bare: Value = serde_json::from_slice(bare).expect("what follows the events is JSON");
        assert_eq!(Some(&bare), responses.last(), "Google's own clients look for the error behind them");
        assert_eq!(responses.last().expect("there is one")["error"]["code"], 502);
        assert!(!responses.iter().any(|response| response.to_string().contains("finishReason")));
        assert!(
            out.windows(16).any(|window| window == br#"data: {"error":{"#),
            "SDKs look for this very beginning"
        );
    }
}
