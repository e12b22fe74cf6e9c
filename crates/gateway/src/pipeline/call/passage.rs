//! Decides how a stream of events goes from the upstream's dialect to the client's, and how it ended; never when.

use bytes::Bytes;
use protocol::{
    Failure, FailureKind, StreamEnd, StreamFault, StreamRelay, StreamTally, StreamTranslator, WireError,
    sse::{Event, Framer},
};

use super::outgoing;
use crate::kept::Memory;

/// How an upstream's stream ended.
pub(crate) enum Ended {
    Complete,
    Cut(Failure),
    /// The upstream sent an error event of its own; `raw` is that event.
    Told {
        failure: Failure,
        raw: Bytes,
    },
}

/// The way of one stream to its client.
pub(crate) struct Passage {
    course: Course,
    array: Option<Array>,
    /// What the answer is kept with, until it is.
    memory: Option<Box<Memory>>,
    /// The whole response, when its last event has told it.
    response: Option<Bytes>,
}

enum Course {
    Relay(Box<StreamRelay>),
    Translation(Box<StreamTranslator>),
}

impl Passage {
    /// The same dialect: events pass as they are.
    pub(super) fn relay(relay: StreamRelay) -> Self {
        Self::of(Course::Relay(Box::new(relay)))
    }

    /// Another dialect: events are put into the client's.
    pub(super) fn translation(translator: StreamTranslator) -> Self {
        Self::of(Course::Translation(Box::new(translator)))
    }

    fn of(course: Course) -> Self {
        Passage { course, array: None, memory: None, response: None }
    }

    /// With what its answer is to be kept with.
    pub(super) fn remembering(self, memory: Memory) -> Self {
        Passage { memory: Some(Box::new(memory)), ..self }
    }

    /// What is to be kept, once the answer is whole.
    pub(crate) fn take_memory(&mut self) -> Option<(Box<Memory>, Bytes)> {
        let response = self.response.take()?;
        Some((self.memory.take()?, response))
    }

    /// For a client that wants a list of objects instead of events.
    pub(super) fn listed(self, event_bytes_max: usize) -> Self {
        Passage { array: Some(Array::new(event_bytes_max)), ..self }
    }

    /// Takes bytes as they come and appends what the client is to read to `out`.
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        let before = out.len();
        let result = match &mut self.course {
            Course::Relay(relay) => relay.push(chunk, out),
            Course::Translation(translator) => {
                let known = translator.tally().untold.len();
                let result = translator.push(chunk, out);
                // In front of what came along with it: nobody reads on behind an end.
                aside(translator, known).into_iter().for_each(|aside| out.insert(before, aside));
                result
            }
        };
        self.look_for_response(out.get(before..).unwrap_or_default());
        let is_done = self.is_done();
        if let Some(array) = &mut self.array {
            array.put(out, before);
            if is_done && result.is_ok() {
                array.close(out);
            }
        }
        result
    }

    /// The upstream has ended its body.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        let before = out.len();
        let end = match &mut self.course {
            Course::Relay(relay) => relay.finish(out),
            Course::Translation(translator) => translator.finish(out),
        };
        self.look_for_response(out.get(before..).unwrap_or_default());
        if let Some(array) = &mut self.array {
            array.put(out, before);
            if end == StreamEnd::Complete {
                array.close(out);
            }
        }
        end
    }

    /// Finds the whole response in the event that ends a stream of `openai_responses`, where it is to be kept.
    fn look_for_response(&mut self, told: &[Bytes]) {
        #[derive(serde::Deserialize)]
        struct Last<'a> {
            #[serde(borrow)]
            response: &'a serde_json::value::RawValue,
        }
        if self.memory.is_none() || !self.is_done() {
            return;
        }
        let told = told.concat();
        let text = String::from_utf8_lossy(&told);
        let events = text.split("\n\n").filter(|event| {
            event.starts_with("event: response.completed") || event.starts_with("event: response.incomplete")
        });
        let data = events.filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
        let last = data.filter_map(|data| serde_json::from_str::<Last<'_>>(data).ok()).last();
        self.response = last.map(|last| Bytes::copy_from_slice(last.response.get().as_bytes()));
    }

    /// What went through so far.
    pub(crate) fn tally(&self) -> &StreamTally {
        match &self.course {
            Course::Relay(relay) => relay.tally(),
            Course::Translation(translator) => translator.tally(),
        }
    }

    /// The event was seen that ends the answer.
    pub(crate) fn is_done(&self) -> bool {
        match &self.course {
            Course::Relay(relay) => relay.is_done(),
            Course::Translation(translator) => translator.is_done(),
        }
    }

    /// What ends this stream honestly after what was passed on of it.
    pub(crate) fn encode_error(&mut self, error: &WireError<'_>) -> Bytes {
        let events = match &mut self.course {
            Course::Relay(relay) => relay.encode_error(error),
            Course::Translation(translator) => translator.encode_error(error),
        };
        self.told(events)
    }

    /// The upstream's own error event, as this client reads it.
    pub(crate) fn told(&mut self, raw: Bytes) -> Bytes {
        let Some(array) = &mut self.array else { return raw };
        let mut out = vec![raw];
        array.put(&mut out, 0);
        array.close(&mut out);
        out.concat().into()
    }
}

