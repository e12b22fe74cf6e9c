//! Decides what a role may do: each route is given to the least role that may call it, and that word is both what is
//! documented and what is enforced; it never decides who somebody is.

#[cfg(test)]
mod tests;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::OpenApiRouter;

use super::AdminState;
use super::actor::Actor;
use super::refusal::Refusal;

/// What somebody may do; each may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at everything that is no secret, and changes nothing.
    Viewer,
    /// Runs the gateway day by day: no secrets, no tokens, no vault.
    Operator,
    /// Everything.
    Admin,
}

/// The ways to say who one is, by their names in the document.
pub(super) const SCHEMES: [&str; 2] = ["token", "session"];

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word of the role.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Gives these routes to this role and to those above it.
    pub(crate) fn may(self, mut routes: OpenApiRouter<AdminState>) -> OpenApiRouter<AdminState> {
        let asked = SCHEMES.map(|scheme| SecurityRequirement::new(scheme, [self.name()]));
        for operation in routes.get_openapi_mut().paths.paths.values_mut().flat_map(operations) {
            operation.security = Some(asked.to_vec());
        }
        routes.route_layer(middleware::from_fn(move |request, next| demand(self, request, next)))
    }
}

/// What a path does, whatever the method.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    all.into_iter().filter_map(Option::as_mut)
}

async fn demand(role: Role, request: Request, next: Next) -> Result<Response, Refusal> {
    match request.extensions().get::<Actor>() {
        Some(actor) if actor.role >= role => Ok(next.run(request).await),
        Some(actor) => {
            let detail = format!("this needs the role {}; yours is {}", role.name(), actor.role.name());
            Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", detail))
        }
        None => Err(Refusal::unauthorized()),
    }
}
