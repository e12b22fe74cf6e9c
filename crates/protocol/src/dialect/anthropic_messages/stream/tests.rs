//! Messages through the conversation and back, whole and in streams, and answers of other dialects as messages; the bytes of
//! a stream are cut elsewhere.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Reader, Writer};
use crate::conversation::answer::{Answer, AnswerPlan, Finish};
use crate::conversation::collect::Collector;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Citation, Takes};
use crate::conversation::request::Request;
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::answer;
use crate::dialect::anthropic_messages::wire::id;
use crate::dialect::error::WireError;
use crate::failure::FailureKind;
use crate::relay::stream::StreamEnd;
use crate::sse;
use crate::translate::{EventReader, EventWriter};

const RECORDINGS: [&str; 2] = [
    include_str!("../../../../tests/streams/anthropic_messages/text.sse"),
    include_str!("../../../../tests/streams/anthropic_messages/thinking_tools.sse"),
];

fn plan() -> AnswerPlan {
    AnswerPlan {
        model: "alias".into(),
        id: "req-1".into(),
        created: 7,
        request: Arc::new(Request::default()),
    }
}

fn read(stream: &str) -> (Vec<Event>, usize) {
    let (mut reader, mut events, mut skipped) = (Reader::default(), Vec::new(), 0);
    for event in stream.split_inclusive("\n\n") {
        let event = sse::Event::read(event.as_bytes());
        let Some(data) = event.data.as_deref().map(|data| std::str::from_utf8(data).expect("text")) else {
            continue;
        };
        let name = event.name.map(|name| std::str::from_utf8(name).expect("text"));
        skipped += usize::from(reader.read(name, data, &mut events).is_err());
    }
    (events, skipped)
}

fn write(events: &[Event]) -> String {
    let (mut writer, mut out) = (Writer::new(plan()), Vec::new());
    events.iter().for_each(|event| writer.write(event, &mut out));
    String::from_utf8(out).expect("events are text")
}

fn collected(events: &[Event]) -> Answer {
    let mut collector = Collector::default();
    events.iter().for_each(|event| collector.take(event));
    collector.into_answer()
}

/// The message that a client puts together from the events, each of which must be allowed where it stands.
fn assembled(stream: &str) -> Value {
    let (mut message, mut open, mut json) = (Value::Null, None, String::new());
    let (mut has_ended, mut is_over) = (false, false);
    for event in stream.split_inclusive("\n\n") {
        let (name, data) = event.trim_end().split_once("\ndata: ").expect("a name and data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        let kind = name.strip_prefix("event: ").expect("a name");
        assert_eq!(data["type"], kind);
        assert!(!is_over, "{kind} behind the end");
        match kind {
            "message_start" => {
                assert!(message.is_null());
                message = data["message"].clone();
            }
            "content_block_start" => {
                assert!(open.is_none() && !has_ended);
                let content = message["content"].as_array_mut().expect("a list");
                assert_eq!(data["index"], content.len());
                content.push(data["content_block"].clone());
                open = Some(content.len() - 1);
                json.clear();
            }
            "content_block_delta" => {
                let at = open.expect("an open block");
                assert_eq!(data["index"], at);
                add(&mut message["content"][at], &data["delta"], &mut json);
            }
            "content_block_stop" => {
                let at = open.take().expect("an open block");
                assert_eq!(data["index"], at);
                if !json.is_empty() {
                    message["content"][at]["input"] = serde_json::from_str(&json).expect("whole arguments");
                }
            }
            "message_delta" => {
                assert!(open.is_none() && !has_ended);
                has_ended = true;
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                message["stop_sequence"] = data["delta"]["stop_sequence"].clone();
                message["usage"] = data["usage"].clone();
            }
            "message_stop" => {
                assert!(has_ended);
                is_over = true;
            }
            other => panic!("{other}"),
        }
    }
    assert!(is_over);
    message
}

fn add(block: &mut Value, delta: &Value, json: &mut String) {
    let kind = delta["type"].as_str().expect("a type");
    let (field, of) = match kind {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => {
            assert_eq!(block["type"], "thinking");
            block["signature"] = delta["signature"].clone();
            return;
        }
        "input_json_delta" => {
            assert_eq!(block["type"], "tool_use");
            return json.push_str(delta["partial_json"].as_str().expect("text"));
        }
        "citations_delta" => {
            assert_eq!(block["type"], "text");
            if block["citations"].is_null() {
                block["citations"] = json!([]);
            }
            return block["citations"].as_array_mut().expect("a list").push(delta["citation"].clone());
        }
        other => panic!("{other}"),
    };
    assert_eq!(block["type"], of);
    let more = delta[field].as_str().expect("text");
    let text = block[field].as_str().expect("text").to_owned();
    block[field] = Value::String(text + more);
}

#[test]
fn a_recording_comes_back_as_the_same_answer() {
    for recording in RECORDINGS {
        let (events, skipped) = read(recording);
        assert_eq!((skipped, events.last()), (0, Some(&Event::End)));
        let written = write(&events);
        let mut expected = collected(&events);
        expected.model = "alias".to_owned();
        assert_eq!(collected(&read(&written).0), expected);
        // The whole message says the same as its stream, and is read as the same.
        let message = assembled(&written);
        let whole = answer::encode(&expected, &plan());
        assert_eq!(message, serde_json::from_slice::<Value>(&whole).expect("JSON"));
        let read = answer::decode(std::str::from_utf8(&whole).expect("text")).expect("an answer");
        assert_eq!(read, expected);
    }
}

#[test]
fn a_stream_that_was_cut_is_never_whole() {
    for recording in RECORDINGS {
        for cut in 0..recording.rfind("event: message_stop").expect("an end") {
            let Some(cut) = recording.get(..cut) else { continue };
            let (mut reader, mut events) = (Reader::default(), Vec::new());
            for event in cut.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n")) {
                let data = event.split_once("data: ").expect("data").1.trim_end();
                reader.read(None, data, &mut events).expect("an event");
            }
            assert_eq!(reader.end(&mut events), StreamEnd::Cut);
            assert!(!events.contains(&Event::End));
        }
    }
}

