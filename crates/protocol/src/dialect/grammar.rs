//! What the relay and the translator ask of a dialect: one row each, which its own folder gives; never how it answers.

use bytes::Bytes;

use super::ask::{DecodeError, Outline};
use super::error::{StreamPlace, WireError};
use super::glance::{EventAt, Glance};
use super::{
    Dialect, agent_rpc, anthropic_messages, gemini, openai_chat, openai_completions, openai_embeddings,
    openai_raw, openai_responses,
};
use crate::json::Malformed;
use crate::translate::Halves;

/// One dialect's row.
pub(crate) struct Grammar {
    /// Reads off a request what the gateway must know.
    pub(crate) outline: fn(&str) -> Result<Outline, DecodeError>,
    /// Where a request names its model.
    pub(crate) model: ModelIn,
    /// Looks at a whole answer, which is not a list.
    pub(crate) answer: fn(&str) -> Result<Glance, Malformed>,
    /// Looks at one event of a stream.
    pub(crate) event: fn(&str, EventAt<'_>) -> Result<Glance, Malformed>,
    /// How a stream says that it is whole.
    pub(crate) ending: Ending,
    /// Whether a stream tells what it used.
    pub(crate) usage: StreamUsage,
    /// What may be answered.
    pub(crate) answers: Answers,
    /// The JSON body of an error of ours.
    pub(crate) error: fn(&WireError<'_>) -> Bytes,
    /// The whole events that end a stream honestly, wherever it broke off.
    pub(crate) stream_error: fn(&WireError<'_>, StreamPlace<'_>) -> Bytes,
    /// How it is translated; none where it does not converse.
    pub(crate) halves: Option<&'static Halves>,
}

/// Where a request names its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelIn {
    /// In its body.
    Body,
    /// In its path, which is the business of who sends it.
    Path,
}

/// How a stream says that it is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With `[DONE]`, behind choices that each say when they end. Servers forget the former, and it is put there then.
    Done,
    /// With the end of its body, behind choices that each say when they end. Some models say so with every event.
    Choices,
    /// With an event whose glance is `terminal`; a `[DONE]` may follow it and may not come before it.
    Event,
    /// With the end of its body: its grammar is not known.
    Body,
}

/// Whether a stream tells what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamUsage {
    /// In an event of its own, when `stream_options.include_usage` asks for it.
    OnRequest,
    /// Unasked, or never.
    Unasked,
}

/// What may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// What the dialect knows; the rest is an error.
    Known,
    /// Anything: it is the endpoint's own affair.
    Any,
}

/// The row of a dialect.
pub(crate) fn grammar(dialect: Dialect) -> &'static Grammar {
    match dialect {
        Dialect::OpenAiChat => &openai_chat::GRAMMAR,
        Dialect::OpenAiCompletions => &openai_completions::GRAMMAR,
        Dialect::OpenAiEmbeddings => &openai_embeddings::GRAMMAR,
        Dialect::OpenAiResponses => &openai_responses::GRAMMAR,
        Dialect::AnthropicMessages => &anthropic_messages::GRAMMAR,
        Dialect::Gemini => &gemini::GRAMMAR,
        Dialect::OpenAiRaw => &openai_raw::GRAMMAR,
        Dialect::AgentRpc => &agent_rpc::GRAMMAR,
    }
}
