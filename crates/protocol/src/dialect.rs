//! Which wire format is spoken, and which folder knows it; never what any of them means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub mod agent_rpc;
pub(crate) mod answer;
mod anthropic_messages;
pub(crate) mod ask;
mod count;
mod custom;
pub(crate) mod error;
mod fields;
mod foreign;
mod gemini;
pub(crate) mod glance;
pub(crate) mod grammar;
pub(crate) mod keepalive;
pub(crate) mod mark;
mod object;
pub(crate) mod openai;
mod openai_chat;
mod openai_completions;
mod openai_embeddings;
mod openai_raw;
pub(crate) mod openai_responses;
pub(crate) mod unseal;
mod weigh;
pub(crate) mod write;

/// A wire format that clients or upstreams speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Dialect {
    /// `POST /v1/chat/completions`
    #[serde(rename = "openai_chat")]
    OpenAiChat,
    /// `POST /v1/completions`
    #[serde(rename = "openai_completions")]
    OpenAiCompletions,
    /// `POST /v1/embeddings`
    #[serde(rename = "openai_embeddings")]
    OpenAiEmbeddings,
    /// `POST /v1/responses` and what hangs below it
    #[serde(rename = "openai_responses")]
    OpenAiResponses,
    /// `POST /v1/messages` and what hangs below it
    #[serde(rename = "anthropic_messages")]
    AnthropicMessages,
    /// `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`
    #[serde(rename = "gemini")]
    Gemini,
    /// The endpoints that are only relayed: images, audio, moderations, rerank, files, batches
    #[serde(rename = "openai_raw")]
    OpenAiRaw,
    /// What local processes speak; upstream only
    #[serde(rename = "agent_rpc")]
    AgentRpc,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: &[Dialect] = &[
        Dialect::OpenAiChat,
        Dialect::OpenAiCompletions,
        Dialect::OpenAiEmbeddings,
        Dialect::OpenAiResponses,
        Dialect::AnthropicMessages,
        Dialect::Gemini,
        Dialect::OpenAiRaw,
        Dialect::AgentRpc,
    ];

    /// The name in settings, receipts and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::OpenAiChat => "openai_chat",
            Dialect::OpenAiCompletions => "openai_completions",
            Dialect::OpenAiEmbeddings => "openai_embeddings",
            Dialect::OpenAiResponses => "openai_responses",
            Dialect::AnthropicMessages => "anthropic_messages",
            Dialect::Gemini => "gemini",
            Dialect::OpenAiRaw => "openai_raw",
            Dialect::AgentRpc => "agent_rpc",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no dialect's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect `{0}`")]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Dialect::ALL
            .iter()
            .copied()
            .find(|dialect| dialect.name() == name)
            .ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}
