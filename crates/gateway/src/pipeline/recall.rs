//! Decides how questions about a kept response are answered: the response, its input, or that it is gone.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use protocol::kept::{self, Order, Page};
use tokio::time::Instant;

use super::{accept::Arrival, authenticate::Caller};
use crate::{body::Body, gateway::Gateway, identity::Stamp, routes};

/// A page has so many items where the client does not say, and at most so many (as at OpenAI).
const PAGE_ITEMS: usize = 20;
const PAGE_ITEMS_MAX: usize = 100;

/// An answer out of what was kept.
pub(crate) struct Recalled {
    stamp: Stamp,
    body: Bytes,
}

/// The answer, if what the path names was kept here for this caller.
pub(super) fn find(gateway: &Gateway, arrival: &Arrival, caller: &Caller) -> Option<Recalled> {
    let tail = arrival.tail();
    let id = routes::response_id(tail)?;
    let kept = gateway.kept.find(id, &caller.key.id, Instant::now())?;
    let body = if arrival.head.method == Method::DELETE {
        gateway.kept.forget(id);
        kept::deleted(id)
    } else if tail.ends_with("/input_items") {
        kept::input_items(&kept, &page(arrival.head.uri.query()))?
    } else {
        // Cancelled is only what still runs: a kept one is over.
        kept::response(&kept)?
    };
    Some(Recalled { stamp: arrival.stamp.clone(), body })
}

fn page(query: Option<&str>) -> Page<'_> {
    let pairs = || query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let value = |name: &str| pairs().find(|(known, _)| *known == name).map(|(_, value)| value);
    let limit = value("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE_ITEMS);
    let order = if value("order") == Some("asc") { Order::Ascending } else { Order::Descending };
    Page { after: value("after"), limit: limit.clamp(1, PAGE_ITEMS_MAX), order }
}

/// Tells it.
pub(super) fn answer(recalled: Recalled) -> Response<Body> {
    let mut response = Response::new(Body::whole(recalled.body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    recalled.stamp.write(headers);
    response
}
