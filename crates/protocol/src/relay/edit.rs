//! Edits bodies in place: what is not named here stays the client's or the upstream's very bytes; nothing is parsed again.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::Segments;
use crate::dialect::ask::{Outline, StreamOptions};
use crate::dialect::grammar::{ModelIn, StreamUsage, grammar};
use crate::dialect::write::json;

/// What the gateway changes in a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edits<'a> {
    /// The backend's own name for the model; has no effect where the dialect names it in the path.
    pub model: Option<&'a str>,
    /// Ask the upstream to end the stream with its usage figures; has no effect where the dialect knows no such wish.
    pub ask_usage: bool,
}

/// One replacement; an empty range is an insertion. Edits come in the order they stand in the body.
struct Edit {
    place: Range<usize>,
    with: Bytes,
}

/// Writes the edits into a request, as slices of the body with small new pieces between them. Seals that were wrapped for
/// the client are the gateway's, too, and stay here.
///
/// `outline` must be the one made of this very body.
pub fn rewrite(body: &Bytes, outline: &Outline, edits: &Edits<'_>) -> Segments {
    let mut list: SmallVec<[Edit; 2]> = SmallVec::new();
    list.extend(edits.model.and_then(|name| model(outline, name)));
    if edits.ask_usage && outline.stream {
        list.extend(ask_usage(outline));
    }
    list.extend(outline.places.foreign.iter().map(|place| Edit { place: place.clone(), with: Bytes::new() }));
    list.sort_by_key(|edit| edit.place.start);
    let mut segments = Segments::new();
    let mut at = 0;
    for edit in list {
        push(&mut segments, body, at..edit.place.start);
        at = edit.place.end;
        segments.extend((!edit.with.is_empty()).then_some(edit.with));
    }
    push(&mut segments, body, at..body.len());
    segments
}

/// Writes another model name into a whole answer.
pub fn rename_model(body: &Bytes, span: Option<&Range<usize>>, name: &str) -> Segments {
    let mut segments = Segments::new();
    match span {
        Some(span) => {
            push(&mut segments, body, 0..span.start);
            segments.push(json(&name));
            push(&mut segments, body, span.end..body.len());
        }
        None => segments.push(body.clone()),
    }
    segments
}

fn model(outline: &Outline, name: &str) -> Option<Edit> {
    let is_elsewhere = grammar(outline.dialect).model == ModelIn::Path;
    if is_elsewhere || outline.model.as_ref().is_some_and(|field| field.name == name) {
        return None;
    }
    Some(match &outline.places.model {
        Some(place) => Edit { place: place.clone(), with: json(&name) },
        None => insertion(outline, &[b"\"model\":", &*json(&name)].concat()),
    })
}

fn ask_usage(outline: &Outline) -> Option<Edit> {
    if grammar(outline.dialect).usage != StreamUsage::OnRequest || outline.usage_asked {
        return None;
    }
    Some(match &outline.places.stream_options {
        StreamOptions::Absent => insertion(outline, br#""stream_options":{"include_usage":true}"#),
        StreamOptions::Null(place) => {
            Edit { place: place.clone(), with: Bytes::from_static(br#"{"include_usage":true}"#) }
        }
        StreamOptions::Object { include_usage: Some(place), .. } => {
            Edit { place: place.clone(), with: Bytes::from_static(b"true") }
        }
        StreamOptions::Object { inside, empty, include_usage: None } => {
            let with: &'static [u8] =
                if *empty { br#""include_usage":true"# } else { br#""include_usage":true,"# };
            Edit { place: *inside..*inside, with: Bytes::from_static(with) }
        }
    })
}

/// A field that the body does not have goes in front of those it has.
fn insertion(outline: &Outline, field: &[u8]) -> Edit {
    let comma: &[u8] = if outline.places.empty { b"" } else { b"," };
    Edit { place: outline.places.inside..outline.places.inside, with: [field, comma].concat().into() }
}

fn push(segments: &mut Segments, body: &Bytes, range: Range<usize>) {
    if !range.is_empty() {
        segments.push(body.slice(range));
    }
}
