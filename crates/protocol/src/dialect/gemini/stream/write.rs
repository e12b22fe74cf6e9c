//! Writes the events of a stream; never a whole answer.
//!
//! Each event is a whole response. Text goes out as it comes; a call goes out when it is whole, and what comes meanwhile
//! waits behind it, so that the parts keep their order.

use std::collections::VecDeque;

use crate::conversation::answer::{AnswerPlan, Finish};
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Citation, Thinking, ToolCall};
use crate::conversation::seal::Seal;
use crate::conversation::usage::Usage;
use crate::dialect::error::WireError;
use crate::dialect::gemini::answer::{Thoughts, finish_reason, thought};
use crate::dialect::gemini::sources::Grounding;
use crate::dialect::gemini::usage::Metadata;
use crate::dialect::gemini::write::{self, PartOut};
use crate::dialect::gemini::{SELF, error, seal};
use crate::dialect::write::push_json;
use crate::translate::EventWriter;

/// A writer at the start of a stream.
pub(crate) fn writer(plan: AnswerPlan) -> Box<dyn EventWriter> {
    let thoughts = Thoughts::of(&plan);
    Box::new(Writer {
        thoughts,
        id: plan.id.to_string(),
        plan,
        tail: Vec::new(),
        parts: VecDeque::new(),
        said: Said::default(),
        grounding: Grounding::default(),
        usage: None,
        finish: Finish::default(),
    })
}

struct Writer {
    plan: AnswerPlan,
    thoughts: Thoughts,
    id: String,
    /// How every event ends.
    tail: Vec<u8>,
    /// Those that are not done with; the first one is being written.
    parts: VecDeque<Waiting>,
    said: Said,
    /// The sources of the texts that are done with.
    grounding: Grounding,
    usage: Option<Usage>,
    finish: Finish,
}

/// How much text was written.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    bytes: usize,
    /// Where the text that is being written has begun.
    begins: usize,
    /// That text has characters of several bytes.
    has_wide: bool,
}

/// A part that is not done with.
struct Waiting {
    number: u32,
    opening: Opening,
    /// What was not written yet.
    text: String,
    /// Some of it was written.
    has_flowed: bool,
    seal: Option<Seal>,
    citations: Vec<Citation>,
    is_closed: bool,
}

impl EventWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
            }
            Event::Open { part, opening } => self.parts.push_back(Waiting {
                number: *part,
                opening: opening.clone(),
                text: String::new(),
                has_flowed: false,
                seal: None,
                citations: Vec::new(),
                is_closed: false,
            }),
            Event::Delta { part, delta } => self.delta(*part, delta, out),
            Event::Close { part } => {
                if let Some(waiting) = self.parts.iter_mut().find(|waiting| waiting.number == *part) {
                    waiting.is_closed = true;
                }
                self.advance(out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => self.finish.clone_from(finish),
            Event::End => self.last(out),
            // Told by `fail`.
            Event::Failed(_) => {}
        }
    }

    fn fail(&mut self, wrong: &WireError<'_>, out: &mut Vec<u8>) {
        error::push_event(wrong, out);
    }
}

