//! Reads what a chat request asks for; never whether anybody can serve it.

use super::messages;
use crate::conversation::loss::{Aspect, Field as Wish, Loss};
use crate::conversation::part::{Cache, Json, Native};
use crate::conversation::request::{Amount, Format, Reasoning, Request};
use crate::conversation::tool::{Function, Tool, ToolChoice, ToolKind};
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{Field, Fields};
use crate::json::Kind;

pub(crate) fn decode(text: &str) -> Result<Request, DecodeError> {
    let mut fields = Fields::body(text)?;
    let mut request = Request::default();
    fields.take("model");
    let list = fields.take("messages").ok_or(DecodeError::Missing { param: "messages" })?.list()?;
    if list.is_empty() {
        return Err(DecodeError::EmptyMessages);
    }
    request.turns = messages::decode(list, &mut request.losses)?;
    tools(&mut fields, &mut request)?;
    sampling(&mut fields, &mut request)?;
    format(&mut fields, &mut request)?;
    request.reasoning = reasoning(&mut fields, &mut request.losses)?;
    stream(&mut fields, &mut request)?;
    request.verbosity = fields.string("verbosity")?;
    request.user = fields.string("user")?;
    // The newer name of the two; who gives both means the same person.
    let identifier = fields.string("safety_identifier")?;
    request.user = request.user.or(identifier);
    request.metadata = fields.json("metadata")?;
    request.service_tier = fields.string("service_tier")?;
    request.prompt_cache_key = fields.string("prompt_cache_key")?;
    request.store = fields.flag("store")?;
    modalities(&mut fields, &mut request)?;
    fields.leave(&mut request.losses);
    Ok(request)
}

/// Text is what everybody answers, and some have pictures; other modalities have no word elsewhere.
fn modalities(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    for field in fields.list("modalities")? {
        match field.text {
            "\"text\"" => {}
            "\"image\"" => request.pictures = Some(field.at),
            _ => request.losses.push(field.lost()),
        }
    }
    Ok(())
}

/// Where in a part or a call a chat client writes an aspect of it.
pub(crate) fn aspect_path(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Detail => "image_url.detail",
        Aspect::Title => "file.filename",
        Aspect::Arguments => "function.arguments",
        Aspect::Seal => "extra_content.google.thought_signature",
    }
}

/// Where a chat client writes a wish.
pub(crate) fn field_path(wish: Wish) -> &'static str {
    match wish {
        Wish::MaxOutputTokens => "max_completion_tokens",
        Wish::Temperature => "temperature",
        Wish::TopP => "top_p",
        Wish::TopK => "top_k",
        Wish::Seed => "seed",
        Wish::PresencePenalty => "presence_penalty",
        Wish::FrequencyPenalty => "frequency_penalty",
        Wish::Stop => "stop",
        Wish::Candidates => "n",
        Wish::Logprobs => "logprobs",
        Wish::LogitBias => "logit_bias",
        Wish::ToolChoice => "tool_choice",
        Wish::ParallelToolCalls => "parallel_tool_calls",
        Wish::Format => "response_format",
        Wish::Reasoning => "reasoning_effort",
        Wish::Verbosity => "verbosity",
        Wish::Metadata => "metadata",
        Wish::ServiceTier => "service_tier",
        Wish::Store => "store",
        Wish::PreviousResponseId => "previous_response_id",
        Wish::User => "user",
    }
}

fn sampling(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    let sampling = &mut request.sampling;
    let older = fields.count("max_tokens")?;
    sampling.max_output_tokens = fields.count("max_completion_tokens")?.or(older);
    sampling.temperature = fields.number("temperature")?;
    sampling.top_p = fields.number("top_p")?;
    // No field of OpenAI's, but every other server has it.
    sampling.top_k = fields.take("top_k").and_then(|field| match field.count() {
        Ok(count) => Some(count),
        // Some clients write -1 where they want none.
        Err(_) => {
            request.losses.push(field.lost());
            None
        }
    });
    sampling.seed = fields.number("seed")?;
    sampling.presence_penalty = fields.number("presence_penalty")?;
    sampling.frequency_penalty = fields.number("frequency_penalty")?;
    sampling.candidates = fields.count("n")?;
    sampling.logit_bias = fields.json("logit_bias")?.filter(|bias| bias.as_str() != "{}");
    let wants_logprobs = fields.flag("logprobs")?.unwrap_or(false);
    let alternatives = fields.count("top_logprobs")?;
    sampling.logprobs = wants_logprobs.then(|| alternatives.unwrap_or(0));
    sampling.stop = match fields.take("stop") {
        Some(field) if field.kind() == Kind::String => vec![field.string()?],
        Some(field) if field.kind() == Kind::Array => {
            field.list()?.iter().map(Field::string).collect::<Result<_, _>>()?
        }
        Some(field) => return Err(field.wrong("a string or a list of strings")),
        None => Vec::new(),
    };
    Ok(())
}

