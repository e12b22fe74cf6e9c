//! The dialect `openai_responses`: what it alone has; never what all OpenAI dialects share.

pub(crate) mod decode;
pub(crate) mod error;
pub(crate) mod stream;

use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};
use super::openai;

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: decode::outline,
    model: ModelIn::Body,
    answer: stream::answer,
    event: stream::event,
    ending: Ending::Event,
    usage: StreamUsage::Unasked,
    answers: Answers::Known,
    error: openai::error::encode,
    stream_error: error::encode_events,
    halves: None,
};
