//! Decides when a silent answer says that it is alive, and how a request goes on behind a head that has gone out for it;
//! never what the answer is.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use protocol::Dialect;
use tokio::time::{Instant, Sleep};

use super::{
    Refused,
    authenticate::Caller,
    call::DROPPED,
    decode::{Ask, Framing},
    generate, respond,
};
use crate::{body::Body, gateway::Gateway, identity::Stamp, routes::Operation};

/// White space may stand before JSON; a line end makes proxies pass it on.
const BLANK_LINE: Bytes = Bytes::from_static(b"\n");

/// How a kept answer will look, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An event stream.
    Stream,
    /// JSON.
    Plain,
}

/// Beats when an interval went by in which nothing was sent.
pub(crate) struct Heart {
    interval: Duration,
    beat: Bytes,
    form: Form,
    /// When something was last sent.
    spoke: Instant,
    /// Made at the first wait, and then moved on only when it rings: what is sent meanwhile costs no timer.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Heart {
    /// The heart of the answer to this ask, where the settings give it one. A relayed answer has none: its bytes are
    /// not ours to add to.
    pub(super) fn of(ask: &Ask) -> Option<Self> {
        if ask.operation != Operation::Generate {
            return None;
        }
        let rules = &ask.view.snapshot.settings.keepalive;
        let (interval, beat, form) = if ask.is_stream() {
            match ask.framing {
                Framing::Events => (rules.stream?, protocol::keepalive(ask.dialect), Form::Stream),
                Framing::Array => (rules.stream?, BLANK_LINE, Form::Plain),
            }
        } else {
            let path = ask.path.split('?').next().unwrap_or_default();
            (rules.before_plain(path)?, BLANK_LINE, Form::Plain)
        };
        Some(Self { interval, beat, form, spoke: Instant::now(), timer: None })
    }

    /// Something else was sent.
    pub(crate) fn spoke(&mut self, at: Instant) {
        self.spoke = at;
    }

    /// What to send as soon as the silence has lasted for an interval; then the next silence begins.
    pub(crate) fn poll_beat(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            let due = self.spoke + self.interval;
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= due {
                self.spoke = now;
                timer.as_mut().reset(now + self.interval);
                return Poll::Ready(self.beat.clone());
            }
            timer.as_mut().reset(due);
        }
    }
}

/// Bytes that went out before the answer was known: with the first of them the status is told, and stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Commitment(Option<Arc<AtomicU64>>);

impl Commitment {
    fn possible() -> Self {
        Self(Some(Arc::default()))
    }

    fn add(&self, sent: &Bytes) {
        if let Some(bytes) = &self.0 {
            // One task sends and settles; only a settler's reading is of another thread, and that comes by a channel.
            bytes.fetch_add(sent.len() as u64, Ordering::Relaxed);
        }
    }

    /// How many bytes those are.
    pub(super) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |bytes| bytes.load(Ordering::Relaxed))
    }

    /// Whether the status was told before the outcome was known.
    pub(super) fn is_made(&self) -> bool {
        self.bytes() > 0
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Refused>> + Send>>;

/// Answers the ask, and after an interval of silence goes on behind a head that tells of success.
pub(super) async fn lead(
    gateway: &Arc<Gateway>,
    caller: Caller,
    mut ask: Ask,
    mut heart: Heart,
) -> Result<Response<Body>, Refused> {
    let commitment = Commitment::possible();
    ask.commitment = commitment.clone();
    let (dialect, stamp) = (ask.dialect, ask.stamp.clone());
    let mut answering: Answering = Box::pin(generate(gateway.clone(), caller, ask));
    let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending => heart.poll_beat(cx).map(|_first_beat| None),
    });
    if let Some(answered) = answered.await {
        return answered.map(|response| response.map(|body| body.kept_by(heart)));
    }
    let form = heart.form;
    let first = Some(heart.beat.clone());
    commitment.add(&heart.beat);
    let body = KeptBody { answering, heart: Some(heart), first, answer: None, commitment, dialect, stamp };
    Ok(head(form, body))
}

/// The head as far as it is known: no backend has answered yet.
fn head(form: Form, body: KeptBody) -> Response<Body> {
    let mut headers = http::HeaderMap::new();
    body.stamp.write_id(&mut headers);
    respond::unbuffered(&mut headers);
    let content_type = match form {
        Form::Stream => HeaderValue::from_static("text/event-stream"),
        Form::Plain => HeaderValue::from_static("application/json"),
    };
    headers.insert(header::CONTENT_TYPE, content_type);
    let mut response = Response::new(Body::kept(body));
    *response.headers_mut() = headers;
    response
}

/// An answer whose head has gone out while its request is still on its way. Dropped, it takes the request with it.
pub(crate) struct KeptBody {
    answering: Answering,
    /// Gone when the answer has come.
    heart: Option<Heart>,
    first: Option<Bytes>,
    /// The answer, where something had to be said before it.
    answer: Option<Body>,
    commitment: Commitment,
    dialect: Dialect,
    stamp: Stamp,
}

/// What comes out of a kept answer.
pub(crate) enum Kept {
    /// A sign of life.
    Beat(Bytes),
    /// The answer itself, which goes on in its place.
    Answer(Body),
}

impl KeptBody {
    /// The next sign of life, or the answer. Not to be polled again after that.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Kept> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Kept::Beat(first));
        }
        if let Some(answer) = self.answer.take() {
            return Poll::Ready(Kept::Answer(answer));
        }
        let Some(heart) = &mut self.heart else { return Poll::Pending };
        if let Poll::Ready(answered) = self.answering.as_mut().poll(cx) {
            return Poll::Ready(self.answered(answered));
        }
        let beat = ready!(heart.poll_beat(cx));
        self.commitment.add(&beat);
        Poll::Ready(Kept::Beat(beat))
    }

    /// What is said first of an answer that has come.
    fn answered(&mut self, answered: Result<Response<Body>, Refused>) -> Kept {
        let Some(heart) = self.heart.take() else { return Kept::Answer(Body::whole("")) };
        let response = match answered {
            Ok(response) => response,
            Err(refused) => return Kept::Answer(self.told(refused, heart.form)),
        };
        let late = self.late(&response, heart.form);
        let body = response.into_body().kept_by(heart);
        match late {
            None => Kept::Answer(body),
            Some(late) => {
                self.commitment.add(&late);
                self.answer = Some(body);
                Kept::Beat(late)
            }
        }
    }

    /// What the head would have told of the request's losses.
    fn late(&self, response: &Response<Body>, form: Form) -> Option<Bytes> {
        let dropped = response.headers().get(&DROPPED)?.to_str().ok()?;
        (form == Form::Stream).then(|| protocol::aside(self.dialect, &format!("{DROPPED}: {dropped}")))?
    }

    /// A refusal that can no longer have a status of its own.
    fn told(&self, refused: Refused, form: Form) -> Body {
        let Refused { refusal, told_as } = refused;
        let stamp = told_as.as_ref().unwrap_or(&self.stamp);
        Body::whole(match form {
            Form::Stream => refusal.into_event(self.dialect, stamp),
            Form::Plain => refusal.into_json(self.dialect, stamp),
        })
    }
}
