//! Decides what one answer looks like on the wire, byte for byte and pause for pause; never sends it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};

use super::received::Received;
use super::{agent, openai};

/// What happens to one request. Built from a healthy answer (or another one) by changing what goes wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// What is answered.
    pub answering: Answering,
    /// The status of an answer of the healthy kind or of given chunks.
    pub status: u16,
    /// Headers on top of the answer's own; one of the same name replaces it.
    pub headers: Vec<(String, String)>,
    /// How the end of the body is told.
    pub framing: Framing,
    /// How the answer ends.
    pub ending: Ending,
    /// Waits at its gate before each chunk of the body.
    pub paced: bool,
    /// Waits at its gate before each byte of the head.
    pub paced_head: bool,
    /// Waits before each chunk but the first; for runs that are measured, not for tests.
    pub interval_ms: u64,
    /// When a healthy answer shows its usage.
    pub usage: UsageShown,
    /// How a healthy stream ends its lines.
    pub newline: Newline,
    /// Leaves `[DONE]` out of a healthy stream.
    pub no_done: bool,
    /// Puts a line that is no JSON before this event of a healthy stream.
    pub bad_line_at: Option<usize>,
    /// Puts an error event in place of this event of a healthy stream, and nothing after it.
    pub error_event_at: Option<usize>,
    /// What a healthy answer says; its words are its tokens.
    pub text: String,
    /// Its own gate, where it shall not wait at the provider's.
    #[serde(skip)]
    pub gate: Option<Pace>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answering {
    /// What a healthy OpenAI-style provider answers to this request.
    Healthy,
    /// What a model answers that works with the tools it is offered until it has what it needs, in the dialect of the
    /// request's path: two calls, one more, then a text with all they said. It refuses what its service would refuse.
    Agent,
    /// These pieces of a body, each sent on its own.
    Chunks(Vec<Text>),
    /// These bytes, head and all; framing and headers play no part.
    Raw(Text),
}

/// Bytes of a script: a string in JSON, or a list of numbers where they are no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Text(pub Bytes);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Words(String),
    Numbers(Vec<u8>),
}

impl From<Written> for Text {
    fn from(written: Written) -> Self {
        match written {
            Written::Words(text) => Self(text.into()),
            Written::Numbers(bytes) => Self(bytes.into()),
        }
    }
}

impl From<Text> for Written {
    fn from(text: Text) -> Self {
        match String::from_utf8(text.0.to_vec()) {
            Ok(text) => Self::Words(text),
            Err(error) => Self::Numbers(error.into_bytes()),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Text {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// By its length where it is one piece, in chunks where it is more.
    #[default]
    Fitting,
    /// By its length.
    Length,
    /// By a length that is this much off.
    LengthOff(i64),
    /// In chunks.
    Chunked,
    /// By closing the connection.
    UntilClose,
}

/// How the answer ends. Positions count the bytes of the body, without framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// As it should, and the connection stays.
    #[default]
    Whole,
    /// Whole, then the connection is closed, without a word of warning.
    ThenClose,
    /// Closed before anything is said.
    CloseFirst,
    /// Reset before anything is said.
    ResetFirst,
    /// Nothing is ever said.
    HangFirst,
    /// Closed in the middle of the head.
    CloseInHead,
    /// Closed (FIN) after so many bytes.
    CloseAt(u64),
    /// Reset (RST) after so many bytes.
    ResetAt(u64),
    /// Silent for ever after so many bytes; 0 is after the head.
    HangAt(u64),
}

/// When a healthy answer shows its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageShown {
    /// When asked, as OpenAI does.
    #[default]
    WhenAsked,
    /// In each chunk.
    EachChunk,
    /// Never.
    Never,
}

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newline {
    /// LF.
    #[default]
    Lf,
    /// CR LF.
    CrLf,
}

/// One thing done on the wire.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes are written and flushed on their own.
    Write(Bytes),
    /// Waits at the gate.
    Gate,
    /// Waits for a time.
    Pause(Duration),
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
    /// Waits for ever.
    Hang,
}

/// A gate that a test opens chunk by chunk.
#[derive(Debug, Clone)]
pub struct Pace {
    open: Arc<Semaphore>,
    waiting: Arc<watch::Sender<u64>>,
}

