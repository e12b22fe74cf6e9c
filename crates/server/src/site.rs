//! Decides how pages and APIs that are axum routers are served by the gateway's own listeners.

use std::net::SocketAddr;

use axum::Router;
use control::admin::ClientAddress;
use gateway::{Body, Handler};
use http::{Request, Response};
use hyper::body::Incoming;
use tower::ServiceExt;

/// A router behind a listener.
pub(crate) struct Site {
    router: Router,
}

impl Site {
    /// Serves `router`.
    pub(crate) fn new(router: Router) -> Self {
        Self { router }
    }

    /// Answers one request; handlers find the client's address in its extensions.
    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ClientAddress(peer.ip()));
        let answered = self.router.clone().oneshot(request).await;
        let response = answered.unwrap_or_else(|never| match never {});
        response.map(Body::foreign)
    }
}

impl Handler for Site {
    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        self.answer(request, peer).await
    }
}
