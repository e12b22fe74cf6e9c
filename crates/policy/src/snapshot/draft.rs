//! Decides what a configuration may say and what it means when it says nothing; never whether it makes sense.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;
use protocol::{Deadlines, Dialect};
use serde::{Deserialize, Serialize};

use super::{CaptureLimits, CaptureSpec, CorsRules, ResumeRules, TeamSpec};
use crate::backend::{BackendKind, BackendLimits, HeaderRules, ModelLimits, Source};
use crate::catalog::Carries;
use crate::identity::{Class, Digest, Digester, Endpoint, KeyLimits, Secret};
use crate::limit::{Adaptive, RateWindow, RetreatRules};
use crate::money::{Amount, Period, PriceBook, PriceSpec};
use crate::schedule::{AffinityRules, BreakerRules, CooldownRules, HedgeRules, Strategy};
use crate::timestamp::Timestamp;

/// All that a snapshot is made from: file, environment and directory joined.
#[derive(Debug)]
pub struct Draft {
    /// Backends, in the order candidates are listed.
    pub backends: Vec<BackendSpec>,
    /// Gateway keys.
    pub keys: Vec<KeySpec>,
    /// Teams that keys may name.
    pub teams: Vec<TeamSpec>,
    /// Names and the models they lead to, in order.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// Pools; `primary` and `fallback` exist even when not named.
    pub pools: Vec<PoolSpec>,
    /// Models that are not spread as their pools are.
    pub strategies: BTreeMap<String, Strategy>,
    /// What may be spent.
    pub budgets: Vec<BudgetSpec>,
    /// Prices of what no mapping prices.
    pub prices: PriceBook,
    /// Which requests are captured.
    pub captures: Vec<CaptureSpec>,
    /// Ceilings, waits and rules.
    pub settings: TrafficSettings,
    /// Makes the digests of keys.
    pub digester: Digester,
    /// Whether there have been keys: without any of them left, the gateway serves nobody.
    pub had_keys: bool,
}

impl Draft {
    /// A draft that says nothing yet.
    #[must_use]
    pub fn new(digester: Digester) -> Self {
        Self {
            backends: Vec::new(),
            keys: Vec::new(),
            teams: Vec::new(),
            aliases: BTreeMap::new(),
            pools: Vec::new(),
            strategies: BTreeMap::new(),
            budgets: Vec::new(),
            prices: PriceBook::default(),
            captures: Vec::new(),
            settings: TrafficSettings::default(),
            digester,
            had_keys: false,
        }
    }
}

/// A backend as it was written.
#[derive(Debug, Clone)]
pub struct BackendSpec {
    /// Unique; letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Provider tag and prefix; left out: the vendor's name that kind or address show, else the kind's.
    pub label: Option<String>,
    /// What sort of provider it is.
    pub kind: BackendKind,
    /// Where it is, version path included.
    pub base_url: String,
    /// What it speaks; left out: what its provider is known to speak.
    pub dialects: Option<Vec<Dialect>>,
    /// Which version of its API is asked for, where the provider has several (Azure).
    pub api_version: Option<String>,
    /// What it is shown.
    pub credential: Option<Secret>,
    /// Its tier.
    pub pool: String,
    /// Its share among equals, at least 1.
    pub weight: u32,
    /// Whether it may be used.
    pub enabled: bool,
    /// What it may be given.
    pub limits: BackendLimits,
    /// How long it may take.
    pub deadlines: Deadlines,
    /// Which headers go to it.
    pub headers: HeaderRules,
    /// Canonical names and what they mean there; none: it serves what it lists, and any name under its prefix.
    pub models: Option<BTreeMap<String, ModelSpec>>,
    /// What it was last seen to list; none: never read. Of no use to a backend with `models`.
    pub discovered: Option<Vec<String>>,
    /// Whether a call whose caller left is read to its usage, within a cap.
    pub drain_on_disconnect: bool,
    /// Whether it keeps the responses it gives, so that they can be continued there; left out: as its provider does.
    pub keeps_responses: Option<bool>,
    /// What a probe asks for; left out: the vendor's, else the list of models.
    pub health_path: Option<String>,
    /// A certificate authority of its own, as a file path.
    pub ca_file: Option<String>,
    /// Where it was defined.
    pub source: Source,
}

impl BackendSpec {
    /// A backend with everything at its default: in `primary`, enabled, 40 requests a minute.
    #[must_use]
    pub fn new(name: &str, kind: BackendKind, base_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            label: None,
            kind,
            base_url: base_url.to_owned(),
            dialects: None,
            api_version: None,
            credential: None,
            pool: "primary".to_owned(),
            weight: 1,
            enabled: true,
            limits: BackendLimits::default(),
            deadlines: Deadlines::default(),
            headers: HeaderRules::default(),
            models: None,
            discovered: None,
            drain_on_disconnect: false,
            keeps_responses: None,
            health_path: None,
            ca_file: None,
            source: Source::default(),
        }
    }
}