fn start() -> Event {
    Event::Start { id: String::new(), model: "m".to_owned() }
}

fn open(part: u32, opening: Opening) -> Event {
    Event::Open { part, opening }
}

fn tool(id: &str, takes: Takes) -> Opening {
    Opening::ToolCall { id: id.to_owned(), name: "f".to_owned(), takes }
}

fn text(part: u32, text: &str) -> Event {
    Event::Delta { part, delta: Delta::Text(text.to_owned()) }
}

fn seal(part: u32, dialect: Dialect, kind: SealKind) -> Event {
    let seal = Seal { dialect, kind, value: "v".to_owned(), id: None, maker: None };
    Event::Delta { part, delta: Delta::Seal(seal) }
}

fn close(part: u32) -> Event {
    Event::Close { part }
}

fn thinking() -> Opening {
    Opening::Thinking { is_summary: true, id: None }
}

/// What a client has in the end of an answer with these parts.
#[track_caller]
fn check_written(parts: Vec<Event>, finish: Finish, content: &Value, stop_reason: &str) {
    let events: Vec<Event> =
        [start()].into_iter().chain(parts).chain([Event::Finish(finish), Event::End]).collect();
    let message = assembled(&write(&events));
    assert_eq!((&message["content"], &message["stop_reason"]), (content, &json!(stop_reason)));
    assert_eq!((&message["id"], &message["model"]), (&json!("msg_req-1"), &json!("alias")));
    let whole: Value = serde_json::from_slice(&answer::encode(&collected(&events), &plan())).expect("JSON");
    assert_eq!(message, whole);
}

#[test]
fn parts_that_overlap_become_blocks_one_after_another() {
    let use_of = |id: &str, input: Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});
    check_written(
        vec![
            open(0, Opening::Text),
            text(0, "a"),
            open(1, tool("x", Takes::Object)),
            open(2, tool("y.1", Takes::Object)),
            text(1, "{\"a\""),
            text(2, "{\"b\":"),
            text(0, "b"),
            text(2, "2}"),
            close(2),
            text(1, ":1}"),
            close(0),
            open(3, Opening::Text),
            close(3),
            close(1),
        ],
        Finish::Stop,
        &json!([{"type": "text", "text": "ab"}, use_of("x", json!({"a": 1})), use_of(&id("y.1"), json!({"b": 2}))]),
        "tool_use",
    );
}

