//! Reads the events of a message, block by block; never holds more of a block than only makes sense as a whole.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::conversation::answer::Finish;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Json, Native, Takes};
use crate::conversation::seal::SealKind;
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::answer::{own, with_input};
use crate::dialect::anthropic_messages::{citation, finish, usage};
use crate::dialect::openai::error;
use crate::json::Malformed;
use crate::relay::stream::StreamEnd;
use crate::translate::EventReader;

/// A reader somewhere in a stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    has_begun: bool,
    /// Blocks that are open, by the service's number.
    open: Vec<(u64, Block)>,
    parts: u32,
    usage: Option<Usage>,
    finish: Finish,
    refusal: Option<String>,
}

#[derive(Debug)]
struct Block {
    part: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A text or a thought: what comes is passed on.
    Plain,
    /// A call; some servers give the whole input when it begins.
    Call { given: Option<Box<str>> },
    /// Something of the dialect's own, which is told when it is whole.
    Native { block: Json, input: String },
}

#[derive(Deserialize)]
struct Wire<'a> {
    r#type: Option<&'a str>,
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<WireDelta<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A block's next piece, or the message's end.
#[derive(Deserialize)]
struct WireDelta<'a> {
    r#type: Option<&'a str>,
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
    signature: Option<String>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    stop_details: Option<StopDetails>,
}

#[derive(Deserialize)]
struct StopDetails {
    explanation: Option<String>,
}

/// What a block begins with.
#[derive(Deserialize)]
struct WireBlock<'a> {
    r#type: &'a str,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl EventReader for Reader {
    fn read(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let wire: Wire<'_> = serde_json::from_str(data).map_err(|_| malformed("no event of a message"))?;
        match wire.r#type.or(name).unwrap_or_default() {
            "message_start" => self.start(wire.message, out),
            "content_block_start" => self.open(&wire, out)?,
            "content_block_delta" => self.add(wire, out)?,
            "content_block_stop" => self.close(wire.index.unwrap_or_default(), out),
            "message_delta" => self.note_end(wire, out),
            "message_stop" => self.stop(out),
            "error" => out.push(Event::Failed(failure(wire.error))),
            "" if wire.error.is_some() => out.push(Event::Failed(failure(wire.error))),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Event>) -> StreamEnd {
        StreamEnd::Cut
    }
}

fn failure(error: Option<&RawValue>) -> crate::failure::Failure {
    error.and_then(|error| error::failure(error.get())).unwrap_or_else(error::unexplained)
}

/// Why an event is none.
fn malformed(what: &'static str) -> Malformed {
    Malformed { at: 0, what, cut: false }
}

impl Reader {
    fn start(&mut self, message: Option<Message<'_>>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let message = message.unwrap_or(Message { id: None, model: None, usage: None });
        out.push(Event::Start {
            id: message.id.unwrap_or_default(),
            model: message.model.unwrap_or_default(),
        });
        self.note_usage(message.usage, out);
    }

    fn note_usage(&mut self, usage: Option<&RawValue>, out: &mut Vec<Event>) {
        let Some(usage) = usage else { return };
        self.usage = usage::read(usage.get(), self.usage.as_ref());
        out.extend(self.usage.map(Event::Usage));
    }

