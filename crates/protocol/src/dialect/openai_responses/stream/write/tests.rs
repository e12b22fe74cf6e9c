//! Streams as they are written, held against the grammar that official clients rely on; never one event for its own sake.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::conversation::answer::{Answer, Finish};
use crate::conversation::part::{Takes, ToolCall};
use crate::conversation::request::Request;
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::openai_responses::stream::read;
use crate::sse;

pub(super) fn plan(request: &str) -> AnswerPlan {
    let request = match request {
        "" => Request::default(),
        body => crate::decode_request(Dialect::OpenAiResponses, body.as_bytes()).unwrap().unwrap(),
    };
    AnswerPlan { model: "m".into(), id: "req-1".into(), created: 7, request: Arc::new(request) }
}

fn open(part: u32, opening: Opening) -> Event {
    Event::Open { part, opening }
}

fn say(part: u32, text: &str) -> Event {
    Event::Delta { part, delta: Delta::Text(text.to_owned()) }
}

fn call(name: &str, takes: Takes) -> Opening {
    Opening::ToolCall { id: format!("call_{name}"), name: name.to_owned(), takes }
}

fn start() -> Event {
    Event::Start { id: "i".to_owned(), model: "x".to_owned() }
}

fn frames(out: &[u8]) -> Vec<(String, Value)> {
    let mut framer = sse::Framer::new(1 << 20);
    let (mut rest, mut frames) = (out, Vec::new());
    while let Some(length) = framer.next_len(rest).unwrap() {
        let event = sse::Event::read(&rest[..length]);
        let name = String::from_utf8(event.name.unwrap().to_vec()).unwrap();
        frames.push((name, serde_json::from_slice(&event.data.unwrap()).unwrap()));
        rest = &rest[length..];
    }
    assert!(framer.take_rest().is_empty(), "nothing but whole events");
    frames
}

/// What a client may rely on, whatever the answer.
fn check_grammar(frames: &[(String, Value)]) {
    let mut texts: BTreeMap<u64, String> = BTreeMap::new();
    let mut open: BTreeMap<u64, String> = BTreeMap::new();
    let mut begun = 0;
    for (number, (name, event)) in frames.iter().enumerate() {
        assert_eq!((&event["type"], &event["sequence_number"]), (&name.as_str().into(), &number.into()));
        let Some(index) = event["output_index"].as_u64() else { continue };
        let id = event["item_id"].as_str().or(event["item"]["id"].as_str()).unwrap().to_owned();
        if name == "response.output_item.added" {
            assert_eq!(index, begun, "indexes count up");
            begun += 1;
            open.insert(index, id);
            continue;
        }
        assert_eq!(open.get(&index), Some(&id), "{name} of an item that is open");
        if name.ends_with(".delta") {
            texts.entry(index).or_default().push_str(event["delta"].as_str().unwrap());
        }
        let whole = ["text", "arguments", "input", "refusal"].iter().find_map(|field| event[field].as_str());
        if let Some(whole) = whole {
            assert_eq!(whole, texts.get(&index).map_or("", String::as_str), "{name}: the deltas joined");
        }
        if name == "response.output_item.done" {
            open.remove(&index);
        }
    }
    assert!(open.is_empty(), "every item is done");
    assert_eq!(frames[0].0, "response.created");
    let (_, last) = frames.last().unwrap();
    let done: Vec<&Value> = frames
        .iter()
        .filter(|(name, _)| name == "response.output_item.done")
        .map(|(_, event)| event)
        .collect();
    let output = last["response"]["output"].as_array().unwrap();
    for item in &done {
        let at = usize::try_from(item["output_index"].as_u64().unwrap()).unwrap();
        assert_eq!(output[at]["id"], item["item"]["id"]);
        assert_eq!(output[at]["content"], item["item"]["content"]);
    }
    assert_eq!(output.len(), done.len());
}

/// Writes the events, holds them against the grammar, and reads them back.
fn check(request: &str, events: &[Event]) -> (Vec<(String, Value)>, Answer) {
    let mut writer = writer(plan(request));
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.write(event, &mut out));
    let frames = frames(&out);
    check_grammar(&frames);
    let (_, last) = frames.last().unwrap();
    let whole: Value = serde_json::from_slice(writer.response().unwrap()).unwrap();
    assert_eq!(whole, last["response"]);
    let (mut reader, mut read_back, mut collector) = (read::reader(), Vec::new(), Collector::default());
    for (name, data) in &frames {
        reader.read(Some(name), &data.to_string(), &mut read_back).unwrap();
    }
    read_back.iter().for_each(|event| collector.take(event));
    assert_eq!(read_back.last(), Some(&Event::End));
    (frames, collector.into_answer())
}

fn kinds(frames: &[(String, Value)]) -> Vec<&str> {
    frames.iter().map(|(name, _)| name.strip_prefix("response.").unwrap_or(name)).collect()
}

