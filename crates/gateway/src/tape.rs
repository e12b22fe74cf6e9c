//! Captures one request and its answer as they pass, where a rule asks for it; it never delays either, never changes what
//! passes, and never holds a credential of a header.

mod hidden;
#[cfg(test)]
mod tests;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use http_body::{Body as _, Frame, SizeHint};
use policy::{Captured, Key, Route, TicketId, Timestamp};
use store::{
    Recorder,
    captures::{Capture, CaptureContent, CaptureEnd, CaptureHead, CaptureRoom, CapturedAttempt},
};

use crate::{
    body::{Body, BoxError},
    identity::Stamp,
    refusal::Code,
    view::View,
};

/// The latest attempts that are kept; a request may meet many 429s.
const ATTEMPTS_MAX: usize = 32;
/// A body from this length on is shared with the request; a shorter one may be a small part of what it was read with.
const SHARED_BYTES_MIN: usize = 64 * 1024;

/// What is captured of one request; the request's steps and its answer's body each hold it.
pub(crate) struct Tape {
    recorder: Recorder,
    /// Gone when it was handed over, or when no rule asks for it after all.
    making: Mutex<Option<Making>>,
}

struct Making {
    room: CaptureRoom,
    head: CaptureHead,
    content: CaptureContent,
    request: Side,
    response: Side,
    /// The models that the rules ask for, until it is known that this request asks for one of them.
    awaited: Option<Box<[Arc<str>]>>,
}

/// One of the two bodies.
struct Side {
    kept: Kept,
    bytes: u64,
    bytes_max: usize,
    is_cut: bool,
}

enum Kept {
    Whole(Bytes),
    Parts(Vec<u8>),
}

