//! Describes what is kept of requests: what they used, what became of them. It holds no value.

use utoipa::ToSchema;

use super::{Dialect, Money};

/// Tokens and pictures, in parts of which each counts once; `reasoning` and `audio_output` are part of `output`, `audio_input` of `input`.
#[derive(ToSchema)]
pub(in crate::admin) struct Usage {
    /// Read, neither from nor into a prompt cache.
    input: u64,
    /// Read from a prompt cache.
    cached_input: u64,
    /// Read and put into a prompt cache for its usual time.
    cache_write: u64,
    /// Read and put into a prompt cache for an hour.
    cache_write_1h: u64,
    /// Written, in all.
    output: u64,
    /// The part of `output` that was reasoning.
    reasoning: u64,
    /// The part of `input` that was audio.
    audio_input: u64,
    /// The part of `output` that was audio.
    audio_output: u64,
    /// Pictures that were made, beside the tokens.
    images: u64,
}

/// Who says what was used.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum UsageSource {
    Provider,
    Counted,
    Estimated,
    /// The provider's own figures, whose parts do not make up its own whole.
    Contradicted,
}

/// Sums over requests and their attempts.
#[derive(ToSchema)]
pub(in crate::admin) struct UsageSums {
    /// Requests settled.
    requests: u64,
    /// Of these, answered wholly.
    completed: u64,
    /// Of these, ended with an error.
    failed: u64,
    /// Of these, left by their caller.
    cancelled: u64,
    /// Of these, cut off by the end of the gateway's process.
    interrupted: u64,
    /// Time spent in queues, all requests together.
    queue_ms: u64,
    /// Time from arrival to the end, all requests together.
    total_ms: u64,
    /// Time to the first event, all requests that had one together.
    first_event_ms: u64,
    /// How many requests had a first event.
    first_events: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// Calls to backends.
    attempts: u64,
    /// Of these, failed.
    attempts_failed: u64,
    usage: Usage,
    cost: Money,
    /// Attempts without a known price; `cost` says nothing of them.
    unpriced: u64,
}

/// Sums of an hour, a day, or one value of a dimension.
#[derive(ToSchema)]
pub(in crate::admin) struct UsageRow {
    /// When the hour or day began, in milliseconds since 1970; none where it is not by time.
    bucket: Option<i64>,
    /// The value of the dimension; empty for requests that have none.
    group: Option<String>,
    sums: UsageSums,
}

/// How a request ended.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum RequestOutcome {
    Completed,
    Failed,
    Cancelled,
    Interrupted,
}

/// How an attempt ended.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum AttemptOutcome {
    Succeeded,
    Failed,
    Cancelled,
    Interrupted,
}

/// Everything that happened to one request.
#[derive(ToSchema)]
pub(in crate::admin) struct Receipt {
    ticket: String,
    /// The `x-request-id` of its answer.
    request_id: String,
    /// The id of the caller's key.
    key: Option<String>,
    team: Option<String>,
    /// The caller's own tags, each a name and a value.
    tags: Vec<(String, String)>,
    client_addr: Option<String>,
    model_asked: String,
    model_served: Option<String>,
    /// The backend that answered.
    backend: Option<String>,
    pool: Option<String>,
    dialect_in: Dialect,
    dialect_out: Option<Dialect>,
    stream: bool,
    /// The status that the client was given.
    status: u16,
    outcome: RequestOutcome,
    /// The stable code of what went wrong.
    error_code: Option<String>,
    /// Calls to backends.
    attempts: u8,
    /// When it arrived, in milliseconds since 1970.
    at: i64,
    queue_ms: u64,
    first_event_ms: Option<u64>,
    total_ms: u64,
    bytes_in: u64,
    bytes_out: u64,
    usage: Usage,
    usage_source: UsageSource,
    cost: Money,
    /// Whether a price was unknown.
    unpriced: bool,
    price_version: Option<String>,
    /// Whether a keepalive went out before it was known whether it would be answered.
    keepalive_committed: bool,
}

/// One call to one backend.
#[derive(ToSchema)]
pub(in crate::admin) struct AttemptLine {
    /// The ticket and a number.
    attempt: String,
    /// When it began, in milliseconds since 1970.
    at: i64,
    key: Option<String>,
    team: Option<String>,
    tags: Vec<(String, String)>,
    backend: String,
    pool: String,
    /// The backend's provider tag.
    label: String,
    model: String,
    /// The backend's own id for the model.
    native: String,
    outcome: AttemptOutcome,
    status: Option<u16>,
    error_code: Option<String>,
    first_event_ms: Option<u64>,
    total_ms: u64,
    usage: Usage,
    usage_source: UsageSource,
    cost: Money,
    unpriced: bool,
    price_version: Option<String>,
}