#[test]
fn a_text_is_told_as_the_official_service_does() {
    let usage = Usage { input: 3, cached_input: 2, output: 5, reasoning: 1, ..Usage::default() };
    let (frames, answer) = check(
        "",
        &[
            start(),
            open(0, Opening::Text),
            say(0, "Hé\"llo"),
            say(0, " world"),
            Event::Close { part: 0 },
            Event::Usage(usage),
            Event::Finish(Finish::Stop),
            Event::End,
        ],
    );
    assert_eq!(
        kinds(&frames),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(frames[9].1["response"]["status"], "completed");
    assert_eq!((answer.usage, answer.finish), (Some(usage), Finish::Stop));
    assert_eq!(answer.id, "resp_req-1");
}

#[test]
fn parts_may_overlap() {
    let seal = Seal {
        dialect: Dialect::AnthropicMessages,
        kind: SealKind::Signature,
        value: "s".to_owned(),
        id: None,
        maker: None,
    };
    let (frames, answer) = check(
        "",
        &[
            start(),
            open(0, Opening::Thinking { is_summary: true, id: None }),
            say(0, "hm"),
            open(1, Opening::Text),
            open(2, call("a", Takes::Object)),
            say(2, "{\"x\":"),
            say(1, "I "),
            open(3, call("b", Takes::Text)),
            say(3, "free"),
            say(2, "1}"),
            Event::Delta { part: 0, delta: Delta::Seal(seal.clone()) },
            Event::Close { part: 3 },
            say(1, "say"),
            Event::Delta { part: 2, delta: Delta::Seal(Seal { dialect: Dialect::Gemini, ..seal.clone() }) },
            Event::Close { part: 2 },
            Event::Close { part: 0 },
            Event::Close { part: 1 },
            open(4, call("c", Takes::Object)),
            Event::Close { part: 4 },
            open(5, Opening::Refusal),
            say(5, "no"),
            Event::Close { part: 5 },
            Event::Finish(Finish::ToolCalls),
            Event::End,
        ],
    );
    let output = frames.last().unwrap().1["response"]["output"].clone();
    let types: Vec<&str> =
        output.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "reasoning",
            "message",
            "function_call",
            "custom_tool_call",
            "reasoning",
            "function_call",
            "message"
        ]
    );
    assert_eq!(output[0]["encrypted_content"], "lg1.anthropic_messages.s..s");
    assert_eq!(output[4]["encrypted_content"], "lg1.gemini.s.call_a.s");
    assert_eq!(output[5]["arguments"], "{}");
    let thought = answer.parts.iter().find_map(|part| match &part.content {
        Content::Thinking(thinking) => thinking.seal.clone(),
        _ => None,
    });
    assert_eq!(thought, Some(seal));
}

#[test]
fn names_come_back_as_the_client_knows_them() {
    let request = r#"{"input":"","tools":[{"type":"namespace","name":"mcp__git","description":"","tools":[
        {"type":"function","name":"log"}]},{"type":"custom","name":"patch"}]}"#;
    let (frames, answer) = check(
        request,
        &[
            start(),
            open(0, call("mcp__git__log", Takes::Object)),
            say(0, "{}"),
            Event::Close { part: 0 },
            // An upstream that knows functions only was offered the custom tool as one.
            open(1, call("patch", Takes::Object)),
            say(1, "{\"input\":\"*** Be"),
            say(1, "gin\"}"),
            Event::Close { part: 1 },
            Event::Finish(Finish::ToolCalls),
            Event::End,
        ],
    );
    let output = &frames.last().unwrap().1["response"]["output"];
    assert_eq!((&output[0]["namespace"], &output[0]["name"]), (&"mcp__git".into(), &"log".into()));
    assert_eq!((&output[1]["type"], &output[1]["input"]), (&"custom_tool_call".into(), &"*** Begin".into()));
    let calls: Vec<&ToolCall> = answer
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::ToolCall(call) => Some(call),
            _ => None,
        })
        .collect();
    assert_eq!((calls[1].arguments.as_str(), calls[1].takes), ("*** Begin", Takes::Text));
}

#[test]
fn an_end_too_early_is_told() {
    for (finish, reason, read) in [
        (Finish::Length, "max_output_tokens", Finish::Length),
        (Finish::ContentFilter, "content_filter", Finish::ContentFilter),
        (Finish::Refusal, "content_filter", Finish::ContentFilter),
    ] {
        let (frames, answer) = check(
            "",
            &[
                start(),
                open(0, Opening::Text),
                say(0, "a"),
                Event::Close { part: 0 },
                open(1, Opening::Text),
                say(1, "b"),
                Event::Close { part: 1 },
                Event::Finish(finish),
                Event::End,
            ],
        );
        let (name, last) = frames.last().unwrap();
        assert_eq!((name.as_str(), answer.finish), ("response.incomplete", read));
        assert_eq!(last["response"]["incomplete_details"]["reason"], reason);
        let done: Vec<&Value> = frames
            .iter()
            .filter(|(name, _)| name == "response.output_item.done")
            .map(|(_, event)| &event["item"])
            .collect();
        assert_eq!(last["response"]["output"].as_array().unwrap().iter().collect::<Vec<_>>(), done);
        let standings: Vec<&Value> = done.iter().map(|item| &item["status"]).collect();
        assert_eq!(standings, ["completed", "incomplete"], "the last one is cut");
    }
}

#[test]
fn a_failure_ends_it_wherever_it_is() {
    let error =
        WireError { status: 429, code: "upstream_error", message: "too many", param: None, request_id: "r" };
    for events in [&[][..], &[start()], &[start(), open(0, Opening::Text), say(0, "a")]] {
        let mut writer = writer(plan(""));
        let mut out = Vec::new();
        events.iter().for_each(|event| writer.write(event, &mut out));
        writer.fail(&error, &mut out);
        writer.fail(&error, &mut out);
        writer.write(&Event::End, &mut out);
        let frames = frames(&out);
        let names: Vec<&str> = frames.iter().rev().take(2).map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["response.failed", "error"]);
        let (_, failed) = frames.last().unwrap();
        assert_eq!(failed["sequence_number"], frames.len() - 1);
        assert_eq!(failed["response"]["error"]["code"], "rate_limit_exceeded");
        assert_eq!(failed["response"]["status"], "failed");
        assert!(writer.response().is_none());
        let (mut reader, mut read_back) = (read::reader(), Vec::new());
        for (name, data) in &frames {
            reader.read(Some(name), &data.to_string(), &mut read_back).unwrap();
        }
        assert!(matches!(read_back.last(), Some(Event::Failed(_))));
    }
}
