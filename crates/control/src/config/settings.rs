//! The configuration as it is meant: every default decided, nothing left to parse; it never says where a value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use policy::{
    AdaptiveSettings, AffinityRules, BackendSpec, BreakerRules, BudgetSpec, CaptureLimits, CooldownRules,
    CorsRules, Deadlines, HedgeRules, KeptRules, KeySpec, PoolSpec, ProbeRules, QueuePolicy, RateWindow,
    Secret, Source, Spill, Strategy, TeamSpec, TrafficSettings,
};
use store::{MasterKeySource, Retention};

use super::backend;
use super::callers;
use super::file::{self, Durability, File, LogFormat, LogLevel};
use super::money::{self, Alerts};
use super::pacing;
use super::process::{self, ProcessPool};
use super::providers::is_from_environment;
use super::records::{self, BackupRules};
use super::streaming::{self, Keepalive, Streams};
use super::tree::{Node, Path};
use crate::prices::PriceEntry;

/// Above every rank that can be written.
const RANK_MAX: u32 = 1001;

/// What holds where nothing was written.
pub(crate) struct Defaults {
    pub(crate) listen: SocketAddr,
    pub(crate) metrics_listen: SocketAddr,
    pub(crate) drain_timeout: Duration,
    pub(crate) max_in_flight: u32,
    pub(crate) queue_max: u32,
    pub(crate) queue_bytes_max: u64,
    pub(crate) queue_timeout: Duration,
    pub(crate) low_timeout: Duration,
    pub(crate) ageing: Duration,
    pub(crate) body_bytes_max: u64,
    pub(crate) image_body_bytes_max: u64,
    pub(crate) connections_max: u32,
    pub(crate) journal_bytes_max: u64,
}

pub(crate) const DEFAULTS: Defaults = Defaults {
    listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9190),
    metrics_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9191),
    drain_timeout: Duration::from_secs(600),
    max_in_flight: 2000,
    queue_max: 500,
    queue_bytes_max: 256 << 20,
    queue_timeout: Duration::from_secs(30),
    low_timeout: Duration::from_secs(2),
    ageing: Duration::from_secs(30),
    body_bytes_max: 64 << 20,
    image_body_bytes_max: 256 << 20,
    connections_max: 10_000,
    journal_bytes_max: 1 << 30,
};

/// Everything an operator can decide, decided.
#[derive(Clone)]
pub struct Settings {
    /// Where clients connect; changed by a restart only.
    pub listen: SocketAddr,
    /// Where Prometheus connects; changed by a restart only.
    pub metrics_listen: SocketAddr,
    /// Where everything that must outlive the process is kept; changed by a restart only.
    pub data_dir: PathBuf,
    /// Where copies of the database go; changed by a restart only.
    pub backup_dir: PathBuf,
    /// The admin token, where it was given.
    pub admin_token: Option<Secret>,
    /// What a scraper must show.
    pub metrics_token: Option<Secret>,
    /// Where the vault's master key comes from.
    pub master_key: MasterKeySource,
    /// The least important line that is logged.
    pub log_level: LogLevel,
    /// How log lines look; left out: by what standard error is.
    pub log_format: Option<LogFormat>,
    /// How long streams may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// What the gateway takes on.
    pub limits: Limits,
    /// How long clients may take.
    pub client_timeouts: ClientTimeouts,
    /// Attempts per request, the first included.
    pub attempts_max: u8,
    /// 429s of one request that use up neither its attempts nor the budget.
    pub limited_max: u8,
    /// How much repeats may add to recent requests, in percent.
    pub retry_budget_percent: u8,
    /// How long a backend rests after saying 429.
    pub cooldown: CooldownRules,
    /// When a backend that keeps failing is left alone.
    pub breaker: BreakerRules,
    /// How rates follow what providers say and refuse.
    pub adaptive: AdaptiveSettings,
    /// How long backends may take that do not say otherwise.
    pub deadlines: Deadlines,
    /// What keeps idle proxies from cutting answers.
    pub keepalive: Keepalive,
    /// How streams outlive their clients' connections.
    pub streams: Streams,
    /// How responses are kept for backends that keep none.
    pub kept: KeptRules,
    /// What is kept of captured requests.
    pub captures: CaptureLimits,
    /// Which pages in browsers may call the data plane.
    pub cors: CorsRules,
    /// What a receipt survives.
    pub durability: Durability,
    /// How far the journal may grow.
    pub journal_bytes_max: u64,
    /// How long single requests are kept.
    pub retention: Retention,
    /// When the database is copied, and how long copies are kept.
    pub backups: BackupRules,
    /// Gateway keys.
    pub keys: Vec<KeySpec>,
    /// Keys that share ceilings.
    pub teams: Vec<TeamSpec>,
    /// What can serve.
    pub backends: Vec<BackendSpec>,
    /// Programs that the gateway starts; changed by a restart only.
    pub processes: Vec<ProcessPool>,
    /// Other names for models.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// Tiers, in the order in which they are tried.
    pub pools: Vec<PoolSpec>,
    /// Models that are not spread as their pools are.
    pub strategies: BTreeMap<String, Strategy>,
    /// When a later pool is used.
    pub spill: Spill,
    /// What emergencies may add to a backend's requests a minute, in percent.
    pub emergency_percent: u8,
    /// How requests that belong together are kept together.
    pub affinity: AffinityRules,
    /// When a second attempt races a slow first one.
    pub hedging: HedgeRules,
    /// When backends are asked how they are.
    pub probe: ProbeRules,
    /// What may be spent.
    pub budgets: Vec<BudgetSpec>,
    /// What models cost by the prices file.
    pub prices: Vec<PriceEntry>,
    /// Who is told when a share of a budget is spent.
    pub alerts: Option<Alerts>,
}

