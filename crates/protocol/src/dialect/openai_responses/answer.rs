//! Reads and writes whole answers; never a stream of one.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::item::{Entry, Reader, status_of};
use super::response::{Ids, Response, Standing};
use super::wire::{Item, Status};
use crate::conversation::answer::{Answer, AnswerPlan, Finish};
use crate::conversation::loss::Place;
use crate::conversation::part::{Content, Part};
use crate::dialect::ask::DecodeError;
use crate::dialect::object::Fields;
use crate::dialect::openai::{error, usage};
use crate::dialect::write;
use crate::failure::{Failure, FailureKind};

/// Reads a response object.
pub(crate) fn decode(text: &str) -> Result<Answer, Failure> {
    let malformed = |bad: DecodeError| Failure::new(FailureKind::Malformed, format!("the answer: {bad}"));
    let mut object = Fields::read(text, Place::default()).map_err(malformed)?;
    if let Some(failure) = failure(&mut object) {
        return Err(failure);
    }
    let is_answer = object.has("output");
    let items = object.elements("output").map_err(malformed)?;
    if !is_answer {
        return Err(Failure::new(FailureKind::Malformed, "the answer is JSON, but not of the expected kind"));
    }
    let (mut parts, mut says) = (Vec::new(), Says::default());
    for (number, written) in items.into_iter().enumerate() {
        let item = Reader { names: &[], losses: &mut Vec::new() }
            .item(written, Place::new("output").item(number))
            .map_err(malformed)?;
        item.parts.iter().for_each(|part| says.note(&part.content));
        parts.extend(item.parts.into_iter().map(|part| Part::new(part.content)));
    }
    let text = |object: &mut Fields<'_>, name| object.string(name).ok().flatten();
    Ok(Answer {
        id: text(&mut object, "id").unwrap_or_default(),
        model: text(&mut object, "model").unwrap_or_default(),
        finish: finish(&mut object, says),
        usage: object.written("usage").and_then(usage::read),
        service_tier: text(&mut object, "service_tier"),
        parts,
    })
}

/// How a response object says that it has failed.
pub(crate) fn failure(object: &mut Fields<'_>) -> Option<Failure> {
    let told = object.written("error").and_then(error::failure);
    let failed = matches!(object.peek("status"), Some("\"failed\"" | "\"cancelled\""));
    told.or_else(|| failed.then(error::unexplained))
}

/// Whether the parts of an answer say why it ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Says {
    calls: bool,
    refuses: bool,
}

impl Says {
    /// Takes note of a part.
    pub(crate) fn note(&mut self, content: &Content) {
        self.calls |= matches!(content, Content::ToolCall(_));
        self.refuses |= matches!(content, Content::Refusal(_));
    }
}

/// Why a response object ends.
pub(crate) fn finish(object: &mut Fields<'_>, says: Says) -> Finish {
    let details = object.object("incomplete_details").ok().flatten();
    let reason = details.and_then(|mut details| details.string("reason").ok().flatten());
    let is_cut = object.peek("status") == Some("\"incomplete\"");
    match reason.as_deref() {
        Some("content_filter") => Finish::ContentFilter,
        Some("max_output_tokens") => Finish::Length,
        Some(_) | None if is_cut => Finish::Length,
        Some(_) | None if says.calls => Finish::ToolCalls,
        Some(_) | None if says.refuses => Finish::Refusal,
        Some(_) | None => Finish::Stop,
    }
}

/// Writes a response object.
pub(crate) fn encode(answer: &Answer, plan: &AnswerPlan) -> Bytes {
    let ids = Ids::of(plan);
    let (status, reason) = status_of(answer);
    let entries = Entry::all(&answer.parts, &ids, plan);
    let output = items(&entries, &answer.parts, status, plan);
    let response = Response::new(plan, ids.response(), Standing::Ended { status, reason }, &output)
        .with_usage(answer.usage.as_ref())
        .with_tier(answer.service_tier.as_deref());
    write::json(&response)
}

/// The items of an answer that ends with `status`. The last part is what an end too early cuts.
pub(crate) fn items<'a>(
    entries: &'a [Entry],
    parts: &'a [Part],
    status: Status,
    plan: &'a AnswerPlan,
) -> Vec<Item<'a>> {
    let last = entries.iter().rposition(|entry| !entry.keeps_seal);
    let of = |number| if Some(number) == last { status } else { Status::Completed };
    entries.iter().enumerate().filter_map(|(number, entry)| entry.item(parts, of(number), plan)).collect()
}
