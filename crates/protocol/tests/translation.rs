//! Every recorded case in every dialect: what comes out is reviewed as a snapshot, and held to what must be true of it
//! whatever it is; never a case that only one dialect could have.
//!
//! A case is `golden/<dialect>/translate/<case>.json`. The dialects are those that converse, so that a new one is met by all
//! cases of the others; `INSTA_UPDATE=always cargo test -p protocol --test translation` records what it makes of them.

mod grammar;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use grammar::{End, Reading};
use protocol::conversation::answer::AnswerPlan;
use protocol::conversation::request::{Reasoning, Request};
use protocol::{Dialect, Manner, StreamEnd, StreamFault, StreamTranslator, Target, WireError};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[expect(dead_code, reason = "it is for whoever reads the case")]
    why: String,
    request: Option<Box<RawValue>>,
    answer: Option<Box<RawValue>>,
    /// The data of each event; a text stands for itself.
    stream: Option<Vec<Box<RawValue>>>,
    /// What the upstream's own service would never send, so that its grammar says nothing.
    #[serde(default)]
    odd: bool,
    #[serde(skip)]
    name: String,
}

fn dialects() -> impl Iterator<Item = Dialect> {
    Dialect::ALL.iter().copied().filter(|dialect| protocol::converses(*dialect))
}

fn cases(dialect: Dialect) -> Vec<Case> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect.name()).join("translate");
    let mut cases: Vec<Case> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| {
            let path = entry.expect("an entry can be read").path();
            let text = fs::read(&path).expect("the file is there");
            let mut case: Case =
                serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            case.name = path.file_stem().expect("a case has a name").to_string_lossy().into_owned();
            case
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Compares with the snapshot `<kind>@<case>.<from>.<to>`.
fn check(kind: &str, case: &Case, pair: (Dialect, Dialect), found: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_suffix(format!("{}.{}.{}", case.name, pair.0, pair.1));
    settings.set_omit_expression(true);
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/snapshots"));
    settings.bind(|| insta::assert_snapshot!(kind.to_owned(), found));
}

fn pretty(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).expect("what is written is JSON");
    serde_json::to_string_pretty(&value).expect("JSON can be written")
}

fn plan() -> AnswerPlan {
    // Who does not ask for thoughts is not shown them in every dialect.
    let reasoning = Some(Reasoning { shown: Some("auto".to_owned()), ..Reasoning::default() });
    let request = Request { stream: true, include_usage: true, reasoning, ..Request::default() };
    AnswerPlan { model: "m".into(), id: "req-1".into(), created: 1_762_000_000, request: Arc::new(request) }
}

fn encode(dialect: Dialect, request: &Request) -> (Bytes, String) {
    let target = Target { model: "native", max_output_tokens: 4_096, manner: Manner::default() };
    let encoded = protocol::encode_request(dialect, request, &target).expect("it converses");
    (encoded.body, format!("{:?}", encoded.losses))
}

#[test]
fn requests_mean_the_same_in_every_dialect() {
    for from in dialects() {
        for case in cases(from) {
            let Some(body) = &case.request else { continue };
            let request = protocol::decode_request(from, body.get().as_bytes()).expect("it converses");
            let request = request.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            for to in dialects() {
                let target = Target { model: "native", max_output_tokens: 4_096, manner: Manner::default() };
                let encoded = protocol::encode_request(to, &request, &target).expect("it converses");
                let mut found = pretty(&encoded.body);
                for path in protocol::loss_paths(from, &request, &encoded.losses) {
                    write!(found, "\nlost: {path}").expect("a string takes what is written");
                }
                check("request", &case, (from, to), &found);
                // What was written is read with the same meaning.
                let again = protocol::decode_request(to, &encoded.body).expect("it converses");
                let again = again.unwrap_or_else(|error| panic!("{} in {to}: {error}", case.name));
                assert_eq!(pretty(&encode(to, &again).0), pretty(&encoded.body), "{} in {to}", case.name);
            }
        }
    }
}

#[test]
fn answers_mean_the_same_in_every_dialect() {
    for from in dialects() {
        for case in cases(from) {
            let Some(body) = &case.answer else { continue };
            let answer = protocol::decode_answer(from, body.get().as_bytes());
            let answer = answer.unwrap_or_else(|failure| panic!("{}: {failure}", case.name));
            for to in dialects() {
                let written = protocol::encode_answer(to, &answer, &plan()).expect("it converses");
                let mut found = pretty(&written);
                for name in protocol::untold(to, &answer) {
                    write!(found, "\nuntold: {name}").expect("a string takes what is written");
                }
                check("answer", &case, (from, to), &found);
            }
        }
    }
}

