//! What may be written of gateway keys; nothing is defaulted here.

use crate::config::bind::{Table, choice, shape};
use crate::config::leaf::{ModelName, Moment, Name, Network, OneOrMany, SecretText};
use crate::config::quantity::{Count, Size};

use super::money::Price;

const GIB: u64 = 1 << 30;

choice! {
    /// How much a request is worth waiting for.
    pub enum Class {
        /// Before all others.
        Urgent = "urgent",
        /// Before normal.
        High = "high",
        /// Most requests.
        Normal = "normal",
        /// What can wait.
        Low = "low",
    }
}

shape! {
    /// A gateway key.
    pub struct Key {
        /// What people call it.
        pub name: Name,
        /// The secret that clients present.
        pub key: SecretText,
        /// The team it belongs to.
        pub team: Option<Name>,
        /// Requests per minute.
        pub rpm: Option<Count<1, 10_000_000>>,
        /// Tokens per minute.
        pub tpm: Option<Count<1, 1_000_000_000_000>>,
        /// Requests at once.
        pub concurrency: Option<Count<1, 1_000_000>>,
        /// Models it may use; `*` stands for any run of characters. Default: all.
        pub models: Option<Vec<ModelName>>,
        /// Addresses it may be used from. Default: any.
        pub ip_allow: Option<Vec<Network>>,
        /// The best class it may ask for. Default: high.
        pub priority_max: Option<Class>,
        /// Its share of what frees up while several keys wait in one class. Default: 1.
        pub weight: Option<Count<1, 100>>,
        /// Whether what a dialect cannot carry is refused. Default: false.
        pub strict: Option<bool>,
        /// The model of a request that names none.
        pub default_model: Option<ModelName>,
        /// Other names for models, for this key alone.
        pub aliases: Option<Table<OneOrMany<ModelName>>>,
        /// What it pays, in US dollars per million tokens, for a model whose price nobody knows. Default: where a budget
        /// counts, such a model is refused.
        pub unpriced: Option<Price>,
        /// The longest body it may send.
        pub body_max: Option<Size<1024, { 4 * GIB }>>,
        /// When it stops being valid, as in `2027-01-31T00:00:00Z`.
        pub expires: Option<Moment>,
        /// Default: true.
        pub enabled: Option<bool>,
    }
}
