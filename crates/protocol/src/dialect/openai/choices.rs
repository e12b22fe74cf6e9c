//! Looks at chat and completion answers, whole or in chunks; never at what they say, only at how much and whether they end.

use crate::dialect::glance::{EventAt, Glance, Wants};
use crate::dialect::openai::{error, usage};
use crate::json::{Kind, Malformed, Scan};

/// Looks at a whole answer.
pub(crate) fn answer(text: &str) -> Result<Glance, Malformed> {
    glance(text, Wants::Id)
}

/// Looks at one chunk of a stream.
pub(crate) fn event(text: &str, at: EventAt<'_>) -> Result<Glance, Malformed> {
    glance(text, at.wants_id)
}

/// Chunks and whole answers differ in `delta` and `message` only.
fn glance(text: &str, wants_id: Wants) -> Result<Glance, Malformed> {
    let mut scan = Scan::new(text);
    let mut glance = Glance::default();
    scan.object(|scan, key| {
        match &*key.value() {
            "choices" if scan.kind() == Kind::Array => {
                glance.is_answer = true;
                scan.array(|scan, _| choice(scan, &mut glance))?;
            }
            "usage" if scan.kind() == Kind::Object => {
                let written = scan.written()?;
                glance.usage = usage::read(written);
            }
            "model" if scan.kind() == Kind::String => glance.model = Some(scan.string()?.span()),
            "id" if wants_id == Wants::Id && scan.kind() == Kind::String => {
                glance.id = Some(scan.string()?.value().into_owned());
            }
            "error" => {
                let written = scan.written()?;
                glance.failure = error::failure(written).or(glance.failure.take());
            }
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    scan.end()?;
    Ok(glance)
}

fn choice(scan: &mut Scan<'_>, glance: &mut Glance) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let (mut index, mut finished) = (0, false);
    scan.object(|scan, key| {
        match &*key.value() {
            "delta" | "message" if scan.kind() == Kind::Object => message(scan, glance)?,
            "text" => generated(scan, &mut glance.output_bytes)?,
            "index" => {
                let written = scan.written()?;
                index = written.parse().unwrap_or(0);
            }
            // Some servers send an empty reason with every chunk.
            "finish_reason" if scan.kind() == Kind::String => {
                let reason = scan.string()?;
                finished = !reason.is_empty();
                if reason.value() == "error" {
                    glance.failure.get_or_insert_with(error::unexplained);
                }
            }
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    glance.choices.begin(index);
    if finished {
        glance.choices.finish(index);
    }
    Ok(())
}

/// A message or its next piece: everything in it that the model wrote.
fn message(scan: &mut Scan<'_>, glance: &mut Glance) -> Result<(), Malformed> {
    let Glance { output_bytes: bytes, images, .. } = glance;
    scan.object(|scan, key| match &*key.value() {
        "content" | "reasoning_content" | "reasoning" | "refusal" => generated(scan, bytes),
        "tool_calls" if scan.kind() == Kind::Array => scan.array(|scan, _| call(scan, bytes)),
        "function_call" => call(scan, bytes),
        "images" if scan.kind() == Kind::Array => scan.array(|scan, _| {
            *images += u64::from(scan.kind() == Kind::Object);
            scan.skip()
        }),
        _ => scan.skip(),
    })?;
    Ok(())
}

/// A tool call, or the `function` or `custom` in it: its name and its arguments, which some servers send as an object.
fn call(scan: &mut Scan<'_>, bytes: &mut u64) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    scan.object(|scan, key| match &*key.value() {
        "function" | "custom" => call(scan, bytes),
        "name" | "arguments" | "input" => generated(scan, bytes),
        _ => scan.skip(),
    })?;
    Ok(())
}

/// Something the model wrote: a string, or whatever a server makes of it.
pub(crate) fn generated(scan: &mut Scan<'_>, bytes: &mut u64) -> Result<(), Malformed> {
    let more = match scan.kind() {
        Kind::String => scan.string()?.value_bytes(),
        Kind::Object | Kind::Array => u64::try_from(scan.span()?.len()).unwrap_or(u64::MAX),
        Kind::Number | Kind::True | Kind::False | Kind::Null | Kind::Nothing => {
            scan.skip()?;
            0
        }
    };
    *bytes = bytes.saturating_add(more);
    Ok(())
}
