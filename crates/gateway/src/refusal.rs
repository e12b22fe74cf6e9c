//! Decides what a caller reads when something went wrong: the only place where errors become responses.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use policy::{Denial, NoSuchModel, Refused, RefusedReason};
use protocol::{Deadline, DecodeError, Dialect, Failure, FailureKind, WireError};

use crate::{
    body::Body,
    identity::{Stamp, repeat_id},
    pipeline::call::Passage,
};

/// A stable error code and the status it goes out with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) status: u16,
    pub(crate) name: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $status:literal $name:literal;)*) => {
        impl Code { $(pub(crate) const $constant: Code = Code { status: $status, name: $name };)* }
    };
}

codes! {
    INVALID_REQUEST = 400 "invalid_request";
    UNSUPPORTED = 400 "unsupported_for_backend";
    MISSING_API_KEY = 401 "missing_api_key";
    INVALID_API_KEY = 401 "invalid_api_key";
    MODEL_NOT_FOUND = 404 "model_not_found";
    BUDGET_EXCEEDED = 402 "budget_exceeded";
    UNPRICED_MODEL = 402 "unpriced_model";
    NOT_FOUND = 404 "not_found";
    METHOD_NOT_ALLOWED = 405 "method_not_allowed";
    BODY_TIMEOUT = 408 "body_timeout";
    STREAM_BUSY = 409 "stream_busy";
    STREAM_GONE = 410 "stream_gone";
    BODY_TOO_LARGE = 413 "body_too_large";
    UNSUPPORTED_ENCODING = 415 "unsupported_encoding";
    UPGRADE_REQUIRED = 426 "upgrade_required";
    RATE_LIMITED = 429 "rate_limited";
    BACKPRESSURE = 429 "backpressure";
    QUEUE_TIMEOUT = 429 "queue_timeout";
    CONCURRENCY_LIMITED = 429 "concurrency_limited";
    CLIENT_CLOSED = 499 "client_closed";
    UPSTREAM_ERROR = 502 "upstream_error";
    UPSTREAM_PROTOCOL_ERROR = 502 "upstream_protocol_error";
    NO_BACKEND = 503 "no_backend";
    BACKEND_NOT_READY = 503 "backend_not_ready";
    ALL_POOLS_EXHAUSTED = 503 "all_pools_exhausted";
    QUEUE_FULL = 503 "queue_full";
    SHUTTING_DOWN = 503 "shutting_down";
    JOURNAL_FULL = 503 "journal_full";
    UPSTREAM_TIMEOUT = 504 "upstream_timeout";
}

/// An answer of the upstream that no other backend could better: it is passed on, as it came where the client speaks its
/// dialect.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) dialect: Dialect,
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

impl Passed {
    fn is_json(&self) -> bool {
        serde_json::from_slice::<serde::de::IgnoredAny>(&self.body).is_ok()
    }
}

/// Why a request gets no answer of its own. `message` is for the caller, `detail` for the operator's log.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    message: Cow<'static, str>,
    param: Option<Box<str>>,
    retry_after: Option<Duration>,
    pub(crate) detail: Option<Box<str>>,
    passed: Option<Box<Passed>>,
}

