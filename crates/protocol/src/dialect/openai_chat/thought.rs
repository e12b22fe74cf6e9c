//! How thoughts and their seals are kept in messages: `reasoning_content` as at DeepSeek, `reasoning` as in newer vLLM, and
//! OpenRouter's `reasoning_details`; never whether they are shown.
//!
//! A thought of this dialect is sealed with the way it was written, so that it goes back to its server as it came.

use serde::{Deserialize, Serialize};

use crate::conversation::loss::Loss;
use crate::conversation::part::{Content, Part, Thinking};
use crate::conversation::seal::{Seal, SealKind};
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::object::{Field, Fields};

/// The field of a thought that has nothing but a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    ReasoningContent,
    Reasoning,
}

impl Spelling {
    pub(super) fn name(self) -> &'static str {
        match self {
            Spelling::ReasoningContent => "reasoning_content",
            Spelling::Reasoning => "reasoning",
        }
    }

    pub(super) fn seal(self) -> Seal {
        own(self.name().to_owned())
    }
}

fn own(value: String) -> Seal {
    Seal { dialect: Dialect::OpenAiChat, kind: SealKind::Signature, value, id: None, maker: None }
}

/// One entry of `reasoning_details`, whole or a piece of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    pub(super) r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u64>,
}

const TEXT: &str = "reasoning.text";
const SUMMARY: &str = "reasoning.summary";
const ENCRYPTED: &str = "reasoning.encrypted";

impl Detail {
    /// Reads an entry. What it has that nobody knows is lost.
    pub(super) fn read(field: Field<'_>, losses: &mut Vec<Loss>) -> Result<Self, DecodeError> {
        let mut fields = field.object()?;
        let detail = Detail {
            r#type: fields.string("type")?.unwrap_or_default(),
            text: fields.string("text")?,
            summary: fields.string("summary")?,
            data: fields.string("data")?,
            signature: fields.string("signature")?.filter(|signature| !signature.is_empty()),
            id: fields.string("id")?,
            format: fields.string("format")?,
            index: fields.count("index")?,
        };
        fields.leave(losses);
        Ok(detail)
    }

    pub(super) fn is_summary(&self) -> bool {
        self.r#type == SUMMARY
    }

