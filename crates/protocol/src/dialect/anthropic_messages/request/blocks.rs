//! Reads the blocks that a turn consists of; never who says them.

use serde_json::value::RawValue;

use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::{
    Cache, Citation, Content, Document, Image, Json, Native, Part, Source, Takes, Text, Thinking, ToolCall,
    ToolResult,
};
use crate::conversation::seal::{Seal, SealKind};
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::citation;
use crate::dialect::anthropic_messages::object::{Object, elements, string, wrong};
use crate::dialect::ask::DecodeError;

const OWN: Dialect = Dialect::AnthropicMessages;

/// Begins the data of a redacted thought that is none: the seal of the call before it, which has no place for one here.
pub(crate) const CALL_SEAL: &str = "lgcall.";

/// Reads a string, or a list of blocks.
pub(super) fn content(raw: &RawValue, at: &Place, losses: &mut Vec<Loss>) -> Result<Vec<Part>, DecodeError> {
    if let Some(text) = string(raw) {
        return Ok(vec![said(text, at.clone())]);
    }
    let list = elements(raw, at).ok_or_else(|| wrong(at, "a string or a list of blocks"))?;
    let mut parts: Vec<Part> = Vec::with_capacity(list.len());
    for (at, raw) in list {
        match block(raw, at, losses)? {
            Read::Part(part) => parts.push(part),
            Read::CallSeal(seal) => {
                if let Some(Part { content: Content::ToolCall(call), .. }) = parts.last_mut() {
                    call.seal = Some(seal);
                }
            }
        }
    }
    Ok(parts)
}

/// What one block is.
enum Read {
    Part(Part),
    /// It belongs to the call before it.
    CallSeal(Seal),
}

fn block(raw: &RawValue, at: Place, losses: &mut Vec<Loss>) -> Result<Read, DecodeError> {
    if let Some(text) = string(raw) {
        return Ok(Read::Part(said(text, at)));
    }
    let mut fields = Object::read(raw, at.clone())?;
    let kind = fields.text("type")?.ok_or_else(|| wrong(&at.field("type"), "the type of a block"))?;
    let content = match kind.as_str() {
        "text" => text(&mut fields)?,
        "image" => Content::Image(Image { source: source(&mut fields, losses)?, detail: None }),
        "document" => document(&mut fields, losses)?,
        "search_result" => search_result(&mut fields, losses)?,
        "tool_use" => tool_use(&mut fields)?,
        "tool_result" => tool_result(&mut fields, losses)?,
        "thinking" => thinking(&mut fields)?,
        "redacted_thinking" => match redacted(&mut fields)? {
            Redacted::Thought(thought) => Content::Thinking(thought),
            Redacted::CallSeal(seal) => return Ok(Read::CallSeal(seal)),
        },
        _ => {
            let content = Content::Native(Native { dialect: OWN, json: Json(raw.to_owned()) });
            return Ok(Read::Part(Part { content, cache: None, at }));
        }
    };
    let cache = cache(&mut fields, losses)?;
    fields.rest(losses);
    Ok(Read::Part(Part { content, cache, at }))
}

fn said(text: String, at: Place) -> Part {
    Part { content: Content::Text(Text { text, citations: Vec::new() }), cache: None, at }
}

fn text(fields: &mut Object<'_>) -> Result<Content, DecodeError> {
    let text = required(fields, "text")?;
    let citations: Vec<Citation> =
        fields.list("citations")?.into_iter().filter_map(|(_, raw)| citation::read(raw)).collect();
    Ok(Content::Text(Text { text, citations }))
}

