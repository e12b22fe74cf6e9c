//! Writes a request of `generateContent`; never the model or whether it is streamed, which its path says.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::config::{self, ConfigOut};
use super::tools::{self, ChoiceOut, ToolOut};
use crate::conversation::loss::{Aspect, Field, Loss};
use crate::conversation::part::{
    Content, Document, Image, Part, Takes, Text, Thinking, ToolCall, ToolResult,
};
use crate::conversation::request::{Request, Role, Turn};
use crate::dialect::gemini::model::Model;
use crate::dialect::gemini::write::{self, ContentOut, PartOut, Piece, Response};
use crate::dialect::gemini::{SELF, seal};
use crate::dialect::write::json;
use crate::translate::{Encoded, Target};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<ContentOut<'a>>,
    contents: Vec<ContentOut<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ChoiceOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_config: Option<ConfigOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

/// The request as Google takes it.
pub(crate) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let model = Model::of(target.model);
    let mut writer = Writer::new(request, model);
    request.turns.iter().for_each(|turn| writer.turn(turn));
    let Writer { mut system, mut contents, mut losses, .. } = writer;
    if contents.is_empty() && !system.is_empty() {
        // There must be something to answer.
        contents.push(ContentOut { parts: std::mem::take(&mut system), role: Some("user") });
    }
    lose_wishes(request, &mut losses);
    let body = Body {
        system_instruction: (!system.is_empty()).then_some(ContentOut { parts: system, role: None }),
        contents,
        tools: tools::encode(request, &mut losses),
        tool_config: tools::encode_choice(request, &mut losses),
        generation_config: config::encode(request, model, &mut losses),
        service_tier: request.service_tier.as_deref().filter(|tier| matches!(*tier, "flex" | "priority")),
    };
    Encoded { body: json(&body), losses }
}

fn lose_wishes(request: &Request, losses: &mut Vec<Loss>) {
    let usual_tiers = ["auto", "default", "flex", "priority"];
    let lost = [
        (request.verbosity.is_some(), Field::Verbosity),
        (request.user.is_some(), Field::User),
        (request.metadata.is_some(), Field::Metadata),
        (request.store == Some(true), Field::Store),
        (request.previous_response_id.is_some(), Field::PreviousResponseId),
        (
            request.service_tier.as_deref().is_some_and(|tier| !usual_tiers.contains(&tier)),
            Field::ServiceTier,
        ),
    ];
    losses.extend(lost.into_iter().filter(|(is_lost, _)| *is_lost).map(|(_, field)| Loss::Field(field)));
}

struct Writer<'a> {
    model: Model,
    /// The names of the functions that were called, by the ids of the calls.
    called: HashMap<&'a str, &'a str>,
    system: Vec<PartOut<'a>>,
    contents: Vec<ContentOut<'a>>,
    losses: Vec<Loss>,
}

impl<'a> Writer<'a> {
    fn new(request: &'a Request, model: Model) -> Self {
        let parts = request.turns.iter().flat_map(|turn| &turn.parts);
        let called = parts.filter_map(|part| match &part.content {
            Content::ToolCall(call) => Some((&*call.id, &*call.name)),
            Content::Text(_)
            | Content::Image(_)
            | Content::Document(_)
            | Content::Audio(_)
            | Content::ToolResult(_)
            | Content::Thinking(_)
            | Content::Refusal(_)
            | Content::Native(_) => None,
        });
        let called = called.collect();
        Writer { model, called, system: Vec::new(), contents: Vec::new(), losses: Vec::new() }
    }

    fn turn(&mut self, turn: &'a Turn) {
        if turn.name.is_some() {
            self.losses.push(Loss::At(turn.at.field("name")));
        }
        let role = match turn.role {
            Role::System | Role::Developer => return self.system(turn),
            Role::User => "user",
            Role::Assistant => "model",
        };
        let mut content = match self.contents.pop_if(|last| last.role == Some(role)) {
            Some(content) => content,
            None => ContentOut { parts: Vec::with_capacity(turn.parts.len()), role: Some(role) },
        };
        for part in &turn.parts {
            self.part(part, &mut content.parts);
        }
        if self.model.checks_signatures() && turn.role == Role::Assistant {
            excuse_first_call(&mut content.parts);
        }
        if !content.parts.is_empty() {
            self.contents.push(content);
        }
    }

    /// The instructions stand in one place, whatever was said between them.
    fn system(&mut self, turn: &'a Turn) {
        for part in &turn.parts {
            self.lose_cache(part);
            match &part.content {
                Content::Text(Text { text, .. }) if text.is_empty() => {}
                Content::Text(Text { text, .. }) => self.system.push(write::text(&**text)),
                Content::Image(_)
                | Content::Document(_)
                | Content::Audio(_)
                | Content::ToolCall(_)
                | Content::ToolResult(_)
                | Content::Thinking(_)
                | Content::Refusal(_)
                | Content::Native(_) => self.losses.push(Loss::At(part.at.clone())),
            }
        }
    }

    fn part(&mut self, part: &'a Part, out: &mut Vec<PartOut<'a>>) {
        self.lose_cache(part);
        let written = match &part.content {
            Content::Text(text) => {
                if !text.citations.is_empty() {
                    self.lose(part, "citations");
                }
                if text.text.is_empty() {
                    return;
                }
                Some(write::text(&*text.text))
            }
            Content::Refusal(text) => Some(write::text(&**text)),
            Content::Image(image) => self.image(image, part),
            Content::Document(document) => self.document(document, part),
            Content::Audio(audio) if !audio.data.is_empty() => Some(write::audio(audio)),
            Content::Audio(audio) => audio.transcript.as_deref().map(write::text),
            Content::ToolCall(call) => Some(self.call(call, part)),
            Content::ToolResult(result) => return self.result(result, part, out),
            Content::Thinking(thought) => return self.thought(thought, part, out),
            Content::Native(native) => (native.dialect == SELF).then(|| write::native(native)),
        };
        match written {
            Some(written) => out.push(written),
            None => self.losses.push(Loss::At(part.at.clone())),
        }
    }

