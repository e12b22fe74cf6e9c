//! The dialect `anthropic_messages`; never what another one has.

mod answer;
mod citation;
mod decode;
mod error;
mod finish;
mod halves;
mod look;
mod request;
mod stream;
pub(super) mod unseal;
mod usage;
mod wire;

use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: decode::outline,
    model: ModelIn::Body,
    answer: look::answer,
    event: look::event,
    ending: Ending::Event,
    usage: StreamUsage::Unasked,
    answers: Answers::Known,
    error: error::encode,
    stream_error: error::encode_event,
    halves: Some(&halves::HALVES),
};
