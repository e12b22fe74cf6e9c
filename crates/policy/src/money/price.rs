//! Decides what one usage record costs under one price; never looks a price up by itself over a network.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::Usage;
use serde::{Deserialize, Serialize};

use super::Amount;

/// What one token of each kind costs; `image` is per picture, `request` per call. Every kind has its price here: what a
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
    /// Each picture that was made, beside the tokens that were counted for it.
    #[serde(default)]
    pub image: Amount,
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
    /// Each picture.
    pub image: Amount,
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
            image: self.image,
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
            ("image", Some(self.image)),
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
            self.image.times(usage.images),
        ]
        .into_iter()
        .sum()
    }

    /// What a token of the prompt and one of the answer can cost at most, whatever kinds they turn out to be.
    pub(crate) fn dearest_tokens(&self) -> (Amount, Amount) {
        let input = self.input.max(self.cached_input).max(self.cache_write);
        let input = input.max(self.cache_write_1h).max(self.audio_input);
        let output = self.output.max(self.reasoning).max(self.audio_output);
        (input, output)
    }
}

/// Prices by model for what no mapping prices itself: those that were overruled first. Each is looked up as
/// `label/native`, then `native`.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    overruled: HashMap<Box<str>, Arc<Price>>,
    prices: HashMap<Box<str>, Arc<Price>>,
}

impl PriceBook {
    /// Enters the price of a model; the last one entered under a name stands.
    pub fn insert(&mut self, model: &str, price: Price) {
        self.prices.insert(model.into(), Arc::new(price));
    }

    /// Puts a price above whatever was entered for that model; the last one stands.
    pub fn overrule(&mut self, model: &str, price: Price) {
        self.overruled.insert(model.into(), Arc::new(price));
    }

    /// The price of a provider's own model id.
    #[must_use]
    pub fn find(&self, label: &str, native: &str) -> Option<Arc<Price>> {
        let specific = format!("{label}/{native}");
        let find = |prices: &HashMap<Box<str>, Arc<Price>>| {
            prices.get(specific.as_str()).or_else(|| prices.get(native)).cloned()
        };
        find(&self.overruled).or_else(|| find(&self.prices))
    }

    /// Every price that was entered, under the name it was entered under; what overrules comes first.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Arc<Price>)> {
        self.overruled.iter().chain(&self.prices).map(|(name, price)| (&**name, price))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_left_out_cost_what_they_are_part_of() {
        let spec = PriceSpec { input: Amount(100), output: Amount(1000), ..PriceSpec::default() };
        let usage = Usage {
            input: 10,
            cached_input: 1,
            cache_write: 1,
            cache_write_1h: 1,
            output: 5,
            reasoning: 3,
            audio_input: 4,
            audio_output: 1,
            ..Usage::default()
        };
        assert_eq!(spec.price().cost(&usage), Amount(13 * 100 + 5 * 1000));
        let spec = PriceSpec { reasoning: Some(Amount(2000)), cached_input: Some(Amount(10)), ..spec };
        assert_eq!(spec.price().cost(&usage), Amount(12 * 100 + 10 + 2 * 1000 + 3 * 2000));
    }

    #[test]
    fn what_was_overruled_stands_above_the_book() {
        let price = |version: &str| PriceSpec { version: version.into(), ..PriceSpec::default() }.price();
        let mut book = PriceBook::from_iter([("openai/m", price("table")), ("n", price("bare"))]);
        let found =
            |book: &PriceBook, native| book.find("openai", native).map(|price| price.version.to_string());
        assert_eq!(
            (found(&book, "m").as_deref(), found(&book, "n").as_deref()),
            (Some("table"), Some("bare"))
        );
        book.overrule("m", price("own"));
        assert_eq!(found(&book, "m").as_deref(), Some("own"), "also where it names no provider");
        book.overrule("openai/m", price("own of openai"));
        assert_eq!(found(&book, "m").as_deref(), Some("own of openai"));
        assert_eq!(book.find("groq", "m").map(|price| price.version.to_string()).as_deref(), Some("own"));
    }

