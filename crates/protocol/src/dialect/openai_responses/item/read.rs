//! Reads one item of an input or an output; never what stands around it.

use std::borrow::Cow;

use crate::conversation::loss::{Loss, Place};
use crate::conversation::part::{
    Audio, Cache, Citation, Content, Document, Image, Native, Part, Source, Takes, Text, Thinking, ToolCall,
    ToolResult,
};
use crate::conversation::request::Role;
use crate::conversation::seal::{Seal, SealKind};
use crate::conversation::tool::Namespaced;
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{self, Fields};
use crate::dialect::openai_responses::tool;
use crate::json::Kind;

/// What an item says, and who says it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
}

/// Reads items.
pub(crate) struct Reader<'r> {
    /// The names that tools in namespaces go by.
    pub(crate) names: &'r [Namespaced],
    /// What could not be read goes here.
    pub(crate) losses: &'r mut Vec<Loss>,
}

impl Reader<'_> {
    /// Reads the item that `written` is.
    ///
    /// Ids and states of items are the bookkeeping of whoever stores them; no model sees them, so that nothing is lost
    /// with them.
    pub(crate) fn item(&mut self, written: &str, at: Place) -> Result<Item, DecodeError> {
        let mut object = Fields::read(written, at)?;
        let kind = object.text("type")?;
        match kind.as_deref() {
            Some("message") => self.message(object),
            None if object.has("role") => self.message(object),
            Some("function_call") => self.call(object, Takes::Object),
            Some("custom_tool_call") => self.call(object, Takes::Text),
            Some("function_call_output") => self.result(object, Takes::Object),
            Some("custom_tool_call_output") => self.result(object, Takes::Text),
            Some("reasoning") => self.reasoning(object),
            Some("image_generation_call") if object.peek("result").is_some_and(is_text) => self.drawn(object),
            Some(_) | None => {
                let from_user = kind.is_some_and(|kind| {
                    kind.ends_with("_output") || kind.ends_with("_response") || kind == "compaction_trigger"
                });
                let role = if from_user { Role::User } else { Role::Assistant };
                let native = Native { dialect: Dialect::OpenAiResponses, json: object::json(written) };
                Ok(one(role, Content::Native(native), object.place().clone()))
            }
        }
    }

    fn message(&mut self, mut object: Fields<'_>) -> Result<Item, DecodeError> {
        let role = match object.text("role")?.as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some("developer") => Role::Developer,
            Some(_) | None => {
                return Err(object.wrong("role", "`user`, `assistant`, `system` or `developer`"));
            }
        };
        let at = object.place().field("content");
        let parts = match object.written("content") {
            Some(written) => self.content(written, &at)?,
            None => Vec::new(),
        };
        object.ignore(&["id", "status"]);
        object.leave(self.losses);
        Ok(Item { role, parts })
    }

    /// Reads a text, or a list of pieces.
    fn content(&mut self, written: &str, at: &Place) -> Result<Vec<Part>, DecodeError> {
        if let Some(text) = object::string(written) {
            return Ok(vec![text_part(text, at.clone())]);
        }
        if object::kind(written) != Kind::Array {
            return Err(DecodeError::WrongType {
                param: at.to_string(),
                expected: "a string or a list of parts",
            });
        }
        let mut parts = Vec::new();
        for (number, piece) in object::elements(written, at)?.into_iter().enumerate() {
            parts.extend(self.piece(piece, at.item(number))?);
        }
        Ok(parts)
    }

    /// Reads one piece of a content.
    pub(crate) fn piece(&mut self, written: &str, at: Place) -> Result<Option<Part>, DecodeError> {
        if let Some(text) = object::string(written) {
            return Ok(Some(text_part(text, at)));
        }
        let mut object = Fields::read(written, at.clone())?;
        let content = match object.text("type")?.as_deref() {
            Some("input_text" | "output_text" | "text" | "summary_text" | "reasoning_text") => {
                Content::Text(self.text(&mut object)?)
            }
            Some("refusal") => Content::Refusal(object.required("refusal")?),
            Some("input_image") => image(&mut object)?,
            Some("input_file") => file(&mut object)?,
            Some("input_audio") => {
                let Some(mut sound) = object.object("input_audio")? else {
                    return Err(object.wrong("input_audio", "an object"));
                };
                let (data, format) = (sound.required("data")?, sound.required("format")?);
                sound.leave(self.losses);
                Content::Audio(Audio { data, format, transcript: None, id: None })
            }
            Some(_) | None => {
                self.losses.push(Loss::At(at));
                return Ok(None);
            }
        };
        let cache = cache(&mut object)?;
        object.leave(self.losses);
        Ok(Some(Part { content, cache, at }))
    }

    fn text(&mut self, object: &mut Fields<'_>) -> Result<Text, DecodeError> {
        let text = object.required("text")?;
        let mut citations = Vec::new();
        let at = object.place().field("annotations");
        for (number, written) in object.elements("annotations")?.into_iter().enumerate() {
            match annotation(written, at.item(number))? {
                Some(citation) => citations.push(citation),
                None => self.losses.push(Loss::At(at.item(number))),
            }
        }
        // What the model thought of other words is of no use to anybody but who reads the answer.
        object.ignore(&["logprobs"]);
        Ok(Text { text, citations })
    }

    fn call(&mut self, mut object: Fields<'_>, takes: Takes) -> Result<Item, DecodeError> {
        let (id, written_name) = (object.required("call_id")?, object.required("name")?);
        let name = tool::name_of(self.names, object.text("namespace")?.as_deref(), &written_name);
        let field = match takes {
            Takes::Object => "arguments",
            Takes::Text => "input",
        };
        // Some clients write the object itself instead of its text.
        let arguments = object
            .written(field)
            .map_or(Cow::Borrowed(""), |written| object::string(written).unwrap_or(Cow::Borrowed(written)));
        let call = ToolCall { id, name, arguments: arguments.into_owned(), takes, seal: None };
        object.ignore(&["id", "status"]);
        let item = one(Role::Assistant, Content::ToolCall(call), object.place().clone());
        object.leave(self.losses);
        Ok(item)
    }

    fn result(&mut self, mut object: Fields<'_>, takes: Takes) -> Result<Item, DecodeError> {
        let call_id = object.required("call_id")?;
        let namespace = object.text("namespace")?;
        let name = object.text("name")?.map(|name| tool::name_of(self.names, namespace.as_deref(), &name));
        let at = object.place().field("output");
        let parts = match object.written("output") {
            None => Vec::new(),
            Some(written) => match object::kind(written) {
                Kind::String | Kind::Array => self.content(written, &at)?,
                // An object of the client's own: the model reads its text.
                Kind::Object | Kind::Number | Kind::True | Kind::False | Kind::Null | Kind::Nothing => {
                    vec![text_part(Cow::Borrowed(written), at)]
                }
            },
        };
        object.ignore(&["id", "status"]);
        let result = ToolResult { call_id, name, parts, is_error: false, takes };
        let item = one(Role::User, Content::ToolResult(result), object.place().clone());
        object.leave(self.losses);
        Ok(item)
    }

    fn reasoning(&mut self, mut object: Fields<'_>) -> Result<Item, DecodeError> {
        let summary = self.joined(&mut object, "summary")?;
        let thought = self.joined(&mut object, "content")?;
        let id = object.string("id")?;
        let sealed = object.text("encrypted_content")?.filter(|sealed| !sealed.is_empty());
        let seal = sealed.map(|sealed| {
            let seal = Seal::kept(Dialect::OpenAiResponses, SealKind::Encrypted, &sealed);
            if seal.dialect == Dialect::OpenAiResponses && seal.id.is_none() {
                return Seal { id: id.clone(), ..seal };
            }
            seal
        });
        if thought.is_some() && summary.is_some() {
            self.losses.push(Loss::At(object.place().field("summary")));
        }
        let is_summary = thought.is_none();
        let text = thought.or(summary).unwrap_or_default();
        object.ignore(&["status"]);
        let thinking = Thinking { text, is_summary, seal, id };
        let item = one(Role::Assistant, Content::Thinking(thinking), object.place().clone());
        object.leave(self.losses);
        Ok(item)
    }

    /// A picture that the model has drawn. How it came to that is nothing that anybody else reads.
    fn drawn(&mut self, mut object: Fields<'_>) -> Result<Item, DecodeError> {
        let format = object.string("output_format")?;
        let media_type = format!("image/{}", format.as_deref().unwrap_or("png"));
        let source = Source::Base64 { media_type, data: object.required("result")? };
        let image = Image { source, detail: None, id: object.string("id")? };
        object.ignore(&["status", "action", "background", "quality", "revised_prompt", "size"]);
        let item = one(Role::Assistant, Content::Image(image), object.place().clone());
        object.leave(self.losses);
        Ok(item)
    }

    /// The texts of a list as one; none where there is no text.
    fn joined(&mut self, object: &mut Fields<'_>, field: &str) -> Result<Option<String>, DecodeError> {
        let at = object.place().field(field);
        let mut joined: Option<String> = None;
        for (number, written) in object.elements(field)?.into_iter().enumerate() {
            let Some(Part { content: Content::Text(text), .. }) = self.piece(written, at.item(number))?
            else {
                continue;
            };
            match &mut joined {
                Some(joined) => {
                    joined.push_str(PARAGRAPH);
                    joined.push_str(&text.text);
                }
                None => joined = Some(text.text),
            }
        }
        Ok(joined)
    }
}

