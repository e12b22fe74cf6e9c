//! What may be written of how requests wait and where they go, exactly as it is typed; nothing is defaulted here.

use super::super::bind::{choice, shape};
use super::super::quantity::{Count, Fraction, Span};
use super::{HOUR, SECOND};

choice! {
    /// What happens to a request that finds the queue full.
    pub enum QueuePolicy {
        /// It gets 503 `queue_full`.
        Reject = "reject",
        /// The worst who waits gets that, if it is worse.
        DropLowest = "drop_lowest",
        /// It starts beyond the rate limits, where a backend is well and has a slot.
        Passthrough = "passthrough",
    }
}

choice! {
    /// When a later pool is used.
    pub enum Spill {
        /// As soon as no backend of an earlier one can start the request.
        Immediate = "immediate",
        /// When none of an earlier one can start it before its deadline.
        Wait = "wait",
    }
}

shape! {
    /// How a backend is found.
    pub struct Routing {
        /// When a later pool is used. Default: immediate.
        pub spill: Option<Spill>,
        /// What emergencies may add to a backend's requests a minute, when all backends are spent; 0 is off. Default: 0.
        pub emergency_fraction: Option<Fraction<0, 100>>,
    }
}

shape! {
    /// How requests that belong together are kept where their provider's cache is warm.
    pub struct Affinity {
        /// Default: true.
        pub enabled: Option<bool>,
        /// The price of a cold cache: how much longer than elsewhere a request may have to wait there. Default: 2s.
        pub cold_cache: Option<Span<0, HOUR>>,
    }
}

shape! {
    /// When a second attempt on another backend races a first one whose first event is late. Streams only.
    pub struct Hedging {
        /// Default: false.
        pub enabled: Option<bool>,
        /// The share of a model's streams that begin sooner than one that is late. Default: 0.95.
        pub quantile: Option<Fraction<50, 99>>,
        /// Second attempts at most, as a share of a model's requests, in percent. Default: 3.
        pub spend_max_percent: Option<Count<0, 100>>,
    }
}

shape! {
    /// When backends that nobody calls, or that are in trouble, are asked how they are, spending no tokens.
    pub struct Probe {
        /// Default: true.
        pub enabled: Option<bool>,
        /// How often each of them is, all of them spread over it. Lists of models are refreshed as often. Default: 60s.
        pub interval: Option<Span<SECOND, HOUR>>,
        /// How long an answer may take; cut to the interval. Default: 10s.
        pub timeout: Option<Span<1, HOUR>>,
    }
}

shape! {
    /// What holds for one model on all backends.
    pub struct ModelRules {
        /// How its backend is chosen within each pool. Default: as the pool says.
        pub strategy: Option<Strategy>,
    }
}

choice! {
    /// How a backend is chosen within a pool.
    pub enum Strategy {
        /// The one with the fewest requests.
        LeastInFlight = "least_in_flight",
        /// Each in turn.
        RoundRobin = "round_robin",
        /// By lot, in proportion to weight.
        Weighted = "weighted",
        /// Of two drawn by lot, the one that is expected to begin its answer sooner.
        Latency = "latency",
        /// The cheapest for the model.
        Cost = "cost",
        /// The first in the file.
        Priority = "priority",
    }
}

shape! {
    /// A tier of backends.
    pub struct Pool {
        /// Default: least_in_flight.
        pub strategy: Option<Strategy>,
        /// Its place in the order; `primary` is 0 and `fallback` is 1. Default: as written, after those.
        pub rank: Option<Count<0, 1000>>,
    }
}
