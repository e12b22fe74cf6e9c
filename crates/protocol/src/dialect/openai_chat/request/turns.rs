//! Writes turns as chat messages; never the wishes beside them.

use std::borrow::Cow;

use crate::conversation::loss::{Aspect, Loss};
use crate::conversation::part::{Content, Document, Image, Part, Source, Takes, ToolResult};
use crate::conversation::request::{Role, Turn};
use crate::dialect::Dialect;
use crate::dialect::openai_chat::wire;
use crate::translate::Manner;

pub(super) fn encode<'a>(
    turns: &'a [Turn],
    manner: Manner,
    losses: &mut Vec<Loss>,
) -> Vec<wire::Message<'a>> {
    let mut writer = Turns { messages: Vec::new(), waiting: Vec::new(), manner, losses };
    for turn in turns {
        match turn.role {
            Role::System => writer.prompt(turn, "system"),
            Role::Developer if manner.lacks_developer => writer.prompt(turn, "system"),
            Role::Developer => writer.prompt(turn, "developer"),
            Role::User => writer.user(turn),
            Role::Assistant => writer.assistant(turn),
        }
    }
    writer.messages.append(&mut writer.waiting);
    writer.messages
}

struct Turns<'a, 'l> {
    messages: Vec<wire::Message<'a>>,
    /// What was said since the assistant spoke and is no result: the results of all calls must come first.
    waiting: Vec<wire::Message<'a>>,
    manner: Manner,
    losses: &'l mut Vec<Loss>,
}

