//! Writes what was said so far, so that the service accepts it; never what else a request holds.
//!
//! The service knows one system prompt and turns that alternate. What the system says before anybody else is that prompt;
//! what it says later stays in its place, as a text of the user that is marked (`<system>`), because models that accept
//! a system turn there are few. Neighbours of one role are one turn, in which results of tools come first. A conversation
//! that the model has opened gets a word of the user before it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::conversation::loss::{Aspect, Loss};
use crate::conversation::part::{
    Content, Document, Image, Part, Source, Takes, Text, Thinking, ToolCall, ToolResult,
};
use crate::conversation::request::{Role, Turn};
use crate::conversation::seal::SealKind;
use crate::dialect::Dialect;
use crate::dialect::anthropic_messages::wire::{self, Block, CacheControl, Enabled, Input, Item, id};

const OWN: Dialect = Dialect::AnthropicMessages;
/// Stands before a model's words that nothing came before; the service wants something there.
const OPENING: &str = "(The assistant speaks first.)";

/// All that was said.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) system: Vec<Item<'a>>,
    pub(super) messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: Side,
    content: Vec<Item<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    User,
    Assistant,
}

/// Writes the turns.
pub(super) fn said<'a>(turns: &'a [Turn], losses: &mut Vec<Loss>) -> Said<'a> {
    let mut said = Said::default();
    for turn in turns {
        losses.extend(turn.name.as_ref().map(|_| Loss::At(turn.at.field("name"))));
        match turn.role {
            Role::System | Role::Developer if said.messages.is_empty() => {
                said.system.extend(turn.parts.iter().filter_map(|part| system(part, losses)));
            }
            Role::System | Role::Developer => {
                let marked = turn.parts.iter().filter_map(|part| marked(part, losses)).collect();
                said.push(Side::User, marked);
            }
            Role::User => said.push(Side::User, items(&turn.parts, losses)),
            Role::Assistant => {
                let spoken = turn.parts.iter().filter_map(|part| spoken(part, losses)).collect();
                said.push(Side::Assistant, spoken);
            }
        }
    }
    said.settle();
    said
}

impl<'a> Said<'a> {
    fn push(&mut self, role: Side, mut content: Vec<Item<'a>>) {
        match self.messages.last_mut() {
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.append(&mut content),
            Some(_) | None => self.messages.push(Message { role, content }),
        }
    }

    /// Brings the turns into the order that is demanded.
    fn settle(&mut self) {
        if self.messages.is_empty() && !self.system.is_empty() {
            // A request that consists of instructions alone asks for something all the same.
            self.messages.push(Message { role: Side::User, content: std::mem::take(&mut self.system) });
        }
        if self.messages.first().is_none_or(|first| first.role == Side::Assistant) {
            let content = vec![text(Cow::Borrowed(OPENING))];
            self.messages.insert(0, Message { role: Side::User, content });
        }
        for message in self.messages.iter_mut().filter(|message| message.role == Side::User) {
            message.content.sort_by_key(|item| !matches!(item, Item::Block(Block::ToolResult { .. })));
        }
        // An answer that is begun for the model may not end in white space.
        if let Some(Message { role: Side::Assistant, content }) = self.messages.last_mut()
            && let Some(Item::Block(Block::Text { text, .. })) = content.last_mut()
        {
            *text = match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim_end()),
                Cow::Owned(text) => Cow::Owned(text.trim_end().to_owned()),
            };
        }
    }

    /// The model's last turn calls tools without having begun with a thought.
    pub(super) fn in_unthought_loop(&self) -> bool {
        let last = self.messages.iter().rfind(|message| message.role == Side::Assistant);
        last.is_some_and(|last| {
            let calls = last.content.iter().any(|item| matches!(item, Item::Block(Block::ToolUse { .. })));
            let thinks = matches!(
                last.content.first(),
                Some(Item::Block(Block::Thinking { .. } | Block::RedactedThinking { .. }))
            );
            calls && !thinks
        })
    }
}

fn items<'a>(parts: &'a [Part], losses: &mut Vec<Loss>) -> Vec<Item<'a>> {
    parts.iter().filter_map(|part| item(part, losses)).collect()
}

/// Writes a part of what the model has said: pictures and documents are the user's alone.
fn spoken<'a>(part: &'a Part, losses: &mut Vec<Loss>) -> Option<Item<'a>> {
    if let Content::Image(_) | Content::Document(_) = part.content {
        losses.push(Loss::At(part.at.clone()));
        return None;
    }
    item(part, losses)
}

/// Writes a part; what cannot be said is lost, and an empty text says nothing.
fn item<'a>(part: &'a Part, losses: &mut Vec<Loss>) -> Option<Item<'a>> {
    let cache_control = part.cache.map(CacheControl::of);
    let block = match &part.content {
        Content::Text(said) => return words(part, said, cache_control, losses),
        Content::Refusal(said) if !said.trim().is_empty() => {
            Some(Block::Text { text: Cow::Borrowed(said), citations: Vec::new(), cache_control })
        }
        Content::Refusal(_) => return None,
        Content::Image(image) => picture(part, image, cache_control, losses),
        Content::Document(document) => paper(document, cache_control),
        Content::ToolCall(call) => Some(tool_use(part, call, cache_control, losses)),
        Content::ToolResult(result) => Some(tool_result(result, cache_control, losses)),
        Content::Thinking(thought) => thinking(thought),
        Content::Native(native) if native.dialect == OWN => return Some(Item::Native(native.json.raw())),
        Content::Native(_) | Content::Audio(_) => None,
    };
    if block.is_none() {
        losses.push(Loss::At(part.at.clone()));
    }
    block.map(Item::Block)
}

