//! Reads a request of `generateContent`, or of what hangs beside it: what it weighs and demands; never the model, which
//! its path names.

use super::wire::{count, each, name};
use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, MEDIA_BYTES, Outline, Role};
use crate::dialect::weigh::{self, length, weigh};
use crate::json::{Kind, Malformed, Scan};

/// The fields the gateway acts on, hence the ones that may stand only once, in either spelling.
const KNOWN: [&str; 4] = ["contents", "systemInstruction", "tools", "generationConfig"];

pub(super) fn outline(text: &str) -> Result<Outline, DecodeError> {
    let mut scan = Scan::new(text);
    if scan.kind() != Kind::Object {
        scan.skip()?;
        scan.end()?;
        return Err(DecodeError::NotAnObject);
    }
    let mut outline = Outline::of(Dialect::Gemini);
    let mut met = [false; KNOWN.len()];
    outline.places.empty = true;
    outline.places.inside = scan.place() + 1;
    scan.object(|scan, key| {
        outline.places.empty = false;
        let field = name(&key);
        let known = met.iter_mut().zip(KNOWN).find(|(_, known)| *known == field);
        if let Some((met, param)) = known
            && std::mem::replace(met, true)
        {
            return Err(DecodeError::Duplicate { param });
        }
        match &*field {
            "contents" => each(scan, |scan, _| content(scan, Role::Other, &mut outline))?,
            "systemInstruction" => content(scan, Role::System, &mut outline)?,
            "tools" => {
                let kind = scan.kind();
                outline.needs.tools |= kind == Kind::Object;
                weigh::tools(scan, &mut outline)?;
            }
            "generationConfig" if scan.kind() == Kind::Object => config(scan, &mut outline)?,
            _ => scan.skip()?,
        }
        Ok(())
    })?;
    scan.end()?;
    Ok(outline)
}

/// Takes one content and notes what the conversation begins with.
fn content(scan: &mut Scan<'_>, role: Role, outline: &mut Outline) -> Result<(), DecodeError> {
    let start = scan.place();
    match scan.kind() {
        Kind::Null => return Ok(scan.skip()?),
        Kind::Object => scan.object(|scan, key| match &*name(&key) {
            "parts" => each(scan, |scan, _| part(scan, outline)),
            _ => weigh::bulk(scan, outline),
        })?,
        Kind::Array | Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            weigh::bulk(scan, outline)?;
        }
    }
    outline.places.beginning.meet(role, Some(start..scan.at()));
    Ok(())
}

fn part(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Object {
        return weigh::bulk(scan, outline);
    }
    scan.object(|scan, key| match (&*name(&key), scan.kind()) {
        ("inlineData" | "fileData", Kind::Object) => media(scan, outline),
        ("functionResponse", Kind::Object) => scan.object(|scan, key| match (&*name(&key), scan.kind()) {
            // Only media may stand there, so that nothing nests.
            ("parts", _) => each(scan, |scan, _| match scan.kind() {
                Kind::Object => scan.object(|scan, key| match (&*name(&key), scan.kind()) {
                    ("inlineData" | "fileData", Kind::Object) => media(scan, outline),
                    _ => weigh::bulk(scan, outline),
                }),
                _ => weigh::bulk(scan, outline),
            }),
            _ => weigh::bulk(scan, outline),
        }),
        (_, Kind::String) => {
            weigh(outline, scan.string()?.value_bytes());
            Ok(())
        }
        _ => weigh::bulk(scan, outline),
    })
}

fn media(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    let needs = &mut outline.needs;
    scan.object(|scan, key| {
        if name(&key) != "mimeType" || scan.kind() != Kind::String {
            return scan.skip();
        }
        let mime_type = scan.string()?.value();
        match mime_type.split_once('/').map_or(&*mime_type, |(kind, _)| kind) {
            "image" => needs.images = true,
            "audio" => needs.audio = true,
            _ => needs.files = true,
        }
        Ok::<_, Malformed>(())
    })?;
    weigh(outline, MEDIA_BYTES);
    Ok(())
}

fn config(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    scan.object(|scan, key| {
        match (&*name(&key), scan.kind()) {
            ("maxOutputTokens", _) => {
                outline.max_output_tokens = outline.max_output_tokens.max(count(scan.written()?));
            }
            ("responseSchema" | "responseJsonSchema", Kind::Object) => {
                outline.needs.json_schema = true;
                let written = scan.written()?;
                weigh(outline, length(written.len()));
            }
            ("responseModalities", Kind::Array) => scan.array(|scan, _| {
                let written = scan.written()?;
                outline.needs.audio |= written.eq_ignore_ascii_case("\"audio\"");
                Ok::<_, DecodeError>(())
            })?,
            _ => scan.skip()?,
        }
        Ok(())
    })
}