    fn lose(&mut self, part: &Part, field: &str) {
        self.losses.push(Loss::At(part.at.field(field)));
    }

    /// Google caches by itself.
    fn lose_cache(&mut self, part: &Part) {
        if part.cache.is_some() {
            self.lose(part, "cache_control");
        }
    }

    fn image(&mut self, image: &'a Image, part: &Part) -> Option<PartOut<'a>> {
        if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
            self.losses.push(Loss::Of(part.at.clone(), Aspect::Detail));
        }
        write::media(&image.source, Some("image/jpeg"))
    }

    fn document(&mut self, document: &'a Document, part: &Part) -> Option<PartOut<'a>> {
        if document.title.is_some() {
            self.losses.push(Loss::Of(part.at.clone(), Aspect::Title));
        }
        if document.context.is_some() {
            self.lose(part, "context");
        }
        if document.citations {
            self.lose(part, "citations");
        }
        write::media(&document.source, Some("application/pdf"))
    }

    fn call(&mut self, call: &'a ToolCall, part: &Part) -> PartOut<'a> {
        let (_, is_object) = write::arguments(&call.arguments);
        if !is_object && call.takes == Takes::Object {
            self.losses.push(Loss::Of(part.at.clone(), Aspect::Arguments));
        }
        let own = call.seal.as_ref().filter(|seal| seal.dialect == SELF);
        if call.seal.is_some() && own.is_none() {
            self.losses.push(Loss::Of(part.at.clone(), Aspect::Seal));
        }
        write::call(call, own.map(|seal| Cow::Borrowed(&*seal.value)))
    }

    fn thought(&mut self, thought: &'a Thinking, part: &Part, out: &mut Vec<PartOut<'a>>) {
        let seal = thought.seal.as_ref();
        if seal.is_some_and(|seal| seal.dialect != SELF) {
            self.losses.push(Loss::At(part.at.clone()));
        } else if !thought.text.is_empty() {
            out.push(write::thought(thought, seal));
        } else if let Some(seal) = seal {
            sign_text(seal::shown(seal), out);
        }
    }

    fn result(&mut self, result: &'a ToolResult, part: &Part, out: &mut Vec<PartOut<'a>>) {
        let name = self.called.get(&*result.call_id).copied().or(result.name.as_deref());
        let (mut texts, mut nested, mut beside) = (Vec::new(), Vec::new(), Vec::new());
        for piece in &result.parts {
            match &piece.content {
                Content::Text(text) => {
                    self.lose_cache(piece);
                    texts.push(&*text.text);
                }
                content => {
                    let takes = self.model.takes_media_in_results() && is_inline(content);
                    self.part(piece, if takes { &mut nested } else { &mut beside });
                }
            }
        }
        let response = Response {
            id: &result.call_id,
            name: name.unwrap_or(&result.call_id),
            response: said(result, &texts.join("\n")),
            parts: nested,
        };
        if name.is_none() {
            self.lose(part, "name");
        }
        // All results of a turn come first, as they must.
        let results = out.iter().take_while(|part| is_result(part)).count();
        let piece = Piece { function_response: Some(response), ..Piece::default() };
        out.insert(results, piece.into());
        out.append(&mut beside);
    }
}

fn is_inline(content: &Content) -> bool {
    use crate::conversation::part::Source;
    match content {
        Content::Image(Image { source, .. }) | Content::Document(Document { source, .. }) => {
            matches!(source, Source::Base64 { .. })
        }
        Content::Audio(audio) => !audio.data.is_empty(),
        Content::Text(_)
        | Content::ToolCall(_)
        | Content::ToolResult(_)
        | Content::Thinking(_)
        | Content::Refusal(_)
        | Content::Native(_) => false,
    }
}

fn is_result(part: &PartOut<'_>) -> bool {
    matches!(part, PartOut::Own(Piece { function_response: Some(_), .. }))
}

/// What a function answered, as the object that it must be here: under the keys that Google documents where it is a text.
fn said(result: &ToolResult, text: &str) -> Box<RawValue> {
    let object = Some(text.trim()).filter(|text| text.starts_with('{') && !result.is_error);
    let raw = object.and_then(|object| RawValue::from_string(object.to_owned()).ok());
    raw.unwrap_or_else(|| write::holding(if result.is_error { "error" } else { "output" }, text))
}

/// Puts a signature that came with text back on the text before it, or on an empty one as streams have it.
fn sign_text(signature: String, out: &mut Vec<PartOut<'_>>) {
    match out.last_mut() {
        Some(PartOut::Own(last))
            if last.text.is_some() && last.thought_signature.is_none() && !last.thought =>
        {
            last.thought_signature = Some(signature.into());
        }
        _ => out.push(write::signature(signature)),
    }
}

/// What Google documents for calls that it has not made: their turn's first one must be signed.
pub(in crate::dialect::gemini) const UNSIGNED: &str = "skip_thought_signature_validator";

fn excuse_first_call(parts: &mut [PartOut<'_>]) {
    let first = parts.iter_mut().find_map(|part| match part {
        PartOut::Own(piece) if piece.function_call.is_some() => Some(piece),
        PartOut::Own(_) | PartOut::Native(_) => None,
    });
    if let Some(first) = first {
        first.thought_signature.get_or_insert(Cow::Borrowed(UNSIGNED));
    }
}
