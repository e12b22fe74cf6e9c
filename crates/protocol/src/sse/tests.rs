//! The WHATWG cases of event streams, cut anywhere; never a dialect.

use super::*;

/// All events of a text that comes in chunks of `size`, and what is left over.
fn frames(text: &[u8], size: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut framer = Framer::new(1_000);
    let mut events = Vec::new();
    for chunk in text.chunks(size) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        events.extend(framer.resume(&mut chunk).unwrap().map(|event| event.to_vec()));
        while !chunk.is_empty() {
            let Some(length) = framer.next_len(&chunk).unwrap() else { break };
            events.push(chunk.split_to(length).to_vec());
        }
    }
    (events, framer.take_rest().to_vec())
}

#[track_caller]
fn check(text: &str, events: &[&str], rest: &str) {
    for size in [text.len().max(1), 1000] {
        let (found, left) = frames(text.as_bytes(), size);
        assert_eq!(found.iter().map(|event| str::from_utf8(event).unwrap()).collect::<Vec<_>>(), events);
        assert_eq!(str::from_utf8(&left).unwrap(), rest);
    }
    // A CR at the end of a chunk may be half a line end, so events may be cut differently, but no byte is lost.
    for size in 1..text.len() {
        let (found, left) = frames(text.as_bytes(), size);
        assert_eq!([found.concat(), left].concat(), text.as_bytes(), "in chunks of {size}");
    }
}

#[test]
fn a_blank_line_of_any_spelling_ends_an_event() {
    check("data: a\n\ndata: b\n\n", &["data: a\n\n", "data: b\n\n"], "");
    check("data: a\r\n\r\ndata: b", &["data: a\r\n\r\n"], "data: b");
    check("data: a\r\rdata: b\r\r", &["data: a\r\r", "data: b\r\r"], "");
    check("data: a\n\r\ndata: b\r\n\n", &["data: a\n\r\n", "data: b\r\n\n"], "");
    check("\n\r\n\rdata: é\n\n", &["\n", "\r\n", "\r", "data: é\n\n"], "");
    check("data: a\r\ndata: b\r\n", &[], "data: a\r\ndata: b\r\n");
    check("", &[], "");
}

#[test]
fn an_event_is_bounded_however_it_comes() {
    let long = vec![b'x'; 1_001];
    let mut framer = Framer::new(1_000);
    assert_eq!(framer.next_len(&long), Err(EventTooLarge { bytes_max: 1_000 }));
    assert_eq!(framer.next_len(&long[..600]), Ok(None));
    let mut more = Bytes::copy_from_slice(&long[..600]);
    assert_eq!(framer.resume(&mut more), Err(EventTooLarge { bytes_max: 1_000 }));
}

#[track_caller]
fn check_event(text: &str, name: Option<&str>, data: Option<&str>) {
    let event = Event::read(text.as_bytes());
    let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(
        (event.name.map(read).as_deref(), event.data.as_deref().map(read).as_deref()),
        (name, data),
        "{text:?}"
    );
}

#[test]
fn fields_are_read_by_the_rules() {
    check_event("data: a\n\n", None, Some("a"));
    check_event("data:a\n\n", None, Some("a"));
    check_event("data:  a \n\n", None, Some(" a "));
    check_event("data\n\n", None, Some(""));
    check_event("data:\ndata\n\n", None, Some("\n"));
    check_event("data: a\r\ndata: b\rdata: c\n\n", None, Some("a\nb\nc"));
    check_event("event: x\ndata: {\"a\":\":\"}\nid: 7\n\n", Some("x"), Some("{\"a\":\":\"}"));
    check_event("event: x\nevent:y\n\n", Some("y"), None);
    check_event(": data: a\n:\n\n", None, None);
    check_event("DATA: a\n data: b\ndatas: c\n\n", None, None);
    check_event("", None, None);
    assert!(!Event::read(b": comment\n\n").has_fields && Event::read(b"x\n\n").has_fields);
}

#[test]
fn a_place_in_the_data_is_one_in_the_event() {
    let text = "event: e\ndata: ab\n: comment\ndata:cd\r\n\r\n";
    let event = Event::read(text.as_bytes());
    let data = event.data.clone().unwrap();
    for at in [0, 1, 3, 4] {
        assert_eq!(text.as_bytes()[event.place(at)], data[at], "{at}");
    }
}

/// Reads a whole stream in chunks of `size`: the name and data of each event that has data.
fn dispatched(text: &str, size: usize) -> Vec<(String, String)> {
    let (events, _) = frames(text.as_bytes(), size);
    let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let unmarked = event.strip_prefix(b"\xef\xbb\xbf").filter(|_| number == 0).unwrap_or(event);
        let event = Event::read(unmarked);
        if let Some(data) = event.data.as_deref() {
            found.push((event.name.map(read).unwrap_or_default(), read(data)));
        }
    }
    found
}

/// A case's name, its stream, and the name and data of each event in it.
type WebCase<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// The cases of the web platform tests for `EventSource` (`eventsource/format-*`), which are the WHATWG rules by example.
#[test]
fn the_web_platforms_own_cases_are_read_as_it_says() {
    let long = "x".repeat(300);
    let comments = format!("data:1\r:\0\n:\r\ndata:2\n:{long}\rdata:3\n:data:fail\r:{long}\ndata:4\n\n");
    let parsing = "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n";
    let cases: &[WebCase<'_>] = &[
        ("bom", "\u{feff}data:1\n\n\u{feff}data:2\n\ndata:3\n\n", &[("", "1"), ("", "3")]),
        ("bom-2", "\u{feff}\u{feff}data:1\n\ndata:2\n\ndata:3\n\n", &[("", "2"), ("", "3")]),
        ("comments", &comments, &[("", "1\n2\n3\n4")]),
        ("data-before-final-empty-line", "retry:1000\ndata:test1\n\nid:test\ndata:test2\n", &[("", "test1")]),
        ("field-data", "data:\n\ndata\ndata\n\ndata:test\n\n", &[("", ""), ("", "\n"), ("", "test")]),
        ("field-event", "event:test\ndata:x\n\ndata:x\n\n", &[("test", "x"), ("", "x")]),
        ("field-event-empty", "event: \ndata:data\n\n", &[("", "data")]),
        ("field-id", "id: 1\nretry:3\ndata:hello\n\n", &[("", "hello")]),
        ("field-parsing", parsing, &[("", "\0\n 2\n1\n3\n\n4")]),
        (
            "field-unknown",
            "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
            &[("", "test\n\ntest")],
        ),
        ("leading-space", "data:\ttest\rdata: \ndata:test\n\n", &[("", "\ttest\n\ntest")]),
        ("newlines", "data:test\r\ndata\ndata:test\r\n\r\n", &[("", "test\n\ntest")]),
        ("null-character", "data:\0\n\n\n\n", &[("", "\0")]),
        ("utf-8", "data:ok…\n\n", &[("", "ok…")]),
    ];
    for (name, text, expected) in cases {
        for size in 1..=text.len() {
            let found = dispatched(text, size);
            let found: Vec<(&str, &str)> =
                found.iter().map(|(name, data)| (name.as_str(), data.as_str())).collect();
            assert_eq!(found, *expected, "{name} in chunks of {size}");
        }
    }
}
