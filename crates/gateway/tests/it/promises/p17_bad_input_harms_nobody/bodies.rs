//! Bodies that are too large, too deep, packed, no JSON, or not what their endpoint takes, at every door; and any body at all.

use std::cell::RefCell;

use bytes::Bytes;
use http::Method;
use policy::BackendKind;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use protocol::Dialect;
use serde_json::{Value, json};
use testkit::{ScriptedProvider, StillClock, TestClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{BODY_BYTES_MAX, CHAT, DOORS, Door, Good, connect, plan, read_to_end, stage, told};
use crate::scene::{Scene, chat};

/// Sends a body, and says which code of the gateway's it was refused with.
async fn refused(client: &TestClient, door: &Door, body: impl Into<Bytes>) -> (u16, String) {
    let mut answer = client.send(Method::POST, door.path, body.into()).await.expect("an answer");
    let (status, said) = (answer.status.as_u16(), answer.body().await.expect("a body"));
    let code =
        told(door.dialect, status, &said).unwrap_or_else(|fault| panic!("{}: {status}: {fault}", door.path));
    (status, code)
}

/// A body with `text` in place of its first text.
fn with(door: &Door, field: &str, text: &str) -> String {
    let mut body = (door.body)();
    body[field] = json!("@@");
    body.to_string().replace("\"@@\"", text)
}

/// Bodies that are wrong at every door, and the code of each.
fn wrong() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let deep = |open: &str| [b"{\"a\":".as_slice(), open.repeat(100_000).as_bytes()].concat();
    let closed = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        ("nothing", Vec::new(), "invalid_json"),
        ("blanks", b" \n\t ".to_vec(), "invalid_json"),
        ("half an object", b"{\"a\":".to_vec(), "invalid_json"),
        ("two objects", b"{} {}".to_vec(), "invalid_json"),
        ("a form", b"a=b&c=d".to_vec(), "invalid_json"),
        ("no UTF-8", b"{\"a\":\"\xff\xfe\"}".to_vec(), "invalid_json"),
        ("half a letter", b"{\"a\":\"\xe2\x82\"}".to_vec(), "invalid_json"),
        ("a surrogate in UTF-8", b"{\"a\":\"\xed\xa0\x80\"}".to_vec(), "invalid_json"),
        ("another encoding", "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect(), "invalid_json"),
        ("a NUL", b"{\"a\":\"\0\"}".to_vec(), "invalid_json"),
        ("lists without end", deep("["), "invalid_json"),
        ("objects without end", deep("{\"a\":"), "invalid_json"),
        ("lists within lists", closed.into_bytes(), "invalid_json"),
        ("no number", b"{\"a\":NaN}".to_vec(), "invalid_json"),
        ("half an escape", b"{\"a\":\"\\u12\"}".to_vec(), "invalid_json"),
        ("a comma too many", b"{\"a\":1,}".to_vec(), "invalid_json"),
        ("a list", b"[]".to_vec(), "invalid_request"),
        ("a number beyond all", b"1e999".to_vec(), "invalid_request"),
        ("null", b"null".to_vec(), "invalid_request"),
    ]
}

#[tokio::test(start_paused = true)]
async fn p17_what_is_no_request_is_refused_in_the_words_of_each_dialect() {
    let (provider, scene) = stage().await;
    let mut good = Good::start(&provider, &scene).await;
    for door in &DOORS {
        for (name, body, code) in wrong() {
            let context = format!("{}: {name}", door.path);
            assert_eq!(refused(&scene.client(), door, body).await, (400, code.to_owned()), "{context}");
        }
        good.goes_on(door.path).await;
    }
    assert_eq!(
        (provider.count().accepted, scene.status().accepted_total),
        (1, 1),
        "nobody else was asked anything"
    );
    good.ends().await;
}

async fn check_refused(client: &TestClient, path: &str, body: &[u8], code: &str, param: Value) {
    let context = String::from_utf8_lossy(body).into_owned();
    let body = Bytes::copy_from_slice(body);
    let mut answer = client.send(Method::POST, path, body).await.expect("an answer");
    assert_eq!(answer.status, 400, "{context}");
    let error = answer.json().await.expect("JSON");
    assert_eq!(
        (&error["error"]["code"], &error["error"]["param"]),
        (&json!(code), &param),
        "{context}: {error}"
    );
    assert_eq!(error["error"]["type"], "invalid_request_error");
}

