//! Writes a stream as OpenAI does: the role first, each piece in a chunk, the reason, the usage where it is asked for,
//! `[DONE]`; never what the pieces say.

use std::ops::Range;

use serde::Serialize;

use crate::conversation::answer::AnswerPlan;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Citation, Takes, characters};
use crate::conversation::seal::Seal;
use crate::conversation::usage::Usage;
use crate::dialect::error::{StreamPlace, WireError};
use crate::dialect::openai::error;
use crate::dialect::openai_chat::answer::Calls;
use crate::dialect::openai_chat::thought::Detail;
use crate::dialect::openai_chat::{usage, wire};
use crate::dialect::{Dialect, custom};
use crate::translate::EventWriter;

/// A stream that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    plan: AnswerPlan,
    /// Each chunk up to its delta; empty until the answer has begun.
    head: Vec<u8>,
    /// Each chunk from behind its reason.
    tail: &'static str,
    words: Calls,
    open: Vec<Open>,
    /// The part of the call whose beginning is held back.
    held: Option<u32>,
    calls: u64,
    thoughts: u64,
    pictures: u64,
    /// The sources of the text that is being said.
    cited: Vec<Citation>,
    /// How many were told.
    citations: u64,
    has_refusal: bool,
    /// Which characters of the content the text has that is being said.
    text: Range<u64>,
    usage: Option<Usage>,
}

/// A part that has not ended.
#[derive(Debug)]
struct Open {
    part: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Refusal,
    Thinking { index: u64, is_summary: bool },
    Call { index: u64, words: Words, opening: Option<Unsaid> },
    Silent,
}

/// What a call says.
#[derive(Debug)]
enum Words {
    /// Arguments of a function, which are an object even where there are none.
    Arguments { has_some: bool },
    /// The text that a custom tool takes.
    Input,
    /// The same in an object, from an upstream that knows functions only: it can be told only when it is whole.
    Wrapped(String),
}

impl Words {
    fn takes(&self) -> Takes {
        match self {
            Words::Arguments { .. } => Takes::Object,
            Words::Input | Words::Wrapped(_) => Takes::Text,
        }
    }
}

/// The beginning of a call, held back until it is known whether a seal belongs to it: clients look for one in a call's
/// first chunk only.
#[derive(Debug)]
struct Unsaid {
    id: String,
    name: String,
}

impl Writer {
    pub(crate) fn new(plan: AnswerPlan) -> Self {
        let tail = if plan.request.include_usage { "}],\"usage\":null}\n\n" } else { "}]}\n\n" };
        let words = Calls::of(&plan.request);
        Writer {
            plan,
            head: Vec::new(),
            tail,
            words,
            open: Vec::new(),
            held: None,
            calls: 0,
            thoughts: 0,
            pictures: 0,
            cited: Vec::new(),
            citations: 0,
            has_refusal: false,
            text: 0..0,
            usage: None,
        }
    }

