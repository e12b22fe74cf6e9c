//! What a client asks for; never which model serves it, nor how that is written.

use serde_json::Number;

use super::loss::{Loss, Place};
use super::part::{Json, Native, Part};
use super::tool::{Namespaced, Tool, ToolChoice};

/// A request for an answer.
///
/// Everything that a dialect writes beside this is in `losses` from the start; what the upstream's dialect cannot say is
/// added when it is encoded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// What was said so far, the setting-up (system, developer) included, in the client's order.
    pub turns: Vec<Turn>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it is to call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub format: Option<Format>,
    /// How much it is to think, and what is shown of that.
    pub reasoning: Option<Reasoning>,
    /// Where the client asks for pictures in the answer; nothing where it does not.
    pub pictures: Option<Place>,
    /// How the words are chosen.
    pub sampling: Sampling,
    /// `low`, `medium`, `high`: how much it is to say.
    pub verbosity: Option<String>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream is to end with a usage event that its dialect sends only on request.
    pub include_usage: bool,
    /// The end user.
    pub user: Option<String>,
    /// What the client wants kept with the request.
    pub metadata: Option<Json>,
    /// As OpenAI calls them: `auto`, `default`, `flex`, `priority`.
    pub service_tier: Option<String>,
    /// Which requests share a cached prompt. No answer is another for it, so that it is never a loss.
    pub prompt_cache_key: Option<String>,
    /// Whether the provider is to keep the answer.
    pub store: Option<bool>,
    /// The answer that this request continues.
    pub previous_response_id: Option<String>,
    /// Which of the tools the client keeps in namespaces.
    pub namespaced: Vec<Namespaced>,
    /// What the client's dialect repeats of a request in its answers, as the client wrote it.
    pub echo: Vec<(&'static str, Json)>,
    /// Whether the client parts the words of names by lines, where its dialect leaves that to it.
    pub is_snake_case: bool,
    /// Fields that only servers of the client's own dialect understand.
    pub own_fields: Vec<OwnField>,
    /// What the conversation has no word for.
    pub losses: Vec<Loss>,
}

impl Request {
    /// What is lost where pictures cannot be asked for.
    pub(crate) fn lost_pictures(&self) -> Option<Loss> {
        self.pictures.clone().map(Loss::At)
    }
}

/// A field beside the turns that one dialect alone has.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnField {
    /// Its name.
    pub name: String,
    /// What the client wrote there.
    pub value: Native,
}

/// What one side said in one go.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Who.
    pub role: Role,
    /// The speaker's name.
    pub name: Option<String>,
    /// What. Tool results are parts of a `User` turn, tool calls and thoughts of an `Assistant` turn.
    pub parts: Vec<Part>,
    /// Where the client wrote it.
    pub at: Place,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whoever runs the service.
    System,
    /// Whoever built on it; a dialect that knows no difference takes it for `System`.
    Developer,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// How the words are chosen. Numbers are kept as they were written.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the field's common names")]
pub struct Sampling {
    pub max_output_tokens: Option<u64>,
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<u64>,
    pub seed: Option<Number>,
    pub presence_penalty: Option<Number>,
    pub frequency_penalty: Option<Number>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How many answers (`n`); streams and answers of other dialects carry the first only.
    pub candidates: Option<u64>,
    /// Wanted log probabilities: how many alternatives for each token.
    pub logprobs: Option<u64>,
    pub logit_bias: Option<Json>,
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Prose.
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema's name.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: Json,
        /// The answer must follow it exactly.
        strict: Option<bool>,
    },
}

/// How much a model is to think. Each dialect says it in its own measure; what the client said is kept, and
/// [`Reasoning::effort`] and [`Reasoning::budget_tokens`] translate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// How much, in whichever measure.
    pub amount: Option<Amount>,
    /// Whether thoughts, or summaries of them, are to be in the answer: `auto`, `concise`, `detailed`, `none`.
    pub shown: Option<String>,
    /// Whether encrypted thoughts are to be in the answer, for the next turn.
    pub encrypted: bool,
}

/// A measure of thinking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// None.
    Off,
    /// As the model sees fit.
    Adaptive,
    /// `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    Effort(String),
    /// So many tokens at most.
    Tokens(u64),
}

/// What an effort is worth in tokens, least first. The middle values are those that LiteLLM made common.
const EFFORTS: &[(&str, u64)] = &[
    ("minimal", 1_024),
    ("low", 2_048),
    ("medium", 8_192),
    ("high", 24_576),
    ("xhigh", 32_768),
    ("max", 65_536),
];

impl Reasoning {
    /// The measure as an effort; none where nothing was said or it is left to the model.
    pub fn effort(&self) -> Option<&str> {
        match self.amount.as_ref()? {
            Amount::Off => Some("none"),
            Amount::Adaptive => None,
            Amount::Effort(effort) => Some(effort),
            // Only three are known to every model that thinks.
            Amount::Tokens(..=2_048) => Some("low"),
            Amount::Tokens(..=8_192) => Some("medium"),
            Amount::Tokens(_) => Some("high"),
        }
    }

    /// The measure in tokens; none where nothing was said, it is left to the model, or the effort has no known worth.
    pub fn budget_tokens(&self) -> Option<u64> {
        match self.amount.as_ref()? {
            Amount::Off => Some(0),
            Amount::Adaptive => None,
            Amount::Tokens(tokens) => Some(*tokens),
            Amount::Effort(effort) if effort == "none" => Some(0),
            Amount::Effort(effort) => {
                EFFORTS.iter().find(|(name, _)| name == effort).map(|(_, worth)| *worth)
            }
        }
    }
}
