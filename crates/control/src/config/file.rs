//! What may be written in a configuration, exactly as it is typed: nothing is defaulted here and nothing refers to anything else yet.

mod callers;
mod money;
mod pace;
mod process;
mod records;
mod spoken;
mod traffic;

use super::bind::{Bind, Binder, List, Table, choice, shape};
use super::leaf::{
    Address, HeaderName, HealthPath, ModelName, Name, OneOrMany, PageOrigin, SecretText, Text,
};
use super::quantity::{Count, Interval, Size, Span};
use super::tree::{Node, Value};

pub use callers::{Class, EndpointName, Key, Metadata, Team};
pub use money::{Alerts, Budget, ModelPrice, Period, Price, Prices};
pub use pace::{Adaptive, AdaptiveMode, Breaker, Cooldown, Growth, RateWindow, Retreat, RetryAfter};
pub use process::{
    Process, ProcessAccount, ProcessCodec, ProcessLogin, ProcessProfile, ProcessRestart, ProcessStart,
};
pub use records::{Backups, Records};
pub use spoken::Spoken;
pub use traffic::{Affinity, Hedging, ModelRules, Pool, Probe, QueuePolicy, Routing, Spill, Strategy};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A wait that a request may be made to bear.
pub type Wait = Span<1, DAY>;
/// A wait that may be switched off by 0.
pub type WaitOrNone = Span<0, DAY>;

shape! {
    /// Lockgate's configuration.
    pub struct File {
        /// Where clients connect. Default: 127.0.0.1:9190.
        pub listen: Option<Address>,
        /// Where Prometheus connects. Default: 127.0.0.1:9191.
        pub metrics_listen: Option<Address>,
        /// Where everything that must outlive the process is kept. Default: ./data.
        pub data_dir: Option<Text>,
        /// Where copies of the database go. Default: `backups` in the data folder.
        pub backup_dir: Option<Text>,
        /// Who may operate this gateway.
        pub admin: Option<Admin>,
        /// What a scraper must show; without it the metrics page is open on its own port.
        pub metrics_token: Option<SecretText>,
        /// How much is written to the log, and how.
        pub log: Option<Log>,
        /// How long streams may go on after SIGTERM. Default: 600s.
        pub drain_timeout: Option<Span<0, DAY>>,
        /// What the gateway takes on at once.
        pub limits: Option<Limits>,
        /// How long clients may take.
        pub client_timeouts: Option<ClientTimeouts>,
        /// How failed attempts are repeated.
        pub retry: Option<Retry>,
        /// How long a backend rests after saying 429.
        pub cooldown: Option<Cooldown>,
        /// When a backend that keeps failing is left alone.
        pub breaker: Option<Breaker>,
        /// How rates follow what providers say and refuse.
        pub adaptive: Option<Adaptive>,
        /// How long backends may take, where a backend does not say otherwise.
        pub deadlines: Option<Deadlines>,
        /// What keeps idle proxies from cutting answers that think long.
        pub keepalive: Option<Keepalive>,
        /// What becomes of streams whose clients lose their connections.
        pub streams: Option<Streams>,
        /// How responses are kept for backends that keep none.
        pub responses: Option<Responses>,
        /// What is kept of requests that somebody asked to capture; which those are, the API is told.
        pub captures: Option<Captures>,
        /// Which pages in browsers may call the data plane.
        pub cors: Option<Cors>,
        /// How receipts are kept.
        pub ledger: Option<Ledger>,
        /// How long single requests are kept.
        pub records: Option<Records>,
        /// When the database is copied, and how long copies are kept.
        pub backups: Option<Backups>,
        /// Gateway keys without any further setting.
        pub api_keys: Option<Vec<SecretText>>,
        /// Gateway keys.
        pub keys: Option<List<Key>>,
        /// Keys that share ceilings.
        pub teams: Option<List<Team>>,
        /// What can serve.
        pub backends: Option<List<Backend>>,
        /// Other names for models; a list is tried in order.
        pub aliases: Option<Table<OneOrMany<ModelName>>>,
        /// Tiers of backends.
        pub pools: Option<Table<Pool>>,
        /// What holds for single models on all backends.
        pub models: Option<Table<ModelRules>>,
        /// How a backend is found.
        pub routing: Option<Routing>,
        /// How requests that belong together are kept where their provider's cache is warm.
        pub affinity: Option<Affinity>,
        /// When a second attempt races a slow first one.
        pub hedging: Option<Hedging>,
        /// When backends that nobody calls, or that are in trouble, are asked how they are.
        pub probe: Option<Probe>,
        /// What may be spent.
        pub budgets: Option<List<Budget>>,
        /// A file with prices that stand above the built-in ones.
        pub prices_file: Option<Text>,
        /// Who is told when a share of a budget is spent.
        pub alerts: Option<Alerts>,
    }
}

