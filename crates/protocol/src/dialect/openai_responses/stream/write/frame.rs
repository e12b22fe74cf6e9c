//! How the events of a stream are written; never which of them come.

use serde::Serialize;

use crate::dialect::openai_responses::wire::{Annotation, Item, Piece};
use crate::dialect::write;

/// An event about one item. Each kind has some of these fields.
#[derive(Debug, Default, Serialize)]
pub(super) struct Frame<'a> {
    pub(super) r#type: &'static str,
    pub(super) sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) item_id: Option<&'a str>,
    pub(super) output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) item: Option<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<Piece<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotation_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotation: Option<Annotation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<[(); 0]>,
}

impl Frame<'_> {
    /// Writes it as the next event.
    pub(super) fn push(mut self, sequence: &mut u64, out: &mut Vec<u8>) {
        self.sequence_number = *sequence;
        *sequence += 1;
        write::push_event(out, self.r#type, &self);
    }
}

/// An event that holds the whole response, as JSON.
pub(super) struct Whole<'a> {
    pub(super) r#type: &'static str,
    pub(super) sequence_number: u64,
    pub(super) response: &'a [u8],
}

impl Whole<'_> {
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        let Whole { r#type, sequence_number, response } = self;
        let head = format!(
            "event: {type}\ndata: {{\"type\":\"{type}\",\"sequence_number\":{sequence_number},\"response\":"
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(response);
        out.extend_from_slice(b"}\n\n");
    }
}

/// Everything of a delta's event up to its text, which is all that changes from one to the next, with the number.
pub(super) fn delta_head(frame: &Frame<'_>) -> Vec<u8> {
    let mut head = format!("event: {0}\ndata: {{\"type\":\"{0}\",\"item_id\":", frame.r#type).into_bytes();
    write::push_json(&mut head, &frame.item_id);
    head.extend_from_slice(format!(",\"output_index\":{}", frame.output_index).as_bytes());
    if let Some(index) = frame.content_index {
        head.extend_from_slice(format!(",\"content_index\":{index}").as_bytes());
    }
    if let Some(index) = frame.summary_index {
        head.extend_from_slice(format!(",\"summary_index\":{index}").as_bytes());
    }
    if frame.logprobs.is_some() {
        head.extend_from_slice(b",\"logprobs\":[]");
    }
    head.extend_from_slice(b",\"delta\":");
    head
}

/// Writes a delta's event.
pub(super) fn push_delta(head: &[u8], text: &str, sequence: &mut u64, out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    write::push_json(out, &text);
    out.extend_from_slice(b",\"sequence_number\":");
    write::push_json(out, sequence);
    out.extend_from_slice(b"}\n\n");
    *sequence += 1;
}
