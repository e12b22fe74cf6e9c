//! Recorded streams under every cut, chunking and line ending; what single events mean is tested beside the code.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use protocol::{Dialect, StreamEnd, StreamPlan, StreamRelay, StreamTally};
use serde_json::Value;

struct Recording {
    dialect: Dialect,
    name: String,
    text: String,
}

fn recordings() -> Vec<Recording> {
    let mut found = Vec::new();
    for &dialect in Dialect::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams").join(dialect.name());
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry can be read").path();
            let text = fs::read_to_string(&path).expect("a recording is text");
            found.push(Recording { dialect, name: path.display().to_string(), text });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(found.len(), RECORDINGS);
    found
}

const RECORDINGS: usize = 13;

fn plans() -> [StreamPlan; 2] {
    let untouched = StreamPlan { withhold_usage: false, rename_model: None, event_bytes_max: 8 << 20 };
    [
        untouched.clone(),
        StreamPlan { withhold_usage: true, rename_model: Some("al\"ias".into()), ..untouched },
    ]
}

#[derive(Debug, PartialEq)]
struct Run {
    out: String,
    end: StreamEnd,
    tally: StreamTally,
}

fn run<'a>(dialect: Dialect, plan: &StreamPlan, chunks: impl IntoIterator<Item = &'a [u8]>) -> Run {
    let mut relay = StreamRelay::new(dialect, plan.clone());
    let mut out = Vec::new();
    for chunk in chunks {
        relay.push(Bytes::copy_from_slice(chunk), &mut out).expect("a recording has no fault");
    }
    let end = relay.finish(&mut out);
    Run {
        out: String::from_utf8(out.concat()).expect("whole events are text"),
        end,
        tally: relay.tally().clone(),
    }
}

/// An event as the recording has it: where it starts, where its data is whole, where its blank line ends.
struct Mark {
    start: usize,
    data_end: Option<usize>,
    end: usize,
    ends_answer: bool,
}

/// Reads a recording the slow way, with a tree for each event.
fn marks(recording: &Recording) -> Vec<Mark> {
    let (mut start, mut open, mut any) = (0, std::collections::BTreeSet::new(), false);
    let mut marks = Vec::new();
    for event in recording.text.split_inclusive("\n\n") {
        let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
        let value: Value = serde_json::from_str(&data.join("\n")).unwrap_or(Value::Null);
        let answers = ["choices", "candidates"].map(|name| value[name].as_array().into_iter().flatten());
        for choice in answers.into_iter().flatten() {
            any = true;
            let index = choice["index"].as_u64().unwrap_or(0);
            open.insert(index);
            let reason = ["finish_reason", "finishReason"].into_iter().find_map(|name| choice[name].as_str());
            if reason.is_some_and(|reason| !reason.is_empty()) {
                open.remove(&index);
            }
        }
        any |= value["promptFeedback"]["blockReason"].is_string();
        let kind = value["type"].as_str().unwrap_or_default();
        marks.push(Mark {
            start,
            data_end: (!data.is_empty()).then(|| start + event.trim_end().len()),
            end: start + event.len(),
            ends_answer: matches!(kind, "response.completed" | "response.incomplete" | "message_stop")
                || (any && open.is_empty()),
        });
        start += event.len();
    }
    marks
}

#[test]
fn p01_a_stream_cut_at_any_byte_is_complete_only_if_its_answer_was() {
    for recording in recordings() {
        let marks = marks(&recording);
        let plan = &plans()[0];
        for cut in 0..=recording.text.len() {
            let got = run(recording.dialect, plan, [&recording.text.as_bytes()[..cut]]);
            let whole = |mark: &&Mark| mark.data_end.unwrap_or(mark.end) <= cut;
            let finished = marks.iter().filter(whole).any(|mark| mark.ends_answer);
            let end = if finished { StreamEnd::Complete } else { StreamEnd::Cut };
            assert_eq!(got.end, end, "{} cut at {cut}", recording.name);
            let mut expected: String =
                marks.iter().filter(whole).map(|mark| &recording.text[mark.start..mark.end]).collect();
            if finished
                && matches!(recording.dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions)
                && !expected.ends_with("data: [DONE]\n\n")
            {
                expected.push_str("data: [DONE]\n\n");
            }
            assert_eq!(got.out, expected, "{} cut at {cut}", recording.name);
        }
    }
}

#[test]
fn an_untouched_stream_keeps_every_byte() {
    for recording in recordings() {
        let got = run(recording.dialect, &plans()[0], [recording.text.as_bytes()]);
        let done = if recording.name.contains("no_done") { "data: [DONE]\n\n" } else { "" };
        assert_eq!(got.out, format!("{}{done}", recording.text), "{}", recording.name);
        assert_eq!((got.end, got.tally.skipped), (StreamEnd::Complete, 0));
    }
}

#[test]
fn a_renamed_stream_differs_in_its_models_only() {
    for recording in recordings() {
        let got = run(recording.dialect, &plans()[1], [recording.text.as_bytes()]);
        let back = got
            .out
            .replace(r#""model":"al\"ias""#, r#""model":"m-1""#)
            .replace(r#""modelVersion": "al\"ias""#, r#""modelVersion": "m-1""#);
        let withheld =
            recording.text.split_inclusive("\n\n").filter(|event| !event.contains(r#""choices":[],"usage""#));
        let mut expected: String = withheld.collect();
        if recording.name.contains("no_done") {
            expected.push_str("data: [DONE]\n\n");
        }
        assert_eq!(back, expected, "{}", recording.name);
        assert_eq!(got.out.matches("al\\\"ias").count() > 0, recording.text.contains(r#""m-1""#));
    }
}

/// The same stream with other line ends, and with a byte order mark.
fn spellings(text: &str) -> [String; 4] {
    [text.to_owned(), text.replace('\n', "\r\n"), text.replace('\n', "\r"), format!("\u{feff}{text}")]
}

#[test]
fn a_single_cut_never_changes_the_output() {
    for recording in recordings() {
        for text in spellings(&recording.text) {
            for plan in plans() {
                let whole = run(recording.dialect, &plan, [text.as_bytes()]);
                assert_eq!(whole.end, StreamEnd::Complete);
                for cut in 0..text.len() {
                    let (head, tail) = text.as_bytes().split_at(cut);
                    let got = run(recording.dialect, &plan, [head, tail]);
                    assert!(got == whole, "{} cut at {cut}: {got:?} instead of {whole:?}", recording.name);
                }
            }
        }
    }
}

#[test]
fn single_bytes_never_change_the_output() {
    for recording in recordings() {
        for text in spellings(&recording.text) {
            for plan in plans() {
                let whole = run(recording.dialect, &plan, [text.as_bytes()]);
                assert_eq!(
                    run(recording.dialect, &plan, text.as_bytes().chunks(1)),
                    whole,
                    "{}",
                    recording.name
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_chunking_changes_the_output(which in 0..RECORDINGS, spelling in 0..4_usize, plan in 0..2_usize, sizes in proptest::collection::vec(0..90_usize, 1..80)) {
        let recording = &recordings()[which];
        let text = &spellings(&recording.text)[spelling];
        let plan = &plans()[plan];
        let whole = run(recording.dialect, plan, [text.as_bytes()]);
        let mut rest = text.as_bytes();
        let mut chunks: Vec<&[u8]> = Vec::new();
        for size in sizes {
            let (chunk, more) = rest.split_at(size.min(rest.len()));
            chunks.push(chunk);
            rest = more;
        }
        chunks.push(rest);
        prop_assert_eq!(run(recording.dialect, plan, chunks), whole);
    }
}
