//! Relays a stream of events in its own dialect: passes whole events on, taps what they used, and says honestly how the
//! stream ended; never holds more than one event, and never changes one but for its model.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::conversation::usage::Usage;
use crate::dialect::Dialect;
use crate::dialect::error::{StreamPlace, WireError};
use crate::dialect::glance::{Choices, EventAt, Glance, Wants};
use crate::dialect::grammar::{Answers, Ending, Grammar, StreamUsage, grammar};
use crate::dialect::openai;
use crate::dialect::write::json;
use crate::failure::Failure;
use crate::json::Malformed;
use crate::sse::{Event, EventTooLarge, Framer};

#[cfg(test)]
mod tests;

/// What is to be done to a stream on its way.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// Keep back the final usage event, which the client has not asked for.
    pub withhold_usage: bool,
    /// The model name that the client is to read.
    pub rename_model: Option<Arc<str>>,
    /// The longest event that is let through.
    pub event_bytes_max: usize,
}

/// Why a stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFault {
    /// The upstream says that it has failed.
    ErrorEvent {
        /// What it says.
        failure: Failure,
        /// The event that says it, to be passed on where a failure can no longer be told otherwise.
        raw: Bytes,
    },
    /// The same, in words that mean nothing to the client: those of another dialect, or outside of any event.
    Failed(Failure),
    /// An event is longer than the plan allows.
    EventTooLarge,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// Everything that was begun was finished.
    Complete,
    /// The upstream stopped before its answer did.
    Cut,
    /// The same, and it says why.
    Failed(Failure),
}

/// What went through so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamTally {
    /// The provider's latest figures. They are cumulative wherever they come more than once.
    pub usage: Option<Usage>,
    /// Bytes of everything the model wrote, as a basis for counting tokens.
    pub output_bytes: u64,
    /// Pictures that the model made.
    pub images: u64,
    /// Events with content of the dialect, withheld ones included; comments and `[DONE]` are none.
    pub events: u64,
    /// Events that were left out because they are malformed.
    pub skipped: u64,
    /// The answer's id, by which follow-ups find their way back.
    pub response_id: Option<String>,
    /// By what else they may mean something of it that its maker alone has or reads, as in
    /// [`AnswerOutline`](crate::AnswerOutline::handles).
    pub handles: Vec<String>,
    /// What could not be told in the client's dialect, by name; nothing where it is the upstream's, too.
    pub untold: Vec<String>,
}

/// Relays one stream.
///
/// What it puts out does not depend on how the chunks are cut.
pub struct StreamRelay {
    grammar: &'static Grammar,
    withhold_usage: bool,
    model: Option<Bytes>,
    framer: Framer,
    tally: StreamTally,
    choices: Choices,
    sequence_next: u64,
    standing: Standing,
    /// The fate of an LF at the start of the next chunk, whose CR has ended the event before.
    split_line_end: Option<Fate>,
    at_start: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    /// The last event of the answer was seen; only a `[DONE]` may follow.
    Ended,
    /// Nothing follows.
    Closed,
    /// A fault was found; whatever follows, the answer is not complete.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    Dropped,
}

/// More than any answer has items that somebody would name.
const HANDLES_MAX: usize = 256;

/// What becomes of one event.
enum Verdict {
    Pass,
    Drop,
    /// The range of the event is replaced by the model's name.
    Rename(Range<usize>, Bytes),
}

/// What an event turned out to be.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one event; a box would be an allocation each"
)]
enum Reading {
    Comment,
    Done,
    Malformed,
    /// The model's place is one in the event.
    Glance(Glance),
}

