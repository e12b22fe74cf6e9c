//! Reads the events of a stream; never a whole answer.
//!
//! Nothing but the end of the body tells that the last event was it: some models give a reason for the end with every
//! event.

use std::borrow::Cow;

use crate::conversation::answer::Finish;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::part::{Json, Native, Takes};
use crate::conversation::seal::Seal;
use crate::dialect::gemini::reply::{self, Candidate, Reply};
use crate::dialect::gemini::request::parts;
use crate::dialect::gemini::sources::Sourced;
use crate::dialect::gemini::wire::{Call, Piece};
use crate::dialect::gemini::{SELF, seal};
use crate::json::Malformed;
use crate::relay::stream::StreamEnd;
use crate::translate::EventReader;

/// A reader at the start of a stream.
pub(crate) fn reader() -> Box<dyn EventReader> {
    Box::new(Reader::default())
}

#[derive(Default)]
struct Reader {
    id: String,
    is_started: bool,
    /// The part that goes on with the next piece of its kind; it has the last number.
    open: Option<Open>,
    parts: u32,
    calls: u32,
    /// What came signed is the text that is open.
    text_seal: Option<Seal>,
    /// The text of the open part, as long as it is needed to count its characters.
    text: TextSize,
    finish: Option<Finish>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
}

/// How long a text is, in bytes and in characters.
#[derive(Debug, Clone, Copy, Default)]
struct TextSize {
    bytes: usize,
    is_ascii: bool,
}

impl EventReader for Reader {
    fn read(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if data.trim() == "[DONE]" {
            return Ok(());
        }
        let reply = Reply::read(data)?;
        let failure = reply
            .failure
            .or_else(|| (name == Some("error")).then(crate::dialect::openai::error::unexplained));
        if let Some(failure) = failure {
            out.push(Event::Failed(failure));
            return Ok(());
        }
        if !std::mem::replace(&mut self.is_started, true) {
            self.id = reply.id.unwrap_or_default().into_owned();
            let model = reply.model.unwrap_or_default().into_owned();
            out.push(Event::Start { id: self.id.clone(), model });
        }
        // Before the content: some dialects tell at the very start what was read.
        out.extend(reply.usage.map(Event::Usage));
        match (reply.candidate, reply.blocked) {
            (Some(candidate), _) => self.candidate(candidate, out),
            (None, Some(_)) => self.finish = Some(Finish::ContentFilter),
            (None, None) => {}
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<Event>) -> StreamEnd {
        let Some(finish) = self.finish.take() else { return StreamEnd::Cut };
        self.close(out);
        out.extend([Event::Finish(finish), Event::End]);
        StreamEnd::Complete
    }
}

impl Reader {
    fn candidate(&mut self, candidate: Candidate<'_>, out: &mut Vec<Event>) {
        candidate.pieces.into_iter().for_each(|piece| self.piece(piece, out));
        candidate.sources.into_iter().for_each(|source| self.source(source, out));
        let Some(reason) = candidate.finish else { return };
        match reply::finish(&reason, candidate.message.as_deref(), self.calls) {
            Ok(finish) => self.finish = Some(finish),
            Err(failure) => out.push(Event::Failed(failure)),
        }
    }

    fn piece(&mut self, mut piece: Piece<'_>, out: &mut Vec<Event>) {
        let signature = piece.signature.take().filter(|signature| !signature.is_empty());
        let seal = signature.map(|signature| seal::kept(&signature));
        if let Some(call) = piece.call {
            return self.call(call, seal, piece.written, out);
        }
        if let Some(picture) = parts::picture(&piece) {
            self.whole(Opening::Image(picture), out);
            self.text_seal = seal;
            return;
        }
        if piece.is_native || piece.blob.is_some() || piece.file.is_some() {
            if let Some(json) = Json::read(piece.written) {
                self.whole(Opening::Native(Native { dialect: SELF, json }), out);
            }
            return;
        }
        let text = piece.text.unwrap_or_default();
        if piece.thought {
            if !text.is_empty() || seal.is_some() {
                self.go_on(Open::Thinking, text, out);
                out.extend(seal.map(|seal| self.delta(Delta::Seal(seal))));
            }
            return;
        }
        if !text.is_empty() {
            self.go_on(Open::Text, text, out);
        }
        self.text_seal = seal.or(self.text_seal.take());
    }

    /// Adds to the open part, or opens one of this kind.
    fn go_on(&mut self, kind: Open, text: Cow<'_, str>, out: &mut Vec<Event>) {
        if self.open != Some(kind) {
            self.close(out);
            let opening = match kind {
                Open::Text => Opening::Text,
                Open::Thinking => Opening::Thinking { is_summary: true, id: None },
            };
            self.begin(opening, out);
            self.open = Some(kind);
            self.text = TextSize { bytes: 0, is_ascii: true };
        }
        self.text.bytes += text.len();
        self.text.is_ascii &= text.is_ascii();
        if !text.is_empty() {
            out.push(self.delta(Delta::Text(text.into_owned())));
        }
    }

    /// A call comes whole.
    fn call(&mut self, call: Call<'_>, seal: Option<Seal>, written: &str, out: &mut Vec<Event>) {
        self.close(out);
        let id = call.id.map_or_else(|| reply::call_id(&self.id, self.calls, written), Cow::into_owned);
        self.calls += 1;
        let name = call.name.into_owned();
        self.begin(Opening::ToolCall { id, name, takes: Takes::Object }, out);
        // The seal goes first: a client's dialect may have room for it in the call's first piece only.
        out.extend(seal.map(|seal| self.delta(Delta::Seal(seal))));
        out.push(self.delta(Delta::Text(call.args.unwrap_or("{}").to_owned())));
        self.end_part(out);
    }

    /// A part that is all there when it begins.
    fn whole(&mut self, opening: Opening, out: &mut Vec<Event>) {
        self.close(out);
        self.begin(opening, out);
        self.end_part(out);
    }

    /// A source of the text that is open. What it refers to is told where bytes are characters, since no text is kept here.
    fn source(&mut self, source: Sourced, out: &mut Vec<Event>) {
        if self.open != Some(Open::Text) {
            return;
        }
        let within = |(_, end): &(usize, usize)| self.text.is_ascii && *end <= self.text.bytes;
        let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let range = source.range.filter(within).map(|(start, end)| (wide(start), wide(end)));
        let citation =
            crate::conversation::part::Citation { url: source.url, title: source.title, quote: None, range };
        out.push(self.delta(Delta::Citation(citation)));
    }

    fn begin(&mut self, opening: Opening, out: &mut Vec<Event>) {
        self.parts += 1;
        out.push(Event::Open { part: self.part(), opening });
    }

    fn delta(&self, delta: Delta) -> Event {
        Event::Delta { part: self.part(), delta }
    }

    fn end_part(&self, out: &mut Vec<Event>) {
        out.push(Event::Close { part: self.part() });
    }

    fn part(&self) -> u32 {
        self.parts.saturating_sub(1)
    }

    /// Closes what is open. A signature on plain text follows it as a thought of which nothing else is shown.
    fn close(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            self.end_part(out);
        }
        if let Some(seal) = self.text_seal.take() {
            self.begin(Opening::Thinking { is_summary: true, id: None }, out);
            out.push(self.delta(Delta::Seal(seal)));
            self.end_part(out);
        }
    }
}
