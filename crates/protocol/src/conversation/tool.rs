//! What a model may call; never what it calls.

use super::loss::Place;
use super::part::{Cache, Json, Native};

/// A tool on offer.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// What it is.
    pub kind: ToolKind,
    /// The prompt up to here is to be cached.
    pub cache: Option<Cache>,
    /// Where the client wrote it.
    pub at: Place,
}

/// What sort of tool it is.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolKind {
    /// The client runs it, and it takes a JSON object.
    Function(Function),
    /// The client runs it, and it takes text (`custom` tools of OpenAI).
    Custom {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// The grammar of its text.
        format: Option<Json>,
    },
    /// The provider runs it: web search, code execution, and the like. Carried only to its own dialect.
    Builtin(Native),
}

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON schema of its arguments; none where it takes none.
    pub parameters: Option<Json>,
    /// The arguments must follow the schema.
    pub strict: Option<bool>,
}

/// Which tools the model is to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// Any or none.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
    /// Any of these, or (where `required`) at least one of them.
    Among {
        /// Their names.
        names: Vec<String>,
        /// Whether one must be called.
        required: bool,
    },
}

/// A tool that its client keeps in a namespace, which only `openai_responses` has. Elsewhere it goes by one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespaced {
    /// The name that it has in this conversation.
    pub name: String,
    /// The client's namespace.
    pub namespace: String,
    /// The client's name for it, inside of the namespace.
    pub inner: String,
}
