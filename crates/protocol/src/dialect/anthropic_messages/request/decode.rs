//! Reads what a client of messages asks for; never whether the upstream can do it.

use std::collections::HashMap;

use super::blocks::{self, cache, missing};
use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::{Content, Json, Native, Part, ToolCall};
use crate::conversation::request::{Amount, Format, Reasoning, Request, Role, Sampling, Turn};
use crate::conversation::tool::{Function, Tool, ToolChoice, ToolKind};
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{Field, Fields};
use crate::json::Kind;

/// Reads a request.
pub(crate) fn decode(text: &str) -> Result<Request, DecodeError> {
    let mut body = Fields::body(text)?;
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
        service_tier: body.string("service_tier")?.map(service_tier),
        ..Request::default()
    };
    body.take("model");
    mark_end(&mut body, &mut request, &mut losses)?;
    body.leave(&mut losses);
    request.losses = losses;
    Ok(request)
}

fn turns(body: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Vec<Turn>, DecodeError> {
    let mut turns = Vec::new();
    if let Some(system) = body.take("system") {
        let parts = blocks::content(&system, losses)?;
        turns.push(Turn { role: Role::System, name: None, parts, at: system.at });
    }
    let messages = body.list("messages")?;
    if messages.is_empty() {
        return Err(DecodeError::EmptyMessages);
    }
    for message in messages {
        turns.push(turn(message, losses)?);
    }
    name_results(&mut turns);
    Ok(turns)
}

fn turn(field: Field<'_>, losses: &mut Vec<Loss>) -> Result<Turn, DecodeError> {
    let at = field.at.clone();
    let mut message = field.object()?;
    let role = match message.string("role")?.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(_) | None => return Err(missing(&message, "role", "`user`, `assistant` or `system`")),
    };
    let parts = match message.take("content") {
        Some(content) => blocks::content(&content, losses)?,
        None => Vec::new(),
    };
    message.leave(losses);
    Ok(Turn { role, name: None, parts, at })
}

