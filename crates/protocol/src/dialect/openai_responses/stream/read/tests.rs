//! Streams as upstreams send them, sparse ones and odd ones; never one that is written here.

use super::*;
use crate::conversation::answer::{Answer, Finish};
use crate::conversation::collect::Collector;
use crate::conversation::event::{Delta, Opening};
use crate::conversation::part::Content;

/// Reads the events, each `{...}` a line, and gives what they come to; the order of the steps is held to be valid.
fn read(events: &str) -> (Answer, Vec<Event>) {
    let (mut reader, mut steps) = (reader(), Vec::new());
    for line in events.lines().map(str::trim).filter(|line| !line.is_empty()) {
        reader.read(None, line, &mut steps).unwrap_or_else(|bad| panic!("{bad}: {line}"));
    }
    let mut collector = Collector::default();
    let mut open = Vec::new();
    for step in &steps {
        collector.take(step);
        match step {
            Event::Open { part, .. } => open.push(*part),
            Event::Delta { part, .. } => assert!(open.contains(part), "a delta of a part that is open"),
            Event::Close { part } => open.retain(|known| known != part),
            Event::Finish(_) => assert!(open.is_empty(), "all parts are closed at the end"),
            Event::Start { .. } | Event::Usage(_) | Event::End | Event::Failed(_) => {}
        }
    }
    (collector.into_answer(), steps)
}

fn said(answer: &Answer) -> Vec<String> {
    let said = |content: &Content| match content {
        Content::Text(text) => text.text.clone(),
        Content::Refusal(text) => format!("refuses: {text}"),
        Content::ToolCall(call) => format!("{}#{} {} {:?}", call.name, call.id, call.arguments, call.takes),
        Content::Thinking(thinking) => {
            let seal = thinking.seal.as_ref().map(|seal| seal.value.as_str());
            format!(
                "thinks{}: {} {seal:?}",
                if thinking.is_summary { " in short" } else { "" },
                thinking.text
            )
        }
        Content::Native(native) => format!("native {}", native.json.as_str()),
        other => format!("{other:?}"),
    };
    answer.parts.iter().map(|part| said(&part.content)).collect()
}

#[track_caller]
fn check(events: &str, expected: &[&str], finish: Finish) -> Answer {
    let (answer, steps) = read(events);
    assert_eq!(said(&answer), expected);
    assert_eq!(answer.finish, finish);
    assert_eq!(steps.last(), Some(&Event::End));
    answer
}

