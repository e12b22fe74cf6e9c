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
                scan.array(|scan, _| datum(scan, &mut glance.images))?;
            }
            // Of a streamed picture the last event has it whole; those before are drafts of it.
            "type" if scan.kind() == Kind::String => {
                let kind = scan.string()?.value();
                glance.images +=
                    u64::from(matches!(&*kind, "image_generation.completed" | "image_edit.completed"));
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

/// One of what was asked for: a picture has its bytes, or an address where they are.
fn datum(scan: &mut Scan<'_>, images: &mut u64) -> Result<(), Malformed> {
    if scan.kind() != Kind::Object {
        return scan.skip();
    }
    let mut is_picture = false;
    scan.object(|scan, key| {
        is_picture |= scan.kind() == Kind::String && matches!(&*key.value(), "b64_json" | "url");
        scan.skip()
    })?;
    *images += u64::from(is_picture);
    Ok(())
}

/// Looks at an event in the same way.
pub(crate) fn event(text: &str, _: EventAt<'_>) -> Result<Glance, Malformed> {
    answer(text)
}
