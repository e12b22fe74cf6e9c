//! Decides in which forms an answer's body leaves the gateway; never what is in it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use crate::pipeline::{
    keepalive::{Heart, Kept, KeptBody},
    respond::{OpaqueBody, StreamBody, WholeBody},
};
use crate::spool::Reader;
use crate::tape::TapedBody;

/// The body of any response of the gateway's listeners.
pub struct Body(Form);

enum Form {
    Whole(Option<Bytes>),
    Settling(Box<WholeBody>),
    Stream(Box<StreamBody>),
    Opaque(Box<OpaqueBody>),
    Kept(Box<KeptBody>),
    Resumable(Reader),
    Taped(Box<TapedBody>),
    Foreign(UnsyncBoxBody<Bytes, BoxError>),
}

/// Why a body could not be sent to its end.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Body {
    /// A body that is all here.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Form::Whole(Some(bytes.into())))
    }

    /// A body of another part of the program: the admin API, the dashboard.
    pub fn foreign<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        use http_body_util::BodyExt;
        Self(Form::Foreign(body.map_err(Into::into).boxed_unsync()))
    }

    pub(crate) fn settling(body: WholeBody) -> Self {
        Self(Form::Settling(Box::new(body)))
    }

    pub(crate) fn stream(body: StreamBody) -> Self {
        Self(Form::Stream(Box::new(body)))
    }

    pub(crate) fn opaque(body: OpaqueBody) -> Self {
        Self(Form::Opaque(Box::new(body)))
    }

    pub(crate) fn kept(body: KeptBody) -> Self {
        Self(Form::Kept(Box::new(body)))
    }

    /// A stream that is kept for its client.
    pub(crate) fn kept_stream(reader: Reader) -> Self {
        Self(Form::Resumable(reader))
    }

    /// A body that is captured as it passes.
    pub(crate) fn taped(body: TapedBody) -> Self {
        Self(Form::Taped(Box::new(body)))
    }

    /// Keeps a stream alive; what is all here needs nothing.
    pub(crate) fn kept_by(mut self, heart: Heart) -> Self {
        if let Form::Stream(stream) = &mut self.0 {
            stream.kept_by(heart);
        }
        self
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let form = &mut self.get_mut().0;
        while let Form::Kept(kept) = form {
            match ready!(kept.poll_next(cx)) {
                Kept::Beat(beat) => return Poll::Ready(Some(Ok(Frame::data(beat)))),
                Kept::Answer(body) => *form = body.0,
            }
        }
        let next: Option<Result<Bytes, BoxError>> = match form {
            Form::Kept(_) => return Poll::Pending,
            Form::Whole(bytes) => bytes.take().filter(|bytes| !bytes.is_empty()).map(Ok),
            Form::Settling(whole) => ready!(whole.poll_next(cx)).map(Ok),
            Form::Stream(stream) => ready!(stream.poll_next(cx)).map(Ok),
            Form::Opaque(opaque) => ready!(opaque.poll_next(cx)).map(|next| next.map_err(Into::into)),
            Form::Resumable(reader) => ready!(reader.poll_next(cx)).map(|next| next.map_err(Into::into)),
            Form::Taped(taped) => return taped.poll_frame(cx),
            Form::Foreign(foreign) => return Pin::new(foreign).poll_frame(cx),
        };
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Form::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Form::Settling(whole) => whole.is_sent(),
            Form::Stream(_) | Form::Opaque(_) | Form::Kept(_) | Form::Resumable(_) => false,
            Form::Taped(taped) => taped.is_end_stream(),
            Form::Foreign(foreign) => foreign.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Form::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Form::Settling(whole) => SizeHint::with_exact(whole.left()),
            Form::Stream(_) | Form::Kept(_) | Form::Resumable(_) => SizeHint::default(),
            Form::Opaque(opaque) => opaque.length().map(SizeHint::with_exact).unwrap_or_default(),
            Form::Taped(taped) => taped.size_hint(),
            Form::Foreign(foreign) => foreign.size_hint(),
        }
    }
}

/// An upstream that broke off in the middle of an opaque answer: the client's connection is cut too, so that it can tell.
#[derive(Debug, thiserror::Error)]
#[error("the upstream broke off: {0}")]
pub(crate) struct BrokenOff(pub(crate) Box<str>);
