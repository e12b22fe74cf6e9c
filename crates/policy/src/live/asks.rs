//! Decides what can be asked of `Live` and what it can answer; never decides any of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{Dialect, Failure, FailureKind, Needs, Taint};
use smallvec::SmallVec;

use crate::backend::Dialects;
use crate::catalog::Route;
use crate::identity::{Class, Key};
use crate::limit::{Beside, Mark, WaiterId};

/// Where a backend's state is kept: an index, stable for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u32);

/// Where the state of one model on a backend is kept: an index, stable for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub u32);

/// Where a key's state is kept: an index, stable for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySlot(pub u32);

/// An ask that wants in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Whose.
    pub key: KeySlot,
    /// How many of the key's requests may be in flight, as its snapshot has it.
    pub concurrency: Option<u32>,
    /// How much it is worth waiting for.
    pub class: Class,
    /// What it may use: prompt and answer, estimated.
    pub tokens: u64,
    /// What it holds in memory while it waits.
    pub bytes: u64,
    /// When it stops waiting.
    pub deadline: Instant,
}

/// What became of an [`Admission`].
#[derive(Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is in; `discharge` gives its place back.
    Now,
    /// It waits; a [`Grant`] will name it, unless it leaves.
    Wait(WaiterId),
    /// It is not let in.
    Refused(Refused),
}

/// What an attempt wants of a backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// What the dialect is for.
    #[default]
    Answer,
    /// How many tokens the prompt has, which not all who speak the dialect tell.
    Count,
}

/// An attempt that wants a backend.
#[derive(Debug, Clone)]
pub struct Want {
    /// Where it may go, best tier first.
    pub route: Arc<Route>,
    /// The dialects it can be put in, that of the client among them.
    pub dialects: Dialects,
    /// What it wants of a backend.
    pub purpose: Purpose,
    /// What the backend must be able to carry.
    pub needs: Needs,
    /// How much it is worth waiting for.
    pub class: Class,
    /// Whose.
    pub caller: KeySlot,
    /// Backends this request has been to; left out while another could serve it in time.
    pub tried: SmallVec<[BackendId; 5]>,
    /// The only backend that knows the ids this request speaks of.
    pub bound: Option<BackendId>,
    /// What it may use: prompt and answer, estimated.
    pub tokens: u64,
    /// What stands for the requests that it belongs together with, for their backend's cache is warm.
    pub affinity: Option<u64>,
    /// Attempts of this request that were emergencies.
    pub emergencies: u8,
    /// What it holds in memory while it waits.
    pub bytes: u64,
    /// When it stops waiting.
    pub deadline: Instant,
}

impl Want {
    /// A first attempt of a plain chat request.
    #[must_use]
    pub fn plain(route: Arc<Route>, key: &Key, deadline: Instant) -> Self {
        Self {
            route,
            dialects: Dialects::conversing().and(Dialect::OpenAiChat),
            purpose: Purpose::Answer,
            needs: Needs::default(),
            class: Class::Normal.capped(key.priority_max),
            caller: key.slot,
            tried: SmallVec::new(),
            bound: None,
            tokens: 0,
            affinity: None,
            emergencies: 0,
            bytes: 0,
            deadline,
        }
    }

    /// The same, as part of a session that its client names.
    #[must_use]
    pub fn in_session(self, name: &str) -> Self {
        Self { affinity: Some(protocol::digest(name.as_bytes())), ..self }
    }
}

/// What became of a [`Want`].
#[derive(Debug, PartialEq, Eq)]
pub enum Leased {
    /// It has a backend; `release` gives it back.
    Now(Slot),
    /// It waits; a [`Grant`] will name it, unless it leaves.
    Wait(WaiterId),
    /// It gets none.
    Refused(Refused),
}

/// One attempt's place on one backend. Not `Clone`: it is given back exactly once, by `release`.
#[derive(Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which backend.
    pub backend: BackendId,
    /// Which tier of the route.
    pub tier: usize,
    /// Which candidate of the tier.
    pub candidate: usize,
    /// What is reserved for it.
    pub tokens: u64,
    /// Whether it is the single probe after a cooldown or an open breaker.
    pub probe: bool,
    /// Whether it goes beyond the backend's rate, because all backends were spent.
    pub emergency: bool,
    /// What it has used of `tokens`, when that is known and the outcome does not say it.
    pub spent: Option<u64>,
    /// What it was estimated to use.
    pub(crate) estimated: u64,
    /// Counts leases.
    pub(crate) lease: u64,
    /// The model on the backend.
    pub(crate) model: Option<ModelId>,
    /// What stands for it on all backends.
    pub(crate) model_mark: u64,
    /// Whether its request has failed there before.
    pub(crate) is_repeat: bool,
    /// Tells which calls an answer's headers know of.
    pub(crate) mark: Mark,
    /// Tells what ran there beside it.
    pub(crate) beside: Beside,
}

