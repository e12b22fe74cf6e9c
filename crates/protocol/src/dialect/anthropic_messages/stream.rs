//! Streams of messages, read and written; never looked at on their way through, which is another file's.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::Reader;
pub(super) use write::Writer;
