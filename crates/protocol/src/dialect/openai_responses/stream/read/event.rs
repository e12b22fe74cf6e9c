//! Reads the fields of one event; never what they add to the answer.

use std::borrow::Cow;

use super::item::Slot;
use crate::json::{Kind, Malformed, Scan};

/// What an event holds, as far as any event has it.
#[derive(Debug, Default)]
pub(super) struct Wire<'a> {
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) item_id: Option<Cow<'a, str>>,
    pub(super) output_index: Option<u64>,
    pub(super) content_index: Option<u64>,
    pub(super) summary_index: Option<u64>,
    pub(super) delta: Option<Cow<'a, str>>,
    /// The whole text that the deltas were parts of.
    pub(super) whole: Option<Cow<'a, str>>,
    pub(super) item: Option<&'a str>,
    pub(super) part: Option<&'a str>,
    pub(super) annotation: Option<&'a str>,
    pub(super) response: Option<&'a str>,
    pub(super) error: Option<&'a str>,
}

impl<'a> Wire<'a> {
    pub(super) fn read(data: &'a str) -> Result<Self, Malformed> {
        let mut scan = Scan::new(data);
        let mut wire = Wire::default();
        scan.object(|scan, key| {
            let is_text = scan.kind() == Kind::String;
            match &*key.value() {
                "type" if is_text => wire.kind = Some(scan.string()?.value()),
                "item_id" if is_text => wire.item_id = Some(scan.string()?.value()),
                "delta" if is_text => wire.delta = Some(scan.string()?.value()),
                "text" | "refusal" | "arguments" | "input" if is_text => {
                    wire.whole = Some(scan.string()?.value());
                }
                "output_index" => wire.output_index = scan.written()?.parse().ok(),
                "content_index" => wire.content_index = scan.written()?.parse().ok(),
                "summary_index" => wire.summary_index = scan.written()?.parse().ok(),
                "item" => wire.item = Some(scan.written()?),
                "part" => wire.part = Some(scan.written()?),
                "annotation" => wire.annotation = Some(scan.written()?),
                "response" => wire.response = Some(scan.written()?),
                "error" => wire.error = Some(scan.written()?).filter(|written| *written != "null"),
                _ => scan.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        scan.end()?;
        Ok(wire)
    }

    /// The slot of this kind that the event is about.
    pub(super) fn slot(&self, slot: Slot) -> Slot {
        let index = self.content_index.unwrap_or(0);
        match slot {
            Slot::Text(_) => Slot::Text(index),
            Slot::Refusal(_) => Slot::Refusal(index),
            Slot::Summary | Slot::Thought | Slot::Call | Slot::Image | Slot::Native => slot,
        }
    }
}
