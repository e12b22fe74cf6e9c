//! Decides what is being asked, from one borrowed scan of the body; never copies or reorders what the client wrote.

mod affinity;
mod keeping;
mod model_path;
pub(super) mod seals;
pub(super) mod speech;

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use hyper::body::Incoming;
use policy::{BackendId, Class, Dialects, Key, Purpose, Refused, RefusedReason, Route, TicketId, Timestamp};
use protocol::{DecodeError, Dialect, Needs, Outline, conversation::request::Request, kept::Past};
use tokio::time::Instant;

use super::{
    accept::Arrival,
    authenticate::Caller,
    keepalive::Commitment,
    models::Question,
    purse,
    recall::{self, Recalled},
    resume::Wish,
};
use crate::{
    forward,
    gateway::Gateway,
    identity::Stamp,
    inbound::{self, Limits, Passing, Upload},
    refusal::{Code, Refusal},
    routes::{self, Operation},
    tape::Tape,
    view::View,
};
pub(super) use keeping::Minting;
use keeping::compacts;
use model_path::{MethodOfModel, ModelPath};
use seals::Seals;

/// What came of decoding: a question answered here, or an ask that needs a backend.
pub(crate) enum Decoded {
    Models(Question),
    Resume(Wish),
    Tokens(Counted),
    Recalled(Recalled),
    Ask(Box<Ask>),
}

/// A prompt whose tokens no backend of its model counts: estimated here.
pub(crate) struct Counted {
    pub(super) stamp: Stamp,
    pub(super) dialect: Dialect,
    pub(super) tokens: u64,
}

/// A decoded, validated request.
pub(crate) struct Ask {
    pub(super) ticket: TicketId,
    pub(super) stamp: Stamp,
    pub(super) at: Instant,
    pub(super) wall: Timestamp,
    pub(super) peer: IpAddr,
    pub(super) view: Arc<View>,
    pub(super) key: Arc<Key>,
    pub(super) class: Class,
    pub(super) operation: Operation,
    pub(super) dialect: Dialect,
    /// The dialects in which it may go to a backend, its own among them.
    pub(super) dialects: Dialects,
    pub(super) purpose: Purpose,
    /// How a stream is framed for the client.
    pub(super) framing: Framing,
    /// What Gemini's path says besides the model.
    pub(super) method_of_model: Option<MethodOfModel>,
    /// What was kept here of the responses that it rests on.
    pub(super) past: Past,
    /// What is known of the thoughts that are sealed in it.
    seals: Seals,
    conversation: OnceLock<Option<Result<Arc<Request>, DecodeError>>>,
    pub(super) method: Method,
    /// The path and query below a backend's base URL.
    pub(super) path: Box<str>,
    /// The client's headers, all of them.
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    /// What became of a payload that passes through.
    pub(super) upload: Upload,
    pub(super) route: Arc<Route>,
    /// The only backend that knows what this ask refers to.
    pub(super) bound: Option<BackendId>,
    /// What stands for the requests that this ask belongs together with.
    pub(super) affinity: Option<u64>,
    pub(super) estimate: Estimate,
    /// Whether the answer shall carry a `lockgate` object.
    pub(super) is_debug: bool,
    /// What has gone out before the answer.
    pub(super) commitment: Commitment,
    /// What captures it, where a rule asks for that.
    pub(super) tape: Option<Arc<Tape>>,
}

/// How the events of a stream reach the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// As server-sent events.
    #[default]
    Events,
    /// As elements of one JSON list: Gemini without `alt=sse`.
    Array,
}

/// The body of an ask.
pub(super) enum Payload {
    Empty,
    /// A JSON body and what its scan found.
    Json {
        body: Bytes,
        outline: Box<Outline>,
    },
    /// Bytes that pass through as they come; gone after the first attempt took them.
    Opaque(Option<Passing>),
}

impl Payload {
    fn upload(&self) -> Upload {
        match self {
            Self::Opaque(Some(passing)) => passing.upload(),
            Self::Empty | Self::Json { .. } | Self::Opaque(None) => Upload::default(),
        }
    }
}

/// Tokens an ask may cost, before anybody has counted them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Estimate {
    pub(super) prompt: u64,
    pub(super) output_max: u64,
}

impl Estimate {
    /// Both together.
    pub(super) fn total(self) -> u64 {
        self.prompt.saturating_add(self.output_max)
    }
}

impl Ask {
    /// Whether the client asked for an event stream.
    pub(super) fn is_stream(&self) -> bool {
        matches!(&self.payload, Payload::Json { outline, .. } if outline.stream)
    }

