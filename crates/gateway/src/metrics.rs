//! Decides what is counted and under which labels; labels are bounded: never a model name, a key, or anything a caller wrote.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use policy::{Amount, BackendStatus, Health, Pace, Reach, Receipt, Status};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use protocol::{Dialect, Failure};
use store::JournalLag;

/// What requests and attempts are counted in; one per process.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    refused: Family<CodeLabel, Counter>,
    kept: Family<RequestLabels, Counter>,
    untold: Family<DialectLabel, Counter>,
    resumed: Counter,
    /// Kept responses that did not go to the disk.
    pub(crate) unwritten: Counter,
    first_event: Family<DialectLabel, Histogram>,
    total: Family<DialectLabel, Histogram>,
    queue_wait: Histogram,
    tokens: Family<KindLabel, Counter>,
    cost: Counter<f64, AtomicU64>,
    unpriced: Counter,
    answers: Family<BackendLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    gauges: Gauges,
}

/// What is read from the live state when somebody scrapes.
#[derive(Default)]
struct Gauges {
    in_flight: Gauge,
    queued: Gauge,
    queued_by_class: Family<ClassLabels, Gauge>,
    /// What `Live` has counted, as it was last told.
    emergencies: Counter,
    fallbacks: Counter,
    retries_denied: Counter,
    hedges: Counter,
    hedges_won: Counter,
    backend_in_flight: Family<BackendLabels, Gauge>,
    backend_cooling: Family<BackendLabels, Gauge>,
    backend_breaker: Family<BackendLabels, Gauge>,
    backend_level: Family<BackendLabels, Gauge>,
    backend_token_level: Family<BackendLabels, Gauge>,
    backend_rate: Family<BackendLabels, Gauge>,
    backend_retreat: Family<BackendLabels, Gauge>,
    backend_limited: Family<BackendLabels, Gauge>,
    backend_error: Family<BackendLabels, Gauge>,
    backend_probe: Family<BackendLabels, Gauge>,
    journal_entries: Gauge,
    journal_bytes: Gauge,
    /// What the store has counted, as it was last told.
    captures_lost: Counter,
    instance_in_flight: Family<InstanceLabels, Gauge>,
    instance_ready: Family<InstanceLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    instance: Arc<str>,
}

/// An instance of a local process, as it is counted.
#[derive(Debug, Clone)]
pub struct InstanceGauge {
    /// Its name.
    pub name: Arc<str>,
    /// Turns that run.
    pub in_flight: usize,
    /// Whether it takes turns.
    pub is_ready: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

impl Gauges {
    fn register_pace(&self, registry: &mut Registry) {
        for (name, help, family) in [
            (
                "backend_breaker_open",
                "1 while a backend that kept failing is left alone",
                &self.backend_breaker,
            ),
            ("backend_bucket_requests", "Requests a backend's bucket holds", &self.backend_level),
            ("backend_bucket_tokens", "Tokens a backend's bucket holds", &self.backend_token_level),
            ("backend_rate_per_minute", "Requests that come into its bucket", &self.backend_rate),
            ("backend_retreat", "0 normal, 1 in retreat, 2 recovering", &self.backend_retreat),
            ("backend_limited_percent", "429s among the answers of the last minute", &self.backend_limited),
            ("backend_error", "1 while a backend's credential counts as refused", &self.backend_error),
            ("backend_probe", "By its probes: 0 healthy, 1 degraded, 2 down", &self.backend_probe),
        ] {
            registry.register(name, help, family.clone());
        }
    }

    fn register_instances(&self, registry: &mut Registry) {
        let help = "Turns that run on an instance of a local process";
        registry.register("instance_in_flight", help, self.instance_in_flight.clone());
        let help = "1 while an instance of a local process takes turns";
        registry.register("instance_ready", help, self.instance_ready.clone());
    }

    fn register_journal(&self, registry: &mut Registry) {
        let help = "Entries not yet in the ledger";
        registry.register("journal_lag_entries", help, self.journal_entries.clone());
        let (help, bytes) = ("Journal not yet in the ledger", self.journal_bytes.clone());
        registry.register_with_unit("journal_lag", help, Unit::Bytes, bytes);
    }

    fn register_captures(&self, registry: &mut Registry) {
        let help = "Captures left out for want of room in memory or on the disk";
        registry.register("captures_lost", help, self.captures_lost.clone());
    }

    fn register_attempts(&self, registry: &mut Registry) {
        let help = "Failed attempts not repeated, for their pool's retry budget was spent";
        registry.register("retries_denied", help, self.retries_denied.clone());
        let help = "Second attempts because a first event was late";
        registry.register("hedges", help, self.hedges.clone());
        registry.register("hedges_won", "Second attempts that answered first", self.hedges_won.clone());
    }

