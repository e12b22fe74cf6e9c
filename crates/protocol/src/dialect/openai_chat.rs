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
use crate::translate::{ClientHalf, Halves, Media};

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
    client: Some(ClientHalf {
        decode_request: request::decode::decode,
        field_path: request::decode::field_path,
        aspect_path: request::decode::aspect_path,
        media: Media::Pictures,
        encode_answer: answer::encode,
        writer: |plan| Box::new(stream::write::Writer::new(plan)),
    }),
    encode_request: request::encode::encode,
    decode_answer: answer::decode,
    reader: || Box::new(stream::read::Reader::default()),
};