/// What the gateway takes on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight.
    pub max_in_flight: u32,
    /// Requests that may wait.
    pub queue_max: u32,
    /// Bytes of bodies that may wait.
    pub queue_bytes_max: u64,
    /// How long a request may wait.
    pub queue_timeout: Duration,
    /// How long a request of the class `low` may wait.
    pub low_timeout: Duration,
    /// After how long a waiter is lifted by one class.
    pub ageing: Duration,
    /// What happens to a request that finds the queue full.
    pub queue_policy: QueuePolicy,
    /// How backends' limits by the minute are kept to.
    pub rate_window: RateWindow,
    /// The longest request body.
    pub body_bytes_max: u64,
    /// The longest request body that carries images or files.
    pub image_body_bytes_max: u64,
    /// Connections of clients.
    pub connections_max: u32,
}

/// How long clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// To the first byte of a connection.
    pub first_byte: Duration,
    /// To the end of a request's headers.
    pub headers: Duration,
    /// To the end of a request's body.
    pub body: Duration,
    /// Between two requests on one connection.
    pub idle: Duration,
}

impl fmt::Debug for Settings {
    /// Only the outline: fixed headers of backends may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("keys", &self.keys.len())
            .field("backends", &self.backends.len())
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Decides everything that a checked file leaves open.
    pub(crate) fn of(file: &File, tree: &Node, master_key: MasterKeySource) -> Self {
        let common = backend::deadlines(file.deadlines.as_ref(), Deadlines::default());
        let ledger = file.ledger.as_ref();
        let log = file.log.as_ref();
        let retry = file.retry.as_ref();
        let traffic = TrafficSettings::default();
        let narrow = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
        Self {
            listen: file.listen.map_or(DEFAULTS.listen, |address| address.0),
            metrics_listen: file.metrics_listen.map_or(DEFAULTS.metrics_listen, |address| address.0),
            data_dir: data_dir(file),
            backup_dir: records::backup_dir(
                file.backup_dir.as_ref().map(|text| text.0.as_str()),
                data_dir(file),
            ),
            admin_token: file
                .admin
                .as_ref()
                .and_then(|admin| admin.token.as_ref())
                .map(|token| token.0.clone()),
            metrics_token: file.metrics_token.as_ref().map(|token| token.0.clone()),
            master_key,
            log_level: log.and_then(|log| log.level).unwrap_or(LogLevel::Info),
            log_format: log.and_then(|log| log.format),
            drain_timeout: file.drain_timeout.map_or(DEFAULTS.drain_timeout, |span| span.0),
            limits: limits(file.limits.as_ref()),
            client_timeouts: client_timeouts(file.client_timeouts.as_ref()),
            attempts_max: retry.and_then(|retry| retry.attempts_max).map_or(5, |count| narrow(count.0)),
            limited_max: retry
                .and_then(|retry| retry.limited_max)
                .map_or(traffic.limited_max, |count| narrow(count.0)),
            retry_budget_percent: retry
                .and_then(|retry| retry.budget_percent)
                .map_or(20, |count| narrow(count.0)),
            cooldown: pacing::cooldown(file.cooldown.as_ref()),
            breaker: pacing::breaker(file.breaker.as_ref()),
            adaptive: pacing::adaptive(file.adaptive.as_ref()),
            deadlines: common,
            keepalive: streaming::keepalive(file.keepalive.as_ref()),
            streams: streaming::streams(file.streams.as_ref()),
            kept: streaming::kept(file.responses.as_ref()),
            captures: streaming::captures(file.captures.as_ref()),
            cors: streaming::cors(file.cors.as_ref()),
            durability: ledger.and_then(|ledger| ledger.durability).unwrap_or(Durability::Process),
            journal_bytes_max: ledger
                .and_then(|ledger| ledger.journal_bytes_max)
                .map_or(DEFAULTS.journal_bytes_max, |size| size.0),
            retention: records::retention(file.records.as_ref()),
            backups: records::backups(file.backups.as_ref()),
            keys: callers::keys(file, tree),
            teams: callers::teams(file, tree),
            backends: backend::backends(file, tree, common),
            processes: process::pools(file, &data_dir(file)),
            aliases: callers::aliases(file.aliases.as_ref()),
            pools: pools(file),
            strategies: strategies(file),
            spill: spill(file.routing.as_ref()),
            emergency_percent: file
                .routing
                .as_ref()
                .and_then(|routing| routing.emergency_fraction)
                .map_or(traffic.emergency_percent, |fraction| fraction.0),
            affinity: affinity(file.affinity.as_ref(), traffic.affinity),
            hedging: pacing::hedging(file.hedging.as_ref(), traffic.hedging),
            probe: pacing::probe(file.probe.as_ref(), traffic.probe),
            budgets: money::budgets(file),
            prices: Vec::new(),
            alerts: money::alerts(file.alerts.as_ref()),
        }
    }
}

