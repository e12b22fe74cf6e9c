//! Reads the events of an upstream, however few of them it sends; never more of one than its part of the answer.
//!
//! The official service tells everything three times: in deltas, when an item is done, and in the response at the end.
//! Others send one or two of these. Each is taken for what it adds to what was already told.

mod event;
mod item;
#[cfg(test)]
mod tests;

use super::super::answer::{self, Says};
use super::super::item::annotation;
use crate::conversation::event::Event;
use crate::conversation::loss::Place;
use crate::dialect::object::Fields;
use crate::dialect::openai::{error, usage};
use crate::json::Malformed;
use crate::relay::stream::StreamEnd;
use crate::translate::EventReader;
use event::Wire;
use item::{Items, Slot, Told};

pub(crate) fn reader() -> Box<dyn EventReader> {
    Box::new(Reader::default())
}

#[derive(Default)]
struct Reader {
    started: bool,
    items: Items,
    says: Says,
}

impl EventReader for Reader {
    fn read(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if data.trim() == "[DONE]" {
            return Ok(());
        }
        let wire = Wire::read(data)?;
        let kind = wire.kind.as_deref().or(name).unwrap_or_default();
        match kind {
            "error" | "response.failed" => {
                out.push(failed(&wire, data));
                return Ok(());
            }
            "" if wire.error.is_some() => {
                out.push(failed(&wire, data));
                return Ok(());
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                return self.completed(&wire, out);
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(wire.response, out);
                return Ok(());
            }
            _ => {}
        }
        let Some(step) = Step::of(kind) else { return Ok(()) };
        self.start(None, out);
        self.step(step, &wire, out)
    }

    fn end(&mut self, _out: &mut Vec<Event>) -> StreamEnd {
        // Only the last event makes it whole.
        StreamEnd::Cut
    }
}

/// What an event adds.
enum Step {
    ItemAdded,
    ItemDone,
    PieceAdded,
    PieceDone,
    Delta(Slot),
    Whole(Slot),
    Annotation,
}

impl Step {
    fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "response.output_item.added" => Step::ItemAdded,
            "response.output_item.done" => Step::ItemDone,
            "response.content_part.added" => Step::PieceAdded,
            "response.content_part.done" => Step::PieceDone,
            "response.output_text.delta" => Step::Delta(Slot::Text(0)),
            "response.output_text.done" => Step::Whole(Slot::Text(0)),
            "response.refusal.delta" => Step::Delta(Slot::Refusal(0)),
            "response.refusal.done" => Step::Whole(Slot::Refusal(0)),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                Step::Delta(Slot::Call)
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                Step::Whole(Slot::Call)
            }
            "response.reasoning_summary_text.delta" => Step::Delta(Slot::Summary),
            "response.reasoning_text.delta" => Step::Delta(Slot::Thought),
            "response.output_text.annotation.added" => Step::Annotation,
            // Everything else tells of built-in tools at work, or repeats what the item tells when it is done.
            _ => return None,
        })
    }
}

impl Reader {
    fn start(&mut self, response: Option<&str>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let mut object = response.and_then(|written| Fields::read(written, Place::default()).ok());
        let mut text =
            |name| object.as_mut().and_then(|object| object.string(name).ok().flatten()).unwrap_or_default();
        out.push(Event::Start { id: text("id"), model: text("model") });
    }

