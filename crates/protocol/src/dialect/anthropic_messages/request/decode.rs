//! Reads what a client of messages asks for; never whether the upstream can do it.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::blocks::{self, cache};
use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::{Content, Json, Native, Part, ToolCall};
use crate::conversation::request::{Amount, Format, Reasoning, Request, Role, Sampling, Turn};
use crate::conversation::tool::{Function, Tool, ToolChoice, ToolKind};
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::object::{Object, wrong};
use crate::dialect::ask::DecodeError;

/// Reads a request.
pub(crate) fn decode(text: &str) -> Result<Request, DecodeError> {
    let mut body = Object::root(text)?;
    let mut losses = Vec::new();
    let turns = turns(&mut body, &mut losses)?;
    let (tool_choice, parallel_tool_calls) = tool_choice(&mut body, &mut losses)?;
    let (format, reasoning) = output(&mut body, &mut losses)?;
    let mut request = Request {
        turns,
        tools: tools(&mut body, &mut losses)?,
        tool_choice,
        parallel_tool_calls,
        format,
        reasoning,
        sampling: sampling(&mut body)?,
        stream: body.flag("stream")?.unwrap_or_default(),
        user: user(&mut body, &mut losses)?,
        service_tier: body.text("service_tier")?,
        ..Request::default()
    };
    body.take("model");
    mark_end(&mut body, &mut request, &mut losses)?;
    body.rest(&mut losses);
    request.losses = losses;
    Ok(request)
}

fn turns(body: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Vec<Turn>, DecodeError> {
    let mut turns = Vec::new();
    if let Some(system) = body.take("system") {
        let at = Place::new("system");
        let parts = blocks::content(system, &at, losses)?;
        turns.push(Turn { role: Role::System, name: None, parts, at });
    }
    let messages = body.list("messages")?;
    if messages.is_empty() {
        return Err(DecodeError::EmptyMessages);
    }
    for (at, raw) in messages {
        turns.push(turn(raw, at, losses)?);
    }
    name_results(&mut turns);
    Ok(turns)
}

fn turn(raw: &RawValue, at: Place, losses: &mut Vec<Loss>) -> Result<Turn, DecodeError> {
    let mut message = Object::read(raw, at.clone())?;
    let role = match message.text("role")?.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(_) | None => return Err(wrong(&at.field("role"), "`user`, `assistant` or `system`")),
    };
    let place = at.field("content");
    let parts = match message.take("content") {
        Some(content) => blocks::content(content, &place, losses)?,
        None => Vec::new(),
    };
    message.rest(losses);
    Ok(Turn { role, name: None, parts, at })
}

/// A result names its call only; other dialects want to know the tool.
fn name_results(turns: &mut [Turn]) {
    let mut names: HashMap<String, String> = HashMap::new();
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match &mut part.content {
            Content::ToolCall(ToolCall { id, name, .. }) => {
                names.insert(id.clone(), name.clone());
            }
            Content::ToolResult(result) => result.name = names.get(&result.call_id).cloned(),
            Content::Text(_)
            | Content::Image(_)
            | Content::Document(_)
            | Content::Audio(_)
            | Content::Thinking(_)
            | Content::Refusal(_)
            | Content::Native(_) => {}
        }
    }
}

