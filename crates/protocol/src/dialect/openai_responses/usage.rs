//! Writes what an answer used as this dialect counts it: cached and reasoning tokens are parts of others.

use serde::Serialize;

use crate::conversation::usage::Usage;

#[derive(Debug, Serialize)]
pub(crate) struct WireUsage {
    input_tokens: u64,
    input_tokens_details: Read,
    output_tokens: u64,
    output_tokens_details: Wrote,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
struct Read {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Debug, Serialize)]
struct Wrote {
    reasoning_tokens: u64,
}

impl WireUsage {
    pub(crate) fn of(usage: &Usage) -> Self {
        WireUsage {
            input_tokens: usage.input_total(),
            input_tokens_details: Read {
                cached_tokens: usage.cached_input,
                cache_write_tokens: usage.cache_write.saturating_add(usage.cache_write_1h),
            },
            output_tokens: usage.output,
            output_tokens_details: Wrote { reasoning_tokens: usage.reasoning },
            total_tokens: usage.total(),
        }
    }
}