fn stream(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    request.stream = fields.flag("stream")?.unwrap_or(false);
    if let Some(mut options) = fields.object("stream_options")? {
        request.include_usage = options.flag("include_usage")?.unwrap_or(false);
        // What is written to the client is not padded, so that there is nothing to turn off.
        if options.flag("include_obfuscation")? == Some(true) {
            request.losses.push(Loss::At(options.at("include_obfuscation")));
        }
        options.leave(&mut request.losses);
    }
    Ok(())
}

fn format(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    let Some(field) = fields.take("response_format") else { return Ok(()) };
    let lost = field.clone().lost();
    let mut fields = field.object()?;
    request.format = match fields.string("type")?.as_deref() {
        Some("text") => Some(Format::Text),
        Some("json_object") => Some(Format::JsonObject),
        Some("json_schema") => {
            let place = fields.at("json_schema");
            let Some(mut inner) = fields.object("json_schema")? else {
                return Err(wrong(&place, "an object"));
            };
            let schema = inner.json("schema")?.unwrap_or_else(any_object);
            let format = Format::JsonSchema {
                name: inner.string("name")?,
                description: inner.string("description")?,
                schema,
                strict: inner.flag("strict")?,
            };
            inner.leave(&mut request.losses);
            Some(format)
        }
        Some(_) | None => {
            request.losses.push(lost);
            return Ok(());
        }
    };
    fields.leave(&mut request.losses);
    Ok(())
}