/// Tells the client what it was not told since `known` things were.
fn aside(translator: &StreamTranslator, known: usize) -> Option<Bytes> {
    let header = outgoing::dropped(translator.tally().untold.get(known..)?)?;
    protocol::aside(translator.to(), &format!("{}: {}", outgoing::DROPPED, header.to_str().ok()?))
}

/// Gemini's streams without `alt=sse`: one JSON list, whose elements are the data of the events.
struct Array {
    framer: Framer,
    state: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Within,
    Behind,
}

impl Array {
    fn new(event_bytes_max: usize) -> Self {
        Array { framer: Framer::new(event_bytes_max), state: Place::Before }
    }

    /// Replaces the events in `out` from `start` on by elements.
    fn put(&mut self, out: &mut Vec<Bytes>, start: usize) {
        let events: Bytes = out.drain(start..).collect::<Vec<_>>().concat().into();
        let mut elements = Vec::new();
        let mut rest = &*events;
        // What the passage gives out are whole events, none longer than what it took.
        while let Ok(Some(length)) = self.framer.next_len(rest) {
            let (event, behind) = rest.split_at(length.min(rest.len()));
            rest = behind;
            let Some(data) = Event::read(event).data else { continue };
            let joint: &[u8] = match self.state {
                Place::Before => b"[",
                Place::Within => b",\r\n",
                Place::Behind => break,
            };
            self.state = Place::Within;
            elements.extend_from_slice(joint);
            elements.extend_from_slice(&data);
        }
        if !elements.is_empty() {
            out.push(elements.into());
        }
    }

    fn close(&mut self, out: &mut Vec<Bytes>) {
        match std::mem::replace(&mut self.state, Place::Behind) {
            Place::Before => out.push(Bytes::from_static(b"[]")),
            Place::Within => out.push(Bytes::from_static(b"]")),
            Place::Behind => {}
        }
    }
}

/// Feeds what came from the upstream to the passage; says how the stream ended, once it has.
pub(crate) fn advance(
    passage: &mut Passage,
    came: Option<Result<Bytes, Failure>>,
    ready: &mut Vec<Bytes>,
) -> Option<Ended> {
    match came {
        Some(Ok(chunk)) => match passage.push(chunk, ready) {
            Ok(()) => None,
            Err(StreamFault::ErrorEvent { failure, raw }) => Some(Ended::Told { failure, raw }),
            Err(StreamFault::Failed(failure)) => Some(Ended::Cut(failure)),
            Err(StreamFault::EventTooLarge) => {
                Some(Ended::Cut(Failure::new(FailureKind::TooLarge, "an event was larger than 8 MiB")))
            }
        },
        Some(Err(_after_the_end)) if passage.is_done() => Some(Ended::Complete),
        Some(Err(failure)) => Some(Ended::Cut(failure)),
        None => Some(match passage.finish(ready) {
            StreamEnd::Complete => Ended::Complete,
            StreamEnd::Failed(failure) => Ended::Cut(failure),
            StreamEnd::Cut => {
                Ended::Cut(Failure::new(FailureKind::Truncated, "the stream ended before its last event"))
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_data_of_the_events() {
        let check = |events: &[&str], want: &str| {
            let mut array = Array::new(1024);
            let mut told = Vec::new();
            for event in events {
                let mut out = vec![Bytes::from(event.to_string())];
                array.put(&mut out, 0);
                told.extend(out);
            }
            array.close(&mut told);
            array.close(&mut told);
            assert_eq!(String::from_utf8_lossy(&told.concat()), want);
        };
        check(&[], "[]");
        check(&["data: {\"a\":1}\n\n"], "[{\"a\":1}]");
        check(&["data: 1\r\n\r\ndata: 2\r\n\r\n", ": nothing\n\n", "data: 3\n\n"], "[1,\r\n2,\r\n3]");
    }
}
