//! Tells what the chunks of an upstream's stream mean; never what becomes of it.
//!
//! Servers disagree on how a stream ends: the reason may come before more content, in every chunk, or with the usage; the
//! `[DONE]` may be missing. So the answer is ended where the stream is, and the last reason counts.

use super::chunk::{self, Call, Choice, Chunk, Said};
use crate::conversation::answer::Finish;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Citation, Image, Json, Native, Source, Takes};
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::object::Field;
use crate::dialect::openai::error;
use crate::dialect::openai_chat::request::messages;
use crate::dialect::openai_chat::thought::{Detail, Details, Spelling};
use crate::failure::{Failure, FailureKind};
use crate::json::{Kind, Malformed, Scan};
use crate::relay::stream::StreamEnd;
use crate::translate::EventReader;

/// A stream that is being read.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    standing: Standing,
    /// What ids of calls are made of where there are none.
    id: String,
    parts: u32,
    /// The text, refusal or thought that is being said.
    flow: Option<(u32, Flow)>,
    calls: Vec<OpenCall>,
    /// What was said so far in a way that has no word elsewhere.
    untold: Vec<&'static str>,
    refused: bool,
    finish: Option<Finish>,
    /// Figures that came before the answer did.
    usage: Option<Usage>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    Before,
    Started,
    Ended,
}

#[derive(Debug)]
enum Flow {
    Text,
    Refusal,
    Thought(Spelling),
    Details(Details),
    /// A thought that leaves no trace with its server.
    Loose,
}

#[derive(Debug)]
struct OpenCall {
    index: u64,
    /// None until its name is known.
    part: Option<u32>,
    id: String,
    takes: Takes,
    /// Arguments that came before the name.
    held: String,
    seal: Option<Seal>,
}

impl EventReader for Reader {
    fn read(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.standing == Standing::Ended {
            return Ok(());
        }
        if data.trim_ascii() == "[DONE]" {
            // Without an answer before it, it must not make an empty one look good.
            if self.standing == Standing::Started {
                self.conclude(out);
            }
            return Ok(());
        }
        let mut chunk = chunk::read(data)?;
        if name == Some("error") && chunk.failure.is_none() {
            chunk.failure = error::failure(data).or_else(|| Some(error::unexplained()));
        }
        self.take(chunk, Sort::Piece, out);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<Event>) -> StreamEnd {
        match self.standing {
            Standing::Ended => StreamEnd::Complete,
            Standing::Started if self.finish.is_some() => {
                self.conclude(out);
                StreamEnd::Complete
            }
            Standing::Before | Standing::Started => StreamEnd::Cut,
        }
    }
}

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The next piece of an answer.
    Piece,
    /// All of it.
    Whole,
}

impl Reader {
    /// Takes what one chunk says.
    pub(crate) fn take(&mut self, chunk: Chunk<'_>, sort: Sort, out: &mut Vec<Event>) {
        if let Some(failure) = chunk.failure {
            return self.fail(failure, out);
        }
        if self.standing == Standing::Before && chunk.choice.is_some() {
            self.standing = Standing::Started;
            self.id = chunk.id.unwrap_or_default().into_owned();
            out.push(Event::Start {
                id: self.id.clone(),
                model: chunk.model.unwrap_or_default().into_owned(),
            });
            out.extend(self.usage.take().map(Event::Usage));
        }
        if let Some(choice) = chunk.choice {
            self.choice(choice, sort, out);
        }
        match chunk.usage {
            Some(usage) if self.standing == Standing::Before => self.usage = Some(usage),
            Some(usage) if self.standing == Standing::Started => out.push(Event::Usage(usage)),
            Some(_) | None => {}
        }
    }

    /// Ends an answer that came whole, if one has begun.
    pub(crate) fn end_whole(&mut self, out: &mut Vec<Event>) {
        if self.standing == Standing::Started {
            self.conclude(out);
        }
    }

