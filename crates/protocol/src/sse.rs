//! Cuts server-sent events out of bytes as they come, and reads one event; never what its data means.
//!
//! Both follow the WHATWG rules: lines end in CR, LF or CRLF, a blank line ends an event, a BOM may stand at the start.
//! Whole events are found where they lie; only one that a chunk border cuts in two is put together, up to a limit.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::{memchr, memchr2};
use smallvec::SmallVec;

#[cfg(test)]
mod tests;

/// An event has grown beyond the limit and will not be held any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {bytes_max} bytes")]
pub struct EventTooLarge {
    /// The limit.
    pub bytes_max: usize,
}

/// Finds the borders between events in a stream of chunks, and holds what was begun and not ended.
#[derive(Debug)]
pub struct Framer {
    begun: Vec<u8>,
    bytes_max: usize,
}

impl Framer {
    /// A framer that holds at most `bytes_max` bytes of one event.
    pub fn new(bytes_max: usize) -> Self {
        Framer { begun: Vec::new(), bytes_max }
    }

    /// Takes the rest of an event that an earlier chunk began off the front of `chunk`.
    ///
    /// Gives the event once it is whole. While it is not, all of the chunk is taken.
    pub fn resume(&mut self, chunk: &mut Bytes) -> Result<Option<Bytes>, EventTooLarge> {
        let Some(&last) = self.begun.last() else { return Ok(None) };
        let place = match last {
            b'\r' => Place::AfterReturn,
            b'\n' => Place::LineStart,
            _ => Place::InLine,
        };
        let end = event_end(chunk, place);
        let taken = chunk.split_to(end.unwrap_or(chunk.len()));
        self.hold(&taken)?;
        Ok(end.map(|_| Bytes::from(std::mem::take(&mut self.begun))))
    }

    /// The length of the whole event that `bytes` begin with; the bytes of an event that is not whole are held.
    pub fn next_len(&mut self, bytes: &[u8]) -> Result<Option<usize>, EventTooLarge> {
        match event_end(bytes, Place::LineStart) {
            Some(length) if length > self.bytes_max => Err(EventTooLarge { bytes_max: self.bytes_max }),
            Some(length) => Ok(Some(length)),
            None => self.hold(bytes).map(|()| None),
        }
    }

    /// What was begun and never ended.
    pub fn take_rest(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.begun))
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        if self.begun.len() + bytes.len() > self.bytes_max {
            return Err(EventTooLarge { bytes_max: self.bytes_max });
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}

/// Where in an event some bytes begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    /// Behind a CR, so that an LF would still belong to the line before.
    AfterReturn,
    InLine,
}

/// How many bytes the event has that the bytes begin with or go on with, its blank line included.
fn event_end(bytes: &[u8], place: Place) -> Option<usize> {
    let mut at = usize::from(place == Place::AfterReturn && bytes.first() == Some(&b'\n'));
    let mut begun = place == Place::InLine;
    loop {
        let length = memchr2(b'\n', b'\r', bytes.get(at..)?)?;
        let blank = length == 0 && !begun;
        at += length;
        at += if bytes.get(at..at + 2) == Some(b"\r\n") { 2 } else { 1 };
        begun = false;
        if blank {
            return Some(at);
        }
    }
}

/// One event, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// What `event` says.
    pub name: Option<&'a [u8]>,
    /// What `data` says; several lines of it are joined.
    pub data: Option<Cow<'a, [u8]>>,
    /// Where each line of data begins, in the joined data and in the event.
    lines: SmallVec<[(usize, usize); 1]>,
    /// It has a line that is neither blank nor a comment.
    pub has_fields: bool,
}

impl<'a> Event<'a> {
    /// Reads one whole event. A BOM must be gone.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut event = Event::default();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            event.line(rest.get(..length).unwrap_or_default(), at);
            // A CRLF reads as one line end and one blank line, which means nothing inside an event.
            at += length + 1;
        }
        event
    }

    /// Where a place in the data lies in the event.
    pub fn place(&self, at: usize) -> usize {
        let line = self.lines.iter().rfind(|(in_data, _)| *in_data <= at);
        line.map_or(at, |(in_data, in_event)| at - in_data + in_event)
    }

    fn line(&mut self, line: &'a [u8], at: usize) {
        if line.is_empty() || line.starts_with(b":") {
            return;
        }
        self.has_fields = true;
        let colon = memchr(b':', line).unwrap_or(line.len());
        let (name, rest) = line.split_at(colon);
        let value = rest.strip_prefix(b":").unwrap_or(rest);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match (name, &mut self.data) {
            (b"event", _) => self.name = Some(value),
            (b"data", None) => {
                self.data = Some(Cow::Borrowed(value));
                self.lines.push((0, at + line.len() - value.len()));
            }
            (b"data", Some(data)) => {
                let data = data.to_mut();
                data.push(b'\n');
                self.lines.push((data.len(), at + line.len() - value.len()));
                data.extend_from_slice(value);
            }
            _ => {}
        }
    }
}