    fn pace(&self, labels: &BackendLabels, backend: &BackendStatus) {
        self.backend_breaker.get_or_create(labels).set(i64::from(backend.reason == Some("failing")));
        self.backend_retreat.get_or_create(labels).set(match backend.pace {
            Pace::Normal => 0,
            Pace::Retreat => 1,
            Pace::Recover => 2,
        });
        for (family, value) in [
            (&self.backend_level, backend.bucket_level.map(i64::from)),
            (&self.backend_token_level, backend.token_level.map(signed)),
            (&self.backend_rate, backend.rpm.map(i64::from)),
            (&self.backend_limited, backend.limited_percent.map(i64::from)),
            (&self.backend_error, Some(i64::from(backend.state == Health::Error))),
            (&self.backend_probe, backend.probe.map(|probe| reach(probe.state))),
        ] {
            if let Some(value) = value {
                family.get_or_create(labels).set(value);
            }
        }
    }
}

/// The counters of one backend, resolved once per snapshot.
#[derive(Clone)]
pub(crate) struct BackendMetrics {
    labels: BackendLabels,
    answers: Counter,
    failures: Family<FailureLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    dialect: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DialectLabel {
    dialect: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BackendLabels {
    backend: Arc<str>,
    provider: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailureLabels {
    backend: Arc<str>,
    provider: Arc<str>,
    kind: &'static str,
}

/// Seconds, from a fast local answer to a long reasoning one.
const LATENCY_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// An empty set of metrics, registered under `lockgate_*`.
    pub fn new() -> Self {
        let latency: fn() -> Histogram = || Histogram::new(LATENCY_BUCKETS);
        let mut metrics = Self {
            registry: Registry::with_prefix("lockgate"),
            requests: Family::default(),
            refused: Family::default(),
            kept: Family::default(),
            untold: Family::default(),
            resumed: Counter::default(),
            unwritten: Counter::default(),
            first_event: Family::new_with_constructor(latency),
            total: Family::new_with_constructor(latency),
            queue_wait: latency(),
            tokens: Family::default(),
            cost: Counter::default(),
            unpriced: Counter::default(),
            answers: Family::default(),
            failures: Family::default(),
            gauges: Gauges::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Admitted requests by dialect and outcome", self.requests.clone());
        registry.register("refused", "Requests refused before admission, by code", self.refused.clone());
        registry.register(
            "keepalive_committed",
            "Requests whose status a keepalive had told before their outcome was known",
            self.kept.clone(),
        );
        let help = "Answers with something that their client's dialect cannot say";
        registry.register("answers_untold", help, self.untold.clone());
        registry.register("streams_resumed", "Streams continued on another connection", self.resumed.clone());
        let help = "Kept responses that a restart would forget";
        registry.register("responses_unwritten", help, self.unwritten.clone());
        let seconds = Unit::Seconds;
        registry.register_with_unit(
            "first_event",
            "Time to the first event",
            seconds.clone(),
            self.first_event.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time to the end",
            seconds.clone(),
            self.total.clone(),
        );
        registry.register_with_unit(
            "queue_wait",
            "Time spent waiting for a slot",
            seconds,
            self.queue_wait.clone(),
        );
        registry.register("tokens", "Tokens by kind", self.tokens.clone());
        registry.register("cost_usd", "Charged cost in US dollars", self.cost.clone());
        registry.register("unpriced_requests", "Requests whose price is not known", self.unpriced.clone());
        registry.register("upstream_answers", "Committed answers by backend", self.answers.clone());
        registry.register("upstream_errors", "Failed attempts by backend and kind", self.failures.clone());
        registry.register("in_flight", "Tickets held", self.gauges.in_flight.clone());
        registry.register("queued", "Requests waiting for a slot", self.gauges.queued.clone());
        registry.register(
            "queued_by_class",
            "Requests waiting, in the class they were lifted to",
            self.gauges.queued_by_class.clone(),
        );
        registry.register(
            "emergencies",
            "Attempts beyond a backend's rate because all were spent",
            self.gauges.emergencies.clone(),
        );
        registry.register(
            "fallbacks",
            "Attempts beyond a backend's rate because the queue was full",
            self.gauges.fallbacks.clone(),
        );
        self.gauges.register_attempts(registry);
        registry.register("backend_in_flight", "Leases held", self.gauges.backend_in_flight.clone());
        registry.register(
            "backend_cooling",
            "1 while a backend cools down",
            self.gauges.backend_cooling.clone(),
        );
        self.gauges.register_pace(registry);
        self.gauges.register_instances(registry);
        self.gauges.register_captures(registry);
        self.gauges.register_journal(registry);
    }

    /// Notes how the local processes are.
    pub fn note_instances(&self, instances: impl IntoIterator<Item = InstanceGauge>) {
        for InstanceGauge { name, in_flight, is_ready } in instances {
            let labels = InstanceLabels { instance: name };
            self.gauges.instance_in_flight.get_or_create(&labels).set(signed(in_flight as u64));
            self.gauges.instance_ready.get_or_create(&labels).set(i64::from(is_ready));
        }
    }

    /// Notes how many captures were lost so far.
    pub fn note_captures_lost(&self, lost: u64) {
        self.gauges.captures_lost.inner().store(lost, Ordering::Relaxed);
    }

    /// The exposition text, with the live state as it is now.
    pub fn encode(&self, live: &Status, lag: JournalLag) -> String {
        self.gauges.in_flight.set(i64::from(live.in_flight));
        self.gauges.queued.set(signed(live.queued as u64));
        let classes = live.queue.by_class;
        for (class, waiting) in [
            ("urgent", classes.urgent),
            ("high", classes.high),
            ("normal", classes.normal),
            ("low", classes.low),
        ] {
            self.gauges.queued_by_class.get_or_create(&ClassLabels { class }).set(signed(waiting as u64));
        }
        self.gauges.emergencies.inner().store(live.emergency_total, Ordering::Relaxed);
        self.gauges.fallbacks.inner().store(live.fallback_total, Ordering::Relaxed);
        self.gauges.retries_denied.inner().store(live.retry_denied_total, Ordering::Relaxed);
        self.gauges.hedges.inner().store(live.hedge_total, Ordering::Relaxed);
        self.gauges.hedges_won.inner().store(live.hedge_won_total, Ordering::Relaxed);
        self.gauges.journal_entries.set(signed(lag.entries));
        self.gauges.journal_bytes.set(signed(lag.bytes));
        for backend in &live.backends {
            let labels = BackendLabels { backend: backend.name.clone(), provider: backend.label.clone() };
            self.gauges.backend_in_flight.get_or_create(&labels).set(i64::from(backend.in_flight));
            let is_cooling = backend.cooldown_left_ms.is_some();
            self.gauges.backend_cooling.get_or_create(&labels).set(i64::from(is_cooling));
            self.gauges.pace(&labels, backend);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        encode(&mut text, &self.registry).unwrap_or_default();
        text
    }

    pub(crate) fn backend(&self, name: &Arc<str>, provider: &Arc<str>) -> BackendMetrics {
        let labels = BackendLabels { backend: name.clone(), provider: provider.clone() };
        let answers = self.answers.get_or_create_owned(&labels);
        BackendMetrics { labels, answers, failures: self.failures.clone() }
    }

    pub(crate) fn refused(&self, code: &'static str) {
        self.refused.get_or_create(&CodeLabel { code }).inc();
    }

    pub(crate) fn resumed(&self) {
        self.resumed.inc();
    }

    pub(crate) fn untold(&self, dialect: Dialect) {
        self.untold.get_or_create(&DialectLabel { dialect: Dialect::name(dialect) }).inc();
    }

    pub(crate) fn settled(&self, receipt: &Receipt) {
        let dialect = Dialect::name(receipt.dialect_in);
        let labels = RequestLabels { dialect, outcome: receipt.outcome.name() };
        self.requests.get_or_create(&labels).inc();
        if receipt.keepalive_committed {
            self.kept.get_or_create(&labels).inc();
        }
        let dialect = DialectLabel { dialect };
        self.total.get_or_create(&dialect).observe(seconds(receipt.total_ms));
        if let Some(first_event) = receipt.first_event_ms {
            self.first_event.get_or_create(&dialect).observe(seconds(first_event));
        }
        self.queue_wait.observe(seconds(receipt.queue_ms));
        let usage = &receipt.usage;
        for (kind, tokens) in
            [("input", usage.input), ("cached_input", usage.cached_input), ("output", usage.output)]
        {
            if tokens > 0 {
                self.tokens.get_or_create(&KindLabel { kind }).inc_by(tokens);
            }
        }
        self.cost.inc_by(dollars(receipt.cost));
        if receipt.unpriced {
            self.unpriced.inc();
        }
    }
}

impl BackendMetrics {
    pub(crate) fn answered(&self) {
        self.answers.inc();
    }

    pub(crate) fn failed(&self, failure: &Failure) {
        let BackendLabels { backend, provider } = self.labels.clone();
        self.failures.get_or_create(&FailureLabels { backend, provider, kind: failure.kind.name() }).inc();
    }
}

fn reach(reach: Reach) -> i64 {
    match reach {
        Reach::Healthy => 0,
        Reach::Degraded => 1,
        Reach::Down => 2,
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of one request are far below 2^52")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// A metric needs no more digits than a float has.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn dollars(amount: Amount) -> f64 {
    amount.0 as f64 / 1e12
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
