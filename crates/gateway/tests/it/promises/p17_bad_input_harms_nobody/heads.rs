//! Any head at all: methods, paths, queries and headers in every combination are served or refused, and nothing that an
//! upstream would read otherwise gets through.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use protocol::Dialect;
use testkit::ScriptedProvider;
use tokio::io::AsyncWriteExt;

use super::{Good, connect, read_to_end, stage, told};
use crate::scene::Scene;

const METHODS: &[&str] =
    &["GET", "POST", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS", "CONNECT", "TRACE", "BREW"];

const SEGMENTS: &[&str] = &[
    "v1",
    "v1beta",
    "openai",
    "anthropic",
    "chat",
    "completions",
    "responses",
    "messages",
    "models",
    "files",
    "batches",
    "audio",
    "streams",
    "input_items",
    "tiny",
    "tiny:generateContent",
    "%2e%2e",
    "..",
    ".",
    "..%2f..%2fadmin",
    "%00",
    "%ff%fe",
    "%0d%0ax:y",
    "%",
    "",
    "a;b=c",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
];

const QUERIES: &[&str] =
    &["", "?", "?key=", "?alt=sse", "?key=a&key=b", "?%00=%ff&&&=", "?a=b?c#d", "?after=x%20y"];

const HEADERS: &[&str] = &[
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "x-request-id",
    "x-priority",
    "x-lockgate-tags",
    "x-lockgate-strict",
    "x-lockgate-debug",
    "content-type",
    "accept",
    "accept-encoding",
    "anthropic-version",
    "anthropic-beta",
    "last-event-id",
    "traceparent",
    "cookie",
    "connection",
    "expect",
    "upgrade",
    "te",
    "forwarded",
    "x-forwarded-for",
    "x-http-method-override",
    "host",
];

const VALUES: &[&str] = &[
    "",
    "*/*",
    "1",
    "-1",
    "gzip",
    "websocket",
    "100-continue",
    "keep-alive, x-request-id",
    "Bearer ",
    "Basic YTpi",
    "a=b,c=d,=,e",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=\"a\\\"b\"",
    "application/json; charset=utf-16",
    "99999999999999999999",
    "\u{e9}\u{ff}",
    "high",
    "2023-06-01",
];

#[derive(Debug, Clone)]
struct Head {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

fn head() -> impl Strategy<Value = Head> {
    let path = (prop::collection::vec(prop::sample::select(SEGMENTS), 1..6), prop::sample::select(QUERIES))
        .prop_map(|(segments, query)| format!("/{}{query}", segments.join("/")));
    let value = prop_oneof![
        prop::sample::select(VALUES).prop_map(str::to_owned),
        "[ -~\u{80}-\u{ff}]{0,40}",
        "[a-z]{2000,5000}",
    ];
    let headers = prop::collection::vec((prop::sample::select(HEADERS), value), 0..6);
    let body = prop::sample::select(&["", "{}", "{\"model\":\"tiny\",\"messages\":[{}]}", "--x\r\n"]);
    (prop::sample::select(METHODS), path, headers, body).prop_map(|(method, path, headers, body)| Head {
        method,
        path,
        headers,
        body,
    })
}

/// What went out is what the gateway serves, with nothing that belongs to the client's connection or to the gateway.
async fn check_passed_on(provider: &ScriptedProvider, context: &str) {
    let request = provider.next_request().await;
    let path = request.path.split('?').next().unwrap_or_default();
    let meant = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    assert!(
        path.starts_with("/v1/") && !meant.split(['/', '\\']).any(|part| part == ".."),
        "{path}: {context}"
    );
    for name in ["cookie", "connection", "upgrade", "te", "expect", "x-lockgate-tags", "x-forwarded-for"] {
        assert!(!request.headers.contains_key(name), "{name} went out: {context}");
    }
    assert_eq!(request.headers.get_all("x-request-id").iter().count(), 1, "{context}");
}

async fn check(scene: &Scene, provider: &ScriptedProvider, head: &Head) {
    let context = format!("{head:?}");
    let accepted = provider.count().accepted;
    let mut request =
        format!("{} {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n", head.method, head.path).into_bytes();
    for (name, value) in &head.headers {
        request.extend_from_slice(format!("{name}: ").as_bytes());
        // Each letter is a byte, as old clients send them.
        request.extend(value.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')));
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(format!("content-length: {}\r\n\r\n{}", head.body.len(), head.body).as_bytes());
    let mut connection = connect(scene).await;
    connection.write_all(&request).await.expect("written");
    let answer = read_to_end(&mut connection).await;
    // Who expects 100 is told to go on first.
    let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
    let (told_head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}: {context}"));
    let status = told_head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    let status = status.unwrap_or_else(|| panic!("{answer:?}: {context}"));
    assert!(status < 500, "{answer}: {context}");
    if status >= 400 && !body.is_empty() && head.method != "HEAD" {
        let dialects = [Dialect::OpenAiChat, Dialect::AnthropicMessages, Dialect::Gemini];
        let is_told = dialects.iter().any(|dialect| told(*dialect, status, body.as_bytes()).is_ok());
        assert!(is_told, "{answer}: {context}");
    }
    if provider.count().accepted > accepted {
        check_passed_on(provider, &context).await;
    }
}

#[test]
fn p17_any_head_is_served_or_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let ((provider, scene), mut runner) = (
        runtime.block_on(stage()),
        TestRunner::new(Config { failure_persistence: None, ..Config::default() }),
    );
    let good = runtime.block_on(async {
        let good = Good::start(&provider, &scene).await;
        provider.next_request().await;
        good
    });
    let outcome = runner.run(&head(), |head| {
        runtime.block_on(check(&scene, &provider, &head));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    runtime.block_on(good.ends());
    runtime.block_on(scene.at_rest());
}