/// What stands between the parts of a thought, where they become one.
pub(crate) const PARAGRAPH: &str = "\n\n";

/// Reads a source of a text; none where it is of a kind that is not known.
pub(crate) fn annotation(written: &str, at: Place) -> Result<Option<Citation>, DecodeError> {
    let mut object = Fields::read(written, at)?;
    let kind = object.text("type")?;
    let citation = match kind.as_deref() {
        Some("url_citation") => {
            let range = object.count("start_index")?.zip(object.count("end_index")?);
            Citation {
                url: object.string("url")?.unwrap_or_default(),
                title: object.string("title")?,
                quote: None,
                range,
            }
        }
        Some("file_citation" | "container_file_citation") => {
            Citation { title: object.string("filename")?, ..Citation::default() }
        }
        Some(_) | None => return Ok(None),
    };
    Ok(Some(citation))
}

fn one(role: Role, content: Content, at: Place) -> Item {
    Item { role, parts: vec![Part { content, cache: None, at }] }
}

fn text_part(text: Cow<'_, str>, at: Place) -> Part {
    let text = Text { text: text.into_owned(), citations: Vec::new() };
    Part { content: Content::Text(text), cache: None, at }
}

/// Whether a value is a text with something in it.
fn is_text(written: &str) -> bool {
    object::kind(written) == Kind::String && written != "\"\""
}

