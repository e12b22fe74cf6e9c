//! Reads and writes where a text has its knowledge from; never judges a source.
//!
//! Google counts in bytes of one part's text, the conversation in characters.

use std::borrow::Cow;

use serde::Serialize;

use super::wire::{count, each, name};
use crate::conversation::part::Citation;
use crate::json::{Kind, Malformed, Scan};

/// A source, and what of which part refers to it, in bytes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sourced {
    pub(super) part: Option<usize>,
    pub(super) range: Option<(usize, usize)>,
    pub(super) url: String,
    pub(super) title: Option<String>,
}

impl Sourced {
    /// The citation of `text`, whose bytes the range counts. A range that lies not in it is left out.
    pub(super) fn citation(self, text: &str) -> Citation {
        let chars =
            |end: usize| text.get(..end).map(|head| u64::try_from(head.chars().count()).unwrap_or(u64::MAX));
        let range = self.range.and_then(|(start, end)| Some((chars(start)?, chars(end)?)));
        Citation { url: self.url, title: self.title, quote: None, range }
    }
}

#[derive(Default)]
struct Support {
    part: Option<usize>,
    range: Option<(usize, usize)>,
    chunks: Vec<usize>,
}

/// Reads `groundingMetadata`.
pub(super) fn read_grounding(scan: &mut Scan<'_>, out: &mut Vec<Sourced>) -> Result<(), Malformed> {
    let (mut chunks, mut supports) = (Vec::new(), Vec::new());
    scan.object(|scan, key| match &*name(&key) {
        "groundingChunks" => each(scan, |scan, _| {
            chunks.push(chunk(scan)?);
            Ok(())
        }),
        "groundingSupports" => each(scan, |scan, _| {
            supports.push(support(scan)?);
            Ok(())
        }),
        _ => scan.skip(),
    })?;
    let first = out.len();
    for (number, (url, title)) in chunks.iter().enumerate().filter(|(_, (url, _))| !url.is_empty()) {
        let (url, title) = (url.clone().into_owned(), title.clone().map(Cow::into_owned));
        let referring = supports.iter().filter(|support| support.chunks.contains(&number));
        let before = out.len();
        out.extend(referring.map(|support| Sourced {
            part: support.part,
            range: support.range,
            url: url.clone(),
            title: title.clone(),
        }));
        if out.len() == before {
            out.push(Sourced { url, title, ..Sourced::default() });
        }
    }
    out.get_mut(first..).unwrap_or_default().sort_by_key(|source| (source.part, source.range));
    Ok(())
}

/// A chunk of the web, of a map or of a store of documents: its address and title.
fn chunk<'a>(scan: &mut Scan<'a>) -> Result<(Cow<'a, str>, Option<Cow<'a, str>>), Malformed> {
    let (mut url, mut title) = (Cow::Borrowed(""), None);
    if scan.kind() != Kind::Object {
        scan.skip()?;
        return Ok((url, title));
    }
    scan.object(|scan, _| {
        if scan.kind() != Kind::Object {
            return scan.skip();
        }
        scan.object(|scan, key| {
            match (&*name(&key), scan.kind()) {
                ("uri", Kind::String) => url = scan.string()?.value(),
                ("title", Kind::String) => title = Some(scan.string()?.value()),
                _ => scan.skip()?,
            }
            Ok::<_, Malformed>(())
        })
    })?;
    Ok((url, title))
}