impl Settings {
    /// The part that the data plane reads with every request.
    pub fn traffic(&self) -> TrafficSettings {
        TrafficSettings {
            max_in_flight: self.limits.max_in_flight,
            queue_max: usize::try_from(self.limits.queue_max).unwrap_or(usize::MAX),
            queue_bytes_max: self.limits.queue_bytes_max,
            queue_timeout: self.limits.queue_timeout,
            low_timeout: self.limits.low_timeout,
            ageing: self.limits.ageing,
            queue_policy: self.limits.queue_policy,
            spill: self.spill,
            emergency_percent: self.emergency_percent,
            affinity: self.affinity,
            hedging: self.hedging,
            probe: self.probe,
            body_bytes_max: self.limits.body_bytes_max,
            image_body_bytes_max: self.limits.image_body_bytes_max,
            client_body_timeout: self.client_timeouts.body,
            attempts_max: self.attempts_max,
            limited_max: self.limited_max,
            rate_window: self.limits.rate_window,
            retry_share_percent: self.retry_budget_percent,
            cooldown: self.cooldown,
            breaker: self.breaker,
            adaptive: self.adaptive,
            keepalive: self.keepalive.rules(),
            resume: self.streams.resumable.then_some(self.streams.resume),
            kept: self.kept,
            captures: self.captures,
            cors: self.cors.clone(),
            ..TrafficSettings::default()
        }
    }
}

fn data_dir(file: &File) -> PathBuf {
    file.data_dir.as_ref().map_or_else(|| PathBuf::from("./data"), |text| PathBuf::from(&text.0))
}