impl Refusal {
    /// A refusal with `code`, saying `message` to the caller.
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), param: None, retry_after: None, detail: None, passed: None }
    }

    /// Names the field of the request that is at fault.
    pub(crate) fn about(mut self, param: &str) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Tells the caller when to come back.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// `earlier` in place of this one, where there was one; when to come back is this one's to say.
    pub(crate) fn after(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) => Self { retry_after: earlier.retry_after.or(self.retry_after), ..earlier },
            None => self,
        }
    }

    /// The upstream's own answer, passed on with its status and body.
    pub(crate) fn passed(passed: Passed, failure: &Failure) -> Self {
        let code = Code { status: passed.status.as_u16(), name: "upstream_rejected" };
        let mut refusal = Self::new(code, "").because(failure);
        refusal.passed = Some(Box::new(passed));
        refusal
    }

    /// The status the caller sees.
    pub(crate) fn status(&self) -> u16 {
        self.code.status
    }

    /// What the caller reads; nothing where an upstream's own answer is passed on.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// That of the answer: who reads one has not gone, though the log says so of a body that broke off.
    fn told_status(&self) -> u16 {
        if self.code == Code::CLIENT_CLOSED { Code::INVALID_REQUEST.status } else { self.code.status }
    }

    /// Adds what only the operator reads.
    pub(crate) fn detailed(mut self, detail: &str) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn because(mut self, failure: &Failure) -> Self {
        self.detail = Some(failure.detail.clone());
        self
    }

    /// What the caller reads, in its own dialect, for an answer that has not begun.
    pub(crate) fn into_response(mut self, dialect: Dialect, stamp: &Stamp) -> http::Response<Body> {
        if self.passed.as_ref().is_some_and(|passed| passed.dialect != dialect || passed.body.is_empty()) {
            self = self.in_own_words();
        }
        let (status, content_type, body) = match self.passed {
            Some(passed) => (passed.status, passed.content_type, passed.body),
            None => {
                let json = protocol::encode_error(dialect, &self.wire(stamp));
                (status_code(self.told_status()), Some(HeaderValue::from_static("application/json")), json)
            }
        };
        let mut response = http::Response::new(Body::whole(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        if let Some(wait) = self.retry_after {
            write_retry_after(headers, wait);
        }
        if self.code == Code::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        if self.code == Code::UNSUPPORTED_ENCODING {
            // RFC 9110, 15.5.16: what would have been taken.
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        stamp.write(headers);
        repeat_id(dialect, headers);
        response
    }

    /// What the caller reads inside a stream that has begun, in its proper place there.
    pub(crate) fn into_stream_event(self, passage: &mut Passage, stamp: &Stamp) -> Bytes {
        passage.encode_error(&self.wire(stamp))
    }

    /// What the caller reads inside a stream in which nothing but keepalives was sent.
    pub(crate) fn into_event(self, dialect: Dialect, stamp: &Stamp) -> Bytes {
        let refusal = self.in_own_words();
        protocol::encode_error_event(dialect, &refusal.wire(stamp))
    }

    /// What the caller reads as the body of an answer whose head has told of JSON, and of success.
    pub(crate) fn into_json(self, dialect: Dialect, stamp: &Stamp) -> Bytes {
        match &self.passed {
            Some(passed) if passed.dialect == dialect && passed.is_json() => passed.body.clone(),
            Some(_) | None => protocol::encode_error(dialect, &self.in_own_words().wire(stamp)),
        }
    }

    /// An upstream's answer that cannot be passed on as it came: what it says is told instead.
    fn in_own_words(mut self) -> Self {
        if let Some(passed) = self.passed.take() {
            let said = protocol::error_message(&passed.body);
            self.message = said.map_or("The upstream refused this request.".into(), Cow::Owned);
        }
        self
    }

    fn wire<'a>(&'a self, stamp: &'a Stamp) -> WireError<'a> {
        WireError {
            status: self.told_status(),
            code: self.code.name,
            message: &self.message,
            param: self.param.as_deref(),
            request_id: stamp.request_id(),
        }
    }
}

/// `Retry-After` in whole seconds, at least one, and the exact wait beside it.
fn write_retry_after(headers: &mut http::HeaderMap, wait: Duration) {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let millis = wait.as_millis().max(1);
    for (name, value) in [("retry-after", seconds), ("retry-after-ms", millis)] {
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            headers.insert(name, value);
        }
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let code = Code { status: 400, name: error.code() };
        let refusal = Self::new(code, error.to_string());
        match error.param() {
            Some(param) => refusal.about(param),
            None => refusal,
        }
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::new(Code { status: 403, name: denial.code() }, denial.to_string())
    }
}

impl From<NoSuchModel> for Refusal {
    fn from(unknown: NoSuchModel) -> Self {
        let mut message = format!("The model `{}` does not exist or is not served here.", unknown.asked);
        if !unknown.close.is_empty() {
            message.push_str(" Close names: ");
            message.push_str(&unknown.close.join(", "));
            message.push('.');
        }
        Self::new(Code::MODEL_NOT_FOUND, message).about("model")
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let (code, message) = match refused.reason {
            RefusedReason::Backpressure => {
                (Code::BACKPRESSURE, "The gateway is at its limit of requests in flight. Retry later.")
            }
            RefusedReason::QueueTimeout => {
                (Code::QUEUE_TIMEOUT, "No capacity became free before the queue timeout. Retry later.")
            }
            RefusedReason::QueueFull => (Code::QUEUE_FULL, "The queue is full. Retry later."),
            RefusedReason::NoBackend => (Code::NO_BACKEND, "No backend can serve this request at present."),
            RefusedReason::AllPoolsExhausted => {
                (Code::ALL_POOLS_EXHAUSTED, "Every backend for this model is at its limit. Retry later.")
            }
            RefusedReason::ConcurrencyLimited => {
                (Code::CONCURRENCY_LIMITED, "This key has too many requests in flight. Retry later.")
            }
            RefusedReason::RateLimited => {
                (Code::RATE_LIMITED, "This key is over its rate limit. Retry later.")
            }
            RefusedReason::Unsupported => {
                (Code::UNSUPPORTED, "No backend for this model can carry what the request contains.")
            }
            RefusedReason::NotReady => return not_ready(Some(refused.retry_after)),
            RefusedReason::BoundBackendGone => {
                (Code::NO_BACKEND, "The backend that holds what this request refers to is not available.")
            }
        };
        Self::new(code, message).retry_after(refused.retry_after)
    }
}

impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Self {
        let refusal = match failure.kind {
            FailureKind::Connect | FailureKind::Tls | FailureKind::Reset => {
                Self::new(Code::UPSTREAM_ERROR, "The upstream could not be reached or closed the connection.")
            }
            FailureKind::Truncated => Self::new(Code::UPSTREAM_ERROR, "The upstream's answer was cut short."),
            FailureKind::Malformed | FailureKind::TooLarge => {
                Self::new(Code::UPSTREAM_PROTOCOL_ERROR, "The upstream's answer could not be understood.")
            }
            FailureKind::ErrorAnswer
            | FailureKind::Unavailable
            | FailureKind::Unauthorized
            | FailureKind::ModelMissing
            | FailureKind::Rejected => Self::new(Code::UPSTREAM_ERROR, "The upstream reported an error."),
            FailureKind::NotReady => not_ready(failure.retry_after),
            FailureKind::RateLimited => Self::new(
                Code::RATE_LIMITED,
                "Every backend that could serve this request is rate limited. Retry later.",
            )
            .retry_after(failure.retry_after.unwrap_or(Duration::from_secs(1))),
            FailureKind::Deadline(deadline) => Self::new(Code::UPSTREAM_TIMEOUT, timeout_text(deadline)),
        };
        refusal.because(failure)
    }
}

/// Nothing of why: that is the operator's affair.
fn not_ready(retry_after: Option<Duration>) -> Refusal {
    let message = "The backend for this model is being started or signed in. Retry later.";
    Refusal::new(Code::BACKEND_NOT_READY, message).retry_after(retry_after.unwrap_or(Duration::from_secs(1)))
}

fn timeout_text(deadline: Deadline) -> &'static str {
    match deadline {
        Deadline::Connect => "The upstream did not accept a connection in time (deadline: connect).",
        Deadline::FirstEvent => "The upstream did not begin its answer in time (deadline: first_event).",
        Deadline::Idle => "The upstream went silent in the middle of its answer (deadline: idle).",
        Deadline::Total => "The answer took longer than allowed (deadline: total).",
    }
}
