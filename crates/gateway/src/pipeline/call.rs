//! Decides how one attempt is made and when its answer is committed to; before that a failure may move to another backend.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use policy::{BackendId, Repeat};
use protocol::{
    AnswerOutline, Dialect, Edits, Failure, FailureKind, Retry, StreamEnd, StreamFault, StreamPlan,
    StreamRelay, StreamTally,
};
use upstream::{Answer, Call, CallBody};

use super::{
    admit::Ticket,
    decode::{Ask, Payload},
    route::Lease,
};
use crate::{
    forward,
    inbound::Passing,
    refusal::{Passed, Refusal},
    routes::Operation,
};

/// The largest whole answer that is held in memory before it is passed on.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How much of an error answer is read; the rest would not be shown to anybody.
const ERROR_BYTES_MAX: usize = 256 * 1024;
/// The largest event of a stream (spec: 8 MiB).
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest relayed JSON answer that is looked into for an id and usage; larger ones pass through unread.
const RELAYED_JSON_BYTES_MAX: u64 = 1024 * 1024;

/// An answer that was committed to: from here on nothing is retried.
pub(crate) struct Reply {
    pub(super) lease: Lease,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
}

/// What the answer consists of.
pub(super) enum Content {
    /// A whole JSON answer, checked to be complete.
    Whole { body: Bytes, outline: Option<AnswerOutline> },
    /// An event stream whose first event is here.
    Stream(Box<Stream>),
    /// Bytes that pass through as they come.
    Opaque(Answer),
}

/// A committed event stream.
pub(super) struct Stream {
    pub(super) answer: Answer,
    pub(super) relay: StreamRelay,
    /// Whole events, ready to go out.
    pub(super) ready: Vec<Bytes>,
    /// How the stream ended, when it ended within what was read so far.
    pub(super) ended: Option<Ended>,
}

/// How an upstream's stream ended.
pub(super) enum Ended {
    Complete,
    Cut(Failure),
    /// The upstream sent an error event of its own; `raw` is that event.
    Told {
        failure: Failure,
        raw: Bytes,
    },
}

/// An attempt that did not lead to an answer.
pub(super) struct Failed {
    lease: Lease,
    failure: Failure,
    passed: Option<Passed>,
    /// What a stream told before it failed.
    tally: Option<StreamTally>,
}

/// An attempt that is open in the journal, and not sent yet.
pub(super) struct Sending {
    lease: Lease,
    headers: HeaderMap,
    body: CallBody,
}

