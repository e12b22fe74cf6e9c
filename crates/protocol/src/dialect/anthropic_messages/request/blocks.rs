//! Reads the blocks that a turn consists of; never who says them.

use crate::conversation::loss::Loss;
use crate::conversation::part::{
    Cache, Citation, Content, Document, Image, Native, Part, Source, Takes, Text, Thinking, ToolCall,
    ToolResult,
};
use crate::conversation::seal::{Seal, SealKind};
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::citation;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{Field, Fields};
use crate::json::Kind;

const OWN: Dialect = Dialect::AnthropicMessages;

/// Begins the data of a redacted thought that is none: the seal of the call before it, which has no place for one here.
pub(crate) const CALL_SEAL: &str = "lgcall.";

/// Reads a string, or a list of blocks.
pub(super) fn content(field: &Field<'_>, losses: &mut Vec<Loss>) -> Result<Vec<Part>, DecodeError> {
    if field.kind() == Kind::String {
        return Ok(vec![said(field)?]);
    }
    let blocks = elements(field)?;
    let mut parts: Vec<Part> = Vec::with_capacity(blocks.len());
    for field in blocks {
        match block(&field, losses)? {
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

fn elements<'a>(field: &Field<'a>) -> Result<Vec<Field<'a>>, DecodeError> {
    if field.kind() != Kind::Array {
        return Err(field.wrong("a string or a list of blocks"));
    }
    field.clone().list()
}

/// What one block is.
enum Read {
    Part(Part),
    /// It belongs to the call before it.
    CallSeal(Seal),
}

fn block(field: &Field<'_>, losses: &mut Vec<Loss>) -> Result<Read, DecodeError> {
    if field.kind() == Kind::String {
        return said(field).map(Read::Part);
    }
    let mut fields = field.clone().object()?;
    let kind = required(&mut fields, "type")?;
    let content = match kind.as_str() {
        "text" => text(&mut fields, losses)?,
        "image" => Content::Image(Image { source: source(&mut fields, losses)?, detail: None, id: None }),
        "document" => document(&mut fields, losses)?,
        "search_result" => search_result(&mut fields, losses)?,
        "tool_use" => tool_use(&mut fields)?,
        "tool_result" => tool_result(&mut fields, losses)?,
        "thinking" => thinking(&mut fields)?,
        "redacted_thinking" => match redacted(&mut fields)? {
            Redacted::Thought(thought) => Content::Thinking(thought),
            Redacted::CallSeal(seal) => {
                fields.leave(losses);
                return Ok(Read::CallSeal(seal));
            }
        },
        _ => {
            let content = Content::Native(Native { dialect: OWN, json: field.json()? });
            return Ok(Read::Part(Part { content, cache: None, at: field.at.clone() }));
        }
    };
    let cache = cache(&mut fields, losses)?;
    fields.leave(losses);
    Ok(Read::Part(Part { content, cache, at: field.at.clone() }))
}

fn said(field: &Field<'_>) -> Result<Part, DecodeError> {
    let text = Text { text: field.string()?, citations: Vec::new() };
    Ok(Part { content: Content::Text(text), cache: None, at: field.at.clone() })
}

fn text(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Content, DecodeError> {
    let text = required(fields, "text")?;
    let mut citations: Vec<Citation> = Vec::new();
    for field in fields.list("citations")? {
        citations.extend(citation::read(field.text));
        if let Ok(mut fields) = field.object() {
            fields.ignore(citation::KNOWN);
            fields.leave(losses);
        }
    }
    Ok(Content::Text(Text { text, citations }))
}

fn document(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Content, DecodeError> {
    Ok(Content::Document(Document {
        source: source(fields, losses)?,
        title: fields.string("title")?,
        context: fields.string("context")?,
        citations: cites(fields)?,
    }))
}

/// A search result is a document that somebody has found; where, other dialects cannot say.
fn search_result(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Content, DecodeError> {
    let title = fields.string("title")?;
    let mut text = String::new();
    for field in fields.list("content")? {
        text.push_str(&words(field, losses));
    }
    losses.extend(fields.take("source").map(Field::lost));
    let citations = cites(fields)?;
    Ok(Content::Document(Document { source: Source::Text(text), title, context: None, citations }))
}

fn cites(fields: &mut Fields<'_>) -> Result<bool, DecodeError> {
    Ok(match fields.object("citations")? {
        Some(mut citations) => citations.flag("enabled")?.unwrap_or_default(),
        None => false,
    })
}

fn source(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Source, DecodeError> {
    let mut source = fields.object("source")?.ok_or_else(|| missing(fields, "source", "an object"))?;
    let read = match source.string("type")?.as_deref() {
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
        Some(_) | None => return Err(missing(&source, "type", "one of base64, url, file, text, content")),
    };
    source.leave(losses);
    Ok(read)
}

/// A document that is given as blocks: its text is kept, its pictures are lost.
fn inline(source: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<String, DecodeError> {
    let Some(content) = source.take("content") else { return Ok(String::new()) };
    if content.kind() == Kind::String {
        return content.string();
    }
    let mut text = String::new();
    for field in elements(&content)? {
        let words = words(field.clone(), losses);
        losses.extend(words.is_empty().then(|| field.lost()));
        text.push_str(&words);
    }
    Ok(text)
}

/// The text of a block; nothing where it has none.
fn words(block: Field<'_>, losses: &mut Vec<Loss>) -> String {
    let Ok(mut fields) = block.object() else { return String::new() };
    let Ok(Some(text)) = fields.string("text") else { return String::new() };
    fields.ignore(&["type"]);
    fields.leave(losses);
    text
}

fn tool_use(fields: &mut Fields<'_>) -> Result<Content, DecodeError> {
    fields.take("caller");
    let input = fields.take("input");
    if let Some(bad) = input.as_ref().filter(|input| input.kind() != Kind::Object) {
        return Err(bad.wrong("an object"));
    }
    let arguments = input.map_or("{}", |input| input.text).to_owned();
    Ok(Content::ToolCall(ToolCall {
        id: required(fields, "id")?,
        name: required(fields, "name")?,
        arguments,
        takes: Takes::Object,
        seal: None,
    }))
}

fn tool_result(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Content, DecodeError> {
    let call_id = required(fields, "tool_use_id")?;
    let parts = match fields.take("content") {
        Some(content) => result_parts(&content, losses)?,
        None => Vec::new(),
    };
    let is_error = fields.flag("is_error")?.unwrap_or_default();
    Ok(Content::ToolResult(ToolResult { call_id, name: None, parts, is_error, takes: Takes::Object }))
}

/// What a result consists of. Results and calls inside of it mean nothing, and would nest without end.
fn result_parts(content: &Field<'_>, losses: &mut Vec<Loss>) -> Result<Vec<Part>, DecodeError> {
    if content.kind() == Kind::String {
        return Ok(vec![said(content)?]);
    }
    let mut parts = Vec::new();
    for field in elements(content)? {
        let kind = field.clone().object().and_then(|mut fields| fields.string("type"));
        if matches!(kind, Ok(Some(kind)) if matches!(kind.as_str(), "tool_result" | "tool_use")) {
            losses.push(field.lost());
        } else if let Read::Part(part) = block(&field, losses)? {
            parts.push(part);
        }
    }
    Ok(parts)
}

/// A signature may be empty: clients keep the thoughts of providers that do not sign.
fn thinking(fields: &mut Fields<'_>) -> Result<Content, DecodeError> {
    let signature = fields.string("signature")?.filter(|signature| !signature.is_empty());
    Ok(Content::Thinking(Thinking {
        text: fields.string("thinking")?.unwrap_or_default(),
        is_summary: true,
        seal: signature.map(|signature| Seal::kept(OWN, SealKind::Signature, &signature)),
        id: None,
    }))
}

enum Redacted {
    Thought(Thinking),
    CallSeal(Seal),
}

fn redacted(fields: &mut Fields<'_>) -> Result<Redacted, DecodeError> {
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
pub(super) fn cache(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Option<Cache>, DecodeError> {
    let Some(mut control) = fields.object("cache_control")? else { return Ok(None) };
    control.take("type");
    let ttl = control.string("ttl")?;
    control.leave(losses);
    Ok(Some(if ttl.as_deref() == Some("1h") { Cache::Hour } else { Cache::Usual }))
}

fn required(fields: &mut Fields<'_>, name: &str) -> Result<String, DecodeError> {
    fields.string(name)?.ok_or_else(|| missing(fields, name, "a string"))
}

/// What is said of a field that must be there.
pub(super) fn missing(fields: &Fields<'_>, name: &str, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { param: fields.at(name).to_string(), expected }
}