    fn begin(&mut self, id: &str, out: &mut Vec<u8>) {
        if !self.head.is_empty() {
            return;
        }
        self.head.extend_from_slice(b"data: {\"id\":");
        match id {
            "" => string(&format!("chatcmpl-{}", self.plan.id), &mut self.head),
            id => string(id, &mut self.head),
        }
        self.head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        self.head.extend_from_slice(self.plan.created.to_string().as_bytes());
        self.head.extend_from_slice(b",\"model\":");
        string(&self.plan.model, &mut self.head);
        self.head.extend_from_slice(b",\"choices\":[");
        self.delta(out, |out| {
            out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\",\"refusal\":null")
        });
    }

    /// One chunk, whose delta has the fields that `fields` writes.
    fn delta(&self, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"{\"index\":0,\"delta\":{");
        fields(out);
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":null");
        out.extend_from_slice(self.tail.as_bytes());
    }

    fn begin_part(&mut self, part: u32, opening: &Opening, out: &mut Vec<u8>) {
        self.open_held(out);
        let kind = match opening {
            Opening::Text => {
                self.text.start = self.text.end;
                Kind::Text
            }
            Opening::Refusal => Kind::Refusal,
            Opening::Thinking { is_summary, id } => {
                self.thoughts += 1;
                Kind::Thinking { index: self.thoughts - 1, is_summary: *is_summary && id.is_some() }
            }
            Opening::ToolCall { id, name, takes } => {
                self.calls += 1;
                let opening = Some(Unsaid { id: id.clone(), name: name.clone() });
                self.held = Some(part);
                let words = match (takes, custom::takes(*takes, name, &self.plan.request)) {
                    (Takes::Object, Takes::Object) => Words::Arguments { has_some: false },
                    (Takes::Object, Takes::Text) => Words::Wrapped(String::new()),
                    (Takes::Text, _) => Words::Input,
                };
                Kind::Call { index: self.calls - 1, words, opening }
            }
            Opening::Image(image) => {
                if let Some(shown) = wire::Shown::of(image, self.pictures) {
                    self.pictures += 1;
                    self.delta(out, |out| field("images", &[shown], out));
                }
                Kind::Silent
            }
            Opening::Native(_) => Kind::Silent,
        };
        self.open.push(Open { part, kind });
    }

    fn go_on(&mut self, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        if self.held != Some(part) {
            self.open_held(out);
        }
        let Some(at) = self.open.iter().rposition(|open| open.part == part) else { return };
        let seal = match delta {
            Delta::Seal(seal) => Some(seal),
            Delta::Text(_) | Delta::Citation(_) => None,
        };
        self.open_call(at, seal, out);
        if let (Some(Open { kind: Kind::Call { words, .. }, .. }), Delta::Text(text)) =
            (self.open.get_mut(at), delta)
        {
            match words {
                Words::Arguments { has_some } => *has_some |= !text.is_empty(),
                Words::Input => {}
                Words::Wrapped(whole) => return whole.push_str(text),
            }
        }
        let Some(open) = self.open.get(at) else { return };
        match (&open.kind, delta) {
            (Kind::Text, Delta::Text(text)) => {
                self.said(b"\"content\":", text, out);
                self.text.end += characters(text);
            }
            (Kind::Text, Delta::Citation(citation)) => self.cited.push(citation.clone()),
            (Kind::Refusal, Delta::Text(text)) => {
                self.said(b"\"refusal\":", text, out);
                self.has_refusal = true;
            }
            (Kind::Thinking { index, is_summary }, Delta::Text(text)) => {
                let text_detail = if *is_summary { Detail::of_summary } else { Detail::of_text };
                let detail = text_detail(text.clone(), *index);
                self.delta(out, |out| {
                    out.extend_from_slice(b"\"reasoning_content\":");
                    string(text, out);
                    out.push(b',');
                    field("reasoning_details", &[detail], out);
                });
            }
            (Kind::Thinking { index, .. }, Delta::Seal(seal)) => {
                if let Some(detail) = Detail::of_seal(seal, *index) {
                    self.delta(out, |out| field("reasoning_details", &[detail], out));
                }
            }
            (Kind::Call { index, words, .. }, Delta::Text(text)) => {
                self.arguments(*index, words.takes(), text, out);
            }
            (
                Kind::Text | Kind::Refusal | Kind::Thinking { .. } | Kind::Call { .. } | Kind::Silent,
                Delta::Text(_) | Delta::Seal(_) | Delta::Citation(_),
            ) => {}
        }
    }

    /// Tells the sources of the text that ends here: some come before it, and are of all of it.
    fn cite(&mut self, out: &mut Vec<u8>) {
        let cited = std::mem::take(&mut self.cited);
        if cited.is_empty() {
            return;
        }
        let numbered = cited.iter().zip(self.citations..);
        let annotations: Vec<_> = numbered
            .map(|(citation, number)| wire::Annotation::of(citation, self.text.clone()).numbered(number))
            .collect();
        self.delta(out, |out| field("annotations", &annotations, out));
        self.citations += cited.len() as u64;
    }

    fn said(&self, name: &[u8], text: &str, out: &mut Vec<u8>) {
        self.delta(out, |out| {
            out.extend_from_slice(name);
            string(text, out);
        });
    }

    fn arguments(&self, index: u64, takes: Takes, text: &str, out: &mut Vec<u8>) {
        let (before, after): (String, &[u8]) = match takes {
            Takes::Object if self.words == Calls::Function => {
                ("\"function_call\":{\"arguments\":".to_owned(), b"}")
            }
            Takes::Object => {
                (format!("\"tool_calls\":[{{\"index\":{index},\"function\":{{\"arguments\":"), b"}}]")
            }
            Takes::Text => (format!("\"tool_calls\":[{{\"index\":{index},\"custom\":{{\"input\":"), b"}}]"),
        };
        self.delta(out, |out| {
            out.extend_from_slice(before.as_bytes());
            string(text, out);
            out.extend_from_slice(after);
        });
    }

    /// Says that the call begins that was held back, so that calls begin in their order.
    fn open_held(&mut self, out: &mut Vec<u8>) {
        let held = self.held.and_then(|part| self.open.iter().rposition(|open| open.part == part));
        if let Some(at) = held {
            self.open_call(at, None, out);
        }
    }

    /// Says that a call begins, if that is not said yet.
    fn open_call(&mut self, at: usize, seal: Option<&Seal>, out: &mut Vec<u8>) {
        let Some(Open { kind: Kind::Call { index, words, opening }, .. }) = self.open.get_mut(at) else {
            return;
        };
        let (index, takes) = (*index, words.takes());
        let unsaid = opening.take();
        if unsaid.is_some() {
            self.held = None;
        }
        let seal = seal.map(|seal| wire::Extra::of(seal.shown_in(Dialect::OpenAiChat)));
        let call = match (unsaid, seal) {
            (None, None) => return,
            // SDKs take a piece of a call that holds neither of the two for a broken one.
            (None, extra_content) => CallStart { index, extra_content, ..CallStart::more(takes) },
            (Some(unsaid), _) if self.words == Calls::Function => {
                let call = wire::CalledFunction { name: Some(&unsaid.name), arguments: "".into() };
                return self.delta(out, |out| field("function_call", &call, out));
            }
            (Some(unsaid), extra_content) => {
                return self.delta(out, |out| {
                    field("tool_calls", &[CallStart::of(index, takes, &unsaid, extra_content)], out);
                });
            }
        };
        self.delta(out, |out| field("tool_calls", &[call], out));
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        if let Some(at) = self.open.iter().rposition(|open| open.part == part) {
            self.open_call(at, None, out);
            let closed = self.open.swap_remove(at);
            match closed.kind {
                Kind::Call { index, words: Words::Wrapped(whole), .. } => {
                    self.arguments(index, Takes::Text, &custom::unwrapped(&whole), out);
                }
                Kind::Call { index, words: Words::Arguments { has_some: false }, .. } => {
                    self.arguments(index, Takes::Object, "{}", out);
                }
                Kind::Text => self.cite(out),
                Kind::Call { .. } | Kind::Refusal | Kind::Thinking { .. } | Kind::Silent => {}
            }
        }
    }

    fn usage(&self, usage: &Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"],");
        field("usage", &usage::Wire::of(usage), out);
        out.extend_from_slice(b"}\n\n");
    }
}

