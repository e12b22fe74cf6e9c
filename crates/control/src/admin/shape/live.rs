//! Describes what the data plane knows now, and what it would do. It holds no value.

use utoipa::ToSchema;

use super::Money;

/// What would be done with a request that came now.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum Decision {
    Start,
    /// It would start beyond a backend's rate, because all are spent.
    Emergency,
    Wait,
    Refuse,
}

/// Why a candidate would get a request, or would not.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum Verdict {
    Chosen,
    Ready,
    Full,
    Spent,
    Cooling,
    Open,
    Probed,
    Error,
    NotReady,
    Disabled,
    NotBound,
    Tried,
    Dialect,
    Incapable,
    Window,
}

/// How one candidate stands to a request.
#[derive(ToSchema)]
pub(in crate::admin) struct CandidateVerdict {
    backend: String,
    pool: String,
    model: String,
    strategy: String,
    verdict: Verdict,
    /// How long until time alone changes that.
    for_ms: Option<u64>,
    in_flight: u32,
    /// How soon its first event is expected.
    expected_wait_ms: u64,
}

/// What would become of a request that came now.
#[derive(ToSchema)]
pub(in crate::admin) struct Explanation {
    decision: Decision,
    /// The backend it would start on.
    backend: Option<String>,
    /// When it could start at the earliest, when it could not now.
    earliest_in_ms: Option<u64>,
    /// Why it would be refused.
    refusal: Option<String>,
    /// Everyone it could go to, in the order in which they are tried.
    candidates: Vec<CandidateVerdict>,
}

/// A request's class.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum Class {
    Urgent,
    High,
    Normal,
    Low,
}

/// The live state of the data plane.
#[derive(ToSchema)]
pub(in crate::admin) struct Status {
    in_flight: u32,
    in_flight_max: u32,
    /// Requests waiting, in either queue.
    queued: u64,
    queue: QueueStatus,
    accepted_total: u64,
    rejected_total: u64,
    /// Requests started beyond a backend's rate because the queue was full.
    fallback_total: u64,
    /// Requests started beyond a backend's rate because all were spent.
    emergency_total: u64,
    /// Failed attempts that were not repeated, for their pool's retry budget was spent.
    retry_denied_total: u64,
    /// Second attempts made because a first event was late.
    hedge_total: u64,
    /// Those that answered first.
    hedge_won_total: u64,
    backends: Vec<BackendStatus>,
    /// Recent events, oldest first.
    events: Vec<LiveEvent>,
}

/// The queues.
#[derive(ToSchema)]
pub(in crate::admin) struct QueueStatus {
    /// Waiting to be let in.
    admission: u64,
    /// Waiting for a backend.
    routing: u64,
    /// What they hold in memory.
    bytes: u64,
    /// How many may wait.
    max: u64,
    by_class: WaitingByClass,
}

/// How many wait in each class.
#[derive(ToSchema)]
pub(in crate::admin) struct WaitingByClass {
    urgent: u64,
    high: u64,
    normal: u64,
    low: u64,
}

/// Whether a backend can be used.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum Health {
    Healthy,
    Cooling,
    Error,
    Disabled,
}

/// Where something was defined.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum Source {
    File,
    Api,
    Env,
    Import,
    Demo,
}

/// What a backend may be given.
#[derive(ToSchema)]
#[schema(as = BackendCeilings)]
pub(in crate::admin) struct Limits {
    /// Requests per minute; 0 is unlimited.
    rpm: u32,
    /// How many requests a full bucket holds; none: one minute's worth.
    burst: Option<u32>,
    /// Tokens per minute.
    tpm: Option<u64>,
    /// Requests at once.
    concurrency: Option<u32>,
}

/// How a backend's rate stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum Pace {
    Normal,
    Retreat,
    Recover,
}