    /// What is asked for, in the words that all dialects share; read when it is first needed. None where the dialect does
    /// not converse.
    pub(super) fn conversation(&self) -> Option<&Result<Arc<Request>, DecodeError>> {
        let read = || {
            let Payload::Json { body, outline } = &self.payload else { return None };
            let decoded = protocol::decode_request(self.dialect, body)?;
            Some(decoded.and_then(|mut request| {
                // Gemini says it in the path.
                request.stream = outline.stream;
                self.past.recall(&mut request)?;
                if self.view.snapshot.settings.kept.time.is_zero() {
                    // Nobody keeps it, and the answer says so.
                    request.store = Some(false);
                } else if self.dialect == Dialect::OpenAiResponses && request.store == Some(true) {
                    // It is kept here, so that nobody has to be asked for it.
                    request.store = None;
                }
                Ok(Arc::new(request))
            }))
        };
        self.conversation.get_or_init(read).as_ref()
    }

    pub(super) fn needs(&self) -> Needs {
        match &self.payload {
            Payload::Json { outline, .. } => outline.needs,
            Payload::Empty | Payload::Opaque(_) => Needs::default(),
        }
    }

    /// How many answers are asked for beside each other.
    pub(super) fn answers(&self) -> u64 {
        match &self.payload {
            Payload::Json { outline, .. } => outline.answers,
            Payload::Empty | Payload::Opaque(_) => 1,
        }
    }

    pub(super) fn body_bytes(&self) -> u64 {
        match &self.payload {
            Payload::Json { body, .. } => body.len() as u64,
            Payload::Opaque(Some(passing)) => passing.length().unwrap_or_default(),
            Payload::Empty | Payload::Opaque(None) => 0,
        }
    }
}

/// Reads and checks what this operation needs.
pub(super) async fn decode(
    gateway: &Gateway,
    arrival: Arrival,
    body: Incoming,
    caller: &Caller,
) -> Result<Decoded, Refusal> {
    let door = Door { gateway, caller };
    let ask = match arrival.operation {
        Operation::ListModels => return Ok(Decoded::Models(Question::all(arrival))),
        Operation::ShowModel => return Ok(Decoded::Models(Question::one(arrival))),
        Operation::Resume => return Ok(Decoded::Resume(Wish::of(&arrival))),
        Operation::WebSocket | Operation::Hello => return Err(no_websocket()),
        Operation::Generate => door.generate(arrival, body).await?,
        Operation::CountTokens => return door.count(arrival, body).await,
        Operation::Stored => match recall::find(gateway, &arrival, caller) {
            Some(recalled) => return Ok(Decoded::Recalled(recalled)),
            None => door.stored(arrival, body).await?,
        },
        Operation::Relay => door.relay(arrival, body).await?,
    };
    Ok(Decoded::Ask(Box::new(ask)))
}

/// English prose averages four bytes a token in the usual vocabularies; what the upstream reports replaces this.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// What decoding one arrival looks at besides the arrival itself.
struct Door<'a> {
    gateway: &'a Gateway,
    caller: &'a Caller,
}

