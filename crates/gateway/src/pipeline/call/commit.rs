//! Decides when an answer can be committed to, and what of it is passed on; before that a failure may move elsewhere.

use http::{HeaderMap, HeaderValue, header};
use protocol::{
    AnswerOutline, Dialect, Failure, FailureKind, Objection, StreamPlan, StreamRelay, StreamTally,
    StreamTranslator, conversation::answer::AnswerPlan,
};
use upstream::Answer;

use super::super::{
    decode::{Ask, Framing, Payload, speech},
    route::Lease,
};
use super::{
    Content, Failed, Reply, Stream,
    passage::{Ended, Passage, advance},
};
use crate::{forward, refusal::Passed, routes::Operation};

/// The largest whole answer that is held in memory before it is passed on.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How much of an error answer is read; the rest would not be shown to anybody.
const ERROR_BYTES_MAX: usize = 256 * 1024;
/// The largest event of a stream (spec: 8 MiB).
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest relayed JSON answer that is looked into for an id and usage; larger ones pass through unread.
const RELAYED_JSON_BYTES_MAX: u64 = 1024 * 1024;

/// Reads an answer as far as it must be to know that it is one.
pub(super) async fn commit(ask: &Ask, mut lease: Lease, answer: Answer) -> Result<Reply, Failed> {
    let status = answer.status;
    if status.is_success() {
        lease.accepted();
    }
    lease.learn(status, &answer.headers);
    let mut headers = forward::answer_headers(&answer.headers, |value| lease.is_quoted_in(value));
    if ask.is_translated_for(&lease) {
        forward::keep_own(&mut headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    match content(ask, &lease, answer).await {
        Ok(content) => Ok(Reply { lease, status, headers, content }),
        Err(NoContent { mut failure, passed, tally, objection }) => {
            failure.detail = lease.hide_text(failure.detail);
            let passed = passed.map(|passed| Passed { body: lease.hide(passed.body), ..passed });
            Err(Failed { lease, failure, passed, tally, objection })
        }
    }
}

/// An answer that is none: why, the answer itself where it is to be passed on, and what it told before.
struct NoContent {
    failure: Failure,
    passed: Option<Passed>,
    tally: Option<StreamTally>,
    objection: Option<Objection>,
}

impl From<Failure> for NoContent {
    fn from(failure: Failure) -> Self {
        Self { failure, passed: None, tally: None, objection: None }
    }
}

async fn content(ask: &Ask, lease: &Lease, answer: Answer) -> Result<Content, NoContent> {
    if !answer.status.is_success() {
        return Err(error_answer(lease.dialect(), answer).await);
    }
    match ask.operation {
        Operation::Generate if ask.is_stream() => stream(ask, lease, answer).await,
        Operation::Generate if ask.is_translated_for(lease) => Ok(translated(ask, lease, answer).await?),
        Operation::Generate => Ok(whole(ask.dialect, answer).await?),
        Operation::Stored | Operation::Relay | Operation::CountTokens
            if is_small_json(&answer.headers) || is_json(&answer.headers) && makes_pictures(ask) =>
        {
            Ok(whole_unchecked(answer).await?)
        }
        Operation::Stored | Operation::Relay | Operation::CountTokens => Ok(Content::Opaque(answer)),
        Operation::ListModels
        | Operation::ShowModel
        | Operation::Resume
        | Operation::WebSocket
        | Operation::Hello => {
            Err(Failure::new(FailureKind::Rejected, "this operation calls no backend").into())
        }
    }
}

/// A status that is no success: what it means, and the answer itself where it is to be passed on.
async fn error_answer(dialect: Dialect, mut answer: Answer) -> NoContent {
    let status = answer.status;
    let headers = answer.headers.clone();
    let body = answer.whole(ERROR_BYTES_MAX).await.unwrap_or_default();
    let failure = Failure::from_answer(status, &headers, &body);
    let is_passed = matches!(failure.kind, FailureKind::Rejected | FailureKind::ModelMissing);
    let content_type = headers.get(header::CONTENT_TYPE).cloned();
    let objection = Objection::read(dialect, status.as_u16(), &body);
    let passed = is_passed.then_some(Passed { dialect, status, content_type, body });
    NoContent { failure, passed, tally: None, objection }
}

async fn whole(dialect: Dialect, mut answer: Answer) -> Result<Content, Failure> {
    let body = answer.whole(ANSWER_BYTES_MAX).await?;
    let outline = protocol::inspect_answer(dialect, &body)?;
    Ok(Content::Whole { body, outline: Some(outline), untold: Vec::new() })
}

/// A whole answer of another dialect, in the client's.
async fn translated(ask: &Ask, lease: &Lease, mut answer: Answer) -> Result<Content, Failure> {
    let body = answer.whole(ANSWER_BYTES_MAX).await?;
    let found = protocol::inspect_answer(lease.dialect(), &body)?;
    let mut read = protocol::decode_answer(lease.dialect(), &body)?;
    read.mark_seals(speech::maker(&lease.serving.backend, lease.dialect()));
    let told = plan(ask).and_then(|plan| protocol::encode_answer(ask.dialect, &read, &plan));
    let body = told.ok_or_else(|| Failure::new(FailureKind::Malformed, "the answer cannot be translated"))?;
    let outline = AnswerOutline {
        usage: read.usage.or(found.usage),
        output_bytes: found.output_bytes,
        images: found.images,
        ..AnswerOutline::default()
    };
    Ok(Content::Whole { body, outline: Some(outline), untold: protocol::untold(ask.dialect, &read) })
}

/// What the writing of a translated answer depends on.
fn plan(ask: &Ask) -> Option<AnswerPlan> {
    let request = ask.conversation()?.as_ref().ok()?;
    let created = ask.wall.0.div_euclid(1000).try_into().unwrap_or_default();
    Some(AnswerPlan {
        model: ask.route.asked.clone(),
        // A client may send the same id with many requests; what answers are kept under must never come twice.
        id: ask.ticket.to_string().to_lowercase().into(),
        created,
        request: request.clone(),
    })
}

/// A relayed JSON answer: looked into for its id and usage, but whatever it is, it is passed on.
async fn whole_unchecked(mut answer: Answer) -> Result<Content, Failure> {
    let body = answer.whole(ANSWER_BYTES_MAX).await?;
    let outline = protocol::inspect_answer(Dialect::OpenAiRaw, &body).ok();
    Ok(Content::Whole { body, outline, untold: Vec::new() })
}

async fn stream(ask: &Ask, lease: &Lease, mut answer: Answer) -> Result<Content, NoContent> {
    if !is_event_stream(&answer.headers) {
        let failure = match whole(lease.dialect(), answer).await {
            Ok(_whole) => Failure::new(FailureKind::Malformed, "a stream was asked for, a whole answer came"),
            Err(failure) => failure,
        };
        return Err(failure.into());
    }
    let mut passage = passage(ask, lease)?;
    let mut ready = Vec::new();
    loop {
        let ended = advance(&mut passage, answer.chunk().await, &mut ready);
        let has_begun = passage.tally().events > 0;
        match ended {
            // What came with the failure has not gone out yet: another backend may still answer.
            Some(Ended::Cut(failure) | Ended::Told { failure, .. }) => {
                return Err(NoContent {
                    tally: has_begun.then(|| passage.tally().clone()),
                    ..failure.into()
                });
            }
            Some(Ended::Complete) if !has_begun => {
                return Err(Failure::new(FailureKind::Truncated, "the stream had no event").into());
            }
            None if !has_begun => {}
            ended @ (None | Some(Ended::Complete)) => {
                return Ok(Content::Stream(Box::new(Stream { answer, passage, ready, ended })));
            }
        }
    }
}

fn passage(ask: &Ask, lease: &Lease) -> Result<Passage, Failure> {
    let passage = if !ask.is_translated_for(lease) {
        let usage_asked = matches!(&ask.payload, Payload::Json { outline, .. } if outline.usage_asked);
        let plan = StreamPlan {
            withhold_usage: !usage_asked,
            rename_model: ask.route.renamed.then(|| ask.route.asked.clone()),
            event_bytes_max: EVENT_BYTES_MAX,
        };
        Passage::relay(StreamRelay::new(ask.dialect, plan))
    } else {
        let translator = plan(ask)
            .and_then(|plan| StreamTranslator::new(lease.dialect(), ask.dialect, plan, EVENT_BYTES_MAX))
            .map(|translator| translator.sealed_by(speech::maker(&lease.serving.backend, lease.dialect())));
        let cannot = || Failure::new(FailureKind::Malformed, "the stream cannot be translated");
        let passage = Passage::translation(translator.ok_or_else(cannot)?);
        match ask.memory(lease) {
            Some(memory) => passage.remembering(memory),
            None => passage,
        }
    };
    Ok(match ask.framing {
        Framing::Events => passage,
        Framing::Array => passage.listed(EVENT_BYTES_MAX),
    })
}

pub(in crate::pipeline) fn is_event_stream(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|kind| kind.starts_with("text/event-stream"))
}

fn is_small_json(headers: &HeaderMap) -> bool {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    is_json(headers) && length.is_none_or(|length| length <= RELAYED_JSON_BYTES_MAX)
}

fn is_json(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|kind| kind.starts_with("application/json"))
}

/// Whose answers are large, and paid for by the pictures in them.
fn makes_pictures(ask: &Ask) -> bool {
    ask.operation == Operation::Relay && ask.path.starts_with("/images")
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}
