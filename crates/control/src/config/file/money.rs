//! What may be written of prices and budgets; nothing is defaulted here.

use crate::config::bind::{List, choice, shape};
use crate::config::leaf::{Dollars, ModelName, Moment, Name, PerMillion, SecretText};

shape! {
    /// What a model costs, in US dollars per million tokens. A kind left out costs what the kind costs that it is part of.
    pub struct Price {
        /// Uncached input.
        pub input: PerMillion,
        /// Input read from the provider's cache.
        pub cached_input: Option<PerMillion>,
        /// Input written to the provider's cache.
        pub cache_write: Option<PerMillion>,
        /// Input written to the provider's cache for an hour.
        pub cache_write_1h: Option<PerMillion>,
        /// Output.
        pub output: PerMillion,
        /// The part of the output that was reasoning.
        pub reasoning: Option<PerMillion>,
        /// The part of the input that was audio.
        pub audio_input: Option<PerMillion>,
        /// The part of the output that was audio.
        pub audio_output: Option<PerMillion>,
        /// Each picture that was made, in US dollars, beside the tokens that are counted for it.
        pub image: Option<Dollars>,
        /// Each call, in US dollars.
        pub request: Option<Dollars>,
    }
}

choice! {
    /// How often a budget starts anew.
    pub enum Period {
        /// Each hour.
        Hour = "hour",
        /// Each day.
        Day = "day",
        /// Each week.
        Week = "week",
        /// Each month.
        Month = "month",
        /// Never.
        Total = "total",
    }
}

shape! {
    /// What may be spent.
    pub struct Budget {
        /// Of one key.
        pub key: Option<Name>,
        /// Of one team.
        pub team: Option<Name>,
        /// In US dollars.
        pub amount: Dollars,
        /// Default: total.
        pub per: Option<Period>,
    }
}

shape! {
    /// Who is told when a share of a budget is spent.
    pub struct Alerts {
        /// Where each alert is posted, as JSON. Kept like a secret: such addresses often hold one.
        pub webhook: Option<SecretText>,
        /// What alerts are signed with (`x-lockgate-signature`).
        pub secret: Option<SecretText>,
        /// Allows addresses that reach the host's own cloud metadata. Default: false.
        pub allow_link_local: Option<bool>,
    }
}

shape! {
    /// What models cost, in a file of its own or through the API.
    pub struct Prices {
        /// Of several of one model the newest that has begun holds.
        pub prices: List<ModelPrice>,
    }
}

shape! {
    /// What a model costs from some time on.
    pub struct ModelPrice {
        /// The provider's own name of it, alone or behind the provider's: `gpt-4o`, `openai/gpt-4o`.
        pub model: ModelName,
        /// From when on, as in `2027-01-31T00:00:00Z`. Default: from the beginning.
        pub since: Option<Moment>,
        /// What it costs.
        pub price: Price,
    }
}
