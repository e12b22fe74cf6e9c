//! What messages look like when they are written; never how they are read, which is lenient where this is exact.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::thought::Kept;
use crate::conversation::part::{Cache, Citation, Image, Json, Source, Takes, ToolCall};
use crate::conversation::request::Request;
use crate::dialect::{Dialect, custom};

/// A message of a request.
#[derive(Debug, Default, Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<&'a str>,
    pub(super) content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Cow<'a, str>>,
    #[serde(flatten)]
    pub(super) kept: Kept,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<Call<'a>>,
}

/// What a message says.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

/// One part of it.
#[derive(Debug, Serialize)]
pub(super) struct Part<'a> {
    #[serde(flatten)]
    pub(super) said: Said<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
    InputAudio { input_audio: InputAudio<'a> },
    File { file: File<'a> },
}

#[derive(Debug, Serialize)]
pub(super) struct ImageUrl<'a> {
    pub(super) url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<&'a str>,
}

/// Where a picture lies, as an address; none where only its provider can tell.
pub(super) fn picture_url(source: &Source) -> Option<Cow<'_, str>> {
    match source {
        Source::Url(url) => Some(Cow::Borrowed(url)),
        Source::Base64 { media_type, data } => Some(Cow::Owned(format!("data:{media_type};base64,{data}"))),
        Source::File(_) | Source::Text(_) => None,
    }
}

/// A picture in an answer, as OpenRouter has it. SDKs join pieces of lists by their indexes.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    r#type: &'static str,
    index: u64,
    image_url: ImageUrl<'a>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(image: &'a Image, index: u64) -> Option<Self> {
        let url = picture_url(&image.source)?;
        Some(Shown { r#type: "image_url", index, image_url: ImageUrl { url, detail: None } })
    }
}

#[derive(Debug, Serialize)]
pub(super) struct InputAudio<'a> {
    pub(super) data: &'a str,
    pub(super) format: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_data: Option<String>,
}