impl Door<'_> {
    async fn generate(&self, arrival: Arrival, body: Incoming) -> Result<Ask, Refusal> {
        let body = self.read(&arrival, body).await?;
        let mut outline = protocol::outline(arrival.dialect, &body)?;
        let path = ModelPath::of(&arrival);
        outline.stream |= path.as_ref().is_some_and(|path| &*path.method == "streamGenerateContent");
        let route = self.route(&arrival, &self.asked(&arrival, path.as_ref(), &outline)?)?;
        let bound = self.home_of_what_is_meant(&arrival, &outline)?;
        let mut seals = self.seals(&arrival, &outline);
        let estimate = Estimate {
            prompt: outline.prompt_bytes.div_ceil(BYTES_PER_TOKEN),
            output_max: outline.max_output_tokens.unwrap_or_default(),
        };
        let affinity = affinity::of(&outline, &body, &arrival.head.headers);
        let framing = match path.as_ref().is_some_and(ModelPath::wants_array) {
            true => Framing::Array,
            false => Framing::Events,
        };
        let method_of_model = path.as_ref().map(ModelPath::method);
        let is_strict = self.caller.key.strict
            || arrival.head.headers.get("x-lockgate-strict").is_some_and(|value| value == "1");
        let past = match compacts(arrival.tail()) {
            // Its whole conversation is in it, or with who has it.
            true => Past::default(),
            false => self.past(&outline, &body, bound),
        };
        let ask = self.ask(arrival, Payload::Json { body, outline: outline.into() }, route);
        seals.is_strict = is_strict;
        let mut ask = Ask { estimate, bound, affinity, framing, method_of_model, past, seals, ..ask };
        ask.dialects = speech::translatable(&ask)?;
        ask = speech::where_its_past_is(ask)?;
        ask = seals::where_its_thoughts_are_read(ask);
        if is_strict {
            ask = speech::lose_nothing(ask)?;
        }
        Ok(ask)
    }

    /// What was kept here of the responses that a request rests on.
    fn past(&self, outline: &Outline, body: &[u8], bound: Option<BackendId>) -> Past {
        let find = |id: &str| self.gateway.kept.find(id, &self.caller.key.id, Instant::now());
        let earlier = outline.previous_response_id.as_deref().filter(|_| bound.is_none()).and_then(find);
        let refers = !outline.refers_to.is_empty();
        let request = refers.then(|| protocol::decode_request(Dialect::OpenAiResponses, body));
        let referred = match request.flatten() {
            Some(Ok(request)) => {
                protocol::kept::references(&request).iter().filter_map(|id| find(id)).collect()
            }
            // What cannot be read refers to nothing here; who it is for will say what is wrong with it.
            Some(Err(_)) | None => Vec::new(),
        };
        Past { earlier, referred }
    }

    /// Tokens are counted by a backend that can, else estimated here.
    async fn count(&self, arrival: Arrival, body: Incoming) -> Result<Decoded, Refusal> {
        let body = self.read(&arrival, body).await?;
        let outline = protocol::outline(arrival.dialect, &body)?;
        let path = ModelPath::of(&arrival);
        let route = self.route(&arrival, &self.asked(&arrival, path.as_ref(), &outline)?)?;
        if !speech::is_counted(&arrival, &route) {
            let tokens = outline.prompt_bytes.div_ceil(BYTES_PER_TOKEN);
            return Ok(Decoded::Tokens(Counted { stamp: arrival.stamp, dialect: arrival.dialect, tokens }));
        }
        let method_of_model = path.as_ref().map(ModelPath::method);
        let ask = self.ask(arrival, Payload::Json { body, outline: outline.into() }, route);
        // Nobody pays for a count.
        Ok(Decoded::Ask(Box::new(Ask { purpose: Purpose::Count, method_of_model, ..ask })))
    }

    /// The model that is asked for: in the path, in the body, or the key's own.
    fn asked<'a>(
        &'a self,
        arrival: &'a Arrival,
        path: Option<&'a ModelPath>,
        outline: &'a Outline,
    ) -> Result<Cow<'a, str>, Refusal> {
        let in_path =
            path.map(|path| Cow::Borrowed(&*path.model)).or_else(|| model_path::deployment(arrival));
        let in_body = || outline.model.as_ref().map(|field| Cow::Borrowed(field.name.as_str()));
        let of_key = || self.caller.key.default_model.as_deref().map(Cow::Borrowed);
        in_path.or_else(in_body).or_else(of_key).ok_or_else(|| {
            Refusal::new(Code::INVALID_REQUEST, "The field `model` is missing.").about("model")
        })
    }

    /// A stored response lives on the backend that made it; an id that nobody bound is asked of those that keep some.
    async fn stored(&self, arrival: Arrival, body: Incoming) -> Result<Ask, Refusal> {
        let body = self.read(&arrival, body).await?;
        let payload = match body.is_empty() {
            true => Payload::Empty,
            false => Payload::Opaque(Some(Passing::whole(body))),
        };
        let id = routes::response_id(arrival.tail());
        let bound = self.home(&arrival, id)?;
        let route = match bound {
            Some(_) => self.default_route(&arrival),
            None => speech::where_it_may_be(&arrival, id.unwrap_or_default())?,
        };
        Ok(Ask { bound, ..self.ask(arrival, payload, route) })
    }

    async fn relay(&self, arrival: Arrival, body: Incoming) -> Result<Ask, Refusal> {
        if let Some(path) = ModelPath::of(&arrival) {
            let body = self.read(&arrival, body).await?;
            let outline = protocol::outline(Dialect::OpenAiRaw, &body)?;
            let route = self.route(&arrival, &path.model)?;
            let ask = self.ask(arrival, Payload::Json { body, outline: outline.into() }, route);
            return Ok(Ask { method_of_model: Some(path.method()), ..ask });
        }
        let object = routes::object_id(arrival.tail());
        if arrival.head.method != Method::POST || object.is_some() {
            let bound = self.home(&arrival, object)?;
            let route = self.default_route(&arrival);
            let payload = match arrival.head.method {
                Method::POST => {
                    let limits = self.limits(&arrival);
                    let (_model, passing) = inbound::peek_form(body, &arrival.head.headers, limits).await?;
                    Payload::Opaque(Some(passing.taped(arrival.tape.clone())))
                }
                _ => Payload::Empty,
            };
            return Ok(Ask { bound, ..self.ask(arrival, payload, route) });
        }
        if inbound::is_json(&arrival.head.headers) {
            let body = self.read(&arrival, body).await?;
            let outline = protocol::outline(Dialect::OpenAiRaw, &body)?;
            let in_body = outline.model.as_ref().map(|field| field.name.as_str());
            let route =
                self.route_or_default(&arrival, model_path::deployment(&arrival).as_deref().or(in_body))?;
            return Ok(self.ask(arrival, Payload::Json { body, outline: outline.into() }, route));
        }
        let (model, passing) = inbound::peek_form(body, &arrival.head.headers, self.limits(&arrival)).await?;
        let passing = passing.taped(arrival.tape.clone());
        let route = self
            .route_or_default(&arrival, model_path::deployment(&arrival).as_deref().or(model.as_deref()))?;
        Ok(self.ask(arrival, Payload::Opaque(Some(passing)), route))
    }

    /// The backend that has what a request means by an id: the response it continues, or items of one.
    fn home_of_what_is_meant(
        &self,
        arrival: &Arrival,
        outline: &Outline,
    ) -> Result<Option<BackendId>, Refusal> {
        for id in outline.previous_response_id.iter().chain(&outline.refers_to) {
            if let Some(home) = self.home(arrival, Some(id))? {
                return Ok(Some(home));
            }
        }
        Ok(None)
    }

    /// The backend that minted `id`, as far as it is known. One that is gone is not replaced by another: that one
    /// would not know the id.
    fn home(&self, arrival: &Arrival, id: Option<&str>) -> Result<Option<BackendId>, Refusal> {
        let Some(name) = id.and_then(|id| self.gateway.bindings.find(id)) else { return Ok(None) };
        match arrival.view.snapshot.backend_named(&name) {
            Some(backend) => Ok(Some(backend.id)),
            None => Err(Refusal::from(Refused {
                reason: RefusedReason::BoundBackendGone,
                retry_after: std::time::Duration::from_secs(1),
            })),
        }
    }

    fn route(&self, arrival: &Arrival, asked: &str) -> Result<Arc<Route>, Refusal> {
        if let Some(tape) = &arrival.tape {
            tape.asks_for(asked);
        }
        model_path::check(asked)?;
        let route = arrival.view.snapshot.catalog.resolve(asked, &self.caller.key)?;
        policy::may_take(&self.caller.key, &route)?;
        purse::payable(route, &self.caller.key)
    }

    fn default_route(&self, arrival: &Arrival) -> Arc<Route> {
        arrival.view.snapshot.catalog.any_route().clone()
    }

    fn route_or_default(&self, arrival: &Arrival, asked: Option<&str>) -> Result<Arc<Route>, Refusal> {
        match asked {
            Some(asked) => self.route(arrival, asked),
            None => Ok(self.default_route(arrival)),
        }
    }

    async fn read(&self, arrival: &Arrival, body: Incoming) -> Result<Bytes, Refusal> {
        let body = inbound::read_whole(body, &arrival.head.headers, self.limits(arrival)).await?;
        if let Some(tape) = &arrival.tape {
            tape.request(&body);
        }
        Ok(body)
    }

    /// The tightest of the gateway's limit for this kind of body and the key's own.
    fn limits(&self, arrival: &Arrival) -> Limits {
        let settings = &arrival.view.snapshot.settings;
        let general = match arrival.tail().starts_with("/images") {
            true => settings.image_body_bytes_max,
            false => settings.body_bytes_max,
        };
        let bytes_max = self.caller.key.body_bytes_max.map_or(general, |own| own.min(general));
        Limits { bytes_max, within: settings.client_body_timeout }
    }

    fn ask(&self, arrival: Arrival, payload: Payload, route: Arc<Route>) -> Ask {
        if let Some(tape) = &arrival.tape {
            tape.leads_to(&route);
        }
        Ask {
            path: forward::path(arrival.tail(), arrival.head.uri.query()),
            is_debug: arrival.head.headers.get("x-lockgate-debug").is_some_and(|value| value == "1"),
            ticket: arrival.ticket,
            stamp: arrival.stamp,
            at: arrival.at,
            wall: arrival.wall,
            peer: arrival.peer,
            view: arrival.view,
            key: self.caller.key.clone(),
            class: self.caller.class,
            operation: arrival.operation,
            dialect: arrival.dialect,
            dialects: Dialects::only(arrival.dialect),
            purpose: Purpose::Answer,
            framing: Framing::default(),
            method_of_model: None,
            past: Past::default(),
            seals: Seals::default(),
            conversation: OnceLock::new(),
            method: arrival.head.method,
            headers: arrival.head.headers,
            upload: payload.upload(),
            payload,
            route,
            bound: None,
            affinity: None,
            estimate: Estimate::default(),
            commitment: Commitment::default(),
            tape: arrival.tape,
        }
    }
}

fn no_websocket() -> Refusal {
    Refusal::new(
        Code::UPGRADE_REQUIRED,
        "This endpoint is served over plain HTTP: POST /v1/responses. WebSocket is not supported.",
    )
}