/// The service's tiers in the words that all share.
fn service_tier(tier: String) -> String {
    if tier == "standard_only" { "default".to_owned() } else { tier }
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

fn tools(body: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Vec<Tool>, DecodeError> {
    let list = body.list("tools")?;
    list.into_iter().map(|field| tool(field, losses)).collect()
}

/// A tool without a type, or of type `custom`, takes what its schema says; all other types have meanings of their own.
fn tool(field: Field<'_>, losses: &mut Vec<Loss>) -> Result<Tool, DecodeError> {
    let at = field.at.clone();
    let mut fields = field.clone().object()?;
    if fields.string("type")?.is_some_and(|kind| kind != "custom") {
        let native = Native { dialect: Dialect::AnthropicMessages, json: field.json()? };
        return Ok(Tool { kind: ToolKind::Builtin(native), cache: None, at });
    }
    let cache = cache(&mut fields, losses)?;
    let name = fields.string("name")?.ok_or_else(|| missing(&fields, "name", "a string"))?;
    let function = Function {
        name,
        description: fields.string("description")?,
        parameters: json_object(&mut fields, "input_schema")?,
        strict: fields.flag("strict")?,
    };
    fields.leave(losses);
    Ok(Tool { kind: ToolKind::Function(function), cache, at })
}

type Choice = (Option<ToolChoice>, Option<bool>);

fn tool_choice(body: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Choice, DecodeError> {
    let Some(mut fields) = body.object("tool_choice")? else { return Ok((None, None)) };
    let choice = match fields.string("type")?.as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => {
            let name = fields.string("name")?;
            ToolChoice::Named(name.ok_or_else(|| missing(&fields, "name", "a string"))?)
        }
        Some(_) | None => return Err(missing(&fields, "type", "`auto`, `any`, `tool` or `none`")),
    };
    let parallel = fields.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
    fields.leave(losses);
    Ok((Some(choice), parallel))
}

/// The form of the answer and how much is thought about it: both stand partly in `output_config`.
fn output(
    body: &mut Fields<'_>,
    losses: &mut Vec<Loss>,
) -> Result<(Option<Format>, Option<Reasoning>), DecodeError> {
    let (mut form, mut effort) = (body.take("output_format"), None);
    if let Some(mut config) = body.object("output_config")? {
        form = config.take("format").or(form);
        effort = config.string("effort")?;
        config.leave(losses);
    }
    let format = form.map(|form| format(form, losses)).transpose()?.flatten();
    Ok((format, reasoning(body, effort, losses)?))
}

fn format(field: Field<'_>, losses: &mut Vec<Loss>) -> Result<Option<Format>, DecodeError> {
    let lost = field.clone().lost();
    let mut fields = field.object()?;
    let kind = fields.string("type")?;
    let schema = json_object(&mut fields, "schema")?;
    let (Some("json_schema"), Some(schema)) = (kind.as_deref(), schema) else {
        losses.push(lost);
        return Ok(None);
    };
    fields.leave(losses);
    Ok(Some(Format::JsonSchema { name: None, description: None, schema, strict: Some(true) }))
}

/// Thoughts are shown unless the client says otherwise. Their signatures come unasked, so nobody asks for them.
fn reasoning(
    body: &mut Fields<'_>,
    effort: Option<String>,
    losses: &mut Vec<Loss>,
) -> Result<Option<Reasoning>, DecodeError> {
    let effort_at = || Loss::At(Place::new("output_config.effort"));
    let Some(mut fields) = body.object("thinking")? else {
        return Ok(
            effort.map(|effort| Reasoning { amount: Some(Amount::Effort(effort)), ..Reasoning::default() })
        );
    };
    let amount = match fields.string("type")?.as_deref() {
        Some("enabled") => {
            losses.extend(effort.map(|_| effort_at()));
            fields.count("budget_tokens")?.map_or(Amount::Adaptive, Amount::Tokens)
        }
        Some("adaptive") => effort.map_or(Amount::Adaptive, Amount::Effort),
        Some("disabled") => {
            losses.extend(effort.map(|_| effort_at()));
            Amount::Off
        }
        Some(_) | None => {
            losses.push(Loss::At(fields.at("type")));
            effort.map_or(Amount::Adaptive, Amount::Effort)
        }
    };
    let is_on = amount != Amount::Off;
    let shown = match fields.string("display")?.as_deref() {
        Some("omitted") => "none",
        Some(_) | None => "auto",
    };
    fields.leave(losses);
    Ok(Some(Reasoning { amount: Some(amount), shown: is_on.then(|| shown.to_owned()), encrypted: false }))
}

fn sampling(body: &mut Fields<'_>) -> Result<Sampling, DecodeError> {
    Ok(Sampling {
        max_output_tokens: body.count("max_tokens")?,
        temperature: body.number("temperature")?,
        top_p: body.number("top_p")?,
        top_k: body.count("top_k")?,
        stop: body.list("stop_sequences")?.iter().map(Field::string).collect::<Result<_, _>>()?,
        ..Sampling::default()
    })
}

fn user(body: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Option<String>, DecodeError> {
    let Some(mut metadata) = body.object("metadata")? else { return Ok(None) };
    let user = metadata.string("user_id")?;
    metadata.leave(losses);
    Ok(user)
}

/// A `cache_control` beside the messages marks the last thing that can be marked.
fn mark_end(body: &mut Fields<'_>, request: &mut Request, losses: &mut Vec<Loss>) -> Result<(), DecodeError> {
    let Some(cache) = cache(body, losses)? else { return Ok(()) };
    let mut parts = request.turns.iter_mut().flat_map(|turn| &mut turn.parts);
    if let Some(Part { cache: mark, .. }) = parts.next_back() {
        mark.get_or_insert(cache);
    }
    Ok(())
}

/// Takes a field that must be an object, as it is written.
fn json_object(fields: &mut Fields<'_>, name: &str) -> Result<Option<Json>, DecodeError> {
    let Some(field) = fields.take(name) else { return Ok(None) };
    if field.kind() != Kind::Object {
        return Err(field.wrong("an object"));
    }
    field.json().map(Some)
}
