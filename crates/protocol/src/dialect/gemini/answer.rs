//! Reads and writes whole answers; never streams.

use bytes::Bytes;
use serde::Serialize;
use std::borrow::Cow;

use super::reply::{self, Candidate, Reply};
use super::request::parts;
use super::sources::Grounding;
use super::usage::Metadata;
use super::wire::Piece;
use super::write::{self, ContentOut, PartOut};
use super::{SELF, seal};
use crate::conversation::answer::{Answer, AnswerPlan, Finish};
use crate::conversation::part::{Content, Image, Json, Native, Part, Takes, Text, Thinking, ToolCall};
use crate::conversation::seal::{Seal, SealKind};
use crate::dialect::write::json;
use crate::failure::{Failure, FailureKind};

/// What was answered. An error in disguise is a failure, and so is a call that the model has botched.
pub(super) fn decode(text: &str) -> Result<Answer, Failure> {
    let reply = Reply::read(text).map_err(|bad| {
        let kind = if bad.cut { FailureKind::Truncated } else { FailureKind::Malformed };
        Failure::new(kind, format!("the answer is not JSON: {bad}"))
    })?;
    if let Some(failure) = reply.failure {
        return Err(failure);
    }
    let mut answer = Answer {
        id: reply.id.unwrap_or_default().into_owned(),
        model: reply.model.unwrap_or_default().into_owned(),
        usage: reply.usage,
        ..Answer::default()
    };
    match (reply.candidate, reply.blocked) {
        (Some(candidate), _) => take(candidate, &mut answer)?,
        (None, Some(_)) => answer.finish = Finish::ContentFilter,
        (None, None) => {
            return Err(Failure::new(FailureKind::Malformed, "the answer holds no candidate"));
        }
    }
    Ok(answer)
}

fn take(candidate: Candidate<'_>, answer: &mut Answer) -> Result<(), Failure> {
    // Which part each piece has become, for the sources that refer to it.
    let mut places = Vec::with_capacity(candidate.pieces.len());
    let mut calls = 0;
    for mut piece in candidate.pieces {
        places.push(answer.parts.len());
        let signature = piece.signature.take().filter(|signature| !signature.is_empty());
        let mut seal = signature.map(|signature| seal::kept(&signature));
        if let Some(content) = content(piece, &mut calls, &answer.id, &mut seal) {
            answer.parts.push(Part::new(content));
        }
        if let Some(seal) = seal {
            let text = String::new();
            let thought = Thinking { text, is_summary: true, seal: Some(seal), id: None };
            answer.parts.push(Part::new(Content::Thinking(thought)));
        }
    }
    let last = answer.parts.iter().rposition(|part| matches!(part.content, Content::Text(_)));
    for source in candidate.sources {
        let at = source.part.and_then(|part| places.get(part).copied()).or(last);
        let part = at.and_then(|at| answer.parts.get_mut(at)).map(|part| &mut part.content);
        if let Some(Content::Text(text)) = part {
            text.citations.push(source.citation(&text.text));
        }
    }
    if let Some(reason) = candidate.finish {
        answer.finish = reply::finish(&reason, candidate.message.as_deref(), calls)?;
    }
    Ok(())
}

/// What a piece says; takes the seal where it belongs to it.
fn content(piece: Piece<'_>, calls: &mut u32, id: &str, seal: &mut Option<Seal>) -> Option<Content> {
    if piece.is_native {
        return native(piece.written);
    }
    if let Some(call) = piece.call {
        let number = *calls;
        *calls += 1;
        let id = call.id.map_or_else(|| reply::call_id(id, number, piece.written), Cow::into_owned);
        return Some(Content::ToolCall(ToolCall {
            id,
            name: call.name.into_owned(),
            arguments: call.args.unwrap_or("{}").to_owned(),
            takes: Takes::Object,
            seal: seal.take(),
        }));
    }
    if let Some(picture) = parts::picture(&piece) {
        return Some(Content::Image(picture));
    }
    match piece.blob {
        Some(blob) if !piece.thought => return parts::inline(blob).or_else(|| native(piece.written)),
        Some(_) => return native(piece.written),
        None if piece.file.is_some() => return native(piece.written),
        None => {}
    }
    let text = piece.text?.into_owned();
    if piece.thought {
        return Some(Content::Thinking(Thinking { text, is_summary: true, seal: seal.take(), id: None }));
    }
    (!text.is_empty()).then_some(Content::Text(Text { text, citations: Vec::new() }))
}

