//! The dialect `openai_responses`: what it alone has; never what all OpenAI dialects share.

pub(crate) mod decode;
pub(crate) mod error;
pub(crate) mod stream;
