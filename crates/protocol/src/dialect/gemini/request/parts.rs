//! Reads the parts of a turn, and matches the results of functions with their calls; never the roles.

use std::borrow::Cow;

use super::decode::{check, json};
use crate::conversation::loss::{Aspect, Loss, Place};
use crate::conversation::part::{
    Audio, Content, Document, Image, Native, Part, Source, Takes, Text, Thinking, ToolCall, ToolResult,
};
use crate::dialect::ask::DecodeError;
use crate::dialect::gemini::wire::{Blob, Piece, Response};
use crate::dialect::gemini::{SELF, seal};
use crate::json::{Kind, Malformed, Scan};

/// The calls that have no result yet, first ones first.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<(String, String)>);

impl Calls {
    /// The id of the call that a result belongs to: the one it names, else the first with its name.
    fn take(&mut self, response: &Response<'_>) -> Option<String> {
        let found = match &response.id {
            Some(id) => self.0.iter().position(|(call, _)| call == id),
            None => self.0.iter().position(|(_, name)| *name == response.name),
        }?;
        Some(self.0.remove(found).0)
    }
}

/// Adds what the model says to what it said before: pieces of one text or thought are one again.
pub(super) fn append(part: Part, parts: &mut Vec<Part>) {
    match (parts.last_mut().map(|last| &mut last.content), part.content) {
        (Some(Content::Text(last)), Content::Text(more)) => last.text.push_str(&more.text),
        (Some(Content::Thinking(last)), Content::Thinking(more)) if last.seal.is_none() => {
            last.text.push_str(&more.text);
            last.seal = more.seal;
        }
        (_, content) => parts.push(Part { content, ..part }),
    }
}

/// What `piece` says.
pub(super) fn decode(
    piece: Piece<'_>,
    place: &Place,
    calls: &mut Calls,
    losses: &mut Vec<Loss>,
) -> Result<Vec<Part>, DecodeError> {
    let mut parts = Vec::with_capacity(1);
    let mut push = |content| parts.push(Part { content, cache: None, at: place.clone() });
    let mut seal = piece.signature.as_deref().filter(|signature| !signature.is_empty()).map(seal::kept);
    if piece.is_native {
        push(Content::Native(Native { dialect: SELF, json: json(piece.written)? }));
        return Ok(parts);
    }
    losses.extend(piece.unknown.iter().map(|field| Loss::At(place.field(field))));
    if let Some(text) = piece.text {
        let text = text.into_owned();
        if piece.thought {
            let seal = seal.take();
            push(Content::Thinking(Thinking { text, is_summary: true, seal, id: None }));
        } else if !text.is_empty() {
            push(Content::Text(Text { text, citations: Vec::new() }));
        }
    }
    if let Some(call) = piece.call {
        let id = call.id.map_or_else(|| made_up(place), Cow::into_owned);
        let (name, arguments) = (call.name.into_owned(), call.args.unwrap_or("{}").to_owned());
        calls.0.push((id.clone(), name.clone()));
        push(Content::ToolCall(ToolCall { id, name, arguments, takes: Takes::Object, seal: seal.take() }));
    }
    if let Some(response) = piece.response {
        push(Content::ToolResult(result(response, place, calls, losses)?));
    }
    if let Some(blob) = piece.blob {
        let has_name = blob.display_name.is_some();
        match inline(blob) {
            Some(content) => {
                // Only documents have names elsewhere.
                let keeps_name = matches!(content, Content::Document(_));
                losses.extend((has_name && !keeps_name).then(|| Loss::Of(place.clone(), Aspect::Title)));
                push(content);
            }
            None => push(Content::Native(Native { dialect: SELF, json: json(piece.written)? })),
        }
    }
    if let Some(file) = piece.file {
        match at_address(file) {
            Some(content) => push(content),
            None => push(Content::Native(Native { dialect: SELF, json: json(piece.written)? })),
        }
    }
    // A signature on plain text is a thought of which nothing else is shown.
    if let Some(seal) = seal {
        let text = String::new();
        push(Content::Thinking(Thinking { text, is_summary: true, seal: Some(seal), id: None }));
    }
    Ok(parts)
}

/// An id for what has none, from where it stands.
fn made_up(place: &Place) -> String {
    let digits = place.as_str().split(|letter: char| !letter.is_ascii_digit());
    let numbers: Vec<&str> = digits.filter(|digits| !digits.is_empty()).collect();
    format!("call_{}", numbers.join("_"))
}

