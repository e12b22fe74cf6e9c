//! Decides which pieces of a stream bear a number by which it can be continued; changes nothing else of them.

use bytes::Bytes;
use protocol::sse::{Event, Framer};

use super::Entry;

/// Events are let through up to this size before they come here.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Numbers the events of one stream. Comments, signs of life among them, bear no number and are told apart by nobody.
pub(crate) struct Marker {
    framer: Framer,
    last_id: u64,
    /// The chunk before ended with a CR, whose LF may come.
    is_split: bool,
    /// Line ends that came apart from their event; they go before the next one.
    loose: Option<Bytes>,
}

impl Marker {
    pub(crate) fn new() -> Self {
        Self { framer: Framer::new(EVENT_BYTES_MAX), last_id: 0, is_split: false, loose: None }
    }

    /// Takes bytes as they come, and gives the whole events among them.
    pub(crate) fn mark(&mut self, mut chunk: Bytes) -> Vec<Entry> {
        let mut marked = Vec::new();
        if std::mem::take(&mut self.is_split) && chunk.first() == Some(&b'\n') {
            self.loose = Some(chunk.split_to(1));
        }
        match self.framer.resume(&mut chunk) {
            Ok(Some(event)) => marked.push(self.number(&event)),
            Ok(None) => {}
            Err(_too_large) => return vec![self.unnumbered(chunk)],
        }
        while !chunk.is_empty() {
            match self.framer.next_len(&chunk) {
                Ok(Some(length)) => {
                    let event = chunk.split_to(length);
                    self.is_split = chunk.is_empty() && event.ends_with(b"\r");
                    marked.push(self.number(&event));
                }
                Ok(None) => break,
                Err(_too_large) => {
                    marked.push(self.unnumbered(chunk));
                    break;
                }
            }
        }
        marked
    }

    /// What is left at the end of the stream.
    pub(crate) fn rest(&mut self) -> Option<Entry> {
        let rest = self.framer.take_rest();
        (!rest.is_empty()).then(|| self.unnumbered(rest))
    }

    /// The number is the event's last line, so that it holds whatever the upstream has said of its own; it ends as the
    /// others do, as there are clients that look for one kind of blank line.
    fn number(&mut self, event: &Bytes) -> Entry {
        if !Event::read(event).has_fields {
            return self.unnumbered(event.clone());
        }
        self.last_id += 1;
        let line_end: &[u8] = match event.as_ref() {
            [.., b'\r', b'\n'] => b"\r\n",
            [.., b'\r'] => b"\r",
            _ => b"\n",
        };
        let lines = event.strip_suffix(line_end).unwrap_or(event);
        let loose = self.loose.take().unwrap_or_default();
        let id = format!("id: {}", self.last_id);
        let bytes = [&loose, lines, id.as_bytes(), line_end, line_end].concat();
        Entry { id: self.last_id, bytes: bytes.into() }
    }

    fn unnumbered(&mut self, bytes: Bytes) -> Entry {
        let bytes = match self.loose.take() {
            Some(loose) => [loose, bytes].concat().into(),
            None => bytes,
        };
        Entry { id: self.last_id, bytes }
    }
}