#[tokio::test(start_paused = true)]
async fn p17_a_body_that_makes_no_sense_is_refused_with_the_field_at_fault() {
    let (provider, scene) = stage().await;
    let client = scene.client();
    let deep = [b"{\"model\":".as_slice(), &vec![b'['; 100_000]].concat();
    let long = json!({"model": "m".repeat(257), "messages": [{}]}).to_string().into_bytes();
    for (path, body, code, param) in [
        (CHAT, b"".as_slice(), "invalid_json", Value::Null),
        (CHAT, b"{", "invalid_json", Value::Null),
        (CHAT, b"{} {}", "invalid_json", Value::Null),
        (CHAT, b"\xff\xfe", "invalid_json", Value::Null),
        (CHAT, &deep, "invalid_json", Value::Null),
        (CHAT, b"{\"messages\":[{}]}", "invalid_request", json!("model")),
        (CHAT, b"{\"model\":\"a\",\"model\":\"b\",\"messages\":[{}]}", "invalid_request", json!("model")),
        (
            CHAT,
            b"{\"model\":\"a\",\"mod\\u0065l\":\"b\",\"messages\":[{}]}",
            "invalid_request",
            json!("model"),
        ),
        (CHAT, b"{\"model\":7,\"messages\":[{}]}", "invalid_request", json!("model")),
        (CHAT, &long, "invalid_request", json!("model")),
        (CHAT, b"{\"model\":\"tiny\",\"messages\":[]}", "empty_messages", json!("messages")),
        (
            CHAT,
            b"{\"model\":\"tiny\",\"messages\":[{}],\"stream\":\"yes\"}",
            "invalid_request",
            json!("stream"),
        ),
    ] {
        check_refused(&client, path, body, code, param).await;
    }
    assert_eq!((provider.count().accepted, scene.status().accepted_total), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn p17_what_decides_is_read_in_one_way_only() {
    let (provider, scene) = stage().await;
    let mut good = Good::start(&provider, &scene).await;
    for door in DOORS.iter().filter(|door| door.dialect != Dialect::Gemini) {
        for twice in ["\"model\": \"tiny\"", "\"mod\\u0065l\": \"tiny\"", "\"model\": null"] {
            let body = (door.body)().to_string().replacen('{', &format!("{{{twice}, "), 1);
            assert_eq!(
                refused(&scene.client(), door, body).await.1,
                "invalid_request",
                "{}: {twice}",
                door.path
            );
        }
        for (model, code) in [
            ("7", "invalid_request"),
            ("1e999", "invalid_request"),
            ("[\"tiny\"]", "invalid_request"),
            ("\"../../files\"", "invalid_request"),
            ("\"\\ud800\"", "model_not_found"),
            ("\"tiny\\u0000\"", "model_not_found"),
        ] {
            let body = with(door, "model", model);
            assert_eq!(refused(&scene.client(), door, body).await.1, code, "{}: {model}", door.path);
        }
        good.goes_on(door.path).await;
    }
    assert_eq!(provider.count().accepted, 1);
    good.ends().await;
}

/// Values that are JSON and mean nothing to us belong to whom the request is for.
#[tokio::test(start_paused = true)]
async fn p17_odd_values_reach_who_understands_them_as_they_are() {
    let (provider, scene) = stage().await;
    let good = Good::start(&provider, &scene).await;
    for value in [
        "1e999",
        "-0.0",
        "123456789012345678901234567890.5",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "[[[[[[[[]]]]]]]]",
    ] {
        let door = &DOORS[0];
        let body = with(door, "x_odd", value);
        let answer =
            scene.client().send(Method::POST, door.path, Bytes::from(body.clone())).await.expect("an answer");
        assert_eq!(answer.status, 200, "{value}");
        assert_eq!(provider.received().last().expect("a request").body, body, "{value}");
    }
    good.ends().await;
}

#[tokio::test(start_paused = true)]
async fn p17_a_packed_body_is_never_unpacked() {
    let (provider, scene) = stage().await;
    let mut good = Good::start(&provider, &scene).await;
    // As little as it takes to claim a gigabyte: what follows is never looked at.
    let packed: [(&str, &[u8]); 6] = [
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xec\xc1\x01\x0d\x00"),
        ("deflate", b"\x78\x9c\xec\xc1\x01\x0d\x00\x00"),
        ("br", b"\xff\xff\xff\xff\xff\x83"),
        ("zstd", b"\x28\xb5\x2f\xfd\xe4\x00\x00\x00\x40"),
        ("gzip, gzip, gzip", b"\x1f\x8b\x08"),
        ("x-unheard-of", b"{}"),
    ];
    for door in &DOORS {
        for (coding, body) in packed {
            let client = scene.client().with_header("content-encoding", coding);
            let body = body.repeat(1000);
            let (status, code) = refused(&client, door, body).await;
            assert_eq!((status, &*code), (415, "unsupported_encoding"), "{} {coding}", door.path);
        }
        good.goes_on(door.path).await;
    }
    let form = scene.client().with_header("content-type", "multipart/form-data; boundary=x");
    let form = form.with_header("content-encoding", "gzip");
    let mut answer =
        form.send(Method::POST, "/v1/audio/transcriptions", Bytes::from("--x")).await.expect("an answer");
    assert_eq!(answer.header("accept-encoding"), Some("identity"), "what would have been taken");
    assert_eq!(
        told(Dialect::OpenAiRaw, 415, &answer.body().await.expect("a body")).as_deref(),
        Ok("unsupported_encoding")
    );
    assert_eq!(provider.count().accepted, 1);
    good.ends().await;
}

/// Far more than any buffer on the way.
const SENT: usize = 8 << 20;

/// A client that sends all it has before it reads must be able to read why it was in vain.
#[tokio::test(start_paused = true)]
async fn p17_a_body_beyond_the_limit_is_refused_with_the_limit() {
    let (provider, scene) = stage().await;
    let mut good = Good::start(&provider, &scene).await;
    let piece = format!("{:x}\r\n{}\r\n", 1 << 16, "a".repeat(1 << 16));
    for door in &DOORS {
        if door.path.contains("/images/") {
            // They have a limit of their own.
            continue;
        }
        for (framing, body) in [
            (format!("content-length: {SENT}"), "a".repeat(SENT)),
            ("transfer-encoding: chunked".to_owned(), piece.repeat(SENT >> 16) + "0\r\n\r\n"),
        ] {
            let still = StillClock::hold();
            let mut connection = connect(&scene).await;
            let head = format!("POST {} HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n", door.path);
            connection.write_all(head.as_bytes()).await.expect("it is read");
            connection.write_all(body.as_bytes()).await.expect("it is taken, though nobody wants it");
            let answer = read_to_end(&mut connection).await;
            drop(still);
            let (head, said) = answer.split_once("\r\n\r\n").expect("an answer");
            assert!(head.starts_with("HTTP/1.1 413 "), "{} {framing}: {answer}", door.path);
            assert_eq!(told(door.dialect, 413, said.as_bytes()).as_deref(), Ok("body_too_large"), "{answer}");
            assert!(said.contains(&format!("{BODY_BYTES_MAX} bytes")), "{answer}");
        }
        good.goes_on(door.path).await;
    }
    for (length, want) in [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)] {
        let length = usize::try_from(length).expect("a length");
        let ask = chat().to_string();
        let body = " ".repeat(length - ask.len()) + &ask;
        let answer = scene.client().send(Method::POST, CHAT, Bytes::from(body)).await.expect("an answer");
        assert_eq!(answer.status, want, "{length} bytes");
    }
    let mut boasting = connect(&scene).await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n");
    boasting.write_all(head.as_bytes()).await.expect("written");
    let mut answer = [0; 4096];
    let length = boasting.read(&mut answer).await.expect("an answer before any of it came");
    assert!(answer[..length].starts_with(b"HTTP/1.1 413 "));
    assert_eq!(provider.count().accepted, 2);
    good.ends().await;
}

/// What may stand where something else is expected.
const ODD: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "-1e-999",
    "18446744073709551616",
    "0.1",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\\n\"",
    "\"data:;base64,\"",
    "[]",
    "{}",
    "[{}]",
    "[[[[[[[[[[]]]]]]]]]]",
    "{\"type\":\"text\"}",
    "{\"a\":{\"a\":{\"a\":{}}}}",
    "[null,1,\"a\"]",
];

