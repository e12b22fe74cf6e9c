//! Decides which models a caller is shown; a model it may not use does not exist for it.

use std::sync::Arc;

use http::{HeaderValue, Response, header};
use policy::ModelListing;
use protocol::Dialect;
use serde_json::{Value, json};

use super::{accept::Arrival, authenticate::Caller};
use crate::{
    body::Body,
    gateway::Gateway,
    identity::Stamp,
    refusal::{Code, Refusal},
    view::View,
};

/// A question about models, answered from the snapshot.
pub(crate) struct Question {
    view: Arc<View>,
    stamp: Stamp,
    dialect: Dialect,
    model: Option<String>,
}

impl Question {
    /// All models.
    pub(super) fn all(arrival: Arrival) -> Self {
        Self { view: arrival.view, stamp: arrival.stamp, dialect: arrival.dialect, model: None }
    }

    /// The model named in the path; a name may hold slashes.
    pub(super) fn one(arrival: Arrival) -> Self {
        let model = arrival.tail().strip_prefix("/models/").map(unescape);
        Self { model, view: arrival.view, stamp: arrival.stamp, dialect: arrival.dialect }
    }
}

/// Answers in the shape of the client's dialect.
pub(super) fn answer(
    gateway: &Gateway,
    question: &Question,
    caller: &Caller,
) -> Result<Response<Body>, Refusal> {
    let listed = served(gateway, question, caller);
    let body = match &question.model {
        None => list(question.dialect, &listed),
        Some(asked) => match listed.iter().find(|listing| *listing.id == **asked) {
            Some(listing) => shape(question.dialect, listing),
            None => {
                return Err(Refusal::new(
                    Code::MODEL_NOT_FOUND,
                    format!("The model `{asked}` does not exist or is not served here."),
                )
                .about("model"));
            }
        },
    };
    let mut response = Response::new(Body::whole(body.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    question.stamp.write(response.headers_mut());
    Ok(response)
}

/// What the caller may use and some backend serves or will serve when it has cooled down.
fn served(gateway: &Gateway, question: &Question, caller: &Caller) -> Vec<ModelListing> {
    let catalog = &question.view.snapshot.catalog;
    let mut listed = catalog.list(&caller.key);
    let in_error = gateway.live.in_error();
    if !in_error.is_empty() {
        listed.retain(|listing| {
            catalog.resolve(&listing.id, &caller.key).is_ok_and(|route| {
                let mut candidates = route.tiers.iter().flat_map(|tier| &tier.candidates);
                candidates.any(|candidate| !in_error.contains(&candidate.backend))
            })
        });
    }
    listed
}

fn list(dialect: Dialect, listed: &[ModelListing]) -> Value {
    let shapes: Vec<Value> = listed.iter().map(|listing| shape(dialect, listing)).collect();
    match dialect {
        // Everything is on one page, whatever page was asked for.
        Dialect::AnthropicMessages => json!({
            "data": shapes,
            "has_more": false,
            "first_id": listed.first().map(|listing| &*listing.id),
            "last_id": listed.last().map(|listing| &*listing.id),
        }),
        Dialect::Gemini => json!({ "models": shapes }),
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiResponses
        | Dialect::OpenAiRaw
        | Dialect::AgentRpc => json!({ "object": "list", "data": shapes }),
    }
}

fn shape(dialect: Dialect, listing: &ModelListing) -> Value {
    let id = &*listing.id;
    match dialect {
        Dialect::AnthropicMessages => {
            json!({ "type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z" })
        }
        Dialect::Gemini => {
            let methods = ["generateContent", "streamGenerateContent", "countTokens", "embedContent"];
            let mut shape = json!({
                "name": format!("models/{id}"),
                "displayName": id,
                "supportedGenerationMethods": methods,
            });
            for (field, tokens) in
                [("inputTokenLimit", listing.context), ("outputTokenLimit", listing.max_output)]
            {
                if let Some(tokens) = tokens {
                    shape[field] = tokens.into();
                }
            }
            shape
        }
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiResponses
        | Dialect::OpenAiRaw
        | Dialect::AgentRpc => {
            json!({ "id": id, "object": "model", "created": 0, "owned_by": &*listing.owned_by })
        }
    }
}

/// Clients escape the slashes of a model's name.
fn unescape(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn a_models_name_is_unescaped() {
        for (given, want) in
            [("a%2Fb", "a/b"), ("a/b", "a/b"), ("100%", "100%"), ("%zz", "%zz"), ("%C3%A9", "é")]
        {
            assert_eq!(unescape(given), want);
        }
    }
}
