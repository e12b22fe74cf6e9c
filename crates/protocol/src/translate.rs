//! Takes requests and answers from one dialect to another through the conversation; never knows a pair of dialects.

mod stream;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::conversation::answer::{Answer, AnswerPlan};
use crate::conversation::event::Event;
use crate::conversation::loss::{Aspect, Field, Loss, Place};
use crate::conversation::part::{Content, Image};
use crate::conversation::request::Request;
use crate::conversation::untold::of_part;
use crate::dialect::Dialect;
use crate::dialect::ask::DecodeError;
use crate::dialect::error::WireError;
use crate::dialect::grammar::grammar;
use crate::failure::{Failure, FailureKind};
use crate::json::Malformed;
use crate::relay::stream::StreamEnd;
pub use stream::StreamTranslator;

/// What a dialect must know to take part: its half as upstream, and that as client, where there are clients of it.
pub(crate) struct Halves {
    /// Nothing where it is spoken upstream only.
    pub(crate) client: Option<ClientHalf>,
    /// What is asked for, in this dialect.
    pub(crate) encode_request: fn(&Request, &Target<'_>) -> Encoded,
    /// What was answered. An error in disguise is a failure.
    pub(crate) decode_answer: fn(&str) -> Result<Answer, Failure>,
    /// A reader at the start of a stream.
    pub(crate) reader: fn() -> Box<dyn EventReader>,
}

/// What a dialect must know to be a client's.
pub(crate) struct ClientHalf {
    /// What was asked for. What the conversation has no word for is in its `losses`.
    pub(crate) decode_request: fn(&str) -> Result<Request, DecodeError>,
    /// Where it writes a wish.
    pub(crate) field_path: fn(Field) -> &'static str,
    /// Where in a part it writes an aspect of it; empty where that has no field of its own.
    pub(crate) aspect_path: fn(Aspect) -> &'static str,
    /// What it can say that is no text, thought or call, if that is not another dialect's own.
    pub(crate) media: Media,
    /// What was answered, in this dialect.
    pub(crate) encode_answer: fn(&Answer, &AnswerPlan) -> Bytes,
    /// A writer at the start of a stream.
    pub(crate) writer: fn(AnswerPlan) -> Box<dyn EventWriter>,
}

/// What can be told of pictures, sound and documents in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// All of them.
    All,
    /// Pictures.
    Pictures,
    /// Pictures whose bytes are in the answer.
    PicturesHere,
    /// There is no word for any.
    Nothing,
}

impl Media {
    fn tells(self, image: &Image) -> bool {
        match self {
            Media::All | Media::Pictures => true,
            Media::PicturesHere => image.is_here(),
            Media::Nothing => false,
        }
    }
}

/// The upstream half of a stream: framed events in, steps of the answer out.
pub(crate) trait EventReader: Send {
    /// Reads one event. An error means that this event is malformed and was skipped; the stream goes on.
    fn read(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Event>) -> Result<(), Malformed>;

    /// The upstream has ended its body: what is still missing of a whole answer (closing parts, `Finish`, `End`), or
    /// that it was cut.
    fn end(&mut self, out: &mut Vec<Event>) -> StreamEnd;
}

/// The client half of a stream: steps of the answer in, whole frames out.
pub(crate) trait EventWriter: Send {
    /// Writes one step. It may write nothing, or something that belongs to earlier steps.
    fn write(&mut self, event: &Event, out: &mut Vec<u8>);

    /// Ends the stream honestly, wherever it broke off.
    fn fail(&mut self, error: &WireError<'_>, out: &mut Vec<u8>);

    /// The whole answer as an object of the dialect, once it has ended well; none in dialects that do not tell it.
    fn response(&self) -> Option<&Bytes> {
        None
    }
}

/// To whom a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The backend's own name for the model.
    pub model: &'a str,
    /// The longest answer, for dialects that must be told one and a client that did not say.
    pub max_output_tokens: u64,
    /// What this server understands beyond, or short of, its dialect.
    pub manner: Manner,
}

/// What servers of one dialect differ in; the default is what the dialect's maker accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent habits of servers, as data")]
pub struct Manner {
    /// `openai_chat`: the limit of an answer is called `max_tokens`, not `max_completion_tokens`.
    pub takes_max_tokens: bool,
    /// `openai_chat`: there is no role `developer`; what it says is said by `system`.
    pub lacks_developer: bool,
    /// `openai_chat`: parts may be marked with `cache_control`, as at OpenRouter.
    pub takes_cache_control: bool,
    /// `openai_chat`: `stream_options` is refused; usage comes unasked.
    pub refuses_stream_options: bool,
    /// A null is not as good as nothing: top-level fields that are null are left out of what is relayed, too.
    pub refuses_nulls: bool,
    /// `openai_responses`: no answer is kept; to want it kept, or to continue one, is refused or means nothing.
    pub keeps_no_responses: bool,
}