fn tools(body: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Vec<Tool>, DecodeError> {
    let list = body.list("tools")?;
    list.into_iter().map(|(at, raw)| tool(raw, at, losses)).collect()
}

/// A tool without a type, or of type `custom`, takes what its schema says; all other types have meanings of their own.
fn tool(raw: &RawValue, at: Place, losses: &mut Vec<Loss>) -> Result<Tool, DecodeError> {
    let mut fields = Object::read(raw, at.clone())?;
    if fields.text("type")?.is_some_and(|kind| kind != "custom") {
        let native = Native { dialect: Dialect::AnthropicMessages, json: Json(raw.to_owned()) };
        return Ok(Tool { kind: ToolKind::Builtin(native), cache: None, at });
    }
    let cache = cache(&mut fields, losses)?;
    let name = fields.text("name")?.ok_or_else(|| wrong(&at.field("name"), "a string"))?;
    let function = Function {
        name,
        description: fields.text("description")?,
        parameters: fields.json_object("input_schema")?,
        strict: fields.flag("strict")?,
    };
    fields.rest(losses);
    Ok(Tool { kind: ToolKind::Function(function), cache, at })
}

type Choice = (Option<ToolChoice>, Option<bool>);

fn tool_choice(body: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Choice, DecodeError> {
    let Some(mut fields) = body.object("tool_choice")? else { return Ok((None, None)) };
    let choice = match fields.text("type")?.as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => {
            let name = fields.text("name")?;
            ToolChoice::Named(name.ok_or_else(|| wrong(&fields.at.field("name"), "a string"))?)
        }
        Some(_) | None => return Err(wrong(&fields.at.field("type"), "`auto`, `any`, `tool` or `none`")),
    };
    let parallel = fields.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
    fields.rest(losses);
    Ok((Some(choice), parallel))
}

/// The form of the answer and how much is thought about it: both stand partly in `output_config`.
fn output(
    body: &mut Object<'_>,
    losses: &mut Vec<Loss>,
) -> Result<(Option<Format>, Option<Reasoning>), DecodeError> {
    let (mut form, mut effort) = (body.object("output_format")?, None);
    if let Some(mut config) = body.object("output_config")? {
        form = config.object("format")?.or(form);
        effort = config.text("effort")?;
        config.rest(losses);
    }
    let format = form.map(|form| format(form, losses)).transpose()?.flatten();
    Ok((format, reasoning(body, effort, losses)?))
}

fn format(mut fields: Object<'_>, losses: &mut Vec<Loss>) -> Result<Option<Format>, DecodeError> {
    let kind = fields.text("type")?;
    let schema = fields.json_object("schema")?;
    let (Some("json_schema"), Some(schema)) = (kind.as_deref(), schema) else {
        losses.push(Loss::At(fields.at));
        return Ok(None);
    };
    fields.rest(losses);
    Ok(Some(Format::JsonSchema { name: None, description: None, schema, strict: Some(true) }))
}

/// Thoughts are shown unless the client says otherwise, and their signatures always come with them.
fn reasoning(
    body: &mut Object<'_>,
    effort: Option<String>,
    losses: &mut Vec<Loss>,
) -> Result<Option<Reasoning>, DecodeError> {
    let effort_at = || Loss::At(Place::new("output_config.effort"));
    let Some(mut fields) = body.object("thinking")? else {
        return Ok(
            effort.map(|effort| Reasoning { amount: Some(Amount::Effort(effort)), ..Reasoning::default() })
        );
    };
    let amount = match fields.text("type")?.as_deref() {
        Some("enabled") => {
            losses.extend(effort.map(|_| effort_at()));
            fields.whole("budget_tokens")?.map_or(Amount::Adaptive, Amount::Tokens)
        }
        Some("adaptive") => effort.map_or(Amount::Adaptive, Amount::Effort),
        Some("disabled") => {
            losses.extend(effort.map(|_| effort_at()));
            Amount::Off
        }
        Some(_) | None => {
            losses.push(Loss::At(fields.at.field("type")));
            effort.map_or(Amount::Adaptive, Amount::Effort)
        }
    };
    let is_on = amount != Amount::Off;
    let shown = match fields.text("display")?.as_deref() {
        Some("omitted") => "none",
        Some(_) | None => "auto",
    };
    fields.rest(losses);
    Ok(Some(Reasoning { amount: Some(amount), shown: is_on.then(|| shown.to_owned()), encrypted: is_on }))
}

fn sampling(body: &mut Object<'_>) -> Result<Sampling, DecodeError> {
    Ok(Sampling {
        max_output_tokens: body.whole("max_tokens")?,
        temperature: body.number("temperature")?,
        top_p: body.number("top_p")?,
        top_k: body.whole("top_k")?,
        stop: body.texts("stop_sequences")?,
        ..Sampling::default()
    })
}

fn user(body: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Option<String>, DecodeError> {
    let Some(mut metadata) = body.object("metadata")? else { return Ok(None) };
    let user = metadata.text("user_id")?;
    metadata.rest(losses);
    Ok(user)
}

/// A `cache_control` beside the messages marks the last thing that can be marked.
fn mark_end(body: &mut Object<'_>, request: &mut Request, losses: &mut Vec<Loss>) -> Result<(), DecodeError> {
    let Some(cache) = cache(body, losses)? else { return Ok(()) };
    let mut parts = request.turns.iter_mut().flat_map(|turn| &mut turn.parts);
    if let Some(Part { cache: mark, .. }) = parts.next_back() {
        mark.get_or_insert(cache);
    }
    Ok(())
}
