//! Keeps which items and parts were begun and how much of each was told; never what an event looks like.

use super::event::Wire;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::loss::Place;
use crate::conversation::part::{Citation, Content, Takes};
use crate::conversation::seal::Seal;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::Fields;
use crate::dialect::openai_responses::item::{PARAGRAPH, Reader};

/// The place of a part in its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// A text, by its index in the content.
    Text(u64),
    /// A refusal, by its index in the content.
    Refusal(u64),
    Summary,
    Thought,
    Call,
    Image,
    Native,
}

/// An item as it is told whole.
pub(super) struct Told {
    ids: Ids,
    pub(super) parts: Vec<Content>,
}

/// By what an item is known: its id and that of its call, either of which others may name.
#[derive(Debug, Default)]
struct Ids {
    item: Option<String>,
    call: Option<String>,
}

impl Ids {
    fn of(written: &str) -> Result<Self, DecodeError> {
        let mut object = Fields::read(written, Place::default())?;
        Ok(Ids { item: object.string("id")?, call: object.string("call_id")? })
    }

    fn is(&self, id: &str) -> bool {
        self.item.as_deref() == Some(id) || self.call.as_deref() == Some(id)
    }

    fn meet(&self, other: &Ids) -> bool {
        [&other.item, &other.call].into_iter().flatten().any(|id| self.is(id))
    }
}

impl Told {
    pub(super) fn read(written: &str) -> Result<Self, DecodeError> {
        let ids = Ids::of(written)?;
        let item = Reader { names: &[], losses: &mut Vec::new() }.item(written, Place::default())?;
        Ok(Told { ids, parts: item.parts.into_iter().map(|part| part.content).collect() })
    }

    /// Whether an item may be the one that is told here: what was begun of it is of this kind.
    fn suits(&self, item: &Item) -> bool {
        let slot_of = |content: &Content| match content {
            Content::Text(_) => Some(Slot::Text(0)),
            Content::Refusal(_) => Some(Slot::Refusal(0)),
            Content::Thinking(thinking) if thinking.is_summary => Some(Slot::Summary),
            Content::Thinking(_) => Some(Slot::Thought),
            Content::ToolCall(_) => Some(Slot::Call),
            Content::Native(_) => Some(Slot::Native),
            Content::Image(_) => Some(Slot::Image),
            Content::Document(_) | Content::Audio(_) | Content::ToolResult(_) => None,
        };
        match item.parts.first() {
            Some(begun) => self.parts.iter().any(|content| slot_of(content) == Some(begun.slot)),
            None => true,
        }
    }
}

/// The items of an answer, in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(super) struct Items {
    items: Vec<Item>,
    /// The number of the next part.
    next: u32,
}

#[derive(Debug, Default)]
struct Item {
    ids: Ids,
    index: Option<u64>,
    is_done: bool,
    parts: Vec<Begun>,
}

/// A part that was begun.
#[derive(Debug)]
struct Begun {
    number: u32,
    slot: Slot,
    /// Bytes of its text that were told.
    bytes: usize,
    citations: usize,
    /// Which part of a summary was told last.
    summary: Option<u64>,
    is_open: bool,
}

impl Begun {
    fn say(&mut self, text: &str, out: &mut Vec<Event>) {
        self.bytes += text.len();
        out.push(Event::Delta { part: self.number, delta: Delta::Text(text.to_owned()) });
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_open, false) {
            out.push(Event::Close { part: self.number });
        }
    }
}

impl Items {
    /// An item begins.
    pub(super) fn add(
        &mut self,
        written: &str,
        index: Option<u64>,
        out: &mut Vec<Event>,
    ) -> Result<(), DecodeError> {
        let ids = Ids::of(written)?;
        let mut object = Fields::read(written, Place::default())?;
        let takes = match object.text("type")?.as_deref() {
            Some("function_call") => Some(Takes::Object),
            Some("custom_tool_call") => Some(Takes::Text),
            Some(_) | None => None,
        };
        let name = object.string("name")?;
        let call = ids.call.clone().or_else(|| ids.item.clone());
        let at = self.begin_item(Item { ids, index, ..Item::default() });
        // A call without its name can only be told when it is done.
        if let (Some(takes), Some(name), Some(id)) = (takes, name, call) {
            self.begin(at, Slot::Call, Opening::ToolCall { id, name, takes }, out);
        }
        Ok(())
    }

