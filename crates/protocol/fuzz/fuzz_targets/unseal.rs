//! A body that is told without what is sealed in it is still a request that says everything else, and there is nothing left
//! to be taken out of it.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::{Edits, Unsealed, outline, rewrite, unseal};
use protocol_fuzz::dialect;

fuzz_target!(|input: &[u8]| {
    let Some((dialect, body)) = dialect(input) else { return };
    let (model, body) = match body.split_first() {
        Some((odd, body)) if odd % 2 == 1 => ("gemini-3-pro", body),
        Some((_, body)) => ("gemini-2.5-pro", body),
        None => return,
    };
    let body = Bytes::copy_from_slice(body);
    let Ok(found) = outline(dialect, &body) else { return };
    let unasked = unseal(&body, &found, model, |_| false).map(|known| known.lost).unwrap_or_default();
    assert!(unasked.iter().all(|path| matches!(&**path, "thinking" | "context_management")), "{unasked:?}");
    let Some(Unsealed { outline: changed, lost }) = unseal(&body, &found, model, |_| true) else { return };
    let sent = Bytes::from(rewrite(&body, &changed, &Edits::default()).concat());
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&sent).is_ok(), "{}", String::from_utf8_lossy(&sent));
    assert!(lost.iter().all(|path| !path.is_empty()));
    // Where all the messages were thoughts, none are left.
    let Ok(again) = outline(dialect, &sent) else { return };
    assert_eq!((again.model.map(|model| model.name), again.stream), (found.model.map(|model| model.name), found.stream));
});
