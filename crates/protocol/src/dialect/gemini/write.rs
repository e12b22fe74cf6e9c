//! Writes the pieces that requests, answers and events share; never what they are for.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::seal;
use crate::conversation::part::{Audio, Native, Source, Takes, Thinking, ToolCall, on_one_line};
use crate::conversation::seal::Seal;

/// One content: what one side says.
#[derive(Debug, Serialize)]
pub(super) struct ContentOut<'a> {
    pub(super) parts: Vec<PartOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
}

/// One element of `parts`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all parts are the large one, and there are few at a time"
)]
pub(super) enum PartOut<'a> {
    /// As it came.
    Native(&'a RawValue),
    Own(Piece<'a>),
}

/// What one part says.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Piece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inline_data: Option<Inline<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_data: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<Cow<'a, str>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inline<'a> {
    mime_type: Cow<'a, str>,
    data: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Call<'a> {
    id: &'a str,
    name: &'a str,
    args: Cow<'a, RawValue>,
}

#[derive(Debug, Serialize)]
pub(super) struct Response<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) response: Box<RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<PartOut<'a>>,
}

impl<'a> From<Piece<'a>> for PartOut<'a> {
    fn from(piece: Piece<'a>) -> Self {
        PartOut::Own(piece)
    }
}

/// Text.
pub(super) fn text<'a>(text: impl Into<Cow<'a, str>>) -> PartOut<'a> {
    Piece { text: Some(text.into()), ..Piece::default() }.into()
}

/// A thought with its signature.
pub(super) fn thought<'a>(thought: &'a Thinking, seal: Option<&Seal>) -> PartOut<'a> {
    Piece {
        text: Some(Cow::Borrowed(&thought.text)),
        thought: true,
        thought_signature: seal.map(|seal| seal::shown(seal).into()),
        ..Piece::default()
    }
    .into()
}

/// A call with its signature.
pub(super) fn call<'a>(call: &'a ToolCall, signature: Option<Cow<'a, str>>) -> PartOut<'a> {
    let args = match call.takes {
        Takes::Object => arguments(&call.arguments).0,
        Takes::Text => Cow::Owned(holding("input", &call.arguments)),
    };
    Piece {
        function_call: Some(Call { id: &call.id, name: &call.name, args }),
        thought_signature: signature,
        ..Piece::default()
    }
    .into()
}

/// Arguments as the object that they must be here, and whether they are one: what is none is put into one.
pub(super) fn arguments(written: &str) -> (Cow<'_, RawValue>, bool) {
    let written = written.trim();
    if written.is_empty() {
        return (Cow::Owned(object("{}")), true);
    }
    match (serde_json::from_str::<&RawValue>(written), on_one_line(written)) {
        (Ok(object), Cow::Borrowed(_)) if written.starts_with('{') => (Cow::Borrowed(object), true),
        // It goes out in an event.
        (Ok(_), Cow::Owned(line)) if written.starts_with('{') => (Cow::Owned(object(&line)), true),
        _ => (Cow::Owned(holding("input", written)), false),
    }
}

/// An object with one field that holds a text.
pub(super) fn holding(field: &str, text: &str) -> Box<RawValue> {
    to_raw_value(&serde_json::Map::from_iter([(field.to_owned(), text.into())]))
        .expect("a text under a key always serialises")
}

fn object(written: &str) -> Box<RawValue> {
    RawValue::from_string(written.to_owned()).expect("what is JSON already")
}

/// A picture, a document or a recording, where this dialect can say where it lies.
pub(super) fn media<'a>(source: &'a Source, usual: Option<&'static str>) -> Option<PartOut<'a>> {
    let piece = match source {
        Source::Base64 { media_type, data } => {
            let inline = Inline { mime_type: Cow::Borrowed(media_type), data };
            Piece { inline_data: Some(inline), ..Piece::default() }
        }
        Source::Url(uri) => Piece {
            file_data: Some(File { mime_type: mime_type(uri).or(usual), file_uri: uri }),
            ..Piece::default()
        },
        // Google's ids of files are URIs; an id of another provider means nothing here.
        Source::File(uri) if uri.contains("://") => Piece {
            file_data: Some(File { mime_type: mime_type(uri).or(usual), file_uri: uri }),
            ..Piece::default()
        },
        Source::Text(content) => return Some(text(&**content)),
        Source::File(_) => return None,
    };
    Some(piece.into())
}

/// Sound that is here.
pub(super) fn audio(audio: &Audio) -> PartOut<'_> {
    let mime_type = Cow::Owned(format!("audio/{}", audio.format));
    Piece { inline_data: Some(Inline { mime_type, data: &audio.data }), ..Piece::default() }.into()
}

/// What a file is, told by the end of its name.
fn mime_type(uri: &str) -> Option<&'static str> {
    const KNOWN: &[(&str, &str)] = &[
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("webp", "image/webp"),
        ("gif", "image/gif"),
        ("heic", "image/heic"),
        ("heif", "image/heif"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("html", "text/html"),
        ("csv", "text/csv"),
        ("md", "text/md"),
    ];
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let (_, ending) = path.rsplit_once('.')?;
    KNOWN.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, mime)| *mime)
}

/// What is of this dialect alone, as it came.
pub(super) fn native(native: &Native) -> PartOut<'_> {
    PartOut::Native(native.json.raw())
}

/// The signature of something that is not shown, on an empty text as Google's own streams have it.
pub(super) fn signature<'a>(signature: impl Into<Cow<'a, str>>) -> PartOut<'a> {
    Piece { text: Some(Cow::Borrowed("")), thought_signature: Some(signature.into()), ..Piece::default() }
        .into()
}
