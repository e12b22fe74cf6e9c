//! JSON-RPC 2.0 as local processes speak it: cuts framed messages out of bytes as they come, reads and writes one
//! message; never what a method means.
//!
//! A frame is what the Language Server Protocol has: headers, of which `Content-Length` counts the bytes of the JSON
//! that follows a blank line. Frames may come together, or cut anywhere.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[cfg(test)]
mod tests;

/// Headers are two short lines; more is something else.
const HEAD_BYTES_MAX: usize = 4 * 1024;

/// What cannot be a stream of frames. Nothing behind it can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is no header, or it cannot be read.
    #[error("a message does not begin with a header of its length")]
    Header,
    /// A message is longer than it may be.
    #[error("a message is longer than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// A message is no text.
    #[error("a message is not UTF-8")]
    NotText,
}

/// Cuts messages out of bytes as they come.
#[derive(Debug)]
pub struct Unframer {
    bytes: Vec<u8>,
    /// What of them was given out.
    taken: usize,
    bytes_max: usize,
}

impl Unframer {
    /// One that holds at most `bytes_max` of a message.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), taken: 0, bytes_max }
    }

    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        } else if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, once it is whole.
    pub fn next_message(&mut self) -> Result<Option<&str>, FrameError> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((head, length)) = head(rest)? else { return Ok(None) };
        if length > self.bytes_max {
            return Err(FrameError::TooLong { bytes_max: self.bytes_max });
        }
        let Some(body) = rest.get(head..head + length) else { return Ok(None) };
        self.taken += head + length;
        std::str::from_utf8(body).map(Some).map_err(|_| FrameError::NotText)
    }
}

/// How long the headers are, blank line included, and the message behind them.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    const NAME: &[u8] = b"content-length";
    let looked_at = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = memchr::memmem::find(looked_at, b"\r\n\r\n") else {
        // Other headers may come first, but all of them begin with a letter.
        let is_one = looked_at.first().is_none_or(u8::is_ascii_alphabetic);
        return if is_one && looked_at.len() < HEAD_BYTES_MAX { Ok(None) } else { Err(FrameError::Header) };
    };
    let lines =
        std::str::from_utf8(looked_at.get(..end).unwrap_or_default()).map_err(|_| FrameError::Header)?;
    let mut length = None;
    for line in lines.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or(FrameError::Header)?;
        // As where the first of them is looked at alone: what is refused must not depend on how it was cut.
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(FrameError::Header);
        }
        if name.as_bytes().eq_ignore_ascii_case(NAME) {
            let value = value.trim_matches(' ');
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            length = Some(value.parse().ok().filter(|_| is_number).ok_or(FrameError::Header)?);
        }
    }
    length.map(|length| Some((end + 4, length))).ok_or(FrameError::Header)
}

/// Puts the header before a message.
pub fn frame(json: &str) -> String {
    format!("Content-Length: {}\r\n\r\n{json}", json.len())
}

/// One message.
#[derive(Debug)]
pub enum Message<'a> {
    /// The other side calls and waits for an answer.
    Request {
        /// Theirs, to be given back as it is.
        id: &'a RawValue,
        /// What is called.
        method: Cow<'a, str>,
        /// With what.
        params: Option<&'a RawValue>,
    },
    /// The other side tells.
    Notification {
        /// What.
        method: Cow<'a, str>,
        /// With what.
        params: Option<&'a RawValue>,
    },
    /// The answer to a call of ours.
    Response {
        /// Ours.
        id: u64,
        /// What came of it.
        result: Result<Option<&'a RawValue>, RpcError>,
    },
}

/// An error that a call was answered with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// Its code.
    #[serde(default)]
    pub code: i64,
    /// Its text.
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RpcError>,
}

/// Reads one message. Theirs and ours are told apart by `method` alone: both sides count their ids from one. Nothing
/// where it is neither a call nor the answer to one of ours.
pub fn read(text: &str) -> Option<Message<'_>> {
    let Envelope { id, method, params, result, error } = serde_json::from_str(text).ok()?;
    match (method, id) {
        (Some(method), Some(id)) => Some(Message::Request { id, method, params }),
        (Some(method), None) => Some(Message::Notification { method, params }),
        (None, Some(id)) => {
            // Some give a number back as a text.
            let id = id.get().trim_matches('"').parse().ok()?;
            Some(Message::Response { id, result: error.map_or(Ok(result), Err) })
        }
        (None, None) => None,
    }
}

#[derive(Serialize)]
struct Out<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
}

impl Out<'_> {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("texts and JSON can be written")
    }
}

const EMPTY: Out<'static> = Out { jsonrpc: "2.0", id: None, method: None, params: None, result: None };

/// A call.
pub fn request(id: u64, method: &str, params: &RawValue) -> String {
    let id = serde_json::value::to_raw_value(&id).expect("a number can be written");
    Out { id: Some(&id), method: Some(method), params: Some(params), ..EMPTY }.write()
}

/// A call that nobody answers.
pub fn notification(method: &str, params: &RawValue) -> String {
    Out { method: Some(method), params: Some(params), ..EMPTY }.write()
}

/// The answer to a call of theirs.
pub fn response(id: &RawValue, result: &RawValue) -> String {
    Out { id: Some(id), result: Some(result), ..EMPTY }.write()
}
