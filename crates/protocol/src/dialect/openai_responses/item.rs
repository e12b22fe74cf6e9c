//! Reads and writes the items that inputs and outputs consist of; never in which order they come.

mod read;
mod write;

pub(crate) use read::{PARAGRAPH, Reader, annotation};
pub(crate) use write::{Entry, THOUGHT, drawn_before, kind, object_text, output_text, status_of};
