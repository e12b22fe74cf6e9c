//! What the gateway must know of a request before it sends it on; never the request itself, which stays in its bytes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Dialect;
use super::grammar::grammar;
use super::mark::SealMark;
use crate::json::Malformed;

#[cfg(test)]
mod tests;

/// What one scan of a request's body has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The dialect the body is written in.
    pub dialect: Dialect,
    /// The model asked for; absent where the body names none.
    pub model: Option<ModelField>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the client itself asked for the usage event (`stream_options.include_usage`).
    pub usage_asked: bool,
    /// The most tokens the answer may have, where the request says so; the greatest, where it says so twice.
    pub max_output_tokens: Option<u64>,
    /// How many answers are asked for beside each other (`n`), or tried to give the best of; each may be that long.
    pub answers: u64,
    /// Bytes of everything a model reads, as a basis for estimating tokens: pictures, sound and files count as
    /// [a fixed size](MEDIA_BYTES), whatever their encoding weighs.
    pub prompt_bytes: u64,
    /// What a backend must be able to carry.
    pub needs: Needs,
    /// The end user, as the client names them.
    pub user: Option<String>,
    /// The client's own key for provider-side prompt caching.
    pub prompt_cache_key: Option<String>,
    /// The response that this request continues (`openai_responses`).
    pub previous_response_id: Option<String>,
    /// Whether the answer is to be kept, where the request says so (`openai_responses`).
    pub store: Option<bool>,
    /// The items of earlier responses that it names by their ids alone (`openai_responses`).
    pub refers_to: Vec<String>,
    /// The marks of what providers of its own dialect have sealed in it, in their order.
    pub seals: Vec<SealMark>,
    pub(crate) places: Places,
}

/// What one picture, sound or file adds to `prompt_bytes`: about the 765 tokens of a detailed 1024 x 1024 picture.
pub const MEDIA_BYTES: u64 = 3_000;

impl Outline {
    pub(crate) fn of(dialect: Dialect) -> Self {
        Outline {
            dialect,
            model: None,
            stream: false,
            usage_asked: false,
            max_output_tokens: None,
            answers: 1,
            prompt_bytes: 0,
            needs: Needs::default(),
            user: None,
            prompt_cache_key: None,
            previous_response_id: None,
            store: None,
            refers_to: Vec::new(),
            seals: Vec::new(),
            places: Places::default(),
        }
    }

    /// A number for what the conversation begins with: its system prompt, else its first message, as they are
    /// written in `body`, and of a long one no more than its first 16 KB. Follow-ups of one conversation have the same,
    /// and so have conversations that a provider's prompt cache can serve alike.
    pub fn beginning(&self, body: &[u8]) -> Option<u64> {
        /// A provider's cache serves whatever begins alike; telling more apart would cost a walk over whole prompts.
        const TOLD_BY: usize = 16 << 10;
        let (Beginning::Message(span) | Beginning::System(span)) = &self.places.beginning else {
            return None;
        };
        let said = body.get(span.clone())?;
        Some(crate::digest(said.get(..TOLD_BY).unwrap_or(said)))
    }
}

/// The model a body names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelField {
    /// The name, with escapes resolved.
    pub name: String,
    /// Where the JSON string lies in the body, quotes included.
    pub span: Range<usize>,
}

/// What a request demands of the backend that is to serve it.
#[expect(clippy::struct_excessive_bools, reason = "independent demands")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Needs {
    /// It offers tools or functions to call.
    pub tools: bool,
    /// It contains pictures.
    pub images: bool,
    /// It contains sound, or wants some.
    pub audio: bool,
    /// It contains files.
    pub files: bool,
    /// It wants an answer that follows a JSON schema.
    pub json_schema: bool,
    /// It rests on what only a server of its own dialect can have: a compacted conversation or the wish for one, a
    /// stored prompt or conversation. Taken to another dialect it would mean something else.
    pub own_dialect: bool,
}