/// One backend as the data plane knows it.
#[derive(ToSchema)]
pub(in crate::admin) struct BackendStatus {
    name: String,
    label: String,
    kind: String,
    pool: String,
    source: Source,
    state: Health,
    /// Why it cannot be used.
    reason: Option<String>,
    /// What is left of its cooldown or open breaker.
    cooldown_left_ms: Option<u64>,
    in_flight: u32,
    concurrency: Option<u32>,
    /// Requests its bucket holds.
    bucket_level: Option<u32>,
    bucket_capacity: Option<u32>,
    /// Requests that come in a minute.
    rpm: Option<u32>,
    /// The same when nothing holds it back.
    rpm_base: Option<u32>,
    token_level: Option<u64>,
    tpm: Option<u64>,
    told: ProviderLimits,
    models: Vec<ModelStatus>,
    pace: Pace,
    /// The share of 429s among its answers of the last minute.
    limited_percent: Option<u8>,
    requests: u64,
    successes: u64,
    failures: u64,
    rate_limited: u64,
    consecutive_rate_limited: u32,
    consecutive_failures: u32,
    last_error: Option<String>,
    last_error_age_ms: Option<u64>,
    probe: Option<ProbeStatus>,
}

/// What a provider said of its limits, as far as it did.
#[derive(ToSchema)]
pub(in crate::admin) struct ProviderLimits {
    requests_limit: Option<u64>,
    requests_remaining: Option<u64>,
    tokens_limit: Option<u64>,
    tokens_remaining: Option<u64>,
}

/// One model on a backend.
#[derive(ToSchema)]
pub(in crate::admin) struct ModelStatus {
    native: String,
    bucket_level: Option<u64>,
    token_level: Option<u64>,
    told: ProviderLimits,
}

/// How a backend stands by its probes.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum Reach {
    Healthy,
    Degraded,
    Down,
}

/// What the active prober saw.
#[derive(ToSchema)]
pub(in crate::admin) struct ProbeStatus {
    state: Reach,
    latency_ms: u64,
    status: Option<u16>,
    age_ms: u64,
    /// Of the probes of five minutes, those not missed.
    success_percent: Option<u8>,
    consecutive_failures: u32,
}

/// What an event tells.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum EventKind {
    CooldownStarted,
    CooldownEnded,
    RetreatStarted,
    RetreatEnding,
    RetreatEnded,
    Alert,
    BreakerOpened,
    BreakerClosed,
    ErrorSet,
    ErrorCleared,
    Reset,
    BudgetCrossed,
    Refused,
    Passthrough,
    Emergency,
    RetryDenied,
    UsageContradicted,
    DatabaseDamaged,
}

/// An event as the data plane remembers it.
#[derive(ToSchema)]
pub(in crate::admin) struct LiveEvent {
    number: u64,
    /// Its number when it happened first.
    first: u64,
    age_ms: u64,
    kind: EventKind,
    backend: Option<String>,
    fields: EventFields,
    /// Kind and fields in English words, money rounded.
    text: String,
    /// How often in a row.
    times: u64,
}

/// The particulars of an event. Each is there where its kind has it; what an earlier release wrote down has none.
#[derive(ToSchema)]
pub(in crate::admin) struct EventFields {
    /// How long it lasts at least: `cooldown_started`, `breaker_opened`.
    lasts_ms: Option<u64>,
    /// The share that was reached: `alert`, `budget_crossed`.
    #[schema(maximum = 100)]
    percent: Option<u8>,
    /// Which budget: `budget_crossed`.
    budget: Option<String>,
    /// What is spent of it, exactly.
    spent: Option<Money>,
    /// Of how much.
    amount: Option<Money>,
    /// Of which pool: `retry_denied`.
    pool: Option<String>,
    /// Why, in a word: of `refused` the refusal's reason, of `breaker_opened` `probe_missed` or `one_model`, of
    /// `error_cleared` one of
    /// `probe`, `operator`, `restart`, `change`.
    reason: Option<String>,
    /// What a provider or the database said, in its own words.
    said: Option<String>,
}
