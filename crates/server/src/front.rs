//! Decides which part of the program answers a request of the main listener: the data plane first, then the site.

use std::{net::SocketAddr, sync::Arc};

use gateway::{Body, Gateway, Handler};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::site::Site;

/// The main listener: data plane, health, admin API, dashboard.
pub(crate) struct Front {
    gateway: Arc<Gateway>,
    site: Site,
}

impl Front {
    /// Puts the data plane in front of `site`.
    pub(crate) fn new(gateway: Arc<Gateway>, site: Site) -> Self {
        Self { gateway, site }
    }
}

/// Paths under which clients of the data plane expect its errors.
fn is_api(path: &str) -> bool {
    ["/v1/", "/openai/", "/anthropic/", "/v1beta/"].iter().any(|prefix| path.starts_with(prefix))
}

/// Who looks at the bare address in a browser wants the pages.
fn to_dashboard() -> Response<Body> {
    let mut response = Response::new(Body::whole(""));
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/dashboard"));
    response
}

impl Handler for Front {
    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        match gateway::answer(&self.gateway, request, peer.ip()).await {
            Ok(response) => response,
            Err(request) if is_api(request.uri().path()) => gateway::not_found(&self.gateway, &request),
            Err(request) if request.uri().path() == "/" => to_dashboard(),
            Err(request) => self.site.answer(request, peer).await,
        }
    }
}