    fn conclude(&mut self, out: &mut Vec<Event>) {
        self.close_flow(out);
        for call in std::mem::take(&mut self.calls) {
            let Some(part) = call.part else {
                let failure = Failure::new(FailureKind::Malformed, "a tool call without a name");
                return self.fail(failure, out);
            };
            out.extend(call.seal.map(|seal| Event::Delta { part, delta: Delta::Seal(seal) }));
            out.push(Event::Close { part });
            self.finish = match self.finish.take() {
                // Some servers give it as the reason of every answer.
                None | Some(Finish::Stop) => Some(Finish::ToolCalls),
                other => other,
            };
        }
        let finish = match self.finish.take() {
            Some(Finish::Stop) | None if self.refused => Finish::Refusal,
            other => other.unwrap_or_default(),
        };
        out.extend([Event::Finish(finish), Event::End]);
        self.standing = Standing::Ended;
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        out.push(Event::Failed(failure));
        self.standing = Standing::Ended;
    }

    fn choice(&mut self, choice: Choice<'_>, sort: Sort, out: &mut Vec<Event>) {
        self.said(choice.said, sort, out);
        let finish = match choice.finish.as_deref() {
            None => return,
            Some("error") => return self.fail(error::unexplained(), out),
            Some("length" | "max_tokens" | "model_length") => Finish::Length,
            Some("tool_calls" | "function_call") => Finish::ToolCalls,
            Some("content_filter" | "sensitive") => Finish::ContentFilter,
            Some(_) => match choice.stopped_by {
                Some(text) => Finish::StopSequence(text.into_owned()),
                None => Finish::Stop,
            },
        };
        self.finish = Some(finish);
    }

    fn said(&mut self, said: Said<'_>, sort: Sort, out: &mut Vec<Event>) {
        let has_details = said.details.is_some_and(|details| self.details(details, out));
        if !has_details {
            // A server that gives both gives the same twice.
            if let Some(text) = said.reasoning_content {
                self.thought(Spelling::ReasoningContent, text.into_owned(), out);
            } else if let Some(text) = said.reasoning {
                self.thought(Spelling::Reasoning, text.into_owned(), out);
            }
        }
        if let Some(text) = said.content {
            let part = self.text(out);
            out.push(Event::Delta { part, delta: Delta::Text(text.into_owned()) });
        }
        if let Some(parts) = said.parts {
            self.listed(parts, out);
        }
        for citation in said.annotations.map(citations).unwrap_or_default() {
            let part = self.text(out);
            out.push(Event::Delta { part, delta: Delta::Citation(citation) });
        }
        if let Some(text) = said.refusal {
            let part = match self.flow {
                Some((part, Flow::Refusal)) => part,
                _ => self.open_flow(Flow::Refusal, Opening::Refusal, out),
            };
            self.refused = true;
            out.push(Event::Delta { part, delta: Delta::Text(text.into_owned()) });
        }
        for field in said.images.map(list).unwrap_or_default() {
            let picture = field.object().and_then(|mut fields| messages::image(&mut fields, &mut Vec::new()));
            self.picture(picture.ok().flatten(), out);
        }
        if said.has_audio {
            self.untold("audio", out);
        }
        for (place, mut call) in said.calls.into_iter().enumerate() {
            if sort == Sort::Whole {
                call.index = u64::try_from(place).ok();
            }
            self.call(call, out);
        }
    }

    fn text(&mut self, out: &mut Vec<Event>) -> u32 {
        match self.flow {
            Some((part, Flow::Text)) => part,
            _ => self.open_flow(Flow::Text, Opening::Text, out),
        }
    }

    fn thought(&mut self, spelling: Spelling, text: String, out: &mut Vec<Event>) {
        let part = match self.flow {
            Some((part, Flow::Thought(_))) => part,
            _ => {
                let opening = Opening::Thinking { is_summary: false, id: None };
                self.open_flow(Flow::Thought(spelling), opening, out)
            }
        };
        out.push(Event::Delta { part, delta: Delta::Text(text) });
    }