    fn open(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let raw = wire.content_block.ok_or_else(|| malformed("a block without its beginning"))?;
        let block: WireBlock<'_> =
            serde_json::from_str(raw.get()).map_err(|_| malformed("a block of no type"))?;
        let index = wire.index.unwrap_or_default();
        self.start(None, out);
        self.close(index, out);
        let (opening, kind) = match block.r#type {
            "text" => (Opening::Text, Kind::Plain),
            "thinking" | "redacted_thinking" => {
                (Opening::Thinking { is_summary: true, id: None }, Kind::Plain)
            }
            "tool_use" => {
                let given = block.input.map(RawValue::get).filter(|input| !matches!(*input, "{}" | "null"));
                let id = block.id.filter(|id| !id.is_empty());
                let opening = Opening::ToolCall {
                    id: id.unwrap_or_else(|| format!("toolu_{}", self.parts)),
                    name: block.name.unwrap_or_default(),
                    takes: Takes::Object,
                };
                (opening, Kind::Call { given: Some(given.unwrap_or("{}").into()) })
            }
            _ => {
                let block = Json::read(raw.get()).ok_or_else(|| malformed("a block that is no JSON"))?;
                let kind = Kind::Native { block, input: String::new() };
                self.open.push((index, Block { part: 0, kind }));
                return Ok(());
            }
        };
        let part = self.next_part();
        out.push(Event::Open { part, opening });
        let text = block.text.or(block.thinking).filter(|text| !text.is_empty());
        let signature = block.signature.filter(|value| !value.is_empty());
        let seal = signature.map(|value| own(SealKind::Signature, value));
        let seal = seal.or_else(|| Some(own(SealKind::Encrypted, block.data?)));
        out.extend(text.map(|text| Event::Delta { part, delta: Delta::Text(text) }));
        out.extend(seal.map(|seal| Event::Delta { part, delta: Delta::Seal(seal) }));
        self.open.push((index, Block { part, kind }));
        Ok(())
    }

    fn next_part(&mut self) -> u32 {
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        part
    }

    fn add(&mut self, wire: Wire<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let index = wire.index.unwrap_or_default();
        let delta = wire.delta.ok_or_else(|| malformed("no piece of a block"))?;
        let open = self.open.iter_mut().find(|(open, _)| *open == index);
        let Some((_, Block { part, kind })) = open else { return Err(malformed("a piece of no block")) };
        let part = *part;
        let text = match kind {
            Kind::Native { input, .. } => {
                input.push_str(delta.partial_json.as_deref().unwrap_or_default());
                return Ok(());
            }
            Kind::Plain => delta.text.or(delta.thinking),
            Kind::Call { given } => {
                let piece = delta.partial_json.filter(|piece| !piece.is_empty());
                // What was given at first was only a beginning.
                *given = given.take().filter(|_| piece.is_none());
                piece
            }
        };
        let text = text.filter(|text| !text.is_empty()).map(Delta::Text);
        let seal = delta.signature.filter(|_| delta.r#type == Some("signature_delta"));
        let seal = seal.map(|value| Delta::Seal(own(SealKind::Signature, value)));
        let citation =
            delta.citation.and_then(|citation| citation::read(citation.get())).map(Delta::Citation);
        out.extend([text, seal, citation].into_iter().flatten().map(|delta| Event::Delta { part, delta }));
        Ok(())
    }

    fn close(&mut self, index: u64, out: &mut Vec<Event>) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == index) else { return };
        let (_, Block { mut part, kind }) = self.open.remove(place);
        match kind {
            Kind::Plain | Kind::Call { given: None } => {}
            Kind::Call { given: Some(given) } => {
                out.push(Event::Delta { part, delta: Delta::Text(given.into()) });
            }
            Kind::Native { block, input } => {
                let whole = (!input.is_empty()).then(|| with_input(&block, &input)).flatten();
                let json = whole.unwrap_or(block);
                part = self.next_part();
                let native = Native { dialect: Dialect::AnthropicMessages, json };
                out.push(Event::Open { part, opening: Opening::Native(native) });
            }
        }
        out.push(Event::Close { part });
    }

    fn note_end(&mut self, wire: Wire<'_>, out: &mut Vec<Event>) {
        if let Some(delta) = wire.delta {
            if let Some(reason) = delta.stop_reason {
                self.finish = finish::read(&reason, delta.stop_sequence);
            }
            let said = delta.stop_details.and_then(|details| details.explanation);
            self.refusal = said.filter(|said| !said.is_empty()).or(self.refusal.take());
        }
        self.note_usage(wire.usage, out);
    }

    fn stop(&mut self, out: &mut Vec<Event>) {
        self.start(None, out);
        while let Some(&(index, _)) = self.open.first() {
            self.close(index, out);
        }
        if let Some(said) = self.refusal.take() {
            let part = self.next_part();
            out.push(Event::Open { part, opening: Opening::Refusal });
            out.push(Event::Delta { part, delta: Delta::Text(said) });
            out.push(Event::Close { part });
        }
        out.push(Event::Finish(std::mem::take(&mut self.finish)));
        out.push(Event::End);
    }
}
