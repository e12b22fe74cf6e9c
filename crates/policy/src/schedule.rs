//! Decides when and where an attempt may run; never waits, and never learns anything but what it is told.

mod affinity;
mod breaker;
mod cooldown;
mod hedge;
mod pace;
mod pick;
mod retry;
mod trust;

pub use affinity::AffinityRules;
pub(crate) use affinity::{Bid, mix};
pub(crate) use breaker::Breaker;
pub use breaker::BreakerRules;
pub(crate) use cooldown::Cooldown;
pub use cooldown::{CooldownGrowth, CooldownRules, RetryAfter};
pub use hedge::HedgeRules;
pub(crate) use hedge::Hedges;
pub(crate) use pace::Paces;
pub(crate) use pick::Load;
pub use pick::Strategy;
pub(crate) use retry::RetryBudget;
pub use retry::{Failures, Repeat, backoff};
pub(crate) use trust::Trust;

use std::time::Instant;

/// What a cooldown or breaker says to a new lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Nothing stands against it.
    Free,
    /// It may run alone, to find out whether the trouble is over.
    AsProbe,
    /// Not before then.
    NotBefore(Instant),
    /// Not while the probe is out.
    WhileProbed,
}

/// As what a lease was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// One of many.
    Regular,
    /// The single probe.
    Probe,
}
