//! What a request of this dialect means, and how one is written; never which backend serves it.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use crate::conversation::loss::{Aspect, Field};
pub(crate) use decode::{decode, history, settle};
pub(crate) use encode::encode;

/// Where in a part or an item this dialect writes an aspect of it. The seal of a call is an item behind it.
pub(crate) fn aspect_path(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Detail => "detail",
        Aspect::Title => "filename",
        Aspect::Arguments => "arguments",
        Aspect::Seal => "",
    }
}

/// Where this dialect writes a wish. What it has no field for stands where others put it.
pub(crate) fn field_path(field: Field) -> &'static str {
    match field {
        Field::MaxOutputTokens => "max_output_tokens",
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        Field::TopK => "top_k",
        Field::Seed => "seed",
        Field::PresencePenalty => "presence_penalty",
        Field::FrequencyPenalty => "frequency_penalty",
        Field::Stop => "stop",
        Field::Candidates => "n",
        Field::Logprobs => "top_logprobs",
        Field::LogitBias => "logit_bias",
        Field::ToolChoice => "tool_choice",
        Field::ParallelToolCalls => "parallel_tool_calls",
        Field::Format => "text.format",
        Field::Reasoning => "reasoning",
        Field::Verbosity => "text.verbosity",
        Field::Metadata => "metadata",
        Field::ServiceTier => "service_tier",
        Field::Store => "store",
        Field::PreviousResponseId => "previous_response_id",
        Field::User => "safety_identifier",
    }
}
