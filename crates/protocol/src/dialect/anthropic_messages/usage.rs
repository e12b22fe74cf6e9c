//! Reads the usage figures of messages and of their streams; never a price.
//!
//! `input_tokens` counts what was neither read from nor written to a cache, so the figures are disjoint as they come. A
//! stream tells them twice: all of them when the message starts, and those that have grown, cumulatively, when it ends.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::conversation::usage::Usage;
use crate::dialect::count::Count;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    #[serde(borrow)]
    cache_creation: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    iterations: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

impl CacheCreation {
    /// Whether its parts do not make up the sum, where both are told.
    fn contradicts(&self, sum: Count) -> bool {
        let parts = self.ephemeral_5m_input_tokens.0.zip(self.ephemeral_1h_input_tokens.0);
        let parts = parts.map(|(usual, hour)| usual.saturating_add(hour)).filter(|parts| *parts > 0);
        parts.zip(sum.0).is_some_and(|(parts, sum)| parts != sum)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

/// One sampling of a long turn. The figures of the whole hold all of them but compactions.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Iteration<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
}

/// Reads a `usage` object that follows on `before`; none where no figure was ever given.
pub(crate) fn read(written: &str, before: Option<&Usage>) -> Option<Usage> {
    let Ok(wire) = serde_json::from_str::<Wire<'_>>(written) else { return before.copied() };
    let split: Option<CacheCreation> = inner(wire.cache_creation);
    let details: OutputDetails = inner(wire.output_tokens_details).unwrap_or_default();
    let given = [wire.input_tokens, wire.output_tokens, wire.cache_read_input_tokens];
    if before.is_none() && given.iter().all(|count| count.0.is_none()) {
        return None;
    }
    let before = before.copied().unwrap_or_default();
    // A zero that follows a figure is a server's default value and no statement: cumulative figures do not shrink.
    let grown = |count: Count, before: u64| count.0.filter(|&count| count > 0).unwrap_or(before);
    let output = grown(wire.output_tokens, before.output);
    let is_split_wrong =
        split.as_ref().is_some_and(|split| split.contradicts(wire.cache_creation_input_tokens));
    let (cache_write, cache_write_1h) = cache_writes(wire.cache_creation_input_tokens, split, &before);
    let usage = Usage {
        input: grown(wire.input_tokens, before.input),
        cached_input: grown(wire.cache_read_input_tokens, before.cached_input),
        cache_write,
        cache_write_1h,
        output,
        reasoning: grown(details.thinking_tokens, before.reasoning).min(output),
        is_contradicted: is_split_wrong
            || details.thinking_tokens.0.is_some_and(|thinking| thinking > output),
        ..before
    };
    let iterations: Vec<Iteration<'_>> = inner(wire.iterations).unwrap_or_default();
    Some(iterations.iter().filter_map(Iteration::beside).fold(usage, |sum, more| sum.plus(&more)))
}

/// What was put into the cache for its usual time and for an hour. The end of a stream tells the sum only.
fn cache_writes(sum: Count, split: Option<CacheCreation>, before: &Usage) -> (u64, u64) {
    let known = split.map(|split| {
        let [usual, hour] = [split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens];
        (usual.0.unwrap_or(0), hour.0.unwrap_or(0))
    });
    let (usual, hour) =
        known.filter(|known| *known != (0, 0)).unwrap_or((before.cache_write, before.cache_write_1h));
    match sum.0 {
        Some(sum) if sum >= usual.saturating_add(hour) => (sum - hour, hour),
        Some(_) | None => (usual, hour),
    }
}

impl Iteration<'_> {
    /// What it used, where the figures of the whole leave it out.
    fn beside(&self) -> Option<Usage> {
        let is_compaction = self.r#type.is_some_and(|kind| kind.get() == "\"compaction\"");
        is_compaction.then(|| Usage {
            input: self.input_tokens.0.unwrap_or(0),
            cached_input: self.cache_read_input_tokens.0.unwrap_or(0),
            cache_write: self.cache_creation_input_tokens.0.unwrap_or(0),
            output: self.output_tokens.0.unwrap_or(0),
            ..Usage::default()
        })
    }
}

/// Something of a wrong shape counts as not given.
fn inner<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// The tier an answer was served in, as OpenAI calls it.
pub(super) fn tier(usage: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Tier {
        service_tier: Option<String>,
    }
    let tier = serde_json::from_str::<Tier>(usage).ok()?.service_tier?;
    Some(if tier == "standard" { "default".to_owned() } else { tier })
}

/// Usage as clients read it.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation: Split,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Serialize)]
struct Split {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Serialize)]
struct Details {
    thinking_tokens: u64,
}

impl<'a> Written<'a> {
    pub(super) fn of(usage: &Usage, tier: Option<&'a str>) -> Self {
        // What other services call their tiers is not what clients of this one know.
        let known = |tier| match tier {
            "default" => Some("standard"),
            "priority" | "batch" => Some(tier),
            _ => None,
        };
        Written {
            input_tokens: usage.input,
            cache_creation_input_tokens: usage.cache_write.saturating_add(usage.cache_write_1h),
            cache_read_input_tokens: usage.cached_input,
            cache_creation: Split {
                ephemeral_5m_input_tokens: usage.cache_write,
                ephemeral_1h_input_tokens: usage.cache_write_1h,
            },
            output_tokens: usage.output,
            output_tokens_details: (usage.reasoning > 0)
                .then_some(Details { thinking_tokens: usage.reasoning }),
            service_tier: tier.and_then(known),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_do_not_make_up_the_whole_are_seen() {
        for (written, is_contradicted) in [
            (r#"{"input_tokens":1,"output_tokens":9,"output_tokens_details":{"thinking_tokens":9}}"#, false),
            (
                r#"{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4}}"#,
                false,
            ),
            // Nobody who leaves the split at its defaults says anything with it.
            (
                r#"{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}}"#,
                false,
            ),
            (
                r#"{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":3}}"#,
                true,
            ),
            (r#"{"input_tokens":1,"output_tokens":8,"output_tokens_details":{"thinking_tokens":9}}"#, true),
        ] {
            let usage = read(written, None).expect("figures");
            assert_eq!(usage.is_contradicted, is_contradicted, "{written}: {usage:?}");
        }
    }
}