fn image(object: &mut Fields<'_>) -> Result<Content, DecodeError> {
    let source = match (object.text("image_url")?, object.string("file_id")?) {
        (Some(url), _) => address(&url),
        (None, Some(id)) => Source::File(id),
        (None, None) => return Err(object.wrong("image_url", "a string")),
    };
    Ok(Content::Image(Image { source, detail: object.string("detail")?, id: None }))
}

fn file(object: &mut Fields<'_>) -> Result<Content, DecodeError> {
    let title = object.string("filename")?;
    let data = object.text("file_data")?;
    let source = match (data, object.text("file_url")?, object.string("file_id")?) {
        (Some(data), _, _) if data.starts_with("data:") => address(&data),
        (Some(data), _, _) => {
            Source::Base64 { media_type: media_type(title.as_deref()).to_owned(), data: data.into_owned() }
        }
        (None, Some(url), _) => Source::Url(url.into_owned()),
        (None, None, Some(id)) => Source::File(id),
        (None, None, None) => return Err(object.wrong("file_data", "a string")),
    };
    Ok(Content::Document(Document { source, title, context: None, citations: false }))
}

/// An address, or the bytes that a `data:` address holds.
fn address(url: &str) -> Source {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((media_type, data)) => {
            Source::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
        }
        None => Source::Url(url.to_owned()),
    }
}

/// What a file is, told by its name where nothing else tells.
fn media_type(name: Option<&str>) -> &'static str {
    let ending = name.and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("pdf") => "application/pdf",
        Some("txt" | "md") => "text/plain",
        Some("csv") => "text/csv",
        Some("html") => "text/html",
        Some("json") => "application/json",
        Some(_) | None => "application/octet-stream",
    }
}

fn cache(object: &mut Fields<'_>) -> Result<Option<Cache>, DecodeError> {
    let Some(mut mark) = object.object("prompt_cache_breakpoint")? else { return Ok(None) };
    Ok(Some(match mark.text("ttl")?.as_deref() {
        Some("12h") => Cache::Hour,
        Some(_) | None => Cache::Usual,
    }))
}
