//! The dialect `anthropic_messages`; never what another one has.

use super::grammar::{Answers, Ending, Grammar, StreamUsage};
use super::{Dialect, openai};

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: |text| openai::decode::outline(Dialect::AnthropicMessages, text, |_, _, _| Ok(false)),
    answer: openai::answer::answer,
    event: openai::answer::event,
    ending: Ending::Event,
    usage: StreamUsage::Unasked,
    answers: Answers::Known,
    error: openai::error::encode,
    stream_error: openai::error::encode_event,
    halves: None,
};
