//! Usage as every known server writes it, against figures worked out by hand: each token is counted once. Prices are not
//! this test's affair.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::{Dialect, StreamEnd, StreamPlan, StreamRelay, Usage, inspect_answer};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One file under `golden/<dialect>/`: an answer or the events of a stream, and what was used.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    why: String,
    answer: Option<Box<RawValue>>,
    stream: Option<Vec<Box<RawValue>>>,
    usage: Option<Usage>,
    /// Pictures that were made.
    #[serde(default)]
    images: u64,
    /// Whether the figures of the answer contradict each other.
    #[serde(default)]
    is_contradicted: bool,
}

fn streamed(dialect: Dialect, events: &[Box<RawValue>]) -> (Option<Usage>, u64) {
    let plan = StreamPlan { withhold_usage: true, rename_model: None, event_bytes_max: 1 << 20 };
    let mut relay = StreamRelay::new(dialect, plan);
    let mut out = Vec::new();
    for event in events {
        let compact: serde_json::Value = serde_json::from_str(event.get()).expect("a raw value is JSON");
        relay
            .push(Bytes::from(format!("data: {compact}\n\n")), &mut out)
            .expect("a golden stream has no fault");
    }
    assert_eq!(relay.finish(&mut out), StreamEnd::Complete);
    (relay.tally().usage, relay.tally().images)
}

fn check_file(dialect: Dialect, path: &Path) {
    let case: Case =
        serde_json::from_slice(&fs::read(path).expect("the file is there")).expect("the file is a case");
    let found = match (&case.answer, &case.stream) {
        (Some(answer), None) => {
            let outline = inspect_answer(dialect, answer.get().as_bytes()).expect("the answer is one");
            (outline.usage, outline.images)
        }
        (None, Some(events)) => streamed(dialect, events),
        _ => panic!("{}: one of `answer` and `stream`", path.display()),
    };
    let expected = case.usage.map(|usage| Usage { is_contradicted: case.is_contradicted, ..usage });
    assert_eq!(found, (expected, case.images), "{}: {}", path.display(), case.why);
}

fn check(dialect: Dialect, folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    // What lies in folders is read by `translation`.
    files.retain(|path| path.is_file());
    files.sort();
    assert!(!files.is_empty());
    files.iter().for_each(|file| check_file(dialect, file));
}

#[test]
fn p06_every_token_is_counted_once() {
    check(Dialect::OpenAiChat, "golden/openai_chat");
    check(Dialect::OpenAiCompletions, "golden/openai_completions");
    check(Dialect::OpenAiEmbeddings, "golden/openai_embeddings");
    check(Dialect::OpenAiResponses, "golden/openai_responses");
    check(Dialect::OpenAiRaw, "golden/openai_raw");
    check(Dialect::AnthropicMessages, "golden/anthropic_messages");
    check(Dialect::Gemini, "golden/gemini");
}
