//! What turns and answers consist of; never who says it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::loss::Place;
use super::seal::Seal;
use crate::dialect::Dialect;

/// JSON that is carried as it was written, to the last digit, but on one line: it may go out in an event.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Json {
    /// What is written there; none where that is not JSON.
    pub fn read(written: &str) -> Option<Self> {
        RawValue::from_string(on_one_line(written).into_owned()).ok().map(Json)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The same, to be written into other JSON.
    pub fn raw(&self) -> &RawValue {
        &self.0
    }
}

/// JSON on one line. Inside of strings line ends are escaped, so that those which are not stand between values.
pub(crate) fn on_one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}

/// One piece of a turn or of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is.
    pub content: Content,
    /// The prompt up to here is to be cached.
    pub cache: Option<Cache>,
    /// Where the client wrote it; empty in an answer.
    pub at: Place,
}

impl Part {
    /// A part that stands nowhere in a request and is not to be cached.
    pub fn new(content: Content) -> Self {
        Part { content, cache: None, at: Place::default() }
    }
}

/// For how long a prompt is to be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// As long as is usual with the provider (five minutes at Anthropic).
    Usual,
    /// An hour.
    Hour,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text to be read.
    Text(Text),
    /// A picture.
    Image(Image),
    /// A document, such as a PDF.
    Document(Document),
    /// Sound.
    Audio(Audio),
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// What a tool answered.
    ToolResult(ToolResult),
    /// What the model thought.
    Thinking(Thinking),
    /// The model says that it will not answer, in its own words.
    Refusal(String),
    /// Something that only one dialect has a meaning for, such as the call of a tool that its provider runs.
    Native(Native),
}

/// Text, and where it says it has it from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Its sources.
    pub citations: Vec<Citation>,
}

/// A source of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Citation {
    /// Its address.
    pub url: String,
    /// Its title.
    pub title: Option<String>,
    /// The words quoted from it.
    pub quote: Option<String>,
    /// Where in the text it is referred to, in characters: from, to.
    pub range: Option<(u64, u64)>,
}

/// Where the bytes of a picture or document are.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// At an address.
    Url(String),
    /// Here, in base64.
    Base64 {
        /// Such as `image/png`.
        media_type: String,
        /// The encoded bytes.
        data: String,
    },
    /// With the provider, under an id that only it understands.
    File(String),
    /// Here, as plain text.
    Text(String),
}

/// A picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its bytes.
    pub source: Source,
    /// How closely it is to be looked at: `low`, `high`, `auto`, `original`.
    pub detail: Option<String>,
    /// The provider's id of what the model has drawn, where it has one.
    pub id: Option<String>,
}

impl Image {
    /// Whether its bytes came with it.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.source, Source::Base64 { .. })
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its bytes.
    pub source: Source,
    /// Its file name or title.
    pub title: Option<String>,
    /// What the model is to know about it.
    pub context: Option<String>,
    /// The answer is to cite it.
    pub citations: bool,
}

/// Sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Its bytes in base64.
    pub data: String,
    /// Its format: `wav`, `mp3`.
    pub format: String,
    /// What is said in it, where the model that spoke tells.
    pub transcript: Option<String>,
    /// The provider's id for it.
    pub id: Option<String>,
}

/// The call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// By which its result is matched with it. Made up from its position where the dialect has none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments: JSON text of an object for a function (as the model wrote it, which may be broken), any text
    /// for a custom tool.
    pub arguments: String,
    /// What the tool takes.
    pub takes: Takes,
    /// What the provider wants back with it in the next turn.
    pub seal: Option<Seal>,
}

/// What a tool takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Takes {
    /// A JSON object.
    #[default]
    Object,
    /// Any text.
    Text,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call.
    pub call_id: String,
    /// The tool, where the dialect says so or the call was seen; Gemini needs it.
    pub name: Option<String>,
    /// Text, pictures, documents.
    pub parts: Vec<Part>,
    /// The tool failed.
    pub is_error: bool,
    /// What the tool takes, as far as known.
    pub takes: Takes,
}

/// What the model thought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thinking {
    /// In its own words or in a summary; empty where only the seal is given out.
    pub text: String,
    /// Whether `text` is the thought itself or about it.
    pub is_summary: bool,
    /// Signature, encrypted thought, or both: what the provider wants back in the next turn.
    pub seal: Option<Seal>,
    /// The provider's id for it.
    pub id: Option<String>,
}

/// Something that only one dialect has a meaning for.
#[derive(Debug, Clone, PartialEq)]
pub struct Native {
    /// Whose it is.
    pub dialect: Dialect,
    /// As it is written there.
    pub json: Json,
}

/// How many characters a text has: citations count so.
pub(crate) fn characters(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}
