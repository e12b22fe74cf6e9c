//! How an error of ours is told in a client's dialect; never which errors there are.

use bytes::Bytes;

use super::Dialect;
use super::grammar::grammar;
use crate::failure::classify::ErrorText;

#[cfg(test)]
mod tests;

/// An error as the client is to read it.
#[derive(Debug, Clone, Copy)]
pub struct WireError<'a> {
    /// The HTTP status it has, or would have if the stream had not begun.
    pub status: u16,
    /// The stable code.
    pub code: &'a str,
    /// A sentence for people.
    pub message: &'a str,
    /// The field of the request that is to blame.
    pub param: Option<&'a str>,
    /// The request's id, for dialects that repeat it in the body.
    pub request_id: &'a str,
}

/// How far a stream has come when it breaks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamPlace<'a> {
    pub(crate) response_id: Option<&'a str>,
    pub(crate) sequence: u64,
}

/// The JSON body of an error response.
pub fn encode_error(dialect: Dialect, error: &WireError<'_>) -> Bytes {
    (grammar(dialect).error)(error)
}

/// The events that end a stream honestly in which nothing was told yet.
pub fn encode_error_event(dialect: Dialect, error: &WireError<'_>) -> Bytes {
    (grammar(dialect).stream_error)(error, StreamPlace::default())
}

/// What an error body says to people, whichever of the known shapes it has.
pub fn error_message(body: &[u8]) -> Option<String> {
    Some(ErrorText::read(body).message).filter(|message| !message.is_empty())
}
