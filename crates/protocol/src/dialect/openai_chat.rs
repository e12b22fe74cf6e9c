//! The dialect `openai_chat`: what it alone has; never what all OpenAI dialects share.

pub(crate) mod decode;
