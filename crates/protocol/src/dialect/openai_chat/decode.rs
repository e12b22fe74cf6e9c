//! Reads a chat request: its messages and what they demand; never judges a role or a field it does not know.

use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, Outline, Role};
use crate::dialect::fields::wrong_type;
use crate::dialect::openai::{decode, prompt};
use crate::dialect::weigh;
use crate::json::{Kind, Scan};

pub(crate) fn outline(text: &str) -> Result<Outline, DecodeError> {
    let mut count = None;
    let outline = decode::outline(Dialect::OpenAiChat, text, |scan, field, outline| {
        match field {
            "messages" => count = messages(scan, outline)?,
            "tools" | "functions" => weigh::tools(scan, outline)?,
            "response_format" => weigh::format(scan, outline)?,
            "modalities" => modalities(scan, outline)?,
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
            scan.array(|scan, number| {
                count = number + 1;
                message(scan, number, outline)
            })?;
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

fn message(scan: &mut Scan<'_>, number: usize, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Object {
        return Err(wrong_type(scan, &format!("messages[{number}]"), "an object"));
    }
    let (mut said, mut role) = (None, Role::default());
    scan.object(|scan, key| match &*key.value() {
        "content" => {
            let start = scan.place();
            prompt::content(scan, outline, || format!("messages[{number}].content"))?;
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
    Ok(())
}

fn modalities(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Array {
        return Ok(scan.skip()?);
    }
    scan.array(|scan, _| {
        if scan.kind() == Kind::String {
            outline.needs.audio |= scan.string()?.value() == "audio";
            return Ok(());
        }
        scan.skip()
    })?;
    Ok(())
}