/// The mark by which OpenRouter and LiteLLM pass on where a prompt is to be cached.
#[derive(Debug, Serialize)]
pub(super) struct CacheControl {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

impl CacheControl {
    pub(super) fn of(cache: Cache) -> Self {
        let ttl = match cache {
            Cache::Usual => None,
            Cache::Hour => Some("1h"),
        };
        CacheControl { r#type: "ephemeral", ttl }
    }
}

/// The call of a tool.
#[derive(Debug, Serialize)]
pub(super) struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<CalledFunction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<CalledCustom<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Extra>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct CalledFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: Cow<'a, str>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct CalledCustom<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) input: Cow<'a, str>,
}

/// Where Google's own endpoint of this dialect keeps the seal of a call.
#[derive(Debug, Serialize)]
pub(super) struct Extra {
    google: Google,
}

#[derive(Debug, Serialize)]
struct Google {
    thought_signature: String,
}

impl Extra {
    pub(super) fn of(thought_signature: String) -> Self {
        Extra { google: Google { thought_signature } }
    }
}

impl<'a> CalledFunction<'a> {
    pub(super) fn of(call: &'a ToolCall) -> Self {
        // A call without arguments is one with an empty object; a text of no JSON trips clients and servers alike.
        let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
        CalledFunction { name: Some(&call.name), arguments: Cow::Borrowed(arguments) }
    }
}

impl<'a> Call<'a> {
    /// A call, with its seal where the reader is to have it.
    pub(super) fn of(call: &'a ToolCall, seal: Option<String>) -> Self {
        let (kind, function, custom) = match call.takes {
            Takes::Object => ("function", Some(CalledFunction::of(call)), None),
            Takes::Text => {
                let input = Cow::Borrowed(call.arguments.as_str());
                ("custom", None, Some(CalledCustom { name: Some(&call.name), input }))
            }
        };
        Call { id: &call.id, r#type: kind, function, custom, extra_content: seal.map(Extra::of) }
    }

    /// A call of a tool that takes text, for those who know functions only.
    pub(super) fn wrapped(call: &'a ToolCall, seal: Option<String>) -> Self {
        let arguments = Cow::Owned(custom::wrapped(&call.arguments));
        let function = Some(CalledFunction { name: Some(&call.name), arguments });
        Call { r#type: "function", function, custom: None, ..Self::of(call, seal) }
    }

    /// A call as a client is to keep it, of the tool that it has offered.
    pub(super) fn shown(call: &'a ToolCall, request: &Request) -> Self {
        let shown = Self::of(call, call.seal.as_ref().map(|seal| seal.shown_in(Dialect::OpenAiChat)));
        match (call.takes, custom::takes(call.takes, &call.name, request)) {
            (Takes::Object, Takes::Text) => {
                let input = Cow::Owned(custom::unwrapped(&call.arguments));
                let custom = Some(CalledCustom { name: Some(&call.name), input });
                Call { r#type: "custom", function: None, custom, ..shown }
            }
            (Takes::Object | Takes::Text, _) => shown,
        }
    }
}

/// A source of a text.
#[derive(Debug, Serialize)]
pub(super) struct Annotation<'a> {
    r#type: &'static str,
    /// Which one of the message's it is, where they come piece by piece: SDKs join the pieces by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    url_citation: UrlCitation<'a>,
}

#[derive(Debug, Serialize)]
struct UrlCitation<'a> {
    start_index: u64,
    end_index: u64,
    url: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

impl<'a> Annotation<'a> {
    /// A citation of the text that stands at these characters of the content: where it does not say which of them, it
    /// is of all.
    pub(super) fn of(citation: &'a Citation, text: Range<u64>) -> Self {
        let within = |at: u64| text.start.saturating_add(at);
        let (start_index, end_index) =
            citation.range.map_or((text.start, text.end), |(start, end)| (within(start), within(end)));
        Annotation {
            r#type: "url_citation",
            index: None,
            url_citation: UrlCitation {
                start_index,
                end_index,
                url: &citation.url,
                title: citation.title.as_deref().unwrap_or_default(),
                content: citation.quote.as_deref(),
            },
        }
    }
}

impl Annotation<'_> {
    /// The same as a piece of a stream.
    pub(super) fn numbered(self, index: u64) -> Self {
        Annotation { index: Some(index), ..self }
    }
}

/// A tool on offer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Tool<'a> {
    Offered {
        #[serde(flatten)]
        kind: ToolKind<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Native(&'a Json),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToolKind<'a> {
    Function { function: Function<'a> },
    Custom { custom: Custom<'a> },
}

#[derive(Debug, Serialize)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strict: Option<bool>,
}

#[derive(Debug, Serialize)]
pub(super) struct Custom<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<Grammar<'a>>,
}

/// The form of a custom tool's text: here a grammar stands in an object of its own, in `openai_responses` it does not.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Grammar<'a> {
    Nested { r#type: &'static str, grammar: Definition },
    Other(&'a Json),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Definition {
    syntax: String,
    definition: String,
}

impl<'a> Grammar<'a> {
    pub(super) fn of(format: &'a Json) -> Self {
        match serde_json::from_str(format.as_str()) {
            Ok(grammar) => Grammar::Nested { r#type: "grammar", grammar },
            Err(_) => Grammar::Other(format),
        }
    }
}

/// Which tools are to be called.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Choice<'a> {
    Mode(&'static str),
    Named(Named<'a>),
    Among { r#type: &'static str, allowed_tools: Allowed<'a> },
}

#[derive(Debug, Serialize)]
pub(super) struct Allowed<'a> {
    mode: &'static str,
    tools: Vec<Named<'a>>,
}

/// The tool of a name.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Named<'a> {
    Function { function: Name<'a> },
    Custom { custom: Name<'a> },
}

#[derive(Debug, Serialize)]
pub(super) struct Name<'a> {
    name: &'a str,
}

impl<'a> Choice<'a> {
    pub(super) fn among(mode: &'static str, tools: Vec<Named<'a>>) -> Self {
        Choice::Among { r#type: "allowed_tools", allowed_tools: Allowed { mode, tools } }
    }
}

impl<'a> Named<'a> {
    pub(super) fn function(name: &'a str) -> Self {
        Named::Function { function: Name { name } }
    }

    pub(super) fn custom(name: &'a str) -> Self {
        Named::Custom { custom: Name { name } }
    }
}
