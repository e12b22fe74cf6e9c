//! Reads what a client of Google's dialect asks for, and asks Google for the same; never decides who serves it.

pub(super) mod config;
pub(super) mod decode;
pub(super) mod encode;
pub(super) mod parts;
pub(super) mod tools;

use crate::conversation::loss::{Aspect, Field};

/// Where a client of this dialect writes a wish; nowhere where the dialect has no word for it.
pub(super) fn field_path(field: Field) -> &'static str {
    match field {
        Field::MaxOutputTokens => "generationConfig.maxOutputTokens",
        Field::Temperature => "generationConfig.temperature",
        Field::TopP => "generationConfig.topP",
        Field::TopK => "generationConfig.topK",
        Field::Seed => "generationConfig.seed",
        Field::PresencePenalty => "generationConfig.presencePenalty",
        Field::FrequencyPenalty => "generationConfig.frequencyPenalty",
        Field::Stop => "generationConfig.stopSequences",
        Field::Candidates => "generationConfig.candidateCount",
        Field::Logprobs => "generationConfig.responseLogprobs",
        Field::ToolChoice => "toolConfig.functionCallingConfig",
        Field::Format => "generationConfig.responseMimeType",
        Field::Reasoning => "generationConfig.thinkingConfig",
        Field::Metadata => "labels",
        Field::ServiceTier => "serviceTier",
        Field::Store => "store",
        Field::LogitBias
        | Field::ParallelToolCalls
        | Field::Verbosity
        | Field::PreviousResponseId
        | Field::User => "",
    }
}

/// Where in a part it writes an aspect of it.
pub(super) fn aspect_path(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Arguments => "functionCall.args",
        Aspect::Seal => "thoughtSignature",
        Aspect::Detail => "mediaResolution",
        // Of bytes; a file's is in `fileData`.
        Aspect::Title => "inlineData.displayName",
    }
}

#[cfg(test)]
mod tests;
