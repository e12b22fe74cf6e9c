//! What single events do to a stream; recorded streams under every cut are tested from outside.

use super::*;
use crate::failure::FailureKind;

fn relay(dialect: Dialect) -> StreamRelay {
    StreamRelay::new(dialect, StreamPlan { withhold_usage: true, rename_model: None, event_bytes_max: 300 })
}

fn push(relay: &mut StreamRelay, text: &str) -> (Result<(), StreamFault>, String) {
    let mut out = Vec::new();
    let result = relay.push(Bytes::copy_from_slice(text.as_bytes()), &mut out);
    (result, String::from_utf8(out.concat()).unwrap())
}

const HI: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const MESSAGE_START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\"}}\n\n";
const MESSAGE_STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
const CREATED: &str =
    "data: {\"type\":\"response.created\",\"sequence_number\":4,\"response\":{\"id\":\"resp_1\"}}\n\n";

#[test]
fn untouched_neighbours_are_one_slice_of_their_chunk() {
    let chunk = Bytes::from([HI, HI, ": comment\n\n\n\n", STOP].concat());
    let mut out = Vec::new();
    relay(Dialect::OpenAiChat).push(chunk.clone(), &mut out).unwrap();
    assert_eq!((out.len(), &out[0]), (1, &chunk));
    assert_eq!(out[0].as_ptr(), chunk.as_ptr());
}

#[test]
fn malformed_events_are_left_out_and_counted() {
    for bad in [
        "data: {\"choices\":[\n\n",
        "data: <html>\n\n",
        "data: 17\n\n",
        "data:\n\n",
        "event: ping\n\n",
        "retry: 3000\n\n",
        "<html>\n\n",
        "data: {}{}\n\n",
        "data: {\"a\":1}\ndata: {\"b\":2}\n\n",
    ] {
        for &dialect in &[Dialect::OpenAiChat, Dialect::OpenAiCompletions] {
            let mut relay = relay(dialect);
            let (result, out) = push(&mut relay, &[HI, bad, STOP].concat());
            assert_eq!((result, out), (Ok(()), [HI, STOP].concat()), "{bad:?}");
            assert_eq!((relay.tally().skipped, relay.tally().events), (1, 2), "{bad:?}");
        }
    }
    let mut relay = relay(Dialect::OpenAiChat);
    relay.push(Bytes::from_static(b"data: {\"a\":\"\xff\"}\n\n"), &mut Vec::new()).unwrap();
    assert_eq!(relay.tally().skipped, 1);
}

/// The upstream's error event goes out last: half a line end would leave some clients waiting for the other half.
#[test]
fn an_error_event_is_the_same_however_its_line_ends_are_cut() {
    const ERROR: &str = "data: {\"error\":{\"message\":\"no\"}}";
    for (line_ends, expected) in [
        ("\n\n", "\n\n"),
        ("\r\n\r\n", "\r\n\r\n"),
        ("\n\r\n", "\n\r\n"),
        ("\r\r", "\r\r\n"),
        ("\n\r", "\n\r\n"),
    ] {
        let text = [HI, ERROR, line_ends].concat();
        for cut in HI.len()..=text.len() {
            let mut relay = relay(Dialect::OpenAiChat);
            let (before, after) = text.split_at(cut);
            let fault = [before, after].iter().find_map(|part| push(&mut relay, part).0.err());
            let Some(StreamFault::ErrorEvent { raw, .. }) = fault else {
                panic!("{line_ends:?} {cut}: {fault:?}")
            };
            assert_eq!(raw, [ERROR, expected].concat(), "{line_ends:?} cut at {cut}");
        }
    }
}

#[track_caller]
fn check_fault(dialect: Dialect, before: &str, event: &str, kind: FailureKind) {
    let mut relay = relay(dialect);
    let (result, out) = push(&mut relay, &[before, event, HI].concat());
    assert_eq!(out, before);
    match result {
        Err(StreamFault::ErrorEvent { failure, raw }) => {
            assert_eq!((failure.kind, &*raw), (kind, event.as_bytes()), "{event}")
        }
        other => panic!("{event}: {other:?}"),
    }
    let mut out = Vec::new();
    relay.push(Bytes::from_static(STOP.as_bytes()), &mut out).unwrap();
    assert_eq!((relay.finish(&mut out), out.len(), relay.is_done()), (StreamEnd::Cut, 0, false));
}

