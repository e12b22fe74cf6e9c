//! Asks an upstream of `openai_chat` for what a conversation wants; never decides which one.

use serde::Serialize;
use serde_json::Number;

use super::turns;
use crate::conversation::loss::{Field, Loss};
use crate::conversation::part::Json;
use crate::conversation::request::{Format, Request};
use crate::conversation::tool::{Tool, ToolChoice, ToolKind};
use crate::dialect::Dialect;
use crate::dialect::object::Fields;
use crate::dialect::openai_chat::wire;
use crate::dialect::{custom, write};
use crate::translate::{Encoded, Manner, Target};

#[derive(Debug, Default, Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<wire::Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<wire::Tool<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logit_bias: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<wire::Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    /// As OpenRouter has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    modalities: Option<[&'static str; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: JsonSchema<'a> },
}

#[derive(Debug, Serialize)]
struct JsonSchema<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    schema: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// OpenAI takes no more of them.
const STOPS_MAX: usize = 4;

pub(crate) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut losses = Vec::new();
    let sampling = &request.sampling;
    let mut body = Body {
        model: target.model,
        messages: turns::encode(&request.turns, target.manner, &mut losses),
        temperature: sampling.temperature.as_ref(),
        top_p: sampling.top_p.as_ref(),
        seed: sampling.seed.as_ref(),
        presence_penalty: sampling.presence_penalty.as_ref(),
        frequency_penalty: sampling.frequency_penalty.as_ref(),
        logit_bias: sampling.logit_bias.as_ref(),
        response_format: request.format.as_ref().and_then(format),
        user: request.user.as_deref(),
        stream: request.stream.then_some(true),
        // It is metered, whether or not the client wants to read it.
        stream_options: (request.stream && !target.manner.refuses_stream_options)
            .then_some(StreamOptions { include_usage: true }),
        ..Body::default()
    };
    if target.manner.takes_max_tokens {
        body.max_tokens = sampling.max_output_tokens;
    } else {
        body.max_completion_tokens = sampling.max_output_tokens;
    }
    match target.manner.is_original() {
        true => losses.extend(request.lost_pictures()),
        false => body.modalities = request.pictures.as_ref().map(|_| ["image", "text"]),
    }
    body.stop = sampling.stop.get(..STOPS_MAX).unwrap_or(&sampling.stop);
    tools(request, target.manner, &mut body, &mut losses);
    reasoning(request, &mut body, &mut losses);
    services(request, target.manner, &mut body, &mut losses);
    losses.extend(unsaid(request).map(Loss::Field));
    Encoded { body: write::json(&body), losses }
}

/// What the dialect has no word for, or what no answer could bring back.
fn unsaid(request: &Request) -> impl Iterator<Item = Field> {
    let sampling = &request.sampling;
    let wishes = [
        (sampling.top_k.is_some(), Field::TopK),
        (sampling.candidates.is_some_and(|count| count != 1), Field::Candidates),
        (sampling.logprobs.is_some(), Field::Logprobs),
        (sampling.stop.len() > STOPS_MAX, Field::Stop),
        (request.previous_response_id.is_some(), Field::PreviousResponseId),
    ];
    wishes.into_iter().filter_map(|(is_wished, field)| is_wished.then_some(field))
}

fn format(format: &Format) -> Option<ResponseFormat<'_>> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(ResponseFormat::JsonObject),
        Format::JsonSchema { name, description, schema, strict } => {
            let name = name.as_deref().unwrap_or("answer");
            let json_schema =
                JsonSchema { name, description: description.as_deref(), schema, strict: *strict };
            Some(ResponseFormat::JsonSchema { json_schema })
        }
    }
}

/// Most models refuse an effort they do not know, so that only a wish that was one is passed on.
fn reasoning<'a>(request: &'a Request, body: &mut Body<'a>, losses: &mut Vec<Loss>) {
    let Some(reasoning) = &request.reasoning else { return };
    body.reasoning_effort = match reasoning.effort() {
        Some("none") | None => None,
        Some("max") => Some("xhigh"),
        Some(effort) => Some(effort),
    };
    let shown = reasoning.shown.as_deref().is_some_and(|shown| shown != "auto" && shown != "none");
    if reasoning.effort() == Some("none") || shown || reasoning.encrypted {
        losses.push(Loss::Field(Field::Reasoning));
    }
}

