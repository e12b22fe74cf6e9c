//! Decides what may name a model, and what Gemini's and Azure's paths say: the model, its method, how the answer is framed;
//! never who serves it.

use std::borrow::Cow;

use protocol::Dialect;

use super::super::accept::Arrival;
use crate::{
    forward,
    refusal::{Code, Refusal},
    routes,
};

/// As long as a model may be named in the configuration.
const MODEL_BYTES_MAX: usize = 256;

/// Refuses what is no model's name: some backends have it in their path, and some take any.
pub(super) fn check(name: &str) -> Result<(), Refusal> {
    let refused = |message| Err(Refusal::new(Code::INVALID_REQUEST, message).about("model"));
    if name.len() > MODEL_BYTES_MAX {
        return refused("A model's name has at most 256 bytes.");
    }
    match routes::climbs(name) {
        true => refused("This is no name of a model."),
        false => Ok(()),
    }
}

/// What Gemini's paths say.
pub(super) struct ModelPath {
    pub(super) model: String,
    pub(super) method: Box<str>,
    query: Option<Box<str>>,
}

impl ModelPath {
    pub(super) fn of(arrival: &Arrival) -> Option<Self> {
        let (model, method) =
            routes::method_of_model(arrival.tail()).filter(|_| arrival.dialect == Dialect::Gemini)?;
        let model = percent_encoding::percent_decode_str(model).decode_utf8_lossy().into_owned();
        let query = forward::path("", arrival.head.uri.query());
        let query = query.strip_prefix('?').map(Box::from);
        Some(Self { model, method: method.into(), query })
    }

    /// Streams are events only for who asks for them.
    pub(super) fn wants_array(&self) -> bool {
        &*self.method == "streamGenerateContent" && !self.pairs().any(|pair| pair == "alt=sse")
    }

    fn pairs(&self) -> impl Iterator<Item = &str> {
        self.query.iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty())
    }

    /// Streams come from the backend as events, whatever the client reads.
    pub(super) fn method(&self) -> MethodOfModel {
        let kept = self.pairs().filter(|pair| !pair.starts_with("alt="));
        let alt = (&*self.method == "streamGenerateContent").then_some("alt=sse");
        let query = kept.chain(alt).collect::<Vec<_>>().join("&");
        MethodOfModel {
            name: self.method.clone(),
            query: Some(query.into_boxed_str()).filter(|query| !query.is_empty()),
        }
    }
}

/// The model in a path as Azure has them, which counts whatever the body names.
pub(super) fn deployment(arrival: &Arrival) -> Option<Cow<'_, str>> {
    let written = routes::deployment(arrival.head.uri.path())?;
    Some(percent_encoding::percent_decode_str(written).decode_utf8_lossy())
}

/// A method of a model, as Gemini's paths name it, and the query for the backend.
pub(in crate::pipeline) struct MethodOfModel {
    pub(in crate::pipeline) name: Box<str>,
    pub(in crate::pipeline) query: Option<Box<str>>,
}