shape! {
    /// Who may operate this gateway.
    pub struct Admin {
        /// The admin token. Left out: one is made at the first start and printed once.
        pub token: Option<SecretText>,
    }
}

choice! {
    /// The least important line that is written.
    pub enum LogLevel {
        /// Only failures.
        Error = "error",
        /// And what may become one.
        Warn = "warn",
        /// And one line a request.
        Info = "info",
        /// And decisions.
        Debug = "debug",
        /// And everything else.
        Trace = "trace",
    }
}

choice! {
    /// How log lines look.
    pub enum LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// For people.
        Human = "human",
    }
}

shape! {
    /// How much is written to the log, and how.
    pub struct Log {
        /// Default: info.
        pub level: Option<LogLevel>,
        /// Default: human on a terminal, JSON elsewhere.
        pub format: Option<LogFormat>,
    }
}

shape! {
    /// What the gateway takes on at once.
    pub struct Limits {
        /// Requests in flight, queued ones not counted. Default: 2000.
        pub max_in_flight: Option<Count<1, 1_000_000>>,
        /// Requests that may wait. Default: 500.
        pub queue_max: Option<Count<0, 1_000_000>>,
        /// Bytes of bodies that may wait. Default: 256MiB.
        pub queue_bytes_max: Option<Size<MIB, { 1024 * GIB }>>,
        /// How long a request may wait. Default: 30s.
        pub queue_timeout: Option<Span<0, HOUR>>,
        /// How long a request of the class `low` may wait. Default: 2s.
        pub low_timeout: Option<Span<0, HOUR>>,
        /// After how long a waiter is lifted by one class. Default: 30s.
        pub ageing: Option<Wait>,
        /// What happens to a request that finds the queue full. Default: reject.
        pub queue_policy: Option<QueuePolicy>,
        /// How backends' limits by the minute are kept to. Default: minute.
        pub rate_window: Option<RateWindow>,
        /// The longest request body. Default: 64MiB.
        pub body_max: Option<Size<1024, { 4 * GIB }>>,
        /// The longest request body that carries images or files. Default: 256MiB.
        pub image_body_max: Option<Size<1024, { 16 * GIB }>>,
        /// Connections of clients. Default: 10000.
        pub connections_max: Option<Count<1, 1_000_000>>,
    }
}

shape! {
    /// How long clients may take.
    pub struct ClientTimeouts {
        /// To the first byte of a connection. Default: 10s.
        pub first_byte: Option<Wait>,
        /// To the end of a request's headers. Default: 10s.
        pub headers: Option<Wait>,
        /// To the end of a request's body. Default: 60s.
        pub body: Option<Wait>,
        /// Between two requests on one connection. Default: 75s.
        pub idle: Option<Wait>,
    }
}

shape! {
    /// How failed attempts are repeated.
    pub struct Retry {
        /// Attempts per request, the first included. Default: 5.
        pub attempts_max: Option<Count<1, 20>>,
        /// How many 429s of one request use up neither its attempts nor the budget. Default: 100.
        pub limited_max: Option<Count<0, 200>>,
        /// How much repeats may add to recent requests, in percent. Default: 20.
        pub budget_percent: Option<Count<0, 100>>,
    }
}

shape! {
    /// How long the parts of one call may take.
    pub struct Deadlines {
        /// To a connection ready for use. Default: 5s.
        pub connect: Option<Wait>,
        /// To the first event of a stream. Default: 120s.
        pub first_event: Option<Wait>,
        /// To an answer that is no stream. Default: 240s, or `first_event` where that is longer.
        pub answer: Option<Wait>,
        /// Between two events. Default: 120s.
        pub idle: Option<Wait>,
        /// The whole call. Default: 600s.
        pub total: Option<Wait>,
    }
}