fn result(
    response: Response<'_>,
    place: &Place,
    calls: &mut Calls,
    losses: &mut Vec<Loss>,
) -> Result<ToolResult, DecodeError> {
    let matched = calls.take(&response);
    let Response { id, name, response, parts } = response;
    let (text, is_error) = said(response.unwrap_or("{}"));
    let at = place.field("functionResponse");
    let said = Content::Text(Text { text, citations: Vec::new() });
    let mut result = ToolResult {
        call_id: matched.or(id.map(Cow::into_owned)).unwrap_or_else(|| made_up(place)),
        name: Some(name.into_owned()).filter(|name| !name.is_empty()),
        parts: vec![Part { content: said, cache: None, at: at.field("response") }],
        is_error,
        takes: Takes::Object,
    };
    for (index, piece) in parts.into_iter().enumerate() {
        let at = at.field("parts").item(index);
        check(at.as_str(), piece.wrong)?;
        match piece.blob.and_then(inline).or_else(|| piece.file.and_then(at_address)) {
            Some(content) => result.parts.push(Part { content, cache: None, at }),
            None => losses.push(Loss::At(at)),
        }
    }
    Ok(result)
}

/// What a function answered: the text, where its object has nothing but one of the fields that Google documents for it,
/// else the object; and whether it is an error.
fn said(response: &str) -> (String, bool) {
    let whole = || (response.to_owned(), false);
    let mut only = None;
    let mut scan = Scan::new(response);
    let read = scan.object(|scan, key| {
        let is_first = only.is_none();
        let kind = scan.kind();
        let value = match kind {
            Kind::String => scan.string()?.value(),
            _ => Cow::Borrowed(scan.written()?),
        };
        only = Some((key.value(), value, kind)).filter(|_| is_first);
        if is_first { Ok(()) } else { Err(Malformed { at: 0, what: "a second field", cut: false }) }
    });
    match (read, only) {
        (Ok(()), Some((key, value, _))) if key == "error" => (value.into_owned(), true),
        (Ok(()), Some((key, value, Kind::String))) if key == "output" || key == "result" => {
            (value.into_owned(), false)
        }
        _ => whole(),
    }
}

/// What stands in `inlineData`; none where no other dialect has a word for it.
pub(in crate::dialect::gemini) fn inline(blob: Blob<'_>) -> Option<Content> {
    let (kind, format) = blob.mime_type.split_once('/').unwrap_or((&blob.mime_type, ""));
    let data = blob.data.into_owned();
    match kind {
        "image" => Some(Content::Image(Image {
            source: Source::Base64 { media_type: blob.mime_type.into_owned(), data },
            detail: None,
            id: None,
        })),
        "audio" => {
            let format = match format {
                "mpeg" => "mp3",
                "x-wav" | "wave" => "wav",
                other => other,
            };
            Some(Content::Audio(Audio { data, format: format.to_owned(), transcript: None, id: None }))
        }
        "application" | "text" => Some(document(
            Source::Base64 { media_type: blob.mime_type.into_owned(), data },
            blob.display_name.map(Cow::into_owned),
        )),
        _ => None,
    }
}

/// The picture that a piece of an answer is, if anybody can have it: neither one on the way of a thought, nor one that lies
/// with Google.
pub(in crate::dialect::gemini) fn picture(piece: &Piece<'_>) -> Option<Image> {
    let is_picture = |blob: &&Blob<'_>| blob.mime_type.starts_with("image/") && !piece.thought;
    let source = match piece.blob.as_ref().filter(is_picture) {
        Some(Blob { mime_type, data, .. }) => {
            Source::Base64 { media_type: mime_type.clone().into_owned(), data: data.clone().into_owned() }
        }
        None => {
            let file = piece.file.as_ref().filter(is_picture)?;
            Some(address(file.data.clone().into_owned())).filter(|source| matches!(source, Source::Url(_)))?
        }
    };
    Some(Image { source, detail: None, id: None })
}

/// What `fileData` points to; none where no other dialect has a word for it.
fn at_address(file: Blob<'_>) -> Option<Content> {
    let source = address(file.data.into_owned());
    let (kind, _) = file.mime_type.split_once('/').unwrap_or((&file.mime_type, ""));
    match kind {
        "image" => Some(Content::Image(Image { source, detail: None, id: None })),
        "application" | "text" => Some(document(source, file.display_name.map(Cow::into_owned))),
        _ => None,
    }
}

/// Where a file lies: at an address that anybody can fetch, or with Google.
fn address(uri: String) -> Source {
    let is_public = uri.starts_with("https://") || uri.starts_with("http://");
    match is_public && !uri.contains("//generativelanguage.googleapis.com/") {
        true => Source::Url(uri),
        false => Source::File(uri),
    }
}

fn document(source: Source, title: Option<String>) -> Content {
    Content::Document(Document { source, title, context: None, citations: false })
}
