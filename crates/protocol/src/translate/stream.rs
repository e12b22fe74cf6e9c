//! Takes a stream of events from one dialect to another, event by event; never holds more than one of them, and never
//! gives a cut answer a clean end.

use bytes::Bytes;

use super::{EventReader, EventWriter, Media, client, halves};
use crate::conversation::answer::AnswerPlan;
use crate::conversation::event::{Delta, Event, Opening};
use crate::conversation::seal::Maker;
use crate::conversation::untold::{PICTURE, of_native};
use crate::dialect::Dialect;
use crate::dialect::error::WireError;
use crate::dialect::grammar::{Grammar, grammar};
use crate::relay::stream::{StreamEnd, StreamFault, StreamTally, bare_failure};
use crate::sse::{self, Framer};

/// Translates one stream. What it puts out does not depend on how the chunks are cut.
pub struct StreamTranslator {
    from: &'static Grammar,
    to: Dialect,
    framer: Framer,
    reader: Box<dyn EventReader>,
    writer: Box<dyn EventWriter>,
    steps: Vec<Event>,
    /// What the client's dialect has a word for.
    media: Media,
    /// Who seals what comes.
    maker: Option<Maker>,
    tally: StreamTally,
    is_done: bool,
    at_start: bool,
    /// The LF at the start of the next chunk belongs to the CR that ended the last event.
    expects_lf: bool,
}

impl std::fmt::Debug for StreamTranslator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamTranslator").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl StreamTranslator {
    /// A translator at the start of a stream. `None` where one of the dialects does not converse.
    pub fn new(from: Dialect, to: Dialect, plan: AnswerPlan, event_bytes_max: usize) -> Option<Self> {
        let client = client(to)?;
        Some(Self {
            from: grammar(from),
            to,
            framer: Framer::new(event_bytes_max),
            reader: (halves(from)?.reader)(),
            writer: (client.writer)(plan),
            steps: Vec::new(),
            media: client.media,
            maker: None,
            tally: StreamTally::default(),
            is_done: false,
            at_start: true,
            expects_lf: false,
        })
    }

    /// The same for what `maker` seals, which is marked as its own.
    #[must_use]
    pub fn sealed_by(self, maker: Option<Maker>) -> Self {
        Self { maker, ..self }
    }

    /// Takes bytes as they come and appends what the client is to read to `out`. After an error nothing more may be
    /// pushed.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        if std::mem::take(&mut self.expects_lf) && chunk.first() == Some(&b'\n') {
            drop(chunk.split_to(1));
        }
        let mut frames = Vec::new();
        let result = self.take(chunk, &mut frames);
        if !frames.is_empty() {
            out.push(frames.into());
        }
        result
    }

    /// The upstream has ended its body.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        let mut frames = Vec::new();
        let rest = self.framer.take_rest();
        let told = if self.is_done || rest.is_empty() { Ok(()) } else { self.event(&rest, &mut frames) };
        let end = match told {
            Ok(()) if self.is_done => StreamEnd::Complete,
            Ok(()) => self.reader.end(&mut self.steps),
            Err(fault) => end_of(fault),
        };
        let end = self.write_steps(&mut frames).map_or_else(end_of, |()| end);
        if !frames.is_empty() {
            out.push(frames.into());
        }
        end
    }

    /// Whose words come out.
    pub fn to(&self) -> Dialect {
        self.to
    }

    /// What went through so far.
    pub fn tally(&self) -> &StreamTally {
        &self.tally
    }

    /// The event was seen that ends the answer.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The whole answer as the client's dialect has it, once it has ended well; none in dialects that do not tell it.
    pub fn response(&self) -> Option<&Bytes> {
        self.writer.response()
    }

    /// The events that end this stream honestly after what was written of it.
    pub fn encode_error(&mut self, error: &WireError<'_>) -> Bytes {
        let mut frames = Vec::new();
        self.writer.fail(error, &mut frames);
        frames.into()
    }

    fn take(&mut self, mut chunk: Bytes, frames: &mut Vec<u8>) -> Result<(), StreamFault> {
        if let Some(event) = self.framer.resume(&mut chunk)? {
            self.expects_lf = chunk.is_empty() && event.ends_with(b"\r");
            self.event(&event, frames)?;
        }
        let mut at = 0;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(length) = self.framer.next_len(rest)? else { break };
            let event = rest.get(..length).unwrap_or_default();
            at += length;
            self.expects_lf = at == chunk.len() && event.ends_with(b"\r");
            self.event(event, frames)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &[u8], frames: &mut Vec<u8>) -> Result<(), StreamFault> {
        let unmarked = event.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.at_start).unwrap_or(event);
        self.at_start = false;
        let event = sse::Event::read(unmarked);
        if self.is_done {
            return Ok(());
        }
        let Some(data) = event.data.as_deref() else {
            return bare_failure(self.from, unmarked)
                .map_or(Ok(()), |failure| Err(StreamFault::Failed(failure)));
        };
        let name = event.name.and_then(|name| std::str::from_utf8(name).ok());
        let read = match std::str::from_utf8(data) {
            Ok(data) => self.reader.read(name, data, &mut self.steps).is_ok(),
            Err(_) => false,
        };
        if !read {
            self.tally.skipped += 1;
        }
        self.write_steps(frames)
    }

    fn write_steps(&mut self, frames: &mut Vec<u8>) -> Result<(), StreamFault> {
        let mut steps = std::mem::take(&mut self.steps);
        let mut result = Ok(());
        for mut step in steps.drain(..) {
            if let Event::Failed(failure) = step {
                result = Err(StreamFault::Failed(failure));
                break;
            }
            if let Event::Delta { delta: Delta::Seal(seal), .. } = &mut step {
                seal.mark(self.maker);
            }
            self.note(&step);
            self.writer.write(&step, frames);
        }
        self.steps = steps;
        result
    }

    fn note(&mut self, step: &Event) {
        let written = match step {
            Event::Delta { delta: Delta::Text(text), .. } => text.len(),
            Event::Open { opening: Opening::ToolCall { name, .. }, .. } => name.len(),
            Event::Open { opening: Opening::Native(native), .. } if native.dialect != self.to => {
                self.miss(of_native(native));
                0
            }
            Event::Open { opening: Opening::Image(image), .. } => {
                self.tally.images += 1;
                if !self.media.tells(image) {
                    self.miss(PICTURE.to_owned());
                }
                0
            }
            Event::Start { id, .. } => {
                self.tally.response_id = Some(id.clone()).filter(|id| !id.is_empty());
                0
            }
            Event::Usage(usage) => {
                self.tally.usage = Some(*usage);
                return;
            }
            Event::End => {
                self.is_done = true;
                return;
            }
            Event::Open { .. }
            | Event::Delta { .. }
            | Event::Close { .. }
            | Event::Finish(_)
            | Event::Failed(_) => 0,
        };
        self.tally.events += 1;
        self.tally.output_bytes = self.tally.output_bytes.saturating_add(written as u64);
    }

    /// Notes what the client is not told, once.
    fn miss(&mut self, name: String) {
        if self.tally.untold.len() < UNTOLD_MAX && !self.tally.untold.contains(&name) {
            self.tally.untold.push(name);
        }
    }
}

/// So many things that a stream cannot tell its client are named.
const UNTOLD_MAX: usize = 32;

/// What a fault is at the end of the body.
fn end_of(fault: StreamFault) -> StreamEnd {
    match fault {
        StreamFault::Failed(failure) | StreamFault::ErrorEvent { failure, .. } => StreamEnd::Failed(failure),
        StreamFault::EventTooLarge => StreamEnd::Cut,
    }
}
