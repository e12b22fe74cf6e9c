//! Writes a request for a server of messages; never which losses are allowed.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::generation::Generation;
use super::thinking::{Around, Choosing, Thinking, choosing, thought};
use super::turns::{Message, said};
use crate::conversation::loss::{Field, Loss};
use crate::conversation::part::Json;
use crate::conversation::request::{Format, Request};
use crate::conversation::tool::{Function, Tool, ToolChoice, ToolKind};
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::wire::{CacheControl, Item};
use crate::dialect::custom;
use crate::dialect::object::Fields;
use crate::dialect::write::json;
use crate::translate::{Encoded, Target};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Item<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    output_config: OutputConfig<'a>,
    #[serde(flatten)]
    choosing: Choosing<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat<'a>>,
}

impl OutputConfig<'_> {
    fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none()
    }
}

#[derive(Serialize)]
struct OutputFormat<'a> {
    r#type: &'static str,
    schema: &'a RawValue,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireTool<'a> {
    Function {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Cow<'a, str>>,
        input_schema: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Native(&'a RawValue),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Choice<'a> {
    Auto {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    Any {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    Tool {
        name: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    None,
}

/// Writes a request.
pub(crate) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut losses: Vec<Loss> = request.lost_pictures().into_iter().collect();
    let generation = Generation::of(target.model);
    let said = said(&request.turns, &mut losses);
    let tools = tools(request, &mut losses);
    let tool_choice = tool_choice(request, &tools, &mut losses);
    let max_tokens = request.sampling.max_output_tokens.unwrap_or(target.max_output_tokens);
    let around = Around {
        generation,
        max_tokens,
        is_forced: matches!(tool_choice, Some(Choice::Any { .. } | Choice::Tool { .. })),
        in_unthought_loop: said.in_unthought_loop(),
    };
    let thought = thought(request.reasoning.as_ref(), around, &mut losses);
    let choosing = choosing(&request.sampling, generation, &thought, &mut losses);
    let body = Body {
        model: target.model,
        max_tokens,
        system: said.system,
        messages: said.messages,
        tools,
        tool_choice,
        thinking: thought.thinking,
        output_config: OutputConfig { effort: thought.effort, format: format(request, &mut losses) },
        choosing,
        stop_sequences: stop_sequences(request, &mut losses),
        metadata: request.user.as_deref().map(|user_id| Metadata { user_id }),
        service_tier: service_tier(request, &mut losses),
        stream: request.stream,
    };
    unsaid(request, &mut losses);
    Encoded { body: json(&body), losses }
}

fn tools<'a>(request: &'a Request, losses: &mut Vec<Loss>) -> Vec<WireTool<'a>> {
    let offered = |tool: &&Tool| match (&request.tool_choice, name(tool)) {
        // There is no choice among some tools; offering those alone is the same.
        (Some(ToolChoice::Among { names, .. }), Some(name)) => names.iter().any(|known| known == name),
        (Some(ToolChoice::Among { .. }), None) => false,
        (
            Some(ToolChoice::Auto | ToolChoice::None | ToolChoice::Required | ToolChoice::Named(_)) | None,
            _,
        ) => true,
    };
    request.tools.iter().filter(offered).filter_map(|offer| tool(offer, losses)).collect()
}

fn name(tool: &Tool) -> Option<&str> {
    match &tool.kind {
        ToolKind::Function(function) => Some(&function.name),
        ToolKind::Custom { name, .. } => Some(name),
        ToolKind::Builtin(_) => None,
    }
}

fn tool<'a>(tool: &'a Tool, losses: &mut Vec<Loss>) -> Option<WireTool<'a>> {
    let cache_control = tool.cache.map(CacheControl::of);
    match &tool.kind {
        ToolKind::Function(function) => Some(WireTool::Function {
            name: &function.name,
            description: function.description.as_deref().map(Cow::Borrowed),
            input_schema: input_schema(function),
            strict: function.strict.filter(|strict| *strict),
            cache_control,
        }),
        ToolKind::Custom { name, description, format } => {
            losses.extend(format.is_some().then(|| Loss::At(tool.at.field("format"))));
            Some(WireTool::Function {
                name,
                description: description.as_deref().map(Cow::Borrowed),
                input_schema: Cow::Borrowed(custom::schema()),
                strict: None,
                cache_control,
            })
        }
        ToolKind::Builtin(native) if native.dialect == Dialect::AnthropicMessages => {
            Some(WireTool::Native(native.json.raw()))
        }
        ToolKind::Builtin(_) => {
            losses.push(Loss::At(tool.at.clone()));
            None
        }
    }
}

/// A schema must say that it is one of an object, which other dialects take for granted.
fn input_schema(function: &Function) -> Cow<'_, RawValue> {
    let Some(schema) = function.parameters.as_ref().map(Json::raw) else {
        return Cow::Owned(raw(r#"{"type":"object","properties":{}}"#.to_owned()));
    };
    let inner = schema.get().trim().strip_prefix('{').unwrap_or("}").trim_start();
    let has_type = Fields::body(schema.get()).is_ok_and(|mut fields| fields.take("type").is_some());
    match (has_type, inner) {
        (true, _) => Cow::Borrowed(schema),
        (false, "}") => Cow::Owned(raw(r#"{"type":"object","properties":{}}"#.to_owned())),
        (false, inner) => Cow::Owned(raw(format!(r#"{{"type":"object",{inner}"#))),
    }
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn tool_choice<'a>(
    request: &'a Request,
    tools: &[WireTool<'_>],
    losses: &mut Vec<Loss>,
) -> Option<Choice<'a>> {
    let disable_parallel_tool_use = request.parallel_tool_calls == Some(false);
    let choice = match request.tool_choice.as_ref() {
        Some(ToolChoice::None) => Choice::None,
        Some(ToolChoice::Required | ToolChoice::Among { required: true, .. }) => {
            Choice::Any { disable_parallel_tool_use }
        }
        Some(ToolChoice::Named(name)) => Choice::Tool { name, disable_parallel_tool_use },
        Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => {
            Choice::Auto { disable_parallel_tool_use }
        }
        None if disable_parallel_tool_use => Choice::Auto { disable_parallel_tool_use },
        None => return None,
    };
    if !tools.is_empty() {
        return Some(choice);
    }
    // Without tools there is nothing to choose, and the service refuses to hear of it.
    let demands = matches!(choice, Choice::Any { .. } | Choice::Tool { .. });
    losses.extend(demands.then_some(Loss::Field(Field::ToolChoice)));
    None
}

fn format<'a>(request: &'a Request, losses: &mut Vec<Loss>) -> Option<OutputFormat<'a>> {
    match &request.format {
        Some(Format::JsonSchema { schema, .. }) => {
            Some(OutputFormat { r#type: "json_schema", schema: schema.raw() })
        }
        Some(Format::JsonObject) => {
            losses.push(Loss::Field(Field::Format));
            None
        }
        Some(Format::Text) | None => None,
    }
}

/// Texts of white space only are refused.
fn stop_sequences<'a>(request: &'a Request, losses: &mut Vec<Loss>) -> Vec<&'a str> {
    let given = &request.sampling.stop;
    let accepted: Vec<&str> =
        given.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
    losses.extend((accepted.len() < given.len()).then_some(Loss::Field(Field::Stop)));
    accepted
}

fn service_tier(request: &Request, losses: &mut Vec<Loss>) -> Option<&'static str> {
    match request.service_tier.as_deref()? {
        "auto" => Some("auto"),
        "default" => Some("standard_only"),
        _ => {
            losses.push(Loss::Field(Field::ServiceTier));
            None
        }
    }
}

/// The wishes that have no word here. Those that ask for what is so anyway are granted.
fn unsaid(request: &Request, losses: &mut Vec<Loss>) {
    let sampling = &request.sampling;
    let counts = |number: &Option<serde_json::Number>| {
        number.as_ref().is_some_and(|number| number.as_f64() != Some(0.0))
    };
    let wishes = [
        (Field::Seed, sampling.seed.is_some()),
        (Field::PresencePenalty, counts(&sampling.presence_penalty)),
        (Field::FrequencyPenalty, counts(&sampling.frequency_penalty)),
        (Field::Candidates, sampling.candidates.is_some_and(|count| count != 1)),
        (Field::Logprobs, sampling.logprobs.is_some()),
        (Field::LogitBias, sampling.logit_bias.is_some()),
        (Field::Verbosity, request.verbosity.is_some()),
        (Field::Metadata, request.metadata.is_some()),
        (Field::Store, request.store == Some(true)),
        (Field::PreviousResponseId, request.previous_response_id.is_some()),
    ];
    losses.extend(wishes.into_iter().filter(|(_, is_given)| *is_given).map(|(field, _)| Loss::Field(field)));
}