#[test]
fn texts_for_tools_and_seals_have_their_ways() {
    use Dialect::{AnthropicMessages, Gemini, OpenAiResponses};
    check_written(
        vec![
            open(0, thinking()),
            text(0, "hm"),
            seal(0, AnthropicMessages, SealKind::Signature),
            close(0),
            open(1, thinking()),
            seal(1, OpenAiResponses, SealKind::Encrypted),
            close(1),
            open(2, thinking()),
            text(2, "so"),
            seal(2, OpenAiResponses, SealKind::Encrypted),
            close(2),
            open(3, thinking()),
            close(3),
            open(4, tool("x", Takes::Text)),
            text(4, "a \"b\"\n"),
            text(4, "é"),
            seal(4, Gemini, SealKind::Signature),
            close(4),
            open(5, tool("y", Takes::Object)),
            close(5),
        ],
        Finish::ToolCalls,
        &json!([
            {"type": "thinking", "thinking": "hm", "signature": "v"},
            {"type": "redacted_thinking", "data": "lg1.openai_responses.e..v"},
            {"type": "thinking", "thinking": "so", "signature": "lg1.openai_responses.e..v"},
            {"type": "tool_use", "id": "x", "name": "f", "input": {"input": "a \"b\"\né"}},
            {"type": "redacted_thinking", "data": "lgcall.lg1.gemini.s..v"},
            {"type": "tool_use", "id": "y", "name": "f", "input": {}},
        ]),
        "tool_use",
    );
}

#[test]
fn every_end_has_its_reason() {
    let citation =
        Citation { url: "https://a.b".to_owned(), title: Some("t".to_owned()), ..Citation::default() };
    for (finish, reason) in [
        (Finish::Stop, "end_turn"),
        (Finish::Length, "max_tokens"),
        (Finish::StopSequence("x".to_owned()), "stop_sequence"),
        (Finish::ContentFilter, "refusal"),
        (Finish::Refusal, "refusal"),
        (Finish::Paused, "pause_turn"),
    ] {
        let cited = Event::Delta { part: 0, delta: Delta::Citation(citation.clone()) };
        let cited_block = json!({"type": "web_search_result_location", "url": "https://a.b", "title": "t", "cited_text": "", "encrypted_index": ""});
        check_written(
            vec![
                open(0, Opening::Text),
                text(0, "a"),
                cited,
                close(0),
                open(1, Opening::Refusal),
                text(1, "b"),
                close(1),
            ],
            finish,
            &json!([{"type": "text", "text": "a", "citations": [cited_block]}, {"type": "text", "text": "b"}]),
            reason,
        );
    }
    check_written(vec![], Finish::Stop, &json!([]), "end_turn");
}

#[test]
fn figures_stand_where_they_are_known() {
    let usage = |input, output| {
        Event::Usage(Usage { input, output, cached_input: 3, reasoning: output / 2, ..Usage::default() })
    };
    let stream = write(&[
        start(),
        usage(5, 0),
        open(0, Opening::Text),
        text(0, "a"),
        close(0),
        usage(5, 4),
        Event::Finish(Finish::Stop),
        usage(5, 8),
        Event::End,
    ]);
    let figures: Vec<(Value, Value)> = stream
        .split("\n\n")
        .filter_map(|event| {
            let data: Value = serde_json::from_str(event.split_once("data: ")?.1).ok()?;
            let usage = data["message"].get("usage").or(data.get("usage"))?;
            Some((usage["input_tokens"].clone(), usage["output_tokens"].clone()))
        })
        .collect();
    assert_eq!(figures, [(json!(5), json!(0)), (json!(5), json!(8))]);
    assert_eq!(
        assembled(&stream)["usage"],
        json!({
            "input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 8, "output_tokens_details": {"thinking_tokens": 4},
        })
    );
}

#[test]
fn a_failure_ends_the_stream_wherever_it_is() {
    let error =
        WireError { status: 502, code: "upstream_error", message: "it broke", param: None, request_id: "r" };
    let events = [start(), open(0, Opening::Text), text(0, "a"), open(1, Opening::Text), close(0)];
    for length in 0..=events.len() {
        let (mut writer, mut out) = (Writer::new(plan()), Vec::new());
        events.iter().take(length).for_each(|event| writer.write(event, &mut out));
        let before = out.len();
        writer.fail(&error, &mut out);
        let told = String::from_utf8(out.split_off(before)).expect("text");
        assert!(
            told.starts_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""),
            "{told}"
        );
        assert!(told.ends_with("\n\n") && !told.contains("message_stop"));
    }
}

#[track_caller]
fn check_read(stream: &[Value], expected: &[Event], skipped: usize) {
    let stream: String = stream.iter().map(|event| format!("data: {event}\n\n")).collect();
    let (events, bad) = read(&stream);
    assert_eq!((events.as_slice(), bad), (expected, skipped));
}

