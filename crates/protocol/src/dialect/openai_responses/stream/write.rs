//! Writes a stream of events for a client, with everything that official clients wait for; never what a part says.

mod frame;
mod shape;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use super::super::answer::items;
use super::super::error;
use super::super::item::{Entry, THOUGHT, kind, object_text, status_of};
use super::super::response::{Ids, Response, Standing};
use super::super::wire::{Annotation, Status};
use crate::conversation::answer::AnswerPlan;
use crate::conversation::collect::Collector;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Citation, Content, characters};
use crate::dialect::error::WireError;
use crate::dialect::{custom, write};
use crate::translate::EventWriter;
use frame::{Frame, Whole};
use shape::Shape;

pub(crate) fn writer(plan: AnswerPlan) -> Box<dyn EventWriter> {
    Box::new(Writer {
        ids: Ids::of(&plan),
        plan,
        collector: Collector::default(),
        entries: Vec::new(),
        parts: Vec::new(),
        held: None,
        sequence: 0,
        ended: false,
        response: None,
    })
}

/// Each part is an item of its own, so that parts may overlap as they like: their output indexes tell them apart.
struct Writer {
    plan: AnswerPlan,
    ids: Ids,
    collector: Collector,
    /// The items, by their output index.
    entries: Vec<Entry>,
    /// The parts, by their numbers; none for those that are not written.
    parts: Vec<Option<Begun>>,
    /// The last part, once it is closed: only what follows tells whether its item is complete.
    held: Option<usize>,
    sequence: u64,
    ended: bool,
    response: Option<Bytes>,
}

/// A part that was begun.
struct Begun {
    /// Its output index.
    index: usize,
    shape: Shape,
    /// The piece that holds its text was announced.
    has_piece: bool,
    is_open: bool,
    /// Everything of a delta's event up to the text.
    head: Vec<u8>,
    citations: u64,
}

impl EventWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.collector.take(event);
        match event {
            Event::Start { .. } => {
                self.whole("response.created", Standing::Begun, out);
                self.whole("response.in_progress", Standing::Begun, out);
            }
            Event::Open { part, opening } => {
                self.release(Status::Completed, out);
                self.open(*part, opening, out);
            }
            Event::Delta { part, delta } => {
                let Ok(place) = usize::try_from(*part) else { return };
                match delta {
                    Delta::Text(text) => self.text(place, text, out),
                    Delta::Citation(citation) => self.citation(place, citation, out),
                    // It is in the item when that is done.
                    Delta::Seal(_) => {}
                }
            }
            Event::Close { part } => {
                let Ok(place) = usize::try_from(*part) else { return };
                self.close(place, out);
            }
            Event::End => self.end(out),
            Event::Finish(_) => self.release(status_of(self.collector.answer()).0, out),
            // The whole response tells of the one, and `fail` of the other.
            Event::Usage(_) | Event::Failed(_) => {}
        }
    }

    fn fail(&mut self, error: &WireError<'_>, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.release(Status::Incomplete, out);
        error::push_error(error, &mut self.sequence, out);
        self.whole("response.failed", Standing::Failed(error), out);
    }

    fn response(&self) -> Option<&Bytes> {
        self.response.as_ref()
    }
}