#[test]
fn llama_cpp_gives_neither_indexes_nor_ids_of_calls() {
    check(
        r#"{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress"}}
        {"type":"response.in_progress","response":{"id":"resp_1","object":"response","status":"in_progress"}}
        {"type":"response.output_item.added","item":{"id":"rs_1","summary":[],"type":"reasoning","content":[],"encrypted_content":"","status":"in_progress"}}
        {"type":"response.reasoning_text.delta","delta":"hm","item_id":"rs_1"}
        {"type":"response.output_item.added","item":{"content":[],"id":"msg_1","role":"assistant","status":"in_progress","type":"message"}}
        {"type":"response.content_part.added","item_id":"msg_1","part":{"type":"output_text","text":""}}
        {"type":"response.output_text.delta","item_id":"msg_1","delta":"Hel"}
        {"type":"response.output_text.delta","item_id":"msg_1","delta":"lo"}
        {"type":"response.output_item.added","item":{"arguments":"","call_id":"fc_x","name":"f","type":"function_call","status":"in_progress"}}
        {"type":"response.function_call_arguments.delta","delta":"{\"a\":","item_id":"fc_x"}
        {"type":"response.output_item.added","item":{"arguments":"","call_id":"fc_y","name":"g","type":"function_call","status":"in_progress"}}
        {"type":"response.function_call_arguments.delta","delta":"{}","item_id":"fc_y"}
        {"type":"response.function_call_arguments.delta","delta":"1}","item_id":"fc_x"}
        {"type":"response.output_item.done","item":{"id":"rs_1","summary":[],"type":"reasoning","content":[{"text":"hm","type":"reasoning_text"}],"encrypted_content":"","status":"completed"}}
        {"type":"response.output_text.done","item_id":"msg_1","text":"Hello"}
        {"type":"response.content_part.done","item_id":"msg_1","part":{"type":"output_text","text":"Hello","annotations":[],"logprobs":[]}}
        {"type":"response.output_item.done","item":{"type":"message","status":"completed","id":"msg_1","content":[{"type":"output_text","text":"Hello"}],"role":"assistant"}}
        {"type":"response.output_item.done","item":{"type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"fc_x","name":"f"}}
        {"type":"response.output_item.done","item":{"type":"function_call","status":"completed","arguments":"{}","call_id":"fc_y","name":"g"}}
        {"type":"response.completed","response":{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","content":[{"type":"output_text","text":"Hello"}],"role":"assistant"}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}}"#,
        &["thinks: hm None", "Hello", "f#fc_x {\"a\":1} Object", "g#fc_y {} Object"],
        Finish::ToolCalls,
    );
}

#[test]
fn each_of_the_three_tellings_is_enough() {
    let text = &["Hello"];
    let deltas = r#"{"type":"response.output_text.delta","delta":"Hel"}
        {"type":"response.output_text.delta","delta":"lo"}
        {"type":"response.completed","response":{"status":"completed"}}"#;
    let done = r#"{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"Hello"}
        {"type":"response.completed","response":{"output":null}}"#;
    let item = r#"{"type":"response.output_item.done","item":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]}}
        {"type":"response.completed","response":{"output":[]}}"#;
    let whole = r#"{"type":"response.completed","response":{"id":"r","model":"m","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]}]}}"#;
    let cut = r#"{"type":"response.output_text.delta","output_index":0,"delta":"Hel"}
        {"type":"response.completed","response":{"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]}]}}"#;
    for events in [deltas, done, item, whole, cut] {
        check(events, text, Finish::Stop);
    }
    let answer = check(whole, text, Finish::Stop);
    assert_eq!((answer.id.as_str(), answer.model.as_str()), ("r", "m"));
}

#[test]
fn thoughts_keep_their_seal_and_their_paragraphs() {
    check(
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[]}}
        {"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}
        {"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"One"}
        {"type":"response.reasoning_summary_text.done","output_index":0,"summary_index":0,"text":"One"}
        {"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"Two"}
        {"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","encrypted_content":"gAAA","summary":[{"type":"summary_text","text":"One"},{"type":"summary_text","text":"Two"}]}}
        {"type":"response.output_item.done","output_index":1,"item":{"type":"reasoning","id":"rs_2","encrypted_content":"gBBB","summary":[]}}
        {"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
        &["thinks in short: One\n\nTwo Some(\"gAAA\")", "thinks in short:  Some(\"gBBB\")"],
        Finish::Length,
    );
}

#[test]
fn what_only_this_dialect_has_comes_whole() {
    let search = r#"{"type":"web_search_call","id":"ws_1","status":"completed"}"#;
    check(
        &format!(
            r#"{{"type":"response.output_item.added","output_index":0,"item":{search}}}
            {{"type":"response.web_search_call.searching","output_index":0,"item_id":"ws_1"}}
            {{"type":"response.output_item.done","output_index":0,"item":{search}}}
            {{"type":"response.output_item.added","output_index":1,"item":{{"type":"custom_tool_call","id":"ctc_1","call_id":"c","name":"p","input":""}}}}
            {{"type":"response.custom_tool_call_input.delta","output_index":1,"delta":"a b"}}
            {{"type":"response.output_item.done","output_index":1,"item":{{"type":"custom_tool_call","id":"ctc_1","call_id":"c","name":"p","input":"a b"}}}}
            {{"type":"response.refusal.delta","output_index":2,"delta":"no"}}
            {{"type":"response.refusal.done","output_index":2,"refusal":"no"}}
            {{"type":"response.output_text.annotation.added","output_index":3,"annotation":{{"type":"url_citation","url":"u","title":"t","start_index":0,"end_index":1}}}}
            {{"type":"response.completed","response":{{"output":[{search}]}}}}"#
        ),
        &[&format!("native {search}"), "p#c a b Text", "refuses: no", ""],
        Finish::ToolCalls,
    );
}

#[test]
fn ids_that_change_between_events_do_not_matter_where_there_are_indexes() {
    check(
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"a1","role":"assistant","content":[]}}
        {"type":"response.output_text.delta","output_index":0,"item_id":"a2","delta":"x"}
        {"type":"response.output_item.done","output_index":0,"item":{"type":"message","id":"a3","role":"assistant","content":[{"type":"output_text","text":"x"}]}}
        {"type":"response.completed","response":{"output":[{"type":"message","id":"a4","role":"assistant","content":[{"type":"output_text","text":"x"}]}]}}"#,
        &["x"],
        Finish::Stop,
    );
}

#[test]
fn failures_are_told_as_such() {
    for (event, detail) in [
        (
            r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"boom"}}}"#,
            "boom",
        ),
        (r#"{"type":"response.failed","response":{}}"#, "response.failed"),
        (r#"{"type":"error","code":"x","message":"bang","param":null}"#, "bang"),
        (r#"{"type":"error","error":{"message":"bing"}}"#, "bing"),
        (r#"{"error":{"message":"bong"}}"#, "bong"),
        (r#"{"type":"response.completed","response":{"status":"failed","output":[]}}"#, "error"),
    ] {
        let (_, steps) = read(event);
        let Some(Event::Failed(failure)) = steps.last() else { panic!("{event}: {steps:?}") };
        assert!(failure.detail.contains(detail), "{event}: {failure}");
    }
}

#[test]
fn a_stream_without_its_end_is_cut() {
    let (mut reader, mut out) = (reader(), Vec::new());
    reader.read(None, r#"{"type":"response.output_text.delta","delta":"a"}"#, &mut out).unwrap();
    reader.read(None, "[DONE]", &mut out).unwrap();
    for bad in [
        "{",
        "7",
        "{} {}",
        r#"{"type":"response.completed"}"#,
        r#"{"type":"response.completed","response":[]}"#,
    ] {
        reader.read(None, bad, &mut out).unwrap_err();
    }
    reader.read(None, r#"{"type":"response.unheard_of","x":[{}]}"#, &mut out).unwrap();
    assert_eq!(reader.end(&mut out), StreamEnd::Cut);
    let text = Event::Delta { part: 0, delta: Delta::Text("a".to_owned()) };
    let start = Event::Start { id: String::new(), model: String::new() };
    assert_eq!(out, [start, Event::Open { part: 0, opening: Opening::Text }, text]);
}
