//! What may be written of gateway keys and teams; nothing is defaulted here.

use std::borrow::Cow;

use policy::{TAG_BYTES_MAX, TAGS_MAX};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::config::bind::{Bind, Binder, Table, choice, shape};
use crate::config::leaf::{ModelName, Moment, Name, Network, OneOrMany, SecretText, Text};
use crate::config::quantity::{Count, Size};
use crate::config::tree::Node;

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

choice! {
    /// What a request is for.
    pub enum EndpointName {
        /// `/chat/completions`.
        Chat = "chat",
        /// `/completions`.
        Completions = "completions",
        /// `/embeddings`, also Gemini's.
        Embeddings = "embeddings",
        /// `/responses`.
        Responses = "responses",
        /// `/messages`.
        Messages = "messages",
        /// `/models/{model}:generateContent` and its like.
        Gemini = "gemini",
        /// `/images`.
        Images = "images",
        /// `/audio`.
        Audio = "audio",
        /// `/moderations`.
        Moderations = "moderations",
        /// `/rerank`.
        Rerank = "rerank",
        /// `/files` and `/uploads`.
        Files = "files",
        /// `/batches`.
        Batches = "batches",
    }
}

/// Tags that every receipt of a key or a team bears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata(pub Table<Text>);

impl Bind for Metadata {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let table = Table::<Text>::bind(node, binder)?;
        if table.0.len() > TAGS_MAX {
            return binder.refuse(node, format!("has more than {TAGS_MAX} entries"), None);
        }
        let is_short = |text: &str| text.len() <= TAG_BYTES_MAX;
        if !table.0.iter().all(|(name, value)| is_short(name) && is_short(&value.0)) {
            return binder.refuse(node, format!("names and values have at most {TAG_BYTES_MAX} bytes"), None);
        }
        Some(Self(table))
    }
}

impl JsonSchema for Metadata {
    fn schema_name() -> Cow<'static, str> {
        "Metadata".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "maxProperties": TAGS_MAX,
            "propertyNames": {"maxLength": TAG_BYTES_MAX},
            "additionalProperties": {"type": "string", "minLength": 1, "maxLength": TAG_BYTES_MAX}
        })
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
        /// What it may ask for: chat, completions, embeddings, responses, messages, gemini, images, audio, moderations, rerank,
        /// files, batches. Default: all.
        pub endpoints: Option<Vec<EndpointName>>,
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
        /// Tags that each of its receipts bears, whatever tags the request brings.
        pub metadata: Option<Metadata>,
        /// What people should remember of it.
        pub note: Option<Text>,
        /// When it stops being valid, as in `2027-01-31T00:00:00Z`.
        pub expires: Option<Moment>,
        /// Default: true.
        pub enabled: Option<bool>,
    }
}

shape! {
    /// Keys that share ceilings, and what narrows each of them: of what key and team demand, the tighter holds.
    pub struct Team {
        /// What people call it.
        pub name: Name,
        /// Requests per minute, of all its keys together.
        pub rpm: Option<Count<1, 10_000_000>>,
        /// Tokens per minute, of all its keys together.
        pub tpm: Option<Count<1, 1_000_000_000_000>>,
        /// Requests at once, of all its keys together.
        pub concurrency: Option<Count<1, 1_000_000>>,
        /// Models its keys may use; `*` stands for any run of characters. Default: all.
        pub models: Option<Vec<ModelName>>,
        /// What its keys may ask for, as `endpoints` of a key. Default: all.
        pub endpoints: Option<Vec<EndpointName>>,
        /// Addresses its keys may be used from. Default: any.
        pub ip_allow: Option<Vec<Network>>,
        /// The best class its keys may ask for. Default: theirs.
        pub priority_max: Option<Class>,
        /// Whether what a dialect cannot carry is refused for all its keys. Default: false.
        pub strict: Option<bool>,
        /// The model of a request that names none, where its key has none either.
        pub default_model: Option<ModelName>,
        /// Other names for models, where its key does not give that name itself.
        pub aliases: Option<Table<OneOrMany<ModelName>>>,
        /// The longest body its keys may send.
        pub body_max: Option<Size<1024, { 4 * GIB }>>,
        /// Tags that each receipt of its keys bears, where they do not say otherwise.
        pub metadata: Option<Metadata>,
        /// What people should remember of it.
        pub note: Option<Text>,
    }
}
