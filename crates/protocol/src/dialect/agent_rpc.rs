//! The dialect `agent_rpc`: what a turn with a local process means, in any of the codecs such processes speak; never how
//! it is carried.
//!
//! It is spoken upstream only. A request is a [`Turn`]: one text, for these processes take no list of messages. An
//! answer is the pushes of that turn, each an event whose name is the method and whose data are the parameters.

mod answer;
mod codec;
mod fence;
mod push;
mod request;
mod stream;

use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};
use super::{Dialect, openai};
use crate::translate::Halves;

pub use codec::{Codec, Names, Step, refused};
pub use push::{Addressee, addressee};
pub use request::Turn;

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: |text| openai::decode::outline(Dialect::AgentRpc, text, |_, _, _| Ok(false)),
    model: ModelIn::Body,
    answer: answer::glance,
    event: answer::event,
    ending: Ending::Body,
    usage: StreamUsage::Unasked,
    answers: Answers::Any,
    error: openai::error::encode,
    stream_error: openai::error::encode_event,
    halves: Some(&HALVES),
};

const HALVES: Halves = Halves {
    client: None,
    encode_request: request::encode,
    decode_answer: answer::decode,
    reader: || Box::new(stream::Reader::default()),
};
