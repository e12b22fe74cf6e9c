//! The dialect `anthropic_messages`; never what another one has.

mod decode;
mod error;
mod look;
mod usage;

use super::grammar::{Answers, Ending, Grammar, StreamUsage};

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: decode::outline,
    answer: look::answer,
    event: look::event,
    ending: Ending::Event,
    usage: StreamUsage::Unasked,
    answers: Answers::Known,
    error: error::encode,
    stream_error: error::encode_event,
    halves: None,
};
