//! Finds out whose a push is and what it brings; never sends anything back.

use std::borrow::Cow;

use serde::Deserialize;

/// Everything that any push may bring; each has a few of these.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Push<'a> {
    #[serde(borrow)]
    pub(super) request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) session_id: Option<Cow<'a, str>>,
    #[serde(rename = "_meta")]
    pub(super) meta: Option<Meta>,
    /// A piece of an answer or a thought.
    pub(super) text: Option<String>,
    /// It replaces what was said.
    pub(super) overwrite: Option<bool>,
    /// The content filter was hit.
    pub(super) is_filtered: Option<bool>,
    /// Why the turn ends.
    pub(super) reason: Option<String>,
    pub(super) status_code: Option<i64>,
    pub(super) full_answer: Option<String>,
    /// What went wrong, in the smallest codec.
    pub(super) error: Option<String>,
    pub(super) update: Option<Update>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Meta {
    #[serde(rename = "ai-coding/request-id")]
    pub(super) request_id: Option<String>,
}

/// What a `session/update` tells of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Update {
    pub(super) session_update: String,
    pub(super) r#type: Option<String>,
    pub(super) content: Option<Block>,
    pub(super) data: Option<Ended>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Block {
    pub(super) text: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Ended {
    pub(super) reason: Option<String>,
    pub(super) status_code: Option<i64>,
}

/// Whose a push is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// Everybody's, or nobody's in particular.
    Nobody,
    /// This turn's, by its request or session; with any other, it is a stranger's.
    Turn {
        /// The request, where it is named.
        request: Option<String>,
        /// The session, where it is named.
        session: Option<String>,
    },
}

/// Whose turn a push belongs to. One that tells nothing of an answer belongs to nobody's.
pub fn addressee(method: &str, params: &str) -> Addressee {
    if !matches!(method, "chat/answer" | "chat/think" | "chat/finish" | "session/update" | "delta" | "done") {
        return Addressee::Nobody;
    }
    let Ok(push) = serde_json::from_str::<Push<'_>>(params) else { return Addressee::Nobody };
    let request = push.request_id.map(Cow::into_owned).or(push.meta.and_then(|meta| meta.request_id));
    Addressee::Turn { request, session: push.session_id.map(Cow::into_owned) }
}
