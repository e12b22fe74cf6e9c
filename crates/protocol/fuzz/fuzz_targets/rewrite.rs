//! A rewritten body holds the edits, and every other field as it was, in its place.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::{Dialect, Edits, outline, rewrite};
use protocol_fuzz::{Fields, dialect};

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

fuzz_target!(|input: &[u8]| {
    let Some((dialect, body)) = dialect(input) else { return };
    let body = Bytes::copy_from_slice(body);
    let Ok(found) = outline(dialect, &body) else { return };
    // Seals that were wrapped for the client are taken out; the unit tests say how.
    if contains(&body, b"lg1.") || contains(&body, b"bGcx") {
        return;
    }
    assert_eq!(rewrite(&body, &found, &Edits::default()).concat(), body);

    let edited = rewrite(&body, &found, &Edits { model: Some("na\"tive"), ask_usage: true, ..Edits::default() }).concat();
    let again = outline(dialect, &edited).expect("an edited body is still one");
    if dialect == Dialect::Gemini {
        // Its model stands in the path.
        assert_eq!(edited, body);
    } else {
        assert_eq!(again.model.expect("a model was given").name, "na\"tive");
    }
    let asks = matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions) && found.stream;
    assert_eq!(again.usage_asked, found.usage_asked || asks);
    assert_eq!(
        (again.stream, again.prompt_bytes, again.needs),
        (found.stream, found.prompt_bytes, found.needs)
    );

    let (Some(before), Some(after)) = (Fields::read(&body), Fields::read(&edited)) else { return };
    let owned = ["model", "stream_options"];
    assert_eq!(before.without(&owned), after.without(&owned));
    let options = |fields: &Fields<'_>| {
        let options = Fields::read(fields.get("stream_options").unwrap_or("{}").as_bytes());
        options.map_or(Vec::new(), |options| {
            options.without(&["include_usage"]).iter().map(|(key, value)| format!("{key}:{value}")).collect()
        })
    };
    let (before, after): (Vec<String>, Vec<String>) = (options(&before), options(&after));
    assert_eq!(before, after);
});
