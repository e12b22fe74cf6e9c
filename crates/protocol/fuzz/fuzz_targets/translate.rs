//! What is taken to another dialect is valid there, whatever it was: requests and answers are read again, streams keep to
//! their grammar, do not depend on how they are cut, and say in every dialect what they say in the first.
#![no_main]

#[path = "../../tests/grammar/mod.rs"]
mod grammar;

use std::sync::Arc;

use bytes::Bytes;
use grammar::{End, Reading};
use libfuzzer_sys::fuzz_target;
use protocol::conversation::answer::AnswerPlan;
use protocol::conversation::request::{Reasoning, Request};
use protocol::{Dialect, Manner, StreamEnd, StreamFault, StreamTranslator, Target, WireError};

const EVENT_BYTES_MAX: usize = 2_000;

/// One of the dialects that `take_part`.
fn among(choice: u8, take_part: fn(Dialect) -> bool) -> Dialect {
    let all: Vec<Dialect> = Dialect::ALL.iter().copied().filter(|dialect| take_part(*dialect)).collect();
    all[usize::from(choice) % all.len()]
}

fn plan() -> AnswerPlan {
    // Who does not ask for thoughts is not shown them in every dialect.
    let reasoning = Some(Reasoning { shown: Some("auto".to_owned()), ..Reasoning::default() });
    let request = Request { stream: true, include_usage: true, reasoning, ..Request::default() };
    AnswerPlan { model: "m".into(), id: "req-1".into(), created: 7, request: Arc::new(request) }
}

fn check_request(from: Dialect, to: Dialect, text: &[u8]) {
    let Some(Ok(request)) = protocol::decode_request(from, text) else { return };
    let manner = Manner { takes_cache_control: text.len() % 2 == 0, ..Manner::default() };
    let target = Target { model: "native", max_output_tokens: 4_096, manner };
    let encoded = protocol::encode_request(to, &request, &target).expect("it converses");
    let written = String::from_utf8_lossy(&encoded.body);
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&encoded.body).is_ok(), "{written}");
    protocol::loss_paths(from, &request, &encoded.losses);
}

fn check_answer(from: Dialect, to: Dialect, text: &[u8]) {
    let answer = match protocol::decode_answer(from, text) {
        Ok(answer) => answer,
        Err(failure) => {
            assert!(failure.detail.chars().count() <= 500);
            return;
        }
    };
    let written = protocol::encode_answer(to, &answer, &plan()).expect("it converses");
    let again = protocol::decode_answer(to, &written);
    assert!(again.is_ok(), "{again:?}: {}", String::from_utf8_lossy(&written));
}

#[derive(Debug, PartialEq)]
struct Run {
    out: Vec<u8>,
    end: Option<StreamEnd>,
    skipped: u64,
}

fn run<'a>(from: Dialect, to: Dialect, chunks: impl IntoIterator<Item = &'a [u8]>) -> Run {
    let mut stream = StreamTranslator::new(from, to, plan(), EVENT_BYTES_MAX).expect("both converse");
    let mut out = Vec::new();
    let fault = chunks.into_iter().find_map(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out).err());
    let end = fault.is_none().then(|| stream.finish(&mut out));
    assert!(!matches!(fault, Some(StreamFault::ErrorEvent { .. })));
    if end != Some(StreamEnd::Complete) {
        let error = WireError { status: 502, code: "c", message: "x", param: None, request_id: "r" };
        out.push(stream.encode_error(&error));
    }
    Run { out: out.concat(), end, skipped: stream.tally().skipped }
}

fn read(to: Dialect, run: &Run) -> Reading {
    let out = std::str::from_utf8(&run.out).expect("what is written is text");
    let reading = grammar::read(to.name(), out);
    let reading = reading.unwrap_or_else(|fault| panic!("{to}: {fault}\n{out}"));
    let end = if run.end == Some(StreamEnd::Complete) { End::Complete } else { End::Failed };
    assert_eq!(reading.end, end, "{out}");
    reading.settled()
}

fn check_stream(from: Dialect, to: Dialect, text: &[u8], size: usize) {
    let whole = run(from, to, [text]);
    assert_eq!(run(from, to, text.chunks(size)), whole);
    assert_eq!(run(from, to, text.chunks(1)), whole);
    let reading = read(to, &whole);
    if whole.end == Some(StreamEnd::Complete) {
        // A stream that broke may have left different ends of it unsaid.
        let plain = run(from, Dialect::OpenAiChat, [text]);
        let plain = read(Dialect::OpenAiChat, &plain);
        assert_eq!((&reading.text, &reading.thoughts), (&plain.text, &plain.thoughts));
        let names = |reading: &Reading| reading.calls.iter().map(|call| call.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&reading).len(), names(&plain).len());
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[from, to, kind, size], text)) = input.split_first_chunk::<4>() else { return };
    let (client, upstream) = (protocol::converses, protocol::can_be_told);
    match kind % 3 {
        0 => check_request(among(from, client), among(to, upstream), text),
        1 => check_answer(among(from, upstream), among(to, client), text),
        _ => check_stream(among(from, upstream), among(to, client), text, usize::from(size) + 1),
    }
});
