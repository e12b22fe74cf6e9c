//! What the OpenAI dialects have in common; never what only one of them has.

pub(crate) mod answer;
pub(crate) mod choices;
pub(crate) mod decode;
pub(crate) mod error;
pub(crate) mod prompt;
pub(crate) mod usage;