/// What a translation has come to.
#[derive(Debug, PartialEq)]
struct Run {
    out: String,
    end: Option<StreamEnd>,
    skipped: u64,
}

fn run<'a>(pair: (Dialect, Dialect), chunks: impl IntoIterator<Item = &'a [u8]>) -> Run {
    let mut stream = StreamTranslator::new(pair.0, pair.1, plan(), 1 << 20).expect("both converse");
    let mut out = Vec::new();
    let mut fault = None;
    for chunk in chunks {
        fault = stream.push(Bytes::copy_from_slice(chunk), &mut out).err();
        if fault.is_some() {
            break;
        }
    }
    let end = match fault {
        None => Some(stream.finish(&mut out)),
        Some(StreamFault::Failed(_)) => None,
        Some(other) => panic!("{other:?}"),
    };
    if end != Some(StreamEnd::Complete) {
        let message = "The stream broke.";
        let error =
            WireError { status: 502, code: "upstream_error", message, param: None, request_id: "req-1" };
        out.push(stream.encode_error(&error));
    }
    let out = String::from_utf8(out.concat()).expect("what is written is text");
    Run { out, end, skipped: stream.tally().skipped }
}

/// The events of a case as its dialect frames them.
fn framed(dialect: Dialect, events: &[Box<RawValue>]) -> String {
    let mut text = String::new();
    for event in events {
        let value: Value = serde_json::from_str(event.get()).expect("a raw value is JSON");
        let data = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let (Some(name), Dialect::AnthropicMessages | Dialect::OpenAiResponses) =
            (value["type"].as_str(), dialect)
        {
            writeln!(text, "event: {name}").expect("a string takes what is written");
        }
        write!(text, "data: {data}\n\n").expect("a string takes what is written");
    }
    text
}

/// Calls `check` with each recorded stream and each dialect to take it to.
fn each_stream(mut check: impl FnMut(&Case, (Dialect, Dialect), &str)) {
    for from in dialects() {
        for case in cases(from) {
            let Some(events) = &case.stream else { continue };
            let text = framed(from, events);
            dialects().for_each(|to| check(&case, (from, to), &text));
        }
    }
}

fn read(case: &Case, dialect: Dialect, stream: &str) -> Reading {
    let reading = grammar::read(dialect.name(), stream);
    reading.unwrap_or_else(|fault| panic!("{} in {dialect}: {fault}\n{stream}", case.name)).settled()
}

#[test]
fn p09_streams_are_valid_and_say_what_their_source_says() {
    let mut first: Option<(String, Reading)> = None;
    each_stream(|case, pair, text| {
        let found = run(pair, [text.as_bytes()]);
        check("stream", case, pair, &found.out);
        let reading = read(case, pair.1, &found.out);
        let end = if found.end == Some(StreamEnd::Complete) { End::Complete } else { End::Failed };
        assert_eq!(reading.end, end, "{} {pair:?}", case.name);
        if !case.odd {
            let source = Reading { end, ..read(case, pair.0, text) };
            assert_eq!(reading, source, "{} {pair:?}", case.name);
            assert_eq!(found.skipped, 0);
        }
        // Odd sources have no reading of their own, but are the same wherever they are read.
        let key = format!("{} {}", pair.0, case.name);
        match &first {
            Some((of, reading_of_first)) if *of == key => {
                assert_eq!(reading, *reading_of_first, "{} {pair:?}", case.name);
            }
            Some(_) | None => first = Some((key, reading)),
        }
    });
}

/// Where to cut a stream: at every byte at length, else about the ends of its events and at every seventh byte.
fn cuts(text: &str) -> impl Iterator<Item = usize> {
    let stride = if std::env::var_os("LOCKGATE_PROVE_ROUNDS").is_some() { 1 } else { 7 };
    let ends: Vec<usize> = text.match_indices("\n\n").map(|(at, _)| at + 2).collect();
    (0..text.len()).filter(move |cut| cut % stride == 0 || ends.iter().any(|end| end.abs_diff(*cut) <= 3))
}

