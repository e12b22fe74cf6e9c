//! Reads what a request asks for; never refuses what it does not know, which becomes a loss.

use std::collections::HashMap;

use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::{Content, Native, Part, Text};
use crate::conversation::request::{Amount, Format, OwnField, Reasoning, Request, Role, Sampling, Turn};
use crate::conversation::seal::Seal;
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{self, Fields};
use crate::dialect::openai_responses::item::Reader;
use crate::dialect::openai_responses::tool;
use crate::json::Kind;

/// The fields that an answer repeats.
const ECHOED: &[&str] = &[
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "max_output_tokens",
    "text",
    "reasoning",
    "metadata",
    "previous_response_id",
    "prompt_cache_key",
    "safety_identifier",
    "user",
];

/// Reads a request.
pub(crate) fn decode(text: &str) -> Result<Request, DecodeError> {
    let mut object = Fields::read(text, Place::default())?;
    let mut request = Request::default();
    for name in ECHOED {
        request.echo.extend(object.peek(name).map(|written| (*name, object::json(written))));
    }
    // The model is the gateway's to choose; the others say no more than what happens anyway.
    object.ignore(&["model"]);
    object.ignore_where("background", "false");
    object.ignore_where("truncation", "\"disabled\"");
    object.ignore_where("top_logprobs", "0");
    let tools = object.elements("tools")?;
    tool::decode(&tools, &Place::new("tools"), &mut request)?;
    if let Some(written) = object.written("tool_choice") {
        request.tool_choice = tool::decode_choice(written, &Place::new("tool_choice"), &mut request)?;
    }
    prompt(&mut object, &mut request)?;
    wishes(&mut object, &mut request)?;
    answer(&mut object, &mut request)?;
    let left = object.into_rest().map(|(name, written)| OwnField {
        name: name.into_owned(),
        value: Native { dialect: Dialect::OpenAiResponses, json: object::json(written) },
    });
    request.own_fields = left.collect();
    Ok(request)
}

/// Reads the items of an earlier input or output as turns; `at` is the field that brought them.
pub(crate) fn history(items: &[&str], at: &Place, request: &mut Request) -> Result<Vec<Turn>, DecodeError> {
    let names = std::mem::take(&mut request.namespaced);
    let mut turns: Vec<Turn> = Vec::new();
    let mut reader = Reader { names: &names, losses: &mut request.losses };
    for (number, written) in items.iter().enumerate() {
        let at = at.item(number);
        let item = reader.item(written, at.clone())?;
        // Calls, thoughts and words of the model are items of their own and one turn; so are the results of tools.
        let goes_on = item.role == Role::Assistant || item.parts.iter().all(is_result);
        match turns.last_mut() {
            Some(last)
                if goes_on
                    && last.role == item.role
                    && (last.role == Role::Assistant || last.parts.iter().all(is_result)) =>
            {
                last.parts.extend(item.parts);
            }
            Some(_) | None => turns.push(Turn { role: item.role, name: None, parts: item.parts, at }),
        }
    }
    request.namespaced = names;
    settle(&mut turns);
    Ok(turns)
}

fn is_result(part: &Part) -> bool {
    matches!(part.content, Content::ToolResult(_))
}

fn prompt(object: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    request.previous_response_id = object.string("previous_response_id")?;
    if let Some(instructions) = object.string("instructions")? {
        request.turns.push(said(Role::System, instructions, Place::new("instructions")));
    }
    let at = Place::new("input");
    let Some(written) = object.written("input") else {
        let continues = request.previous_response_id.is_some()
            || ["prompt", "conversation"].iter().any(|name| object.has(name));
        return if continues { Ok(()) } else { Err(DecodeError::Missing { param: "input" }) };
    };
    match object::kind(written) {
        Kind::String => {
            let text = object::string(written).unwrap_or_default().into_owned();
            request.turns.push(said(Role::User, text, at));
        }
        Kind::Array => {
            let turns = history(&object::elements(written, &at)?, &at, request)?;
            request.turns.extend(turns);
        }
        Kind::Object | Kind::Number | Kind::True | Kind::False | Kind::Null | Kind::Nothing => {
            return Err(object.wrong("input", "a string or a list of items"));
        }
    }
    Ok(())
}

fn said(role: Role, text: String, at: Place) -> Turn {
    let text = Text { text, citations: Vec::new() };
    Turn {
        role,
        name: None,
        parts: vec![Part { content: Content::Text(text), cache: None, at: at.clone() }],
        at,
    }
}