impl EventWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => self.begin(id, out),
            Event::Open { part, opening } => self.begin_part(*part, opening, out),
            Event::Delta { part, delta } => self.go_on(*part, delta, out),
            Event::Close { part } => self.close(*part, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => {
                let reason = self.words.finish_reason(finish, self.has_refusal.then_some(""));
                out.extend_from_slice(&self.head);
                out.extend_from_slice(b"{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":");
                string(reason, out);
                out.extend_from_slice(self.tail.as_bytes());
            }
            Event::End => {
                // Where the upstream tells none, a row of zeros would be a lie.
                if let Some(usage) = self.usage.as_ref().filter(|_| self.plan.request.include_usage) {
                    self.usage(usage, out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            Event::Failed(_) => {}
        }
    }

    fn fail(&mut self, error: &WireError<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&error::encode_event(error, StreamPlace::default()));
    }
}

/// The first piece of a call, or only its seal.
#[derive(Debug, Default, Serialize)]
struct CallStart<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<wire::CalledFunction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<wire::CalledCustom<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<wire::Extra>,
}

impl<'a> CallStart<'a> {
    /// A later piece that adds no argument.
    fn more(takes: Takes) -> Self {
        match takes {
            Takes::Object => CallStart { function: Some(wire::CalledFunction::default()), ..Self::default() },
            Takes::Text => CallStart { custom: Some(wire::CalledCustom::default()), ..Self::default() },
        }
    }

    fn of(index: u64, takes: Takes, unsaid: &'a Unsaid, extra_content: Option<wire::Extra>) -> Self {
        let name = Some(unsaid.name.as_str());
        let (kind, function, custom) = match takes {
            Takes::Object => ("function", Some(wire::CalledFunction { name, arguments: "".into() }), None),
            Takes::Text => ("custom", None, Some(wire::CalledCustom { name, input: "".into() })),
        };
        CallStart { index, id: Some(&unsaid.id), r#type: Some(kind), function, custom, extra_content }
    }
}

fn field(name: &str, value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    serde_json::to_writer(out, value).expect("strings and numbers under string keys always serialise");
}

fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string always serialises");
}