impl Manner {
    /// Whether it is that of the dialect's maker, whatever is kept there.
    pub(crate) fn is_original(self) -> bool {
        Manner { keeps_no_responses: false, ..self } == Self::ORIGINAL
    }

    /// That of the dialect's maker.
    pub const ORIGINAL: Self = Manner {
        takes_max_tokens: false,
        lacks_developer: false,
        takes_cache_control: false,
        refuses_stream_options: false,
        refuses_nulls: false,
        keeps_no_responses: false,
    };
}

/// A request as it goes to the upstream.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The JSON body.
    pub body: Bytes,
    /// What this dialect cannot say, besides what the client's already lost.
    pub losses: Vec<Loss>,
}

/// Whether requests of this dialect can be taken to others, and others' to it.
pub fn converses(dialect: Dialect) -> bool {
    client(dialect).is_some()
}

/// Whether others' requests can be taken to this dialect.
pub fn can_be_told(dialect: Dialect) -> bool {
    halves(dialect).is_some()
}

/// What is asked for. `None` where the dialect does not converse.
pub fn decode_request(dialect: Dialect, body: &[u8]) -> Option<Result<Request, DecodeError>> {
    let client = client(dialect)?;
    let text = std::str::from_utf8(body)
        .map_err(|error| DecodeError::InvalidJson { problem: "invalid UTF-8", at: error.valid_up_to() });
    Some(text.and_then(client.decode_request))
}

/// The request as `dialect` writes it. `None` where the dialect does not converse.
pub fn encode_request(dialect: Dialect, request: &Request, target: &Target<'_>) -> Option<Encoded> {
    let mut encoded = (halves(dialect)?.encode_request)(request, target);
    let foreign = request.own_fields.iter().filter(|field| field.value.dialect != dialect);
    encoded.losses.extend(foreign.map(|field| Loss::At(Place::new(field.name.as_str()))));
    Some(encoded)
}

/// The paths of what a request has lost, and of what was `added` when it was written for a backend, as its client of
/// `dialect` wrote them, each once, in order.
pub fn loss_paths(dialect: Dialect, request: &Request, added: &[Loss]) -> Vec<String> {
    let Some(client) = client(dialect) else { return Vec::new() };
    let path = |loss: &Loss| match (request.is_snake_case, loss.path(client.field_path, client.aspect_path)) {
        (true, path) => in_snake_case(&path),
        (false, path) => path,
    };
    let mut paths: Vec<String> = request.losses.iter().chain(added).map(path).collect();
    paths.retain(|path| !path.is_empty());
    paths.sort();
    paths.dedup();
    paths
}

/// A path whose names are written in camelCase, in the other spelling.
fn in_snake_case(path: &str) -> String {
    let mut snake = String::with_capacity(path.len() + 8);
    for letter in path.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Reads a whole answer of `dialect`; a failure here may still move to another backend.
pub fn decode_answer(dialect: Dialect, body: &[u8]) -> Result<Answer, Failure> {
    let halves = halves(dialect).ok_or_else(|| no_conversation(dialect))?;
    let text = std::str::from_utf8(body)
        .map_err(|_| Failure::new(FailureKind::Malformed, "the answer is not UTF-8"))?;
    (halves.decode_answer)(text)
}

/// The answer as `dialect` writes it. `None` where the dialect does not converse.
pub fn encode_answer(dialect: Dialect, answer: &Answer, plan: &AnswerPlan) -> Option<Bytes> {
    Some((client(dialect)?.encode_answer)(answer, plan))
}

/// What of an answer `dialect` cannot tell its client, by name, each once.
pub fn untold(dialect: Dialect, answer: &Answer) -> Vec<String> {
    let Some(client) = client(dialect) else { return Vec::new() };
    let is_told = |content: &Content| match content {
        Content::Native(native) => native.dialect == dialect,
        Content::Image(image) => client.media.tells(image),
        Content::Document(_) | Content::Audio(_) => client.media == Media::All,
        Content::ToolResult(_) => false,
        Content::Text(_) | Content::Refusal(_) | Content::Thinking(_) | Content::ToolCall(_) => true,
    };
    let lost = answer.parts.iter().map(|part| &part.content).filter(|content| !is_told(content));
    let mut names: Vec<String> = Vec::new();
    for name in lost.filter_map(of_part) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn no_conversation(dialect: Dialect) -> Failure {
    Failure::new(FailureKind::Malformed, format!("answers of {dialect} cannot be translated"))
}

fn client(dialect: Dialect) -> Option<&'static ClientHalf> {
    halves(dialect)?.client.as_ref()
}

fn halves(dialect: Dialect) -> Option<&'static Halves> {
    grammar(dialect).halves
}
