//! Reads the fields that all OpenAI requests share; never what the model is to read, which each dialect keeps elsewhere.

use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, Outline, StreamOptions};
use crate::dialect::fields::{self, count, flag, text, wrong_type};
use crate::json::{Kind, Scan};

/// The fields the gateway acts on, hence the ones that may stand only once.
const KNOWN: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "messages",
    "prompt",
    "input",
    "instructions",
    "tools",
    "functions",
    "response_format",
    "text",
    "modalities",
    "user",
    "prompt_cache_key",
    "previous_response_id",
    "conversation",
    "store",
];

/// Outlines a request; `own` is offered each known field that is not shared, and says whether it has taken the value.
pub(crate) fn outline(
    dialect: Dialect,
    text: &str,
    mut own: impl FnMut(&mut Scan<'_>, &'static str, &mut Outline) -> Result<bool, DecodeError>,
) -> Result<Outline, DecodeError> {
    fields::outline(dialect, KNOWN, text, |scan, field, outline| {
        Ok(shared(scan, field, outline)? || own(scan, field, outline)?)
    })
}

fn shared(scan: &mut Scan<'_>, field: &str, outline: &mut Outline) -> Result<bool, DecodeError> {
    match field {
        "model" => fields::model(scan, outline)?,
        "stream" => outline.stream = flag(scan, "stream")?,
        "stream_options" => stream_options(scan, outline)?,
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
            outline.max_output_tokens = outline.max_output_tokens.max(count(scan)?);
        }
        "n" | "best_of" => outline.answers = outline.answers.max(count(scan)?.unwrap_or(1)),
        "user" => outline.user = text(scan)?,
        "prompt_cache_key" => outline.prompt_cache_key = text(scan)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn stream_options(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    outline.places.stream_options = match scan.kind() {
        Kind::Null => StreamOptions::Null(scan.span()?),
        Kind::Object => {
            let (mut empty, mut include_usage, mut asked) = (true, None, false);
            let inside = scan.place() + 1;
            scan.object(|scan, key| {
                empty = false;
                if key.value() != "include_usage" {
                    return Ok(scan.skip()?);
                }
                if include_usage.is_some() {
                    return Err(DecodeError::Duplicate { param: "stream_options.include_usage" });
                }
                asked = scan.kind() == Kind::True;
                include_usage = Some(scan.span()?);
                Ok(())
            })?;
            outline.usage_asked = asked;
            StreamOptions::Object { inside, empty, include_usage }
        }
        Kind::Array | Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            return Err(wrong_type(scan, "stream_options", "an object or null"));
        }
    };
    Ok(())
}
