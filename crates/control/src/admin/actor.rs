//! Says who makes a call, for whoever has to know or to write it down; it never decides what they may do.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use store::audit::{Author, Via};

use super::refusal::Refusal;
use super::role::Role;

/// Who makes a call. The door puts it into each request that it lets in; handlers take it as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The name of their token.
    pub(crate) name: Arc<str>,
    /// What they may do.
    pub(crate) role: Role,
    /// Where they call from.
    pub(crate) address: IpAddr,
}

impl Actor {
    /// Whom the audit log names for what they change: `state.directory.by(actor.author())`.
    pub(crate) fn author(&self) -> Author {
        Author { name: Arc::clone(&self.name), via: Via::Api, address: Some(self.address) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Refusal::unauthorized)
    }
}
