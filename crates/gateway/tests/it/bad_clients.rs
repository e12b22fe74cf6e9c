//! Clients that are slow, silent, too large or dishonest: each is told or cut off in time, and harms nobody else.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::{ScriptedProvider, TestClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::scene::{MODEL, Plan, Scene, chat};

const CHAT: &str = "/v1/chat/completions";
/// How much later than its limit a connection may be cut: it is looked at every two seconds.
const SLACK: f64 = 2.5;

async fn stage() -> (ScriptedProvider, Scene) {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider]).start().await;
    (provider, scene)
}

async fn connect(scene: &Scene) -> TcpStream {
    TcpStream::connect(scene.address).await.expect("a connection")
}

/// Everything that comes until the gateway closes.
async fn read_to_end(connection: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is a way of closing, too.
    let _ = connection.read_to_end(&mut all).await;
    String::from_utf8_lossy(&all).into_owned()
}

async fn assert_serves(scene: &Scene, context: &str) {
    let answer = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(answer.status, 200, "after {context}");
}

fn assert_near(waited: Duration, limit: f64, context: &str) {
    let waited = waited.as_secs_f64();
    assert!((limit - 0.01..=limit + SLACK).contains(&waited), "{context}: {waited} s");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed() {
    let (_provider, scene) = stage().await;
    let began = Instant::now();
    assert_eq!(read_to_end(&mut connect(&scene).await).await, "");
    assert_near(began.elapsed(), 10.0, "no first byte");
    scene.until("no connection", |scene| !scene.tasks.counts().contains_key("connection")).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let (provider, scene) = stage().await;
    let mut connection = connect(&scene).await;
    let began = Instant::now();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\nx-long: {}", "a".repeat(100));
    for byte in head.bytes() {
        if connection.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(read_to_end(&mut connection).await, "");
    scene.until("no connection", |scene| !scene.tasks.counts().contains_key("connection")).await;
    assert_eq!(provider.count().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_a_used_one_kept() {
    let (_provider, scene) = stage().await;
    let mut connection = connect(&scene).await;
    let request = "GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n";
    for _ in 0..3 {
        connection.write_all(request.as_bytes()).await.expect("still open");
        let mut answer = [0; 4096];
        let length = connection.read(&mut answer).await.expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
        sleep(Duration::from_secs(60)).await;
    }
    connection.write_all(request.as_bytes()).await.expect("still open");
    let mut answer = [0; 4096];
    assert!(connection.read(&mut answer).await.expect("an answer") > 0);
    let began = Instant::now();
    assert_eq!(read_to_end(&mut connection).await, "");
    assert_near(began.elapsed(), 75.0, "idle");
}

/// The body stops coming: the client is told within the limit.
async fn check_stopped_body(content_type: &str, body: &str) {
    let (provider, scene) = stage().await;
    let mut connection = connect(&scene).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\ncontent-length: 5000\r\n\r\n{body}",
        if content_type.starts_with("multipart") { "/v1/audio/transcriptions" } else { CHAT }
    );
    connection.write_all(head.as_bytes()).await.expect("written");
    let began = Instant::now();
    let answer = read_to_end(&mut connection).await;
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"),
        "{content_type}: {answer}"
    );
    assert_near(began.elapsed(), 60.0, content_type);
    assert_eq!(provider.count().accepted, 0);
    assert_eq!(scene.status().accepted_total, 0);
    assert_serves(&scene, "a stopped body").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_answered_408() {
    check_stopped_body("application/json", "{\"model\":").await;
    check_stopped_body("multipart/form-data; boundary=xyz", "--xyz\r\ncontent-disposition: form-data").await;
}

#[tokio::test(start_paused = true)]
async fn a_form_that_stops_behind_its_model_ends_with_the_call() {
    let (provider, scene) = stage().await;
    let mut connection = connect(&scene).await;
    let form = format!("--xyz\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{MODEL}\r\n--xyz\r\n");
    let head = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\
        content-type: multipart/form-data; boundary=xyz\r\n\r\n";
    connection.write_all(format!("{head}{form}").as_bytes()).await.expect("written");
    let answer = timeout(Duration::from_secs(700), read_to_end(&mut connection)).await.expect("an end");
    assert!(answer.starts_with("HTTP/1.1 504 ") || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(provider.count().completed, 0);
    scene.at_rest().await;
    assert_serves(&scene, "half a form").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider]).with(|draft| draft.settings.body_bytes_max = 10_000).start().await;
    let large = Bytes::from(vec![b'a'; 10_001]);
    let mut answer = scene.client().send(Method::POST, CHAT, large).await.expect("an answer");
    assert_eq!(answer.status, 413);
    let error = answer.json().await.expect("JSON");
    assert_eq!(error["error"]["code"], "body_too_large");
    assert!(error["error"]["message"].as_str().expect("a text").contains("10000 bytes"), "{error}");
    for (framing, body) in [
        ("content-length: 99999999999".to_owned(), String::new()),
        ("transfer-encoding: chunked".to_owned(), format!("2711\r\n{}\r\n0\r\n\r\n", "a".repeat(10_001))),
        (
            "transfer-encoding: chunked".to_owned(),
            "3e8\r\n".to_owned()
                + &"a".repeat(1000)
                + "\r\n"
                + &format!("3e8\r\n{}\r\n", "b".repeat(1000)).repeat(10),
        ),
    ] {
        let mut connection = connect(&scene).await;
        let request = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{body}");
        connection.write_all(request.as_bytes()).await.expect("written");
        let mut answer = [0; 4096];
        let length = connection.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{framing}: {answer}");
    }
    assert_eq!(provider.count().accepted, 0);
    assert_serves(&scene, "large bodies").await;
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
async fn a_body_that_makes_no_sense_is_refused_with_the_field_at_fault() {
    let (provider, scene) = stage().await;
    let client = scene.client();
    let deep = [b"{\"model\":".as_slice(), &vec![b'['; 100_000]].concat();
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
    let packed = client.with_header("content-encoding", "gzip");
    check_refused(&packed, CHAT, b"\x1f\x8b", "invalid_request", json!("content-encoding")).await;
    assert_eq!((provider.count().accepted, scene.status().accepted_total), (0, 0));
}

/// What a smuggler hopes to get through as a request of its own.
const SMUGGLED: &str = "POST /v1/smuggled HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";

/// Whatever becomes of the request, the hidden one reaches nobody, and the connection ends or goes on in step.
async fn check_smuggling(scene: &Scene, provider: &ScriptedProvider, name: &str, request: &[u8]) {
    let had = provider.received().len();
    let mut connection = connect(scene).await;
    connection.write_all(request).await.expect("written");
    let answers =
        timeout(Duration::from_secs(300), read_to_end(&mut connection)).await.expect("an end in time");
    let received = provider.received();
    assert!(received.len() - had <= 1, "{name}: {answers}");
    for request in &received[had..] {
        assert_eq!(request.path, CHAT, "{name}");
        assert!(!request.body.windows(8).any(|window| window == b"smuggled"), "{name}");
        assert_eq!(request.headers.get_all("content-length").iter().count(), 1, "{name}");
        assert!(!request.headers.contains_key("transfer-encoding"), "{name}");
    }
    assert!(answers.matches("HTTP/1.1 200").count() <= 1, "{name}: {answers}");
    let first = answers.lines().next().unwrap_or_default();
    let is_http2 = first.starts_with('\0');
    let clear =
        is_http2 || first.is_empty() || first.starts_with("HTTP/1.1 4") || first.starts_with("HTTP/1.1 200");
    assert!(clear, "{name}: {first}");
    assert_serves(scene, name).await;
}

#[tokio::test(start_paused = true)]
async fn no_request_is_smuggled_inside_another() {
    let (provider, scene) = stage().await;
    let ask = chat().to_string();
    let (length, chunk) = (ask.len(), format!("{:x}\r\n{ask}\r\n0\r\n\r\n", ask.len()));
    let with =
        |headers: &str, body: &str| format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n{body}");
    let many: String = (0..500).map(|n| format!("x-{n}: a\r\n")).collect();
    for (name, request) in [
        (
            "length and chunks",
            with(
                &format!("content-length: {length}\r\ntransfer-encoding: chunked"),
                &(chunk.clone() + SMUGGLED),
            ),
        ),
        (
            "chunks and length",
            with("transfer-encoding: chunked\r\ncontent-length: 4", &(chunk.clone() + SMUGGLED)),
        ),
        (
            "two lengths",
            with(&format!("content-length: {length}\r\ncontent-length: 2"), &(ask.clone() + SMUGGLED)),
        ),
        ("a list of lengths", with(&format!("content-length: {length}, 2"), &(ask.clone() + SMUGGLED))),
        ("a signed length", with(&format!("content-length: +{length}"), &ask)),
        ("a negative length", with("content-length: -1", &ask)),
        ("a huge length", with("content-length: 99999999999999999999999", &ask)),
        ("chunks in disguise", with("transfer-encoding: xchunked", &(chunk.clone() + SMUGGLED))),
        ("chunks not last", with("transfer-encoding: chunked, identity", &(chunk.clone() + SMUGGLED))),
        ("a blank before the colon", with("transfer-encoding : chunked", &(chunk.clone() + SMUGGLED))),
        ("a folded line", with(&format!("x-a: b\r\n content-length: 2\r\ncontent-length: {length}"), &ask)),
        ("a bare CR", with(&format!("x-a: b\rcontent-length: 2\r\ncontent-length: {length}"), &ask)),
        ("bare LFs", format!("POST {CHAT} HTTP/1.1\nhost: a\ncontent-length: {length}\n\n{ask}")),
        ("a NUL", with(&format!("x-a: b\0c\r\ncontent-length: {length}"), &ask)),
        ("a bad chunk length", with("transfer-encoding: chunked", "zz\r\n{}\r\n0\r\n\r\n")),
        ("a huge chunk length", with("transfer-encoding: chunked", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n")),
        ("a chunk without its end", with("transfer-encoding: chunked", "2\r\n{}xx0\r\n\r\n")),
        ("a huge header", with(&format!("x-a: {}", "a".repeat(1 << 20)), &ask)),
        ("many headers", with(&format!("{many}content-length: {length}"), &ask)),
        ("a huge path", format!("POST /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(1 << 20))),
        (
            "an absolute path elsewhere",
            format!(
                "POST http://other/v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{ask}"
            ),
        ),
        ("no host", format!("POST {CHAT} HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{ask}")),
        ("an old version", format!("POST {CHAT} HTTP/0.9\r\n\r\n")),
        ("another protocol", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned()),
        ("half the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame".to_owned()),
    ] {
        check_smuggling(&scene, &provider, name, request.as_bytes()).await;
    }
    scene.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn requests_sent_ahead_are_answered_in_turn() {
    let (_provider, scene) = stage().await;
    let ask = chat().to_string();
    let first = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{ask}", ask.len());
    let second = "GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut connection = connect(&scene).await;
    connection.write_all((first + second).as_bytes()).await.expect("written");
    let answers = read_to_end(&mut connection).await;
    let (chat_at, list_at) = (answers.find("\"finish_reason\""), answers.find("\"object\":\"list\""));
    assert!(chat_at.is_some() && chat_at < list_at, "{answers}");
}