/// News for one who waits.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who. It waits no longer.
    pub waiter: WaiterId,
    /// What it gets. Should it be gone, a slot goes back by `release` with [`Outcome::Neutral`], an
    /// admission by `discharge`.
    pub what: Granted,
}

/// What one who waited gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Granted {
    /// It is in; what `discharge` takes to give its place back.
    Admitted(KeySlot),
    /// It has a backend.
    Slot(Slot),
    /// Neither.
    Refused(Refused),
}

/// Why not, and when it may be worth asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why not.
    pub reason: RefusedReason,
    /// The earliest time at which the answer can be another one, as far as is known; else a guess of a second.
    pub retry_after: Duration,
}

/// Why an ask was not let in, or an attempt got no backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedReason {
    /// The gateway had too much in flight for as long as the ask could wait.
    Backpressure,
    /// Backends serve it, but none came free for as long as the attempt could wait.
    QueueTimeout,
    /// No place was left to wait in.
    QueueFull,
    /// No backend serves it, or all that do are disabled or in error.
    NoBackend,
    /// All backends that serve it rest or are spent until after the deadline.
    AllPoolsExhausted,
    /// The key had too much in flight for as long as the ask could wait.
    ConcurrencyLimited,
    /// The key has spent its own rate.
    RateLimited,
    /// The one backend that knows the ids is gone, disabled or in error.
    BoundBackendGone,
    /// Backends serve the model, but none can carry what the ask holds.
    Unsupported,
    /// Local processes serve it, and none of them can be called now.
    NotReady,
}

impl RefusedReason {
    /// Its name in events and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Backpressure => "backpressure",
            Self::QueueTimeout => "queue_timeout",
            Self::QueueFull => "queue_full",
            Self::NoBackend => "no_backend",
            Self::AllPoolsExhausted => "all_pools_exhausted",
            Self::ConcurrencyLimited => "concurrency_limited",
            Self::RateLimited => "rate_limited",
            Self::BoundBackendGone => "bound_backend_gone",
            Self::Unsupported => "unsupported",
            Self::NotReady => "not_ready",
        }
    }
}

/// How an attempt ended, as far as the backend is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Success {
        /// What it used, when known.
        tokens: Option<u64>,
    },
    /// With a failure.
    Failed(FailureSummary),
    /// In a way that says nothing about the backend: the caller's fault, or the caller left.
    Neutral,
}

/// What of a failure concerns the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureSummary {
    /// What it casts doubt on.
    pub taint: Taint,
    /// Whether the provider said 429.
    pub rate_limited: bool,
    /// Whether the provider said 401 or 403.
    pub unauthorized: bool,
    /// When the provider said to come back.
    pub retry_after: Option<Duration>,
    /// For the operator; free of secrets.
    pub detail: Box<str>,
}

impl From<&Failure> for FailureSummary {
    fn from(failure: &Failure) -> Self {
        Self {
            taint: failure.taint(),
            rate_limited: failure.kind == FailureKind::RateLimited,
            unauthorized: failure.kind == FailureKind::Unauthorized,
            retry_after: failure.retry_after,
            detail: failure.to_string().into(),
        }
    }
}

/// How a key stands with its own rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRate {
    /// Requests a minute.
    pub limit: u32,
    /// Requests it may send at once.
    pub remaining: u32,
    /// How long until it may send `limit` at once again.
    pub reset: Duration,
}

/// How a key stands with its own limit of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTokens {
    /// Tokens a minute.
    pub limit: u64,
    /// Tokens it may use at once.
    pub remaining: u64,
    /// How long until it may use `limit` at once again.
    pub reset: Duration,
}

/// What the active prober saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// What follows from it.
    pub result: ProbeResult,
    /// The status the backend answered, if it did.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

/// What follows from a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// The backend answered as it should.
    Passed,
    /// It did not answer, or that it is broken.
    Missed,
    /// It answered, but nothing that tells whether it would serve: that there is no such list, say.
    Unclear,
}
