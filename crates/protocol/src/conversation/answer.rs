//! What a model answers, whole; never how it is written.

use std::sync::Arc;

use super::part::Part;
use super::request::Request;
use super::usage::Usage;

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The provider's id.
    pub id: String,
    /// The provider's name of the model.
    pub model: String,
    /// Text, calls, thoughts, refusals, in order.
    pub parts: Vec<Part>,
    /// Why it ends.
    pub finish: Finish,
    /// What it used.
    pub usage: Option<Usage>,
    /// The tier it was served in, as OpenAI calls it: `default`, `flex`, `priority`.
    pub service_tier: Option<String>,
}

/// Why an answer ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Finish {
    /// It is finished.
    #[default]
    Stop,
    /// It has come to this text, which was to end it.
    StopSequence(String),
    /// It may not be longer.
    Length,
    /// It calls tools.
    ToolCalls,
    /// The provider held it back.
    ContentFilter,
    /// The model will not answer.
    Refusal,
    /// The provider paused a long turn; it goes on when it is sent back (`pause_turn`).
    Paused,
}

/// What the writing of an answer depends on besides the answer.
#[derive(Debug, Clone)]
pub struct AnswerPlan {
    /// The model name that the client is to read.
    pub model: Arc<str>,
    /// What ids are made of where the provider gave none: something that no other answer's are.
    pub id: Arc<str>,
    /// Now, in seconds since 1970.
    pub created: u64,
    /// What was asked for: dialects repeat parts of it in the answer.
    pub request: Arc<Request>,
}
