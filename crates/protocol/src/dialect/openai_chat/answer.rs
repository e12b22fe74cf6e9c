//! Whole chat answers: what an upstream's means, and how a client's is written; never a stream.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use super::stream::chunk;
use super::stream::read::{Reader, Sort};
use super::thought::Detail;
use super::{usage, wire};
use crate::conversation::answer::{Answer, AnswerPlan, Finish};
use crate::conversation::collect::Collector;
use crate::conversation::event::Event;
use crate::conversation::part::{Content, characters};
use crate::conversation::request::Request;
use crate::conversation::tool::Tool;
use crate::dialect::answer::broken;
use crate::dialect::openai::error;
use crate::dialect::write;
use crate::failure::{Failure, FailureKind};

#[cfg(test)]
mod tests;

pub(crate) fn decode(text: &str) -> Result<Answer, Failure> {
    if let Some(failure) = text.trim_start().starts_with('[').then(|| error::listed(text)).flatten() {
        return Err(failure);
    }
    let chunk = chunk::read(text).map_err(|bad| broken(text.as_bytes(), bad))?;
    let service_tier = chunk.service_tier.clone().map(Cow::into_owned);
    let mut steps = Vec::new();
    let mut reader = Reader::default();
    reader.take(chunk, Sort::Whole, &mut steps);
    reader.end_whole(&mut steps);
    if let Some(Event::Failed(failure)) = steps.last() {
        return Err(failure.clone());
    }
    // Without a choice nothing was answered, which is not a short answer.
    if steps.is_empty() {
        return Err(Failure::new(FailureKind::Malformed, "the answer holds no choice"));
    }
    let mut collector = Collector::default();
    steps.iter().for_each(|step| collector.take(step));
    Ok(Answer { service_tier, ..collector.into_answer() })
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    id: Cow<'a, str>,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<usage::Wire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: u64,
    message: Message<'a>,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Debug, Default, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<Detail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<wire::Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<wire::CalledFunction<'a>>,
    annotations: Vec<wire::Annotation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<wire::Shown<'a>>,
}

pub(crate) fn encode(answer: &Answer, plan: &AnswerPlan) -> Bytes {
    let calls = Calls::of(&plan.request);
    let message = message(answer, calls, &plan.request);
    let finish_reason = calls.finish_reason(&answer.finish, message.refusal.as_deref());
    let id = match answer.id.as_str() {
        "" => Cow::Owned(format!("chatcmpl-{}", plan.id)),
        id => Cow::Borrowed(id),
    };
    write::json(&Body {
        id,
        object: "chat.completion",
        created: plan.created,
        model: &plan.model,
        choices: [Choice { index: 0, message, logprobs: (), finish_reason }],
        usage: answer.usage.as_ref().map(usage::Wire::of),
        service_tier: answer.service_tier.as_deref(),
    })
}

fn message<'a>(answer: &'a Answer, calls: Calls, request: &Request) -> Message<'a> {
    let mut message = Message { role: "assistant", ..Message::default() };
    let mut thoughts = 0;
    for part in &answer.parts {
        match &part.content {
            Content::Text(text) => {
                let content = message.content.get_or_insert_default();
                if !text.citations.is_empty() {
                    let start = characters(content);
                    let place = start..start + characters(&text.text);
                    let cited = text.citations.iter();
                    message.annotations.extend(cited.map(|it| wire::Annotation::of(it, place.clone())));
                }
                content.push_str(&text.text);
            }
            Content::Refusal(text) => message.refusal.get_or_insert_default().push_str(text),
            Content::Thinking(thinking) => {
                if !thinking.text.is_empty() {
                    message.reasoning_content.get_or_insert_default().push_str(&thinking.text);
                    let text = thinking.text.clone();
                    let detail = match thinking.is_summary && thinking.id.is_some() {
                        true => Detail::of_summary(text, thoughts),
                        false => Detail::of_text(text, thoughts),
                    };
                    message.reasoning_details.push(detail);
                }
                let seal = thinking.seal.as_ref().and_then(|seal| Detail::of_seal(seal, thoughts));
                message.reasoning_details.extend(seal);
                thoughts += 1;
            }
            Content::ToolCall(call) if calls == Calls::Function => {
                message.function_call = Some(wire::CalledFunction::of(call));
            }
            Content::ToolCall(call) => message.tool_calls.push(wire::Call::shown(call, request)),
            Content::Image(image) => {
                message.images.extend(wire::Shown::of(image, message.images.len() as u64))
            }
            Content::Document(_) | Content::Audio(_) | Content::ToolResult(_) | Content::Native(_) => {}
        }
    }
    message
}

/// In which words a client reads of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    /// `tool_calls`
    Tools,
    /// The one `function_call` that clients know who offer `functions`.
    Function,
}

impl Calls {
    pub(super) fn of(request: &Request) -> Self {
        let offers_functions = |tool: &Tool| tool.at.as_str().starts_with("functions[");
        if request.tools.first().is_some_and(offers_functions) { Calls::Function } else { Calls::Tools }
    }

    /// Why an answer ends, as OpenAI says it. `refusal` is what the message says of that.
    pub(super) fn finish_reason(self, finish: &Finish, refusal: Option<&str>) -> &'static str {
        match finish {
            Finish::Stop | Finish::StopSequence(_) | Finish::Paused => "stop",
            Finish::Length => "length",
            Finish::ToolCalls if self == Calls::Function => "function_call",
            Finish::ToolCalls => "tool_calls",
            // Where it has no words, only the reason tells of it.
            Finish::Refusal if refusal.is_some() => "stop",
            Finish::Refusal | Finish::ContentFilter => "content_filter",
        }
    }
}