shape! {
    /// What keeps idle proxies from cutting answers that think long.
    pub struct Keepalive {
        /// Between comments in a silent stream; 0 is off. Default: 15s.
        pub stream: Option<Interval<SECOND, { 5 * MINUTE }>>,
        /// Between blank lines before a plain answer; 0 is off. Default: 0s.
        pub nonstream: Option<Interval<{ 5 * SECOND }, MINUTE>>,
        /// Plain answers of single endpoints.
        pub endpoints: Option<Table<Interval<{ 5 * SECOND }, MINUTE>>>,
    }
}

shape! {
    /// What becomes of streams whose clients lose their connections.
    pub struct Streams {
        /// Whether they can be continued on another connection. Default: false.
        pub resumable: Option<bool>,
        /// How much is kept of each for that. Default: 1MiB.
        pub buffer: Option<Size<{ 64 << 10 }, { 64 << 20 }>>,
        /// How long a stream goes on, and is kept, while nobody reads it. Default: 30s.
        pub grace: Option<Span<SECOND, { 10 * MINUTE }>>,
        /// How many streams are kept at once; further ones cannot be continued. Default: 256.
        pub resumable_max: Option<Count<1, 65_536>>,
    }
}

shape! {
    /// Which pages in browsers may call the data plane, and with what.
    pub struct Cors {
        /// Where they come from, such as `https://app.example.com`; `*` is anywhere. Default: none may.
        pub origins: Option<List<PageOrigin>>,
        /// Headers that they may send. Default: those that they ask for.
        pub headers: Option<List<HeaderName>>,
        /// Methods that they may use. Default: those that are served.
        pub methods: Option<List<Name>>,
    }
}

shape! {
    /// How responses are kept for backends that keep none.
    pub struct Responses {
        /// How long one can be continued or read; 0 is off. Default: 24h.
        pub kept_for: Option<Span<0, { 30 * DAY }>>,
        /// What they may take in memory together; the oldest give way. Default: 64MiB.
        pub kept_bytes: Option<Size<MIB, { 16 * GIB }>>,
    }
}

shape! {
    /// What is kept of requests that somebody asked to capture.
    pub struct Captures {
        /// What is kept of each body, of the request and of the answer. Default: 1MiB.
        pub body_max: Option<Size<1024, { 16 << 20 }>>,
        /// How long a capture is kept. Default: 7d.
        pub keep_for: Option<Span<MINUTE, { 366 * DAY }>>,
        /// What all of them may take on the disk; the oldest give way. Default: 1GiB.
        pub bytes_max: Option<Size<MIB, { 1024 * GIB }>>,
    }
}

choice! {
    /// What a receipt survives.
    pub enum Durability {
        /// A crash of the gateway; nothing waits for the disk.
        Process = "process",
        /// A loss of power; answers wait for the disk.
        Disk = "disk",
    }
}

shape! {
    /// How receipts are kept.
    pub struct Ledger {
        /// Default: process.
        pub durability: Option<Durability>,
        /// How far the journal may grow while the database is away. Default: 1GiB.
        pub journal_bytes_max: Option<Size<{ 16 * MIB }, { 1024 * GIB }>>,
    }
}