fn support(scan: &mut Scan<'_>) -> Result<Support, Malformed> {
    let mut support = Support::default();
    if scan.kind() != Kind::Object {
        scan.skip()?;
        return Ok(support);
    }
    scan.object(|scan, key| {
        match (&*name(&key), scan.kind()) {
            ("segment", Kind::Object) => {
                let (mut start, mut end) = (0, None);
                scan.object(|scan, key| {
                    match &*name(&key) {
                        "startIndex" => start = size(scan)?.unwrap_or(0),
                        "endIndex" => end = size(scan)?,
                        "partIndex" => support.part = size(scan)?,
                        _ => scan.skip()?,
                    }
                    Ok::<_, Malformed>(())
                })?;
                support.range = end.map(|end| (start, end));
            }
            ("groundingChunkIndices", _) => each(scan, |scan, _| {
                support.chunks.extend(size(scan)?);
                Ok::<_, Malformed>(())
            })?,
            _ => scan.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(support)
}

fn size(scan: &mut Scan<'_>) -> Result<Option<usize>, Malformed> {
    Ok(count(scan.written()?).and_then(|size| size.try_into().ok()))
}

/// Reads `citationMetadata`: what is quoted from where.
pub(super) fn read_citations(scan: &mut Scan<'_>, out: &mut Vec<Sourced>) -> Result<(), Malformed> {
    scan.object(|scan, key| match &*name(&key) {
        "citations" | "citationSources" => each(scan, |scan, _| {
            if scan.kind() != Kind::Object {
                return scan.skip();
            }
            let (mut source, mut start, mut end) = (Sourced::default(), 0, None);
            scan.object(|scan, key| {
                match (&*name(&key), scan.kind()) {
                    ("uri", Kind::String) => source.url = scan.string()?.value().into_owned(),
                    ("title", Kind::String) => source.title = Some(scan.string()?.value().into_owned()),
                    ("startIndex", _) => start = size(scan)?.unwrap_or(0),
                    ("endIndex", _) => end = size(scan)?,
                    _ => scan.skip()?,
                }
                Ok::<_, Malformed>(())
            })?;
            source.range = end.map(|end| (start, end));
            out.extend(Some(source).filter(|source| !source.url.is_empty()));
            Ok(())
        }),
        _ => scan.skip(),
    })
}

/// `groundingMetadata` as it is written.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grounding {
    grounding_chunks: Vec<Chunk>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grounding_supports: Vec<SupportOut>,
}

#[derive(Debug, Serialize)]
struct Chunk {
    web: Web,
}

#[derive(Debug, PartialEq, Serialize)]
struct Web {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SupportOut {
    segment: Segment,
    grounding_chunk_indices: [usize; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    #[serde(skip_serializing_if = "Option::is_none")]
    part_index: Option<usize>,
    start_index: usize,
    end_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Grounding {
    /// Nothing is cited.
    pub(super) fn is_empty(&self) -> bool {
        self.grounding_chunks.is_empty()
    }

    /// Adds a source of `text`, which is the part with number `part`.
    pub(super) fn add(&mut self, citation: &Citation, text: &str, part: usize) {
        let byte = |chars: u64| {
            let chars = usize::try_from(chars).ok()?;
            text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(chars)
        };
        let range = citation.range.and_then(|(from, to)| Some((byte(from)?, byte(to)?)));
        let text = range.and_then(|(start, end)| text.get(start..end)).map(str::to_owned);
        let range = range.filter(|_| text.is_some());
        let part_index = (part > 0).then_some(part);
        self.refer(
            citation,
            range.map(|(start_index, end_index)| Segment { part_index, start_index, end_index, text }),
        );
    }

    /// Adds a source of these bytes of a streamed text, which nobody has kept.
    pub(super) fn add_range(&mut self, citation: &Citation, range: Option<(usize, usize)>) {
        let segment = range.map(|(start_index, end_index)| Segment {
            part_index: None,
            start_index,
            end_index,
            text: None,
        });
        self.refer(citation, segment);
    }

    fn refer(&mut self, citation: &Citation, segment: Option<Segment>) {
        if citation.url.is_empty() {
            return;
        }
        let web = Web { uri: citation.url.clone(), title: citation.title.clone() };
        let known = self.grounding_chunks.iter().position(|chunk| chunk.web == web);
        let chunk = known.unwrap_or_else(|| {
            self.grounding_chunks.push(Chunk { web });
            self.grounding_chunks.len() - 1
        });
        let support = segment.map(|segment| SupportOut { segment, grounding_chunk_indices: [chunk] });
        self.grounding_supports.extend(support);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, text: &str, expected: &[(&str, Option<(u64, u64)>)]) {
        let mut found = Vec::new();
        read_grounding(&mut Scan::new(written), &mut found).expect("it is JSON");
        let cited: Vec<Citation> = found.into_iter().map(|source| source.citation(text)).collect();
        let seen: Vec<_> = cited.iter().map(|citation| (&*citation.url, citation.range)).collect();
        assert_eq!(seen, expected, "{written}");
        let mut again = Grounding::default();
        cited.iter().for_each(|citation| again.add(citation, text, 0));
        let again = serde_json::to_string(&again).expect("it serialises");
        let mut found = Vec::new();
        read_grounding(&mut Scan::new(&again), &mut found).expect("it is JSON");
        let ranges: Vec<_> = found.into_iter().map(|source| source.citation(text)).collect();
        assert_eq!(ranges, cited, "{again}");
    }

    #[test]
    fn sources_are_counted_in_characters() {
        let text = "Größe: 8 m. Höhe: 9 m.";
        check(
            r#"{"groundingChunks":[{"web":{"uri":"https://a","title":"A"}},{"retrievedContext":{"uri":"https://b"}},{"web":{}}],
               "groundingSupports":[{"segment":{"endIndex":13},"groundingChunkIndices":[0,1]},
                                    {"segment":{"startIndex":14,"endIndex":25},"groundingChunkIndices":[1]}]}"#,
            text,
            &[("https://a", Some((0, 11))), ("https://b", Some((0, 11))), ("https://b", Some((12, 22)))],
        );
    }

    #[test]
    fn a_range_outside_of_the_text_is_none() {
        check(
            r#"{"groundingChunks":[{"web":{"uri":"u"}}],"groundingSupports":[{"segment":{"endIndex":99},"groundingChunkIndices":[0,7]}]}"#,
            "short",
            &[("u", None)],
        );
        check(r#"{"groundingChunks":[3,{"web":[]},{"web":{"uri":"v"}}]}"#, "", &[("v", None)]);
        check(r#"{"webSearchQueries":["x"]}"#, "", &[]);
    }
}
