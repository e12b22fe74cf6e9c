//! Looks at the events and the response objects of `openai_responses`; never at what they say.

pub(crate) mod read;
pub(crate) mod write;

use crate::dialect::glance::{EventAt, Glance};
use crate::dialect::mark::SealMark;
use crate::dialect::openai::choices::generated;
use crate::dialect::openai::{error, usage};
use crate::failure::{Failure, FailureKind};
use crate::json::{Kind, Malformed, Scan};

/// Looks at one event; where its data has no type, the event's name stands in.
pub(crate) fn event(text: &str, at: EventAt<'_>) -> Result<Glance, Malformed> {
    let mut scan = Scan::new(text);
    let mut glance = Glance::default();
    let (mut kind, mut inner, mut failure, mut written) = (None, None, None, 0);
    let mut told = Glance::default();
    scan.object(|scan, key| {
        match &*key.value() {
            "type" if scan.kind() == Kind::String => kind = Some(scan.string()?.value()),
            "response" if scan.kind() == Kind::Object => inner = Some(response(scan)?),
            "item" => item(scan, &mut told)?,
            "delta" => generated(scan, &mut written)?,
            "error" => failure = error::failure(scan.written()?),
            "sequence_number" => {
                let written = scan.written()?;
                glance.sequence = written.parse().ok();
            }
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    scan.end()?;
    let kind = kind.as_deref().or(at.name).unwrap_or_default();
    if let Some(inner) = inner {
        // Its items were told before, each with its own event.
        glance = Glance { sequence: glance.sequence, output_bytes: 0, images: 0, ..inner };
    }
    let fails = matches!(kind, "response.failed" | "error");
    match kind {
        "response.completed" | "response.incomplete" => glance.terminal = true,
        "response.output_item.done" => (glance.handles, glance.images) = (told.handles, told.images),
        _ if kind.ends_with(".delta") => glance.output_bytes = written,
        _ => {}
    }
    // Only an event of no type may be an error by its field alone: others carry the errors of tools.
    if fails || kind.is_empty() {
        glance.failure = failure.or(glance.failure);
    }
    if fails && glance.failure.is_none() {
        // The documented error event carries its code and message beside its type.
        glance.failure = error::failure(text).or_else(|| Some(error::unexplained()));
    }
    Ok(glance)
}

/// Looks at a whole answer, which is a response object.
pub(crate) fn answer(text: &str) -> Result<Glance, Malformed> {
    let mut scan = Scan::new(text);
    let glance = response(&mut scan)?;
    scan.end()?;
    Ok(glance)
}

fn response(scan: &mut Scan<'_>) -> Result<Glance, Malformed> {
    let mut glance = Glance::default();
    let mut failed = false;
    scan.object(|scan, key| {
        match &*key.value() {
            "output" if scan.kind() == Kind::Array => {
                glance.is_answer = true;
                scan.array(|scan, _| item(scan, &mut glance))?;
            }
            "usage" if scan.kind() == Kind::Object => {
                let written = scan.written()?;
                glance.usage = usage::read(written);
            }
            "model" if scan.kind() == Kind::String => glance.model = Some(scan.string()?.span()),
            "id" if scan.kind() == Kind::String => glance.id = Some(scan.string()?.value().into_owned()),
            "status" if scan.kind() == Kind::String => failed = scan.string()?.value() == "failed",
            "error" => {
                let written = scan.written()?;
                glance.failure = error::failure(written);
            }
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    if failed && glance.failure.is_none() {
        glance.failure =
            Some(Failure::new(FailureKind::ErrorAnswer, "the response has failed and does not say why"));
    }
    Ok(glance)
}

/// An output item: a message's parts, a call's arguments, a piece of reasoning.
fn item(scan: &mut Scan<'_>, glance: &mut Glance) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let (mut is_generation, mut has_result) = (false, false);
    scan.object(|scan, key| match (&*key.value(), scan.kind()) {
        ("type", Kind::String) => {
            is_generation = scan.string()?.value() == "image_generation_call";
            Ok(())
        }
        ("result", Kind::String) => {
            has_result = !scan.string()?.is_empty();
            Ok(())
        }
        ("id", Kind::String) => {
            glance.handles.push(scan.string()?.value().into_owned());
            Ok(())
        }
        ("encrypted_content", Kind::String) => {
            glance.handles.push(SealMark::of(&scan.string()?.value()).to_string());
            Ok(())
        }
        ("content" | "summary", Kind::Array) => scan.array(|scan, _| piece(scan, &mut glance.output_bytes)),
        (name, _) => said(name, scan, &mut glance.output_bytes),
    })?;
    glance.images += u64::from(is_generation && has_result);
    Ok(())
}

/// A piece of what an item says.
fn piece(scan: &mut Scan<'_>, bytes: &mut u64) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    scan.object(|scan, key| said(&key.value(), scan, bytes))?;
    Ok(())
}

fn said(name: &str, scan: &mut Scan<'_>, bytes: &mut u64) -> Result<(), Malformed> {
    match name {
        "text" | "refusal" | "arguments" | "input" | "name" => generated(scan, bytes),
        _ => scan.skip(),
    }
}