fn native(written: &str) -> Option<Content> {
    Some(Content::Native(Native { dialect: SELF, json: Json::read(written)? }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    candidates: [CandidateOut<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_metadata: Option<Metadata>,
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CandidateOut<'a> {
    content: ContentOut<'a>,
    finish_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_message: Option<&'static str>,
    index: u8,
    #[serde(skip_serializing_if = "Grounding::is_empty")]
    grounding_metadata: Grounding,
}

/// The answer as Google writes it.
pub(super) fn encode(answer: &Answer, plan: &AnswerPlan) -> Bytes {
    let thoughts = Thoughts::of(plan);
    let (mut parts, mut grounding) = (Vec::with_capacity(answer.parts.len()), Grounding::default());
    for part in &answer.parts {
        match &part.content {
            Content::Text(text) => {
                text.citations.iter().for_each(|source| grounding.add(source, &text.text, parts.len()));
                parts.push(write::text(&*text.text));
            }
            Content::Refusal(text) => parts.push(write::text(&**text)),
            Content::Thinking(thought) => parts.extend(self::thought(thought, thoughts)),
            Content::ToolCall(call) => {
                parts.push(write::call(call, call.seal.as_ref().map(|seal| seal::shown(seal).into())));
            }
            Content::Image(Image { source, .. }) => parts.extend(write::media(source, None)),
            Content::Document(document) => parts.extend(write::media(&document.source, None)),
            Content::Audio(audio) => parts.push(write::audio(audio)),
            Content::Native(native) if native.dialect == SELF => parts.push(write::native(native)),
            Content::Native(_) | Content::ToolResult(_) => {}
        }
    }
    if parts.is_empty() {
        // SDKs take a content without parts for a broken answer.
        parts.push(write::text(""));
    }
    let (finish_reason, finish_message) = finish_reason(&answer.finish);
    json(&Body {
        candidates: [CandidateOut {
            content: ContentOut { parts, role: Some("model") },
            finish_reason,
            finish_message,
            index: 0,
            grounding_metadata: grounding,
        }],
        usage_metadata: answer.usage.as_ref().map(Metadata::from),
        model_version: &plan.model,
        response_id: if answer.id.is_empty() { &plan.id } else { &answer.id },
    })
}

/// What becomes of thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thoughts {
    /// The client has asked for them.
    Shown,
    /// It has not, and Google shows them to nobody else.
    Hidden,
}

impl Thoughts {
    pub(super) fn of(plan: &AnswerPlan) -> Self {
        let shown = plan.request.reasoning.as_ref().and_then(|reasoning| reasoning.shown.as_deref());
        match shown {
            None | Some("none") => Thoughts::Hidden,
            Some(_) => Thoughts::Shown,
        }
    }
}

/// A thought for a client who may not have asked for any: what must come back in the next turn is there in any case.
pub(super) fn thought(thought: &Thinking, thoughts: Thoughts) -> Option<PartOut<'_>> {
    let seal = thought.seal.as_ref();
    // Whoever signs a thought wants to see it again with its signature.
    let is_needed = seal.is_some_and(|seal| seal.kind == SealKind::Signature);
    if (thoughts == Thoughts::Shown || is_needed) && !thought.text.is_empty() {
        return Some(write::thought(thought, seal));
    }
    seal.map(|seal| write::signature(seal::shown(seal)))
}

/// The reason that is nearest, and words where it is not quite meant.
pub(super) fn finish_reason(finish: &Finish) -> (&'static str, Option<&'static str>) {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => ("STOP", None),
        Finish::Length => ("MAX_TOKENS", None),
        Finish::ContentFilter => ("SAFETY", None),
        Finish::Refusal => ("SAFETY", Some("The model has refused to answer.")),
        Finish::Paused => ("OTHER", Some("The provider has paused a long turn.")),
    }
}

#[cfg(test)]
mod tests;
