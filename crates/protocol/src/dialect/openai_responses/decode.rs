//! Reads a responses request, compactions included: its input items; never judges a field or item it does not know.

use std::borrow::Cow;

use crate::conversation::seal::Seal;
use crate::dialect::Dialect;
use crate::dialect::ask::{DecodeError, Outline, Role};
use crate::dialect::fields::{self, wrong_type};
use crate::dialect::foreign::{Cuts, Origin};
use crate::dialect::mark::SealMark;
use crate::dialect::openai::{decode, prompt};
use crate::dialect::weigh;
use crate::json::{Kind, Scan};

pub(crate) fn outline(text: &str) -> Result<Outline, DecodeError> {
    decode::outline(Dialect::OpenAiResponses, text, |scan, field, outline| {
        match field {
            "input" => input(scan, outline)?,
            "instructions" => {
                let is_text = scan.kind() == Kind::String;
                let start = scan.place();
                weigh::bulk(scan, outline)?;
                outline.places.beginning.meet(Role::System, is_text.then(|| start..scan.at()));
            }
            "tools" => weigh::tools(scan, outline)?,
            "text" => text_settings(scan, outline)?,
            "prompt" | "conversation" => {
                outline.needs.own_dialect |= scan.kind() != Kind::Null;
                return Ok(false);
            }
            "previous_response_id" => outline.previous_response_id = fields::text(scan)?,
            "store" => match scan.kind() {
                Kind::True | Kind::False => outline.store = Some(fields::flag(scan, "store")?),
                // What is wrong with it, its reader says.
                Kind::Object | Kind::Array | Kind::String | Kind::Number | Kind::Null | Kind::Nothing => {
                    return Ok(false);
                }
            },
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn input(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    match scan.kind() {
        Kind::String => {
            let start = scan.place();
            prompt::content(scan, outline, String::new)?;
            outline.places.beginning.meet(Role::Other, Some(start..scan.at()));
            Ok(())
        }
        Kind::Array => {
            let mut cuts = Cuts::default();
            scan.array(|scan, _| {
                let start = scan.place();
                let origin = item(scan, outline)?;
                cuts.note(start..scan.at(), origin, &mut outline.places.foreign);
                Ok::<_, DecodeError>(())
            })?;
            cuts.end(&mut outline.places.foreign);
            Ok(())
        }
        Kind::Null => Ok(scan.skip()?),
        Kind::Object | Kind::Number | Kind::True | Kind::False | Kind::Nothing => {
            Err(wrong_type(scan, "input", "a string or a list of items"))
        }
    }
}

/// A message, a call, its output, a piece of reasoning: what is not content counts by its size.
fn item(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<Origin, DecodeError> {
    if scan.kind() != Kind::Object {
        return weigh::bulk(scan, outline).map(|()| Origin::Own);
    }
    let (mut said, mut role, mut origin) = (None, Role::default(), Origin::Own);
    let mut shape = Shape::default();
    scan.object(|scan, key| match (&*key.value(), scan.kind()) {
        ("content" | "output", Kind::String | Kind::Array | Kind::Object) => {
            let start = scan.place();
            prompt::content(scan, outline, String::new)?;
            said = Some(start..scan.at());
            Ok(())
        }
        ("role", _) => {
            shape.has_role = true;
            role = weigh::role(scan, outline)?;
            Ok(())
        }
        ("type", Kind::String) => {
            let (start, kind) = (scan.place(), scan.string()?);
            weigh::weigh(outline, weigh::length(scan.at() - start));
            shape.names_reference = Some(&*kind.value() == "item_reference");
            // What was said before is in it, for its maker's eyes only; or it asks for one.
            outline.needs.own_dialect |= matches!(&*kind.value(), "compaction" | "compaction_trigger");
            Ok(())
        }
        ("encrypted_content", Kind::String) => {
            let sealed = scan.string()?;
            match Seal::is_wrapped(&sealed.value()) {
                true => origin = Origin::Foreign,
                false => outline.seals.push(SealMark::of(&sealed.value())),
            }
            weigh::weigh(outline, weigh::length(sealed.span().len()));
            Ok(())
        }
        ("id", Kind::String) => {
            let id = scan.string()?;
            weigh::weigh(outline, weigh::length(id.span().len()));
            shape.id = Some(id.value());
            Ok(())
        }
        _ => weigh::bulk(scan, outline),
    })?;
    outline.refers_to.extend(shape.reference());
    outline.places.beginning.meet(role, said);
    Ok(origin)
}

/// What tells an item from a mere reference to one.
#[derive(Default)]
struct Shape<'a> {
    id: Option<Cow<'a, str>>,
    has_role: bool,
    /// None without a type.
    names_reference: Option<bool>,
}

impl Shape<'_> {
    /// The id that it is and nothing else.
    fn reference(self) -> Option<String> {
        let is_reference = self.names_reference.unwrap_or(!self.has_role);
        self.id.filter(|_| is_reference).map(Cow::into_owned)
    }
}

fn text_settings(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Object {
        return Ok(scan.skip()?);
    }
    scan.object(|scan, key| match &*key.value() {
        "format" => weigh::format(scan, outline),
        _ => Ok(scan.skip()?),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Edits, rewrite};

    #[test]
    fn thoughts_of_other_providers_do_not_reach_this_one() {
        let foreign = r#"{"type":"reasoning","summary":[],"encrypted_content":"lg1.gemini.s.c.x"}"#;
        let own = r#"{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}"#;
        for (items, left) in [
            (format!("{foreign}, {own}"), own.to_owned()),
            (format!("{own}, {foreign}"), own.to_owned()),
            (format!("{own}, {foreign}, {own}"), format!("{own}, {own}")),
            (own.to_owned(), own.to_owned()),
            (foreign.to_owned(), String::new()),
        ] {
            let body = Bytes::from(format!(r#"{{"model":"m","input":[{items}]}}"#));
            let outline = crate::outline(Dialect::OpenAiResponses, &body).unwrap();
            let sent = rewrite(&body, &outline, &Edits::default()).concat();
            assert_eq!(String::from_utf8(sent).unwrap(), format!(r#"{{"model":"m","input":[{left}]}}"#));
        }
    }
}
