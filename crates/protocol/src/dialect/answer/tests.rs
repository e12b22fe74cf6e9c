//! Answers under a status of success, good and bad; what they used is the golden files' affair.

use super::*;

const CHAT: &str = r#"{"id":"c1","model":"m","choices":[{"message":{"content":"h\u00e9","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}"#;

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","model":"m","content":[{"type":"thinking","thinking":"ab","signature":"sig"},{"type":"text","text":"h\u00e9"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}},{"type":"web_search_tool_result","content":[{"text":"found"}]}],"usage":{"input_tokens":1,"output_tokens":2}}"#;

#[track_caller]
fn check_refused(dialect: Dialect, body: &[u8], kind: FailureKind) {
    let failure = inspect_answer(dialect, body).unwrap_err();
    assert_eq!(failure.kind, kind, "{}: {failure}", String::from_utf8_lossy(body));
}

#[test]
fn what_is_no_answer_is_refused_before_it_is_passed_on() {
    use FailureKind::{ErrorAnswer, Malformed, RateLimited, Rejected, Truncated, Unavailable};
    for &dialect in
        Dialect::ALL.iter().filter(|dialect| !matches!(dialect, Dialect::OpenAiRaw | Dialect::AgentRpc))
    {
        for (body, kind) in [
            (&b""[..], Malformed),
            (b" \r\n", Malformed),
            (b"<!DOCTYPE html><h1>502 Bad Gateway</h1>", Malformed),
            (b"Internal Server Error", Malformed),
            (b"{\"choices\":", Truncated),
            (b"{\"id\":\"x\",\"choices\":[{\"text\":\"\xc3", Truncated),
            (b"{\"id\":\"\xff\"}", Malformed),
            (b"{} {}", Malformed),
            (b"{}", Malformed),
            (b"null", Malformed),
            (b"[]", Malformed),
            (b"17", Malformed),
            (b"{\"error\":{\"message\":\"x\"}}", ErrorAnswer),
            (b"{\"error\":\"x\"}", ErrorAnswer),
            (b"{\"error\":{\"code\":429}}", RateLimited),
            (b"{\"error\":{\"type\":\"server_error\"}}", Unavailable),
            (b"[{\"error\":{\"code\":400,\"message\":\"x\"}}]", Rejected),
        ] {
            check_refused(dialect, body, kind);
        }
    }
    check_refused(
        Dialect::OpenAiResponses,
        br#"{"output":[],"status":"failed","error":{"code":"server_error"}}"#,
        Unavailable,
    );
    check_refused(Dialect::OpenAiResponses, br#"{"output":[],"status":"failed","error":null}"#, ErrorAnswer);
    check_refused(Dialect::OpenAiChat, br#"{"object":"list","data":[]}"#, Malformed);
    for (body, kind) in [
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Unavailable),
        (r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#, RateLimited),
        (r#"{"type":"error","content":[]}"#, ErrorAnswer),
        (r#"{"type":"message","content":"text"}"#, Malformed),
        (r#"{"type":"message","id":"msg_1"}"#, Malformed),
        (r#"{"choices":[{"message":{"content":"x"}}]}"#, Malformed),
    ] {
        check_refused(Dialect::AnthropicMessages, body.as_bytes(), kind);
    }
}

#[test]
fn every_cut_of_an_answer_is_seen() {
    for (dialect, answer) in [(Dialect::OpenAiChat, CHAT), (Dialect::AnthropicMessages, MESSAGE)] {
        for end in 1..answer.len() {
            check_refused(dialect, &answer.as_bytes()[..end], FailureKind::Truncated);
        }
    }
}

#[test]
fn what_an_answer_holds_is_found() {
    for (dialect, body, id, bytes) in [
        (Dialect::OpenAiChat, CHAT, Some("c1"), 6),
        (Dialect::OpenAiChat, r#"{"choices":[]}"#, None, 0),
        (
            Dialect::OpenAiChat,
            r#"{"error":null,"choices":[{"message":{"content":null,"reasoning_content":"abc"}}]}"#,
            None,
            3,
        ),
        (Dialect::OpenAiCompletions, r#"{"choices":[{"text":"abc"},{"text":"d"}]}"#, None, 4),
        (Dialect::AnthropicMessages, MESSAGE, Some("msg_1"), 13),
        (Dialect::AnthropicMessages, r#"{"content":[]}"#, None, 0),
        (Dialect::AnthropicMessages, r#"{"input_tokens":2095}"#, None, 0),
        (Dialect::OpenAiEmbeddings, r#"{"data":[{"embedding":"AAAA"}],"model":"m"}"#, None, 0),
        (
            Dialect::OpenAiResponses,
            r#"{"id":"resp_1","output":[{"content":[{"text":"ab"}],"summary":[{"text":"c"}]},{"name":"f","arguments":"{}"}]}"#,
            Some("resp_1"),
            6,
        ),
    ] {
        let found = inspect_answer(dialect, body.as_bytes()).unwrap();
        assert_eq!((found.id.as_deref(), found.output_bytes), (id, bytes), "{body}");
        assert_eq!(
            found.model.map(|place| &body[place]),
            body.contains("model").then_some("\"m\""),
            "{body}"
        );
    }
}

#[test]
fn a_relayed_answer_may_be_anything() {
    for body in [
        &b""[..],
        b"\x89PNG\r\n",
        b"{\"error\":{}}\n{\"error\":1}\n",
        b"[1]",
        b"{\"data\":[",
        b"{\"error\":\"x\"}",
    ] {
        assert_eq!(inspect_answer(Dialect::OpenAiRaw, body), Ok(AnswerOutline::default()));
    }
}
