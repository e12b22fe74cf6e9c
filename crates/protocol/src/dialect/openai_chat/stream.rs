//! Streams of `openai_chat`: what an upstream's chunks mean, and how chunks for a client are written; never how either is
//! framed.

pub(super) mod chunk;
pub(super) mod read;
#[cfg(test)]
mod tests;
pub(super) mod write;
