//! Reads and writes where a text has it from; never the text.

use serde::Serialize;
use serde_json::value::RawValue;

use super::object::Object;
use crate::conversation::loss::Place;
use crate::conversation::part::Citation;

/// Reads a citation of any type: of a page in the web, of a search result, of a document of the request.
pub(super) fn read(raw: &RawValue) -> Option<Citation> {
    let mut fields = Object::read(raw, Place::default()).ok()?;
    let mut text = |name| fields.text(name).ok().flatten();
    let url = text("url").or_else(|| text("source"));
    Some(Citation {
        url: url.unwrap_or_default(),
        title: text("title").or_else(|| text("document_title")),
        quote: text("cited_text"),
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