    /// The item that an event is about. One that nobody has heard of begins with it.
    pub(super) fn of(&mut self, wire: &Wire<'_>) -> usize {
        let by_index = wire.output_index.and_then(|index| self.last(|item| item.index == Some(index)));
        let by_id = || wire.item_id.as_deref().and_then(|id| self.last(|item| item.ids.is(id)));
        let unnamed = wire.output_index.is_none() && wire.item_id.is_none();
        let current = || unnamed.then(|| self.last(|item| !item.is_done)).flatten();
        if let Some(at) = by_index.or_else(by_id).or_else(current) {
            return at;
        }
        let ids = Ids { item: wire.item_id.as_deref().map(str::to_owned), call: None };
        self.begin_item(Item { ids, index: wire.output_index, ..Item::default() })
    }

    /// The item that an event tells whole.
    pub(super) fn find(&mut self, wire: &Wire<'_>, told: &Told) -> usize {
        let by_id = self.last(|item| !item.is_done && item.ids.meet(&told.ids));
        let by_index = || {
            let index = wire.output_index?;
            self.last(|item| !item.is_done && item.index == Some(index))
        };
        let unnamed = wire.output_index.is_none();
        let current = || unnamed.then(|| self.last(|item| !item.is_done && told.suits(item))).flatten();
        match by_id.or_else(by_index).or_else(current) {
            Some(at) => at,
            None => self.begin_item(Item { index: wire.output_index, ..Item::default() }),
        }
    }

    /// The item with this number in the whole response, unless everything was told of it.
    pub(super) fn unfinished(&mut self, told: &Told, number: usize) -> Option<usize> {
        let by_id = self.items.iter().position(|item| item.ids.meet(&told.ids));
        match by_id.or_else(|| (number < self.items.len()).then_some(number)) {
            Some(at) => self.items.get(at).filter(|item| !item.is_done).map(|_| at),
            None => Some(self.begin_item(Item::default())),
        }
    }

    fn last(&self, is_it: impl Fn(&Item) -> bool) -> Option<usize> {
        self.items.iter().rposition(is_it)
    }

    fn begin_item(&mut self, item: Item) -> usize {
        self.items.push(item);
        self.items.len() - 1
    }

    /// The part in a slot, begun where it was not.
    fn part(&mut self, at: usize, slot: Slot, out: &mut Vec<Event>) -> Option<&mut Begun> {
        let is_begun = self.items.get(at)?.parts.iter().any(|part| part.slot == slot);
        if !is_begun {
            self.begin(at, slot, opening(slot)?, out);
        }
        self.items.get_mut(at)?.parts.iter_mut().find(|part| part.slot == slot)
    }

    fn begin(&mut self, at: usize, slot: Slot, opening: Opening, out: &mut Vec<Event>) {
        let Some(item) = self.items.get_mut(at) else { return };
        let opening = match opening {
            Opening::Thinking { is_summary, id: None } => {
                Opening::Thinking { is_summary, id: item.ids.item.clone() }
            }
            other => other,
        };
        let number = self.next;
        self.next += 1;
        item.parts.push(Begun { number, slot, bytes: 0, citations: 0, summary: None, is_open: true });
        out.push(Event::Open { part: number, opening });
    }

    /// More of a text; of a summary, it is told which part.
    pub(super) fn delta(
        &mut self,
        at: usize,
        slot: Slot,
        (summary, text): (Option<u64>, &str),
        out: &mut Vec<Event>,
    ) {
        let Some(part) = self.part(at, slot, out).filter(|part| part.is_open) else { return };
        if slot == Slot::Summary {
            if part.summary.is_some() && summary.is_some() && part.summary != summary {
                part.say(PARAGRAPH, out);
            }
            part.summary = summary.or(part.summary);
        }
        part.say(text, out);
    }

    /// A text as a whole: what is missing of it is told.
    pub(super) fn whole(&mut self, at: usize, slot: Slot, text: &str, out: &mut Vec<Event>) {
        let Some(part) = self.part(at, slot, out).filter(|part| part.is_open) else { return };
        if let Some(rest) = text.get(part.bytes..).filter(|rest| !rest.is_empty()) {
            part.say(rest, out);
        }
    }

