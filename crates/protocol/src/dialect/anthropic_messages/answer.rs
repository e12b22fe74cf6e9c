//! Reads and writes whole messages; never their streams.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::finish::{self, Calls};
use super::request::CALL_SEAL;
use super::usage::Written as WrittenUsage;
use super::wire::{Block, Input, Item, id};
use super::{citation, usage};
use crate::conversation::answer::{Answer, AnswerPlan, Finish};
use crate::conversation::part::{Content, Json, Native, Part, Takes, Text, Thinking, ToolCall};
use crate::conversation::seal::{Seal, SealKind};
use crate::dialect::Dialect;
use crate::dialect::answer::inspect_answer;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{Field, Fields};
use crate::dialect::write::json;
use crate::failure::{Failure, FailureKind};

const OWN: Dialect = Dialect::AnthropicMessages;

/// Reads a whole message. What a block lacks is made up for; a block that is none is left out.
pub(super) fn decode(text: &str) -> Result<Answer, Failure> {
    inspect_answer(OWN, text.as_bytes())?;
    message(text).map_err(|error| Failure::new(FailureKind::Malformed, error.to_string()))
}

fn message(text: &str) -> Result<Answer, DecodeError> {
    let mut fields = Fields::body(text)?;
    let mut answer = Answer {
        id: fields.string("id")?.unwrap_or_default(),
        model: fields.string("model")?.unwrap_or_default(),
        ..Answer::default()
    };
    for field in fields.list("content")? {
        answer.parts.extend(block(&field).map(Part::new));
    }
    let sequence = fields.string("stop_sequence")?;
    answer.finish = match fields.string("stop_reason")? {
        Some(reason) => finish::read(&reason, sequence),
        None => Finish::Stop,
    };
    if let Some(mut details) = fields.object("stop_details")? {
        let said = details.string("explanation")?.filter(|said| !said.is_empty());
        answer.parts.extend(said.map(|said| Part::new(Content::Refusal(said))));
    }
    if let Some(raw) = fields.take("usage") {
        answer.usage = usage::read(raw.text, None);
        answer.service_tier = usage::tier(raw.text);
    }
    Ok(answer)
}

fn block(field: &Field<'_>) -> Option<Content> {
    let mut fields = field.clone().object().ok()?;
    let kind = fields.string("type").ok()??;
    let mut text = |name: &str| fields.string(name).ok().flatten();
    Some(match kind.as_str() {
        "text" => {
            let text = text("text").unwrap_or_default();
            let citations = fields.list("citations").unwrap_or_default();
            Content::Text(Text {
                text,
                citations: citations.into_iter().filter_map(|field| citation::read(field.text)).collect(),
            })
        }
        "thinking" => Content::Thinking(Thinking {
            text: text("thinking").unwrap_or_default(),
            is_summary: true,
            seal: text("signature")
                .filter(|value| !value.is_empty())
                .map(|value| own(SealKind::Signature, value)),
            id: None,
        }),
        "redacted_thinking" => Content::Thinking(Thinking {
            is_summary: true,
            seal: Some(own(SealKind::Encrypted, text("data")?)),
            ..Thinking::default()
        }),
        "tool_use" => Content::ToolCall(ToolCall {
            id: text("id").unwrap_or_default(),
            name: text("name")?,
            arguments: fields.take("input").map_or("{}", |input| input.text).to_owned(),
            takes: Takes::Object,
            seal: None,
        }),
        _ => Content::Native(Native { dialect: OWN, json: field.json().ok()? }),
    })
}

/// A seal that the service has made.
pub(super) fn own(kind: SealKind, value: String) -> Seal {
    Seal { dialect: OWN, kind, value, id: None, maker: None }
}

#[derive(Serialize)]
struct Message<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Item<'a>>,
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
    usage: WrittenUsage<'a>,
}

/// Writes a whole message.
pub(super) fn encode(answer: &Answer, plan: &AnswerPlan) -> Bytes {
    let calls = answer.parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let calls = if calls { Calls::Some } else { Calls::None };
    let (stop_reason, stop_sequence) = finish::written(&answer.finish, calls);
    let message = Message {
        id: message_id(&answer.id, plan),
        r#type: "message",
        role: "assistant",
        model: &plan.model,
        content: answer.parts.iter().flat_map(items).collect(),
        stop_reason,
        stop_sequence,
        usage: WrittenUsage::of(&answer.usage.unwrap_or_default(), answer.service_tier.as_deref()),
    };
    json(&message)
}

/// The provider's id, else one made of the request's.
pub(super) fn message_id<'a>(given: &'a str, plan: &AnswerPlan) -> Cow<'a, str> {
    if given.is_empty() { Cow::Owned(format!("msg_{}", plan.id)) } else { Cow::Borrowed(given) }
}

/// A part as a client reads it. Empty texts are left out: sent back, they would be refused.
fn items(part: &Part) -> Vec<Item<'_>> {
    let said = |text: &str| !text.is_empty();
    let block = match &part.content {
        Content::Text(Text { text, citations }) if said(text) => Block::Text {
            text: Cow::Borrowed(text),
            citations: citations.iter().map(citation::Written::of).collect(),
            cache_control: None,
        },
        Content::Refusal(text) if said(text) => {
            Block::Text { text: Cow::Borrowed(text), citations: Vec::new(), cache_control: None }
        }
        Content::Thinking(thought) => return thinking(thought).map(Item::Block).into_iter().collect(),
        Content::ToolCall(call) => {
            let input = Input::of(call);
            let call_use = Block::ToolUse { id: id(&call.id), name: &call.name, input, cache_control: None };
            let seal = call.seal.as_ref().map(call_seal);
            return [Some(call_use), seal].into_iter().flatten().map(Item::Block).collect();
        }
        Content::Native(native) if native.dialect == OWN => return vec![Item::Native(native.json.raw())],
        // A model answers in no other way here, or one that only another dialect knows.
        Content::Text(_)
        | Content::Refusal(_)
        | Content::Native(_)
        | Content::Image(_)
        | Content::Document(_)
        | Content::Audio(_)
        | Content::ToolResult(_) => return Vec::new(),
    };
    vec![Item::Block(block)]
}

fn thinking(thought: &Thinking) -> Option<Block<'_>> {
    match &thought.seal {
        Some(seal) if seal.kind == SealKind::Encrypted && thought.text.is_empty() => {
            Some(Block::RedactedThinking { data: Cow::Owned(seal.shown_in(OWN)) })
        }
        Some(seal) => {
            Some(Block::Thinking { thinking: &thought.text, signature: Cow::Owned(seal.shown_in(OWN)) })
        }
        None if thought.text.is_empty() => None,
        None => Some(Block::Thinking { thinking: &thought.text, signature: Cow::Borrowed("") }),
    }
}

/// A call has no place for a seal here, so a thought that nobody can read follows it.
pub(super) fn call_seal(seal: &Seal) -> Block<'static> {
    Block::RedactedThinking { data: Cow::Owned(format!("{CALL_SEAL}{}", seal.shown_in(OWN))) }
}

/// The same block with another input.
pub(super) fn with_input(block: &Json, input: &str) -> Option<Json> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(block.as_str()).ok()?;
    fields.insert("input".to_owned(), RawValue::from_string(input.to_owned()).ok()?);
    Json::read(&serde_json::to_string(&fields).ok()?)
}
