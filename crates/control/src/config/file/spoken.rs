//! What may be written about what a backend speaks, exactly as it is typed; nothing is defaulted here.

use super::super::bind::choice;

choice! {
    /// A wire format that a backend speaks.
    pub enum Spoken {
        /// `/chat/completions`
        OpenAiChat = "openai_chat",
        /// `/completions`
        OpenAiCompletions = "openai_completions",
        /// `/embeddings`
        OpenAiEmbeddings = "openai_embeddings",
        /// `/responses`
        OpenAiResponses = "openai_responses",
        /// `/messages`
        AnthropicMessages = "anthropic_messages",
        /// `/models/{model}:generateContent`
        Gemini = "gemini",
        /// What is only relayed: images, audio, files and the like.
        OpenAiRaw = "openai_raw",
    }
}
