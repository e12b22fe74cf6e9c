//! Looks at messages and at the events of their streams; never at what they say, only at how much and whether they end.

use crate::conversation::usage::Usage;
use crate::dialect::glance::{EventAt, Glance, Wants};
use crate::dialect::mark::SealMark;
use crate::dialect::openai::choices::generated;
use crate::dialect::openai::error;
use crate::json::{Kind, Malformed, Scan};

use super::usage;

/// Looks at a whole answer: a message, or the number of tokens that was asked for.
pub(crate) fn answer(text: &str) -> Result<Glance, Malformed> {
    let mut scan = Scan::new(text);
    let glance = message(&mut scan, Wants::Id, None)?;
    scan.end()?;
    Ok(glance)
}

/// Looks at one event; where its data has no type, the event's name stands in.
pub(crate) fn event(text: &str, at: EventAt<'_>) -> Result<Glance, Malformed> {
    let mut scan = Scan::new(text);
    let mut glance = Glance::default();
    let (mut kind, mut failure) = (None, None);
    scan.object(|scan, key| {
        match (&*key.value(), scan.kind()) {
            ("type", Kind::String) => kind = Some(scan.string()?.value()),
            ("message", Kind::Object) => {
                let begun = message(scan, at.wants_id, at.usage)?;
                glance = Glance { output_bytes: glance.output_bytes, ..begun };
            }
            ("content_block" | "delta", Kind::Object) => block(scan, &mut glance)?,
            ("usage", Kind::Object) => {
                let written = scan.written()?;
                glance.usage = usage::read(written, at.usage);
            }
            ("error", _) => failure = error::failure(scan.written()?),
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    scan.end()?;
    match kind.as_deref().or(at.name).unwrap_or_default() {
        "message_stop" => glance.terminal = true,
        "error" => glance.failure = failure.or_else(|| Some(error::unexplained())),
        // Servers in between report their own errors in OpenAI's way.
        "" => glance.failure = failure,
        _ => {}
    }
    Ok(glance)
}

fn message(scan: &mut Scan<'_>, wants_id: Wants, before: Option<&Usage>) -> Result<Glance, Malformed> {
    let mut glance = Glance::default();
    let mut fails = false;
    scan.object(|scan, key| {
        match (&*key.value(), scan.kind()) {
            ("type", Kind::String) => fails = scan.string()?.value() == "error",
            ("content", Kind::Array) => {
                glance.is_answer = true;
                scan.array(|scan, _| block(scan, &mut glance))?;
            }
            ("input_tokens", Kind::Number) => {
                glance.is_answer = true;
                scan.skip()?;
            }
            ("usage", Kind::Object) => {
                let written = scan.written()?;
                glance.usage = usage::read(written, before);
            }
            ("model", Kind::String) => glance.model = Some(scan.string()?.span()),
            ("id", Kind::String) if wants_id == Wants::Id => {
                glance.id = Some(scan.string()?.value().into_owned());
            }
            ("error", _) => glance.failure = error::failure(scan.written()?),
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    if fails && glance.failure.is_none() {
        glance.failure = Some(error::unexplained());
    }
    Ok(glance)
}

/// A block or its next piece: everything in it that the model wrote, and what it sealed.
fn block(scan: &mut Scan<'_>, glance: &mut Glance) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let mut written = 0;
    let mut is_result = false;
    scan.object(|scan, key| match (&*key.value(), scan.kind()) {
        ("type", Kind::String) => {
            is_result = scan.string()?.value().ends_with("_tool_result");
            Ok(())
        }
        ("text" | "thinking" | "partial_json" | "name", _) => generated(scan, &mut written),
        ("signature" | "data", Kind::String) => {
            let seal = scan.string()?;
            glance.handles.extend((!seal.is_empty()).then(|| SealMark::of(&seal.value()).to_string()));
            Ok(())
        }
        // A stream begins each call with an empty object.
        ("input", _) => {
            let input = scan.written()?;
            written += if input == "{}" { 0 } else { u64::try_from(input.len()).unwrap_or(u64::MAX) };
            Ok(())
        }
        _ => scan.skip(),
    })?;
    if !is_result {
        glance.output_bytes = glance.output_bytes.saturating_add(written);
    }
    Ok(())
}