    /// A thought's text as an entry.
    pub(super) fn of_text(text: String, index: u64) -> Self {
        Detail { r#type: TEXT.to_owned(), text: Some(text), index: Some(index), ..Detail::default() }
    }

    /// A text about a thought as an entry.
    pub(super) fn of_summary(text: String, index: u64) -> Self {
        Detail { r#type: SUMMARY.to_owned(), summary: Some(text), index: Some(index), ..Detail::default() }
    }

    /// A thought's seal as an entry: beside its text, or the encrypted thought itself. None where it only says how a
    /// server of this dialect spells its thoughts.
    pub(super) fn of_seal(seal: &Seal, index: u64) -> Option<Self> {
        if seal.dialect == Dialect::OpenAiChat {
            return None;
        }
        let words = Some(seal.shown_in(Dialect::OpenAiChat));
        let (kind, signature, data) = match seal.kind {
            SealKind::Signature => (TEXT, words, None),
            SealKind::Encrypted => (ENCRYPTED, None, words),
        };
        let index = Some(index);
        Some(Detail {
            r#type: kind.to_owned(),
            signature,
            data,
            id: seal.id.clone(),
            index,
            ..Detail::default()
        })
    }
}

/// The entries that make up one thought.
#[derive(Debug, Default)]
pub(super) struct Details {
    index: Option<u64>,
    is_summary: bool,
    kept: Vec<Detail>,
    foreign: Option<Seal>,
}

impl Details {
    pub(super) fn begin(first: &Detail) -> Self {
        Details { index: first.index, is_summary: first.is_summary(), kept: Vec::new(), foreign: None }
    }

    /// Whether an entry belongs to this thought and does not begin the next.
    pub(super) fn goes_on_with(&self, next: &Detail) -> bool {
        match (self.index, next.index) {
            (Some(index), Some(next)) => index == next,
            (None, _) | (_, None) => !self.is_sealed() && self.is_summary == next.is_summary(),
        }
    }

    fn is_sealed(&self) -> bool {
        self.foreign.is_some() || self.kept.iter().any(|kept| kept.signature.is_some() || kept.data.is_some())
    }

    /// Takes an entry and gives the text in it.
    pub(super) fn add(&mut self, mut detail: Detail) -> String {
        let text = detail.text.take().or_else(|| detail.summary.take()).unwrap_or_default();
        for (kind, words) in [(SealKind::Signature, &detail.signature), (SealKind::Encrypted, &detail.data)] {
            let seal = words.as_ref().map(|words| Seal::kept(Dialect::OpenAiChat, kind, words));
            if let Some(seal) = seal.filter(|seal| seal.dialect != Dialect::OpenAiChat) {
                self.foreign = Some(seal);
            }
        }
        match self.kept.iter_mut().find(|kept| kept.r#type == detail.r#type && kept.data.is_none()) {
            Some(kept) if detail.data.is_none() => {
                kept.signature = detail.signature.or(kept.signature.take());
                kept.id = detail.id.or(kept.id.take());
                kept.format = detail.format.or(kept.format.take());
            }
            Some(_) | None => self.kept.push(detail),
        }
        text
    }

    /// What must come back with the thought.
    pub(super) fn seal(&self) -> Seal {
        self.foreign.clone().unwrap_or_else(|| {
            own(serde_json::to_string(&self.kept).expect("strings and numbers always serialise"))
        })
    }
}

/// Takes the thoughts of an assistant's message.
pub(super) fn decode(fields: &mut Fields<'_>, losses: &mut Vec<Loss>) -> Result<Vec<Part>, DecodeError> {
    let mut thoughts: Vec<(Details, Part)> = Vec::new();
    for field in fields.list("reasoning_details")? {
        let at = field.at.clone();
        let detail = Detail::read(field, losses)?;
        if ![TEXT, SUMMARY, ENCRYPTED].contains(&detail.r#type.as_str()) {
            losses.push(Loss::At(at));
            continue;
        }
        if !thoughts.last().is_some_and(|(details, _)| details.goes_on_with(&detail)) {
            let thinking = Thinking { is_summary: detail.is_summary(), ..Thinking::default() };
            let part = Part { content: Content::Thinking(thinking), cache: None, at };
            thoughts.push((Details::begin(&detail), part));
        }
        let Some((details, Part { content: Content::Thinking(thinking), .. })) = thoughts.last_mut() else {
            continue;
        };
        thinking.id = detail.id.clone().or(thinking.id.take());
        thinking.text.push_str(&details.add(detail));
        thinking.seal = Some(details.seal());
    }
    let mut parts: Vec<Part> = thoughts.into_iter().map(|(_, part)| part).collect();
    for spelling in [Spelling::ReasoningContent, Spelling::Reasoning] {
        let Some(field) = fields.take(spelling.name()) else { continue };
        let text = field.string()?;
        match parts.first_mut() {
            // The same words once more, or those of a thought whose details have only the seal.
            Some(Part { content: Content::Thinking(thinking), .. }) => {
                if thinking.text.is_empty() {
                    thinking.text = text;
                }
            }
            Some(_) | None if !text.is_empty() => {
                let seal = Some(spelling.seal());
                let thinking = Thinking { text, is_summary: false, seal, id: None };
                parts.push(Part { content: Content::Thinking(thinking), cache: None, at: field.at });
            }
            Some(_) | None => {}
        }
    }
    Ok(parts)
}

/// The fields of an upstream's message in which its own thoughts go back to it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Kept {
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<Detail>,
}

impl Kept {
    /// Takes a thought, or says that it is not this dialect's.
    #[must_use]
    pub(super) fn keep(&mut self, thinking: &Thinking) -> bool {
        let Some(seal) = thinking.seal.as_ref().filter(|seal| seal.dialect == Dialect::OpenAiChat) else {
            return false;
        };
        let field = match seal.value.as_str() {
            "reasoning_content" => &mut self.reasoning_content,
            "reasoning" => &mut self.reasoning,
            details => return self.keep_details(details, thinking),
        };
        field.get_or_insert_default().push_str(&thinking.text);
        true
    }

    fn keep_details(&mut self, written: &str, thinking: &Thinking) -> bool {
        let Ok(mut details) = serde_json::from_str::<Vec<Detail>>(written) else { return false };
        let text = details.iter_mut().find(|detail| detail.r#type == TEXT || detail.is_summary());
        if let Some(detail) = text {
            let place = if detail.is_summary() { &mut detail.summary } else { &mut detail.text };
            *place = Some(thinking.text.clone());
        }
        self.reasoning_details.extend(details);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reasoning_content.is_none() && self.reasoning.is_none() && self.reasoning_details.is_empty()
    }
}