fn document(fields: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Content, DecodeError> {
    Ok(Content::Document(Document {
        source: source(fields, losses)?,
        title: fields.text("title")?,
        context: fields.text("context")?,
        citations: cites(fields)?,
    }))
}

/// A search result is a document that somebody has found; where, other dialects cannot say.
fn search_result(fields: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Content, DecodeError> {
    let title = fields.text("title")?;
    let mut text = String::new();
    for (_, raw) in fields.list("content")? {
        text.push_str(&words(raw));
    }
    let found_at = fields.text("source")?;
    losses.extend(found_at.is_some().then(|| Loss::At(fields.at.field("source"))));
    let citations = cites(fields)?;
    Ok(Content::Document(Document { source: Source::Text(text), title, context: None, citations }))
}

fn cites(fields: &mut Object<'_>) -> Result<bool, DecodeError> {
    Ok(match fields.object("citations")? {
        Some(mut citations) => citations.flag("enabled")?.unwrap_or_default(),
        None => false,
    })
}

fn source(fields: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Source, DecodeError> {
    let at = fields.at.field("source");
    let mut source = fields.object("source")?.ok_or_else(|| wrong(&at, "an object"))?;
    let read = match source.text("type")?.as_deref() {
        Some("base64") => Source::Base64 {
            media_type: required(&mut source, "media_type")?,
            data: required(&mut source, "data")?,
        },
        Some("url") => Source::Url(required(&mut source, "url")?),
        Some("file") => Source::File(required(&mut source, "file_id")?),
        Some("text") => {
            source.take("media_type");
            Source::Text(required(&mut source, "data")?)
        }
        Some("content") => Source::Text(inline(&mut source, losses)?),
        Some(_) | None => return Err(wrong(&at.field("type"), "the type of a source")),
    };
    source.rest(losses);
    Ok(read)
}

/// A document that is given as blocks: its text is kept, its pictures are lost.
fn inline(source: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<String, DecodeError> {
    let at = source.at.field("content");
    let Some(raw) = source.take("content") else { return Ok(String::new()) };
    if let Some(text) = string(raw) {
        return Ok(text);
    }
    let blocks = elements(raw, &at).ok_or_else(|| wrong(&at, "a string or a list of blocks"))?;
    let mut text = String::new();
    for (at, raw) in blocks {
        let words = words(raw);
        losses.extend(words.is_empty().then_some(Loss::At(at)));
        text.push_str(&words);
    }
    Ok(text)
}

fn words(block: &RawValue) -> String {
    let fields = Object::read(block, Place::default());
    fields.and_then(|mut fields| fields.text("text")).ok().flatten().unwrap_or_default()
}

fn tool_use(fields: &mut Object<'_>) -> Result<Content, DecodeError> {
    fields.take("caller");
    let arguments = fields.json_object("input")?.map_or_else(|| "{}".to_owned(), |json| json.as_str().into());
    Ok(Content::ToolCall(ToolCall {
        id: required(fields, "id")?,
        name: required(fields, "name")?,
        arguments,
        takes: Takes::Object,
        seal: None,
    }))
}

fn tool_result(fields: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Content, DecodeError> {
    let call_id = required(fields, "tool_use_id")?;
    let at = fields.at.field("content");
    let parts = match fields.take("content") {
        Some(raw) => result_parts(raw, &at, losses)?,
        None => Vec::new(),
    };
    let is_error = fields.flag("is_error")?.unwrap_or_default();
    Ok(Content::ToolResult(ToolResult { call_id, name: None, parts, is_error, takes: Takes::Object }))
}

/// What a result consists of. Results and calls inside of it mean nothing, and would nest without end.
fn result_parts(raw: &RawValue, at: &Place, losses: &mut Vec<Loss>) -> Result<Vec<Part>, DecodeError> {
    if let Some(text) = string(raw) {
        return Ok(vec![said(text, at.clone())]);
    }
    let mut parts = Vec::new();
    for (at, raw) in elements(raw, at).ok_or_else(|| wrong(at, "a string or a list of blocks"))? {
        let nested = |kind: Option<String>| matches!(kind.as_deref(), Some("tool_result" | "tool_use"));
        let fields = Object::read(raw, at.clone());
        if fields.is_ok_and(|mut fields| fields.text("type").is_ok_and(nested)) {
            losses.push(Loss::At(at));
            continue;
        }
        if let Read::Part(part) = block(raw, at, losses)? {
            parts.push(part);
        }
    }
    Ok(parts)
}

/// A signature may be empty: clients keep the thoughts of providers that do not sign.
fn thinking(fields: &mut Object<'_>) -> Result<Content, DecodeError> {
    let signature = fields.text("signature")?.filter(|signature| !signature.is_empty());
    Ok(Content::Thinking(Thinking {
        text: fields.text("thinking")?.unwrap_or_default(),
        is_summary: true,
        seal: signature.map(|signature| Seal::kept(OWN, SealKind::Signature, &signature)),
        id: None,
    }))
}

enum Redacted {
    Thought(Thinking),
    CallSeal(Seal),
}

fn redacted(fields: &mut Object<'_>) -> Result<Redacted, DecodeError> {
    let data = required(fields, "data")?;
    Ok(match data.strip_prefix(CALL_SEAL) {
        Some(seal) => Redacted::CallSeal(Seal::kept(OWN, SealKind::Signature, seal)),
        None => Redacted::Thought(Thinking {
            seal: Some(Seal::kept(OWN, SealKind::Encrypted, &data)),
            ..Thinking::default()
        }),
    })
}

/// Takes `cache_control`.
pub(super) fn cache(fields: &mut Object<'_>, losses: &mut Vec<Loss>) -> Result<Option<Cache>, DecodeError> {
    let Some(mut control) = fields.object("cache_control")? else { return Ok(None) };
    control.take("type");
    let ttl = control.text("ttl")?;
    control.rest(losses);
    Ok(Some(if ttl.as_deref() == Some("1h") { Cache::Hour } else { Cache::Usual }))
}

fn required(fields: &mut Object<'_>, name: &str) -> Result<String, DecodeError> {
    let text = fields.text(name)?;
    text.ok_or_else(|| wrong(&fields.at.field(name), "a string"))
}
