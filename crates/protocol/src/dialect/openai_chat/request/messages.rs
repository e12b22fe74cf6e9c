//! Reads the messages of a chat request into turns; never the wishes beside them.

use std::collections::{HashMap, VecDeque};

use super::decode::cache;
use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::{
    Audio, Content, Document, Image, Part, Source, Takes, Text, ToolCall, ToolResult,
};
use crate::conversation::request::{Role, Turn};
use crate::conversation::seal::{Seal, SealKind};
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{Field, Fields};
use crate::dialect::openai_chat::thought;
use crate::json::Kind;

pub(super) fn decode(list: Vec<Field<'_>>, losses: &mut Vec<Loss>) -> Result<Vec<Turn>, DecodeError> {
    let mut reader = Messages { losses, calls: HashMap::new(), unanswered: VecDeque::new() };
    list.into_iter().enumerate().map(|(number, field)| reader.message(number, field)).collect()
}

struct Messages<'l> {
    losses: &'l mut Vec<Loss>,
    /// The calls so far, by id.
    calls: HashMap<String, (String, Takes)>,
    /// Those of them whose results have not come, for results that name no call.
    unanswered: VecDeque<String>,
}

impl Messages<'_> {
    fn message(&mut self, number: usize, field: Field<'_>) -> Result<Turn, DecodeError> {
        let at = field.at.clone();
        let mut fields = field.object()?;
        let role = fields.string("role")?;
        let name = fields.string("name")?;
        let (role, name, parts) = match role.as_deref() {
            Some("system") => (Role::System, name, self.content(&mut fields)?),
            Some("developer") => (Role::Developer, name, self.content(&mut fields)?),
            Some("user") => (Role::User, name, self.content(&mut fields)?),
            Some("assistant") => (Role::Assistant, name, self.assistant(number, &mut fields)?),
            Some("tool") => {
                let id = fields.string("tool_call_id")?;
                (Role::User, None, vec![self.result(id, name, &mut fields)?])
            }
            Some("function") => {
                let id = self.unanswered_call_of(name.as_deref());
                (Role::User, None, vec![self.result(id, name, &mut fields)?])
            }
            Some(_) | None => {
                let expected = "one of system, developer, user, assistant, tool, function";
                return Err(DecodeError::WrongType { param: at.field("role").to_string(), expected });
            }
        };
        fields.leave(self.losses);
        Ok(Turn { role, name, parts, at })
    }

    fn assistant(&mut self, number: usize, fields: &mut Fields<'_>) -> Result<Vec<Part>, DecodeError> {
        let mut parts = thought::decode(fields, self.losses)?;
        parts.extend(self.content(fields)?);
        for field in fields.list("images")? {
            let at = field.at.clone();
            match field.object().and_then(|fields| shown(fields, self.losses)) {
                Ok(Some(image)) => parts.push(Part { content: Content::Image(image), cache: None, at }),
                Ok(None) | Err(_) => self.losses.push(Loss::At(at)),
            }
        }
        if let Some(field) = fields.take("refusal") {
            let text = field.string()?;
            if !text.is_empty() {
                parts.push(Part { content: Content::Refusal(text), cache: None, at: field.at });
            }
        }
        self.unanswered.clear();
        for (place, field) in fields.list("tool_calls")?.into_iter().enumerate() {
            parts.push(self.call(format!("call_{number}_{place}"), field)?);
        }
        if let Some(field) = fields.take("function_call") {
            let at = field.at.clone();
            let call = self.function(format!("call_{number}"), field.object()?)?;
            parts.push(self.called(call, at));
        }
        // An answer of ours comes back with an empty list.
        if let Some(field) = fields.take("annotations").filter(|field| field.text != "[]") {
            self.losses.push(field.lost());
        }
        Ok(parts)
    }

    fn call(&mut self, id: String, field: Field<'_>) -> Result<Part, DecodeError> {
        let at = field.at.clone();
        let mut fields = field.object()?;
        let id = fields.string("id")?.filter(|id| !id.is_empty()).unwrap_or(id);
        fields.take("type");
        fields.take("index");
        let mut call = if let Some(mut inner) = fields.object("custom")? {
            let call = ToolCall {
                id,
                name: inner.string("name")?.unwrap_or_default(),
                arguments: inner.string("input")?.unwrap_or_default(),
                takes: Takes::Text,
                seal: None,
            };
            inner.leave(self.losses);
            call
        } else {
            let place = fields.at("function");
            let Some(inner) = fields.object("function")? else {
                return Err(DecodeError::WrongType { param: place.to_string(), expected: "an object" });
            };
            self.function(id, inner)?
        };
        call.seal = self.call_seal(&mut fields)?;
        fields.leave(self.losses);
        Ok(self.called(call, at))
    }

    fn function(&mut self, id: String, mut fields: Fields<'_>) -> Result<ToolCall, DecodeError> {
        let name = fields.string("name")?.unwrap_or_default();
        let arguments = match fields.take("arguments") {
            Some(field) if field.kind() == Kind::String => field.string()?,
            // Some clients do not know that it is JSON in a string.
            Some(field) => field.text.to_owned(),
            None => String::new(),
        };
        fields.leave(self.losses);
        Ok(ToolCall { id, name, arguments, takes: Takes::Object, seal: None })
    }

    fn called(&mut self, call: ToolCall, at: Place) -> Part {
        self.calls.insert(call.id.clone(), (call.name.clone(), call.takes));
        self.unanswered.push_back(call.id.clone());
        Part { content: Content::ToolCall(call), cache: None, at }
    }

    /// Where Google's own endpoint of this dialect has it.
    fn call_seal(&mut self, fields: &mut Fields<'_>) -> Result<Option<Seal>, DecodeError> {
        let Some(mut extra) = fields.object("extra_content")? else { return Ok(None) };
        let mut seal = None;
        if let Some(mut google) = extra.object("google")? {
            let text = google.string("thought_signature")?;
            seal = text.map(|text| Seal::kept(Dialect::OpenAiChat, SealKind::Signature, &text));
            google.leave(self.losses);
        }
        extra.leave(self.losses);
        Ok(seal)
    }

    fn result(
        &mut self,
        id: Option<String>,
        name: Option<String>,
        fields: &mut Fields<'_>,
    ) -> Result<Part, DecodeError> {
        let at = fields.at("content");
        let mut parts = self.content(fields)?;
        let call_id = id.or_else(|| self.unanswered.front().cloned()).unwrap_or_default();
        self.unanswered.retain(|id| *id != call_id);
        let (seen, takes) = self.calls.get(&call_id).cloned().unzip();
        let cache = parts.last_mut().and_then(|part| part.cache.take());
        let result = ToolResult {
            call_id,
            name: name.or(seen),
            parts,
            is_error: false,
            takes: takes.unwrap_or_default(),
        };
        Ok(Part { content: Content::ToolResult(result), cache, at })
    }

    fn unanswered_call_of(&self, name: Option<&str>) -> Option<String> {
        let is_it = |id: &&String| self.calls.get(*id).map(|(name, _)| name.as_str()) == name;
        self.unanswered.iter().find(is_it).cloned()
    }

    /// A string, a list of parts, or null. An empty text is none.
    fn content(&mut self, fields: &mut Fields<'_>) -> Result<Vec<Part>, DecodeError> {
        let mut parts = match fields.take("content") {
            None => Vec::new(),
            Some(field) if field.kind() == Kind::String => {
                text(field.string()?, field.at).into_iter().collect()
            }
            Some(field) if field.kind() == Kind::Array => {
                let mut parts = Vec::new();
                for field in field.list()? {
                    parts.extend(self.part(field)?);
                }
                parts
            }
            Some(field) => return Err(field.wrong("a string or a list of parts")),
        };
        let mark = cache(fields, self.losses)?;
        if let Some(last) = parts.last_mut() {
            last.cache = last.cache.or(mark);
        }
        Ok(parts)
    }

    fn part(&mut self, field: Field<'_>) -> Result<Option<Part>, DecodeError> {
        if field.kind() == Kind::String {
            return Ok(text(field.string()?, field.at));
        }
        let at = field.at.clone();
        let lost = field.clone().lost();
        let mut fields = field.object()?;
        let cache = cache(&mut fields, self.losses)?;
        let kind = fields.string("type")?;
        let content = match kind.as_deref() {
            Some("text" | "input_text" | "output_text") | None => {
                let content = fields.string("text")?.unwrap_or_default();
                text(content, at.clone()).map(|part| part.content)
            }
            Some("refusal") => fields.string("refusal")?.map(Content::Refusal),
            Some("image_url" | "input_image") => image(&mut fields, self.losses)?.map(Content::Image),
            Some("input_audio") => self.audio(&mut fields)?.map(Content::Audio),
            Some("file" | "input_file") => self.file(&mut fields)?.map(Content::Document),
            Some(_) => {
                self.losses.push(lost);
                return Ok(None);
            }
        };
        match &content {
            Some(_) => fields.leave(self.losses),
            None if matches!(kind.as_deref(), Some("text" | "input_text" | "output_text")) => {}
            None => self.losses.push(lost),
        }
        Ok(content.map(|content| Part { content, cache, at }))
    }

    fn audio(&mut self, fields: &mut Fields<'_>) -> Result<Option<Audio>, DecodeError> {
        let Some(mut inner) = fields.object("input_audio")? else { return Ok(None) };
        let data = inner.string("data")?.unwrap_or_default();
        let format = inner.string("format")?.unwrap_or_else(|| "wav".to_owned());
        inner.leave(self.losses);
        Ok(Some(Audio { data, format, transcript: None, id: None }))
    }

    fn file(&mut self, fields: &mut Fields<'_>) -> Result<Option<Document>, DecodeError> {
        let Some(mut inner) = fields.object("file")? else { return Ok(None) };
        let title = inner.string("filename")?;
        let data = inner.string("file_data")?;
        let source = match (inner.string("file_id")?, data) {
            (_, Some(data)) => file_source(data, title.as_deref()),
            (Some(id), None) => Source::File(id),
            (None, None) => return Ok(None),
        };
        inner.leave(self.losses);
        Ok(Some(Document { source, title, context: None, citations: false }))
    }
}