impl Writer {
    fn delta(&mut self, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|waiting| waiting.number == part) else { return };
        let Some(waiting) = self.parts.get_mut(at) else { return };
        match delta {
            Delta::Text(text) => match (at, waiting.flows(self.thoughts)) {
                (0, Some(flow)) => {
                    waiting.has_flowed = true;
                    self.text(text, flow, out);
                }
                _ => waiting.text.push_str(text),
            },
            Delta::Seal(seal) => waiting.seal = Some(seal.clone()),
            Delta::Citation(citation) => waiting.citations.push(citation.clone()),
        }
    }

    /// Writes what can be written now.
    fn advance(&mut self, out: &mut Vec<u8>) {
        while let Some(first) = self.parts.front_mut() {
            if let Some(flow) = first.flows(self.thoughts) {
                let text = std::mem::take(&mut first.text);
                if !text.is_empty() {
                    first.has_flowed = true;
                    self.text(&text, flow, out);
                }
            }
            match self.parts.pop_front_if(|first| first.is_closed) {
                Some(first) => self.whole(first, out),
                None => return,
            }
        }
    }

    /// Writes what is left of a part that is closed.
    fn whole(&mut self, part: Waiting, out: &mut Vec<u8>) {
        let Waiting { opening, text, has_flowed, seal, citations, .. } = part;
        match opening {
            Opening::Text | Opening::Refusal => self.cite(&citations),
            Opening::Thinking { is_summary, .. } => {
                let left = Thinking { text, is_summary, seal, id: None };
                match &left.seal {
                    // It belongs to the thought that has gone out before.
                    Some(seal) if has_flowed => self.part(&write::thought(&left, Some(seal)), out),
                    Some(_) | None => {
                        thought(&left, self.thoughts).into_iter().for_each(|part| self.part(&part, out));
                    }
                }
            }
            Opening::ToolCall { id, name, takes } => {
                let call = ToolCall { id, name, arguments: text, takes, seal: None };
                let signature = seal.as_ref().map(|seal| seal::shown(seal).into());
                self.part(&write::call(&call, signature), out);
            }
            Opening::Image(image) => {
                write::media(&image.source, None).into_iter().for_each(|part| self.part(&part, out));
            }
            Opening::Native(native) if native.dialect == SELF => self.part(&write::native(&native), out),
            Opening::Native(_) => {}
        }
    }

    /// Notes the sources of the text that ends here. What they refer to is told where bytes are characters.
    fn cite(&mut self, citations: &[Citation]) {
        let Said { bytes, begins, has_wide } = std::mem::take(&mut self.said);
        self.said = Said { bytes, begins: bytes, has_wide: false };
        let byte = |chars: u64| {
            let at = begins.checked_add(usize::try_from(chars).ok()?)?;
            (at <= bytes && !has_wide).then_some(at)
        };
        for citation in citations {
            let range = citation.range.and_then(|(from, to)| Some((byte(from)?, byte(to)?)));
            self.grounding.add_range(citation, range);
        }
    }

    fn text(&mut self, text: &str, flow: Flow, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"data: {"candidates":[{"content":{"parts":[{"text":"#);
        push_json(out, &text);
        out.extend_from_slice(match flow {
            Flow::Text => {
                self.said.bytes += text.len();
                self.said.has_wide |= !text.is_ascii();
                br#"}],"role":"model"},"index":0}]"#
            }
            Flow::Thought => &br#","thought":true}],"role":"model"},"index":0}]"#[..],
        });
        self.end_event(out);
    }

    fn part(&mut self, part: &PartOut<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"data: {"candidates":[{"content":{"parts":["#);
        push_json(out, part);
        out.extend_from_slice(br#"],"role":"model"},"index":0}]"#);
        self.end_event(out);
    }

    fn end_event(&mut self, out: &mut Vec<u8>) {
        if self.tail.is_empty() {
            self.tail.extend_from_slice(br#","modelVersion":"#);
            push_json(&mut self.tail, &&*self.plan.model);
            self.tail.extend_from_slice(br#","responseId":"#);
            push_json(&mut self.tail, &self.id);
            self.tail.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(&self.tail);
    }

    /// Writes the event that ends the answer. Its part is empty: SDKs drop the history of a chat for an event without one.
    fn last(&mut self, out: &mut Vec<u8>) {
        self.parts.iter_mut().for_each(|part| part.is_closed = true);
        self.advance(out);
        let (reason, message) = finish_reason(&self.finish);
        out.extend_from_slice(
            br#"data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"#,
        );
        push_json(out, &reason);
        if let Some(message) = message {
            out.extend_from_slice(br#","finishMessage":"#);
            push_json(out, &message);
        }
        out.extend_from_slice(br#","index":0"#);
        if !self.grounding.is_empty() {
            out.extend_from_slice(br#","groundingMetadata":"#);
            push_json(out, &self.grounding);
        }
        out.extend_from_slice(b"}]");
        if let Some(usage) = &self.usage {
            out.extend_from_slice(br#","usageMetadata":"#);
            push_json(out, &Metadata::from(usage));
        }
        self.end_event(out);
    }
}

/// What is written as it comes.
#[derive(Debug, Clone, Copy)]
enum Flow {
    Text,
    Thought,
}

impl Waiting {
    fn flows(&self, thoughts: Thoughts) -> Option<Flow> {
        match &self.opening {
            Opening::Text | Opening::Refusal => Some(Flow::Text),
            Opening::Thinking { .. } => (thoughts == Thoughts::Shown).then_some(Flow::Thought),
            Opening::ToolCall { .. } | Opening::Image(_) | Opening::Native(_) => None,
        }
    }
}
