//! The dialect `openai_embeddings`: what it alone has; never what all OpenAI dialects share.

pub(crate) mod decode;

use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};
use super::openai;

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: decode::outline,
    model: ModelIn::Body,
    answer: openai::answer::answer,
    event: openai::answer::event,
    ending: Ending::Body,
    usage: StreamUsage::Unasked,
    answers: Answers::Known,
    error: openai::error::encode,
    stream_error: openai::error::encode_event,
    halves: None,
};
