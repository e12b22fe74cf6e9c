//! What may be written about cooldowns, breakers and adaptive rates, exactly as it is typed; nothing is defaulted here.

use super::super::bind::{choice, shape};
use super::super::quantity::{Count, Span};
use super::{HOUR, SECOND, Wait, WaitOrNone};

choice! {
    /// How a cooldown grows with each 429 in a row.
    pub enum Growth {
        /// Doubles.
        Exponential = "exponential",
        /// Adds the base again.
        Linear = "linear",
    }
}

choice! {
    /// What a provider's `Retry-After` counts for.
    pub enum RetryAfter {
        /// It is believed, also where it is shorter than our own cooldown.
        Provider = "provider",
        /// It is kept to where it is longer than our own cooldown.
        Longest = "longest",
    }
}

shape! {
    /// How long a backend rests after saying 429.
    pub struct Cooldown {
        /// After the first. Default: 1s.
        pub base: Option<Wait>,
        /// At most. Default: 600s.
        pub max: Option<Wait>,
        /// Default: exponential.
        pub growth: Option<Growth>,
        /// Default: provider.
        pub retry_after: Option<RetryAfter>,
        /// No effect: while a backend rests it is never chosen, in an emergency neither, however much is left. Default: 10s.
        pub precheck: Option<WaitOrNone>,
    }
}

shape! {
    /// When a backend that keeps failing is left alone. 429s are the cooldown's and do not count here.
    pub struct Breaker {
        /// Failures in a row. Default: 5.
        pub failures: Option<Count<1, 1_000_000>>,
        /// Or this share of failures, in percent. Default: 50.
        pub share_percent: Option<Count<1, 100>>,
        /// Of at least so many calls. Default: 20.
        pub calls_min: Option<Count<1, 1_000_000>>,
        /// Within this time. Default: 30s.
        pub window: Option<Span<SECOND, HOUR>>,
        /// For how long, the first time; twice as long each time that its probe fails. Default: 15s.
        pub base: Option<Wait>,
        /// For how long at most. Default: 300s.
        pub max: Option<Wait>,
    }
}

choice! {
    /// How a backend's limits by the minute are kept to.
    pub enum RateWindow {
        /// In no sixty seconds more than a minute's amount.
        Minute = "minute",
        /// By a bucket alone: after a pause up to twice a minute's amount.
        Bucket = "bucket",
    }
}

choice! {
    /// What follows from what providers tell and from their refusals, beside cooldowns.
    pub enum AdaptiveMode {
        /// Nothing.
        Off = "off",
        /// Less than configured, while the provider says that less is left.
        Headers = "headers",
        /// The same, and while the provider keeps saying 429.
        Retreat = "retreat",
        /// As much as the provider says, or as a search finds where it says nothing; also more than configured.
        Learned = "learned",
    }
}

shape! {
    /// How rates follow what providers say and refuse.
    pub struct Adaptive {
        /// Default: learned.
        pub mode: Option<AdaptiveMode>,
        /// The figures of a retreat.
        pub retreat: Option<Retreat>,
    }
}

shape! {
    /// When the rate of a backend that keeps saying 429 is drawn back, how far, and how it returns.
    pub struct Retreat {
        /// Over what time 429s are counted. Default: 60s.
        pub window: Option<Span<{ 10 * SECOND }, HOUR>>,
        /// The share of 429s that begins a retreat, in percent. Default: 5.
        pub enter_percent: Option<Count<1, 100>>,
        /// The share at which it goes on each second, in percent. Default: 10.
        pub again_percent: Option<Count<1, 100>>,
        /// What each step leaves of the rate, in percent. Default: 75.
        pub factor_percent: Option<Count<1, 99>>,
        /// The lowest rate, in requests per minute. Default: 5.
        pub floor_rpm: Option<Count<1, 10_000_000>>,
        /// The share under which the backend is calm, in percent. Default: 2.
        pub calm_percent: Option<Count<1, 100>>,
        /// For how long it must be calm before its rate recovers. Default: 120s.
        pub calm_for: Option<Span<0, HOUR>>,
        /// What comes back each second, in requests per minute. Default: 2.
        pub step_rpm: Option<Count<1, 10_000_000>>,
        /// The share above which an alert is raised, in percent. Default: 20.
        pub alert_percent: Option<Count<1, 100>>,
        /// Answers within the window below which no share is judged. Default: 20.
        pub samples_min: Option<Count<1, 1_000_000>>,
    }
}