#[test]
fn p01_a_cut_stream_never_ends_well() {
    each_stream(|case, pair, text| {
        let whole = read(case, pair.1, &run(pair, [text.as_bytes()]).out);
        for cut in cuts(text) {
            let found = run(pair, [&text.as_bytes()[..cut]]);
            let reading = read(case, pair.1, &found.out);
            if found.end == Some(StreamEnd::Complete) {
                assert_eq!(reading, whole, "{} {pair:?} cut at {cut}", case.name);
            } else {
                assert_eq!(reading.end, End::Failed, "{} {pair:?} cut at {cut}", case.name);
                assert!(whole.text.starts_with(&reading.text), "{} {pair:?} cut at {cut}", case.name);
                assert!(whole.thoughts.starts_with(&reading.thoughts), "{} {pair:?} cut at {cut}", case.name);
            }
        }
    });
}

/// What some server somewhere has put between its events.
const NOISE: &[&str] = &[
    "data: {\"choices\":[\n\n",
    "data: <html>\n\n",
    "data: 17\n\n",
    "data: \"\"\n\n",
    "data: []\n\n",
    "data: {}{}\n\n",
    "data: {\"type\":\n\n",
    "event: no_such_event\ndata: {\n\n",
];

/// What means nothing, and is no fault either.
const SILENCE: &[&str] = &[
    ": keepalive\n\n",
    "\n\n",
    "retry: 3000\n\n",
    "id: 7\n\n",
    "event: ping\n\n",
    "data\n\n",
    "<html>\n\n",
    "{\"candidates\":[]}\n\n",
];

#[test]
fn no_malformed_line_kills_a_stream() {
    each_stream(|case, pair, text| {
        let whole = run(pair, [text.as_bytes()]);
        for (noise, skipped) in
            NOISE.iter().map(|noise| (noise, 1)).chain(SILENCE.iter().map(|noise| (noise, 0)))
        {
            let events: Vec<&str> = text.split_inclusive("\n\n").collect();
            let noisy: String = events.iter().flat_map(|event| [*noise, *event]).collect();
            let found = run(pair, [noisy.as_bytes()]);
            assert_eq!(
                (found.out, found.end),
                (whole.out.clone(), whole.end.clone()),
                "{} {pair:?} {noise:?}",
                case.name
            );
            let counted = found.skipped - whole.skipped;
            assert!(skipped == 0 || counted > 0, "{} {pair:?} {noise:?}: {counted} were counted", case.name);
        }
    });
}

/// Google's service ends a stream that fails with the bare body of its error; others have nothing else to say.
#[test]
fn p01_an_error_outside_of_any_event_is_told() {
    let error = "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"Overloaded\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n";
    each_stream(|case, pair, text| {
        let whole = run(pair, [text.as_bytes()]);
        if whole.end != Some(StreamEnd::Complete) {
            return;
        }
        let (begun, _) = text.split_at(text.find("\n\n").expect("there is an event") + 2);
        for size in [1, 7, 10_000] {
            let broken = format!("{begun}{error}");
            let found = run(pair, broken.as_bytes().chunks(size));
            let Some(StreamEnd::Failed(failure)) = &found.end else {
                panic!("{} {pair:?}: {found:?}", case.name)
            };
            assert!(failure.detail.contains("Overloaded"), "{failure:?}");
            assert_eq!(read(case, pair.1, &found.out).end, End::Failed, "{} {pair:?}", case.name);
        }
    });
}

/// A small generator: its seed is in the message of whatever fails.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit as u64)).expect("it is below a usize")
    }
}

/// The same stream with other line ends, and with a byte order mark.
fn spellings(text: &str) -> [String; 4] {
    [text.to_owned(), text.replace('\n', "\r\n"), text.replace('\n', "\r"), format!("\u{feff}: hi\n{text}")]
}

#[test]
fn no_chunking_changes_a_translation() {
    each_stream(|case, pair, text| {
        let whole = run(pair, [text.as_bytes()]);
        for spelled in spellings(text) {
            assert_eq!(run(pair, spelled.as_bytes().chunks(1)), whole, "{} {pair:?} by bytes", case.name);
            for seed in 1..=12 {
                let mut chance = Chance(0x9E37_79B9_7F4A_7C15 ^ seed);
                let (mut rest, mut chunks) = (spelled.as_bytes(), Vec::new());
                while !rest.is_empty() {
                    let (chunk, more) = rest.split_at((1 + chance.below(120)).min(rest.len()));
                    chunks.push(chunk);
                    rest = more;
                }
                assert_eq!(run(pair, chunks), whole, "{} {pair:?} with seed {seed}", case.name);
            }
        }
    });
}