shape! {
    /// One thing that can serve: an account at a provider, or a local server.
    pub struct Backend {
        /// Its name, unique.
        pub name: Name,
        /// `openai`, `openai_compatible`, `anthropic`, `gemini`, `azure`, `process`, or a provider's name such as `nvidia`. Default:
        /// openai_compatible.
        pub kind: Option<Text>,
        /// Its provider tag, also a prefix for models. Default: the provider's name.
        pub label: Option<Name>,
        /// Where its API is, version path included. Left out: the provider's own.
        pub base_url: Option<Text>,
        /// What it speaks, best first. Default: what its provider is known to speak.
        pub dialects: Option<Vec<Spoken>>,
        /// The version of Azure's API, such as `2024-10-21`. Default: its undated `v1`.
        pub api_version: Option<Text>,
        /// Allows addresses that reach the host's own cloud metadata. Default: false.
        pub allow_link_local: Option<bool>,
        /// What it is shown.
        pub api_key: Option<SecretText>,
        /// Its tier. Default: primary.
        pub pool: Option<Name>,
        /// Its share among equals. Default: 1.
        pub weight: Option<Count<1, 10_000>>,
        /// Default: true.
        pub enabled: Option<bool>,
        /// What it may be given.
        pub limits: Option<BackendLimits>,
        /// How long it may take.
        pub deadlines: Option<Deadlines>,
        /// Which headers reach it.
        pub headers: Option<Headers>,
        /// Whether a call whose client left is read to its usage. Default: false.
        pub drain_on_disconnect: Option<bool>,
        /// Whether it keeps the responses it gives, so that `previous_response_id` can be left to it. Default: as its
        /// provider does.
        pub keeps_responses: Option<bool>,
        /// Where it is asked how it is, by GET: below `base_url`, or from the root of its host where it begins with `/`.
        /// Default: the provider's own, else `models`.
        pub health_path: Option<HealthPath>,
        /// A certificate authority of its own.
        pub ca_file: Option<Text>,
        /// The program of the kind `process`.
        pub process: Option<Process>,
        /// What it serves. Left out: what its own list says.
        pub models: Option<Table<Model>>,
    }
}

shape! {
    /// What a backend may be given.
    pub struct BackendLimits {
        /// Requests per minute; 0 is unlimited. Default: 40; on this machine (a loopback address, `localhost`, a process)
        /// unlimited.
        pub rpm: Option<Count<0, 10_000_000>>,
        /// How many requests a full bucket holds. Default: one minute's worth.
        pub burst: Option<Count<1, 10_000_000>>,
        /// Tokens per minute. Default: unlimited.
        pub tpm: Option<Count<1, 1_000_000_000_000>>,
        /// Requests at once. Default: unlimited.
        pub concurrency: Option<Count<1, 1_000_000>>,
    }
}

shape! {
    /// Which headers reach a backend, on top of the gateway's own rule.
    pub struct Headers {
        /// Sent with these values, whatever the client sent.
        pub set: Option<Table<SecretText>>,
        /// Passed on although the gateway's rule would not; `*` at the end matches a prefix. Never credentials, cookies or
        /// headers of the connection.
        pub allow: Option<Vec<HeaderName>>,
        /// Kept back although the gateway's rule would pass them on; `*` at the end matches a prefix.
        pub deny: Option<Vec<HeaderName>>,
    }
}

/// A model that a backend serves.
#[derive(Debug, Clone, Default)]
pub struct Model(pub ModelFields);

shape! {
    /// A model that a backend serves, under the name that clients ask for.
    #[derive(Default)]
    pub struct ModelFields {
        /// The backend's own name for it. Default: the same.
        pub native: Option<ModelName>,
        /// What it costs.
        pub price: Option<Price>,
        /// How many tokens fit in and out together.
        pub context: Option<Count<1, 1_000_000_000>>,
        /// How many tokens it answers at most.
        pub max_output: Option<Count<1, 1_000_000_000>>,
        /// What it may be given, within what the backend may.
        pub limits: Option<ModelLimits>,
    }
}

shape! {
    /// What one model on a backend may be given.
    pub struct ModelLimits {
        /// Requests per minute. Default: the backend's.
        pub rpm: Option<Count<1, 10_000_000>>,
        /// Tokens per minute. Default: the backend's.
        pub tpm: Option<Count<1, 1_000_000_000_000>>,
    }
}

impl Bind for Model {
    /// A bare word is the native name; nothing at all means the same name.
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        match &node.value {
            Value::Null => Some(Self::default()),
            Value::Text(_) | Value::Number(_) => {
                let native = ModelName::bind(node, binder)?;
                Some(Self(ModelFields { native: Some(native), ..ModelFields::default() }))
            }
            Value::Bool(_) | Value::List(_) | Value::Map(_) => ModelFields::bind(node, binder).map(Self),
        }
    }
}

impl schemars::JsonSchema for Model {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Model".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let fields = generator.subschema_for::<ModelFields>();
        schemars::json_schema!({"anyOf": [fields, {"type": "string", "minLength": 1}, {"type": "null"}]})
    }
}