impl std::fmt::Debug for StreamRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamRelay").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl StreamRelay {
    /// A relay at the start of a stream.
    pub fn new(dialect: Dialect, plan: StreamPlan) -> Self {
        StreamRelay {
            grammar: grammar(dialect),
            withhold_usage: plan.withhold_usage && grammar(dialect).usage == StreamUsage::OnRequest,
            model: plan.rename_model.map(|name| json(&name)),
            framer: Framer::new(plan.event_bytes_max),
            tally: StreamTally::default(),
            choices: Choices::default(),
            sequence_next: 0,
            standing: Standing::Open,
            split_line_end: None,
            at_start: true,
        }
    }

    /// Takes bytes as they come and appends the whole events among them to `out`, neighbours that were not touched as one
    /// slice of `chunk`. After an error nothing more may be pushed.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        let result = self.take(chunk, out);
        if result.is_err() {
            self.standing = Standing::Broken;
        }
        result
    }

    /// The upstream has ended its body. An answer that is whole and lacks only its `[DONE]` is given one.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        let rest = self.framer.take_rest();
        if let Some(failure) = bare_failure(self.grammar, &rest).filter(|_| self.standing == Standing::Open) {
            self.standing = Standing::Broken;
            return StreamEnd::Failed(failure);
        }
        self.relay_rest(rest, out);
        match self.standing {
            Standing::Ended | Standing::Closed => return StreamEnd::Complete,
            Standing::Broken => return StreamEnd::Cut,
            Standing::Open => {}
        }
        match self.grammar.ending {
            Ending::Done if self.choices.all_finished() => {
                self.standing = Standing::Closed;
                out.push(Bytes::from_static(b"data: [DONE]\n\n"));
                StreamEnd::Complete
            }
            Ending::Choices if self.choices.all_finished() => StreamEnd::Complete,
            Ending::Body if self.tally.events > 0 => StreamEnd::Complete,
            Ending::Done | Ending::Choices | Ending::Event | Ending::Body => StreamEnd::Cut,
        }
    }

    /// What went through so far.
    pub fn tally(&self) -> &StreamTally {
        &self.tally
    }

    /// The event was seen that ends the answer.
    pub fn is_done(&self) -> bool {
        matches!(self.standing, Standing::Ended | Standing::Closed)
    }

    /// The events that end this stream honestly after what was relayed of it.
    pub fn encode_error(&self, error: &WireError<'_>) -> Bytes {
        let place =
            StreamPlace { response_id: self.tally.response_id.as_deref(), sequence: self.sequence_next };
        (self.grammar.stream_error)(error, place)
    }

    fn take(&mut self, mut chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        if chunk.is_empty() {
            return Ok(());
        }
        if let Some(fate) = self.split_line_end.take()
            && chunk.first() == Some(&b'\n')
        {
            let line_end = chunk.split_to(1);
            if fate == Fate::Passed {
                out.push(line_end);
            }
        }
        if let Some(event) = self.framer.resume(&mut chunk)? {
            self.relay(event, out)?;
        }
        if !chunk.is_empty() {
            self.split_line_end = None;
            self.relay(chunk, out)?;
        }
        Ok(())
    }

    /// Relays the events that `chunk` begins with and holds what it ends with.
    fn relay(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        // What lies between `run` and `at` is to be passed on as it is.
        let (mut run, mut at) = (0, 0);
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            let length = match self.framer.next_len(rest) {
                Ok(Some(length)) => length,
                Ok(None) => break,
                Err(too_large) => {
                    pass(out, &chunk, run..at);
                    return Err(too_large.into());
                }
            };
            let end = at + length;
            if std::mem::take(&mut self.at_start) && rest.starts_with(BYTE_ORDER_MARK) {
                at += BYTE_ORDER_MARK.len();
                run = at;
            }
            let verdict = match self.judge(chunk.get(at..end).unwrap_or_default()) {
                Ok(verdict) => verdict,
                Err(failure) => {
                    pass(out, &chunk, run..at);
                    let raw = chunk.slice(at..end);
                    return Err(match Event::read(&raw).data {
                        Some(_) => StreamFault::ErrorEvent { failure, raw: ended(raw) },
                        None => StreamFault::Failed(failure),
                    });
                }
            };
            if end == chunk.len() && chunk.ends_with(b"\r") {
                self.split_line_end = Some(verdict.fate());
            }
            let (kept, new, resumed) = match verdict {
                Verdict::Pass => (run, None, run),
                Verdict::Drop => (at, None, end),
                Verdict::Rename(place, name) => (at + place.start, Some(name), at + place.end),
            };
            pass(out, &chunk, run..kept);
            out.extend(new);
            (run, at) = (resumed, end);
        }
        pass(out, &chunk, run..at);
        Ok(())
    }

    /// Relays what is left at the end of the body if it is an event that only lacks its blank line.
    fn relay_rest(&mut self, rest: Bytes, out: &mut Vec<Bytes>) {
        let last_line = rest.rsplit(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        if !last_line.is_empty() && !last_line.starts_with(b"data:") {
            return;
        }
        let unmarked = rest.strip_prefix(BYTE_ORDER_MARK).filter(|_| self.at_start).unwrap_or(&rest);
        if !matches!(self.read(unmarked), Reading::Done | Reading::Glance(_)) {
            return;
        }
        let line_ends: &[u8] = if rest.ends_with(b"\n") { b"\n" } else { b"\n\n" };
        // A fault found here has nobody to go to; a stream that ends with one is cut, which is what is said of it.
        if self.relay([&rest, line_ends].concat().into(), out).is_err() {
            self.standing = Standing::Broken;
        }
    }

    fn judge(&mut self, event: &[u8]) -> Result<Verdict, Failure> {
        if matches!(self.standing, Standing::Closed | Standing::Broken) {
            return Ok(Verdict::Drop);
        }
        match self.read(event) {
            Reading::Comment => Ok(Verdict::Pass),
            Reading::Done => Ok(self.done()),
            Reading::Glance(glance) if self.standing == Standing::Open => self.note(glance),
            Reading::Glance(_) => Ok(Verdict::Drop),
            Reading::Malformed => {
                self.tally.skipped += 1;
                Ok(Verdict::Drop)
            }
        }
    }

    fn read(&self, written: &[u8]) -> Reading {
        let event = Event::read(written);
        // What a relayed endpoint streams is its own affair.
        let lenient = self.grammar.answers == Answers::Any;
        let Some(data) = event.data.as_deref() else {
            // SDKs trip over an event without data; it tells them nothing either.
            return match bare_failure(self.grammar, written).filter(|_| event.has_fields) {
                None if lenient || !event.has_fields => Reading::Comment,
                Some(failure) => Reading::Glance(Glance { failure: Some(failure), ..Glance::default() }),
                None => Reading::Malformed,
            };
        };
        if data.trim_ascii() == b"[DONE]" {
            return Reading::Done;
        }
        let glance = std::str::from_utf8(data).map(|text| self.look(text, event.name));
        match glance {
            Ok(Ok(mut glance)) => {
                glance.model =
                    glance.model.map(|place| event.place(place.start)..event.place(place.end - 1) + 1);
                Reading::Glance(glance)
            }
            _ if lenient => Reading::Glance(Glance::default()),
            Ok(Err(_)) | Err(_) => Reading::Malformed,
        }
    }

    fn look(&self, text: &str, name: Option<&[u8]>) -> Result<Glance, Malformed> {
        let at = EventAt {
            name: name.and_then(|name| std::str::from_utf8(name).ok()),
            wants_id: if self.tally.response_id.is_none() { Wants::Id } else { Wants::NoId },
            usage: self.tally.usage.as_ref(),
        };
        let mut glance = (self.grammar.event)(text, at)?;
        if name == Some(b"error") && glance.failure.is_none() {
            glance.failure = openai::error::failure(text).or_else(|| Some(openai::error::unexplained()));
        }
        Ok(glance)
    }

    /// `[DONE]` ends a stream that was one. Without an answer before it, it must not make an empty one look good.
    fn done(&mut self) -> Verdict {
        let ends = match self.grammar.ending {
            Ending::Done => self.tally.events > 0,
            Ending::Event => self.standing == Standing::Ended,
            // It is no event of such a dialect, and its SDKs would trip over it.
            Ending::Choices => false,
            Ending::Body => true,
        };
        if !ends {
            self.tally.skipped += 1;
            return Verdict::Drop;
        }
        self.standing = Standing::Closed;
        Verdict::Pass
    }

    fn note(&mut self, glance: Glance) -> Result<Verdict, Failure> {
        if let Some(failure) = glance.failure {
            return Err(failure);
        }
        self.tally.events += 1;
        self.tally.output_bytes = self.tally.output_bytes.saturating_add(glance.output_bytes);
        self.tally.images = self.tally.images.saturating_add(glance.images);
        self.tally.usage = glance.usage.or(self.tally.usage);
        if self.tally.response_id.is_none() {
            self.tally.response_id = glance.id;
        }
        for handle in glance.handles {
            if self.tally.handles.len() < HANDLES_MAX && !self.tally.handles.contains(&handle) {
                self.tally.handles.push(handle);
            }
        }
        self.choices.add(glance.choices);
        self.sequence_next = glance.sequence.map_or(self.sequence_next, |number| number.saturating_add(1));
        if glance.terminal {
            self.standing = Standing::Ended;
        }
        let only_usage = glance.usage.is_some() && glance.choices == Choices::default();
        if self.withhold_usage && only_usage {
            return Ok(Verdict::Drop);
        }
        Ok(match (&self.model, glance.model) {
            (Some(name), Some(place)) => Verdict::Rename(place, name.clone()),
            (None, _) | (_, None) => Verdict::Pass,
        })
    }
}

