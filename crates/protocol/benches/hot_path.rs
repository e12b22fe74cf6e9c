//! Measures what every request pays: the outline of a body, the relay of a chunk, the look at an answer. It asserts nothing.
//!
//! `cargo bench -p protocol`; `serde_json` skipping the same text stands beside it as the yardstick.

use std::fmt::Write as _;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::conversation::answer::AnswerPlan;
use protocol::conversation::request::Request;
use protocol::{Dialect, Edits, StreamPlan, StreamRelay, StreamTranslator, inspect_answer, outline, rewrite};

const LINE: &str = "The quick brown fox jumps over the lazy dog, and says \\\"hello\\\" to it.\\n";

/// A chat request of about `bytes`, in messages of about `message` bytes.
fn chat_request(bytes: usize, message: usize) -> Bytes {
    let mut body =
        r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"system","content":"Be brief."}"#.to_owned();
    while body.len() < bytes {
        let text = LINE.repeat(message.div_ceil(LINE.len()));
        write!(body, r#",{{"role":"user","content":"{text}"}}"#).expect("a string takes what is written");
    }
    body.push_str("]}");
    body.into()
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("outline");
    for (name, bytes, message) in [
        ("1K", 1 << 10, 256),
        ("64K", 64 << 10, 1 << 10),
        ("512K", 512 << 10, 1 << 10),
        ("512K-one", 512 << 10, 512 << 10),
    ] {
        let body = chat_request(bytes, message);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| outline(Dialect::OpenAiChat, black_box(&body)).expect("the body is valid"));
        });
        group.bench_function(format!("{name}-serde_json-skip"), |bench| {
            bench.iter(|| {
                let text = std::str::from_utf8(black_box(&body)).expect("the body is valid");
                serde_json::from_str::<serde::de::IgnoredAny>(text).expect("the body is valid")
            });
        });
    }
    let body = chat_request(512 << 10, 1 << 10);
    let found = outline(Dialect::OpenAiChat, &body).expect("the body is valid");
    let edits = Edits { model: Some("native"), ask_usage: true, ..Edits::default() };
    group.bench_function("rewrite-512K", |bench| bench.iter(|| rewrite(black_box(&body), &found, &edits)));
    group.finish();
}

fn streams(criterion: &mut Criterion) {
    const CHAT: &str = concat!(
        r#"data: {"id":"chatcmpl-BxYz0123456789abcdefghij","object":"chat.completion.chunk","created":1762000000,"#,
        r#""model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_34a54ae93c","#,
        r#""choices":[{"index":0,"delta":{"content":" world"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
        "\n\n"
    );
    const RESPONSES: &str = concat!(
        "event: response.output_text.delta\n",
        r#"data: {"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_0123456789abcdef0123456789abcdef","#,
        r#""output_index":0,"content_index":0,"delta":" world","logprobs":[],"obfuscation":"aBcDeFgHiJ"}"#,
        "\n\n"
    );
    let mut group = criterion.benchmark_group("relay");
    for (name, dialect, event, model) in [
        ("chat", Dialect::OpenAiChat, CHAT, None),
        ("chat-renamed", Dialect::OpenAiChat, CHAT, Some("alias")),
        ("responses", Dialect::OpenAiResponses, RESPONSES, None),
    ] {
        for per_chunk in [1, 8] {
            let chunk = Bytes::from(event.repeat(per_chunk));
            let plan = StreamPlan {
                withhold_usage: true,
                rename_model: model.map(Into::into),
                event_bytes_max: 8 << 20,
            };
            let mut relay = StreamRelay::new(dialect, plan);
            let mut out = Vec::with_capacity(32);
            group.bench_function(format!("{name}-{per_chunk}"), |bench| {
                bench.iter(|| {
                    out.clear();
                    relay.push(black_box(chunk.clone()), &mut out).expect("the stream is valid");
                    out.len()
                });
            });
        }
    }
    group.finish();
}