/// What is done to a request that was right; numbers choose places.
#[derive(Debug, Clone)]
enum Change {
    /// The value at one of its places becomes another.
    Replace(usize, usize),
    /// So many bytes are left out.
    Cut(usize, usize),
    /// Bytes come in between.
    Insert(usize, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<usize>(), 0..ODD.len()).prop_map(|(place, odd)| Change::Replace(place, odd)),
        1 => (any::<usize>(), 1..9_usize).prop_map(|(place, bytes)| Change::Cut(place, bytes)),
        1 => (any::<usize>(), prop::collection::vec(any::<u8>(), 1..5)).prop_map(|(place, bytes)| Change::Insert(place, bytes)),
    ]
}

/// The places of a value, its own among them.
fn places(value: &Value, place: &str, all: &mut Vec<String>) {
    all.push(place.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{place}/{index}"), all));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| places(field, &format!("{place}/{name}"), all));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn changed(mut body: Value, changes: &[Change]) -> Vec<u8> {
    let mut odd = Vec::new();
    for change in changes {
        let Change::Replace(place, text) = change else { continue };
        let mut all = Vec::new();
        places(&body, "", &mut all);
        let value = body.pointer_mut(&all[place % all.len()]).expect("one of its places");
        *value = json!(format!("@@{}@@", odd.len()));
        odd.push(ODD[*text]);
    }
    let mut text = body.to_string();
    for (index, odd) in odd.iter().enumerate() {
        text = text.replace(&format!("\"@@{index}@@\""), odd);
    }
    let mut bytes = text.into_bytes();
    for change in changes {
        match change {
            Change::Replace(..) => {}
            Change::Cut(place, count) => {
                let at = place % (bytes.len() + 1);
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Change::Insert(place, more) => {
                let at = place % (bytes.len() + 1);
                bytes.splice(at..at, more.iter().copied());
            }
        }
    }
    bytes
}

/// What a body may be refused with; anything else would be the gateway's fault.
const CODES: &[&str] =
    &["invalid_json", "invalid_request", "empty_messages", "unsupported_for_backend", "model_not_found"];

/// A gateway whose backend speaks one dialect, or all that OpenAI has.
struct World {
    upstream: Option<Dialect>,
    provider: ScriptedProvider,
    scene: Scene,
    /// Where each event from upstream is one for the client: elsewhere some of them say nothing.
    good: RefCell<Option<Good>>,
}

impl World {
    async fn of(upstream: Option<Dialect>) -> Self {
        let provider = ScriptedProvider::start().await;
        let plan = plan(&provider).backends(|spec| {
            spec.kind = BackendKind::OpenAiCompatible;
            spec.dialects = upstream.map(|dialect| vec![dialect]);
        });
        let scene = plan.start().await;
        let good = match upstream {
            None => {
                let good = Good::start(&provider, &scene).await;
                provider.next_request().await;
                Some(good)
            }
            Some(_) => None,
        };
        let good = RefCell::new(good);
        Self { upstream, provider, scene, good }
    }

    /// One body at one door.
    async fn try_at(&self, door: &Door, body: Vec<u8>) {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let context = format!("{} by {:?}: {shown}", door.path, self.upstream);
        let accepted = self.provider.count().accepted;
        let sent = self.scene.client().send(Method::POST, door.path, Bytes::from(body)).await;
        let mut answer = sent.unwrap_or_else(|error| panic!("{error}: {context}"));
        let status = answer.status.as_u16();
        let said = answer.body().await.unwrap_or_else(|error| panic!("{error}: {context}"));
        if status != 200 {
            assert!((400..500).contains(&status), "{status}: {context}");
            let code = told(door.dialect, status, &said).unwrap_or_else(|fault| panic!("{fault}: {context}"));
            assert!(CODES.contains(&&*code), "{code}: {context}");
        }
        if self.provider.count().accepted > accepted {
            let request = self.provider.next_request().await;
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&request.body).is_ok();
            assert!(is_json, "{context}: {:?} went out", request.body);
        }
    }
}

/// Any body at any door, before backends of every dialect: it is served, or refused in the words of its dialect.
#[test]
fn p17_any_body_is_served_or_refused_in_its_dialect() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let conversing = Dialect::ALL.iter().copied().filter(|dialect| protocol::converses(*dialect));
    let worlds: Vec<World> = runtime.block_on(async {
        let mut worlds = vec![World::of(None).await];
        for dialect in conversing {
            worlds.push(World::of(Some(dialect)).await);
        }
        worlds
    });
    let case = (0..DOORS.len(), prop::collection::vec(change(), 1..5));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let cases = std::cell::Cell::new(0_u32);
    let outcome = runner.run(&case, |(door, changes)| {
        let door = &DOORS[door];
        let body = changed((door.body)(), &changes);
        for world in &worlds {
            if world.upstream.is_none() || protocol::converses(door.dialect) {
                runtime.block_on(world.try_at(door, body.clone()));
            }
        }
        cases.set(cases.get() + 1);
        if cases.get().is_multiple_of(100) {
            for world in &worlds {
                if let Some(good) = world.good.borrow_mut().as_mut() {
                    runtime.block_on(good.goes_on("among any bodies"));
                }
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    for World { good, scene, .. } in worlds {
        if let Some(good) = good.into_inner() {
            runtime.block_on(good.ends());
        }
        runtime.block_on(scene.at_rest());
    }
}
