//! How the items of requests and answers are written; never what they mean.

use std::borrow::Cow;

use serde::Serialize;

use crate::conversation::part::{Citation, Json};

/// One item of an input or an output.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Item<'a> {
    Message {
        #[serde(flatten)]
        mark: Mark<'a>,
        role: &'static str,
        content: Vec<Piece<'a>>,
    },
    FunctionCall {
        #[serde(flatten)]
        mark: Mark<'a>,
        call_id: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        arguments: &'a str,
    },
    CustomToolCall {
        #[serde(flatten)]
        mark: Mark<'a>,
        call_id: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        input: Cow<'a, str>,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: Output<'a>,
    },
    CustomToolCallOutput {
        call_id: &'a str,
        output: Output<'a>,
    },
    Reasoning {
        #[serde(flatten)]
        mark: Mark<'a>,
        summary: Vec<Piece<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Vec<Piece<'a>>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<Cow<'a, str>>,
    },
    ImageGenerationCall {
        #[serde(flatten)]
        mark: Mark<'a>,
        /// In base64; null as long as there is none.
        result: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        output_format: Option<&'a str>,
    },
    #[serde(untagged)]
    Native(&'a Json),
}

impl Item<'_> {
    /// The item as it begins: with nothing in it that comes bit by bit.
    pub(crate) fn emptied(self) -> Self {
        match self {
            Item::Message { mark, role, .. } => Item::Message { mark, role, content: Vec::new() },
            Item::FunctionCall { mark, call_id, name, namespace, .. } => {
                Item::FunctionCall { mark, call_id, name, namespace, arguments: "" }
            }
            Item::CustomToolCall { mark, call_id, name, namespace, .. } => {
                Item::CustomToolCall { mark, call_id, name, namespace, input: Cow::Borrowed("") }
            }
            Item::Reasoning { mark, .. } => {
                Item::Reasoning { mark, summary: Vec::new(), content: None, encrypted_content: None }
            }
            Item::ImageGenerationCall { mark, .. } => {
                Item::ImageGenerationCall { mark, result: None, output_format: None }
            }
            Item::FunctionCallOutput { .. } | Item::CustomToolCallOutput { .. } | Item::Native(_) => self,
        }
    }
}

/// What an item of an answer has, and one of a request needs not have.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Mark<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Status>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

/// What a tool answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Output<'a> {
    Text(Cow<'a, str>),
    Pieces(Vec<Piece<'a>>),
}

/// One piece of a content or a summary.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Piece<'a> {
    InputText {
        text: &'a str,
    },
    InputImage {
        detail: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        image_url: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<&'a str>,
    },
    InputFile {
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<&'a str>,
    },
    InputAudio {
        input_audio: Sound<'a>,
    },
    OutputText {
        text: &'a str,
        annotations: Vec<Annotation<'a>>,
        logprobs: [(); 0],
    },
    Refusal {
        refusal: &'a str,
    },
    SummaryText {
        text: &'a str,
    },
    ReasoningText {
        text: &'a str,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct Sound<'a> {
    pub(crate) data: &'a str,
    pub(crate) format: &'a str,
}

/// A source of a text.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Annotation<'a> {
    UrlCitation { url: &'a str, title: &'a str, start_index: u64, end_index: u64 },
    FileCitation { file_id: &'static str, filename: &'a str, index: u64 },
}

impl<'a> Annotation<'a> {
    /// A citation of a text that has `length` characters so far: where it does not say which, it is of all of them.
    pub(crate) fn of(citation: &'a Citation, length: u64) -> Self {
        let (start_index, end_index) = citation.range.unwrap_or((0, length));
        let title = citation.title.as_deref().unwrap_or_default();
        if citation.url.is_empty() {
            return Annotation::FileCitation { file_id: "", filename: title, index: start_index };
        }
        Annotation::UrlCitation { url: &citation.url, title, start_index, end_index }
    }
}