    /// Takes `reasoning_details`; false where there is nothing in them.
    fn details(&mut self, written: &str, out: &mut Vec<Event>) -> bool {
        let mut any = false;
        for detail in list(written).into_iter().filter_map(|field| Detail::read(field, &mut Vec::new()).ok())
        {
            any = true;
            let goes_on = match &self.flow {
                Some((_, Flow::Details(open))) => open.goes_on_with(&detail),
                _ => false,
            };
            if !goes_on {
                let opening = Opening::Thinking { is_summary: detail.is_summary(), id: detail.id.clone() };
                self.open_flow(Flow::Details(Details::begin(&detail)), opening, out);
            }
            let Some((part, Flow::Details(open))) = &mut self.flow else { continue };
            let text = open.add(detail);
            if !text.is_empty() {
                out.push(Event::Delta { part: *part, delta: Delta::Text(text) });
            }
        }
        any
    }

    /// Content as a list: texts, and thoughts as Mistral gives them.
    fn listed(&mut self, written: &str, out: &mut Vec<Event>) {
        for field in list(written) {
            let Ok(mut fields) = field.object() else { continue };
            let kind = fields.string("type").ok().flatten().unwrap_or_default();
            if kind == "thinking" {
                for inner in fields.list("thinking").unwrap_or_default() {
                    let text = inner.object().and_then(|mut inner| inner.string("text"));
                    let Some(text) = text.ok().flatten().filter(|text| !text.is_empty()) else { continue };
                    let part = match self.flow {
                        Some((part, Flow::Loose)) => part,
                        _ => {
                            let opening = Opening::Thinking { is_summary: false, id: None };
                            self.open_flow(Flow::Loose, opening, out)
                        }
                    };
                    out.push(Event::Delta { part, delta: Delta::Text(text) });
                }
            } else if let Some(text) = fields.string("text").ok().flatten().filter(|text| !text.is_empty()) {
                let part = self.text(out);
                out.push(Event::Delta { part, delta: Delta::Text(text) });
            } else if kind.contains("image") {
                self.picture(messages::image(&mut fields, &mut Vec::new()).ok().flatten(), out);
            }
        }
    }

    /// A picture, if it is in the answer or at an address.
    fn picture(&mut self, picture: Option<Image>, out: &mut Vec<Event>) {
        let is_here = |source: &Source| match source {
            Source::Base64 { .. } => true,
            Source::Url(url) => url.starts_with("https://") || url.starts_with("http://"),
            Source::File(_) | Source::Text(_) => false,
        };
        match picture.filter(|picture| is_here(&picture.source)) {
            Some(picture) => {
                self.close_flow(out);
                let part = self.next_part();
                out.extend([Event::Open { part, opening: Opening::Image(picture) }, Event::Close { part }]);
            }
            None => self.untold("image", out),
        }
    }