/// Whose request it is, and what it begins with.
pub(crate) struct Beginning<'a> {
    pub(crate) ticket: TicketId,
    pub(crate) at: Timestamp,
    pub(crate) stamp: &'a Stamp,
    pub(crate) key: &'a Key,
    pub(crate) view: &'a View,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl Tape {
    /// Nothing, where no rule can ask for this request or there is no room for it.
    pub(crate) fn begin(recorder: &Recorder, beginning: &Beginning<'_>) -> Option<Arc<Self>> {
        let Beginning { ticket, at, stamp, key, view, method, uri, headers } = beginning;
        let awaited = match view.snapshot.captures.concern(key, *at) {
            Captured::No => return None,
            Captured::Yes => None,
            Captured::For(models) => Some(models),
        };
        let room = recorder.begin()?;
        let head = CaptureHead {
            id: *ticket,
            request_id: stamp.request_id().into(),
            at: *at,
            key: (!view.snapshot.identity.is_open()).then(|| key.id.clone()),
            model: None,
            backend: None,
            status: Code::CLIENT_CLOSED.status,
            ended: CaptureEnd::Left,
            request_bytes: 0,
            response_bytes: 0,
            request_cut: false,
            response_cut: false,
        };
        let content = CaptureContent {
            method: method.to_string(),
            path: hidden::path(uri),
            request_headers: hidden::headers(headers, |_| false),
            ..CaptureContent::default()
        };
        let side = || Side::new(view.snapshot.settings.captures.body_bytes_max);
        let (request, response) = (side(), side());
        let making = Making { room, head, content, request, response, awaited };
        Some(Arc::new(Self { recorder: recorder.clone(), making: Mutex::new(Some(making)) }))
    }

    /// The name of the model that is asked for.
    pub(crate) fn asks_for(&self, model: &str) {
        self.with(|making| {
            making.head.model = Some(model.into());
            making.is_about(model);
        });
    }

    /// Where that name leads. What no rule asks for is let go of here.
    pub(crate) fn leads_to(&self, route: &Route) {
        self.with(|making| {
            // A relay that names no model may go anywhere, and is about none.
            let named = route.tiers.iter().filter(|_| !route.model.is_empty());
            named.for_each(|tier| making.is_about(&tier.model));
        });
        let mut making = self.lock();
        if making.as_ref().is_some_and(|making| making.awaited.is_some()) {
            *making = None;
        }
    }

    /// The whole body of the request.
    pub(crate) fn request(&self, body: &Bytes) {
        self.with(|making| making.request.whole(body, &mut making.room));
    }

    /// The next part of a request's body that passes through.
    pub(crate) fn request_part(&self, part: &[u8]) {
        self.with(|making| making.request.add(part, &mut making.room));
    }

    /// A backend answered. None of its headers is kept that quotes a secret of its own.
    pub(crate) fn answered(
        &self,
        backend: &str,
        answer: (u16, &HeaderMap),
        is_secret: impl Fn(&[u8]) -> bool,
    ) {
        let (status, headers) = answer;
        self.tried(CapturedAttempt {
            backend: backend.to_owned(),
            status: Some(status),
            headers: hidden::headers(headers, is_secret),
            error: None,
        });
    }

    /// A backend did not answer.
    pub(crate) fn failed(&self, backend: &str, kind: &str) {
        let (backend, error) = (backend.to_owned(), Some(kind.to_owned()));
        self.tried(CapturedAttempt { backend, status: None, headers: Vec::new(), error });
    }

    fn tried(&self, mut attempt: CapturedAttempt) {
        self.with(|making| {
            let bytes: usize = attempt.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            if !making.room.take(bytes) {
                attempt.headers.clear();
            }
            let attempts = &mut making.content.attempts;
            if attempts.len() >= ATTEMPTS_MAX {
                attempts.remove(0);
            }
            making.head.backend = Some(attempt.backend.as_str().into());
            attempts.push(attempt);
        });
    }

    /// Captures the answer as it passes. One that nobody asked for after all passes as it is.
    pub(crate) fn answer(self: Arc<Self>, response: Response<Body>) -> Response<Body> {
        let is_wanted = self.with(|making| {
            making.head.status = response.status().as_u16();
            making.content.response_headers = hidden::headers(response.headers(), |_| false);
            making.awaited.is_none()
        });
        match is_wanted {
            Some(true) => response.map(|body| Body::taped(TapedBody::new(body, self))),
            Some(false) | None => response,
        }
    }

    fn response_part(&self, part: &[u8]) {
        self.with(|making| making.response.add(part, &mut making.room));
    }

    /// Hands over what was captured, if a rule asks for it; the first end is the one that counts.
    fn end(&self, ended: CaptureEnd) {
        let made = self.lock().take().filter(|making| making.awaited.is_none());
        let Some(Making { room, head, content, request, response, .. }) = made else { return };
        let head = CaptureHead {
            ended,
            request_bytes: request.bytes,
            request_cut: request.is_cut,
            response_bytes: response.bytes,
            response_cut: response.is_cut,
            ..head
        };
        let content = CaptureContent {
            request_body: request.into_body(),
            response_body: response.into_body(),
            ..content
        };
        self.recorder.record(Capture { head, content }, room);
    }

    /// Nothing, where there is nothing to capture any more.
    fn with<T>(&self, change: impl FnOnce(&mut Making) -> T) -> Option<T> {
        self.lock().as_mut().map(change)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Making>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tape {
    /// The client left before there was an answer.
    fn drop(&mut self) {
        self.end(CaptureEnd::Left);
    }
}

impl Making {
    fn is_about(&mut self, model: &str) {
        if self.awaited.as_ref().is_some_and(|models| models.iter().any(|wanted| **wanted == *model)) {
            self.awaited = None;
        }
    }
}

impl Side {
    fn new(bytes_max: usize) -> Self {
        Self { kept: Kept::Parts(Vec::new()), bytes: 0, bytes_max, is_cut: false }
    }

    /// Shares the bytes, unless only a part of them may be kept.
    fn whole(&mut self, body: &Bytes, room: &mut CaptureRoom) {
        if body.len() < SHARED_BYTES_MIN || body.len() > self.bytes_max {
            return self.add(body, room);
        }
        self.bytes = body.len() as u64;
        match room.take(body.len()) {
            true => self.kept = Kept::Whole(body.clone()),
            false => self.is_cut = true,
        }
    }

    fn add(&mut self, part: &[u8], room: &mut CaptureRoom) {
        self.bytes += part.len() as u64;
        let Kept::Parts(parts) = &mut self.kept else { return };
        let fitting = part.get(..self.bytes_max.saturating_sub(parts.len())).unwrap_or(part);
        // After a gap nothing follows: what is kept is always the beginning.
        if !self.is_cut && room.take(fitting.len()) {
            parts.extend_from_slice(fitting);
            self.is_cut = fitting.len() < part.len();
        } else {
            self.is_cut |= !part.is_empty();
        }
    }

    fn into_body(self) -> Bytes {
        match self.kept {
            Kept::Whole(body) => body,
            Kept::Parts(parts) => parts.into(),
        }
    }
}

/// An answer's body that is captured as it passes.
pub(crate) struct TapedBody {
    inner: Body,
    tape: Arc<Tape>,
    /// What is still to come, where that was declared: who has it all need not ask for the end.
    left: Option<u64>,
}

impl TapedBody {
    fn new(inner: Body, tape: Arc<Tape>) -> Self {
        let left = inner.size_hint().exact();
        Self { inner, tape, left }
    }

    /// The next frame of the body within.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &next {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.tape.response_part(data);
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                }
            }
            Some(Err(_)) => self.tape.end(CaptureEnd::Broken),
            None => self.tape.end(CaptureEnd::Whole),
        }
        Poll::Ready(next)
    }

    /// Whether the body within is at its end.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    /// How much of the body within is to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for TapedBody {
    /// Whoever dropped it before its end has left.
    fn drop(&mut self) {
        let is_over = self.inner.is_end_stream() || self.left == Some(0);
        self.tape.end(if is_over { CaptureEnd::Whole } else { CaptureEnd::Left });
    }
}