#[test]
fn odd_streams_are_read_as_they_are_meant() {
    let block = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let piece =
        |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let nameless = Event::Start { id: String::new(), model: String::new() };
    // No beginning; a piece of nothing; a whole input at once; no arguments; a block that is never closed.
    check_read(
        &[
            piece(0, json!({"type": "text_delta", "text": "lost"})),
            block(0, json!({"type": "tool_use", "name": "f", "input": {"a": 1}})),
            stop(0),
            block(1, json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}})),
            piece(1, json!({"type": "input_json_delta", "partial_json": ""})),
            piece(1, json!({"type": "input_json_delta", "partial_json": "{}"})),
            stop(1),
            stop(1),
            block(2, json!({"type": "text", "text": "a"})),
            json!({"type": "unheard-of"}),
            json!([1]),
            json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": {"explanation": "no"}}}),
            json!({"type": "message_stop"}),
        ],
        &[
            nameless.clone(),
            open(0, tool("toolu_0", Takes::Object)),
            text(0, "{\"a\":1}"),
            close(0),
            open(1, tool("t", Takes::Object)),
            text(1, "{}"),
            close(1),
            open(2, Opening::Text),
            text(2, "a"),
            close(2),
            open(3, Opening::Refusal),
            text(3, "no"),
            close(3),
            Event::Finish(Finish::Refusal),
            Event::End,
        ],
        2,
    );
    let native = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}});
    let (events, _) = read(&format!(
        "data: {}\n\ndata: {}\n\ndata: {}\n\n",
        block(0, native),
        piece(0, json!({"type": "input_json_delta", "partial_json": "{\"query\":\"q\"}"})),
        stop(0)
    ));
    let [start, Event::Open { part: 0, opening: Opening::Native(native) }, Event::Close { part: 0 }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((start, native.dialect), (&nameless, Dialect::AnthropicMessages));
    assert_eq!(
        serde_json::from_str::<Value>(native.json.as_str()).expect("JSON"),
        json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}})
    );
}

#[test]
fn errors_in_the_stream_are_told_apart() {
    for (event, kind) in [
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}),
            FailureKind::Unavailable,
        ),
        (json!({"type": "error", "error": {"type": "rate_limit_error"}}), FailureKind::RateLimited),
        (json!({"type": "error"}), FailureKind::ErrorAnswer),
        (json!({"error": {"code": 503}}), FailureKind::Unavailable),
    ] {
        let (events, _) = read(&format!("data: {event}\n\n"));
        let [Event::Failed(failure)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(failure.kind, kind, "{event}");
    }
}

#[test]
fn whole_messages_are_read_as_they_are_meant() {
    let message = |fields: Value| {
        let mut message = json!({"type": "message", "id": "msg_1", "content": [], "usage": {"input_tokens": 1, "output_tokens": 2}});
        fields.as_object().expect("fields").iter().for_each(|(name, value)| message[name] = value.clone());
        answer::decode(&message.to_string())
    };
    for (reason, finish) in [
        (json!("end_turn"), Finish::Stop),
        (json!("tool_use"), Finish::ToolCalls),
        (json!("max_tokens"), Finish::Length),
        (json!("model_context_window_exceeded"), Finish::Length),
        (json!("pause_turn"), Finish::Paused),
        (json!("refusal"), Finish::Refusal),
        (json!("unheard-of"), Finish::Stop),
        (Value::Null, Finish::Stop),
    ] {
        assert_eq!(message(json!({"stop_reason": reason})).map(|answer| answer.finish), Ok(finish));
    }
    let sequence = message(json!({"stop_reason": "stop_sequence", "stop_sequence": "x"})).expect("an answer");
    assert_eq!(sequence.finish, Finish::StopSequence("x".to_owned()));
    let odd = message(json!({"content": [7, {"type": "text"}, {"type": "tool_use", "name": "f"}, {"x": 1}],
        "usage": {"input_tokens": 1, "output_tokens": 2, "service_tier": "batch"}}));
    let odd = odd.expect("an answer");
    assert_eq!((odd.parts.len(), odd.service_tier.as_deref()), (2, Some("batch")));
    for (body, kind) in [
        (r#"{"type":"error","error":{"type":"overloaded_error"}}"#, FailureKind::Unavailable),
        (r#"{"content":[],"id":7}"#, FailureKind::Malformed),
        (r#"{"content":[]"#, FailureKind::Truncated),
    ] {
        assert_eq!(answer::decode(body).map_err(|failure| failure.kind), Err(kind), "{body}");
    }
}
