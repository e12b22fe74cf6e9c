//! Decides what is allowed, where it goes and what it costs; never waits, reads a clock, draws a lot by
//! itself, or does any input or output. Time and chance are arguments.

pub mod access;
pub mod backend;
pub mod catalog;
pub mod identity;
pub mod limit;
pub mod live;
pub mod money;
pub mod receipt;
pub mod schedule;
pub mod snapshot;
#[cfg(test)]
mod testing;
mod timestamp;

pub use access::{Denial, may_call, may_enter, may_take, may_use};
pub use backend::{
    Addressing, Backend, BackendKind, BackendLimits, Dialects, HeaderRules, MODELS_PATH, ModelLimits, Shown,
    Source, Spoken, VENDORS, Vendor, answer_path, gemini_path, stream_path, vendor_named, vendor_of_host,
};
pub use catalog::{
    Candidate, Carries, Catalog, Longest, ModelListing, NoSuchModel, OUTPUT_TOKENS_UNKNOWN, Route, Tier,
};
pub use identity::{
    AddressSet, Class, Digest, Digester, Endpoint, EndpointSet, Identity, Key, KeyLimits, ModelSet,
    OWN_KEY_PREFIX, Secret, TAG_BYTES_MAX, TAGS_MAX, Team, UnknownEndpoint, masked,
};
pub use limit::{Adaptive, Pace, RateWindow, RetreatRules, WaiterId};
pub use live::{
    Admission, Admitted, BackendId, BackendStatus, CandidateVerdict, Decision, Event, EventFields, EventKind,
    Explanation, FailureSummary, Grant, Granted, Health, KeyRate, KeySlot, KeyTokens, Leased, Live, ModelId,
    ModelStatus, Outcome, ProbeResult, ProbeStatus, Probed, Purpose, QueueStatus, Reach, Refused,
    RefusedReason, Slot, Status, Told, Verdict, WaitingByClass, Want,
};
pub use money::{
    Amount, AmountError, Budget, BudgetBook, BudgetSlot, BudgetStatus, Crossed, Exceeded, Hold, Payer,
    Period, Price, PriceBook, PriceSpec, THRESHOLDS, UnknownPeriod, Window,
};
/// What backends speak is said in protocol's words.
pub use protocol::{Deadlines, Dialect};
pub use receipt::{
    AttemptId, AttemptOutcome, Bound, Closed, Entry, NotAnId, Opened, Progress, Reasoned, Receipt,
    RequestOutcome, TicketId, reasons,
};
pub use schedule::{
    AffinityRules, BreakerRules, CooldownGrowth, CooldownRules, Failures, HedgeRules, Repeat, RetryAfter,
    Strategy, backoff,
};
pub use snapshot::{
    AdaptiveSettings, BackendSpec, BudgetOf, BudgetSpec, CaptureLimits, CaptureRules, CaptureSpec, Captured,
    CorsRules, Draft, KeepaliveRules, KeptRules, KeySecret, KeySpec, ModelSpec, PoolSpec, ProbeRules,
    Problem, QueuePolicy, ResumeRules, Snapshot, Spill, TeamSpec, TrafficSettings,
};
pub use timestamp::{DAY_MS, HOUR_MS, Timestamp, millis};