impl Pace {
    /// A closed gate.
    pub fn new() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), waiting: Arc::new(watch::Sender::new(0)) }
    }

    /// Lets so many chunks through, now or when they come.
    pub fn step(&self, chunks: usize) {
        self.open.add_permits(chunks);
    }

    /// Waits until so many chunks in all have come to the gate.
    pub async fn reached(&self, chunks: u64) {
        let mut waiting = self.waiting.subscribe();
        waiting.wait_for(|come| *come >= chunks).await.expect("this gate holds the sender");
    }

    pub(super) async fn pass(&self) {
        self.waiting.send_modify(|come| *come += 1);
        self.open.acquire().await.expect("a gate is never taken down").forget();
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::healthy()
    }
}

impl Behaviour {
    /// Answers as a healthy OpenAI-style provider does.
    pub fn healthy() -> Self {
        Self {
            answering: Answering::Healthy,
            status: 200,
            headers: Vec::new(),
            framing: Framing::Fitting,
            ending: Ending::Whole,
            paced: false,
            paced_head: false,
            interval_ms: 0,
            usage: UsageShown::WhenAsked,
            newline: Newline::Lf,
            no_done: false,
            bad_line_at: None,
            error_event_at: None,
            text: "The quick brown fox jumps over the lazy dog.".to_owned(),
            gate: None,
        }
    }

    /// Answers with these pieces of a body.
    pub fn chunks<T: Into<Text>>(content_type: &str, chunks: impl IntoIterator<Item = T>) -> Self {
        let chunks = chunks.into_iter().map(Into::into).collect();
        Self { answering: Answering::Chunks(chunks), ..Self::healthy() }.header("content-type", content_type)
    }

    /// Answers with a recorded event stream, piece by piece.
    pub fn replay<T: Into<Text>>(chunks: impl IntoIterator<Item = T>) -> Self {
        Self::chunks("text/event-stream", chunks)
    }

