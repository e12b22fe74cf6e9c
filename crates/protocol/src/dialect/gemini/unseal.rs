//! Takes signatures that a server cannot read off the parts, and excuses calls that lack one; never takes a part away.

use std::ops::Range;

use super::model::Model;
use super::seal;
use super::wire::{each, name};
use crate::dialect::foreign::Origin;
use crate::dialect::unseal::Walk;
use crate::json::{Kind, Malformed, Scan};

/// In place of a signature, and in front of other fields: as calls are excused that are written anew.
const EXCUSE: &str = r#""skip_thought_signature_validator""#;
const EXCUSED: &str = r#""thoughtSignature":"skip_thought_signature_validator","#;

pub(in crate::dialect) fn walk(scan: &mut Scan<'_>, walk: &mut Walk<'_>) -> Result<(), Malformed> {
    scan.object(|scan, key| match &*name(&key) {
        "contents" => each(scan, |scan, number| content(walk, scan, &format!("contents[{number}]"))),
        _ => scan.skip(),
    })
}

fn content(walk: &mut Walk<'_>, scan: &mut Scan<'_>, path: &str) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let mut calls = 0;
    scan.object(|scan, key| match &*name(&key) {
        "parts" => {
            each(scan, |scan, number| part(walk, scan, &format!("{path}.parts[{number}]"), &mut calls))
        }
        _ => scan.skip(),
    })
}

/// A field of a part.
struct Field {
    place: Range<usize>,
    /// The string, where it is a signature that the server cannot read.
    refused: Option<Range<usize>>,
}

fn part(walk: &mut Walk<'_>, scan: &mut Scan<'_>, path: &str, calls: &mut usize) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let inside = scan.place() + 1;
    let (mut fields, mut is_call, mut is_signed): (Vec<Field>, _, _) = (Vec::new(), false, false);
    scan.object(|scan, key| {
        let (start, mut refused) = (key.span().start, None);
        match (&*name(&key), scan.kind()) {
            ("thoughtSignature", Kind::String) => {
                let text = scan.string()?;
                let signature = text.value();
                let is_wrapped = seal::is_wrapped(&signature);
                is_signed = true;
                if !is_wrapped && walk.goes(&signature) {
                    walk.lost.push(format!("{path}.thoughtSignature"));
                    refused = Some(text.span());
                }
                refused = refused.or_else(|| is_wrapped.then(|| text.span()));
            }
            ("functionCall", Kind::Object) => {
                is_call = true;
                scan.skip()?;
            }
            _ => scan.skip()?,
        }
        fields.push(Field { place: start..scan.at(), refused });
        Ok::<_, Malformed>(())
    })?;
    let is_excused = is_call && Model::of(walk.model).checks_signatures();
    if is_excused {
        let signatures = fields.iter_mut().filter_map(|field| field.refused.take());
        walk.instead.extend(signatures.map(|place| (place, EXCUSE)));
        if !is_signed && *calls == 0 {
            // Of those that a turn makes at once, the first one is signed.
            walk.instead.push((inside..inside, EXCUSED));
        }
    }
    *calls += usize::from(is_call);
    walk.cut(fields.into_iter().map(|Field { place, refused }| match refused {
        Some(_) => (place, Origin::Foreign),
        None => (place, Origin::Own),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::request::encode::UNSIGNED;
    use super::{EXCUSE, EXCUSED};

    #[test]
    fn there_is_one_word_for_an_excuse() {
        assert_eq!(
            (EXCUSE, EXCUSED),
            (&*format!("\"{UNSIGNED}\""), &*format!("\"thoughtSignature\":\"{UNSIGNED}\","))
        );
    }
}