    /// A source of a text.
    pub(super) fn cite(&mut self, at: usize, slot: Slot, citation: Citation, out: &mut Vec<Event>) {
        let Some(part) = self.part(at, slot, out).filter(|part| part.is_open) else { return };
        part.citations += 1;
        out.push(Event::Delta { part: part.number, delta: Delta::Citation(citation) });
    }

    /// The source with this number, unless it was told.
    pub(super) fn cite_once(
        &mut self,
        at: usize,
        slot: Slot,
        (number, citation): (usize, Citation),
        out: &mut Vec<Event>,
    ) {
        let told = self.part(at, slot, out).map_or(0, |part| part.citations);
        if number >= told {
            self.cite(at, slot, citation, out);
        }
    }

    /// A part ends.
    pub(super) fn close(&mut self, at: usize, slot: Slot, out: &mut Vec<Event>) {
        let parts = self.items.get_mut(at).into_iter().flat_map(|item| &mut item.parts);
        parts.filter(|part| part.slot == slot).for_each(|part| part.close(out));
    }

    /// All parts end.
    pub(super) fn close_all(&mut self, out: &mut Vec<Event>) {
        self.items.iter_mut().flat_map(|item| &mut item.parts).for_each(|part| part.close(out));
    }

    /// An item as a whole: what is missing of it is told, and it ends.
    pub(super) fn finish(&mut self, at: usize, told: Told, out: &mut Vec<Event>) {
        let Some(item) = self.items.get_mut(at) else { return };
        if std::mem::replace(&mut item.is_done, true) {
            return;
        }
        if item.ids.item.is_none() {
            item.ids = told.ids;
        }
        for (number, content) in told.parts.into_iter().enumerate() {
            self.finish_part(at, u64::try_from(number).unwrap_or(u64::MAX), content, out);
        }
        if let Some(item) = self.items.get_mut(at) {
            item.parts.iter_mut().for_each(|part| part.close(out));
        }
    }

    fn finish_part(&mut self, at: usize, number: u64, content: Content, out: &mut Vec<Event>) {
        match content {
            Content::Text(text) => {
                let slot = Slot::Text(number);
                self.whole(at, slot, &text.text, out);
                for citation in text.citations.into_iter().enumerate() {
                    self.cite_once(at, slot, citation, out);
                }
            }
            Content::Refusal(text) => self.whole(at, Slot::Refusal(number), &text, out),
            Content::Thinking(thinking) => {
                let slot = if thinking.is_summary { Slot::Summary } else { Slot::Thought };
                if !thinking.text.is_empty() {
                    self.whole(at, slot, &thinking.text, out);
                }
                if let Some(seal) = thinking.seal {
                    self.seal(at, slot, seal, out);
                }
            }
            Content::ToolCall(call) => {
                let is_begun = self.items.get(at).is_some_and(|item| !item.parts.is_empty());
                if !is_begun {
                    let opening = Opening::ToolCall { id: call.id, name: call.name, takes: call.takes };
                    self.begin(at, Slot::Call, opening, out);
                }
                self.whole(at, Slot::Call, &call.arguments, out);
            }
            Content::Native(native) => self.begin(at, Slot::Native, Opening::Native(native), out),
            Content::Image(image) => self.begin(at, Slot::Image, Opening::Image(image), out),
            // No output has these.
            Content::Document(_) | Content::Audio(_) | Content::ToolResult(_) => {}
        }
    }

    /// Seals the thought of an item: what was told of it last, or nothing but the seal.
    fn seal(&mut self, at: usize, slot: Slot, seal: Seal, out: &mut Vec<Event>) {
        let last = self.items.get(at).and_then(|item| item.parts.iter().rev().find(|part| part.is_open));
        let slot = last.map_or(slot, |part| part.slot);
        if let Some(part) = self.part(at, slot, out).filter(|part| part.is_open) {
            out.push(Event::Delta { part: part.number, delta: Delta::Seal(seal) });
        }
    }
}

/// How a part begins whose kind its slot tells; a call must tell more.
fn opening(slot: Slot) -> Option<Opening> {
    match slot {
        Slot::Text(_) => Some(Opening::Text),
        Slot::Refusal(_) => Some(Opening::Refusal),
        Slot::Summary => Some(Opening::Thinking { is_summary: true, id: None }),
        Slot::Thought => Some(Opening::Thinking { is_summary: false, id: None }),
        Slot::Call | Slot::Image | Slot::Native => None,
    }
}
