//! How messages are translated: both halves, and where a client writes a wish; never a pair of dialects.

use super::{answer, request, stream};
use crate::conversation::loss::{Aspect, Field};
use crate::translate::{ClientHalf, Halves, Media};

pub(super) const HALVES: Halves = Halves {
    client: Some(ClientHalf {
        decode_request: request::decode,
        field_path,
        aspect_path,
        media: Media::Nothing,
        encode_answer: answer::encode,
        writer: |plan| Box::new(stream::Writer::new(plan)),
    }),
    encode_request: request::encode,
    decode_answer: answer::decode,
    reader: || Box::new(stream::Reader::default()),
};

/// Where a client of messages writes a wish; empty where it cannot.
fn field_path(field: Field) -> &'static str {
    match field {
        Field::MaxOutputTokens => "max_tokens",
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        Field::TopK => "top_k",
        Field::Stop => "stop_sequences",
        Field::ToolChoice => "tool_choice",
        Field::ParallelToolCalls => "tool_choice.disable_parallel_tool_use",
        Field::Format => "output_config.format",
        Field::Reasoning => "thinking",
        Field::ServiceTier => "service_tier",
        Field::User => "metadata.user_id",
        Field::Metadata
        | Field::Seed
        | Field::PresencePenalty
        | Field::FrequencyPenalty
        | Field::Candidates
        | Field::Logprobs
        | Field::LogitBias
        | Field::Verbosity
        | Field::Store
        | Field::PreviousResponseId => "",
    }
}

/// Where in a block a client of messages writes an aspect of it. The seal of a call is a block behind it.
fn aspect_path(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Title => "title",
        Aspect::Arguments => "input",
        Aspect::Detail | Aspect::Seal => "",
    }
}