/// What a canonical model means on one backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelSpec {
    /// Its own id; left out: the canonical name.
    pub native: Option<String>,
    /// What it costs there; left out: as the price book says.
    pub price: Option<PriceSpec>,
    /// Tokens that prompt and answer may have together.
    pub context: Option<u64>,
    /// Tokens that the answer may have.
    pub max_output: Option<u64>,
    /// What it can be sent.
    pub carries: Carries,
    /// What it may be given, within what the backend may.
    pub limits: ModelLimits,
}

/// A pool as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// Its name.
    pub name: String,
    /// How it spreads its requests.
    pub strategy: Strategy,
    /// Its place among pools other than `primary` and `fallback`, which come first.
    pub rank: u32,
}

/// A gateway key as it was written.
#[derive(Debug, Clone)]
pub struct KeySpec {
    /// Unique, never changes.
    pub id: String,
    /// Unique; what people call it.
    pub name: String,
    /// All secrets it may be presented by; more than one while it is rotated.
    pub secrets: Vec<KeySecret>,
    /// The team it belongs to.
    pub team: Option<String>,
    /// Names and patterns of models; empty: all.
    pub models: Vec<String>,
    /// What it may ask for; empty: all.
    pub endpoints: Vec<Endpoint>,
    /// Addresses; empty: all.
    pub ip_allow: Vec<IpNet>,
    /// Its ceilings.
    pub limits: KeyLimits,
    /// The best class it may ask for.
    pub priority_max: Class,
    /// Its share of what frees up while several keys wait in one class, at least 1.
    pub weight: u32,
    /// Whether what a dialect cannot carry is refused.
    pub strict: bool,
    /// The model of an ask that names none.
    pub default_model: Option<String>,
    /// Names that lead elsewhere for this key.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// The longest body it may send, when tighter than the gateway's.
    pub body_bytes_max: Option<u64>,
    /// What it pays for a model whose price nobody knows.
    pub ceiling: Option<PriceSpec>,
    /// Tags that each of its receipts bears.
    pub metadata: BTreeMap<String, String>,
    /// What people remember of it.
    pub note: Option<String>,
    /// When it stops being valid.
    pub expires: Option<Timestamp>,
    /// Whether it is in use.
    pub enabled: bool,
    /// Where it was defined.
    pub source: Source,
}

impl KeySpec {
    /// A key with everything at its default: all models, no ceilings, any class.
    #[must_use]
    pub fn new(id: &str, name: &str, secret: KeySecret) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            secrets: vec![secret],
            team: None,
            models: Vec::new(),
            endpoints: Vec::new(),
            ip_allow: Vec::new(),
            limits: KeyLimits::default(),
            priority_max: Class::Urgent,
            weight: 1,
            strict: false,
            default_model: None,
            aliases: BTreeMap::new(),
            body_bytes_max: None,
            ceiling: None,
            metadata: BTreeMap::new(),
            note: None,
            expires: None,
            enabled: true,
            source: Source::default(),
        }
    }
}

/// How a key's secret is known.
#[derive(Debug, Clone)]
pub enum KeySecret {
    /// In clear, from a file or the environment.
    Plain(Secret),
    /// As the directory keeps it.
    Digest(Digest),
}

/// A budget as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSpec {
    /// Whose spending counts.
    pub of: BudgetOf,
    /// How much.
    pub amount: Amount,
    /// In what time.
    pub per: Period,
}

/// Whose spending a budget counts, as people name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BudgetOf {
    /// Everybody's.
    Gateway,
    /// A team's.
    Team(String),
    /// A key's.
    Key(String),
}

/// When a later pool is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spill {
    /// As soon as no backend of an earlier one can start the request.
    #[default]
    Immediate,
    /// When none of an earlier one can start it before its deadline.
    Wait,
}

impl Spill {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Wait => "wait",
        }
    }
}

/// What happens to a request that finds the queue full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueuePolicy {
    /// It is refused.
    #[default]
    Reject,
    /// It takes the place of the worst who waits, if that one is worse than itself.
    DropLowest,
    /// It starts beyond the rate limits, where a backend is well and has a slot; else it is refused.
    Passthrough,
}

impl QueuePolicy {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::DropLowest => "drop_lowest",
            Self::Passthrough => "passthrough",
        }
    }
}