/// What OpenAI's service offers beside the model; others do not have it, and some refuse it.
fn services<'a>(request: &'a Request, manner: Manner, body: &mut Body<'a>, losses: &mut Vec<Loss>) {
    let is_openai = manner.is_original();
    let keeps = request.store == Some(true);
    if is_openai {
        body.store = keeps.then_some(true);
        body.verbosity = request.verbosity.as_deref();
        body.prompt_cache_key = request.prompt_cache_key.as_deref();
        body.service_tier = request.service_tier.as_deref();
        // Refused where nothing is kept.
        body.metadata = request.metadata.as_ref().filter(|_| keeps);
    }
    let wishes = [
        (keeps && body.store.is_none(), Field::Store),
        (request.verbosity.is_some() && body.verbosity.is_none(), Field::Verbosity),
        (request.service_tier.is_some() && body.service_tier.is_none(), Field::ServiceTier),
        (request.metadata.is_some() && body.metadata.is_none(), Field::Metadata),
    ];
    losses.extend(wishes.into_iter().filter_map(|(is_lost, field)| is_lost.then_some(Loss::Field(field))));
}

fn tools<'a>(request: &'a Request, manner: Manner, body: &mut Body<'a>, losses: &mut Vec<Loss>) {
    for tool in &request.tools {
        match self::tool(tool, manner) {
            Some(written) => body.tools.push(written),
            None => losses.push(Loss::At(tool.at.clone())),
        }
        if tool.cache.is_some() && !manner.takes_cache_control {
            losses.push(Loss::At(tool.at.field("cache_control")));
        }
        if matches!(&tool.kind, ToolKind::Custom { format: Some(_), .. }) && !manner.is_original() {
            losses.push(Loss::At(tool.at.field("format")));
        }
        losses.extend(unsaid_of_format(tool));
    }
    // Both are refused where there are no tools, and mean nothing there.
    if body.tools.is_empty() {
        if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
            losses.push(Loss::Field(Field::ToolChoice));
        }
        return;
    }
    body.parallel_tool_calls = request.parallel_tool_calls;
    let customs: &[Tool] = if manner.is_original() { &request.tools } else { &[] };
    body.tool_choice = request.tool_choice.as_ref().map(|choice| self::choice(choice, customs));
}

/// What the grammar of a custom tool has beyond what it is made of here.
fn unsaid_of_format(tool: &Tool) -> Vec<Loss> {
    let mut losses = Vec::new();
    if let ToolKind::Custom { format: Some(format), .. } = &tool.kind
        && let Ok(mut fields) = Fields::read(format.as_str(), tool.at.field("format"))
        && fields.has("definition")
    {
        fields.ignore(&["type", "syntax", "definition"]);
        fields.leave(&mut losses);
    }
    losses
}

fn tool(tool: &Tool, manner: Manner) -> Option<wire::Tool<'_>> {
    let kind = match &tool.kind {
        ToolKind::Function(function) => wire::ToolKind::Function {
            function: wire::Function {
                name: &function.name,
                description: function.description.as_deref(),
                parameters: function.parameters.as_ref().map(Json::raw),
                strict: function.strict,
            },
        },
        // Whoever is not OpenAI knows functions only.
        ToolKind::Custom { name, description, .. } if !manner.is_original() => wire::ToolKind::Function {
            function: wire::Function {
                name,
                description: description.as_deref(),
                parameters: Some(custom::schema()),
                strict: None,
            },
        },
        ToolKind::Custom { name, description, format } => {
            let format = format.as_ref().map(wire::Grammar::of);
            wire::ToolKind::Custom {
                custom: wire::Custom { name, description: description.as_deref(), format },
            }
        }
        ToolKind::Builtin(native) if native.dialect == Dialect::OpenAiChat => {
            return Some(wire::Tool::Native(&native.json));
        }
        ToolKind::Builtin(_) => return None,
    };
    let mark = tool.cache.filter(|_| manner.takes_cache_control);
    Some(wire::Tool::Offered { kind, cache_control: mark.map(wire::CacheControl::of) })
}

fn choice<'a>(choice: &'a ToolChoice, tools: &[Tool]) -> wire::Choice<'a> {
    let named = |name: &'a str| {
        let is_custom = |tool: &Tool| matches!(&tool.kind, ToolKind::Custom { name: own, .. } if own == name);
        if tools.iter().any(is_custom) { wire::Named::custom(name) } else { wire::Named::function(name) }
    };
    match choice {
        ToolChoice::Auto => wire::Choice::Mode("auto"),
        ToolChoice::None => wire::Choice::Mode("none"),
        ToolChoice::Required => wire::Choice::Mode("required"),
        ToolChoice::Named(name) => wire::Choice::Named(named(name)),
        ToolChoice::Among { names, required } => {
            let mode = if *required { "required" } else { "auto" };
            wire::Choice::among(mode, names.iter().map(|name| named(name)).collect())
        }
    }
}
