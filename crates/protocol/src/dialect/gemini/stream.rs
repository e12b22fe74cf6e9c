//! Reads and writes streams of answers: server-sent events that each hold a whole response; never how they are framed.

pub(super) mod read;
pub(super) mod write;

#[cfg(test)]
mod tests;
