//! The data plane: leads a request through its steps, from the connection to the receipt; knows nothing of the control plane.

mod bindings;
mod body;
mod clock;
mod cors;
mod forward;
mod gateway;
mod identity;
mod inbound;
mod kept;
mod listener;
mod lookout;
mod metrics;
mod pipeline;
mod probe;
mod refusal;
mod routes;
mod spool;
mod tape;
mod tasks;
mod view;
mod waiters;

use std::{net::IpAddr, sync::Arc};

use http::{Method, Request, Response, header};
use hyper::body::Incoming;
use protocol::Dialect;

use identity::Stamp;
use refusal::{Code, Refusal};

pub use body::{Body, BoxError};
pub use clock::{Clock, Ids, RandomIds, SystemClock};
pub use gateway::{Gateway, Parts};
pub use listener::{ConnectionLimits, Handler, listen};
pub use lookout::{Listed, Lookout};
pub use metrics::{InstanceGauge, Metrics};
pub use probe::{Listing, Probe, Unlisted};
pub use tasks::Tasks;
pub use view::{Unusable, UnusableBackend, View};

/// What a URL that nobody serves is answered, in the shape that clients of the data plane read.
pub fn not_found(gateway: &Gateway, request: &Request<Incoming>) -> Response<Body> {
    let stamp = Stamp::new(request.headers(), gateway.ids.ticket());
    let (method, path) = (request.method(), request.uri().path());
    let served = routes::methods(path);
    let refusal = match served.is_empty() {
        true => Refusal::new(Code::NOT_FOUND, format!("{method} {path} is not served here.")),
        false => {
            let names: Vec<&str> = served.iter().map(Method::as_str).collect();
            let message = format!("{method} {path} is not served here; {} is.", names.join(" or "));
            Refusal::new(Code::METHOD_NOT_ALLOWED, message)
        }
    };
    let dialect = match request.headers().contains_key("anthropic-version") {
        true => Dialect::AnthropicMessages,
        false => routes::dialect_of(request.uri().path()),
    };
    let mut response = refusal.into_response(dialect, &stamp);
    response.headers_mut().extend(routes::list(&served).map(|served| (header::ALLOW, served)));
    response
}

/// Answers `request` when its URL belongs to the data plane, or gives it back.
pub async fn answer(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<Response<Body>, Request<Incoming>> {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return served(gateway, request, peer).await;
    };
    // A page in a browser.
    let view = gateway.view();
    let rules = &view.snapshot.settings.cors;
    if let Some(permission) = cors::preflight(rules, &request) {
        return Ok(permission);
    }
    let mut response = served(gateway, request, peer).await?;
    cors::permit(rules, Some(&origin), response.headers_mut());
    Ok(response)
}

async fn served(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<Response<Body>, Request<Incoming>> {
    match routes::find(request.method(), request.uri().path()) {
        Some(destination) => Ok(pipeline::serve(gateway, request, destination, peer).await),
        None => Err(request),
    }
}
