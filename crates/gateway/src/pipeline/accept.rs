//! Decides what a request is at the door, and whether anybody comes in any more: its id, its instant and the view it will
//! be served by; reads no body.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{Request, request::Parts};
use hyper::body::Incoming;
use policy::{Key, TicketId, Timestamp};
use protocol::Dialect;
use tokio::time::Instant;

use crate::{
    gateway::Gateway,
    identity::Stamp,
    refusal::{Code, Refusal},
    routes::{self, Destination, Operation},
    tape::{Beginning, Tape},
    view::View,
};

/// A request at the door.
pub(crate) struct Arrival {
    pub(super) ticket: TicketId,
    pub(super) stamp: Stamp,
    pub(super) at: Instant,
    pub(super) wall: Timestamp,
    pub(super) peer: IpAddr,
    pub(super) operation: Operation,
    pub(super) dialect: Dialect,
    /// Where the path behind the version begins in the request's own path.
    pub(super) tail_start: usize,
    pub(super) head: Parts,
    pub(super) view: Arc<View>,
    /// What captures it, where a rule asks for that.
    pub(super) tape: Option<Arc<Tape>>,
}

/// Takes the view once: a reload never changes a request in flight.
pub(super) fn accept(
    gateway: &Gateway,
    request: Request<Incoming>,
    destination: Destination,
    peer: IpAddr,
) -> (Arrival, Incoming) {
    let ticket = gateway.ids.ticket();
    let (head, body) = request.into_parts();
    let dialect = match destination.operation {
        // The list has a form for each; its path is the same.
        Operation::ListModels | Operation::ShowModel if head.headers.contains_key("anthropic-version") => {
            Dialect::AnthropicMessages
        }
        Operation::Generate
        | Operation::CountTokens
        | Operation::Stored
        | Operation::ListModels
        | Operation::ShowModel
        | Operation::Resume
        | Operation::Relay
        | Operation::WebSocket
        | Operation::Hello => destination.dialect,
    };
    let arrival = Arrival {
        ticket,
        stamp: Stamp::new(&head.headers, ticket),
        at: Instant::now(),
        wall: gateway.clock.wall(),
        peer,
        operation: destination.operation,
        dialect,
        tail_start: destination.tail_start,
        head,
        view: gateway.view(),
        tape: None,
    };
    (arrival, body)
}

/// Who stops lets nobody in; those inside go on.
pub(super) fn refuse_when_stopping(gateway: &Gateway) -> Result<(), Refusal> {
    if !gateway.is_stopping() {
        return Ok(());
    }
    let text = "The gateway is shutting down. Retry elsewhere or later.";
    Err(Refusal::new(Code::SHUTTING_DOWN, text).retry_after(Duration::from_secs(1)))
}

impl Arrival {
    /// What captures a request of that key from here on.
    pub(super) fn capture(&self, gateway: &Gateway, key: &Key) -> Option<Arc<Tape>> {
        let beginning = Beginning {
            ticket: self.ticket,
            at: self.wall,
            stamp: &self.stamp,
            key,
            view: &self.view,
            method: &self.head.method,
            uri: &self.head.uri,
            headers: &self.head.headers,
        };
        Tape::begin(&gateway.recorder, &beginning)
    }

    /// The path behind the version.
    pub(super) fn tail(&self) -> &str {
        routes::trimmed(self.head.uri.path().get(self.tail_start..).unwrap_or_default())
    }
}
