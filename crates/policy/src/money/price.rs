//! Decides what one usage record costs under one price; never looks a price up by itself over a network.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::Usage;
use serde::{Deserialize, Serialize};

use super::Amount;

/// What one token of each kind costs; `request` is per call. Every kind has its price here: what a
/// provider does not price apart already carries the price of the kind it is part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Which price this is; kept on every receipt charged with it.
    pub version: Arc<str>,
    /// Uncached input.
    pub input: Amount,
    /// Input read from the provider's cache.
    pub cached_input: Amount,
    /// Input written to the provider's cache for minutes.
    pub cache_write: Amount,
    /// Input written to the provider's cache for an hour.
    pub cache_write_1h: Amount,
    /// Output.
    pub output: Amount,
    /// The part of the output that was reasoning.
    pub reasoning: Amount,
    /// The part of the uncached input that was audio.
    pub audio_input: Amount,
    /// The part of the output that was audio.
    pub audio_output: Amount,
    /// Each call, whatever it used.
    pub request: Amount,
}

/// A price as people write it: kinds left out are charged as the kind they are part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceSpec {
    /// Names this price on receipts.
    pub version: String,
    /// Uncached input.
    pub input: Amount,
    /// Left out: as `input`.
    pub cached_input: Option<Amount>,
    /// Left out: as `input`.
    pub cache_write: Option<Amount>,
    /// Left out: as `cache_write`.
    pub cache_write_1h: Option<Amount>,
    /// Output.
    pub output: Amount,
    /// Left out: as `output`.
    pub reasoning: Option<Amount>,
    /// Left out: as `input`.
    pub audio_input: Option<Amount>,
    /// Left out: as `output`.
    pub audio_output: Option<Amount>,
    /// Each call.
    pub request: Amount,
}

impl PriceSpec {
    /// The price with every kind filled in.
    #[must_use]
    pub fn price(&self) -> Price {
        let cache_write = self.cache_write.unwrap_or(self.input);
        Price {
            version: Arc::from(self.version.as_str()),
            input: self.input,
            cached_input: self.cached_input.unwrap_or(self.input),
            cache_write,
            cache_write_1h: self.cache_write_1h.unwrap_or(cache_write),
            output: self.output,
            reasoning: self.reasoning.unwrap_or(self.output),
            audio_input: self.audio_input.unwrap_or(self.input),
            audio_output: self.audio_output.unwrap_or(self.output),
            request: self.request,
        }
    }

    /// Every amount that was written, with its field name: what a check for negatives walks over.
    pub fn amounts(&self) -> impl Iterator<Item = (&'static str, Amount)> {
        [
            ("input", Some(self.input)),
            ("cached_input", self.cached_input),
            ("cache_write", self.cache_write),
            ("cache_write_1h", self.cache_write_1h),
            ("output", Some(self.output)),
            ("reasoning", self.reasoning),
            ("audio_input", self.audio_input),
            ("audio_output", self.audio_output),
            ("request", Some(self.request)),
        ]
        .into_iter()
        .filter_map(|(name, amount)| Some((name, amount?)))
    }
}

impl Price {
    /// What `usage` costs: every token once, at the price of its own kind.
    ///
    /// Reasoning and audio are parts of input and output; a part that claims more than its whole is
    /// cut to the whole, so that no record can be charged for tokens it does not have.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Amount {
        let audio_input = usage.audio_input.min(usage.input);
        let reasoning = usage.reasoning.min(usage.output);
        let audio_output = usage.audio_output.min(usage.output - reasoning);
        [
            self.request,
            self.input.times(usage.input - audio_input),
            self.audio_input.times(audio_input),
            self.cached_input.times(usage.cached_input),
            self.cache_write.times(usage.cache_write),
            self.cache_write_1h.times(usage.cache_write_1h),
            self.output.times(usage.output - reasoning - audio_output),
            self.reasoning.times(reasoning),
            self.audio_output.times(audio_output),
        ]
        .into_iter()
        .sum()
    }

    /// The most that a call with so many prompt and output tokens can cost, whatever kinds they turn out to be.
    #[must_use]
    pub fn worst_case(&self, prompt_tokens: u64, output_tokens: u64) -> Amount {
        let input = self.input.max(self.cached_input).max(self.cache_write);
        let input = input.max(self.cache_write_1h).max(self.audio_input);
        let output = self.output.max(self.reasoning).max(self.audio_output);
        self.request.saturating_add(input.times(prompt_tokens)).saturating_add(output.times(output_tokens))
    }
}

/// Prices by model for what no mapping prices itself. Looked up as `label/native`, then `native`.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    prices: HashMap<Box<str>, Arc<Price>>,
}

impl PriceBook {
    /// Enters the price of a model; the last one entered under a name stands.
    pub fn insert(&mut self, model: &str, price: Price) {
        self.prices.insert(model.into(), Arc::new(price));
    }

    /// The price of a provider's own model id.
    #[must_use]
    pub fn find(&self, label: &str, native: &str) -> Option<Arc<Price>> {
        let specific = format!("{label}/{native}");
        self.prices.get(specific.as_str()).or_else(|| self.prices.get(native)).cloned()
    }

    /// How many models are priced.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prices.len()
    }

    /// Whether no model is priced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prices.is_empty()
    }
}

impl<S: AsRef<str>> FromIterator<(S, Price)> for PriceBook {
    fn from_iter<I: IntoIterator<Item = (S, Price)>>(prices: I) -> Self {
        let mut book = Self::default();
        for (model, price) in prices {
            book.insert(model.as_ref(), price);
        }
        book
    }
}
