//! Writes the parts of an answer as items of an output; never what the parts of a request become.

use std::borrow::Cow;

use crate::conversation::answer::{Answer, AnswerPlan, Finish};
use crate::conversation::part::{Content, Image, Part, Source, Takes, Text, Thinking, ToolCall, characters};
use crate::conversation::seal::Seal;
use crate::dialect::openai_responses::response::Ids;
use crate::dialect::openai_responses::wire::{Annotation, Item, Mark, Piece, Status};
use crate::dialect::{Dialect, custom};

/// One item of an output, and what it is made of.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// The part, by its place in the answer.
    pub(crate) part: usize,
    /// It is not the part itself but keeps the part's seal.
    pub(crate) keeps_seal: bool,
}

impl Entry {
    /// The items that the parts of an answer become.
    pub(crate) fn all(parts: &[Part], ids: &Ids, plan: &AnswerPlan) -> Vec<Self> {
        let mut entries = Vec::new();
        for (part, Part { content, .. }) in parts.iter().enumerate() {
            let Some(kind) = kind(content, plan) else { continue };
            entries.push(Entry { id: ids.item(kind, entries.len()), part, keeps_seal: false });
            if matches!(content, Content::ToolCall(call) if call.seal.is_some()) {
                entries.push(Entry { id: ids.item(THOUGHT, entries.len()), part, keeps_seal: true });
            }
        }
        entries
    }

    /// The item as far as its part has come.
    pub(crate) fn item<'a>(
        &'a self,
        parts: &'a [Part],
        status: Status,
        plan: &'a AnswerPlan,
    ) -> Option<Item<'a>> {
        let mark = Mark { id: Some(&self.id), status: Some(status) };
        let content = &parts.get(self.part)?.content;
        Some(match content {
            Content::ToolCall(call) if self.keeps_seal => sealed_call(call, call.seal.as_ref()?, mark),
            Content::Text(text) => message(mark, output_text(text)),
            Content::Refusal(refusal) => message(mark, Piece::Refusal { refusal }),
            Content::Thinking(thinking) => reasoning(thinking, mark),
            Content::ToolCall(call) => tool_call(call, mark, plan),
            Content::Native(native) => Item::Native(&native.json),
            Content::Image(image) => drawn(image, mark)?,
            Content::Document(_) | Content::Audio(_) | Content::ToolResult(_) => return None,
        })
    }
}

/// What the id of a thought begins with.
pub(crate) const THOUGHT: &str = "rs";

/// What the id of a part's item begins with; none for parts that are no item: a picture that is not
/// here, and what only another dialect has a meaning for, are not written.
pub(crate) fn kind(content: &Content, plan: &AnswerPlan) -> Option<&'static str> {
    match content {
        Content::Text(_) | Content::Refusal(_) => Some("msg"),
        Content::Thinking(_) => Some(THOUGHT),
        Content::ToolCall(call) => Some(match custom::takes(call.takes, &call.name, &plan.request) {
            Takes::Object => "fc",
            Takes::Text => "ctc",
        }),
        Content::Native(native) => (native.dialect == Dialect::OpenAiResponses).then_some("item"),
        Content::Image(image) => image.is_here().then_some("ig"),
        Content::Document(_) | Content::Audio(_) | Content::ToolResult(_) => None,
    }
}

/// How an answer ends, and why where it does so too early.
pub(crate) fn status_of(answer: &Answer) -> (Status, Option<&'static str>) {
    let says_so = |part: &Part| matches!(part.content, Content::Refusal(_));
    match answer.finish {
        Finish::Length => (Status::Incomplete, Some("max_output_tokens")),
        // Where a refusal has no words, only the reason tells of it.
        Finish::Refusal if answer.parts.iter().any(says_so) => (Status::Completed, None),
        Finish::Refusal | Finish::ContentFilter => (Status::Incomplete, Some("content_filter")),
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::Paused => {
            (Status::Completed, None)
        }
    }
}

/// A picture that was drawn before, as the call that drew it; none where no such call is known.
pub(crate) fn drawn_before(image: &Image) -> Option<Item<'_>> {
    drawn(image, Mark { id: Some(image.id.as_deref()?), status: Some(Status::Completed) })
}

/// A picture as the call that draws it. It comes whole or not at all, so that it is never cut; and never as an address.
fn drawn<'a>(image: &'a Image, mark: Mark<'a>) -> Option<Item<'a>> {
    let Source::Base64 { media_type, data } = &image.source else { return None };
    let status = mark.status.map(|status| match status {
        Status::Incomplete => Status::Completed,
        Status::InProgress | Status::Completed | Status::Failed => status,
    });
    let output_format = media_type.strip_prefix("image/");
    Some(Item::ImageGenerationCall { mark: Mark { status, ..mark }, result: Some(data), output_format })
}

fn message<'a>(mark: Mark<'a>, piece: Piece<'a>) -> Item<'a> {
    Item::Message { mark, role: "assistant", content: vec![piece] }
}

/// A text that the model has said.
pub(crate) fn output_text(text: &Text) -> Piece<'_> {
    let length = if text.citations.is_empty() { 0 } else { characters(&text.text) };
    let annotations = text.citations.iter().map(|citation| Annotation::of(citation, length)).collect();
    Piece::OutputText { text: &text.text, annotations, logprobs: [] }
}

fn reasoning<'a>(thinking: &'a Thinking, mark: Mark<'a>) -> Item<'a> {
    let text = Some(thinking.text.as_str()).filter(|text| !text.is_empty());
    let (summary, content) = match (text, thinking.is_summary) {
        (None, _) => (Vec::new(), None),
        (Some(text), true) => (vec![Piece::SummaryText { text }], None),
        (Some(text), false) => (Vec::new(), Some(vec![Piece::ReasoningText { text }])),
    };
    Item::Reasoning { mark, summary, content, encrypted_content: thinking.seal.as_ref().map(shown) }
}

/// The item that keeps the seal of a call, for which a call has no field: a thought without words.
fn sealed_call<'a>(call: &ToolCall, seal: &Seal, mark: Mark<'a>) -> Item<'a> {
    let seal = Seal { id: Some(call.id.clone()), ..seal.clone() };
    let sealed = Some(Cow::Owned(seal.shown_in(Dialect::OpenAiResponses)));
    Item::Reasoning { mark, summary: Vec::new(), content: None, encrypted_content: sealed }
}

fn shown(seal: &Seal) -> Cow<'_, str> {
    Cow::Owned(seal.shown_in(Dialect::OpenAiResponses))
}

fn tool_call<'a>(call: &'a ToolCall, mark: Mark<'a>, plan: &'a AnswerPlan) -> Item<'a> {
    let kept = plan.request.namespaced.iter().find(|kept| kept.name == call.name);
    let (name, namespace) = match kept {
        Some(kept) => (kept.inner.as_str(), Some(kept.namespace.as_str())),
        None => (call.name.as_str(), None),
    };
    match custom::takes(call.takes, &call.name, &plan.request) {
        Takes::Object => {
            let arguments = object_text(&call.arguments);
            Item::FunctionCall { mark, call_id: &call.id, name, namespace, arguments }
        }
        Takes::Text => Item::CustomToolCall {
            mark: Mark { status: None, ..mark },
            call_id: &call.id,
            name,
            namespace,
            input: match call.takes {
                Takes::Text => Cow::Borrowed(&call.arguments),
                Takes::Object => Cow::Owned(custom::unwrapped(&call.arguments)),
            },
        },
    }
}

/// Arguments that a function takes none of are an empty object.
pub(crate) fn object_text(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}