impl Sending {
    /// The backend it is for.
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Failed {
    /// The backend that failed.
    pub(super) fn backend(&self) -> BackendId {
        self.lease.backend()
    }

    /// Closes the attempt, and says what it came to.
    pub(super) fn close(self, ask: &Ask, ticket: &mut Ticket) -> Closed {
        let Self { lease, failure, passed, tally } = self;
        let facts = ticket.facts();
        let backend = lease.backend();
        facts.failed(lease, &failure, tally.as_ref());
        if failure.kind == FailureKind::RateLimited {
            // Its cooldown keeps it away; once that is over it is as good as any.
            facts.tries.backends.retain(|tried| *tried != backend);
        }
        let repeat = facts.tries.failures.add(failure.kind, &ask.view.snapshot.settings);
        Closed { failure, passed, repeat }
    }
}

/// What a failed attempt came to.
pub(super) struct Closed {
    failure: Failure,
    passed: Option<Passed>,
    /// Whether another may follow, as far as the number of failures goes.
    repeat: Repeat,
}

/// Opens an attempt on the leased backend; one it has been to is given a pause first.
pub(super) async fn open(ask: &mut Ask, mut lease: Lease, ticket: &mut Ticket) -> Result<Sending, Failed> {
    let facts = ticket.facts();
    if facts.tries.backends.contains(&lease.backend()) {
        let pause = policy::backoff(u32::from(facts.stamp.attempts()), &mut rand::rng());
        tokio::time::sleep(pause).await;
    }
    if let Err(unwritten) = ticket.facts().open(ask, &lease) {
        let failure = Failure::new(FailureKind::Reset, format!("the journal took no line: {unwritten}"));
        return Err(Failed { lease, failure, passed: None, tally: None });
    }
    // From here on at least the prompt counts, should the client leave.
    lease.used(Some(ask.estimate.prompt));
    let (headers, body) = outgoing(ask, &lease);
    Ok(Sending { lease, headers, body })
}

/// Opens a second attempt beside one that runs, if its body can be sent again and the journal takes its line.
pub(super) fn open_beside(ask: &Ask, mut lease: Lease, ticket: &mut Ticket) -> Option<Sending> {
    let body = repeatable(ask, &lease)?;
    if let Err(unwritten) = ticket.facts().open_beside(ask, &lease) {
        tracing::warn!(request_id = ask.stamp.request_id(), %unwritten, "the journal took no line: not hedged");
        return None;
    }
    lease.used(Some(ask.estimate.prompt));
    Some(Sending { headers: headers(ask, &lease), body, lease })
}

/// Calls the backend and waits until its answer can be committed to.
pub(super) async fn answer(ask: &Ask, sending: Sending) -> Result<Reply, Failed> {
    let Sending { lease, headers, body } = sending;
    let call = Call {
        method: ask.method.clone(),
        path: &ask.path,
        headers,
        body,
        deadlines: lease.serving.deadlines,
        started: ask.at,
    };
    match lease.client().call(&lease.serving.endpoint, call).await {
        Ok(answer) => commit(ask, lease, answer).await,
        Err(failure) => Err(Failed { lease, failure, passed: None, tally: None }),
    }
}

/// Closes a failed attempt, and says whether another may be made.
pub(super) async fn retry(failed: Failed, ask: &Ask, ticket: &mut Ticket) -> Result<(), Refusal> {
    let pool = failed.lease.tier().pool.clone();
    let total = failed.lease.serving.deadlines.total;
    let Closed { failure, passed, repeat } = failed.close(ask, ticket);
    let facts = ticket.facts();
    let may_help = failure.retry() == Retry::ElsewhereNow
        && (failure.kind != FailureKind::ModelMissing || is_elsewhere_left(ask, &facts.tries.backends))
        && !matches!(ask.payload, Payload::Opaque(None))
        && ask.at.elapsed() < total
        && match repeat {
            Repeat::Freely => true,
            Repeat::OnBudget => facts.gateway.live.may_retry(&pool, tokio::time::Instant::now().into_std()),
            Repeat::Never => false,
        };
    match (may_help, passed) {
        (true, _) => Ok(()),
        (false, Some(passed)) => Err(Refusal::passed(passed, &failure)),
        (false, None) => Err(Refusal::from(&failure)),
    }
}

/// Whether there is a backend that this request has not been to: one that lacks the model will not have it a moment later.
fn is_elsewhere_left(ask: &Ask, tried: &[BackendId]) -> bool {
    let mut candidates = ask.route.tiers.iter().flat_map(|tier| &tier.candidates);
    candidates.any(|candidate| !tried.contains(&candidate.backend))
}

/// The headers and the body for this backend: the client's own, save what the gateway owns.
fn outgoing(ask: &mut Ask, lease: &Lease) -> (HeaderMap, CallBody) {
    let headers = headers(ask, lease);
    let body = repeatable(ask, lease).unwrap_or_else(|| match &mut ask.payload {
        Payload::Opaque(passing) => passing.take().map_or(CallBody::Empty, |passing| once(passing, lease)),
        Payload::Empty | Payload::Json { .. } => CallBody::Empty,
    });
    (headers, body)
}

fn headers(ask: &Ask, lease: &Lease) -> HeaderMap {
    forward::request_headers(&ask.headers, &ask.stamp, &lease.serving.backend.headers)
}

/// A body that can be sent as often as need be.
fn repeatable(ask: &Ask, lease: &Lease) -> Option<CallBody> {
    let native = &lease.candidate().native;
    match &ask.payload {
        Payload::Empty => Some(CallBody::Empty),
        Payload::Json { body, outline } => {
            let model = outline.model.as_ref().map(|field| field.name.as_str());
            let edits = Edits {
                model: (model != Some(&**native) && !native.is_empty()).then_some(native),
                ask_usage: meters_stream(ask.dialect) && outline.stream && !outline.usage_asked,
            };
            Some(CallBody::Whole(protocol::rewrite(body, outline, &edits)))
        }
        Payload::Opaque(_) => None,
    }
}

/// A body that comes from the client while it is sent, and so is sent once.
fn once(mut passing: Passing, lease: &Lease) -> CallBody {
    let native = &lease.candidate().native;
    if !native.is_empty() {
        passing.name_model(native);
    }
    let length = passing.length();
    CallBody::Stream(passing.map_err(Into::into).boxed(), length)
}

/// Whether this dialect sends usage in a stream only when asked to.
fn meters_stream(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions)
}

async fn commit(ask: &Ask, lease: Lease, answer: Answer) -> Result<Reply, Failed> {
    let status = answer.status;
    if status.is_success() {
        lease.accepted();
    }
    lease.learn(&answer.headers);
    let headers = forward::answer_headers(&answer.headers, |value| lease.is_quoted_in(value));
    match content(ask, answer).await {
        Ok(content) => Ok(Reply { lease, status, headers, content }),
        Err(NoContent { mut failure, passed, tally }) => {
            failure.detail = lease.hide_text(failure.detail);
            let passed = passed.map(|passed| Passed { body: lease.hide(passed.body), ..passed });
            Err(Failed { lease, failure, passed, tally })
        }
    }
}

/// An answer that is none: why, the answer itself where it is to be passed on, and what it told before.
struct NoContent {
    failure: Failure,
    passed: Option<Passed>,
    tally: Option<StreamTally>,
}

impl From<Failure> for NoContent {
    fn from(failure: Failure) -> Self {
        Self { failure, passed: None, tally: None }
    }
}

