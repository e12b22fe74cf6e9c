//! An outline is made of exactly the bodies that `serde_json` takes for objects, and reads the same model off them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{DecodeError, Dialect, outline};
use protocol_fuzz::{Fields, dialect};

fuzz_target!(|input: &[u8]| {
    let Some((dialect, body)) = dialect(input) else { return };
    let valid = std::str::from_utf8(body)
        .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    match outline(dialect, body) {
        Ok(found) => {
            assert!(valid);
            // A key with half a surrogate pair has no name in Rust; such bodies are not comparable.
            let Some(fields) = Fields::read(body) else { return };
            // Google writes both in the path, and knows none of these names.
            if dialect != Dialect::Gemini {
                for known in ["model", "stream", "stream_options", "max_tokens", "messages"] {
                    assert!(fields.0.iter().filter(|(key, _)| key == known).count() <= 1, "{known} twice");
                }
                assert_eq!(found.stream, fields.get("stream") == Some("true"));
            }
            if let Some(model) = &found.model {
                let written =
                    std::str::from_utf8(&body[model.span.clone()]).expect("a string lies between characters");
                assert_eq!(fields.get("model"), Some(written));
                if let Ok(name) = serde_json::from_str::<String>(written) {
                    assert_eq!(name, model.name);
                }
            }
        }
        Err(DecodeError::InvalidJson { problem, at }) => {
            assert!(!valid || problem == "values nested too deeply", "{problem}");
            assert!(at <= body.len());
        }
        Err(error) => assert!(error.param().is_some() || error == DecodeError::NotAnObject),
    }
});