impl<'a> Turns<'a, '_> {
    fn prompt(&mut self, turn: &'a Turn, role: &'static str) {
        let parts = self.parts(&turn.parts);
        self.say(role, turn.name.as_deref(), parts);
    }

    fn user(&mut self, turn: &'a Turn) {
        let mut parts = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::ToolResult(result) => self.result(part, result),
                Content::Text(_)
                | Content::Image(_)
                | Content::Document(_)
                | Content::Audio(_)
                | Content::ToolCall(_)
                | Content::Thinking(_)
                | Content::Refusal(_)
                | Content::Native(_) => parts.extend(self.part(part)),
            }
        }
        let only_results = parts.is_empty() && !turn.parts.is_empty();
        if !only_results {
            self.say("user", turn.name.as_deref(), parts);
        }
    }

    fn say(&mut self, role: &'static str, name: Option<&'a str>, parts: Vec<wire::Part<'a>>) {
        let content = Some(content(parts));
        self.waiting.push(wire::Message { role, name, content, ..wire::Message::default() });
    }

    /// Tool messages hold texts only; the rest follows in the user's name.
    fn result(&mut self, at: &Part, result: &'a ToolResult) {
        let (texts, rest): (Vec<&Part>, Vec<&Part>) = result.parts.iter().partition(|part| is_text(part));
        let mut texts: Vec<wire::Part<'a>> = texts.into_iter().filter_map(|part| self.part(part)).collect();
        let mark = self.mark(at);
        if let Some(last) = texts.last_mut() {
            last.cache_control = mark.or(last.cache_control.take());
        }
        let rest: Vec<wire::Part<'a>> = rest.into_iter().filter_map(|part| self.part(part)).collect();
        if result.is_error {
            self.losses.push(Loss::At(at.at.field("is_error")));
        }
        self.messages.push(wire::Message {
            role: "tool",
            tool_call_id: Some(&result.call_id),
            content: Some(content(texts)),
            ..wire::Message::default()
        });
        if !rest.is_empty() {
            self.say("user", None, rest);
        }
    }

    fn assistant(&mut self, turn: &'a Turn) {
        self.messages.append(&mut self.waiting);
        let mut message =
            wire::Message { role: "assistant", name: turn.name.as_deref(), ..wire::Message::default() };
        let mut texts = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::Text(_) => texts.extend(self.part(part)),
                Content::Refusal(text) => message.refusal.get_or_insert_default().to_mut().push_str(text),
                Content::ToolCall(call) => {
                    let own = call.seal.as_ref().filter(|seal| seal.dialect == Dialect::OpenAiChat);
                    if call.seal.is_some() && own.is_none() {
                        self.losses.push(Loss::Of(part.at.clone(), Aspect::Seal));
                    }
                    let seal = own.map(|seal| seal.value.clone());
                    message.tool_calls.push(match call.takes {
                        Takes::Text if !self.manner.is_original() => wire::Call::wrapped(call, seal),
                        Takes::Text | Takes::Object => wire::Call::of(call, seal),
                    });
                }
                Content::Thinking(thinking) => {
                    if !message.kept.keep(thinking) {
                        self.losses.push(Loss::At(part.at.clone()));
                    }
                }
                Content::Image(_)
                | Content::Document(_)
                | Content::Audio(_)
                | Content::ToolResult(_)
                | Content::Native(_) => self.losses.push(Loss::At(part.at.clone())),
            }
        }
        message.content = (!texts.is_empty()).then(|| said(texts));
        let is_empty = message.content.is_none()
            && message.refusal.is_none()
            && message.tool_calls.is_empty()
            && message.kept.is_empty();
        if !is_empty {
            self.messages.push(message);
        }
    }

    fn parts(&mut self, parts: &'a [Part]) -> Vec<wire::Part<'a>> {
        parts.iter().filter_map(|part| self.part(part)).collect()
    }

    fn part(&mut self, part: &'a Part) -> Option<wire::Part<'a>> {
        let said = match &part.content {
            Content::Text(text) => Some(wire::Said::Text { text: &text.text }),
            Content::Refusal(text) => Some(wire::Said::Text { text }),
            Content::Image(image) => self.image(part, image),
            Content::Document(document) => self.document(part, document),
            Content::Audio(audio) => {
                let input_audio = wire::InputAudio { data: &audio.data, format: &audio.format };
                Some(wire::Said::InputAudio { input_audio })
            }
            Content::ToolCall(_) | Content::ToolResult(_) | Content::Thinking(_) | Content::Native(_) => None,
        };
        let Some(said) = said else {
            self.losses.push(Loss::At(part.at.clone()));
            return None;
        };
        Some(wire::Part { said, cache_control: self.mark(part) })
    }

    fn mark(&mut self, part: &Part) -> Option<wire::CacheControl> {
        let cache = part.cache?;
        if !self.manner.takes_cache_control {
            self.losses.push(Loss::At(part.at.field("cache_control")));
            return None;
        }
        Some(wire::CacheControl::of(cache))
    }

    fn image(&mut self, part: &Part, image: &'a Image) -> Option<wire::Said<'a>> {
        let url = wire::picture_url(&image.source)?;
        let detail = image.detail.as_deref().filter(|detail| ["auto", "low", "high"].contains(detail));
        if image.detail.is_some() && detail.is_none() {
            self.losses.push(Loss::Of(part.at.clone(), Aspect::Detail));
        }
        Some(wire::Said::ImageUrl { image_url: wire::ImageUrl { url, detail } })
    }

    fn document(&mut self, part: &Part, document: &'a Document) -> Option<wire::Said<'a>> {
        let title = document.title.as_deref();
        let said = match &document.source {
            Source::Base64 { media_type, data } => {
                // OpenAI wants a name with the bytes.
                let filename = Some(title.unwrap_or("document.pdf"));
                let file_data = Some(format!("data:{media_type};base64,{data}"));
                wire::Said::File { file: wire::File { file_id: None, filename, file_data } }
            }
            // Other makers' ids begin otherwise, and mean nothing here.
            Source::File(id) if id.starts_with("file-") => {
                wire::Said::File { file: wire::File { file_id: Some(id), filename: None, file_data: None } }
            }
            Source::Text(text) => {
                if title.is_some() {
                    self.losses.push(Loss::Of(part.at.clone(), Aspect::Title));
                }
                wire::Said::Text { text }
            }
            Source::File(_) | Source::Url(_) => return None,
        };
        if document.context.is_some() {
            self.losses.push(Loss::At(part.at.field("context")));
        }
        if document.citations {
            self.losses.push(Loss::At(part.at.field("citations")));
        }
        Some(said)
    }
}

fn is_text(part: &Part) -> bool {
    match &part.content {
        Content::Text(_) | Content::Refusal(_) => true,
        Content::Document(document) => matches!(document.source, Source::Text(_)),
        Content::Image(_)
        | Content::Audio(_)
        | Content::ToolCall(_)
        | Content::ToolResult(_)
        | Content::Thinking(_)
        | Content::Native(_) => false,
    }
}

/// One unmarked text is a string, which every server understands; nothing is an empty one.
fn content(mut parts: Vec<wire::Part<'_>>) -> wire::Content<'_> {
    match parts.as_mut_slice() {
        [] => wire::Content::Text(Cow::Borrowed("")),
        [wire::Part { said: wire::Said::Text { text }, cache_control: None }] => {
            wire::Content::Text(Cow::Borrowed(text))
        }
        _ => wire::Content::Parts(parts),
    }
}

/// What the assistant said is one text, in however many pieces it came.
fn said(parts: Vec<wire::Part<'_>>) -> wire::Content<'_> {
    if parts.len() == 1 || parts.iter().any(|part| part.cache_control.is_some()) {
        return content(parts);
    }
    let texts = parts.iter().map(|part| match part.said {
        wire::Said::Text { text } => text,
        wire::Said::ImageUrl { .. } | wire::Said::InputAudio { .. } | wire::Said::File { .. } => "",
    });
    wire::Content::Text(Cow::Owned(texts.collect()))
}
