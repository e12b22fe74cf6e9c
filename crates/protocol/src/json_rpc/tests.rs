//! Framing under every cut, and the messages inside.

use proptest::prelude::*;

use super::*;

fn unframed(chunks: &[&[u8]]) -> Result<Vec<String>, FrameError> {
    let mut unframer = Unframer::new(1000);
    let mut found = Vec::new();
    for chunk in chunks {
        unframer.push(chunk);
        while let Some(message) = unframer.next_message()? {
            found.push(message.to_owned());
        }
    }
    Ok(found)
}

#[test]
fn what_is_no_frame_is_refused() {
    let check = |bytes: &[u8], want: Result<&[&str], FrameError>| {
        let want = want.map(|texts| texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(unframed(&[bytes]), want, "{}", String::from_utf8_lossy(bytes));
    };
    check(b"Content-Length: 2\r\n\r\n{}", Ok(&["{}"]));
    check(b"content-length:2\r\nContent-Type: x\r\n\r\n{}Content-Length: 1", Ok(&["{}"]));
    check(b"Content-Length: 0\r\n\r\nContent-Length: 4\r\n\r\n\xf0\x9f\x98\x80", Ok(&["", "\u{1F600}"]));
    check(b"", Ok(&[]));
    check(b"{\"jsonrpc\":\"2.0\"}", Err(FrameError::Header));
    check(b"Content-Length: +2\r\n\r\n{}", Err(FrameError::Header));
    check(b"Content-Length: -2\r\n\r\n{}", Err(FrameError::Header));
    check(b"Content-Length: 99999999999999999999999\r\n\r\n{}", Err(FrameError::Header));
    check(b"Content-Type: x\r\n\r\n{}", Err(FrameError::Header));
    check(b"Content-Length: 1001\r\n\r\n", Err(FrameError::TooLong { bytes_max: 1000 }));
    check(b"Content-Length: 1\r\n\r\n\xff", Err(FrameError::NotText));
    check(b": x\r\nContent-Length: 2\r\n\r\n{}", Err(FrameError::Header));
    check(b"Content-Length: 2\r\n x: y\r\n\r\n{}", Err(FrameError::Header));
    check(&b"x".repeat(HEAD_BYTES_MAX), Err(FrameError::Header));
}

proptest! {
    #[test]
    fn frames_come_out_however_they_are_cut(
        texts in proptest::collection::vec(".{0,40}", 0..8),
        size in 1_usize..50,
    ) {
        let bytes: String = texts.iter().map(|text| frame(text)).collect();
        let chunks: Vec<&[u8]> = bytes.as_bytes().chunks(size).collect();
        prop_assert_eq!(unframed(&chunks).unwrap(), texts);
    }
}

#[test]
fn a_message_is_theirs_or_an_answer_to_ours() {
    let check = |text: &str, want: &str| {
        let raw = |raw: Option<&RawValue>| raw.map_or("-", RawValue::get).to_owned();
        let told = match read(text) {
            None => "nothing".to_owned(),
            Some(Message::Request { id, method, params }) => format!("{} {method} {}", id.get(), raw(params)),
            Some(Message::Notification { method, params }) => format!("{method} {}", raw(params)),
            Some(Message::Response { id, result: Ok(result) }) => format!("{id}: {}", raw(result)),
            Some(Message::Response { id, result: Err(error) }) => format!("{id}: {error}"),
        };
        assert_eq!(told, want, "{text}");
    };
    check(r#"{"jsonrpc":"2.0","id":1,"method":"a/b","params":{"x":[1]}}"#, r#"1 a/b {"x":[1]}"#);
    check(r#"{"id":"s","method":"a\u002fb"}"#, "\"s\" a/b -");
    check(r#"{"id":null,"method":"m"}"#, "m -");
    check(r#"{"id":7,"result":{"ok":true},"new":1}"#, r#"7: {"ok":true}"#);
    check(r#"{"id":"7","result":null}"#, "7: -");
    check(r#"{"id":7,"error":{"code":-32603,"message":"no"}}"#, "7: no (-32603)");
    check(r#"{"id":7,"error":{}}"#, "7:  (0)");
    for nothing in ["", "{", "[]", "{}", r#"{"result":1}"#, r#"{"id":"x","result":1}"#, r#"{"id":-1}"#] {
        check(nothing, "nothing");
    }
}

#[test]
fn what_is_written_reads_as_it_was_meant() {
    let params: Box<RawValue> = serde_json::from_str(r#"{"a": 1.10}"#).expect("JSON");
    assert_eq!(request(3, "m", &params), r#"{"jsonrpc":"2.0","id":3,"method":"m","params":{"a": 1.10}}"#);
    assert_eq!(notification("m", &params), r#"{"jsonrpc":"2.0","method":"m","params":{"a": 1.10}}"#);
    let id: Box<RawValue> = serde_json::from_str("\"s-1\"").expect("JSON");
    assert_eq!(response(&id, RawValue::NULL), r#"{"jsonrpc":"2.0","id":"s-1","result":null}"#);
}
