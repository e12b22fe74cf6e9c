//! Decides how the body of a call is handed to the wire; never joins, copies or reads it.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use protocol::Segments;

/// A body that the caller of the gateway is still sending.
pub type CallerBody = http_body_util::combinators::BoxBody<Bytes, BoxError>;

/// Whatever a caller's body fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a call carries to the endpoint.
pub enum CallBody {
    /// Nothing.
    Empty,
    /// Bytes that are all there, as a list of slices that go out without being joined.
    Whole(Segments),
    /// Bytes that arrive while they are sent, and how many there will be where that is known.
    Stream(CallerBody, Option<u64>),
}

impl CallBody {
    /// The same body once more, unless it can be sent only once.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Whole(segments) => Some(Self::Whole(segments.clone())),
            Self::Stream(..) => None,
        }
    }
}

/// What is known about a body that is still on its way out.
#[derive(Default)]
pub(super) struct Upload {
    moved: AtomicBool,
    waits: AtomicBool,
    broke: AtomicBool,
}

impl Upload {
    /// Whether an endpoint that says nothing is not to blame: bytes went out since the last time this was asked, or
    /// it is the caller who keeps everybody waiting.
    pub(super) fn excuses_silence(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed) || self.waits.load(Ordering::Relaxed)
    }

    /// Whether the caller's side of the body failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broke.load(Ordering::Relaxed)
    }
}

/// The body as hyper sends it.
pub(super) enum OutBody {
    /// Slices not sent yet begin at `next`; together they are `left` bytes long.
    /// On the heap: hyper keeps places for 32 requests in each connection, whatever their size.
    Whole { segments: Box<Segments>, next: usize, left: u64 },
    /// A caller's body passing through.
    Stream { body: CallerBody, length: Option<u64>, upload: Arc<Upload> },
}

impl OutBody {
    pub(super) fn new(body: CallBody) -> (Self, Option<Arc<Upload>>) {
        match body {
            CallBody::Empty => (Self::whole(Segments::new()), None),
            CallBody::Whole(segments) => (Self::whole(segments), None),
            CallBody::Stream(body, length) => {
                let upload = Arc::new(Upload::default());
                (Self::Stream { body, length, upload: Arc::clone(&upload) }, Some(upload))
            }
        }
    }

    fn whole(segments: Segments) -> Self {
        let left = segments.iter().map(|segment| segment.len() as u64).sum();
        Self::Whole { segments: Box::new(segments), next: 0, left }
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole { segments, next, left } => {
                for segment in segments.iter_mut().skip(*next) {
                    *next += 1;
                    if !segment.is_empty() {
                        *left = left.saturating_sub(segment.len() as u64);
                        return Poll::Ready(Some(Ok(Frame::data(mem::take(segment)))));
                    }
                }
                Poll::Ready(None)
            }
            Self::Stream { body, upload, .. } => {
                let frame = Pin::new(body).poll_frame(context);
                upload.waits.store(frame.is_pending(), Ordering::Relaxed);
                let frame = ready!(frame);
                match &frame {
                    Some(Ok(_)) => upload.moved.store(true, Ordering::Relaxed),
                    Some(Err(_)) => upload.broke.store(true, Ordering::Relaxed),
                    None => {}
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { left, .. } => *left == 0,
            Self::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { left, .. } => SizeHint::with_exact(*left),
            Self::Stream { body, length, .. } => match length {
                Some(length) => SizeHint::with_exact(*length),
                None => body.size_hint(),
            },
        }
    }
}
