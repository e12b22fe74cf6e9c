//! Writes what an answer used as chat clients read it; never reads it, which all OpenAI dialects do alike.

use serde::Serialize;

use crate::conversation::usage::Usage;

#[derive(Debug, Serialize)]
pub(super) struct Wire {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: Prompt,
    completion_tokens_details: Completion,
}

#[derive(Debug, Serialize)]
struct Prompt {
    cached_tokens: u64,
    audio_tokens: u64,
    /// OpenRouter's name; OpenAI does not bill for it.
    #[serde(skip_serializing_if = "is_none")]
    cache_write_tokens: u64,
}

#[derive(Debug, Serialize)]
struct Completion {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Wire {
    pub(super) fn of(usage: &Usage) -> Self {
        Wire {
            prompt_tokens: usage.input_total(),
            completion_tokens: usage.output,
            total_tokens: usage.total(),
            prompt_tokens_details: Prompt {
                cached_tokens: usage.cached_input,
                audio_tokens: usage.audio_input,
                cache_write_tokens: usage.cache_write.saturating_add(usage.cache_write_1h),
            },
            completion_tokens_details: Completion {
                reasoning_tokens: usage.reasoning,
                audio_tokens: usage.audio_output,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
        }
    }
}
