//! Decides which streams can be continued on another connection, keeps them going meanwhile, and hands them on to the key
//! that asked for them; never what they say.

use std::{pin::pin, sync::Arc};

use http::{HeaderName, HeaderValue, Response, header};
use http_body_util::BodyExt;
use policy::{ResumeRules, TicketId};

use super::{accept::Arrival, authenticate::Caller, decode::Ask, respond};
use crate::{
    body::Body,
    gateway::Gateway,
    identity::Stamp,
    refusal::{Code, Refusal},
    routes::{self, Operation},
    spool::{Claim, Marker, NotResumed, Spool},
};

/// Where a stream can be continued.
static RESUME: HeaderName = HeaderName::from_static("x-lockgate-resume");
/// The last event that the client has, as browsers tell it.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Says that the connection before is lost, though the gateway may not know it yet.
static TAKE_OVER: HeaderName = HeaderName::from_static("x-lockgate-take-over");

/// What is needed to keep the answer of an ask, if that is a stream.
pub(super) struct Offer {
    id: TicketId,
    key: Arc<str>,
    stamp: Stamp,
    rules: ResumeRules,
}

impl Offer {
    /// Nothing, where the settings do not want it.
    pub(super) fn of(ask: &Ask) -> Option<Self> {
        let rules = ask.view.snapshot.settings.resume?;
        let is_stream = ask.operation == Operation::Generate && ask.is_stream();
        is_stream.then(|| Self { id: ask.ticket, key: ask.key.id.clone(), stamp: ask.stamp.clone(), rules })
    }

    /// Keeps the stream that was answered, if there is a place for it. It goes on in a task of its own, which is its client
    /// from here on: what that drops is settled as if the client had left.
    pub(super) fn keep(self, gateway: &Arc<Gateway>, response: Response<Body>) -> Response<Body> {
        let Self { id, key, stamp, rules } = self;
        let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == EVENT_STREAM);
        let spool = Spool::new(id, key, stamp, rules);
        if !is_stream || !gateway.spools.keep(&spool) {
            return response;
        }
        let Ok(reader) = spool.read(0, Claim::Free) else { return response };
        let (mut head, body) = response.into_parts();
        if let Ok(place) = HeaderValue::try_from(routes::stream_path(id)) {
            head.headers.insert(RESUME.clone(), place);
        }
        let keeping = Keeping { gateway: gateway.clone(), spool };
        gateway.tasks.spawn(TASK, keeping.run(body));
        Response::from_parts(head, Body::kept_stream(reader))
    }
}

const EVENT_STREAM: &str = "text/event-stream";
/// The name of the tasks that streams which can be continued run in.
const TASK: &str = "resumable";

/// A stream that is being kept; when this ends, in whichever way, it is no longer.
struct Keeping {
    gateway: Arc<Gateway>,
    spool: Arc<Spool>,
}

impl Keeping {
    async fn run(self, mut body: Body) {
        let spool = &self.spool;
        let mut marker = Marker::new();
        let mut given_up = pin!(spool.given_up());
        loop {
            let next = async {
                spool.room().await;
                body.frame().await
            };
            tokio::select! {
                biased;
                () = &mut given_up => return,
                frame = next => match frame {
                    Some(Ok(frame)) => {
                        if let Ok(chunk) = frame.into_data() {
                            spool.push(marker.mark(chunk));
                        }
                    }
                    // What breaks off tells so in its last event.
                    Some(Err(_)) | None => break,
                },
            }
        }
        drop(body);
        spool.push(marker.rest());
        spool.end();
        given_up.await;
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.spool.end();
        self.gateway.spools.forget(self.spool.id);
    }
}

/// A wish to continue a stream.
pub(crate) struct Wish {
    id: Option<TicketId>,
    after: Result<u64, Refusal>,
    claim: Claim,
}

impl Wish {
    pub(super) fn of(arrival: &Arrival) -> Self {
        let headers = &arrival.head.headers;
        let given = headers.get(&LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?"));
        let in_query =
            || arrival.head.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("last_event_id="));
        let after = match given.or_else(in_query) {
            None | Some("") => Ok(0),
            Some(number) => number.parse().map_err(|_| {
                Refusal::new(Code::INVALID_REQUEST, "The last event's id is not one of this stream.")
                    .about("last-event-id")
            }),
        };
        let takes_over = headers.get(&TAKE_OVER).is_some_and(|value| value == "1");
        let claim = if takes_over { Claim::TakeOver } else { Claim::Free };
        Self { id: routes::stream_id(arrival.tail()), after, claim }
    }
}

/// Hands a kept stream on, from behind the last event that the client has.
pub(super) fn answer(gateway: &Gateway, wish: Wish, caller: &Caller) -> Result<Response<Body>, Refusal> {
    let Wish { id, after, claim } = wish;
    let after = after?;
    let spool = id.and_then(|id| gateway.spools.find(id, &caller.key.id));
    let spool = spool.ok_or_else(|| refused(NotResumed::Over))?;
    let reader = spool.read(after, claim).map_err(refused)?;
    tracing::info!(request_id = spool.stamp.request_id(), after, "a stream is continued");
    gateway.metrics.resumed();
    let mut response = Response::new(Body::kept_stream(reader));
    let headers = response.headers_mut();
    spool.stamp.write_id(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    respond::unbuffered(headers);
    Ok(response)
}

fn refused(why: NotResumed) -> Refusal {
    match why {
        // A foreign stream is none: who may not read it need not know of it.
        NotResumed::Over => Refusal::new(
            Code::NOT_FOUND,
            "There is no such stream to continue: its time is over, or it is not this key's.",
        ),
        NotResumed::Busy => Refusal::new(
            Code::STREAM_BUSY,
            "The stream is read on another connection. Should that be lost, send `x-lockgate-take-over: 1`.",
        )
        .retry_after(std::time::Duration::from_secs(1)),
        NotResumed::Gone => Refusal::new(
            Code::STREAM_GONE,
            "What follows the last event's id is no longer kept: the stream cannot be continued without a gap.",
        ),
        NotResumed::Ahead => {
            Refusal::new(Code::INVALID_REQUEST, "The stream has not come to the last event's id yet.")
                .about("last-event-id")
        }
    }
}
