//! Frames JSON as the protocol does (a header that counts bytes, then the text), and unframes it strictly; never what
//! the JSON means.

use crate::scenario::{Cut, Packing};

/// Puts the header before a message.
pub(crate) fn frame(json: &str) -> Vec<u8> {
    format!("Content-Length: {}\r\n\r\n{json}", json.len()).into_bytes()
}

/// One thing that came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Message(String),
    /// What does not begin with a header: its length in bytes.
    NoHeader(usize),
}

/// Takes framed bytes as they come.
#[derive(Debug, Default)]
pub(crate) struct Unframer {
    bytes: Vec<u8>,
}

impl Unframer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it is whole. What has no header is given up to the end of what is there.
    pub(crate) fn next(&mut self) -> Option<Came> {
        const NAME: &[u8] = b"Content-Length: ";
        if self.bytes.is_empty() {
            return None;
        }
        let known = self.bytes.len().min(NAME.len());
        if self.bytes.get(..known) != NAME.get(..known) {
            return Some(Came::NoHeader(std::mem::take(&mut self.bytes).len()));
        }
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let length = self.bytes.get(NAME.len()..end).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(length) = length.and_then(|digits| digits.parse::<usize>().ok()) else {
            return Some(Came::NoHeader(std::mem::take(&mut self.bytes).len()));
        };
        let whole = end + 4 + length;
        if self.bytes.len() < whole {
            return None;
        }
        let rest = self.bytes.split_off(whole);
        let message = std::mem::replace(&mut self.bytes, rest).split_off(end + 4);
        match String::from_utf8(message) {
            Ok(text) => Some(Came::Message(text)),
            Err(_) => Some(Came::NoHeader(length)),
        }
    }
}

/// Packs frames into WebSocket messages as the scenario wants them.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    held: Vec<u8>,
    count: usize,
}

impl Packer {
    /// The messages that go out now that this frame does.
    pub(crate) fn pack(&mut self, frame: Vec<u8>, packing: Packing) -> Vec<Vec<u8>> {
        match packing.cut {
            Cut::One => vec![frame],
            Cut::Coalesce => {
                self.held.extend_from_slice(&frame);
                self.count += 1;
                if self.count < packing.at.max(1) { Vec::new() } else { self.flush() }
            }
            Cut::Split => {
                let at = packing.at.clamp(1, frame.len().saturating_sub(1).max(1));
                frame.chunks(at).map(<[u8]>::to_vec).collect()
            }
        }
    }

    /// What was held back to go out with more.
    pub(crate) fn flush(&mut self) -> Vec<Vec<u8>> {
        self.count = 0;
        let held = std::mem::take(&mut self.held);
        if held.is_empty() { Vec::new() } else { vec![held] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = ["{\"a\":\"é\u{1F600}\"}", "{}", "{\"b\":[1,2,3]}"];

    fn check(messages: &[Vec<u8>], want: &[Came]) {
        let mut unframer = Unframer::default();
        let mut came = Vec::new();
        for message in messages {
            unframer.push(message);
            came.extend(std::iter::from_fn(|| unframer.next()));
        }
        assert_eq!(came, want);
    }

    #[test]
    fn frames_come_apart_however_they_were_packed() {
        let want: Vec<Came> = TEXTS.iter().map(|text| Came::Message((*text).to_owned())).collect();
        for cut in [Cut::One, Cut::Coalesce, Cut::Split] {
            for at in 1..40 {
                let (mut packer, packing) = (Packer::default(), Packing { cut, at });
                let mut messages: Vec<Vec<u8>> =
                    TEXTS.iter().flat_map(|text| packer.pack(frame(text), packing)).collect();
                messages.extend(packer.flush());
                check(&messages, &want);
            }
        }
    }

    #[test]
    fn the_header_counts_bytes_and_must_be_there() {
        assert_eq!(frame("é"), b"Content-Length: 2\r\n\r\n\xc3\xa9");
        check(&[b"{\"jsonrpc\":\"2.0\"}".to_vec()], &[Came::NoHeader(17)]);
        check(&[b"content-length: 2\r\n\r\n{}".to_vec()], &[Came::NoHeader(23)]);
        check(&[b"Content-Length: x\r\n\r\n{}".to_vec()], &[Came::NoHeader(23)]);
        check(&[b"Content-Length: 2\r\n\r\n\xff\xff".to_vec()], &[Came::NoHeader(2)]);
        check(&[b"Content-Len".to_vec()], &[]);
    }
}
