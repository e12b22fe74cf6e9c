//! The dialect `openai_embeddings`: what it alone has; never what all OpenAI dialects share.

pub(crate) mod decode;