    #[test]
    fn a_known_bill_is_exact() {
        let million = |text: &str| Amount::per_million(text).expect("a price");
        let spec = PriceSpec {
            input: million("2.50"),
            cached_input: Some(million("1.25")),
            output: million("10"),
            ..PriceSpec::default()
        };
        let usage =
            Usage { input: 1_234, cached_input: 4_096, output: 567, reasoning: 400, ..Usage::default() };
        assert_eq!(spec.price().cost(&usage).to_string(), "0.013875");
    }

    #[test]
    fn a_part_larger_than_its_whole_is_charged_as_the_whole() {
        let spec = PriceSpec {
            output: Amount(10),
            reasoning: Some(Amount(20)),
            audio_output: Some(Amount(30)),
            ..PriceSpec::default()
        };
        let usage = Usage { output: 5, reasoning: 9, audio_output: 9, ..Usage::default() };
        assert_eq!(spec.price().cost(&usage), Amount(5 * 20));
        let most = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        let dear = PriceSpec { input: Amount(i128::MAX), output: Amount(i128::MAX), ..PriceSpec::default() };
        assert_eq!(dear.price().cost(&most), Amount(i128::MAX), "held at the edge");
    }

    fn amount() -> impl Strategy<Value = Amount> {
        (0_i128..1_000_000_000).prop_map(Amount)
    }

    fn specs() -> impl Strategy<Value = PriceSpec> {
        let kinds = proptest::collection::vec(proptest::option::of(amount()), 6);
        (amount(), amount(), amount(), amount(), kinds).prop_map(|(input, output, image, request, kinds)| {
            PriceSpec {
                version: String::new(),
                input,
                output,
                image,
                request,
                cached_input: kinds[0],
                cache_write: kinds[1],
                cache_write_1h: kinds[2],
                reasoning: kinds[3],
                audio_input: kinds[4],
                audio_output: kinds[5],
            }
        })
    }

    proptest! {
        /// The naive bill: each token on its own line, at the price of what it is, added up one by one.
        #[test]
        fn every_token_is_charged_once(spec in specs(), counts in proptest::collection::vec(0_u64..20, 9)) {
            let [text_in, audio_in, cached, write, write_1h, text_out, thought, audio_out, images] = counts[..] else {
                panic!("nine counts");
            };
            let usage = Usage {
                input: text_in + audio_in,
                cached_input: cached,
                cache_write: write,
                cache_write_1h: write_1h,
                output: text_out + thought + audio_out,
                reasoning: thought,
                audio_input: audio_in,
                audio_output: audio_out,
                images,
                ..Usage::default()
            };
            let lines = [
                (text_in, Some(spec.input)),
                (audio_in, spec.audio_input.or(Some(spec.input))),
                (cached, spec.cached_input.or(Some(spec.input))),
                (write, spec.cache_write.or(Some(spec.input))),
                (write_1h, spec.cache_write_1h.or(spec.cache_write).or(Some(spec.input))),
                (text_out, Some(spec.output)),
                (thought, spec.reasoning.or(Some(spec.output))),
                (audio_out, spec.audio_output.or(Some(spec.output))),
                (images, Some(spec.image)),
            ];
            let mut bill = spec.request.0;
            for (count, each) in lines {
                for _ in 0..count {
                    bill += each.expect("every kind has a price").0;
                }
            }
            let price = spec.price();
            prop_assert_eq!(price.cost(&usage), Amount(bill));
            let (input, output) = price.dearest_tokens();
            let tokens = [input.times(usage.input_total()), output.times(usage.output)];
            let worst = [price.request, price.image.times(images)].into_iter().chain(tokens);
            prop_assert!(worst.sum::<Amount>() >= price.cost(&usage));
        }
    }
}
