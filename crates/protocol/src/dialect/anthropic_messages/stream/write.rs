//! Writes an answer as the events of a message; never two blocks at a time: parts that overlap wait for their turn.

use std::collections::VecDeque;

use serde::Serialize;

use crate::conversation::answer::{AnswerPlan, Finish};
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::Takes;
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::answer::{call_seal, message_id};
use crate::dialect::anthropic_messages::finish::{Calls, written};
use crate::dialect::anthropic_messages::usage::Written as WrittenUsage;
use crate::dialect::anthropic_messages::wire::{Block, id};
use crate::dialect::anthropic_messages::{citation, error};
use crate::dialect::error::{StreamPlace, WireError};
use crate::dialect::write::{push_event, push_json};
use crate::translate::EventWriter;

const OWN: Dialect = Dialect::AnthropicMessages;

/// A writer somewhere in a stream.
pub(crate) struct Writer {
    plan: AnswerPlan,
    id: String,
    has_begun: bool,
    usage: Usage,
    /// Blocks that were written.
    blocks: u32,
    /// Parts that are not over; only the first of them is being written.
    parts: VecDeque<Part>,
    finish: Finish,
    calls: Calls,
}

struct Part {
    number: u32,
    opening: Opening,
    /// What came before its turn.
    waiting: Vec<Delta>,
    is_over: bool,
    block: State,
}

/// How far the block of a part is.
enum State {
    /// It is begun with its first content: one without any is refused when it is sent back.
    NotBegun,
    Begun,
    /// The seal of a call comes behind the call.
    Sealed(Seal),
}

#[derive(Serialize)]
struct MessageStart<'a> {
    r#type: &'static str,
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: [(); 0],
    stop_reason: (),
    stop_sequence: (),
    usage: WrittenUsage<'a>,
}

#[derive(Serialize)]
struct BlockStart<'a, B: Serialize> {
    r#type: &'static str,
    index: u32,
    content_block: &'a B,
}

/// The block that the pieces of a part go into.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Empty<'a> {
    Text { text: &'static str },
    Thinking { thinking: &'static str, signature: &'static str },
    ToolUse { id: &'a str, name: &'a str, input: NoInput },
}

#[derive(Serialize)]
struct NoInput {}

#[derive(Serialize)]
struct BlockDelta<'a> {
    r#type: &'static str,
    index: u32,
    delta: Piece<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Piece<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: &'a str },
    #[serde(rename = "citations_delta")]
    Citation { citation: citation::Written<'a> },
}

#[derive(Serialize)]
struct BlockStop {
    r#type: &'static str,
    index: u32,
}

#[derive(Serialize)]
struct MessageDelta<'a> {
    r#type: &'static str,
    delta: Ending<'a>,
    usage: WrittenUsage<'a>,
}

#[derive(Serialize)]
struct Ending<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

#[derive(Serialize)]
struct MessageStop {
    r#type: &'static str,
}

impl EventWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            // The message begins with its first block, so that figures that are known by then stand in it.
            Event::Start { id, .. } => self.id = message_id(id, &self.plan).into_owned(),
            Event::Open { part, opening } => self.open(*part, opening, out),
            Event::Delta { part, delta } => self.add(*part, delta, out),
            Event::Close { part } => self.close(*part, out),
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish(finish) => self.finish = finish.clone(),
            Event::End => self.end(out),
            Event::Failed(_) => {}
        }
    }

    fn fail(&mut self, told: &WireError<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&error::encode_event(told, StreamPlace::default()));
    }
}

