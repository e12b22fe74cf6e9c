//! Requests as clients write them, and what is read off and written into them; never a whole body.

use super::*;
use crate::{Edits, rewrite};
use bytes::Bytes;

fn chat(fields: &str) -> Result<Outline, DecodeError> {
    outline(
        Dialect::OpenAiChat,
        format!(r#"{{"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#).as_bytes(),
    )
}

#[track_caller]
fn check_refused(dialect: Dialect, body: &[u8], code: &str, param: Option<&str>) {
    let error = outline(dialect, body).unwrap_err();
    assert_eq!((error.code(), error.param()), (code, param), "{error}");
}

#[test]
fn a_field_that_decides_may_stand_only_once_however_it_is_spelled() {
    for (fields, param) in [
        (r#","model":"a","model":"b""#, "model"),
        (r#","model":"a","mod\u0065l":"b""#, "model"),
        (r#","\u006dodel":"a","model":null"#, "model"),
        (r#","stream":true,"stream":false"#, "stream"),
        (r#","messages":[]"#, "messages"),
        (r#","max_tokens":1,"max_tokens":2"#, "max_tokens"),
        (r#","stream_options":{},"stream_options":null"#, "stream_options"),
        (
            r#","stream_options":{"include_usage":false,"include_us\u0061ge":true}"#,
            "stream_options.include_usage",
        ),
        (r#","user":"a","user":"b""#, "user"),
        (r#","tools":[],"tools":[]"#, "tools"),
    ] {
        let error = chat(fields).unwrap_err();
        assert_eq!((error.code(), error.param()), ("invalid_request", Some(param)), "{fields}");
        assert_eq!(error.to_string(), format!("The field `{param}` is given more than once."));
    }
    assert!(chat(r#","x":1,"x":2,"metadata":{"model":"a","model":"b"}"#).is_ok());
}

#[test]
fn bodies_that_are_no_request_are_refused_with_the_field_to_blame() {
    use Dialect::{
        AnthropicMessages, OpenAiChat, OpenAiCompletions, OpenAiEmbeddings, OpenAiRaw, OpenAiResponses,
    };
    for body in [
        &b""[..],
        b" ",
        b"{",
        b"nonsense",
        b"{\"model\":\"\xff\"}",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":NaN}",
    ] {
        for &dialect in Dialect::ALL {
            check_refused(dialect, body, "invalid_json", None);
        }
    }
    for body in [&b"[]"[..], b"null", b"\"x\"", b"1e400"] {
        for &dialect in Dialect::ALL {
            check_refused(dialect, body, "invalid_request", None);
        }
    }
    for (dialect, body, code, param) in [
        (OpenAiChat, r#"{}"#, "invalid_request", "messages"),
        (OpenAiChat, r#"{"messages":null}"#, "invalid_request", "messages"),
        (OpenAiChat, r#"{"messages":"hi"}"#, "invalid_request", "messages"),
        (OpenAiChat, r#"{"messages":[]}"#, "empty_messages", "messages"),
        (OpenAiChat, r#"{"messages":[{},"hi"]}"#, "invalid_request", "messages[1]"),
        (OpenAiChat, r#"{"messages":[{"content":7}]}"#, "invalid_request", "messages[0].content"),
        (OpenAiChat, r#"{"messages":[{}],"model":7}"#, "invalid_request", "model"),
        (OpenAiChat, r#"{"messages":[{}],"stream":"true"}"#, "invalid_request", "stream"),
        (OpenAiChat, r#"{"messages":[{}],"stream_options":true}"#, "invalid_request", "stream_options"),
        (AnthropicMessages, r#"{"model":"m"}"#, "invalid_request", "messages"),
        (AnthropicMessages, r#"{"messages":[]}"#, "empty_messages", "messages"),
        (AnthropicMessages, r#"{"messages":[7]}"#, "invalid_request", "messages[0]"),
        (AnthropicMessages, r#"{"messages":[{"content":7}]}"#, "invalid_request", "messages[0].content"),
        (AnthropicMessages, r#"{"messages":[{}],"system":7}"#, "invalid_request", "system"),
        (AnthropicMessages, r#"{"messages":[{}],"system":"a","system":"b"}"#, "invalid_request", "system"),
        (AnthropicMessages, r#"{"messages":[{}],"stream":1}"#, "invalid_request", "stream"),
        (OpenAiEmbeddings, r#"{"model":"m"}"#, "invalid_request", "input"),
        (OpenAiResponses, r#"{"input":7}"#, "invalid_request", "input"),
        (OpenAiCompletions, r#"{"model":[]}"#, "invalid_request", "model"),
        (OpenAiRaw, r#"{"model":{}}"#, "invalid_request", "model"),
    ] {
        check_refused(dialect, body.as_bytes(), code, Some(param));
    }
}

#[test]
fn every_kind_of_message_is_let_through_and_weighed() {
    for (messages, bytes) in [
        (r#"{"role":"system","content":"0123456789"}"#, 18),
        (r#"{"role":"developer","content":null}"#, 11),
        (r#"{"role":"assistant","content":null,"tool_calls":[]}"#, 13),
        (r#"{"role":"function","name":"f","content":""}"#, 13),
        (r#"{"role":"unheard-of","x":{"y":1e400}}"#, 23),
        (r#"{"role":"user","content":[{"type":"text","text":"0123456789"},"bare",null]}"#, 20),
        (
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}"#,
            3006,
        ),
        (r#"{"role":"user","content":[{"input_audio":{"data":"AAAA"},"type":"input_audio"}]}"#, 3006),
        (r#"{"role":"tool","content":"\u00e9\n"}"#, 9),
    ] {
        let outline =
            outline(Dialect::OpenAiChat, format!(r#"{{"messages":[{messages}]}}"#).as_bytes()).unwrap();
        assert_eq!(outline.prompt_bytes, bytes, "{messages}");
    }
}

#[test]
fn every_block_is_weighed_and_media_have_one_size() {
    for (block, bytes) in [
        (r#"{"type":"text","text":"0123456789"}"#, 10),
        (r#"{"type":"text","text":"0123456789","cache_control":{"type":"ephemeral"}}"#, 30),
        (
            r#"{"source":{"data":"AAAA","media_type":"image/png","type":"base64"},"type":"image"}"#,
            MEDIA_BYTES,
        ),
        (r#"{"type":"document","source":{"type":"url","url":"https://a.b/c"},"title":"t"}"#, MEDIA_BYTES + 1),
        (r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"0123"}}"#, 4),
        (
            r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"012"},{"type":"image","source":{"type":"file","file_id":"f"}}]}}"#,
            3 + MEDIA_BYTES,
        ),
        (r#"{"type":"tool_use","id":"t","name":"f","input":{"a": 1}}"#, 10),
        (r#"{"type":"tool_result","tool_use_id":"t","content":"0123"}"#, 5),
        (
            r#"{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"0"},{"type":"image","source":{"type":"base64","data":"AA"}}]}"#,
            2 + MEDIA_BYTES,
        ),
        (r#"{"type":"thinking","thinking":"01","signature":"sig"}"#, 5),
        (r#"{"type":"unheard-of","x":[1]}"#, 3),
        (r#""bare""#, 6),
    ] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{block}]}}]}}"#);
        let outline = outline(Dialect::AnthropicMessages, body.as_bytes()).unwrap();
        assert_eq!(outline.prompt_bytes, 6 + bytes, "{block}");
    }
}

#[test]
fn a_messages_request_says_what_it_is() {
    let body = br#"{"model":"claude","max_tokens":64,"stream":true,"system":[{"type":"text","text":"abc"}],"tools":[{"name":"f"}],
        "messages":[{"role":"user","content":[{"type":"image","source":{}},{"type":"document","source":{}}]}],
        "metadata":{"user_id":"u-1"},"thinking":{"type":"enabled","budget_tokens":1024},
        "output_config":{"effort":"high","format":{"type":"json_schema","schema":{}}},"stream_options":7,"x":{"model":1}}"#;
    let found = outline(Dialect::AnthropicMessages, body).unwrap();
    assert_eq!(found.model.as_ref().unwrap().name, "claude");
    assert_eq!((found.stream, found.max_output_tokens, found.user.as_deref()), (true, Some(64), Some("u-1")));
    let needs = Needs { tools: true, images: true, files: true, json_schema: true, ..Needs::default() };
    assert_eq!(found.needs, needs);
    assert_eq!(found.beginning(body), Some(crate::digest(br#"[{"type":"text","text":"abc"}]"#)));
    let body = Bytes::from_static(body);
    let edited =
        rewrite(&body, &found, &Edits { model: Some("native"), ask_usage: true, ..Edits::default() })
            .concat();
    assert_eq!(edited, String::from_utf8_lossy(&body).replace(r#""claude""#, r#""native""#).as_bytes());
}

/// A client of two providers sends the seals of both to each; each is spared what it cannot read.
#[test]
fn wrapped_seals_do_not_reach_a_server_of_the_clients_dialect() {
    let own = r#"{"type":"thinking","thinking":"a","signature":"EqQB"}"#;
    let text = r#"{"type":"text","text":"a"}"#;
    let thought = r#"{"type":"thinking","thinking":"b","signature":"lg1.openai_chat.s..reasoning_content"}"#;
    let sealed = r#"{"data":"lgcall.lg1.gemini.s..CoQ","type":"redacted_thinking"}"#;
    let image = r#"{"type":"image","source":{"type":"base64","data":"lg1.openai_chat.s..x"}}"#;
    for (blocks, kept) in [
        (&[own, text][..], Some(&[own, text][..])),
        (&[thought, text], Some(&[text])),
        (&[text, thought], Some(&[text])),
        (&[thought, own, sealed, sealed, text, thought], Some(&[own, text])),
        (&[thought, sealed, own], Some(&[own])),
        (&[thought, sealed], None),
        (&[image], Some(&[image])),
        (&[], Some(&[])),
    ] {
        let message =
            |blocks: &[&str]| format!(r#"{{"role":"assistant","content":[{}]}}"#, blocks.join(" , "));
        let user = r#"{"role":"user","content":"hi"}"#.to_owned();
        let body = |between: Vec<String>| {
            let messages: Vec<String> =
                [user.clone()].into_iter().chain(between).chain([user.clone()]).collect();
            format!(r#"{{"messages":[{}],"max_tokens":1}}"#, messages.join(","))
        };
        let sent = Bytes::from(body(vec![message(blocks)]));
        let found = outline(Dialect::AnthropicMessages, &sent).unwrap();
        let passed = rewrite(&sent, &found, &Edits::default()).concat();
        let expected = body(kept.map(message).into_iter().collect());
        assert_eq!(String::from_utf8(passed).unwrap(), expected, "{blocks:?}");
    }
}

#[test]
fn what_a_request_needs_is_seen() {
    use Dialect::{OpenAiChat, OpenAiResponses};
    let none = Needs::default();
    for (dialect, fields, needs) in [
        (OpenAiChat, r#""tools":[],"response_format":{"type":"text"}"#, none),
        (OpenAiChat, r#""tools":[{"type":"function"}]"#, Needs { tools: true, ..none }),
        (OpenAiChat, r#""functions":[{}]"#, Needs { tools: true, ..none }),
        (OpenAiChat, r#""modalities":["text","audio"]"#, Needs { audio: true, ..none }),
        (
            OpenAiChat,
            r#""response_format":{"json_schema":{},"type":"json_schema"}"#,
            Needs { json_schema: true, ..none },
        ),
        (OpenAiResponses, r#""text":{"format":{"type":"json_schema"}}"#, Needs { json_schema: true, ..none }),
        (OpenAiResponses, r#""tools":[{"type":"web_search"}]"#, Needs { tools: true, ..none }),
        (
            OpenAiResponses,
            r#""input":[{"content":[{"type":"input_file"},{"type":"input_image"}]},{"output":[{"type":"input_image"}]}]"#,
            Needs { images: true, files: true, ..none },
        ),
        (OpenAiResponses, r#""input":[{"type":"compaction_trigger"}]"#, Needs { own_dialect: true, ..none }),
        (OpenAiResponses, r#""input":[{"type":"compacti\u006fn"}]"#, Needs { own_dialect: true, ..none }),
        (OpenAiResponses, r#""conversation":"conv_1""#, Needs { own_dialect: true, ..none }),
        (OpenAiResponses, r#""prompt":{"id":"pmpt_1"}"#, Needs { own_dialect: true, ..none }),
        (OpenAiResponses, r#""prompt":null,"conversation":null"#, none),
    ] {
        let messages = if dialect == OpenAiChat { r#""messages":[{}],"# } else { "" };
        let outline = outline(dialect, format!("{{{messages}{fields}}}").as_bytes()).unwrap();
        assert_eq!(outline.needs, needs, "{fields}");
    }
}

#[test]
fn hints_are_taken_where_they_are_what_they_should_be() {
    let found = chat(
        r#","model":"pr\u00fcf/m","stream":true,"max_tokens":5,"max_completion_tokens":7,"user":"u","prompt_cache_key":3,
           "stream_options":{"include_usage":true}"#,
    )
    .unwrap();
    assert_eq!(found.model.unwrap().name, "prüf/m");
    assert_eq!((found.stream, found.usage_asked, found.max_output_tokens), (true, true, Some(7)));
    assert_eq!((found.user.as_deref(), found.prompt_cache_key), (Some("u"), None));
    for written in ["-1", "null", "1.5", "\"9\"", "99999999999999999999"] {
        assert_eq!(
            chat(&format!(r#","max_tokens":{written}"#)).unwrap().max_output_tokens,
            None,
            "{written}"
        );
    }
    let body = br#"{"previous_response_id":"resp_1","input":"hi","instructions":"be"}"#;
    let found = outline(Dialect::OpenAiResponses, body).unwrap();
    assert_eq!((found.previous_response_id.as_deref(), found.prompt_bytes), (Some("resp_1"), 6));
}

#[test]
fn answers_beside_each_other_are_counted() {
    for (dialect, body, answers) in [
        (Dialect::OpenAiChat, r#"{"messages":[{"role":"user","content":"a"}],"n":3}"#, 3),
        (Dialect::OpenAiChat, r#"{"messages":[{"role":"user","content":"a"}],"n":0}"#, 1),
        (Dialect::OpenAiChat, r#"{"messages":[{"role":"user","content":"a"}],"n":"x"}"#, 1),
        (Dialect::OpenAiChat, r#"{"messages":[{"role":"user","content":"a"}]}"#, 1),
        (Dialect::OpenAiCompletions, r#"{"prompt":"a","n":2,"best_of":5}"#, 5),
        (Dialect::OpenAiCompletions, r#"{"prompt":"a","best_of":1,"n":2}"#, 2),
        (Dialect::Gemini, r#"{"contents":[],"generationConfig":{"candidateCount":4}}"#, 4),
    ] {
        assert_eq!(outline(dialect, body.as_bytes()).unwrap().answers, answers, "{body}");
    }
}

#[test]
fn embeddings_take_texts_and_tokens() {
    for (input, bytes) in [(r#""0123""#, 4), (r#"["0123","45"]"#, 6), ("[1,2,3]", 12), ("[[1,2],[3]]", 12)] {
        let body = format!(r#"{{"input":{input},"encoding_format":null}}"#);
        assert_eq!(outline(Dialect::OpenAiEmbeddings, body.as_bytes()).unwrap().prompt_bytes, bytes);
    }
}

#[track_caller]
fn check_rewrite(body: &str, edits: Edits<'_>, expected: &str) {
    let dialect = Dialect::OpenAiCompletions;
    let body = Bytes::copy_from_slice(body.as_bytes());
    let segments = rewrite(&body, &outline(dialect, &body).unwrap(), &edits);
    assert_eq!(String::from_utf8(segments.concat()).unwrap(), expected);
    assert!(!segments.spilled() && outline(dialect, &segments.concat()).is_ok());
}

#[test]
fn a_model_is_replaced_in_place_or_put_in_front() {
    for (body, expected) in [
        (r#"{}"#, r#"{"model":"n\"1"}"#),
        (r#" { } "#, r#" {"model":"n\"1" } "#),
        (r#"{"x":1}"#, r#"{"model":"n\"1","x":1}"#),
        ("\n{ \"mod\\u0065l\" :\t\"a\\nb\" , \"x\":1.0 }", "\n{ \"mod\\u0065l\" :\t\"n\\\"1\" , \"x\":1.0 }"),
        (r#"{"model":null}"#, r#"{"model":"n\"1"}"#),
        (
            r#"{"a":{"model":"inner"},"model":"m","z":1e400}"#,
            r#"{"a":{"model":"inner"},"model":"n\"1","z":1e400}"#,
        ),
        (r#"{"model":"n\u00221"}"#, r#"{"model":"n\u00221"}"#),
    ] {
        check_rewrite(body, Edits { model: Some("n\"1"), ask_usage: false, ..Edits::default() }, expected);
    }
}

#[test]
fn usage_is_asked_for_however_the_options_are_written() {
    for (body, expected) in [
        (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{ }}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true }}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":false },"stream":true}"#,
            r#"{"stream_options":{"include_usage":true },"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":null},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"x": 1},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"x": 1},"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (r#"{"stream":false}"#, r#"{"stream":false}"#),
    ] {
        check_rewrite(body, Edits { model: None, ask_usage: true, ..Edits::default() }, expected);
    }
    let both = Edits { model: Some("n"), ask_usage: true, ..Edits::default() };
    check_rewrite(
        r#"{"stream":true}"#,
        both,
        r#"{"model":"n","stream_options":{"include_usage":true},"stream":true}"#,
    );
    check_rewrite(
        r#"{"stream_options":null,"model":"m","stream":true}"#,
        both,
        r#"{"stream_options":{"include_usage":true},"model":"n","stream":true}"#,
    );
}

#[test]
fn nothing_is_copied_where_nothing_changes() {
    let body = Bytes::from_static(br#"{"model":"m","input":[]}"#);
    let found = outline(Dialect::OpenAiResponses, &body).unwrap();
    let segments = rewrite(&body, &found, &Edits { model: Some("m"), ask_usage: true, ..Edits::default() });
    assert_eq!((segments.len(), segments[0].as_ptr()), (1, body.as_ptr()));
}

/// What a conversation begins with decides which cache it warms.
#[test]
fn a_conversation_is_known_by_its_system_prompt_else_by_its_first_message() {
    use Dialect::{OpenAiChat, OpenAiCompletions, OpenAiResponses};
    let beginning = |dialect, body: &str| {
        outline(dialect, body.as_bytes()).expect("a request").beginning(body.as_bytes())
    };
    let of = |text: &str| Some(crate::digest(format!("{text:?}").as_bytes()));
    for (dialect, body, expected) in [
        (OpenAiChat, r#"{"messages":[{"role":"user","content":"hi"}]}"#, of("hi")),
        (
            OpenAiChat,
            r#"{"messages":[{"role":"user","content":"hi"},{"role":"user","content":"you"}]}"#,
            of("hi"),
        ),
        (
            OpenAiChat,
            r#"{"messages":[{"role":"user","content":"hi"},{"content":"be kind","role":"system"}]}"#,
            of("be kind"),
        ),
        (
            OpenAiChat,
            r#"{"messages":[{"role":"developer","content": "a" },{"role":"system","content":"b"}]}"#,
            of("a"),
        ),
        (OpenAiChat, r#"{"messages":[{"role":"user"}]}"#, None),
        (OpenAiResponses, r#"{"input":"hi"}"#, of("hi")),
        (OpenAiResponses, r#"{"input":"hi","instructions":"be kind"}"#, of("be kind")),
        (OpenAiResponses, r#"{"instructions":null,"input":[{"role":"user","content":"hi"}]}"#, of("hi")),
        (OpenAiResponses, r#"{"input":[{"type":"reasoning"},{"role":"developer","content":"a"}]}"#, of("a")),
        (OpenAiCompletions, r#"{"prompt":"hi"}"#, None),
    ] {
        assert_eq!(beginning(dialect, body), expected, "{body}");
    }
}

/// Reading a long prompt whole a second time would cost more than all else that is done for its request.
#[test]
fn a_long_beginning_is_known_by_its_first_16_kb() {
    let known_by = |length: usize, end: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{}{end}"}}]}}"#, "x".repeat(length));
        outline(Dialect::OpenAiChat, body.as_bytes()).expect("a request").beginning(body.as_bytes())
    };
    assert_ne!(known_by(16_000, "a"), known_by(16_000, "b"));
    assert_eq!(known_by(17_000, "a"), known_by(17_000, "b"));
    assert_ne!(known_by(17_000, ""), known_by(16_000, ""));
}
