//! Looks at responses, whole or as the events of a stream; never at what they say, only at how much and whether they end.

use super::usage;
use super::wire::{count, each, name};
use crate::dialect::glance::{EventAt, Glance, Wants};
use crate::dialect::mark::SealMark;
use crate::dialect::openai::choices::generated;
use crate::dialect::openai::error;
use crate::json::{Kind, Malformed, Scan};

/// Looks at a whole answer: candidates, a refused prompt, a number of tokens, or embeddings.
pub(super) fn answer(text: &str) -> Result<Glance, Malformed> {
    look(text, Wants::Id)
}

/// Looks at one event, which holds a whole response.
pub(super) fn event(text: &str, at: EventAt<'_>) -> Result<Glance, Malformed> {
    look(text, at.wants_id)
}

fn look(text: &str, wants_id: Wants) -> Result<Glance, Malformed> {
    let mut scan = Scan::new(text);
    let mut glance = Glance::default();
    let mut is_refused = false;
    scan.object(|scan, key| {
        match (&*name(&key), scan.kind()) {
            ("candidates", Kind::Array) => {
                glance.is_answer = true;
                scan.array(|scan, _| candidate(scan, &mut glance))?;
            }
            ("promptFeedback", Kind::Object) => scan.object(|scan, key| {
                is_refused |= name(&key) == "blockReason" && scan.kind() == Kind::String;
                scan.skip()
            })?,
            ("totalTokens" | "embedding" | "embeddings", Kind::Number | Kind::Object | Kind::Array) => {
                glance.is_answer = true;
                scan.skip()?;
            }
            ("usageMetadata", Kind::Object) => glance.usage = usage::read(scan)?,
            ("modelVersion", Kind::String) => glance.model = Some(scan.string()?.span()),
            ("responseId", Kind::String) if wants_id == Wants::Id => {
                glance.id = Some(scan.string()?.value().into_owned());
            }
            ("error", _) => glance.failure = error::failure(scan.written()?),
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    scan.end()?;
    if is_refused {
        // Nothing follows a prompt that was refused, not even a candidate.
        glance.is_answer = true;
        glance.choices.begin(0);
        glance.choices.finish(0);
    }
    Ok(glance)
}

fn candidate(scan: &mut Scan<'_>, glance: &mut Glance) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let (mut index, mut is_finished) = (0, false);
    scan.object(|scan, key| {
        match (&*name(&key), scan.kind()) {
            ("content", Kind::Object) => scan.object(|scan, key| match &*name(&key) {
                "parts" => each(scan, |scan, _| part(scan, glance)),
                _ => scan.skip(),
            })?,
            ("index", _) => index = count(scan.written()?).unwrap_or(0),
            ("finishReason", Kind::String) => {
                is_finished = !matches!(&*scan.string()?.value(), "" | "FINISH_REASON_UNSPECIFIED");
            }
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    glance.choices.begin(index);
    if is_finished {
        glance.choices.finish(index);
    }
    Ok(())
}

/// A part: everything in it that the model wrote, what it sealed, and whether it is a picture. Those in its thoughts are drafts.
fn part(scan: &mut Scan<'_>, glance: &mut Glance) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let (mut is_picture, mut is_thought) = (false, false);
    scan.object(|scan, key| match (&*name(&key), scan.kind()) {
        ("text" | "functionCall" | "executableCode", _) => generated(scan, &mut glance.output_bytes),
        ("thoughtSignature", Kind::String) => {
            let seal = scan.string()?;
            glance.handles.extend((!seal.is_empty()).then(|| SealMark::of(&seal.value()).to_string()));
            Ok(())
        }
        ("inlineData", Kind::Object) => scan.object(|scan, key| {
            if name(&key) == "mimeType" && scan.kind() == Kind::String {
                is_picture |= scan.string()?.value().starts_with("image/");
                return Ok(());
            }
            scan.skip()
        }),
        ("thought", Kind::True) => {
            is_thought = true;
            scan.skip()
        }
        _ => scan.skip(),
    })?;
    glance.images += u64::from(is_picture && !is_thought);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::glance::Choices;

    fn check(text: &str, is_answer: bool, output_bytes: u64, begun: u128, finished: u128) {
        let found = answer(text).expect("it is JSON");
        assert_eq!((found.is_answer, found.output_bytes), (is_answer, output_bytes), "{text}");
        assert_eq!(found.choices, Choices { begun, finished }, "{text}");
        assert!(!found.terminal && found.failure.is_none(), "{text}");
    }

    #[test]
    fn what_the_model_wrote_is_counted_and_its_end_seen() {
        check("{}", false, 0, 0, 0);
        check(r#"{"candidates":[]}"#, true, 0, 0, 0);
        check(
            r#"{"candidates":[{"content":{"parts":[{"text":"a\u00fc"},{"text":"b","thought":true}]}}]}"#,
            true,
            4,
            1,
            0,
        );
        check(r#"{"candidates":[{"finishReason":"STOP","index":1},{"finishReason":""}]}"#, true, 0, 3, 2);
        check(r#"{"candidates":[{"finish_reason":"FINISH_REASON_UNSPECIFIED"}]}"#, true, 0, 1, 0);
        check(
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"a":1},"thoughtSignature":"QUJD"}]}}]}"#,
            true,
            7,
            1,
            0,
        );
        check(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, true, 0, 1, 1);
        check(r#"{"promptFeedback":{"safetyRatings":[]}}"#, false, 0, 0, 0);
        check(r#"{"totalTokens":31}"#, true, 0, 0, 0);
        check(r#"{"embedding":{"values":[0.1]}}"#, true, 0, 0, 0);
        check(r#"{"embeddings":[]}"#, true, 0, 0, 0);
    }

    #[test]
    fn pictures_are_counted_but_not_drafts_of_them() {
        let text = r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}},
            {"inline_data":{"data":"AA","mime_type":"image/jpeg"}},{"thought":true,"inlineData":{"mimeType":"image/png"}},
            {"inlineData":{"mimeType":"audio/wav","data":"AA"}},{"text":"image/png"}]}}]}"#;
        assert_eq!(answer(text).expect("it is JSON").images, 2);
    }

    #[test]
    fn names_and_errors_are_found() {
        let text = r#"{"modelVersion":"m-1","responseId":"r","usageMetadata":{"totalTokenCount":0}}"#;
        let found = answer(text).expect("it is JSON");
        assert_eq!(found.model.and_then(|place| text.get(place)), Some("\"m-1\""));
        assert_eq!((found.id.as_deref(), found.usage), (Some("r"), Some(crate::Usage::default())));
        let failed = answer(r#"{"error":{"code":503,"status":"UNAVAILABLE"}}"#).expect("it is JSON");
        assert_eq!(failed.failure.map(|failure| failure.kind), Some(crate::FailureKind::Unavailable));
        assert!(answer(r#"{"candidates":[{]}"#).is_err());
    }
}
