//! Requests that two readers may cut in two ways: none of what hides in them reaches anybody.

use std::time::Duration;

use testkit::ScriptedProvider;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{CHAT, Good, assert_serves, connect, read_to_end, stage};
use crate::scene::{Scene, chat};

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
async fn p17_no_request_is_smuggled_inside_another() {
    let (provider, scene) = stage().await;
    let mut good = Good::start(&provider, &scene).await;
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
        good.goes_on(name).await;
    }
    good.ends().await;
    scene.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn p17_requests_sent_ahead_are_answered_in_turn() {
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
