//! Reads and writes `usageMetadata`; never a price.
//!
//! Google counts the cached tokens as part of the prompt, and thoughts and the prompts of its own tools beside everything.

use serde::Serialize;

use super::wire::{count, each, name};
use crate::conversation::usage::Usage;
use crate::json::{Kind, Malformed, Scan};

/// The figures as they are written.
#[derive(Debug, Default)]
struct Figures {
    prompt: Option<u64>,
    cached: u64,
    tools: u64,
    candidates: Option<u64>,
    thoughts: u64,
    total: Option<u64>,
    audio_prompt: u64,
    audio_cached: u64,
    audio_candidates: u64,
}

/// Reads a `usageMetadata` object; none where it holds no figure at all.
pub(super) fn read(scan: &mut Scan<'_>) -> Result<Option<Usage>, Malformed> {
    let mut figures = Figures::default();
    scan.object(|scan, key| {
        match &*name(&key) {
            "promptTokenCount" => figures.prompt = count(scan.written()?),
            "cachedContentTokenCount" => figures.cached = count(scan.written()?).unwrap_or(0),
            "toolUsePromptTokenCount" => figures.tools = count(scan.written()?).unwrap_or(0),
            "candidatesTokenCount" | "responseTokenCount" => figures.candidates = count(scan.written()?),
            "thoughtsTokenCount" => figures.thoughts = count(scan.written()?).unwrap_or(0),
            "totalTokenCount" => figures.total = count(scan.written()?),
            "promptTokensDetails" => figures.audio_prompt = audio(scan)?,
            "cacheTokensDetails" => figures.audio_cached = audio(scan)?,
            "candidatesTokensDetails" | "responseTokensDetails" => figures.audio_candidates = audio(scan)?,
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(figures.settle())
}

/// The tokens of sound among those of all modalities.
fn audio(scan: &mut Scan<'_>) -> Result<u64, Malformed> {
    let mut sum = 0_u64;
    each(scan, |scan, _| {
        if scan.kind() != Kind::Object {
            return scan.skip();
        }
        let (mut is_audio, mut tokens) = (false, 0);
        scan.object(|scan, key| {
            match (&*name(&key), scan.kind()) {
                ("modality", Kind::String) => is_audio = scan.string()?.value() == "AUDIO",
                ("tokenCount", _) => tokens = count(scan.written()?).unwrap_or(0),
                _ => scan.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        sum = sum.saturating_add(if is_audio { tokens } else { 0 });
        Ok(())
    })?;
    Ok(sum)
}

impl Figures {
    fn settle(&self) -> Option<Usage> {
        self.prompt.or(self.candidates).or(self.total)?;
        let prompt = self.prompt.unwrap_or(0);
        let read = prompt.saturating_add(self.tools);
        let written = self.total.map(|total| total.saturating_sub(read));
        let output = match (self.candidates, written) {
            // Some services count thoughts among the candidates' tokens, as their total tells.
            (Some(candidates), Some(written)) if candidates == written => candidates,
            (Some(candidates), _) => candidates.saturating_add(self.thoughts),
            // Early events have a total and no candidates yet.
            (None, Some(written)) => written.max(self.thoughts),
            (None, None) => self.thoughts,
        };
        let is_contradicted = self.cached > prompt
            || self.total.is_some_and(|total| total < read)
            || self.candidates.zip(written).is_some_and(|(candidates, written)| {
                ![candidates, candidates.saturating_add(self.thoughts)].contains(&written)
            });
        let input = prompt.saturating_sub(self.cached).saturating_add(self.tools);
        Some(Usage {
            input,
            cached_input: self.cached.min(prompt),
            output,
            reasoning: self.thoughts.min(output),
            audio_input: self.audio_prompt.saturating_sub(self.audio_cached).min(input),
            audio_output: self.audio_candidates.min(output),
            is_contradicted,
            ..Usage::default()
        })
    }
}

/// `usageMetadata` as it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cached_content_token_count: u64,
    candidates_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    thoughts_token_count: u64,
    total_token_count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompt_tokens_details: Vec<Modality>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates_tokens_details: Vec<Modality>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Modality {
    modality: &'static str,
    token_count: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(tokens: &u64) -> bool {
    *tokens == 0
}

impl From<&Usage> for Metadata {
    fn from(usage: &Usage) -> Self {
        let candidates = usage.output.saturating_sub(usage.reasoning);
        Metadata {
            prompt_token_count: usage.input_total(),
            cached_content_token_count: usage.cached_input,
            candidates_token_count: candidates,
            thoughts_token_count: usage.reasoning,
            total_token_count: usage.total(),
            prompt_tokens_details: modalities(usage.input_total(), usage.audio_input),
            candidates_tokens_details: modalities(candidates, usage.audio_output),
        }
    }
}

/// How many of the tokens are sound; nothing where none are.
fn modalities(all: u64, audio: u64) -> Vec<Modality> {
    if audio == 0 {
        return Vec::new();
    }
    let text = all.saturating_sub(audio);
    vec![Modality { modality: "TEXT", token_count: text }, Modality { modality: "AUDIO", token_count: audio }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, expected: Option<Usage>) {
        let found = read(&mut Scan::new(written)).expect("it is JSON");
        assert_eq!(found, expected, "{written}");
        // What is written of it reads the same, but for the audio of a cached prompt, which nobody else can tell apart.
        if let Some(usage) = found {
            let again = serde_json::to_string(&Metadata::from(&usage)).expect("numbers serialise");
            // It never contradicts itself.
            let usage = Usage { is_contradicted: false, ..usage };
            assert_eq!(read(&mut Scan::new(&again)).expect("it is JSON"), Some(usage), "{again}");
        }
    }

    #[test]
    fn every_token_is_counted_once() {
        check("{}", None);
        check(r#"{"trafficType":"ON_DEMAND"}"#, None);
        check(
            r#"{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":15}"#,
            Some(Usage { input: 10, output: 5, ..Usage::default() }),
        );
        check(
            r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":5,"thoughtsTokenCount":20,"totalTokenCount":125}"#,
            Some(Usage { input: 40, cached_input: 60, output: 25, reasoning: 20, ..Usage::default() }),
        );
        check(
            r#"{"promptTokenCount":10,"toolUsePromptTokenCount":30,"candidatesTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":52}"#,
            Some(Usage { input: 40, output: 12, reasoning: 7, ..Usage::default() }),
        );
        check(
            r#"{"promptTokenCount":10,"candidatesTokenCount":25,"thoughtsTokenCount":20,"totalTokenCount":35}"#,
            Some(Usage { input: 10, output: 25, reasoning: 20, ..Usage::default() }),
        );
        check(
            r#"{"promptTokenCount":"10","totalTokenCount":"14"}"#,
            Some(Usage { input: 10, output: 4, ..Usage::default() }),
        );
        check(
            r#"{"prompt_token_count":50,"candidates_token_count":9,"promptTokensDetails":[{"modality":"TEXT","tokenCount":20},{"modality":"AUDIO","tokenCount":30}],"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":9}]}"#,
            Some(Usage { input: 50, output: 9, audio_input: 30, audio_output: 9, ..Usage::default() }),
        );
        check(
            r#"{"promptTokenCount":5,"cachedContentTokenCount":9,"candidatesTokenCount":1}"#,
            Some(Usage { cached_input: 5, output: 1, is_contradicted: true, ..Usage::default() }),
        );
        check(
            r#"{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":20}"#,
            Some(Usage { input: 10, output: 12, reasoning: 7, is_contradicted: true, ..Usage::default() }),
        );
        check(
            r#"{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":9}"#,
            Some(Usage { input: 10, output: 5, is_contradicted: true, ..Usage::default() }),
        );
    }
}
