//! Takes thoughts that a server cannot read out of the messages, and the wish for thoughts where it needs those to go on;
//! never what was said aloud.

use std::ops::Range;

use super::decode::is_wrapped;
use crate::dialect::foreign::Origin;
use crate::dialect::unseal::Walk;
use crate::json::{Kind, Malformed, Scan};

/// The last turns, as far as the wish for thoughts depends on them.
#[derive(Default)]
struct Turns {
    /// What the assistant's last turn begins with is a thought.
    begins_with_thought: bool,
    /// The last turn has a result of a tool.
    has_result: bool,
}

/// A message as it goes out.
#[derive(Default)]
struct Left {
    begins_with_thought: Option<bool>,
    has_result: bool,
}

/// What stands beside the messages and means thoughts.
#[derive(Default)]
struct Wishes {
    /// With a budget, as models have it that insist on what they thought before they called a tool.
    thinking: Option<Range<usize>>,
    clearing: Option<Range<usize>>,
}

pub(in crate::dialect) fn walk(scan: &mut Scan<'_>, walk: &mut Walk<'_>) -> Result<(), Malformed> {
    let (mut turns, mut wishes) = (Turns::default(), Wishes::default());
    scan.object(|scan, key| {
        match (&*key.value(), scan.kind()) {
            ("messages", Kind::Array) => {
                let start = scan.place();
                let all =
                    walk.list(scan, "messages", |walk, scan, path| message(walk, scan, &path, &mut turns))?;
                if all == Origin::Foreign {
                    walk.instead.push((start..scan.at(), "[]"));
                }
            }
            ("thinking", Kind::Object) => {
                let (start, mut is_enabled) = (scan.place(), false);
                scan.object(|scan, key| match (&*key.value(), scan.kind()) {
                    ("type", Kind::String) => {
                        is_enabled = scan.string()?.value() == "enabled";
                        Ok(())
                    }
                    _ => scan.skip(),
                })?;
                wishes.thinking = is_enabled.then(|| start..scan.at());
            }
            // Thoughts can be cleared away only where there are to be some.
            ("context_management", Kind::Object) => wishes.clearing = Some(scan.span()?),
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    if let Some(thinking) = wishes.thinking.filter(|_| turns.has_result && !turns.begins_with_thought) {
        // "Expected `thinking` or `redacted_thinking`, but found `tool_use`."
        walk.instead.push((thinking, r#"{"type":"disabled"}"#));
        walk.lost.push("thinking".to_owned());
        if let Some(clearing) = wishes.clearing {
            walk.instead.push((clearing, r#"{"edits":[]}"#));
            walk.lost.push("context_management".to_owned());
        }
    }
    Ok(())
}

fn message(
    walk: &mut Walk<'_>,
    scan: &mut Scan<'_>,
    path: &str,
    turns: &mut Turns,
) -> Result<Origin, Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip().map(|()| Origin::Own);
    }
    let (mut left, mut is_assistant, mut origin) = (Left::default(), false, Origin::Own);
    scan.object(|scan, key| {
        match (&*key.value(), scan.kind()) {
            ("role", Kind::String) => is_assistant = scan.string()?.value() == "assistant",
            ("content", Kind::Array) => {
                let path = format!("{path}.content");
                origin = walk.list(scan, &path, |walk, scan, path| block(walk, scan, path, &mut left))?;
            }
            ("content", Kind::Object) => origin = block(walk, scan, format!("{path}.content"), &mut left)?,
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    if is_assistant && origin == Origin::Own {
        turns.begins_with_thought = left.begins_with_thought.unwrap_or(false);
    }
    turns.has_result = left.has_result;
    Ok(origin)
}

fn block(
    walk: &mut Walk<'_>,
    scan: &mut Scan<'_>,
    path: String,
    left: &mut Left,
) -> Result<Origin, Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip().map(|()| Origin::Own);
    }
    let (mut kind, mut seal) = (None, None);
    scan.object(|scan, key| {
        match (&*key.value(), scan.kind()) {
            ("type", Kind::String) => kind = Some(scan.string()?.value()),
            ("signature" | "data", Kind::String) => seal = Some(scan.string()?.value()),
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    let kind = kind.unwrap_or_default();
    let is_thought = matches!(&*kind, "thinking" | "redacted_thinking");
    // A thought without a signature is as good as one with an empty one.
    let seal = seal.unwrap_or_default();
    if is_wrapped(&seal) {
        return Ok(Origin::Foreign);
    }
    if is_thought && walk.goes(&seal) {
        walk.lost.push(path);
        return Ok(Origin::Foreign);
    }
    left.begins_with_thought.get_or_insert(is_thought);
    left.has_result |= kind == "tool_result";
    Ok(Origin::Own)
}
