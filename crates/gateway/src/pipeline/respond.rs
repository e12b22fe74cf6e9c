//! Decides the head and the form of an answer; its body settles the ticket when it ends, or when it is dropped.

mod opaque;
mod stream;
mod whole;

use http::{HeaderMap, HeaderValue, Response, header};
use protocol::Segments;

use super::{
    admit::Ticket,
    call::{Content, Reply},
    decode::{Ask, Framing},
};
use crate::body::Body;
pub(crate) use opaque::OpaqueBody;
pub(crate) use stream::StreamBody;
pub(crate) use whole::WholeBody;

/// Hands the committed reply to the client.
pub(super) fn respond(ask: Ask, reply: Reply, mut ticket: Ticket) -> Response<Body> {
    let Reply { lease, status, mut headers, content } = reply;
    let facts = ticket.facts();
    facts.stamp.write(&mut headers);
    lease.serving.metrics.answered();
    facts.first_event = Some(facts.elapsed());
    let body = match content {
        Content::Whole { body, outline, untold } => {
            facts.untold = untold;
            if let Some(outline) = &outline {
                facts.answered(outline);
                let minting = ask.minting(&lease);
                let handles = outline.id.iter().chain(&outline.handles);
                handles.filter(|handle| minting.covers(handle)).for_each(|handle| facts.bind(handle, &lease));
            }
            if let Some(memory) = ask.memory(&lease) {
                facts.gateway.keep(&memory, &body);
            }
            let named = match (&outline, ask.route.renamed) {
                (Some(outline), true) => {
                    protocol::rename_model(&body, outline.model.as_ref(), &ask.route.asked)
                }
                _ => Segments::from_iter([body]),
            };
            let segments = if ask.is_debug { whole::with_debug(named, facts, &lease) } else { named };
            Body::settling(WholeBody::new(segments, status, lease, ticket))
        }
        Content::Stream(stream) => {
            facts.stream_began(&lease);
            let content_type = match ask.framing {
                Framing::Events => "text/event-stream",
                Framing::Array => "application/json",
            };
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            unbuffered(&mut headers);
            let minting = ask.minting(&lease);
            Body::stream(StreamBody::new(*stream, minting, lease, ticket))
        }
        Content::Opaque(answer) if answer.is_ended() => {
            Body::settling(WholeBody::new(Segments::new(), status, lease, ticket))
        }
        Content::Opaque(answer) => Body::opaque(OpaqueBody::new(answer, status, lease, ticket)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Asks whoever stands on the way to pass each byte on as it comes.
pub(super) fn unbuffered(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
}
