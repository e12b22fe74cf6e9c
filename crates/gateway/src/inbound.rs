//! Decides how much of a client's body is read, how long that may take, and when it passes through unread.

use std::{
    ops::Range,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::multipart::{self, Found};
use tokio::time::Sleep;

use crate::{
    refusal::{Code, Refusal},
    tape::Tape,
};

/// What one client body may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes_max: u64,
    pub(crate) within: Duration,
}

/// How far into a form its `model` field is looked for; SDKs send fields before files.
const FORM_PEEK_BYTES_MAX: usize = 64 * 1024;

/// Whether the body is JSON by its content type. No content type counts as JSON, as clients omit it.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_none_or(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/json"))
}

/// The whole body, as one piece.
pub(crate) async fn read_whole(
    mut body: Incoming,
    headers: &HeaderMap,
    limits: Limits,
) -> Result<Bytes, Refusal> {
    refuse_encoded(headers)?;
    let declared = declared_length(headers);
    if declared.is_some_and(|length| length > limits.bytes_max) {
        return Err(too_large(limits));
    }
    let reading = async {
        let Some(first) = next_data(&mut body).await? else { return Ok(Bytes::new()) };
        let first = within_limit(first, limits)?;
        if body.is_end_stream() || declared == Some(first.len() as u64) {
            return Ok(first);
        }
        gather(first, &mut body, declared, limits).await
    };
    match tokio::time::timeout(limits.within, reading).await {
        Ok(read) => read.map(without_mark),
        Err(_elapsed) => Err(body_timeout()),
    }
}

/// A text without the mark that editors and shells of Windows put before it, which is no JSON.
fn without_mark(mut text: Bytes) -> Bytes {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    if text.starts_with(BYTE_ORDER_MARK) {
        drop(text.split_to(BYTE_ORDER_MARK.len()));
    }
    text
}

async fn gather(
    first: Bytes,
    body: &mut Incoming,
    declared: Option<u64>,
    limits: Limits,
) -> Result<Bytes, Refusal> {
    // A declared length is within the limit here, yet memory is only taken as bytes really come.
    const TRUSTED_LENGTH: u64 = 1024 * 1024;
    let expected = declared.unwrap_or(0).min(TRUSTED_LENGTH);
    let mut whole = BytesMut::with_capacity(usize::try_from(expected).unwrap_or(0).max(first.len() * 2));
    whole.extend_from_slice(&first);
    drop(first);
    while let Some(data) = next_data(body).await? {
        if (whole.len() + data.len()) as u64 > limits.bytes_max {
            return Err(too_large(limits));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Looks for the `model` field of a form without keeping the form: what was read is put in front of the rest.
pub(crate) async fn peek_form(
    body: Incoming,
    headers: &HeaderMap,
    limits: Limits,
) -> Result<(Option<String>, Passing), Refusal> {
    refuse_encoded(headers)?;
    let length = declared_length(headers);
    if length.is_some_and(|length| length > limits.bytes_max) {
        return Err(too_large(limits));
    }
    let boundary = headers.get(header::CONTENT_TYPE).and_then(|value| multipart::boundary(value.as_bytes()));
    let mut passing = Passing { length, rest: Some(body), ..Passing::within(limits) };
    let Some(boundary) = boundary else { return Ok((None, passing)) };
    match tokio::time::timeout(limits.within, passing.look_for_model(boundary)).await {
        Ok(looked) => looked?,
        Err(_elapsed) => return Err(body_timeout()),
    }
    Ok((passing.model().map(str::to_owned), passing))
}

/// A body that passes through: what was already read of it, then the rest as it comes.
pub(crate) struct Passing {
    seen: Option<Bytes>,
    /// Where in `seen` a form names its model.
    model: Option<Range<usize>>,
    rest: Option<Incoming>,
    length: Option<u64>,
    left: u64,
    limits: Limits,
    /// Runs while the client sends nothing.
    silence: Option<Pin<Box<Sleep>>>,
    broken: Upload,
    /// What captures the rest of it.
    tape: Option<Arc<Tape>>,
}

/// Tells what became of a body that passes through, after it has been handed on.
#[derive(Clone, Default)]
pub(crate) struct Upload(Arc<OnceLock<PassingError>>);

impl Upload {
    /// What its client is to be told, if it broke off by the client's doing.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.0.get().map(|error| match error {
            PassingError::Client(error) => ended_early(error),
            PassingError::TooLarge(limits) => too_large(*limits),
            PassingError::Late => body_timeout(),
        })
    }
}

impl Passing {
    fn within(limits: Limits) -> Self {
        Self {
            seen: None,
            model: None,
            rest: None,
            length: None,
            left: limits.bytes_max,
            limits,
            silence: None,
            broken: Upload::default(),
            tape: None,
        }
    }

    /// A body that is already here.
    pub(crate) fn whole(body: Bytes) -> Self {
        let length = body.len() as u64;
        let limits = Limits { bytes_max: length, within: Duration::MAX };
        Self { seen: Some(body), length: Some(length), ..Self::within(limits) }
    }

    /// What tells how it ended, wherever it is.
    pub(crate) fn upload(&self) -> Upload {
        self.broken.clone()
    }

    /// Is captured as it passes, as the client wrote it.
    pub(crate) fn taped(self, tape: Option<Arc<Tape>>) -> Self {
        if let (Some(tape), Some(seen)) = (&tape, &self.seen) {
            tape.request_part(seen);
        }
        Self { tape, ..self }
    }