#[test]
fn an_error_in_the_stream_ends_it() {
    use Dialect::{
        AnthropicMessages, OpenAiChat, OpenAiCompletions, OpenAiEmbeddings, OpenAiRaw, OpenAiResponses,
    };
    use FailureKind::{ErrorAnswer, RateLimited, Rejected, Unavailable};
    for (dialect, before, event, kind) in [
        (OpenAiChat, "", r#"data: {"error":{"message":"x","code":429}}"#, RateLimited),
        (OpenAiChat, HI, r#"data: {"error":{"message":"x","code":503}}"#, Unavailable),
        (OpenAiChat, HI, r#"data: {"error":"gone"}"#, ErrorAnswer),
        (
            OpenAiCompletions,
            HI,
            "event: error\ndata: {\"message\":\"x\",\"type\":\"server_error\"}",
            Unavailable,
        ),
        (OpenAiChat, HI, "event: error\ndata: {}", ErrorAnswer),
        (OpenAiChat, HI, r#"data: {"choices":[{"delta":{},"finish_reason":"error"}]}"#, ErrorAnswer),
        (
            OpenAiChat,
            HI,
            r#"data: {"error":{"code":502},"choices":[{"finish_reason":"error"}]}"#,
            Unavailable,
        ),
        (
            OpenAiChat,
            "",
            r#"data: {"object":"error","message":"x","error":{"type":"BadRequestError"}}"#,
            Rejected,
        ),
        (
            OpenAiResponses,
            "",
            r#"data: {"type":"error","code":"rate_limit_exceeded","message":"x"}"#,
            RateLimited,
        ),
        (
            OpenAiResponses,
            CREATED,
            r#"data: {"type":"error","error":{"code":"context_length_exceeded"}}"#,
            Rejected,
        ),
        (
            OpenAiResponses,
            CREATED,
            r#"data: {"type":"response.failed","response":{"status":"failed","error":{"code":"server_error"}}}"#,
            Unavailable,
        ),
        (OpenAiResponses, "", "event: response.failed\ndata: {\"response\":{}}", ErrorAnswer),
        (
            AnthropicMessages,
            MESSAGE_START,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
            Unavailable,
        ),
        (AnthropicMessages, "", r#"data: {"type":"error","error":{"type":"rate_limit_error"}}"#, RateLimited),
        (AnthropicMessages, "", r#"data: {"type":"error"}"#, ErrorAnswer),
        (AnthropicMessages, "", r#"data: {"error":{"code":503}}"#, Unavailable),
        (OpenAiEmbeddings, "", r#"data: {"error":{"code":503}}"#, Unavailable),
        (OpenAiRaw, "", r#"data: {"error":{"code":503}}"#, Unavailable),
    ] {
        check_fault(dialect, before, &format!("{event}\n\n"), kind);
    }
}

#[test]
fn an_error_outside_of_any_event_is_one() {
    const GOOGLES: &str = "{\n  \"error\": {\n    \"code\": 429,\n    \"message\": \"x\",\n    \"status\": \"RESOURCE_EXHAUSTED\"\n  }\n}\n";
    let hello = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"index\":0}]}\r\n\r\n";
    for (dialect, before, bare) in [
        (Dialect::Gemini, hello, GOOGLES),
        (Dialect::Gemini, "", GOOGLES),
        (Dialect::OpenAiChat, HI, "{\"error\":{\"message\":\"x\",\"code\":429}}"),
        (
            Dialect::AnthropicMessages,
            MESSAGE_START,
            "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}",
        ),
    ] {
        // At the end of the body, and as an event that has no data.
        let mut ended = relay(dialect);
        assert_eq!(push(&mut ended, &[before, bare].concat()), (Ok(()), before.to_owned()));
        let mut out = Vec::new();
        let StreamEnd::Failed(failure) = ended.finish(&mut out) else { panic!("{bare}") };
        assert_eq!((failure.kind, out.len()), (FailureKind::RateLimited, 0), "{bare}");
        let mut goes_on = relay(dialect);
        let (result, out) = push(&mut goes_on, &[before, bare, "\n\n", before].concat());
        let Err(StreamFault::Failed(failure)) = result else { panic!("{bare}: {result:?}") };
        assert_eq!((failure.kind, out.as_str()), (FailureKind::RateLimited, before), "{bare}");
    }
    // Half of one, other JSON, and what comes behind a whole answer are none.
    check_end(Dialect::Gemini, &[hello, GOOGLES.get(..60).unwrap()].concat(), StreamEnd::Cut, "");
    check_end(Dialect::OpenAiChat, &[HI, "{\"choices\":[]}"].concat(), StreamEnd::Cut, "");
    check_end(
        Dialect::AnthropicMessages,
        &[MESSAGE_START, MESSAGE_STOP, "{\"type\":\"error\"}"].concat(),
        StreamEnd::Complete,
        "",
    );
    check_end(Dialect::OpenAiRaw, "data: a\n\n{\"error\":{\"code\":429}}", StreamEnd::Complete, "");
}

#[test]
fn what_only_looks_like_an_error_is_none() {
    for event in [
        r#"data: {"error":null,"choices":[]}"#,
        r#"data: {"error":"","choices":[]}"#,
        r#"data: {"error":{},"choices":[]}"#,
        r#"data: {"choices":[{"delta":{"error":"content"},"error":"x"}]}"#,
    ] {
        let event = format!("{event}\n\n");
        assert_eq!(push(&mut relay(Dialect::OpenAiChat), &event), (Ok(()), event));
    }
    for event in [
        r#"data: {"type":"response.mcp_call.failed","error":{"code":500,"message":"a tool's"}}"#,
        r#"data: {"type":"response.in_progress","response":{"id":"resp_1","error":null}}"#,
    ] {
        let event = format!("{event}\n\n");
        assert_eq!(push(&mut relay(Dialect::OpenAiResponses), &event), (Ok(()), event));
    }
}

#[track_caller]
fn check_end(dialect: Dialect, events: &str, end: StreamEnd, appended: &str) {
    let mut relay = relay(dialect);
    push(&mut relay, events).0.unwrap();
    let mut out = Vec::new();
    assert_eq!(
        (relay.finish(&mut out), String::from_utf8(out.concat()).unwrap().as_str()),
        (end, appended),
        "{events}"
    );
}

#[test]
fn only_a_finished_answer_is_complete() {
    use Dialect::{AnthropicMessages, OpenAiChat, OpenAiCompletions, OpenAiRaw, OpenAiResponses};
    use StreamEnd::{Complete, Cut};
    let done = "data: [DONE]\n\n";
    let other = "data: {\"choices\":[{\"index\":1,\"delta\":{}}]}\n\n";
    let far = "data: {\"choices\":[{\"index\":4096,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let completed = "data: {\"type\":\"response.completed\",\"response\":{}}\n\n";
    for (dialect, events, end, appended) in [
        (OpenAiChat, vec![], Cut, ""),
        (OpenAiChat, vec![HI], Cut, ""),
        (OpenAiChat, vec![HI, STOP], Complete, done),
        (OpenAiCompletions, vec![HI, STOP], Complete, done),
        (OpenAiChat, vec![HI, done], Complete, ""),
        (OpenAiChat, vec![HI, STOP, other], Cut, ""),
        (OpenAiChat, vec![far, STOP], Cut, ""),
        (OpenAiChat, vec![far, done], Complete, ""),
        (OpenAiChat, vec![done], Cut, ""),
        (OpenAiChat, vec![HI, "data: [DONE]"], Complete, done),
        (OpenAiChat, vec![HI, "data: [DONE]\n"], Complete, "data: [DONE]\n\n"),
        (OpenAiChat, vec![HI, "data: [DONE"], Cut, ""),
        (OpenAiChat, vec![HI, STOP.trim_end()], Complete, &format!("{STOP}{done}")),
        (OpenAiChat, vec![HI, STOP.trim_end(), "\nid"], Cut, ""),
        (OpenAiChat, vec![HI, ": half a comm"], Cut, ""),
        (OpenAiChat, vec![HI, STOP, "data: {\"error\":\"late\"}"], Cut, ""),
        (OpenAiResponses, vec![CREATED], Cut, ""),
        (OpenAiResponses, vec![CREATED, done], Cut, ""),
        (OpenAiResponses, vec![CREATED, completed], Complete, ""),
        (OpenAiResponses, vec![CREATED, completed, done], Complete, ""),
        (AnthropicMessages, vec![], Cut, ""),
        (AnthropicMessages, vec![MESSAGE_START, PING], Cut, ""),
        (AnthropicMessages, vec![MESSAGE_START, done], Cut, ""),
        (AnthropicMessages, vec![MESSAGE_START, MESSAGE_STOP], Complete, ""),
        (AnthropicMessages, vec![MESSAGE_START, "event: message_stop\ndata: {}\n\n"], Complete, ""),
        (AnthropicMessages, vec![MESSAGE_START, MESSAGE_STOP.trim_end()], Complete, MESSAGE_STOP),
        (OpenAiRaw, vec![], Cut, ""),
        (OpenAiRaw, vec!["data: anything\n\n"], Complete, ""),
    ] {
        check_end(dialect, &events.concat(), end, appended);
    }
}

#[test]
fn a_relayed_endpoint_may_stream_anything() {
    let text = "event: done\n\ndata: plain\n\nid: 7\n\ndata: {\"model\":\"m\",\ndata: \"usage\":{\"input_tokens\":3}}\n\n";
    let mut raw = relay(Dialect::OpenAiRaw);
    assert_eq!(push(&mut raw, text), (Ok(()), text.to_owned()));
    assert_eq!((raw.tally().skipped, raw.tally().usage.map(|usage| usage.input)), (0, Some(3)));
}

#[test]
fn nothing_follows_the_end() {
    let mut chat = relay(Dialect::OpenAiChat);
    assert_eq!(
        push(&mut chat, &format!("{HI}data: [DONE]\n\n{HI}: x\n\ndata: [DONE]\n\n")).1,
        format!("{HI}data: [DONE]\n\n")
    );
    assert!(chat.is_done());
    let mut messages = relay(Dialect::AnthropicMessages);
    let (_, out) = push(&mut messages, &[MESSAGE_START, MESSAGE_STOP, PING, MESSAGE_STOP].concat());
    assert_eq!((out, messages.is_done()), ([MESSAGE_START, MESSAGE_STOP].concat(), true));
    let completed = "data: {\"type\":\"response.completed\",\"response\":{}}\n\n";
    let mut responses = relay(Dialect::OpenAiResponses);
    let (_, out) = push(&mut responses, &format!("{CREATED}{completed}{CREATED}data: [DONE]\n\n"));
    assert_eq!(out, format!("{CREATED}{completed}data: [DONE]\n\n"));
}

#[test]
fn an_event_beyond_the_limit_is_a_fault_however_it_comes() {
    let long = format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(300));
    for size in [1, 7, 299, 1000] {
        let mut relay = relay(Dialect::OpenAiChat);
        let mut out = Vec::new();
        let text = format!("{HI}{long}");
        let result = text
            .as_bytes()
            .chunks(size)
            .try_for_each(|chunk| relay.push(Bytes::copy_from_slice(chunk), &mut out));
        assert_eq!(
            (result, out.concat()),
            (Err(StreamFault::EventTooLarge), HI.as_bytes().to_vec()),
            "{size}"
        );
    }
    let exact = format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(300 - 16));
    assert_eq!(exact.len(), 300);
    assert_eq!(push(&mut relay(Dialect::OpenAiChat), &exact), (Ok(()), exact.clone()));
}

#[test]
fn everything_the_model_wrote_is_counted() {
    for (dialect, event, bytes) in [
        (
            Dialect::OpenAiChat,
            r#"{"choices":[{"delta":{"content":"\u00e9","reasoning":"ab","refusal":"c"}}]}"#,
            5,
        ),
        (
            Dialect::OpenAiChat,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}"#,
            3,
        ),
        (
            Dialect::OpenAiChat,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"x": 1}}}]}}]}"#,
            8,
        ),
        (
            Dialect::OpenAiChat,
            r#"{"choices":[{"delta":{"function_call":{"arguments":"ab"}}},{"delta":{"content":"c"}}]}"#,
            3,
        ),
        (Dialect::OpenAiChat, r#"{"choices":[{"delta":{"role":"assistant","content":null}}],"x":"abc"}"#, 0),
        (Dialect::OpenAiChat, r#"{"choices":[null,7,{"delta":null}]}"#, 0),
        (Dialect::OpenAiCompletions, r#"{"choices":[{"text":"abc"}]}"#, 3),
        (Dialect::AnthropicMessages, r#"{"delta":{"text":"abc"},"type":"content_block_delta"}"#, 3),
        (Dialect::AnthropicMessages, r#"{"delta":{"thinking":"\u00e9"}}"#, 2),
        (Dialect::AnthropicMessages, r#"{"delta":{"partial_json":"{\"a"},"index":1}"#, 3),
        (Dialect::AnthropicMessages, r#"{"delta":{"signature":"abc"}}"#, 0),
        (Dialect::AnthropicMessages, r#"{"content_block":{"type":"tool_use","name":"ab","input":{}}}"#, 2),
        (
            Dialect::AnthropicMessages,
            r#"{"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#,
            0,
        ),
        (Dialect::OpenAiResponses, r#"{"delta":"abc","type":"response.reasoning_text.delta"}"#, 3),
        (Dialect::OpenAiResponses, r#"{"type":"response.output_text.done","text":"abc","delta":"abc"}"#, 0),
    ] {
        let mut relay = relay(dialect);
        push(&mut relay, &format!("data: {event}\n\n")).0.unwrap();
        assert_eq!((relay.tally().output_bytes, relay.tally().events), (bytes, 1), "{event}");
    }
}

#[test]
fn only_a_usage_event_of_its_own_is_withheld() {
    let usage = r#""usage":{"prompt_tokens":1,"completion_tokens":1}"#;
    for (event, passes) in [
        (format!(r#"{{"choices":[],{usage}}}"#), false),
        (format!(r#"{{{usage}}}"#), false),
        (format!(r#"{{"choices":null,{usage}}}"#), false),
        (format!(r#"{{"choices":[{{"delta":{{}}}}],{usage}}}"#), true),
        (r#"{"choices":[],"usage":null}"#.to_owned(), true),
        (r#"{"choices":[],"prompt_filter_results":[]}"#.to_owned(), true),
    ] {
        let text = format!("data: {event}\r\n\r\n");
        let expected = if passes { text.clone() } else { String::new() };
        assert_eq!(push(&mut relay(Dialect::OpenAiChat), &text).1, expected);
        // Cut between the CR and the LF of the blank line, the LF shares the fate of its event.
        let mut relay = relay(Dialect::OpenAiChat);
        let (head, tail) = text.split_at(text.len() - 1);
        assert_eq!(push(&mut relay, head).1 + &push(&mut relay, "").1 + &push(&mut relay, tail).1, expected);
    }
}

#[test]
fn a_broken_stream_ends_in_its_own_grammar() {
    let error = WireError {
        status: 502,
        code: "upstream_error",
        message: "it broke",
        param: None,
        request_id: "req-1",
    };
    let fields = r#"{"message":"it broke","type":"server_error","param":null,"code":"upstream_error"}"#;
    let mut chat = relay(Dialect::OpenAiChat);
    push(&mut chat, HI).0.unwrap();
    assert_eq!(chat.encode_error(&error), format!("data: {{\"error\":{fields}}}\n\n"));
    let event = |sequence| {
        let flat = r#""code":"upstream_error","message":"it broke","param":null"#;
        format!(
            "event: error\ndata: {{\"type\":\"error\",{flat},\"sequence_number\":{sequence},\"error\":{fields}}}\n\n"
        )
    };
    let mut messages = relay(Dialect::AnthropicMessages);
    push(&mut messages, MESSAGE_START).0.unwrap();
    let event_of_messages = concat!(
        "event: error\n",
        r#"data: {"type":"error","error":{"type":"api_error","message":"it broke","code":"upstream_error"},"request_id":"req-1"}"#,
        "\n\n"
    );
    assert_eq!(messages.encode_error(&error), event_of_messages);
    let mut responses = relay(Dialect::OpenAiResponses);
    assert_eq!(responses.encode_error(&error), event(0));
    push(&mut responses, CREATED).0.unwrap();
    let failed = concat!(
        "event: response.failed\n",
        r#"data: {"type":"response.failed","sequence_number":6,"response":{"id":"resp_1","object":"response","status":"failed","#,
        r#""error":{"code":"upstream_error","message":"it broke"},"output":[]}}"#,
        "\n\n"
    );
    assert_eq!(responses.encode_error(&error), event(5) + failed);
}
