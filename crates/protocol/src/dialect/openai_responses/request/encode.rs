//! Writes a request for an upstream; never carries what this dialect has no words for, and says so.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Number;

use crate::conversation::loss::{Aspect, Field, Loss, Place};
use crate::conversation::part::{
    Cache, Content, Document, Image, Json, Part, Source, Takes, Thinking, ToolCall, ToolResult,
};
use crate::conversation::request::{Amount, Format, OwnField, Reasoning, Request, Role, Turn};
use crate::conversation::seal::Seal;
use crate::dialect::Dialect;
use crate::dialect::openai_responses::item::{drawn_before, object_text, output_text};
use crate::dialect::openai_responses::kept;
use crate::dialect::openai_responses::tool::{self, WireChoice, WireTool};
use crate::dialect::openai_responses::wire::{Item, Mark, Output, Piece, Sound};
use crate::dialect::write;
use crate::translate::{Encoded, Target};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<TextSettings<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Thought<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_response_id: Option<&'a str>,
    store: bool,
    stream: bool,
    #[serde(flatten)]
    own: OwnFields<'a>,
}

/// What the client's dialect has beside all this, where that is this one.
struct OwnFields<'a>(&'a [OwnField]);

impl Serialize for OwnFields<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.0.iter().filter(|field| field.value.dialect == Dialect::OpenAiResponses);
        serializer.collect_map(own.map(|field| (&field.name, &field.value.json)))
    }
}

#[derive(Serialize)]
struct TextSettings<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<WireFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    Text {},
    JsonObject {},
    JsonSchema {
        name: &'a str,
        schema: &'a Json,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

#[derive(Serialize)]
struct Thought<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
}

/// Writes a request.
pub(crate) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let refers = !target.manner.keeps_no_responses;
    let mut writer = Writer { input: Vec::new(), losses: Vec::new(), refers };
    let (leading, rest) = writer.instructions(&request.turns);
    rest.iter().for_each(|turn| writer.turn(turn));
    let mut tools = Vec::new();
    for offered in &request.tools {
        match tool::encode(offered) {
            Some(tool) => tools.push(tool),
            None => writer.losses.push(Loss::At(offered.at.clone())),
        }
        writer.cached(offered.cache, &offered.at);
    }
    let Writer { input, mut losses, .. } = writer;
    // A choice among no tools is refused.
    let offers = !tools.is_empty();
    losses.extend(unsaid(request, &tools));
    losses.extend(request.lost_pictures());
    let reasoning = request.reasoning.as_ref();
    let body = Body {
        model: target.model,
        instructions: leading,
        input,
        tools,
        tool_choice: request
            .tool_choice
            .as_ref()
            .filter(|_| offers)
            .map(|choice| tool::encode_choice(choice, request)),
        parallel_tool_calls: request.parallel_tool_calls.filter(|_| offers),
        text: text_settings(request),
        reasoning: reasoning.and_then(thought),
        include: if reasoning.is_some_and(wants_seals) {
            vec!["reasoning.encrypted_content"]
        } else {
            Vec::new()
        },
        max_output_tokens: request.sampling.max_output_tokens,
        temperature: request.sampling.temperature.as_ref(),
        top_p: request.sampling.top_p.as_ref(),
        user: request.user.as_deref(),
        metadata: request.metadata.as_ref(),
        service_tier: request.service_tier.as_deref(),
        prompt_cache_key: request.prompt_cache_key.as_deref(),
        previous_response_id: request.previous_response_id.as_deref(),
        // Other dialects' services keep no answers, and their clients do not expect it.
        store: request.store.unwrap_or(false) && !target.manner.keeps_no_responses,
        stream: request.stream,
        own: OwnFields(&request.own_fields),
    };
    Encoded { body: write::json(&body), losses }
}

/// The wishes that this dialect has no field for. Answers cannot carry log probabilities through the conversation.
fn unsaid(request: &Request, tools: &[WireTool<'_>]) -> impl Iterator<Item = Loss> + use<> {
    let (sampling, offers) = (&request.sampling, !tools.is_empty());
    [
        (Field::Reasoning, request.reasoning.as_ref().is_some_and(is_off)),
        (Field::TopK, sampling.top_k.is_some()),
        (Field::Seed, sampling.seed.is_some()),
        (Field::PresencePenalty, sampling.presence_penalty.is_some()),
        (Field::FrequencyPenalty, sampling.frequency_penalty.is_some()),
        (Field::Stop, !sampling.stop.is_empty()),
        (Field::Candidates, sampling.candidates.is_some_and(|wanted| wanted != 1)),
        (Field::Logprobs, sampling.logprobs.is_some()),
        (Field::LogitBias, sampling.logit_bias.is_some()),
        (Field::ToolChoice, !offers && request.tool_choice.is_some()),
        (Field::ParallelToolCalls, !offers && request.parallel_tool_calls.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, is_wanted)| is_wanted.then_some(Loss::Field(field)))
}

fn text_settings(request: &Request) -> Option<TextSettings<'_>> {
    let format = request.format.as_ref().map(|format| match format {
        Format::Text => WireFormat::Text {},
        Format::JsonObject => WireFormat::JsonObject {},
        Format::JsonSchema { name, description, schema, strict } => WireFormat::JsonSchema {
            // Here it must have one.
            name: name.as_deref().unwrap_or("answer"),
            schema,
            description: description.as_deref(),
            strict: *strict,
        },
    });
    let verbosity = request.verbosity.as_deref();
    (format.is_some() || verbosity.is_some()).then_some(TextSettings { format, verbosity })
}

