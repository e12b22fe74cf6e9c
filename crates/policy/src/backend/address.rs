//! Decides the path of a call below a backend's base URL; never what the call says.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use protocol::Dialect;

/// How an account's calls are addressed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Addressing {
    /// As the dialects have it.
    #[default]
    Plain,
    /// Azure's first form: the model's deployment is part of the path, and the API's version of the query.
    Deployments {
        /// Such as `2024-10-21`.
        api_version: Arc<str>,
    },
    /// Azure's second form, with a version that is not its default (`preview`).
    Versioned {
        /// The version.
        api_version: Arc<str>,
    },
}

/// What of a model's name may stand in a path as it is.
const IN_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b':');
/// The same where slashes are part of it.
const IN_PATH: &AsciiSet = &IN_SEGMENT.remove(b'/');

impl Addressing {
    /// That of an Azure account: dated versions have the first form.
    #[must_use]
    pub fn azure(api_version: Option<&str>) -> Self {
        match api_version {
            None | Some("v1") => Self::Plain,
            Some(dated) if dated.starts_with(|first: char| first.is_ascii_digit()) => {
                Self::Deployments { api_version: dated.into() }
            }
            Some(named) => Self::Versioned { api_version: named.into() },
        }
    }

    /// The base URL, of which the second form's is known.
    pub(super) fn base_url(&self, known: String) -> String {
        match self {
            Self::Plain | Self::Versioned { .. } => known,
            Self::Deployments { .. } => {
                known.strip_suffix("/v1").map_or_else(|| known.clone(), str::to_owned)
            }
        }
    }

    /// The path and query below the base URL of a call whose dialect has it at `path`, query included.
    #[must_use]
    pub fn path(&self, path: &str, native: &str) -> String {
        match self {
            Self::Plain => path.to_owned(),
            Self::Versioned { api_version } => with_version(path, api_version),
            Self::Deployments { api_version } if native.is_empty() || !is_of_a_deployment(path) => {
                with_version(path, api_version)
            }
            Self::Deployments { api_version } => {
                let deployment = utf8_percent_encode(native, IN_SEGMENT);
                with_version(&format!("/deployments/{deployment}{path}"), api_version)
            }
        }
    }
}

/// What Azure's first form has below a deployment; the rest stands beside them.
fn is_of_a_deployment(path: &str) -> bool {
    ["/chat/", "/completions", "/embeddings", "/images/", "/audio/"]
        .iter()
        .any(|family| path.starts_with(family))
}

fn with_version(path: &str, version: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}api-version={version}")
}

/// The path at which a dialect answers whole, where it is not the client's own.
#[must_use]
pub fn answer_path(dialect: Dialect, native: &str) -> String {
    match dialect {
        Dialect::OpenAiChat => "/chat/completions".to_owned(),
        Dialect::OpenAiCompletions => "/completions".to_owned(),
        Dialect::OpenAiEmbeddings => "/embeddings".to_owned(),
        Dialect::OpenAiResponses => "/responses".to_owned(),
        Dialect::AnthropicMessages => "/messages".to_owned(),
        Dialect::Gemini => gemini_path(native, "generateContent", None),
        Dialect::OpenAiRaw => String::new(),
        Dialect::AgentRpc => "/turn".to_owned(),
    }
}

/// The same for a stream.
#[must_use]
pub fn stream_path(dialect: Dialect, native: &str) -> String {
    match dialect {
        Dialect::Gemini => gemini_path(native, "streamGenerateContent", Some("alt=sse")),
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiResponses
        | Dialect::AnthropicMessages
        | Dialect::OpenAiRaw
        | Dialect::AgentRpc => answer_path(dialect, native),
    }
}

/// The path of one of Gemini's methods of a model.
#[must_use]
pub fn gemini_path(native: &str, method: &str, query: Option<&str>) -> String {
    let family =
        if native.starts_with("models/") || native.starts_with("tunedModels/") { "" } else { "models/" };
    let model = utf8_percent_encode(native, IN_PATH);
    let (joint, query) = query.map_or(("", ""), |query| ("?", query));
    format!("/{family}{model}:{method}{joint}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure_has_two_forms() {
        for (version, path, native, want) in [
            (None, "/chat/completions", "gpt", "/chat/completions"),
            (Some("v1"), "/responses", "gpt", "/responses"),
            (Some("preview"), "/responses", "gpt", "/responses?api-version=preview"),
            (
                Some("2024-10-21"),
                "/chat/completions",
                "my gpt/4",
                "/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21",
            ),
            (Some("2024-10-21"), "/responses?a=b", "gpt", "/responses?a=b&api-version=2024-10-21"),
            (Some("2024-10-21"), "/files", "", "/files?api-version=2024-10-21"),
            (
                Some("2024-10-21"),
                "/audio/speech",
                "tts",
                "/deployments/tts/audio/speech?api-version=2024-10-21",
            ),
        ] {
            assert_eq!(Addressing::azure(version).path(path, native), want, "{version:?} {path}");
        }
        let dated = Addressing::azure(Some("2024-10-21"));
        assert_eq!(dated.base_url("https://a.test/openai/v1".to_owned()), "https://a.test/openai");
    }

    #[test]
    fn geminis_model_is_part_of_the_path() {
        assert_eq!(
            stream_path(Dialect::Gemini, "gemini-3-pro"),
            "/models/gemini-3-pro:streamGenerateContent?alt=sse"
        );
        for (native, want) in [
            ("gemini-3-pro", "/models/gemini-3-pro:generateContent"),
            ("tunedModels/a?b", "/tunedModels/a%3Fb:generateContent"),
            ("models/x", "/models/x:generateContent"),
        ] {
            assert_eq!(answer_path(Dialect::Gemini, native), want);
        }
    }
}