impl Writer {
    pub(crate) fn new(plan: AnswerPlan) -> Self {
        Writer {
            id: message_id("", &plan).into_owned(),
            plan,
            has_begun: false,
            usage: Usage::default(),
            blocks: 0,
            parts: VecDeque::new(),
            finish: Finish::default(),
            calls: Calls::None,
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let message = Message {
            id: &self.id,
            r#type: "message",
            role: "assistant",
            model: &self.plan.model,
            content: [],
            stop_reason: (),
            stop_sequence: (),
            usage: WrittenUsage::of(&self.usage, None),
        };
        push_event(out, "message_start", &MessageStart { r#type: "message_start", message });
    }

    fn open(&mut self, number: u32, opening: &Opening, out: &mut Vec<u8>) {
        let opening = opening.clone();
        let part = Part { number, opening, waiting: Vec::new(), is_over: false, block: State::NotBegun };
        self.parts.push_back(part);
        if self.parts.len() == 1 {
            self.next(out);
        }
    }

    fn add(&mut self, number: u32, delta: &Delta, out: &mut Vec<u8>) {
        match self.parts.iter().position(|part| part.number == number) {
            Some(0) => self.piece(delta, out),
            Some(place) => {
                if let Some(part) = self.parts.get_mut(place) {
                    part.waiting.push(delta.clone());
                }
            }
            None => {}
        }
    }

    fn close(&mut self, number: u32, out: &mut Vec<u8>) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.number == number) {
            part.is_over = true;
        }
        while self.parts.front().is_some_and(|part| part.is_over) {
            self.stop(out);
            self.next(out);
        }
    }

    /// Begins with the part that is first now.
    fn next(&mut self, out: &mut Vec<u8>) {
        let Some(part) = self.parts.front_mut() else { return };
        let waiting = std::mem::take(&mut part.waiting);
        match &part.opening {
            Opening::ToolCall { id: call, name, takes } => {
                let (call, name, takes) = (id(call).into_owned(), name.clone(), *takes);
                self.calls = Calls::Some;
                self.start(&Empty::ToolUse { id: &call, name: &name, input: NoInput {} }, out);
                if takes == Takes::Text {
                    self.write_piece(Piece::Input { partial_json: "{\"input\":\"" }, out);
                }
            }
            Opening::Native(native) if native.dialect == OWN => {
                let json = native.json.clone();
                self.start(json.raw(), out);
            }
            Opening::Text
            | Opening::Refusal
            | Opening::Thinking { .. }
            | Opening::Image(_)
            | Opening::Native(_) => {}
        }
        for delta in &waiting {
            self.piece(delta, out);
        }
    }

    /// Writes a piece of the part that is first.
    fn piece(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let Some(part) = self.parts.front() else { return };
        let is_begun = !matches!(part.block, State::NotBegun);
        match (&part.opening, delta) {
            (Opening::Text | Opening::Refusal, Delta::Text(text)) => {
                if !is_begun {
                    self.start(&Empty::Text { text: "" }, out);
                }
                self.write_piece(Piece::Text { text }, out);
            }
            (Opening::Text, Delta::Citation(citation)) => {
                if !is_begun {
                    self.start(&Empty::Text { text: "" }, out);
                }
                self.write_piece(Piece::Citation { citation: citation::Written::of(citation) }, out);
            }
            (Opening::Thinking { .. }, Delta::Text(thinking)) => {
                self.think(out);
                self.write_piece(Piece::Thinking { thinking }, out);
            }
            (Opening::Thinking { .. }, Delta::Seal(seal))
                if seal.kind == SealKind::Encrypted && !is_begun =>
            {
                let block = Block::RedactedThinking { data: seal.shown_in(OWN).into() };
                self.start(&block, out);
                self.stop_block(out);
                self.set(State::NotBegun);
            }
            (Opening::Thinking { .. }, Delta::Seal(seal)) => {
                self.think(out);
                self.write_piece(Piece::Signature { signature: &seal.shown_in(OWN) }, out);
            }
            (Opening::ToolCall { takes: Takes::Text, .. }, Delta::Text(text)) => {
                let escaped = escaped(text);
                self.write_piece(Piece::Input { partial_json: &escaped }, out);
            }
            (Opening::ToolCall { .. }, Delta::Text(text)) => {
                self.write_piece(Piece::Input { partial_json: text }, out);
            }
            (Opening::ToolCall { .. }, Delta::Seal(seal)) => self.set(State::Sealed(seal.clone())),
            (
                Opening::Text | Opening::Refusal | Opening::Image(_) | Opening::Native(_),
                Delta::Text(_) | Delta::Seal(_) | Delta::Citation(_),
            )
            | (Opening::Thinking { .. } | Opening::ToolCall { .. }, Delta::Citation(_)) => {}
        }
    }

    fn think(&mut self, out: &mut Vec<u8>) {
        if self.parts.front().is_some_and(|part| matches!(part.block, State::NotBegun)) {
            self.start(&Empty::Thinking { thinking: "", signature: "" }, out);
        }
    }

    /// Ends the part that is first.
    fn stop(&mut self, out: &mut Vec<u8>) {
        let Some(part) = self.parts.front_mut() else { return };
        let takes_text = matches!(part.opening, Opening::ToolCall { takes: Takes::Text, .. });
        let state = std::mem::replace(&mut part.block, State::NotBegun);
        if !matches!(state, State::NotBegun) {
            if takes_text {
                self.write_piece(Piece::Input { partial_json: "\"}" }, out);
            }
            self.stop_block(out);
        }
        if let State::Sealed(seal) = &state {
            self.start(&call_seal(seal), out);
            self.stop_block(out);
        }
        self.parts.pop_front();
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        while !self.parts.is_empty() {
            self.stop(out);
            self.next(out);
        }
        let (stop_reason, stop_sequence) = written(&self.finish, self.calls);
        let delta = Ending { stop_reason, stop_sequence };
        let usage = WrittenUsage::of(&self.usage, None);
        push_event(out, "message_delta", &MessageDelta { r#type: "message_delta", delta, usage });
        push_event(out, "message_stop", &MessageStop { r#type: "message_stop" });
    }

    fn set(&mut self, state: State) {
        if let Some(part) = self.parts.front_mut() {
            part.block = state;
        }
    }

    fn start<B: Serialize + ?Sized>(&mut self, block: &B, out: &mut Vec<u8>) {
        self.begin(out);
        let start = BlockStart { r#type: "content_block_start", index: self.blocks, content_block: &block };
        push_event(out, "content_block_start", &start);
        self.set(State::Begun);
    }

    fn write_piece(&mut self, delta: Piece<'_>, out: &mut Vec<u8>) {
        let delta = BlockDelta { r#type: "content_block_delta", index: self.blocks, delta };
        push_event(out, "content_block_delta", &delta);
    }

    fn stop_block(&mut self, out: &mut Vec<u8>) {
        let stop = BlockStop { r#type: "content_block_stop", index: self.blocks };
        push_event(out, "content_block_stop", &stop);
        self.blocks = self.blocks.saturating_add(1);
    }
}

/// A text as it stands inside a JSON string.
fn escaped(text: &str) -> String {
    let mut quoted = Vec::new();
    push_json(&mut quoted, &text);
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    String::from_utf8_lossy(inner).into_owned()
}