    /// Answers with JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::chunks("application/json", [body.to_string()]).status(status)
    }

    /// Answers with exactly these bytes, head and all.
    pub fn raw(bytes: impl Into<Text>) -> Self {
        Self { answering: Answering::Raw(bytes.into()), ..Self::healthy() }
    }

    /// Answers with an error as OpenAI words it.
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(status, &openai::error_object(status, message))
    }

    /// Answers 429 and says when to come back.
    pub fn rate_limited(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::error(429, "Rate limit reached for requests")
            .header("retry-after", &seconds.to_string())
            .header("retry-after-ms", &wait.as_millis().to_string())
            .header("x-ratelimit-remaining-requests", "0")
            .header("x-ratelimit-reset-requests", &format!("{}ms", wait.as_millis()))
    }

    /// Answers with a page, as a proxy in front of a provider does.
    pub fn html(status: u16) -> Self {
        let page = "<!DOCTYPE html>\n<html><body><h1>Something went wrong</h1></body></html>\n";
        Self::chunks("text/html", [page]).status(status)
    }

    /// Answers 200 with an error object in place of an answer.
    pub fn error_object() -> Self {
        Self::json(200, &openai::error_object(500, "The server had an error"))
    }

    /// Answers with JSON that breaks off, though its length is right.
    pub fn bad_json() -> Self {
        Self::chunks("application/json", [r#"{"id":"chatcmpl-1","object":"chat.completion","choices":[{"#])
    }

    /// Answers 200 with nothing.
    pub fn empty() -> Self {
        Self::chunks("application/json", Vec::<Text>::new())
    }

    /// With this status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With its end told this way.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Ending this way.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Working with tools, as [`Answering::Agent`].
    pub fn agent() -> Self {
        Self { answering: Answering::Agent, ..Self::healthy() }
    }

    /// Saying this.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    /// Waiting before each chunk at the provider's gate.
    #[must_use]
    pub fn paced(mut self) -> Self {
        self.paced = true;
        self
    }

    /// Waiting before each chunk at a gate of its own.
    #[must_use]
    pub fn paced_by(mut self, gate: &Pace) -> Self {
        self.paced = true;
        self.gate = Some(gate.clone());
        self
    }

    /// Waiting before each byte of the head at the provider's gate.
    #[must_use]
    pub fn slow_head(mut self) -> Self {
        self.paced_head = true;
        self
    }

    /// What is done on the wire to answer `request`, and the usage that the answer shows.
    pub(super) fn play(&self, request: &Received) -> (Vec<Step>, Option<(u64, u64)>) {
        match self.ending {
            Ending::CloseFirst => return (vec![Step::Close], None),
            Ending::ResetFirst => return (vec![Step::Reset], None),
            Ending::HangFirst => return (vec![Step::Hang], None),
            _ => {}
        }
        let (content_type, chunks, usage) = match &self.answering {
            Answering::Raw(bytes) => {
                let mut steps = vec![Step::Write(bytes.0.clone())];
                steps.extend(self.last_step());
                return (steps, None);
            }
            Answering::Chunks(chunks) => {
                ("application/json", chunks.iter().map(|text| text.0.clone()).collect(), None)
            }
            Answering::Healthy => openai::answer(self, request),
            Answering::Agent => {
                let (status, answer) = agent::answer(request);
                let behaviour = Self { status, ..self.clone() };
                return (behaviour.stage(answer.0, &answer.1), answer.2);
            }
        };
        (self.stage(content_type, &chunks), usage)
    }

    fn stage(&self, content_type: &str, chunks: &[Bytes]) -> Vec<Step> {
        let chunked = match self.framing {
            Framing::Chunked => true,
            Framing::Fitting => chunks.len() > 1,
            Framing::Length | Framing::LengthOff(_) | Framing::UntilClose => false,
        };
        let head = self.head(content_type, chunks, chunked);
        if self.ending == Ending::CloseInHead {
            return vec![Step::Write(head.slice(..head.len() / 2)), Step::Close];
        }
        let mut steps = Vec::new();
        if self.paced_head {
            steps.extend((0..head.len()).flat_map(|at| [Step::Gate, Step::Write(head.slice(at..=at))]));
        } else {
            steps.push(Step::Write(head));
        }
        let (cut_at, cut) = self.cut();
        let mut sent = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            if self.paced {
                steps.push(Step::Gate);
            } else if index > 0 && self.interval_ms > 0 {
                steps.push(Step::Pause(Duration::from_millis(self.interval_ms)));
            }
            let room = usize::try_from(cut_at.saturating_sub(sent)).unwrap_or(usize::MAX);
            sent += chunk.len() as u64;
            steps.push(Step::Write(framed(chunk, room, chunked)));
            if room < chunk.len() {
                break;
            }
        }
        match cut {
            Some(cut) => steps.push(cut),
            None => {
                if chunked {
                    steps.push(Step::Write(Bytes::from_static(b"0\r\n\r\n")));
                }
                steps.extend(self.last_step());
            }
        }
        steps
    }

    fn head(&self, content_type: &str, chunks: &[Bytes], chunked: bool) -> Bytes {
        let length: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let mut headers = vec![("content-type".to_owned(), content_type.to_owned())];
        match self.framing {
            Framing::UntilClose => headers.push(("connection".to_owned(), "close".to_owned())),
            Framing::LengthOff(by) => {
                headers.push(("content-length".to_owned(), length.saturating_add_signed(by).to_string()));
            }
            Framing::Fitting | Framing::Length | Framing::Chunked if chunked => {
                headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
            }
            Framing::Fitting | Framing::Length | Framing::Chunked => {
                headers.push(("content-length".to_owned(), length.to_string()));
            }
        }
        headers.push(("x-request-id".to_owned(), "req_scripted".to_owned()));
        headers.retain(|(name, _)| !self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in headers.iter().chain(&self.headers) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Bytes::from(head)
    }

    fn cut(&self) -> (u64, Option<Step>) {
        match self.ending {
            Ending::CloseAt(at) => (at, Some(Step::Close)),
            Ending::ResetAt(at) => (at, Some(Step::Reset)),
            Ending::HangAt(at) => (at, Some(Step::Hang)),
            Ending::Whole
            | Ending::ThenClose
            | Ending::CloseFirst
            | Ending::ResetFirst
            | Ending::HangFirst
            | Ending::CloseInHead => (u64::MAX, None),
        }
    }

    fn last_step(&self) -> Option<Step> {
        // A client that was promised more than there is would wait for ever.
        let short = matches!(self.framing, Framing::LengthOff(by) if by > 0);
        let close = short || self.framing == Framing::UntilClose || self.ending == Ending::ThenClose;
        close.then_some(Step::Close)
    }
}

/// A piece of the body as it goes over the wire, no more than `room` bytes of it.
fn framed(chunk: &Bytes, room: usize, chunked: bool) -> Bytes {
    let part = chunk.slice(..room.min(chunk.len()));
    if !chunked {
        return part;
    }
    let mut wire = format!("{:x}\r\n", chunk.len()).into_bytes();
    wire.extend_from_slice(&part);
    if part.len() == chunk.len() {
        wire.extend_from_slice(b"\r\n");
    }
    Bytes::from(wire)
}