/// A stream's beginning up to its first text, and one more piece of that text, as each dialect's service sends them.
const STREAMS: &[(Dialect, &str, &str)] = &[
    (
        Dialect::OpenAiChat,
        "",
        concat!(
            r#"data: {"id":"chatcmpl-BxYz0123456789abcdefghij","object":"chat.completion.chunk","created":1762000000,"#,
            r#""model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_34a54ae93c","#,
            r#""choices":[{"index":0,"delta":{"content":" world"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            "\n\n"
        ),
    ),
    (
        Dialect::AnthropicMessages,
        concat!(
            "event: message_start\n",
            r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","#,
            r#""model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"#,
            r#""usage":{"input_tokens":10,"output_tokens":1}}}"#,
            "\n\nevent: content_block_start\n",
            r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            "\n\n"
        ),
        concat!(
            "event: content_block_delta\n",
            r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" world"}}"#,
            "\n\n"
        ),
    ),
    (
        Dialect::OpenAiResponses,
        concat!(
            "event: response.created\n",
            r#"data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","#,
            r#""created_at":1762000000,"status":"in_progress","model":"gpt","output":[]}}"#,
            "\n\nevent: response.output_item.added\n",
            r#"data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":"#,
            r#"{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}"#,
            "\n\nevent: response.content_part.added\n",
            r#"data: {"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"#,
            r#""content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}"#,
            "\n\n"
        ),
        concat!(
            "event: response.output_text.delta\n",
            r#"data: {"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_1","#,
            r#""output_index":0,"content_index":0,"delta":" world","logprobs":[],"obfuscation":"aBcDeFgHiJ"}"#,
            "\n\n"
        ),
    ),
    (
        Dialect::Gemini,
        "",
        concat!(
            r#"data: {"candidates":[{"content":{"parts":[{"text":" world"}],"role":"model"},"index":0}],"#,
            r#""usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":15},"#,
            r#""modelVersion":"gemini-2.5-flash","responseId":"r-1"}"#,
            "\n\n"
        ),
    ),
];

/// What a translated chunk costs, beside the relay of the same chunk.
fn translations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("translate");
    for &(from, begin, event) in STREAMS {
        let chunk = Bytes::from_static(event.as_bytes());
        let plan =
            StreamPlan { withhold_usage: true, rename_model: Some("alias".into()), event_bytes_max: 8 << 20 };
        let mut relay = StreamRelay::new(from, plan);
        let mut out = Vec::with_capacity(32);
        group.bench_function(format!("{from}-relay"), |bench| {
            bench.iter(|| {
                out.clear();
                relay.push(black_box(chunk.clone()), &mut out).expect("the stream is valid");
                out.len()
            });
        });
        for &(to, ..) in STREAMS {
            let plan = AnswerPlan {
                model: "alias".into(),
                id: "req-1".into(),
                created: 1_762_000_000,
                request: std::sync::Arc::new(Request::default()),
            };
            let Some(mut stream) = StreamTranslator::new(from, to, plan, 8 << 20) else { continue };
            let mut out = Vec::with_capacity(32);
            stream.push(Bytes::from_static(begin.as_bytes()), &mut out).expect("the stream is valid");
            group.bench_function(format!("{from}-{to}"), |bench| {
                bench.iter(|| {
                    out.clear();
                    stream.push(black_box(chunk.clone()), &mut out).expect("the stream is valid");
                    out.len()
                });
            });
        }
    }
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let floats = vec!["-0.0123456789"; 1536].join(",");
    let rows: Vec<String> = (0..64)
        .map(|row| format!(r#"{{"object":"embedding","index":{row},"embedding":[{floats}]}}"#))
        .collect();
    let numbers = format!(
        r#"{{"object":"list","data":[{}],"usage":{{"prompt_tokens":9,"total_tokens":9}}}}"#,
        rows.join(",")
    );
    let base64 = format!(
        r#"{{"object":"list","data":[{{"embedding":"{}"}}],"usage":{{"prompt_tokens":9}}}}"#,
        "QUJD".repeat(300_000)
    );
    let mut group = criterion.benchmark_group("answer");
    for (name, body) in [("embeddings-floats", numbers), ("embeddings-base64", base64)] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                inspect_answer(Dialect::OpenAiEmbeddings, black_box(body.as_bytes()))
                    .expect("the answer is valid")
            });
        });
    }
    group.finish();
}

criterion_group!(hot_path, requests, streams, translations, answers);
criterion_main!(hot_path);