/// Where in the body the gateway may have to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Right behind the body's opening brace.
    pub(crate) inside: usize,
    /// The body has no field at all.
    pub(crate) empty: bool,
    /// The value of `model`, even where it is null.
    pub(crate) model: Option<Range<usize>>,
    pub(crate) stream_options: StreamOptions,
    /// What the conversation begins with: the system prompt, else the first message.
    pub(crate) beginning: Beginning,
    /// What was made of other dialects' seals for this client, each with a comma beside it: no server of its own dialect
    /// can read them.
    pub(crate) foreign: Vec<Range<usize>>,
    /// What is written over where a server cannot read all that is sealed, and with what.
    pub(crate) instead: Vec<(Range<usize>, &'static str)>,
}

/// What a conversation begins with, as it is written; that of the greatest standing which was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Beginning {
    #[default]
    None,
    Message(Range<usize>),
    System(Range<usize>),
}

/// Who speaks, as far as it matters here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Whoever sets the conversation up.
    System,
    #[default]
    Other,
}

impl Beginning {
    /// Takes note of what was said: the first of the system counts most, then the first of all.
    pub(crate) fn meet(&mut self, role: Role, said: Option<Range<usize>>) {
        match (&self, role, said) {
            (Beginning::None | Beginning::Message(_), Role::System, Some(said)) => {
                *self = Beginning::System(said);
            }
            (Beginning::None, Role::Other, Some(said)) => *self = Beginning::Message(said),
            (Beginning::System(_), Role::System, Some(_))
            | (Beginning::Message(_) | Beginning::System(_), Role::Other, Some(_))
            | (_, _, None) => {}
        }
    }
}

/// How `stream_options` is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum StreamOptions {
    #[default]
    Absent,
    Null(Range<usize>),
    Object {
        inside: usize,
        empty: bool,
        include_usage: Option<Range<usize>>,
    },
}

/// Why a body is no request; its text is meant for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not JSON.
    #[error("The request body is not valid JSON: {problem} at byte {at}.")]
    InvalidJson {
        /// What is wrong.
        problem: &'static str,
        /// Where it was noticed.
        at: usize,
    },
    /// The body is JSON but not an object.
    #[error("The request body must be a JSON object.")]
    NotAnObject,
    /// A field that decides something is written twice, so that two readers could understand two different requests.
    #[error("The field `{param}` is given more than once.")]
    Duplicate {
        /// Which field.
        param: &'static str,
    },
    /// A field that must be there is not.
    #[error("The field `{param}` is required.")]
    Missing {
        /// Which field.
        param: &'static str,
    },
    /// A field has a value of the wrong kind.
    #[error("The field `{param}` must be {expected}.")]
    WrongType {
        /// Which field, as a path.
        param: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// There is no message to answer.
    #[error("The field `messages` must hold at least one message.")]
    EmptyMessages,
}

impl DecodeError {
    /// The stable code for clients.
    pub fn code(&self) -> &'static str {
        match self {
            DecodeError::InvalidJson { .. } => "invalid_json",
            DecodeError::NotAnObject
            | DecodeError::Duplicate { .. }
            | DecodeError::Missing { .. }
            | DecodeError::WrongType { .. } => "invalid_request",
            DecodeError::EmptyMessages => "empty_messages",
        }
    }

    /// The field that is to blame.
    pub fn param(&self) -> Option<&str> {
        match self {
            DecodeError::InvalidJson { .. } | DecodeError::NotAnObject => None,
            DecodeError::Duplicate { param } | DecodeError::Missing { param } => Some(param),
            DecodeError::WrongType { param, .. } => Some(param),
            DecodeError::EmptyMessages => Some("messages"),
        }
    }
}

impl From<Malformed> for DecodeError {
    fn from(bad: Malformed) -> Self {
        DecodeError::InvalidJson { problem: bad.what, at: bad.at }
    }
}

/// Reads off a request's body what the gateway must know, in one pass and without copying it.
///
/// Unknown fields are never an error; a known one that is given twice always is, however it is spelled.
pub fn outline(dialect: Dialect, body: &[u8]) -> Result<Outline, DecodeError> {
    let text = simdutf8::compat::from_utf8(body)
        .map_err(|error| DecodeError::InvalidJson { problem: "invalid UTF-8", at: error.valid_up_to() })?;
    (grammar(dialect).outline)(text)
}
