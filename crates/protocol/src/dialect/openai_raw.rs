//! The endpoints that are only relayed: what they stream and answer is their own affair; never what that is.

use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};
use super::{Dialect, openai};

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: |text| openai::decode::outline(Dialect::OpenAiRaw, text, |_, _, _| Ok(false)),
    model: ModelIn::Body,
    answer: openai::answer::answer,
    event: openai::answer::event,
    ending: Ending::Body,
    usage: StreamUsage::Unasked,
    answers: Answers::Any,
    error: openai::error::encode,
    stream_error: openai::error::encode_event,
    halves: None,
};
