//! Decides the order of a request's steps, and nothing else: each step is one file that takes what the step before made.

mod accept;
mod admit;
mod authenticate;
pub(crate) mod call;
mod count;
mod decode;
pub(crate) mod drain;
mod hedge;
pub(crate) mod keepalive;
mod models;
mod purse;
mod rate;
mod recall;
pub(crate) mod respond;
pub(crate) mod resume;
mod route;
pub(crate) mod settle;

use std::{net::IpAddr, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use policy::Key;

use crate::{
    body::Body,
    gateway::Gateway,
    identity::{Stamp, repeat_id},
    refusal::Refusal,
    routes::{Destination, Operation},
};
use accept::Arrival;
use admit::Ticket;
use authenticate::Caller;
use decode::{Ask, Decoded};
use keepalive::Heart;

/// Leads one request from its arrival to its answer. The answer's body settles the ticket when it ends or is dropped.
pub(crate) async fn serve(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    destination: Destination,
    peer: IpAddr,
) -> Response<Body> {
    if destination.operation == Operation::Hello {
        return Response::new(Body::whole(""));
    }
    let (mut arrival, body) = accept::accept(gateway, request, destination, peer);
    let (dialect, stamp) = (arrival.dialect, arrival.stamp.clone());
    let (uri, tail_start) = (arrival.head.uri.clone(), arrival.tail_start);
    let path = uri.path().get(tail_start..).unwrap_or_default();
    let comer = Comer { stamp: &stamp, peer, path, key: None, model: None };
    let entered = accept::refuse_when_stopping(gateway);
    let caller = match entered.and_then(|()| authenticate::authenticate(&arrival)) {
        Ok(caller) => caller,
        Err(refusal) => {
            turned_away(gateway, &refusal, &comer);
            return refusal.into_response(dialect, &stamp);
        }
    };
    let key = caller.key.clone();
    arrival.tape = arrival.capture(gateway, &key);
    let tape = arrival.tape.clone();
    let mut response = match lead(gateway, caller, arrival, body).await {
        Ok(response) => response,
        Err(Refused { refusal, told_as: Some(stamp) }) => refusal.into_response(dialect, &stamp),
        Err(Refused { refusal, told_as: None }) => {
            turned_away(gateway, &refusal, &Comer { key: Some(&key), ..comer });
            refusal.into_response(dialect, &stamp)
        }
    };
    rate::write(gateway, &key, response.headers_mut());
    repeat_id(dialect, response.headers_mut());
    match tape {
        Some(tape) => tape.answer(response),
        None => response,
    }
}

async fn lead(
    gateway: &Arc<Gateway>,
    caller: Caller,
    arrival: Arrival,
    body: Incoming,
) -> Result<Response<Body>, Refused> {
    match decode::decode(gateway, arrival, body, &caller).await? {
        Decoded::Models(question) => Ok(models::answer(gateway, &question, &caller)?),
        Decoded::Resume(wish) => Ok(resume::answer(gateway, wish, &caller)?),
        Decoded::Tokens(counted) => Ok(count::answer(&counted)),
        Decoded::Recalled(recalled) => Ok(recall::answer(recalled)),
        Decoded::Ask(ask) => {
            let offer = resume::Offer::of(&ask);
            let response = match Heart::of(&ask) {
                Some(heart) => keepalive::lead(gateway, caller, *ask, heart).await?,
                None => generate(gateway.clone(), caller, *ask).await?,
            };
            Ok(match offer {
                Some(offer) => offer.keep(gateway, response),
                None => response,
            })
        }
    }
}

/// From admission to the first event. No ticket, no upstream call; every ticket ends in exactly one receipt.
async fn generate(gateway: Arc<Gateway>, caller: Caller, mut ask: Ask) -> Result<Response<Body>, Refused> {
    let mut ticket = match admit::admit(&gateway, &caller, &ask).await {
        Ok(ticket) => ticket,
        Err(refusal) => {
            turned_away(&gateway, &refusal, &Comer::with(&ask));
            return Err(Refused { told_as: Some(ask.stamp), refusal });
        }
    };
    match attempt(&mut ask, &mut ticket).await {
        Ok(reply) => {
            ticket.opened_durably().await;
            Ok(respond::respond(ask, reply, ticket))
        }
        Err(refusal) => Err(Refused { told_as: Some(ticket.refused(&refusal)), refusal }),
    }
}

/// Calls one backend after another until one commits to an answer or no other attempt may help.
async fn attempt(ask: &mut Ask, ticket: &mut Ticket) -> Result<call::Reply, Refusal> {
    let mut failure = None;
    loop {
        let lease = match route::route(ask, ticket).await {
            Ok(mut lease) => {
                ask.is_understood_by(&lease)?;
                call::record(ask, &mut lease, ticket).await?;
                lease
            }
            // What the last one asked has said says more than that nobody else can be asked.
            Err(refusal) => return Err(refusal.after(failure)),
        };
        match hedge::call(ask, lease, ticket).await {
            Ok(reply) => return Ok(reply),
            Err(failed) => failure = call::retry(failed, ask, ticket).await?,
        }
    }
}

/// Who came, and for what, as far as it is known.
struct Comer<'a> {
    stamp: &'a Stamp,
    peer: IpAddr,
    /// Behind the version, and without its query, which may hold a key.
    path: &'a str,
    key: Option<&'a Key>,
    model: Option<&'a str>,
}

impl<'a> Comer<'a> {
    fn with(ask: &'a Ask) -> Self {
        Self {
            stamp: &ask.stamp,
            peer: ask.peer,
            path: ask.path.split('?').next().unwrap_or_default(),
            key: Some(&ask.key),
            model: Some(&ask.route.asked),
        }
    }
}

/// A request that got no ticket leaves no receipt, so it is told of here.
fn turned_away(gateway: &Gateway, refusal: &Refusal, comer: &Comer<'_>) {
    gateway.metrics.refused(refusal.code.name);
    tracing::info!(
        request_id = comer.stamp.request_id(),
        client = %comer.peer,
        path = comer.path,
        key = comer.key.map(|key| &*key.id),
        model = comer.model,
        status = refusal.status(),
        code = refusal.code.name,
        says = refusal.message(),
        detail = refusal.detail.as_deref(),
        "refused"
    );
}

/// A refusal, and, where the log tells of it already, what it calls the request.
struct Refused {
    refusal: Refusal,
    told_as: Option<Stamp>,
}

impl<E: Into<Refusal>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self { refusal: error.into(), told_as: None }
    }
}
