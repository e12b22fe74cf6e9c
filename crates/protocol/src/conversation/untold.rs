//! Decides how it is named what an answer has and its client's dialect has no word for; never what that is.

use serde::Deserialize;

use super::part::{Content, Native};

/// What stands before each name: a client looks for other paths in what it has asked itself.
const PREFIX: &str = "answer.";

/// The name of a picture.
pub(crate) const PICTURE: &str = "answer.image";

/// The longest name that a provider may give something; what is longer is no name.
const NAME_BYTES_MAX: usize = 64;

/// The name of a part that is not told.
pub(crate) fn of_part(content: &Content) -> Option<String> {
    let name = match content {
        Content::Image(_) => return Some(PICTURE.to_owned()),
        Content::Document(_) => "document",
        Content::Audio(_) => "audio",
        Content::ToolResult(_) => "tool_result",
        Content::Native(native) => return Some(of_native(native)),
        Content::Text(_) | Content::Refusal(_) | Content::Thinking(_) | Content::ToolCall(_) => return None,
    };
    Some(format!("{PREFIX}{name}"))
}

/// The name of something that only its own dialect has a meaning for: its type there, else its first field.
pub(crate) fn of_native(native: &Native) -> String {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    let written = native.json.as_str();
    let typed = serde_json::from_str::<Typed>(written).ok().map(|typed| typed.r#type);
    // The first quoted word of an object is the name of its first field.
    let name = typed.or_else(|| match written.split('"').nth(1)? {
        "inlineData" | "inline_data" | "fileData" | "file_data" => Some(medium(written).to_owned()),
        first => Some(first.to_owned()),
    });
    let is_name = |name: &String| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits)
    };
    format!("{PREFIX}{}", name.filter(is_name).as_deref().unwrap_or("part"))
}

/// What sort of medium a part of Gemini's holds, which has its type in front of its data.
fn medium(written: &str) -> &'static str {
    let begins = |kind: &&str| written.contains(&format!("\"{kind}/"));
    ["image", "audio", "video"].into_iter().find(begins).unwrap_or("document")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::part::Json;
    use crate::dialect::Dialect;

    #[test]
    fn what_is_not_told_has_a_name() {
        for (json, name) in [
            (r#"{"id":"ws_1","type":"web_search_call"}"#, "answer.web_search_call"),
            (r#"{"inlineData":{"mimeType":"image/png","data":"x"}}"#, "answer.image"),
            (r#"{"type":"a\nb"}"#, "answer.part"),
            (r#"{"type":7}"#, "answer.type"),
            (r#"{}"#, "answer.part"),
            (r#"{"\u0061b":1}"#, "answer.part"),
        ] {
            let native = Native { dialect: Dialect::Gemini, json: Json::read(json).expect("JSON") };
            assert_eq!(of_native(&native), name, "{json}");
        }
        assert_eq!(of_part(&Content::Refusal(String::new())), None);
    }
}