async fn content(ask: &Ask, answer: Answer) -> Result<Content, NoContent> {
    if !answer.status.is_success() {
        return Err(error_answer(answer).await);
    }
    match ask.operation {
        Operation::Generate if ask.is_stream() => stream(ask, answer).await,
        Operation::Generate => Ok(whole(ask.dialect, answer).await?),
        Operation::Stored | Operation::Relay if is_small_json(&answer.headers) => {
            Ok(whole_unchecked(answer).await?)
        }
        Operation::Stored | Operation::Relay => Ok(Content::Opaque(answer)),
        Operation::ListModels | Operation::ShowModel | Operation::Resume | Operation::WebSocket => {
            Err(Failure::new(FailureKind::Rejected, "this operation calls no backend").into())
        }
    }
}

/// A status that is no success: what it means, and the answer itself where it is to be passed on.
async fn error_answer(mut answer: Answer) -> NoContent {
    let status = answer.status;
    let headers = answer.headers.clone();
    let body = answer.whole(ERROR_BYTES_MAX).await.unwrap_or_default();
    let failure = Failure::from_answer(status, &headers, &body);
    let passed = matches!(failure.kind, FailureKind::Rejected | FailureKind::ModelMissing);
    let content_type = headers.get(header::CONTENT_TYPE).cloned();
    NoContent { failure, passed: passed.then_some(Passed { status, content_type, body }), tally: None }
}

async fn whole(dialect: Dialect, mut answer: Answer) -> Result<Content, Failure> {
    let body = answer.whole(ANSWER_BYTES_MAX).await?;
    let outline = protocol::inspect_answer(dialect, &body)?;
    Ok(Content::Whole { body, outline: Some(outline) })
}

/// A relayed JSON answer: looked into for its id and usage, but whatever it is, it is passed on.
async fn whole_unchecked(mut answer: Answer) -> Result<Content, Failure> {
    let body = answer.whole(ANSWER_BYTES_MAX).await?;
    let outline = protocol::inspect_answer(Dialect::OpenAiRaw, &body).ok();
    Ok(Content::Whole { body, outline })
}

async fn stream(ask: &Ask, mut answer: Answer) -> Result<Content, NoContent> {
    if !is_event_stream(&answer.headers) {
        let failure = match whole(ask.dialect, answer).await {
            Ok(_whole) => Failure::new(FailureKind::Malformed, "a stream was asked for, a whole answer came"),
            Err(failure) => failure,
        };
        return Err(failure.into());
    }
    let usage_asked = matches!(&ask.payload, Payload::Json { outline, .. } if outline.usage_asked);
    let plan = StreamPlan {
        withhold_usage: meters_stream(ask.dialect) && !usage_asked,
        rename_model: ask.route.renamed.then(|| ask.route.asked.clone()),
        event_bytes_max: EVENT_BYTES_MAX,
    };
    let mut relay = StreamRelay::new(ask.dialect, plan);
    let mut ready = Vec::new();
    loop {
        let ended = advance(&mut relay, answer.chunk().await, &mut ready);
        let has_begun = relay.tally().events > 0;
        match ended {
            // What came with the failure has not gone out yet: another backend may still answer.
            Some(Ended::Cut(failure) | Ended::Told { failure, .. }) => {
                return Err(NoContent { tally: has_begun.then(|| relay.tally().clone()), ..failure.into() });
            }
            Some(Ended::Complete) if !has_begun => {
                return Err(Failure::new(FailureKind::Truncated, "the stream had no event").into());
            }
            None if !has_begun => {}
            ended @ (None | Some(Ended::Complete)) => {
                return Ok(Content::Stream(Box::new(Stream { answer, relay, ready, ended })));
            }
        }
    }
}

/// Feeds what came from the upstream to the relay; says how the stream ended, once it has.
pub(super) fn advance(
    relay: &mut StreamRelay,
    came: Option<Result<Bytes, Failure>>,
    ready: &mut Vec<Bytes>,
) -> Option<Ended> {
    match came {
        Some(Ok(chunk)) => match relay.push(chunk, ready) {
            Ok(()) => None,
            Err(StreamFault::ErrorEvent { failure, raw }) => Some(Ended::Told { failure, raw }),
            Err(StreamFault::Failed(failure)) => Some(Ended::Cut(failure)),
            Err(StreamFault::EventTooLarge) => {
                Some(Ended::Cut(Failure::new(FailureKind::TooLarge, "an event was larger than 8 MiB")))
            }
        },
        Some(Err(_after_the_end)) if relay.is_done() => Some(Ended::Complete),
        Some(Err(failure)) => Some(Ended::Cut(failure)),
        None => Some(match relay.finish(ready) {
            StreamEnd::Complete => Ended::Complete,
            StreamEnd::Cut => {
                Ended::Cut(Failure::new(FailureKind::Truncated, "the stream ended before its last event"))
            }
        }),
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|kind| kind.starts_with("text/event-stream"))
}

fn is_small_json(headers: &HeaderMap) -> bool {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    content_type(headers).is_some_and(|kind| kind.starts_with("application/json"))
        && length.is_none_or(|length| length <= RELAYED_JSON_BYTES_MAX)
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}