/// Ceilings, waits and rules for all traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficSettings {
    /// Requests let in at once.
    pub max_in_flight: u32,
    /// Requests waiting, in both queues together.
    pub queue_max: usize,
    /// What they may hold in memory.
    pub queue_bytes_max: u64,
    /// How long a request waits, in either queue.
    pub queue_timeout: Duration,
    /// How long a request of the class `low` waits, in either queue.
    pub low_timeout: Duration,
    /// After how long a waiter is lifted by one class.
    pub ageing: Duration,
    /// What happens to a request that finds the queue full.
    pub queue_policy: QueuePolicy,
    /// The longest request body.
    pub body_bytes_max: u64,
    /// The longest request body of image and other raw relays.
    pub image_body_bytes_max: u64,
    /// How long a client may take to send its body.
    pub client_body_timeout: Duration,
    /// Attempts at most for one request, those not counted that met one of its first `limited_max` 429s.
    pub attempts_max: u8,
    /// How many 429s of one request use up neither its attempts nor its pool's budget: they cost no tokens,
    /// the cooldowns that they begin keep them apart, and the deadline ends them.
    pub limited_max: u8,
    /// Retries at most, as a share of a pool's recent requests.
    pub retry_share_percent: u8,
    /// Retries that a pool has in ten seconds however few its requests were.
    pub retry_floor: u32,
    /// When a later pool is used.
    pub spill: Spill,
    /// How much of a backend's requests a minute emergencies may add, in percent; 0: there are none.
    pub emergency_percent: u8,
    /// Emergency attempts at most for one request.
    pub emergency_tries: u8,
    /// How requests that belong together are kept together.
    pub affinity: AffinityRules,
    /// When a second attempt races a slow first one.
    pub hedging: HedgeRules,
    /// How long a 429 is remembered.
    pub cooldown: CooldownRules,
    /// When a failing backend is left alone.
    pub breaker: BreakerRules,
    /// How rates follow what providers say and refuse.
    pub adaptive: AdaptiveSettings,
    /// When backends are asked how they are.
    pub probe: ProbeRules,
    /// What is sent while an answer is awaited.
    pub keepalive: KeepaliveRules,
    /// How limits by the minute are kept to.
    pub rate_window: RateWindow,
    /// How streams outlive their clients' connections; none: they do not.
    pub resume: Option<ResumeRules>,
    /// How responses are kept for backends that keep none.
    pub kept: KeptRules,
    /// What is kept of captured requests.
    pub captures: CaptureLimits,
    /// Which pages in browsers may call.
    pub cors: CorsRules,
}

/// How responses are kept for backends that keep none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRules {
    /// How long; zero: not at all.
    pub time: Duration,
    /// What all of them may take together; the oldest give way.
    pub bytes_max: usize,
}

impl Default for KeptRules {
    fn default() -> Self {
        Self { time: Duration::from_hours(24), bytes_max: 64 * 1024 * 1024 }
    }
}

/// What is sent while an answer is awaited, so that no proxy on the way takes the connection for dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepaliveRules {
    /// The longest silence of a stream; none: it may be silent.
    pub stream: Option<Duration>,
    /// The longest silence before a plain answer.
    pub plain: Option<Duration>,
    /// The same of single endpoints, by their path behind `/v1`.
    pub endpoints: Vec<(Box<str>, Option<Duration>)>,
}

impl KeepaliveRules {
    /// The longest silence before the plain answer of the endpoint at `path`, which stands behind `/v1`.
    #[must_use]
    pub fn before_plain(&self, path: &str) -> Option<Duration> {
        let own = self.endpoints.iter().find(|(endpoint, _)| **endpoint == *path);
        own.map_or(self.plain, |(_, interval)| *interval)
    }
}

impl Default for KeepaliveRules {
    fn default() -> Self {
        Self { stream: Some(Duration::from_secs(15)), plain: None, endpoints: Vec::new() }
    }
}

/// How rates follow what providers say and refuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptiveSettings {
    /// Whether they do.
    pub mode: Adaptive,
    /// The rules of retreat.
    pub retreat: RetreatRules,
}

/// When backends that nobody calls, or that are in trouble, are asked how they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRules {
    /// Whether they are. Those that serve what they list are asked for their models all the same.
    pub enabled: bool,
    /// How often each of them is; all of them are spread over it.
    pub interval: Duration,
    /// How long one may take to answer.
    pub timeout: Duration,
}

impl Default for ProbeRules {
    fn default() -> Self {
        Self { enabled: true, interval: Duration::from_secs(60), timeout: Duration::from_secs(10) }
    }
}

impl Default for TrafficSettings {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            max_in_flight: 2000,
            queue_max: 500,
            queue_bytes_max: 512 * MIB,
            queue_timeout: Duration::from_secs(30),
            low_timeout: Duration::from_secs(2),
            ageing: Duration::from_secs(30),
            queue_policy: QueuePolicy::Reject,
            body_bytes_max: 64 * MIB,
            image_body_bytes_max: 256 * MIB,
            client_body_timeout: Duration::from_secs(60),
            attempts_max: 5,
            limited_max: 100,
            retry_share_percent: 20,
            retry_floor: 100,
            spill: Spill::Immediate,
            emergency_percent: 0,
            emergency_tries: 3,
            affinity: AffinityRules::default(),
            hedging: HedgeRules::default(),
            cooldown: CooldownRules::default(),
            breaker: BreakerRules::default(),
            adaptive: AdaptiveSettings::default(),
            keepalive: KeepaliveRules::default(),
            probe: ProbeRules::default(),
            rate_window: RateWindow::default(),
            resume: None,
            kept: KeptRules::default(),
            captures: CaptureLimits::default(),
            cors: CorsRules::default(),
        }
    }
}
