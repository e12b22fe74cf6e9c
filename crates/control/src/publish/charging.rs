//! Decides which prices a snapshot may charge, so that each is remembered before it is charged; never what anything costs.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use policy::{Draft, Price, PriceSpec};
use store::ledger::NamedPrice;

use crate::prices::TABLE_VERSION;

/// What is remembered already, by its content: thousands of prices, eight bytes each.
#[derive(Debug, Default)]
pub(super) struct Remembered(HashSet<u64>);

impl Remembered {
    /// Those that are not remembered yet.
    pub(super) fn news(&self, prices: Vec<NamedPrice>) -> Vec<NamedPrice> {
        prices.into_iter().filter(|named| !self.0.contains(&content(named))).collect()
    }

    pub(super) fn add(&mut self, prices: &[NamedPrice]) {
        self.0.extend(prices.iter().map(content));
    }
}

fn content(NamedPrice { name, price }: &NamedPrice) -> u64 {
    let Price { version, .. } = &**price;
    let amounts = [
        price.input,
        price.cached_input,
        price.cache_write,
        price.cache_write_1h,
        price.output,
        price.reasoning,
        price.audio_input,
        price.audio_output,
        price.image,
        price.request,
    ];
    let mut hasher = DefaultHasher::new();
    (name, version, amounts.map(|amount| amount.0)).hash(&mut hasher);
    hasher.finish()
}

/// Every price of a draft: of the built-in table, of those above it, of mappings and of keys.
pub(super) fn prices(draft: &Draft) -> Vec<NamedPrice> {
    let of_book = draft.prices.entries().map(|(name, price)| {
        let of_table = &*price.version == TABLE_VERSION;
        NamedPrice { name: if of_table { name.to_owned() } else { String::new() }, price: Arc::clone(price) }
    });
    let mapped = draft.backends.iter().flat_map(|backend| backend.models.iter().flatten());
    let mapped = mapped.filter_map(|(_, model)| model.price.as_ref());
    let ceilings = draft.keys.iter().filter_map(|key| key.ceiling.as_ref());
    let whole = |spec: &PriceSpec| NamedPrice { name: String::new(), price: Arc::new(spec.price()) };
    of_book.chain(mapped.chain(ceilings).map(whole)).collect()
}
