//! An answer that is let through is JSON; renaming its model changes that model and nothing else.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::{Dialect, inspect_answer, rename_model};
use protocol_fuzz::{Fields, dialect};

/// How dialects call the field.
const MODEL: &[&str] = &["model", "modelVersion", "model_version"];

fuzz_target!(|input: &[u8]| {
    let Some((dialect, body)) = dialect(input) else { return };
    let body = Bytes::copy_from_slice(body);
    let found = match inspect_answer(dialect, &body) {
        Ok(found) => found,
        Err(failure) => {
            assert!(!matches!(dialect, Dialect::OpenAiRaw | Dialect::AgentRpc));
            assert!(failure.detail.chars().count() <= 500);
            return;
        }
    };
    if !matches!(dialect, Dialect::OpenAiRaw | Dialect::AgentRpc) {
        let text = std::str::from_utf8(&body).expect("an answer is text");
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    }
    if let Some(usage) = found.usage {
        assert!(
            usage.reasoning <= usage.output
                && usage.audio_output <= usage.output
                && usage.audio_input <= usage.input
        );
    }
    let renamed = rename_model(&body, found.model.as_ref(), "al\"ias").concat();
    if found.model.is_none() {
        assert_eq!(renamed, body);
        return;
    }
    let again = inspect_answer(dialect, &renamed).expect("a renamed answer is still one");
    assert_eq!(again.model.map(|place| renamed[place].to_vec()).as_deref(), Some(&br#""al\"ias""#[..]));
    assert_eq!((again.usage, again.id, again.output_bytes), (found.usage, found.id, found.output_bytes));
    if let (Some(before), Some(after)) = (Fields::read(&body), Fields::read(&renamed)) {
        assert_eq!(before.without(MODEL), after.without(MODEL));
    }
});