impl Writer {
    /// Writes an event that holds the whole response, and gives that.
    fn whole(&mut self, name: &'static str, standing: Standing<'_>, out: &mut Vec<u8>) -> Bytes {
        let answer = self.collector.answer();
        let (status, usage) = match standing {
            Standing::Begun => (Status::InProgress, None),
            Standing::Ended { status, .. } => (status, answer.usage.as_ref()),
            Standing::Failed(_) => (Status::Incomplete, answer.usage.as_ref()),
        };
        let output = items(&self.entries, &answer.parts, status, &self.plan);
        let response = Response::new(&self.plan, self.ids.response(), standing, &output).with_usage(usage);
        let written = write::json(&response);
        Whole { r#type: name, sequence_number: self.sequence, response: &written }.push(out);
        self.sequence += 1;
        written
    }

    fn open(&mut self, part: u32, opening: &Opening, out: &mut Vec<u8>) {
        let place = self.parts.len();
        // Numbers count up; whatever does not is nothing that this stream has begun.
        if usize::try_from(part) != Ok(place) {
            return;
        }
        let content = self.collector.answer().parts.get(place).map(|part| &part.content);
        let Some(kind) = content.and_then(|content| kind(content, &self.plan)) else {
            self.parts.push(None);
            return;
        };
        let (index, shape) = (self.entries.len(), Shape::of(opening, kind));
        let entry = Entry { id: self.ids.item(kind, index), part: place, keeps_seal: false };
        let head = shape.delta(&entry.id, index).map(|frame| frame::delta_head(&frame)).unwrap_or_default();
        self.entries.push(entry);
        self.parts.push(Some(Begun { index, shape, has_piece: false, is_open: true, head, citations: 0 }));
        self.item("response.output_item.added", index, Status::InProgress, out);
        // A message has its piece at once; a thought may be a seal and nothing else.
        if matches!(shape, Shape::Text | Shape::Refusal) {
            self.piece(place, out);
        }
    }

    /// Writes an event that holds an item as far as it has come.
    fn item(&mut self, name: &'static str, index: usize, status: Status, out: &mut Vec<u8>) {
        let Some(entry) = self.entries.get(index) else { return };
        let Some(item) = entry.item(&self.collector.answer().parts, status, &self.plan) else { return };
        // A beginning is empty; what it is filled with comes in deltas.
        let item = if status == Status::InProgress { item.emptied() } else { item };
        Frame { r#type: name, output_index: index, item: Some(item), ..Frame::default() }
            .push(&mut self.sequence, out);
    }

    /// Announces the piece that holds the text of a part, once.
    fn piece(&mut self, place: usize, out: &mut Vec<u8>) {
        let Some(Some(begun)) = self.parts.get_mut(place) else { return };
        let Some(entry) = self.entries.get(begun.index).filter(|_| !begun.has_piece) else { return };
        if let Some(frame) = begun.shape.piece_added(&entry.id, begun.index) {
            begun.has_piece = true;
            frame.push(&mut self.sequence, out);
        }
    }

    fn text(&mut self, place: usize, text: &str, out: &mut Vec<u8>) {
        self.piece(place, out);
        let Some(Some(begun)) = self.parts.get(place) else { return };
        if begun.is_open && !matches!(begun.shape, Shape::WrappedInput | Shape::Native) {
            frame::push_delta(&begun.head, text, &mut self.sequence, out);
        }
    }

    fn citation(&mut self, place: usize, citation: &Citation, out: &mut Vec<u8>) {
        let Some(Some(begun)) = self.parts.get_mut(place) else { return };
        let Some(entry) = self.entries.get(begun.index) else { return };
        let Some(Content::Text(said)) = self.collector.answer().parts.get(place).map(|part| &part.content)
        else {
            return;
        };
        Frame {
            r#type: "response.output_text.annotation.added",
            item_id: Some(&entry.id),
            output_index: begun.index,
            content_index: Some(0),
            annotation_index: Some(begun.citations),
            annotation: Some(Annotation::of(citation, characters(&said.text))),
            ..Frame::default()
        }
        .push(&mut self.sequence, out);
        begun.citations += 1;
    }

    fn close(&mut self, place: usize, out: &mut Vec<u8>) {
        let Some(Some(begun)) = self.parts.get_mut(place).filter(|begun| is_open(begun)) else { return };
        begun.is_open = false;
        let Some(part) = self.collector.answer().parts.get(place) else { return };
        let Some(entry) = self.entries.get(begun.index) else { return };
        let (written, whole) = match &part.content {
            Content::Text(text) => (true, Cow::Borrowed(text.text.as_str())),
            Content::Refusal(text) => (true, Cow::Borrowed(text.as_str())),
            Content::Thinking(thinking) => (true, Cow::Borrowed(thinking.text.as_str())),
            Content::ToolCall(call) => match begun.shape {
                Shape::WrappedInput => (false, Cow::Owned(custom::unwrapped(&call.arguments))),
                Shape::Arguments => {
                    let arguments = object_text(&call.arguments);
                    (arguments == call.arguments, Cow::Borrowed(arguments))
                }
                Shape::Text
                | Shape::Refusal
                | Shape::Summary
                | Shape::Thought
                | Shape::Input
                | Shape::Native => (true, Cow::Borrowed(call.arguments.as_str())),
            },
            Content::Image(_)
            | Content::Document(_)
            | Content::Audio(_)
            | Content::ToolResult(_)
            | Content::Native(_) => (true, Cow::Borrowed("")),
        };
        if !written {
            frame::push_delta(&begun.head, &whole, &mut self.sequence, out);
        }
        let said = if let Content::Text(text) = &part.content { Some(text) } else { None };
        for frame in begun.shape.done((&entry.id, begun.index), &whole, begun.has_piece.then_some(said)) {
            frame.push(&mut self.sequence, out);
        }
        let last = self.entries.iter().rposition(|entry| !entry.keeps_seal);
        match last == Some(begun.index) {
            true => self.held = Some(place),
            false => self.done(place, Status::Completed, out),
        }
    }

    /// Says that the item is done which was held back, and how it ended.
    fn release(&mut self, status: Status, out: &mut Vec<u8>) {
        if let Some(place) = self.held.take() {
            self.done(place, status, out);
        }
    }

    fn done(&mut self, place: usize, status: Status, out: &mut Vec<u8>) {
        let Some(Some(begun)) = self.parts.get(place) else { return };
        let index = begun.index;
        self.item("response.output_item.done", index, status, out);
        self.keep_seal(place, out);
    }

    /// Writes the item that keeps the seal of a call, which has no field for it.
    fn keep_seal(&mut self, place: usize, out: &mut Vec<u8>) {
        let content = self.collector.answer().parts.get(place).map(|part| &part.content);
        if !matches!(content, Some(Content::ToolCall(call)) if call.seal.is_some()) {
            return;
        }
        let index = self.entries.len();
        self.entries.push(Entry { id: self.ids.item(THOUGHT, index), part: place, keeps_seal: true });
        self.item("response.output_item.added", index, Status::InProgress, out);
        self.item("response.output_item.done", index, Status::Completed, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        for place in 0..self.parts.len() {
            self.close(place, out);
        }
        let (status, reason) = status_of(self.collector.answer());
        self.release(status, out);
        let name = match status {
            Status::Incomplete => "response.incomplete",
            Status::Completed | Status::InProgress | Status::Failed => "response.completed",
        };
        self.response = Some(self.whole(name, Standing::Ended { status, reason }, out));
        self.ended = true;
    }
}

fn is_open(begun: &Option<Begun>) -> bool {
    begun.as_ref().is_some_and(|begun| begun.is_open)
}
