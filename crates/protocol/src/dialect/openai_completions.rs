//! The dialect `openai_completions`: what it alone has; never what all OpenAI dialects share.

pub(crate) mod decode;

use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};
use super::openai;

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: decode::outline,
    model: ModelIn::Body,
    answer: openai::choices::answer,
    event: openai::choices::event,
    ending: Ending::Done,
    usage: StreamUsage::OnRequest,
    answers: Answers::Known,
    error: openai::error::encode,
    stream_error: openai::error::encode_event,
    halves: None,
};