    /// Finds the `model` field, as far as it lies within what may be looked at.
    async fn look_for_model(&mut self, boundary: &str) -> Result<(), Refusal> {
        let Some(rest) = &mut self.rest else { return Ok(()) };
        let mut seen = BytesMut::new();
        while seen.len() < FORM_PEEK_BYTES_MAX {
            let Some(data) = next_data(rest).await? else { break };
            seen.extend_from_slice(&data);
            match multipart::field(&seen, boundary, "model") {
                Found::Value(at) => {
                    self.model = Some(at);
                    break;
                }
                Found::Absent => break,
                Found::NeedMore => {}
            }
        }
        self.seen = Some(seen.freeze());
        Ok(())
    }

    /// The model that a form names.
    pub(crate) fn model(&self) -> Option<&str> {
        std::str::from_utf8(self.seen.as_ref()?.get(self.model.clone()?)?).ok()
    }

    /// Puts a backend's own name for the model where the form names it; all other bytes stay as they came.
    pub(crate) fn name_model(&mut self, native: &str) {
        let Some((seen, at)) = self.seen.as_ref().zip(self.model.clone()) else { return };
        let (Some(head), Some(tail)) = (seen.get(..at.start), seen.get(at.end..)) else { return };
        let named = Bytes::from([head, native.as_bytes(), tail].concat());
        let resized = |bytes: u64| (bytes + native.len() as u64).saturating_sub(at.len() as u64);
        self.length = self.length.map(resized);
        // The limit is the client's bytes, of which these are none.
        self.left = resized(self.left);
        self.model = Some(at.start..at.start + native.len());
        self.seen = Some(named);
    }

    /// Its length, where the client declared one.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }
}

/// Why a passing body ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PassingError {
    #[error("the client's body ended early: {0}")]
    Client(Arc<hyper::Error>),
    #[error("the client's body is larger than allowed")]
    TooLarge(Limits),
    #[error("the client stopped sending its body")]
    Late,
}

impl Passing {
    /// The next bytes, unless the client has sent none for too long.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PassingError>>> {
        if let Some(seen) = self.seen.take().filter(|seen| !seen.is_empty()) {
            return Poll::Ready(Some(Ok(seen)));
        }
        loop {
            let Some(rest) = self.rest.as_mut() else { return Poll::Ready(None) };
            let Poll::Ready(frame) = Pin::new(rest).poll_frame(cx) else {
                let within = self.limits.within;
                let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
                return silence.as_mut().poll(cx).map(|()| Some(Err(PassingError::Late)));
            };
            self.silence = None;
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(PassingError::Client(Arc::new(error))))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        if let Some(tape) = &self.tape {
                            tape.request_part(&data);
                        }
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }

    /// `data`, as far as the limit allows it.
    fn within_left(&mut self, data: Bytes) -> Result<Bytes, PassingError> {
        self.left = self.left.checked_sub(data.len() as u64).ok_or(PassingError::TooLarge(self.limits))?;
        Ok(data)
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = PassingError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PassingError>>> {
        let next = std::task::ready!(self.poll_next(cx));
        let next = next.map(|data| data.and_then(|data| self.within_left(data)));
        if let Some(Err(error)) = &next {
            // It ends once.
            let _ = self.broken.0.set(error.clone());
        }
        Poll::Ready(next.map(|data| data.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map(SizeHint::with_exact).unwrap_or_default()
    }
}

async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ended_early(&error))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn ended_early(error: &hyper::Error) -> Refusal {
    Refusal::new(Code::CLIENT_CLOSED, "The request's body ended early.").detailed(&error.to_string())
}

fn within_limit(body: Bytes, limits: Limits) -> Result<Bytes, Refusal> {
    if body.len() as u64 > limits.bytes_max { Err(too_large(limits)) } else { Ok(body) }
}

fn too_large(limits: Limits) -> Refusal {
    Refusal::new(
        Code::BODY_TOO_LARGE,
        format!("The request's body is larger than {} bytes.", limits.bytes_max),
    )
}

fn body_timeout() -> Refusal {
    Refusal::new(Code::BODY_TIMEOUT, "The request's body did not arrive in time.")
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A compressed body would have to be unpacked to be routed, and a small one may unpack to gigabytes; no client of these
/// endpoints sends one.
fn refuse_encoded(headers: &HeaderMap) -> Result<(), Refusal> {
    let written = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings =
        written.flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    match codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")) {
        true => Ok(()),
        false => Err(Refusal::new(
            Code::UNSUPPORTED_ENCODING,
            "Compressed request bodies are not accepted. Send the body without a content-encoding.",
        )
        .about("content-encoding")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_bodies_that_are_not_packed_are_read() {
        for (codings, want) in [
            (&[][..], true),
            (&["identity"], true),
            (&["Identity", ""], true),
            (&["gzip"], false),
            (&["identity", "gzip"], false),
            (&["identity, br"], false),
            (&["x-unheard-of"], false),
            (&["\u{e9}"], false),
        ] {
            let mut headers = HeaderMap::new();
            for coding in codings {
                let coding = HeaderValue::from_bytes(coding.as_bytes()).expect("a header value");
                headers.append(header::CONTENT_ENCODING, coding);
            }
            assert_eq!(refuse_encoded(&headers).is_ok(), want, "{codings:?}");
        }
    }
}
