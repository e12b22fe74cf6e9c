//! Reads the fields that all OpenAI requests share; never what the model is to read, which each dialect keeps elsewhere.

use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, ModelField, Outline, StreamOptions};
use crate::json::{Kind, Scan};

/// The fields the gateway acts on, hence the ones that may stand only once.
const KNOWN: [&str; 18] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
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
];

/// Which known fields were met so far, one bit each.
#[derive(Default)]
struct Met(u32);

impl Met {
    /// Finds the field by its name and refuses it the second time.
    fn once(&mut self, name: &str) -> Result<Option<&'static str>, DecodeError> {
        let Some((number, param)) = KNOWN.into_iter().enumerate().find(|(_, known)| *known == name) else {
            return Ok(None);
        };
        if self.0 & (1 << number) != 0 {
            return Err(DecodeError::Duplicate { param });
        }
        self.0 |= 1 << number;
        Ok(Some(param))
    }
}

/// Outlines a request; `own` is offered each known field that is not shared, and says whether it has taken the value.
pub(crate) fn outline(
    dialect: Dialect,
    text: &str,
    mut own: impl FnMut(&mut Scan<'_>, &'static str, &mut Outline) -> Result<bool, DecodeError>,
) -> Result<Outline, DecodeError> {
    let mut scan = Scan::new(text);
    if scan.kind() != Kind::Object {
        scan.skip()?;
        scan.end()?;
        return Err(DecodeError::NotAnObject);
    }
    let mut outline = Outline::of(dialect);
    let mut met = Met::default();
    outline.places.empty = true;
    outline.places.inside = scan.place() + 1;
    scan.object(|scan, key| {
        outline.places.empty = false;
        let taken = match met.once(&key.value())? {
            Some(field) => shared(scan, field, &mut outline)? || own(scan, field, &mut outline)?,
            None => false,
        };
        if !taken {
            scan.skip()?;
        }
        Ok::<_, DecodeError>(())
    })?;
    scan.end()?;
    Ok(outline)
}

fn shared(scan: &mut Scan<'_>, field: &str, outline: &mut Outline) -> Result<bool, DecodeError> {
    match field {
        "model" => model(scan, outline)?,
        "stream" => outline.stream = flag(scan, "stream")?,
        "stream_options" => stream_options(scan, outline)?,
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
            outline.max_output_tokens = outline.max_output_tokens.max(count(scan)?);
        }
        "user" => outline.user = text(scan)?,
        "prompt_cache_key" => outline.prompt_cache_key = text(scan)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn model(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    match scan.kind() {
        Kind::String => {
            let name = scan.string()?;
            outline.places.model = Some(name.span());
            outline.model = Some(ModelField { name: name.value().into_owned(), span: name.span() });
        }
        Kind::Null => outline.places.model = Some(scan.span()?),
        Kind::Object | Kind::Array | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            return Err(wrong_type(scan, "model", "a string"));
        }
    }
    Ok(())
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

fn flag(scan: &mut Scan<'_>, param: &'static str) -> Result<bool, DecodeError> {
    let kind = scan.kind();
    if !matches!(kind, Kind::True | Kind::False | Kind::Null) {
        return Err(wrong_type(scan, param, "true or false"));
    }
    scan.skip()?;
    Ok(kind == Kind::True)
}

/// A whole number of tokens; anything else (-1 for "no end" at some servers) is no limit that could be counted on.
fn count(scan: &mut Scan<'_>) -> Result<Option<u64>, DecodeError> {
    Ok(scan.written()?.parse().ok())
}

/// A string; anything else is the upstream's to refuse, since the gateway only takes a hint from these fields.
pub(crate) fn text(scan: &mut Scan<'_>) -> Result<Option<String>, DecodeError> {
    if scan.kind() != Kind::String {
        scan.skip()?;
        return Ok(None);
    }
    Ok(Some(scan.string()?.value().into_owned()))
}

/// Says that a value has the wrong kind, unless it is not even JSON.
pub(crate) fn wrong_type(scan: &mut Scan<'_>, param: &str, expected: &'static str) -> DecodeError {
    match scan.skip() {
        Ok(()) => DecodeError::WrongType { param: param.to_owned(), expected },
        Err(bad) => bad.into(),
    }
}