impl Verdict {
    fn fate(&self) -> Fate {
        match self {
            Verdict::Pass | Verdict::Rename(..) => Fate::Passed,
            Verdict::Drop => Fate::Dropped,
        }
    }
}

/// What an upstream says outside of any event where it fails: Google's service ends a stream with the bare body of an
/// error, and others have nothing else to say.
pub(crate) fn bare_failure(grammar: &Grammar, written: &[u8]) -> Option<Failure> {
    // What a relayed endpoint streams is its own affair.
    let text = std::str::from_utf8(written.trim_ascii()).ok()?;
    if grammar.answers == Answers::Any || !text.starts_with('{') {
        return None;
    }
    let at = EventAt { name: None, wants_id: Wants::NoId, usage: None };
    (grammar.event)(text, at).ok()?.failure
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn pass(out: &mut Vec<Bytes>, chunk: &Bytes, range: Range<usize>) {
    if range.len() == chunk.len() && !range.is_empty() {
        out.push(chunk.clone());
    } else if !range.is_empty() {
        out.push(chunk.slice(range));
    }
}

/// An event whose last line end is not cut in two, as nothing that comes after it is passed on.
fn ended(event: Bytes) -> Bytes {
    if event.ends_with(b"\r") { [&event, b"\n".as_slice()].concat().into() } else { event }
}

impl From<EventTooLarge> for StreamFault {
    fn from(_: EventTooLarge) -> Self {
        StreamFault::EventTooLarge
    }
}
