//! The dialect `openai_responses`: what it alone has; never what all OpenAI dialects share.

mod answer;
pub(crate) mod decode;
pub(crate) mod error;
mod item;
pub mod kept;
mod request;
mod response;
pub(crate) mod stream;
mod tool;
pub(super) mod unseal;
mod usage;
mod wire;

use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};
use super::openai;
use crate::translate::{ClientHalf, Halves, Media};

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
    halves: Some(&HALVES),
};

const HALVES: Halves = Halves {
    client: Some(ClientHalf {
        decode_request: request::decode,
        field_path: request::field_path,
        aspect_path: request::aspect_path,
        media: Media::PicturesHere,
        encode_answer: answer::encode,
        writer: stream::write::writer,
    }),
    encode_request: request::encode,
    decode_answer: answer::decode,
    reader: stream::read::reader,
};
