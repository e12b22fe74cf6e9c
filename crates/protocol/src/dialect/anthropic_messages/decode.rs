//! Reads a messages request, or one to count its tokens: what it weighs and demands; never judges a field, role or block
//! it does not know.

use super::request::CALL_SEAL;
use crate::conversation::seal::Seal;
use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, MEDIA_BYTES, Outline, Role};
use crate::dialect::fields::{self, wrong_type};
use crate::dialect::foreign::{Cuts, Origin};
use crate::dialect::mark::SealMark;
use crate::dialect::weigh::{self, weigh};
use crate::json::{Kind, Scan};

/// The fields the gateway acts on, hence the ones that may stand only once.
const KNOWN: &[&str] = &[
    "model",
    "stream",
    "max_tokens",
    "messages",
    "system",
    "tools",
    "metadata",
    "output_config",
    "output_format",
];

pub(crate) fn outline(text: &str) -> Result<Outline, DecodeError> {
    let mut count = None;
    let outline = fields::outline(Dialect::AnthropicMessages, KNOWN, text, |scan, field, outline| {
        match field {
            "model" => fields::model(scan, outline)?,
            "stream" => outline.stream = fields::flag(scan, "stream")?,
            "max_tokens" => outline.max_output_tokens = fields::count(scan)?,
            "messages" => count = messages(scan, outline)?,
            "system" => {
                let (is_given, start) = (scan.kind() != Kind::Null, scan.place());
                content(scan, outline, || "system".to_owned())?;
                outline.places.beginning.meet(Role::System, is_given.then(|| start..scan.at()));
            }
            "tools" => weigh::tools(scan, outline)?,
            "metadata" => metadata(scan, outline)?,
            "output_config" => output_config(scan, outline)?,
            "output_format" => weigh::format(scan, outline)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    match count {
        None => Err(DecodeError::Missing { param: "messages" }),
        Some(0) => Err(DecodeError::EmptyMessages),
        Some(_) => Ok(outline),
    }
}

/// Takes `messages` and counts them; null is as good as none given.
fn messages(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<Option<usize>, DecodeError> {
    let mut count = 0;
    match scan.kind() {
        Kind::Array => {
            let mut cuts = Cuts::default();
            scan.array(|scan, number| {
                count = number + 1;
                let start = scan.place();
                let origin = message(scan, number, outline)?;
                cuts.note(start..scan.at(), origin, &mut outline.places.foreign);
                Ok::<_, DecodeError>(())
            })?;
            cuts.end(&mut outline.places.foreign);
            Ok(Some(count))
        }
        Kind::Null => {
            scan.skip()?;
            Ok(None)
        }
        Kind::Object | Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            Err(wrong_type(scan, "messages", "a list of messages"))
        }
    }
}

fn message(scan: &mut Scan<'_>, number: usize, outline: &mut Outline) -> Result<Origin, DecodeError> {
    if scan.kind() != Kind::Object {
        return Err(wrong_type(scan, &format!("messages[{number}]"), "an object"));
    }
    let (mut said, mut role, mut origin) = (None, Role::default(), Origin::default());
    scan.object(|scan, key| match &*key.value() {
        "content" => {
            let start = scan.place();
            origin = content(scan, outline, || format!("messages[{number}].content"))?;
            said = Some(start..scan.at());
            Ok(())
        }
        "role" => {
            role = weigh::role(scan, outline)?;
            Ok(())
        }
        _ => weigh::bulk(scan, outline),
    })?;
    outline.places.beginning.meet(role, said);
    Ok(origin)
}

/// Takes what a message, a system prompt, a tool's result or a document consists of. It is foreign if all of it is.
fn content(
    scan: &mut Scan<'_>,
    outline: &mut Outline,
    param: impl Fn() -> String,
) -> Result<Origin, DecodeError> {
    match scan.kind() {
        Kind::String => weigh(outline, scan.string()?.value_bytes()),
        Kind::Array => return blocks(scan, outline),
        Kind::Object => return block(scan, outline),
        Kind::Null => scan.skip()?,
        Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            return Err(wrong_type(scan, &param(), "a string, a list of blocks, or null"));
        }
    }
    Ok(Origin::Own)
}

fn blocks(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<Origin, DecodeError> {
    let before = outline.places.foreign.len();
    let mut cuts = Cuts::default();
    scan.array(|scan, _| {
        let start = scan.place();
        let origin = block(scan, outline)?;
        cuts.note(start..scan.at(), origin, &mut outline.places.foreign);
        Ok::<_, DecodeError>(())
    })?;
    if cuts.leave_nothing() {
        // Nothing would be left, so the whole goes.
        outline.places.foreign.truncate(before);
        return Ok(Origin::Foreign);
    }
    Ok(Origin::Own)
}

fn block(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<Origin, DecodeError> {
    if scan.kind() != Kind::Object {
        return weigh::bulk(scan, outline).map(|()| Origin::Own);
    }
    let mut origin = Origin::default();
    scan.object(|scan, key| match (&*key.value(), scan.kind()) {
        ("type", Kind::String) => {
            match &*scan.string()?.value() {
                "image" => outline.needs.images = true,
                "document" => outline.needs.files = true,
                _ => {}
            }
            Ok(())
        }
        ("content", Kind::String | Kind::Array | Kind::Object) => {
            content(scan, outline, String::new).map(|_| ())
        }
        ("source", Kind::Object) => source(scan, outline),
        (name, Kind::String) => {
            let text = scan.string()?;
            if matches!(name, "signature" | "data") {
                let seal = text.value();
                match is_wrapped(&seal) {
                    true => origin = Origin::Foreign,
                    false => outline.seals.push(SealMark::of(&seal)),
                }
            }
            weigh(outline, text.value_bytes());
            Ok(())
        }
        _ => weigh::bulk(scan, outline),
    })?;
    Ok(origin)
}

/// Whether another dialect's seal is kept there for the client.
pub(super) fn is_wrapped(seal: &str) -> bool {
    Seal::is_wrapped(seal.strip_prefix(CALL_SEAL).unwrap_or(seal))
}

/// Takes the source of a picture or document: text counts as such, everything else has the one size of media.
fn source(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    let (mut is_text, mut bytes) = (false, 0);
    scan.object(|scan, key| {
        match (&*key.value(), scan.kind()) {
            ("type", Kind::String) => is_text = matches!(&*scan.string()?.value(), "text" | "content"),
            ("data", Kind::String) => bytes = scan.string()?.value_bytes(),
            ("content", Kind::String | Kind::Array | Kind::Object) => {
                content(scan, outline, String::new)?;
            }
            _ => scan.skip()?,
        }
        Ok::<_, DecodeError>(())
    })?;
    weigh(outline, if is_text { bytes } else { MEDIA_BYTES });
    Ok(())
}

fn metadata(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Object {
        return Ok(scan.skip()?);
    }
    scan.object(|scan, key| match &*key.value() {
        "user_id" => {
            outline.user = fields::text(scan)?;
            Ok(())
        }
        _ => Ok(scan.skip()?),
    })
}

fn output_config(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Object {
        return Ok(scan.skip()?);
    }
    scan.object(|scan, key| match &*key.value() {
        "format" => weigh::format(scan, outline),
        _ => Ok(scan.skip()?),
    })
}