fn limits(typed: Option<&file::Limits>) -> Limits {
    Limits {
        max_in_flight: typed
            .and_then(|l| l.max_in_flight)
            .map_or(DEFAULTS.max_in_flight, |count| count.get32()),
        queue_max: typed.and_then(|l| l.queue_max).map_or(DEFAULTS.queue_max, |count| count.get32()),
        queue_bytes_max: typed
            .and_then(|l| l.queue_bytes_max)
            .map_or(DEFAULTS.queue_bytes_max, |size| size.0),
        queue_timeout: typed.and_then(|l| l.queue_timeout).map_or(DEFAULTS.queue_timeout, |span| span.0),
        low_timeout: typed.and_then(|l| l.low_timeout).map_or(DEFAULTS.low_timeout, |span| span.0),
        ageing: typed.and_then(|l| l.ageing).map_or(DEFAULTS.ageing, |span| span.0),
        queue_policy: match typed.and_then(|l| l.queue_policy) {
            Some(file::QueuePolicy::DropLowest) => QueuePolicy::DropLowest,
            Some(file::QueuePolicy::Passthrough) => QueuePolicy::Passthrough,
            Some(file::QueuePolicy::Reject) | None => QueuePolicy::Reject,
        },
        rate_window: pacing::rate_window(typed.and_then(|l| l.rate_window)),
        body_bytes_max: typed.and_then(|l| l.body_max).map_or(DEFAULTS.body_bytes_max, |size| size.0),
        image_body_bytes_max: typed
            .and_then(|l| l.image_body_max)
            .map_or(DEFAULTS.image_body_bytes_max, |size| size.0),
        connections_max: typed
            .and_then(|l| l.connections_max)
            .map_or(DEFAULTS.connections_max, |count| count.get32()),
    }
}

fn client_timeouts(typed: Option<&file::ClientTimeouts>) -> ClientTimeouts {
    let or = |typed: Option<file::Wait>, seconds| typed.map_or(Duration::from_secs(seconds), |span| span.0);
    ClientTimeouts {
        first_byte: or(typed.and_then(|t| t.first_byte), 10),
        headers: or(typed.and_then(|t| t.headers), 10),
        body: or(typed.and_then(|t| t.body), 60),
        idle: or(typed.and_then(|t| t.idle), 75),
    }
}

pub(super) fn source_at(tree: &Node, path: &Path) -> Source {
    if is_from_environment(tree, path) { Source::Env } else { Source::File }
}

fn pools(file: &File) -> Vec<PoolSpec> {
    let declared: Vec<&(String, file::Pool)> = file.pools.iter().flat_map(|table| &table.0).collect();
    let strategy = |name: &str| {
        let pool = declared.iter().find(|(declared, _)| declared == name);
        pool.and_then(|(_, pool)| pool.strategy).map(meant).unwrap_or_default()
    };
    let further = declared.iter().filter(|(name, _)| !super::check::POOLS.contains(&name.as_str()));
    let further = further.enumerate().map(|(index, (name, pool))| {
        // Those without a rank follow those with one, in the order in which they are written.
        let written = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(RANK_MAX);
        (name.as_str(), pool.rank.map_or(written, |rank| rank.get32()))
    });
    let always = super::check::POOLS.into_iter().map(|name| (name, 0));
    always
        .chain(further)
        .map(|(name, rank)| PoolSpec { name: name.to_owned(), strategy: strategy(name), rank })
        .collect()
}

fn strategies(file: &File) -> BTreeMap<String, Strategy> {
    let models = file.models.iter().flat_map(|table| &table.0);
    models.filter_map(|(name, rules)| Some((name.clone(), meant(rules.strategy?)))).collect()
}

fn meant(typed: file::Strategy) -> Strategy {
    match typed {
        file::Strategy::LeastInFlight => Strategy::LeastInFlight,
        file::Strategy::RoundRobin => Strategy::RoundRobin,
        file::Strategy::Weighted => Strategy::Weighted,
        file::Strategy::Latency => Strategy::Latency,
        file::Strategy::Cost => Strategy::Cost,
        file::Strategy::Priority => Strategy::Priority,
    }
}

fn spill(typed: Option<&file::Routing>) -> Spill {
    match typed.and_then(|routing| routing.spill) {
        Some(file::Spill::Wait) => Spill::Wait,
        Some(file::Spill::Immediate) | None => Spill::Immediate,
    }
}

fn affinity(typed: Option<&file::Affinity>, default: AffinityRules) -> AffinityRules {
    AffinityRules {
        enabled: typed.and_then(|a| a.enabled).unwrap_or(default.enabled),
        cold_cache: typed.and_then(|a| a.cold_cache).map_or(default.cold_cache, |span| span.0),
    }
}
