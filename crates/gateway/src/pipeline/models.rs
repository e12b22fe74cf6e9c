//! Decides which models a caller is shown; a model it may not use does not exist for it.

use std::sync::Arc;

use http::{HeaderValue, Response, header};
use policy::ModelListing;
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
    model: Option<String>,
}

impl Question {
    /// All models.
    pub(super) fn all(arrival: Arrival) -> Self {
        Self { view: arrival.view, stamp: arrival.stamp, model: None }
    }

    /// The model named in the path; a name may hold slashes.
    pub(super) fn one(arrival: Arrival) -> Self {
        let model = arrival.tail().strip_prefix("/models/").map(unescape);
        Self { model, view: arrival.view, stamp: arrival.stamp }
    }
}

/// Answers in OpenAI's shape.
pub(super) fn answer(
    gateway: &Gateway,
    question: &Question,
    caller: &Caller,
) -> Result<Response<Body>, Refusal> {
    let listed = served(gateway, question, caller);
    let body = match &question.model {
        None => json!({ "object": "list", "data": listed.iter().map(shape).collect::<Vec<_>>() }),
        Some(asked) => match listed.iter().find(|listing| *listing.id == **asked) {
            Some(listing) => shape(listing),
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

fn shape(listing: &ModelListing) -> Value {
    json!({ "id": &*listing.id, "object": "model", "created": 0, "owned_by": &*listing.owned_by })
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