/// A schema that is not given allows any object.
fn any_object() -> Json {
    Json::read(r#"{"type":"object"}"#).expect("it is an object")
}

/// How much to think, by OpenAI's name, OpenRouter's (`reasoning`), or the one of Anthropic that several servers took
/// over (`thinking`).
fn reasoning(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Option<Reasoning>, DecodeError> {
    let mut reasoning = Reasoning::default();
    if let Some(mut thinking) = fields.object("thinking")? {
        let budget = thinking.count("budget_tokens")?;
        reasoning.amount = match (thinking.string("type")?.as_deref(), budget) {
            (Some("disabled"), _) => Some(Amount::Off),
            (_, Some(tokens)) => Some(Amount::Tokens(tokens)),
            (_, None) => Some(Amount::Adaptive),
        };
        thinking.leave(losses);
    }
    if let Some(mut inner) = fields.object("reasoning")? {
        let enabled = inner.flag("enabled")?.map(|is_on| if is_on { Amount::Adaptive } else { Amount::Off });
        let effort = inner.string("effort")?.map(effort);
        let tokens = inner.count("max_tokens")?.map(Amount::Tokens);
        reasoning.amount = tokens.or(effort).or(enabled).or(reasoning.amount);
        if inner.flag("exclude")? == Some(true) {
            reasoning.shown = Some("none".to_owned());
        }
        inner.leave(losses);
    }
    reasoning.amount = fields.string("reasoning_effort")?.map(effort).or(reasoning.amount);
    Ok((reasoning != Reasoning::default()).then_some(reasoning))
}

fn effort(name: String) -> Amount {
    Amount::Effort(name)
}

fn tools(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    for field in fields.list("tools")? {
        request.tools.push(tool(field, &mut request.losses)?);
    }
    for field in fields.list("functions")? {
        let at = field.at.clone();
        let (function, cache) = function(field.object()?, &mut request.losses)?;
        request.tools.push(Tool { kind: ToolKind::Function(function), cache, at });
    }
    if let Some(field) = fields.take("function_call") {
        request.tool_choice = choice(field, &mut request.losses)?;
    }
    if let Some(field) = fields.take("tool_choice") {
        request.tool_choice = choice(field, &mut request.losses)?;
    }
    request.parallel_tool_calls = fields.flag("parallel_tool_calls")?;
    Ok(())
}

fn tool(field: Field<'_>, losses: &mut Vec<Loss>) -> Result<Tool, DecodeError> {
    let at = field.at.clone();
    let json = field.json()?;
    let mut fields = field.object()?;
    let mut cache = cache(&mut fields, losses)?;
    let kind = fields.string("type")?;
    let kind = match kind.as_deref() {
        Some("function") | None => {
            let place = fields.at("function");
            let inner = fields.object("function")?.ok_or_else(|| wrong(&place, "an object"))?;
            let (function, marked) = function(inner, losses)?;
            cache = cache.or(marked);
            ToolKind::Function(function)
        }
        Some("custom") => {
            let place = fields.at("custom");
            let mut inner = fields.object("custom")?.ok_or_else(|| wrong(&place, "an object"))?;
            let kind = ToolKind::Custom {
                name: name(&mut inner)?,
                description: inner.string("description")?,
                format: inner.take("format").map(|field| grammar(field, losses)).transpose()?.flatten(),
            };
            inner.leave(losses);
            kind
        }
        Some(_) => {
            let native = Native { dialect: Dialect::OpenAiChat, json };
            return Ok(Tool { kind: ToolKind::Builtin(native), cache, at });
        }
    };
    fields.leave(losses);
    Ok(Tool { kind, cache, at })
}

/// The grammar of a custom tool as `openai_responses` writes it, in one object and not in two.
fn grammar(field: Field<'_>, losses: &mut Vec<Loss>) -> Result<Option<Json>, DecodeError> {
    let whole = field.json()?;
    let mut fields = field.object()?;
    let Some(mut inner) = fields.object("grammar")? else { return Ok(Some(whole)) };
    let flat = serde_json::json!({
        "type": "grammar",
        "syntax": inner.string("syntax")?,
        "definition": inner.string("definition")?,
    });
    inner.leave(losses);
    fields.ignore(&["type"]);
    fields.leave(losses);
    Ok(serde_json::to_string(&flat).ok().and_then(|flat| Json::read(&flat)))
}

fn function(
    mut fields: Fields<'_>,
    losses: &mut Vec<Loss>,
) -> Result<(Function, Option<Cache>), DecodeError> {
    let function = Function {
        name: name(&mut fields)?,
        description: fields.string("description")?,
        parameters: fields.json("parameters")?,
        strict: fields.flag("strict")?,
    };
    let cache = cache(&mut fields, losses)?;
    fields.leave(losses);
    Ok((function, cache))
}

fn name(fields: &mut Fields<'_>) -> Result<String, DecodeError> {
    let place = fields.at("name");
    fields.string("name")?.ok_or_else(|| wrong(&place, "a string"))
}

fn choice(field: Field<'_>, losses: &mut Vec<Loss>) -> Result<Option<ToolChoice>, DecodeError> {
    let lost = field.clone().lost();
    if field.kind() == Kind::String {
        return Ok(match field.string()?.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            // `any` is Mistral's word for it.
            "required" | "any" => Some(ToolChoice::Required),
            _ => {
                losses.push(lost);
                None
            }
        });
    }
    let mut fields = field.object()?;
    let found = match fields.string("type")?.as_deref() {
        Some("function") => named(fields.object("function")?, losses)?,
        Some("custom") => named(fields.object("custom")?, losses)?,
        Some("allowed_tools") => allowed(fields.object("allowed_tools")?, losses)?,
        // The older `function_call`.
        None => fields.string("name")?.map(ToolChoice::Named),
        Some(_) => None,
    };
    match found {
        Some(_) => fields.leave(losses),
        None => losses.push(lost),
    }
    Ok(found)
}

fn named(fields: Option<Fields<'_>>, losses: &mut Vec<Loss>) -> Result<Option<ToolChoice>, DecodeError> {
    let Some(mut fields) = fields else { return Ok(None) };
    let name = name(&mut fields)?;
    fields.leave(losses);
    Ok(Some(ToolChoice::Named(name)))
}

fn allowed(fields: Option<Fields<'_>>, losses: &mut Vec<Loss>) -> Result<Option<ToolChoice>, DecodeError> {
    let Some(mut fields) = fields else { return Ok(None) };
    let required = fields.string("mode")?.as_deref() == Some("required");
    let mut names = Vec::new();
    for tool in fields.list("tools")? {
        let mut tool = tool.object()?;
        for kind in ["function", "custom"] {
            if let Some(mut inner) = tool.object(kind)? {
                names.push(name(&mut inner)?);
                inner.leave(losses);
            }
        }
        tool.ignore(&["type"]);
        tool.leave(losses);
    }
    fields.leave(losses);
    Ok(Some(ToolChoice::Among { names, required }))
}

/// Takes the mark by which OpenRouter and LiteLLM let clients ask for a cached prompt.
pub(super) fn cache(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Option<Cache>, DecodeError> {
    let Some(mut mark) = fields.object("cache_control")? else { return Ok(None) };
    mark.take("type");
    let cache = match mark.string("ttl")?.as_deref() {
        Some("1h") => Cache::Hour,
        Some(_) | None => Cache::Usual,
    };
    mark.leave(losses);
    Ok(Some(cache))
}

fn wrong(place: &crate::conversation::loss::Place, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { param: place.to_string(), expected }
}
