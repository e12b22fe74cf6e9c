//! Edits bodies in place: what is not named here stays the client's or the upstream's very bytes; nothing is parsed again.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::Segments;
use crate::dialect::ask::{Outline, StreamOptions};
use crate::dialect::grammar::{ModelIn, StreamUsage, grammar};
use crate::dialect::write::json;
use crate::json::{Kind, Malformed, Scan};

/// What the gateway changes in a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edits<'a> {
    /// The backend's own name for the model; has no effect where the dialect names it in the path.
    pub model: Option<&'a str>,
    /// Ask the upstream to end the stream with its usage figures; has no effect where the dialect knows no such wish.
    pub ask_usage: bool,
    /// Leave out top-level fields that are null.
    pub drop_nulls: bool,
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
    let instead = outline.places.instead.iter();
    list.extend(
        instead.map(|(place, with)| Edit { place: place.clone(), with: Bytes::from_static(with.as_bytes()) }),
    );
    if edits.drop_nulls {
        drop_nulls(body, &mut list);
    }
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

/// Cuts out the fields that are null, each with the comma before it, or behind it where none that stays comes before.
/// A null that is written over stays, and so does everything where nothing else would be left.
fn drop_nulls(body: &[u8], list: &mut SmallVec<[Edit; 2]>) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let mut scan = Scan::new(text);
    let mut fields: Vec<(Range<usize>, bool)> = Vec::new();
    let scanned = scan.object(|scan, key| {
        let (start, is_null) = (key.span().start, scan.kind() == Kind::Null);
        scan.skip()?;
        let field = start..scan.at();
        let is_edited = list.iter().any(|edit| field.contains(&edit.place.start) && !edit.place.is_empty());
        fields.push((field, is_null && !is_edited));
        Ok::<_, Malformed>(())
    });
    let Some(first_kept) = fields.iter().position(|(_, is_dropped)| !is_dropped) else { return };
    if scanned.is_err() {
        return;
    }
    let cut = |place: Range<usize>| Edit { place, with: Bytes::new() };
    let (before, rest) = fields.split_at(first_kept);
    if let (Some((first, _)), Some((kept, _))) = (before.first(), rest.first()) {
        list.push(cut(first.start..kept.start));
    }
    let behind = rest.windows(2).filter_map(|pair| match pair {
        [(before, _), (field, true)] => Some(cut(before.end..field.end)),
        _ => None,
    });
    list.extend(behind);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, outline};

    #[track_caller]
    fn check(body: &'static str, model: Option<&str>, want: &str) {
        let body = Bytes::from_static(body.as_bytes());
        let outline = outline(Dialect::OpenAiRaw, &body).expect("a request");
        let edits = Edits { model, drop_nulls: true, ..Edits::default() };
        assert_eq!(String::from_utf8_lossy(&rewrite(&body, &outline, &edits).concat()), want);
    }

    #[test]
    fn nulls_are_left_out_where_they_are_not_borne() {
        check(r#"{"model":"m","input":"x","encoding_format":null}"#, None, r#"{"model":"m","input":"x"}"#);
        check(r#"{ "a": null, "b" :null , "model":"m"}"#, None, r#"{ "model":"m"}"#);
        check(
            r#"{"model":"m","a":null,"b":null,"c":{"d":null},"e":null}"#,
            None,
            r#"{"model":"m","c":{"d":null}}"#,
        );
        check(r#"{"a":null,"model":null,"b":null}"#, Some("n"), r#"{"model":"n"}"#);
        check(r#"{"a":null,"b":1}"#, Some("n"), r#"{"model":"n","b":1}"#);
        check(r#"{"a":null}"#, Some("n"), r#"{"model":"n","a":null}"#);
        check(r#"{"b":[null],"c":0}"#, None, r#"{"b":[null],"c":0}"#);
    }
}
