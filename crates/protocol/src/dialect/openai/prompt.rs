//! Weighs what a model is to read and finds what that demands; never keeps any of it.

use crate::dialect::ask::{DecodeError, MEDIA_BYTES, Outline};
use crate::dialect::fields::wrong_type;
use crate::dialect::weigh::{length, weigh};
use crate::json::{Kind, Scan};

/// What one token of a pre-tokenised prompt weighs: what a token of English text does.
const TOKEN_BYTES: u64 = 4;

/// Takes a message's content: a string, a list of parts, or nothing.
pub(crate) fn content(
    scan: &mut Scan<'_>,
    outline: &mut Outline,
    param: impl Fn() -> String,
) -> Result<(), DecodeError> {
    match scan.kind() {
        Kind::String => weigh(outline, scan.string()?.value_bytes()),
        Kind::Array => scan.array(|scan, _| part(scan, outline))?,
        Kind::Object => part(scan, outline)?,
        Kind::Null => scan.skip()?,
        Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            return Err(wrong_type(scan, &param(), "a string, a list of parts, or null"));
        }
    }
    Ok(())
}

/// Takes what a dialect lets a model read bare: a text, texts, tokens, or lists of tokens.
pub(crate) fn texts_or_tokens(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    match scan.kind() {
        Kind::String => weigh(outline, scan.string()?.value_bytes()),
        Kind::Array => scan.array(|scan, _| texts_or_tokens(scan, outline))?,
        Kind::Number => {
            scan.skip()?;
            weigh(outline, TOKEN_BYTES);
        }
        Kind::Object => part(scan, outline)?,
        Kind::True | Kind::False | Kind::Null | Kind::Nothing => scan.skip()?,
    }
    Ok(())
}

/// One part of a content: its `type` says whether it is text or something that is not counted by its bytes.
fn part(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    match scan.kind() {
        Kind::String => weigh(outline, scan.string()?.value_bytes()),
        Kind::Object => {
            let (mut bytes, mut media) = (0_u64, false);
            let needs = &mut outline.needs;
            scan.object(|scan, key| {
                if key.value() == "type" && scan.kind() == Kind::String {
                    match &*scan.string()?.value() {
                        "image_url" | "input_image" | "image" | "computer_screenshot" => needs.images = true,
                        "input_audio" | "audio" | "audio_url" => needs.audio = true,
                        "file" | "input_file" => needs.files = true,
                        _ => return Ok(()),
                    }
                    media = true;
                    return Ok(());
                }
                let string = scan.kind() == Kind::String;
                let value = if string { scan.string()?.value_bytes() } else { length(scan.written()?.len()) };
                bytes = bytes.saturating_add(value);
                Ok::<_, DecodeError>(())
            })?;
            weigh(outline, if media { MEDIA_BYTES } else { bytes });
        }
        Kind::Array | Kind::Number | Kind::True | Kind::False | Kind::Null | Kind::Nothing => scan.skip()?,
    }
    Ok(())
}