fn text(text: Cow<'_, str>) -> Item<'_> {
    Item::Block(Block::Text { text, citations: Vec::new(), cache_control: None })
}

/// Texts of white space only are refused.
fn words<'a>(
    part: &'a Part,
    said: &'a Text,
    cache_control: Option<CacheControl>,
    losses: &mut Vec<Loss>,
) -> Option<Item<'a>> {
    if said.text.trim().is_empty() {
        losses.extend((!said.text.is_empty()).then(|| Loss::At(part.at.clone())));
        return None;
    }
    // They come back to the service only with an index of its own.
    losses.extend((!said.citations.is_empty()).then(|| Loss::At(part.at.field("citations"))));
    Some(Item::Block(Block::Text { text: Cow::Borrowed(&said.text), citations: Vec::new(), cache_control }))
}

fn system<'a>(part: &'a Part, losses: &mut Vec<Loss>) -> Option<Item<'a>> {
    match &part.content {
        Content::Text(said) => words(part, said, part.cache.map(CacheControl::of), losses),
        Content::Image(_)
        | Content::Document(_)
        | Content::Audio(_)
        | Content::ToolCall(_)
        | Content::ToolResult(_)
        | Content::Thinking(_)
        | Content::Refusal(_)
        | Content::Native(_) => {
            losses.push(Loss::At(part.at.clone()));
            None
        }
    }
}

fn marked<'a>(part: &'a Part, losses: &mut Vec<Loss>) -> Option<Item<'a>> {
    let mut item = system(part, losses)?;
    if let Item::Block(Block::Text { text, .. }) = &mut item {
        *text = Cow::Owned(format!("<system>\n{text}\n</system>"));
    }
    Some(item)
}

fn picture<'a>(
    part: &Part,
    image: &'a Image,
    cache_control: Option<CacheControl>,
    losses: &mut Vec<Loss>,
) -> Option<Block<'a>> {
    let source = match &image.source {
        Source::Base64 { media_type, data } => wire::Source::Base64 { media_type, data },
        Source::Url(url) => wire::Source::Url { url },
        Source::File(file_id) => own_file(file_id)?,
        Source::Text(_) => return None,
    };
    let close = image.detail.as_deref().is_some_and(|detail| detail != "auto");
    losses.extend(close.then(|| Loss::Of(part.at.clone(), Aspect::Detail)));
    Some(Block::Image { source, cache_control })
}

fn paper(document: &Document, cache_control: Option<CacheControl>) -> Option<Block<'_>> {
    let source = match &document.source {
        Source::Base64 { media_type, data } if media_type == "application/pdf" => {
            wire::Source::Base64 { media_type, data }
        }
        Source::Base64 { media_type, data } if media_type.starts_with("text/") => {
            let text = String::from_utf8(STANDARD.decode(data).ok()?).ok()?;
            wire::Source::Text { media_type: "text/plain", data: Cow::Owned(text) }
        }
        Source::Base64 { .. } => return None,
        Source::Url(url) => wire::Source::Url { url },
        Source::File(file_id) => own_file(file_id)?,
        Source::Text(data) => wire::Source::Text { media_type: "text/plain", data: Cow::Borrowed(data) },
    };
    Some(Block::Document {
        source,
        title: document.title.as_deref(),
        context: document.context.as_deref(),
        citations: document.citations.then_some(Enabled { enabled: true }),
        cache_control,
    })
}

/// An id says whose file it is: other services write theirs with other marks.
fn own_file(file_id: &str) -> Option<wire::Source<'_>> {
    file_id.starts_with("file_").then_some(wire::Source::File { file_id })
}

fn tool_use<'a>(
    part: &Part,
    call: &'a ToolCall,
    cache_control: Option<CacheControl>,
    losses: &mut Vec<Loss>,
) -> Block<'a> {
    let input = Input::of(call);
    let is_broken = call.takes == Takes::Object && matches!(input, Input::Text { .. });
    losses.extend(is_broken.then(|| Loss::Of(part.at.clone(), Aspect::Arguments)));
    // No call has a seal here: it is another dialect's.
    losses.extend(call.seal.as_ref().map(|_| Loss::Of(part.at.clone(), Aspect::Seal)));
    Block::ToolUse { id: id(&call.id), name: &call.name, input, cache_control }
}

fn tool_result<'a>(
    result: &'a ToolResult,
    cache_control: Option<CacheControl>,
    losses: &mut Vec<Loss>,
) -> Block<'a> {
    let (said, foreign): (Vec<&Part>, Vec<&Part>) =
        result.parts.iter().partition(|part| match part.content {
            Content::Text(_) | Content::Image(_) | Content::Document(_) | Content::Native(_) => true,
            Content::Audio(_)
            | Content::ToolCall(_)
            | Content::ToolResult(_)
            | Content::Thinking(_)
            | Content::Refusal(_) => false,
        });
    losses.extend(foreign.into_iter().map(|part| Loss::At(part.at.clone())));
    Block::ToolResult {
        tool_use_id: id(&result.call_id),
        content: said.into_iter().filter_map(|part| item(part, losses)).collect(),
        is_error: result.is_error,
        cache_control,
    }
}

/// Only thoughts that the service has sealed come back to it: it checks.
fn thinking(thought: &Thinking) -> Option<Block<'_>> {
    let seal = thought.seal.as_ref().filter(|seal| seal.dialect == OWN)?;
    Some(match seal.kind {
        SealKind::Signature => {
            Block::Thinking { thinking: &thought.text, signature: Cow::Borrowed(&seal.value) }
        }
        SealKind::Encrypted => Block::RedactedThinking { data: Cow::Borrowed(&seal.value) },
    })
}