/// Most models refuse an effort they do not know, `none` among them: only a client that knows the word may mean it.
fn is_off(reasoning: &Reasoning) -> bool {
    reasoning.amount == Some(Amount::Off)
}

fn thought(reasoning: &Reasoning) -> Option<Thought<'_>> {
    let effort = reasoning.effort().filter(|_| !is_off(reasoning));
    let summary = reasoning.shown.as_deref().and_then(|shown| match shown {
        "none" | "omitted" => None,
        "concise" | "detailed" => Some(shown),
        _ => Some("auto"),
    });
    (effort.is_some() || summary.is_some()).then_some(Thought { effort, summary })
}

/// Whoever thinks over several turns must send the thoughts along, as nothing is kept for it.
fn wants_seals(reasoning: &Reasoning) -> bool {
    reasoning.encrypted || reasoning.amount.is_some() && reasoning.effort() != Some("none")
}

struct Writer<'a> {
    input: Vec<Item<'a>>,
    losses: Vec<Loss>,
    /// Whether the server may know what is meant by an id.
    refers: bool,
}

impl<'a> Writer<'a> {
    fn lose(&mut self, at: &Place) {
        self.losses.push(Loss::At(at.clone()));
    }

    /// Providers of this dialect cache prompts by themselves.
    fn cached(&mut self, mark: Option<Cache>, at: &Place) {
        if mark.is_some() {
            self.lose(&at.field("cache_control"));
        }
    }

    /// Takes what sets the conversation up, as far as it stands in front and is text, and gives what follows.
    fn instructions(&mut self, turns: &'a [Turn]) -> (Option<String>, &'a [Turn]) {
        let is_text = |part: &Part| matches!(part.content, Content::Text(_));
        let leads = |turn: &&Turn| turn.role == Role::System && turn.parts.iter().all(is_text);
        let count = turns.iter().take_while(leads).count();
        let (leading, rest) = turns.split_at(count);
        let mut said: Vec<&str> = Vec::new();
        for turn in leading {
            self.speaker(turn);
            for part in &turn.parts {
                self.cached(part.cache, &part.at);
                if let Content::Text(text) = &part.content {
                    said.push(&text.text);
                }
            }
        }
        ((!said.is_empty()).then(|| said.join("\n\n")), rest)
    }

    fn speaker(&mut self, turn: &Turn) {
        if turn.name.is_some() {
            self.lose(&turn.at.field("name"));
        }
    }

    fn turn(&mut self, turn: &'a Turn) {
        self.speaker(turn);
        let mut pieces = Vec::new();
        for part in &turn.parts {
            self.cached(part.cache, &part.at);
            match (&part.content, turn.role) {
                (Content::ToolCall(call), _) => {
                    self.message(turn.role, &mut pieces);
                    self.call(call, &part.at);
                }
                (Content::ToolResult(result), _) => {
                    self.message(turn.role, &mut pieces);
                    self.result(result, &part.at);
                }
                (Content::Thinking(thinking), _) => match reasoning(thinking) {
                    Some(item) => {
                        self.message(turn.role, &mut pieces);
                        self.input.push(item);
                    }
                    None => self.lose(&part.at),
                },
                (Content::Native(native), _)
                    if native.dialect == Dialect::OpenAiResponses
                        && (self.refers || kept::reference(part).is_none()) =>
                {
                    self.message(turn.role, &mut pieces);
                    self.input.push(Item::Native(&native.json));
                }
                (Content::Native(_), _) => self.lose(&part.at),
                (Content::Text(text), Role::Assistant) => pieces.push(output_text(text)),
                (Content::Refusal(refusal), Role::Assistant) => pieces.push(Piece::Refusal { refusal }),
                // Who has not drawn it has no such call.
                (Content::Image(image), Role::Assistant) => match drawn_before(image) {
                    Some(item) => {
                        self.message(turn.role, &mut pieces);
                        self.input.push(item);
                    }
                    None => self.lose(&part.at),
                },
                (Content::Document(_) | Content::Audio(_), Role::Assistant) => {
                    self.lose(&part.at);
                }
                (
                    Content::Text(_)
                    | Content::Refusal(_)
                    | Content::Image(_)
                    | Content::Document(_)
                    | Content::Audio(_),
                    Role::System | Role::Developer | Role::User,
                ) => pieces.extend(self.piece(part)),
            }
        }
        self.message(turn.role, &mut pieces);
    }

