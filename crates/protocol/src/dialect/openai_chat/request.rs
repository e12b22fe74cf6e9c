//! Chat requests: what a client asks for, and how an upstream is asked; never the answers.

pub(crate) mod decode;
pub(crate) mod encode;
pub(super) mod messages;
#[cfg(test)]
mod tests;
mod turns;
