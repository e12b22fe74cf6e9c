//! Reads and writes where a text has it from; never the text.

use serde::{Deserialize, Serialize};

use crate::conversation::part::Citation;

/// A citation of any type: of a page in the web, of a search result, of a document of the request.
#[derive(Deserialize)]
struct Wire {
    url: Option<String>,
    source: Option<String>,
    title: Option<String>,
    document_title: Option<String>,
    cited_text: Option<String>,
}

/// What a citation of any type may have. Places in what the service itself has shown mean nothing elsewhere.
pub(super) const KNOWN: &[&str] = &[
    "type",
    "url",
    "source",
    "title",
    "document_title",
    "cited_text",
    "document_index",
    "file_id",
    "start_char_index",
    "end_char_index",
    "start_page_number",
    "end_page_number",
    "start_block_index",
    "end_block_index",
    "search_result_index",
    "encrypted_index",
];

/// Reads a citation.
pub(super) fn read(written: &str) -> Option<Citation> {
    let wire: Wire = serde_json::from_str(written).ok()?;
    Some(Citation {
        url: wire.url.or(wire.source).unwrap_or_default(),
        title: wire.title.or(wire.document_title),
        quote: wire.cited_text,
        range: None,
    })
}

/// A citation as clients read it. What was found elsewhere has no index that the service could use again.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    r#type: &'static str,
    cited_text: &'a str,
    url: &'a str,
    title: Option<&'a str>,
    encrypted_index: &'static str,
}

impl<'a> Written<'a> {
    pub(super) fn of(citation: &'a Citation) -> Self {
        Written {
            r#type: "web_search_result_location",
            cited_text: citation.quote.as_deref().unwrap_or_default(),
            url: &citation.url,
            title: citation.title.as_deref(),
            encrypted_index: "",
        }
    }
}