    /// Writes the pieces that were gathered as a message.
    fn message(&mut self, role: Role, pieces: &mut Vec<Piece<'a>>) {
        if pieces.is_empty() {
            return;
        }
        let role = match role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        self.input.push(Item::Message { mark: Mark::default(), role, content: std::mem::take(pieces) });
    }

    fn call(&mut self, call: &'a ToolCall, at: &Place) {
        // No call has a seal here: it is another dialect's.
        if call.seal.is_some() {
            self.losses.push(Loss::Of(at.clone(), Aspect::Seal));
        }
        let (mark, call_id, name) = (Mark::default(), call.id.as_str(), call.name.as_str());
        self.input.push(match call.takes {
            Takes::Object => Item::FunctionCall {
                mark,
                call_id,
                name,
                namespace: None,
                arguments: object_text(&call.arguments),
            },
            Takes::Text => Item::CustomToolCall {
                mark,
                call_id,
                name,
                namespace: None,
                input: Cow::Borrowed(&call.arguments),
            },
        });
    }

    fn result(&mut self, result: &'a ToolResult, at: &Place) {
        if result.is_error {
            self.lose(&at.field("is_error"));
        }
        let texts: Option<Vec<&str>> = result
            .parts
            .iter()
            .map(|part| match &part.content {
                Content::Text(text) => Some(text.text.as_str()),
                Content::Image(_)
                | Content::Document(_)
                | Content::Audio(_)
                | Content::ToolCall(_)
                | Content::ToolResult(_)
                | Content::Thinking(_)
                | Content::Refusal(_)
                | Content::Native(_) => None,
            })
            .collect();
        for part in &result.parts {
            self.cached(part.cache, &part.at);
        }
        let output = match texts.as_deref() {
            // Not every server reads a list.
            Some([]) => Output::Text(Cow::Borrowed("")),
            Some([text]) => Output::Text(Cow::Borrowed(text)),
            Some(texts) => Output::Text(Cow::Owned(texts.join("\n"))),
            None => Output::Pieces(result.parts.iter().filter_map(|part| self.piece(part)).collect()),
        };
        let call_id = result.call_id.as_str();
        self.input.push(match result.takes {
            Takes::Object => Item::FunctionCallOutput { call_id, output },
            Takes::Text => Item::CustomToolCallOutput { call_id, output },
        });
    }

    /// What somebody other than the model says.
    fn piece(&mut self, part: &'a Part) -> Option<Piece<'a>> {
        Some(match &part.content {
            Content::Text(text) => Piece::InputText { text: &text.text },
            Content::Refusal(text) => Piece::InputText { text },
            Content::Image(image) => picture(image),
            Content::Document(document) => self.document(document, &part.at),
            Content::Audio(sound) => {
                Piece::InputAudio { input_audio: Sound { data: &sound.data, format: &sound.format } }
            }
            Content::ToolCall(_) | Content::ToolResult(_) | Content::Thinking(_) | Content::Native(_) => {
                self.lose(&part.at);
                return None;
            }
        })
    }

    fn document(&mut self, document: &'a Document, at: &Place) -> Piece<'a> {
        if document.context.is_some() {
            self.lose(&at.field("context"));
        }
        if document.citations {
            self.lose(&at.field("citations"));
        }
        let filename = document.title.as_deref();
        let (mut file_data, mut file_url, mut file_id) = (None, None, None);
        match &document.source {
            Source::Text(text) => return Piece::InputText { text },
            Source::Base64 { media_type, data } => {
                file_data = Some(format!("data:{media_type};base64,{data}"));
            }
            Source::Url(url) => file_url = Some(url.as_str()),
            Source::File(id) => file_id = Some(id.as_str()),
        }
        // Bytes without a name are refused.
        let filename = filename.or(file_data.is_some().then_some("document"));
        Piece::InputFile { filename, file_data, file_url, file_id }
    }
}

fn picture(image: &Image) -> Piece<'_> {
    let detail = image.detail.as_deref().unwrap_or("auto");
    match &image.source {
        Source::Url(url) | Source::Text(url) => {
            Piece::InputImage { detail, image_url: Some(Cow::Borrowed(url)), file_id: None }
        }
        Source::Base64 { media_type, data } => {
            let url = format!("data:{media_type};base64,{data}");
            Piece::InputImage { detail, image_url: Some(Cow::Owned(url)), file_id: None }
        }
        Source::File(id) => Piece::InputImage { detail, image_url: None, file_id: Some(id) },
    }
}

/// A thought that this dialect's provider had; it takes back no other.
fn reasoning(thinking: &Thinking) -> Option<Item<'_>> {
    let seal = thinking.seal.as_ref().filter(|seal| seal.dialect == Dialect::OpenAiResponses)?;
    let Seal { id, value, .. } = seal;
    let id = id.as_deref().or(thinking.id.as_deref());
    let text = Some(thinking.text.as_str()).filter(|text| !text.is_empty());
    Some(Item::Reasoning {
        mark: Mark { id, status: None },
        summary: text.map(|text| Piece::SummaryText { text }).into_iter().collect(),
        content: None,
        encrypted_content: Some(Cow::Borrowed(value)),
    })
}
