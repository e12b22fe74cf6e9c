//! Writes the response object, whole or as far as it has come; never one of its items.

use serde::Serialize;

use super::usage::WireUsage;
use super::wire::{Item, Status};
use crate::conversation::answer::AnswerPlan;
use crate::conversation::part::Json;
use crate::conversation::usage::Usage;
use crate::dialect::error::WireError;

/// A response object with every field that clients look for.
#[derive(Debug, Serialize)]
pub(crate) struct Response<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: Status,
    background: bool,
    error: Option<Fault<'a>>,
    incomplete_details: Option<Incomplete>,
    instructions: Option<&'a Json>,
    max_output_tokens: Option<&'a Json>,
    model: &'a str,
    output: &'a [Item<'a>],
    parallel_tool_calls: Given<'a, bool>,
    previous_response_id: Option<&'a Json>,
    prompt_cache_key: Option<&'a Json>,
    reasoning: Given<'a, NoReasoning>,
    safety_identifier: Option<&'a Json>,
    service_tier: Option<&'a str>,
    store: bool,
    temperature: Option<&'a Json>,
    text: Given<'a, PlainText>,
    tool_choice: Given<'a, &'static str>,
    tools: Given<'a, [(); 0]>,
    top_logprobs: u64,
    top_p: Option<&'a Json>,
    truncation: &'static str,
    usage: Option<WireUsage>,
    user: Option<&'a Json>,
    metadata: Given<'a, Nothing>,
}

/// What the client gave, or what that stands for where it gave nothing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Given<'a, T> {
    This(&'a Json),
    Usual(T),
}

#[derive(Debug, Serialize)]
struct NoReasoning {
    effort: Option<()>,
    summary: Option<()>,
}

#[derive(Debug, Serialize)]
struct PlainText {
    format: PlainFormat,
}

#[derive(Debug, Serialize)]
struct PlainFormat {
    r#type: &'static str,
}

#[derive(Debug, Serialize)]
struct Nothing {}

#[derive(Debug, Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Fault<'a> {
    code: &'static str,
    message: &'a str,
}

/// How far a response has come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standing<'a> {
    Begun,
    Ended { status: Status, reason: Option<&'static str> },
    Failed(&'a WireError<'a>),
}

impl<'a> Response<'a> {
    /// A response with the items it has so far.
    pub(crate) fn new(
        plan: &'a AnswerPlan,
        id: &'a str,
        standing: Standing<'a>,
        output: &'a [Item<'a>],
    ) -> Self {
        let echo = |name| plan.request.echo.iter().find(|(known, _)| *known == name).map(|(_, given)| given);
        let (status, reason, error) = match standing {
            Standing::Begun => (Status::InProgress, None, None),
            Standing::Ended { status, reason } => (status, reason, None),
            Standing::Failed(error) => {
                (Status::Failed, None, Some(Fault { code: code(error.status), message: error.message }))
            }
        };
        Response {
            id,
            object: "response",
            created_at: plan.created,
            status,
            background: false,
            error,
            incomplete_details: reason.map(|reason| Incomplete { reason }),
            instructions: echo("instructions"),
            max_output_tokens: echo("max_output_tokens"),
            model: &plan.model,
            output,
            parallel_tool_calls: given(echo("parallel_tool_calls"), true),
            previous_response_id: echo("previous_response_id"),
            prompt_cache_key: echo("prompt_cache_key"),
            reasoning: given(echo("reasoning"), NoReasoning { effort: None, summary: None }),
            safety_identifier: echo("safety_identifier"),
            service_tier: None,
            store: plan.request.store.unwrap_or(true),
            temperature: echo("temperature"),
            text: given(echo("text"), PlainText { format: PlainFormat { r#type: "text" } }),
            tool_choice: given(echo("tool_choice"), "auto"),
            tools: given(echo("tools"), []),
            top_logprobs: 0,
            top_p: echo("top_p"),
            truncation: "disabled",
            usage: None,
            user: echo("user"),
            metadata: given(echo("metadata"), Nothing {}),
        }
    }

    /// With what it used.
    pub(crate) fn with_usage(self, usage: Option<&Usage>) -> Self {
        Response { usage: usage.map(WireUsage::of), ..self }
    }

    /// With the tier it was served in.
    pub(crate) fn with_tier(self, tier: Option<&'a str>) -> Self {
        Response { service_tier: tier, ..self }
    }
}

fn given<T>(given: Option<&Json>, usual: T) -> Given<'_, T> {
    given.map_or(Given::Usual(usual), Given::This)
}

/// The code that clients of this dialect know for an error of a status.
pub(crate) fn code(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_exceeded",
        400 | 404 | 413 | 422 => "invalid_prompt",
        _ => "server_error",
    }
}

/// The ids of a response and of its items, all made of one.
///
/// An item's id tells which response it belongs to: clients refer to items by it.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    response: String,
}

impl Ids {
    pub(crate) fn of(plan: &AnswerPlan) -> Self {
        Ids { response: format!("resp_{}", plan.id) }
    }

    /// The response's.
    pub(crate) fn response(&self) -> &str {
        &self.response
    }

    /// That of the item with this number in the output.
    pub(crate) fn item(&self, kind: &str, number: usize) -> String {
        let id = self.response.strip_prefix("resp_").unwrap_or(&self.response);
        format!("{kind}_{id}_{number}")
    }
}