    /// Names what nobody else has a word for in an answer, once: it comes in many pieces.
    fn untold(&mut self, kind: &'static str, out: &mut Vec<Event>) {
        if self.untold.contains(&kind) {
            return;
        }
        self.untold.push(kind);
        let Some(json) = Json::read(&format!(r#"{{"type":"{kind}"}}"#)) else { return };
        let part = self.next_part();
        let opening = Opening::Native(Native { dialect: Dialect::OpenAiChat, json });
        out.extend([Event::Open { part, opening }, Event::Close { part }]);
    }

    fn open_flow(&mut self, flow: Flow, opening: Opening, out: &mut Vec<Event>) -> u32 {
        self.close_flow(out);
        let part = self.next_part();
        self.flow = Some((part, flow));
        out.push(Event::Open { part, opening });
        part
    }

    fn close_flow(&mut self, out: &mut Vec<Event>) {
        let Some((part, flow)) = self.flow.take() else { return };
        let seal = match flow {
            Flow::Text | Flow::Refusal | Flow::Loose => None,
            Flow::Thought(spelling) => Some(spelling.seal()),
            Flow::Details(details) => Some(details.seal()),
        };
        out.extend(seal.map(|seal| Event::Delta { part, delta: Delta::Seal(seal) }));
        out.push(Event::Close { part });
    }

    fn next_part(&mut self) -> u32 {
        let part = self.parts;
        self.parts += 1;
        part
    }

    fn call(&mut self, piece: Call<'_>, out: &mut Vec<Event>) {
        let place = self.call_of(&piece);
        let takes = if piece.is_custom { Takes::Text } else { Takes::Object };
        if place == self.calls.len() {
            let index = piece.index.unwrap_or_else(|| self.calls.last().map_or(0, |call| call.index + 1));
            let id = piece.id.as_deref().map_or_else(|| made_up(&self.id, index), str::to_owned);
            self.calls.push(OpenCall { index, part: None, id, takes, held: String::new(), seal: None });
        }
        let Some(mut call) = self.calls.get_mut(place) else { return };
        if let Some(words) = piece.seal {
            call.seal = Some(Seal::kept(Dialect::OpenAiChat, SealKind::Signature, &words));
        }
        if call.part.is_none()
            && let Some(name) = piece.name
        {
            self.close_flow(out);
            let part = self.next_part();
            let Some(named) = self.calls.get_mut(place) else { return };
            call = named;
            call.part = Some(part);
            let opening =
                Opening::ToolCall { id: call.id.clone(), name: name.into_owned(), takes: call.takes };
            out.push(Event::Open { part, opening });
            if !call.held.is_empty() {
                let text = std::mem::take(&mut call.held);
                out.push(Event::Delta { part, delta: Delta::Text(text) });
            }
        }
        let Some(arguments) = piece.arguments else { return };
        match call.part {
            Some(part) => {
                out.push(Event::Delta { part, delta: Delta::Text(arguments.into_owned()) });
            }
            None => call.held.push_str(&arguments),
        }
    }

    /// The place of the call that a piece belongs to; one behind the last where it begins a new one.
    fn call_of(&self, piece: &Call<'_>) -> usize {
        let count = self.calls.len();
        if let Some(index) = piece.index {
            return self.calls.iter().position(|call| call.index == index).unwrap_or(count);
        }
        // Servers that give no index send whole calls, or pieces of one call after the other.
        match (&piece.id, &piece.name) {
            (Some(id), _) => self.calls.iter().position(|call| call.id == **id).unwrap_or(count),
            (None, Some(_)) => count,
            (None, None) => count.saturating_sub(1),
        }
    }
}

/// An id for a call whose server gave none, unlike that of any other answer.
fn made_up(answer: &str, index: u64) -> String {
    let answer: String = answer.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    format!("call_{answer}_{index}")
}

fn citations(written: &str) -> Vec<Citation> {
    list(written).into_iter().filter_map(citation).collect()
}

fn citation(field: Field<'_>) -> Option<Citation> {
    let mut fields = field.object().ok()?;
    let mut inner = fields.object("url_citation").ok()??;
    let from = inner.count("start_index").ok().flatten();
    let to = inner.count("end_index").ok().flatten();
    Some(Citation {
        url: inner.string("url").ok()??,
        title: inner.string("title").ok().flatten(),
        quote: inner.string("content").ok().flatten(),
        range: from.zip(to).filter(|(from, to)| from < to),
    })
}

/// The elements of a list that was found valid.
fn list(written: &str) -> Vec<Field<'_>> {
    let mut list = Vec::new();
    let read = Scan::new(written).array(|scan, _| {
        if scan.kind() != Kind::Object {
            return scan.skip();
        }
        list.push(Field { text: scan.written()?, at: Default::default() });
        Ok::<_, Malformed>(())
    });
    if read.is_err() { Vec::new() } else { list }
}