/// Puts together what items tell of each other: the names of the tools that results are from, and the seals of calls,
/// which are kept in thoughts without words.
pub(crate) fn settle(turns: &mut [Turn]) {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut seals: HashMap<String, Seal> = HashMap::new();
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match &mut part.content {
            Content::ToolCall(call) => {
                names.insert(call.id.clone(), call.name.clone());
            }
            Content::ToolResult(result) if result.name.is_none() => {
                result.name = names.get(&result.call_id).cloned();
            }
            Content::Thinking(thinking) if thinking.text.is_empty() => {
                let foreign = thinking.seal.as_ref().filter(|seal| seal.dialect != Dialect::OpenAiResponses);
                if let Some((id, seal)) = foreign.and_then(|seal| Some((seal.id.clone()?, seal))) {
                    seals.insert(id, seal.clone());
                }
            }
            Content::Text(_)
            | Content::Image(_)
            | Content::Document(_)
            | Content::Audio(_)
            | Content::ToolResult(_)
            | Content::Thinking(_)
            | Content::Refusal(_)
            | Content::Native(_) => {}
        }
    }
    seals.retain(|id, _| names.contains_key(id));
    if seals.is_empty() {
        return;
    }
    for turn in turns {
        turn.parts.retain_mut(|part| match &mut part.content {
            Content::ToolCall(call) => {
                call.seal = seals.get(&call.id).map(|seal| Seal { id: None, ..seal.clone() });
                true
            }
            Content::Thinking(thinking) => {
                let sealed = thinking.seal.as_ref().and_then(|seal| seal.id.as_ref());
                !(thinking.text.is_empty() && sealed.is_some_and(|id| seals.contains_key(id)))
            }
            Content::Text(_)
            | Content::Image(_)
            | Content::Document(_)
            | Content::Audio(_)
            | Content::ToolResult(_)
            | Content::Refusal(_)
            | Content::Native(_) => true,
        });
    }
}

/// Reads what stands beside the prompt and shapes the call.
fn wishes(object: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    request.parallel_tool_calls = object.flag("parallel_tool_calls")?;
    request.stream = object.flag("stream")?.unwrap_or(false);
    if let Some(mut options) = object.object("stream_options")? {
        options.ignore_where("include_obfuscation", "false");
        request.include_usage = options.flag("include_usage")?.unwrap_or(false);
        options.leave(&mut request.losses);
    }
    request.sampling = Sampling {
        max_output_tokens: object.count("max_output_tokens")?,
        temperature: object.number("temperature")?,
        top_p: object.number("top_p")?,
        ..Sampling::default()
    };
    let (named, user) = (object.string("safety_identifier")?, object.string("user")?);
    request.user = named.or(user);
    request.metadata = object.json("metadata")?;
    request.service_tier = object.string("service_tier")?;
    request.prompt_cache_key = object.string("prompt_cache_key")?;
    request.store = object.flag("store")?;
    Ok(())
}

/// Reads what the answer is to be like.
fn answer(object: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    if let Some(mut text) = object.object("text")? {
        request.verbosity = text.string("verbosity")?;
        if let Some(format) = text.object("format")? {
            request.format = self::format(format, &mut request.losses)?;
        }
        text.leave(&mut request.losses);
    }
    let mut wanted = Reasoning::default();
    let mut is_wanted = false;
    if let Some(mut reasoning) = object.object("reasoning")? {
        let summary = reasoning.string("summary")?;
        wanted.shown = summary.or(reasoning.string("generate_summary")?);
        wanted.amount = reasoning.string("effort")?.map(Amount::Effort);
        is_wanted = wanted != Reasoning::default();
        reasoning.leave(&mut request.losses);
    }
    let at = Place::new("include");
    for (number, written) in object.elements("include")?.into_iter().enumerate() {
        if written == "\"reasoning.encrypted_content\"" {
            wanted.encrypted = true;
            is_wanted = true;
        } else {
            request.losses.push(Loss::At(at.item(number)));
        }
    }
    request.reasoning = is_wanted.then_some(wanted);
    Ok(())
}

fn format(mut format: Fields<'_>, losses: &mut Vec<Loss>) -> Result<Option<Format>, DecodeError> {
    let read = match format.text("type")?.as_deref() {
        Some("text") => Format::Text,
        Some("json_object") => Format::JsonObject,
        Some("json_schema") => {
            let Some(schema) = format.json("schema")? else {
                return Err(format.wrong("schema", "an object"));
            };
            Format::JsonSchema {
                name: format.string("name")?,
                description: format.string("description")?,
                schema,
                strict: format.flag("strict")?,
            }
        }
        Some(_) | None => {
            losses.push(Loss::At(format.place().clone()));
            return Ok(None);
        }
    };
    format.leave(losses);
    Ok(Some(read))
}
