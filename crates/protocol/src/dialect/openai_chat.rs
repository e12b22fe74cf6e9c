//! The dialect `openai_chat`: what it alone has; never what all OpenAI dialects share.

mod answer;
pub(crate) mod decode;
mod request;
mod stream;
mod thought;
mod usage;
mod wire;

use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};
use super::openai;
use crate::translate::Halves;

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
    halves: Some(&HALVES),
};

const HALVES: Halves = Halves {
    decode_request: request::decode::decode,
    encode_request: request::encode::encode,
    field_path: request::decode::field_path,
    aspect_path: request::decode::aspect_path,
    decode_answer: answer::decode,
    encode_answer: answer::encode,
    reader: || Box::new(stream::read::Reader::default()),
    writer: |plan| Box::new(stream::write::Writer::new(plan)),
};
