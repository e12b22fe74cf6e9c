//! The dialect `openai_completions`: what it alone has; never what all OpenAI dialects share.

pub(crate) mod decode;
