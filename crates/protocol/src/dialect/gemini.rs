//! The dialect `gemini`: what requests and answers of Google's `generateContent` mean; never which model they are for,
//! which stands in the path.

mod answer;
mod decode;
mod error;
mod look;
mod model;
mod reply;
mod request;
mod schema;
mod seal;
mod sources;
mod stream;
pub(super) mod unseal;
mod usage;
mod wire;
mod write;

use super::Dialect;
use super::grammar::{Answers, Ending, Grammar, ModelIn, StreamUsage};
use crate::translate::{ClientHalf, Halves, Media};

pub(crate) const GRAMMAR: Grammar = Grammar {
    outline: decode::outline,
    model: ModelIn::Path,
    answer: look::answer,
    event: look::event,
    ending: Ending::Choices,
    usage: StreamUsage::Unasked,
    answers: Answers::Known,
    error: error::encode,
    stream_error: error::encode_event,
    halves: Some(&HALVES),
};

const HALVES: Halves = Halves {
    client: Some(ClientHalf {
        decode_request: request::decode::decode,
        field_path: request::field_path,
        aspect_path: request::aspect_path,
        media: Media::All,
        encode_answer: answer::encode,
        writer: stream::write::writer,
    }),
    encode_request: request::encode::encode,
    decode_answer: answer::decode,
    reader: stream::read::reader,
};

const SELF: Dialect = Dialect::Gemini;
