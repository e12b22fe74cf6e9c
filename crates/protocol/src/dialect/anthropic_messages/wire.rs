//! Blocks as they are written, in requests and in answers; never which ones.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::citation;
use crate::conversation::part::{Cache, Takes, ToolCall};

/// A block, or one that is carried as it was written.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Item<'a> {
    Block(Block<'a>),
    Native(&'a RawValue),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<citation::Written<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<Enabled>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Input<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Item<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Thinking {
        thinking: &'a str,
        signature: Cow<'a, str>,
    },
    RedactedThinking {
        data: Cow<'a, str>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
    File { file_id: &'a str },
    Text { media_type: &'static str, data: Cow<'a, str> },
}

#[derive(Serialize)]
pub(super) struct Enabled {
    pub(super) enabled: bool,
}

#[derive(Serialize)]
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

/// What a tool is called with, which must be an object.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Input<'a> {
    Object(&'a RawValue),
    /// A text, or arguments that the model has broken.
    Text {
        input: &'a str,
    },
    None {},
}

impl<'a> Input<'a> {
    pub(super) fn of(call: &'a ToolCall) -> Self {
        let written = call.arguments.trim();
        if call.takes == Takes::Object && written.is_empty() {
            return Input::None {};
        }
        match serde_json::from_str::<&RawValue>(written) {
            Ok(raw) if call.takes == Takes::Object && raw.get().starts_with('{') => Input::Object(raw),
            Ok(_) | Err(_) => Input::Text { input: &call.arguments },
        }
    }
}

/// An id as the service accepts it: letters, digits, `_` and `-`. What had to be changed ends with a number for all of it,
/// so that ids which differed still do.
pub(super) fn id(id: &str) -> Cow<'_, str> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !id.is_empty() && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let changed: String = id.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect();
    Cow::Owned(format!("{changed}_{:016x}", crate::digest(id.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn ids_that_differ_still_do() {
        assert_eq!(id("call_1-a"), "call_1-a");
        let changed = ["a.b", "a:b", "a_b", "a b", "\u{e9}", ""].map(id);
        for (number, one) in changed.iter().enumerate() {
            assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{one}");
            assert!(!one.is_empty() && !changed[..number].contains(one), "{one}");
        }
    }
}