fn text(text: String, at: Place) -> Option<Part> {
    let content = Content::Text(Text { text, citations: Vec::new() });
    let is_empty = matches!(&content, Content::Text(text) if text.text.is_empty());
    (!is_empty).then_some(Part { content, cache: None, at })
}

/// A picture that the model has shown.
fn shown(mut fields: Fields<'_>, losses: &mut Vec<Loss>) -> Result<Option<Image>, DecodeError> {
    let image = image(&mut fields, losses)?;
    if image.is_some() {
        fields.ignore(&["type", "index"]);
        fields.leave(losses);
    }
    Ok(image)
}

/// An object with an address, or (not at OpenAI) the address itself.
pub(in crate::dialect::openai_chat) fn image(
    fields: &mut Fields<'_>,
    losses: &mut Vec<Loss>,
) -> Result<Option<Image>, DecodeError> {
    let outer = fields.string("detail")?;
    let Some(field) = fields.take("image_url") else { return Ok(None) };
    if field.kind() == Kind::String {
        return Ok(Some(Image { source: at_address(field.string()?), detail: outer, id: None }));
    }
    let mut inner = field.object()?;
    let detail = inner.string("detail")?.or(outer);
    let Some(url) = inner.string("url")? else { return Ok(None) };
    inner.leave(losses);
    Ok(Some(Image { source: at_address(url), detail, id: None }))
}

fn at_address(url: String) -> Source {
    data_url(&url).unwrap_or(Source::Url(url))
}

/// A data URL, an address (as OpenRouter allows), or the bare base64 that older clients send.
fn file_source(data: String, title: Option<&str>) -> Source {
    if let Some(source) = data_url(&data) {
        return source;
    }
    if data.starts_with("http://") || data.starts_with("https://") {
        return Source::Url(data);
    }
    let is_text = title.is_some_and(|title| title.ends_with(".txt"));
    let media_type = if is_text { "text/plain" } else { "application/pdf" };
    Source::Base64 { media_type: media_type.to_owned(), data }
}

/// `data:image/png;base64,...`
fn data_url(url: &str) -> Option<Source> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media = head.strip_suffix(";base64")?;
    let media = media.split(';').next().filter(|media| !media.is_empty());
    let media_type = media.unwrap_or("application/octet-stream").to_owned();
    Some(Source::Base64 { media_type, data: data.to_owned() })
}