    fn step(&mut self, step: Step, wire: &Wire<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        match step {
            Step::ItemAdded => {
                let Some(written) = wire.item else { return Ok(()) };
                self.items.add(written, wire.output_index, out).map_err(unlike)?;
            }
            Step::ItemDone => {
                let Some(written) = wire.item else { return Ok(()) };
                let told = Told::read(written).map_err(unlike)?;
                let at = self.items.find(wire, &told);
                self.finish(at, told, out);
            }
            Step::PieceAdded => {
                self.piece(wire, out)?;
            }
            Step::PieceDone => {
                if let Some((at, slot, piece)) = self.piece(wire, out)? {
                    self.end_piece(at, slot, piece, out)?;
                }
            }
            Step::Delta(slot) => {
                let Some(text) = wire.delta.as_deref() else { return Ok(()) };
                let at = self.items.of(wire);
                self.items.delta(at, wire.slot(slot), (wire.summary_index, text), out);
            }
            Step::Whole(slot) => {
                let Some(text) = wire.whole.as_deref() else { return Ok(()) };
                let at = self.items.of(wire);
                self.items.whole(at, wire.slot(slot), text, out);
            }
            Step::Annotation => {
                let Some(written) = wire.annotation else { return Ok(()) };
                let Some(citation) = annotation(written, Place::default()).map_err(unlike)? else {
                    return Ok(());
                };
                let at = self.items.of(wire);
                self.items.cite(at, wire.slot(Slot::Text(0)), citation, out);
            }
        }
        Ok(())
    }

    /// A piece of a message, as far as it has come. Pieces of thoughts tell nothing that their deltas do not.
    fn piece<'a>(
        &mut self,
        wire: &Wire<'a>,
        out: &mut Vec<Event>,
    ) -> Result<Option<(usize, Slot, Fields<'a>)>, Malformed> {
        let Some(written) = wire.part else { return Ok(None) };
        let mut object = Fields::read(written, Place::default()).map_err(unlike)?;
        let (slot, field) = match object.text("type").map_err(unlike)?.as_deref() {
            Some("output_text" | "text") => (Slot::Text(0), "text"),
            Some("refusal") => (Slot::Refusal(0), "refusal"),
            Some(_) | None => return Ok(None),
        };
        let text = object.text(field).map_err(unlike)?.unwrap_or_default();
        let (at, slot) = (self.items.of(wire), wire.slot(slot));
        self.items.whole(at, slot, &text, out);
        Ok(Some((at, slot, object)))
    }

    /// A piece of a message ends, with its sources.
    fn end_piece(
        &mut self,
        at: usize,
        slot: Slot,
        mut piece: Fields<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        for (number, written) in piece.elements("annotations").map_err(unlike)?.into_iter().enumerate() {
            if let Some(citation) = annotation(written, Place::default()).map_err(unlike)? {
                self.items.cite_once(at, slot, (number, citation), out);
            }
        }
        self.items.close(at, slot, out);
        Ok(())
    }

    /// An item has ended.
    fn finish(&mut self, at: usize, told: Told, out: &mut Vec<Event>) {
        told.parts.iter().for_each(|part| self.says.note(part));
        self.items.finish(at, told, out);
    }

    fn completed(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let written = wire.response.ok_or(NO_RESPONSE)?;
        let mut object = Fields::read(written, Place::default()).map_err(unlike)?;
        if let Some(failure) = answer::failure(&mut object) {
            out.push(Event::Failed(failure));
            return Ok(());
        }
        let output = object.elements("output").map_err(unlike)?;
        self.start(wire.response, out);
        for (number, written) in output.into_iter().enumerate() {
            // An item that cannot be read here was told before, or means nothing to anybody else.
            let Ok(told) = Told::read(written) else { continue };
            if let Some(at) = self.items.unfinished(&told, number) {
                self.finish(at, told, out);
            }
        }
        self.items.close_all(out);
        out.extend(object.written("usage").and_then(usage::read).map(Event::Usage));
        out.push(Event::Finish(answer::finish(&mut object, self.says)));
        out.push(Event::End);
        Ok(())
    }
}

fn failed(wire: &Wire<'_>, data: &str) -> Event {
    let told =
        wire.response.and_then(|written| answer::failure(&mut Fields::read(written, Place::default()).ok()?));
    let beside = wire.error.and_then(error::failure);
    // The documented error event carries its code and message beside its type.
    let failure = beside.or(told).or_else(|| error::failure(data)).unwrap_or_else(error::unexplained);
    Event::Failed(failure)
}

const NO_RESPONSE: Malformed = Malformed { at: 0, what: "an end without a response", cut: false };

/// It is JSON, and not what it should be.
fn unlike(_: crate::dialect::ask::DecodeError) -> Malformed {
    Malformed { at: 0, what: "an event of the wrong kind", cut: false }
}
