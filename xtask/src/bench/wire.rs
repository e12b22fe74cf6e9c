//! Reads HTTP/1.1 answers as they come, without touching a socket; never keeps a body.

use std::str;

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;

/// How far one answer has been read. Ready for the next one as soon as `feed` said the last was whole.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    unread: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Head,
    Length(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    LastLine,
}

impl Reading {
    /// Takes what came, hands body bytes to `sink`, and says whether the answer is now whole.
    ///
    /// # Errors
    /// When the answer is not a 200, or not HTTP/1.1 as we know it.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<bool> {
        self.unread.extend_from_slice(bytes);
        let mut at = 0;
        let whole = loop {
            let rest = &self.unread[at..];
            let (used, next) = match self.state {
                State::Head => match memmem::find(rest, b"\r\n\r\n") {
                    Some(end) => (end + 4, body_after(&rest[..end])?),
                    None => break false,
                },
                State::Length(left) | State::Chunk(left) => {
                    let used = left.min(rest.len());
                    sink(&rest[..used]);
                    match (self.state, left - used) {
                        (State::Length(_), 0) => {
                            at += used;
                            break true;
                        }
                        (State::Length(_), left) => (used, State::Length(left)),
                        (_, 0) => (used, State::ChunkEnd),
                        (_, left) => (used, State::Chunk(left)),
                    }
                }
                State::ChunkSize => match memmem::find(rest, b"\r\n") {
                    Some(end) => match usize::from_str_radix(str::from_utf8(&rest[..end])?, 16)? {
                        0 => (end + 2, State::LastLine),
                        size => (end + 2, State::Chunk(size)),
                    },
                    None => break false,
                },
                State::ChunkEnd | State::LastLine if rest.len() < 2 => break false,
                State::ChunkEnd => (2, State::ChunkSize),
                State::LastLine => {
                    at += 2;
                    break true;
                }
            };
            at += used;
            self.state = next;
            if at == self.unread.len() && !matches!(next, State::Length(0)) {
                break false;
            }
        };
        self.unread.drain(..at);
        if whole {
            self.state = State::Head;
        }
        Ok(whole)
    }
}

/// How the body of an answer with this head ends.
fn body_after(head: &[u8]) -> Result<State> {
    let head = str::from_utf8(head)?.to_ascii_lowercase();
    ensure!(head.starts_with("http/1.1 200"), "{}", head.lines().next().unwrap_or_default());
    if head.contains("transfer-encoding: chunked") {
        return Ok(State::ChunkSize);
    }
    content_length(&head).map(State::Length)
}

/// The length a head (in small letters) announces.
///
/// # Errors
/// When it announces none.
pub(crate) fn content_length(head: &str) -> Result<usize> {
    let Some((_, value)) = head.split_once("content-length:") else { bail!("no length: {head}") };
    Ok(value.lines().next().context("a value")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::Reading;

    /// The same answer twice on one connection, cut into pieces of every size, gives its body twice.
    fn check(answer: &str, body: &str) {
        let twice = answer.repeat(2);
        for size in 1..=twice.len() {
            let (mut reading, mut got, mut whole) = (Reading::default(), Vec::new(), 0);
            for piece in twice.as_bytes().chunks(size) {
                let mut piece = piece;
                while reading.feed(piece, |data| got.extend_from_slice(data)).expect("a good answer") {
                    whole += 1;
                    piece = &[];
                }
            }
            assert_eq!(
                (String::from_utf8_lossy(&got).as_ref(), whole),
                (body.repeat(2).as_str(), 2),
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn answers_are_read_in_any_pieces() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello");
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            "hello",
        );
    }

    #[test]
    fn anything_else_is_an_error() {
        for bad in
            ["HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nfoo: bar\r\n\r\n"]
        {
            assert!(Reading::default().feed(bad.as_bytes(), |_| {}).is_err(), "{bad}");
        }
    }
}
