//! Reads the usage figures of every server that speaks an OpenAI dialect; never a price.
//!
//! All of them agree on the names, and not on what a figure includes: at OpenAI the cached tokens are part of the prompt
//! and the reasoning is part of the completion; at others one or the other comes on top. The server's own total, where
//! it gives one, says which of the two it is; where it gives none, OpenAI's way is assumed.

use serde::Deserialize;

use crate::conversation::usage::Usage;
use crate::dialect::count::Count;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    prompt_tokens: Count,
    completion_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    input_tokens_details: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    output_tokens_details: Option<&'a serde_json::value::RawValue>,
    /// DeepSeek
    prompt_cache_hit_tokens: Count,
    /// Moonshot
    cached_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    cache_write_tokens: Count,
    cache_creation_tokens: Count,
    audio_tokens: Count,
    reasoning_tokens: Count,
}

impl Details {
    fn of(places: [Option<&serde_json::value::RawValue>; 2]) -> Self {
        let given = places.into_iter().flatten().find_map(|raw| serde_json::from_str(raw.get()).ok());
        given.unwrap_or_default()
    }
}

/// Reads a `usage` object; none where it holds no figure at all.
pub(crate) fn read(written: &str) -> Option<Usage> {
    let wire: Wire<'_> = serde_json::from_str(written).ok()?;
    let read = Details::of([wire.prompt_tokens_details, wire.input_tokens_details]);
    let wrote = Details::of([wire.completion_tokens_details, wire.output_tokens_details]);
    let prompt = wire.prompt_tokens.0.or(wire.input_tokens.0);
    let completion = wire.completion_tokens.0.or(wire.output_tokens.0);
    let total = wire.total_tokens.0;
    prompt.or(completion).or(total)?;
    let cached = [read.cached_tokens, wire.prompt_cache_hit_tokens, wire.cached_tokens];
    let written_to_cache = [read.cache_write_tokens, read.cache_creation_tokens];
    let first = |counts: &[Count]| counts.iter().find_map(|count| count.0).unwrap_or(0);
    Some(
        Figures {
            // Rerankers and some embedders give a total alone.
            prompt: prompt.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(completion.unwrap_or(0))),
            completion,
            total,
            cached: first(&cached),
            cache_write: first(&written_to_cache),
            reasoning: first(&[wrote.reasoning_tokens]),
        }
        .settle(first(&[read.audio_tokens]), first(&[wrote.audio_tokens])),
    )
}

struct Figures {
    prompt: u64,
    completion: Option<u64>,
    total: Option<u64>,
    cached: u64,
    cache_write: u64,
    reasoning: u64,
}

impl Figures {
    fn settle(&self, audio_input: u64, audio_output: u64) -> Usage {
        let completion = self.completion.unwrap_or(0);
        let from_cache = self.cached.saturating_add(self.cache_write);
        // What the total holds beyond prompt and completion.
        let beyond =
            self.total.map_or(0, |total| total.saturating_sub(self.prompt.saturating_add(completion)));
        // A part that is greater than the whole is none of its parts.
        let cache_on_top = from_cache > self.prompt
            || (beyond > 0
                && beyond != self.reasoning
                && (beyond == from_cache || beyond == from_cache.saturating_add(self.reasoning)));
        let unexplained = if cache_on_top { beyond.saturating_sub(from_cache) } else { beyond };
        // xAI leaves reasoning out of the completion and names it; Google leaves it out and does not. Both bill it.
        let hidden = match self.completion {
            Some(_) if unexplained > 0 => unexplained,
            Some(_) if self.reasoning > completion => self.reasoning,
            Some(_) | None => 0,
        };
        let output = completion.saturating_add(hidden);
        let input = if cache_on_top { self.prompt } else { self.prompt - from_cache };
        let is_contradicted = audio_input > self.prompt
            || audio_output > output
            || self.completion.zip(self.total).is_some_and(|(completion, total)| {
                let parts = self.prompt.saturating_add(completion);
                // Google's total holds reasoning that nothing names; what is named must be what is beyond.
                let is_named = unexplained == 0 || self.reasoning == 0 || unexplained == self.reasoning;
                total < parts
                    || !is_named
                    || (beyond == 0 && (from_cache > self.prompt || self.reasoning > completion))
            });
        Usage {
            input,
            cached_input: self.cached,
            cache_write: self.cache_write,
            cache_write_1h: 0,
            output,
            reasoning: self.reasoning.max(hidden).min(output),
            audio_input: audio_input.min(input),
            audio_output: audio_output.min(output),
            images: 0,
            is_contradicted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_do_not_make_up_the_whole_are_seen() {
        for (written, is_contradicted) in [
            // OpenAI: cached tokens and reasoning are parts.
            (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#, false),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":5}}"#,
                false,
            ),
            // On top: the cache, the reasoning, both; and Google's, which is not named.
            (r#"{"prompt_tokens":4,"completion_tokens":5,"total_tokens":15,"cached_tokens":6}"#, false),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,"completion_tokens_details":{"reasoning_tokens":7}}"#,
                false,
            ),
            (
                r#"{"prompt_tokens":4,"completion_tokens":5,"total_tokens":22,"cached_tokens":6,"completion_tokens_details":{"reasoning_tokens":7}}"#,
                false,
            ),
            (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":40}"#, false),
            // Without a whole nothing contradicts.
            (r#"{"prompt_tokens":4,"completion_tokens":5,"cached_tokens":6}"#, false),
            (r#"{"total_tokens":40}"#, false),
            (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":14}"#, true),
            (r#"{"prompt_tokens":4,"completion_tokens":5,"total_tokens":9,"cached_tokens":6}"#, true),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":7}}"#,
                true,
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":20,"completion_tokens_details":{"reasoning_tokens":3}}"#,
                true,
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"audio_tokens":11}}"#,
                true,
            ),
        ] {
            let usage = read(written).expect("figures");
            assert_eq!(usage.is_contradicted, is_contradicted, "{written}: {usage:?}");
        }
    }
}
