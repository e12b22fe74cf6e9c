//! Takes pieces of reasoning that a server cannot read out of the input; never a compaction, which is all that was said.

use crate::conversation::seal::Seal;
use crate::dialect::foreign::Origin;
use crate::dialect::unseal::Walk;
use crate::json::{Kind, Malformed, Scan};

pub(in crate::dialect) fn walk(scan: &mut Scan<'_>, walk: &mut Walk<'_>) -> Result<(), Malformed> {
    scan.object(|scan, key| match (&*key.value(), scan.kind()) {
        ("input", Kind::Array) => {
            let start = scan.place();
            if walk.list(scan, "input", item)? == Origin::Foreign {
                walk.instead.push((start..scan.at(), "[]"));
            }
            Ok(())
        }
        _ => scan.skip(),
    })
}

fn item(walk: &mut Walk<'_>, scan: &mut Scan<'_>, path: String) -> Result<Origin, Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip().map(|()| Origin::Own);
    }
    let (mut is_reasoning, mut seal) = (false, None);
    scan.object(|scan, key| {
        match (&*key.value(), scan.kind()) {
            ("type", Kind::String) => is_reasoning = scan.string()?.value() == "reasoning",
            ("encrypted_content", Kind::String) => seal = Some(scan.string()?.value()),
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(match seal {
        Some(seal) if Seal::is_wrapped(&seal) => Origin::Foreign,
        Some(seal) if is_reasoning && walk.goes(&seal) => {
            walk.lost.push(path);
            Origin::Foreign
        }
        Some(_) | None => Origin::Own,
    })
}
