//! Looks at the answers of dialects that neither stream nor choose: embeddings, and everything that is only relayed.

use crate::dialect::glance::{EventAt, Glance};
use crate::dialect::openai::{error, usage};
use crate::json::{Kind, Malformed, Scan};

/// Looks at an object for its usage, model and error; `data` makes it an answer.
pub(crate) fn answer(text: &str) -> Result<Glance, Malformed> {
    let mut scan = Scan::new(text);
    let mut glance = Glance::default();
    scan.object(|scan, key| {
        match &*key.value() {
            "data" if scan.kind() == Kind::Array => {
                glance.is_answer = true;
                scan.skip()?;
            }
            "usage" if scan.kind() == Kind::Object => {
                let written = scan.written()?;
                glance.usage = usage::read(written);
            }
            "model" if scan.kind() == Kind::String => glance.model = Some(scan.string()?.span()),
            "id" if scan.kind() == Kind::String => glance.id = Some(scan.string()?.value().into_owned()),
            "error" => {
                let written = scan.written()?;
                glance.failure = error::failure(written);
            }
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    scan.end()?;
    Ok(glance)
}

/// Looks at an event in the same way.
pub(crate) fn event(text: &str, _: EventAt<'_>) -> Result<Glance, Malformed> {
    answer(text)
}
