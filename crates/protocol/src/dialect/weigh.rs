//! Weighs what a model is to read, for all dialects; never keeps any of it.

use super::ask::{DecodeError, Outline, Role};
use crate::json::{Kind, Scan};

pub(crate) fn weigh(outline: &mut Outline, bytes: u64) {
    outline.prompt_bytes = outline.prompt_bytes.saturating_add(bytes);
}

/// Takes a message's role.
pub(crate) fn role(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<Role, DecodeError> {
    let written = scan.written()?;
    weigh(outline, length(written.len()));
    Ok(match written {
        r#""system""# | r#""developer""# => Role::System,
        _ => Role::Other,
    })
}

/// Takes a value of which only the size matters.
pub(crate) fn bulk(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    let written = scan.written()?;
    weigh(outline, length(written.len()));
    Ok(())
}

/// Takes `tools` or `functions`.
pub(crate) fn tools(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Array {
        return bulk(scan, outline);
    }
    let (mut any, start) = (false, scan.place());
    scan.array(|scan, _| {
        any = true;
        scan.skip()
    })?;
    outline.needs.tools |= any;
    weigh(outline, length(scan.at() - start));
    Ok(())
}

/// Takes what says which form the answer is to have: `response_format`, `text.format`, `output_config.format`.
pub(crate) fn format(scan: &mut Scan<'_>, outline: &mut Outline) -> Result<(), DecodeError> {
    if scan.kind() != Kind::Object {
        return Ok(scan.skip()?);
    }
    let (mut schema, start) = (false, scan.place());
    scan.object(|scan, key| {
        if key.value() == "type" && scan.kind() == Kind::String {
            schema = scan.string()?.value() == "json_schema";
            return Ok(());
        }
        scan.skip()
    })?;
    if schema {
        outline.needs.json_schema = true;
        weigh(outline, length(scan.at() - start));
    }
    Ok(())
}

pub(crate) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
