//! Decides what a scenario is made of: providers as they truly are, traffic as it truly comes; never how it is met.

mod suite;

use std::time::Duration;

use policy::{BackendLimits, Class};

use crate::At;
use crate::bars::Bars;
use crate::router::Contender;

pub use suite::suite;

/// One situation, as data.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name, unique; what `--scenario` takes.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    /// Requests come until then.
    pub length: At,
    /// Who serves.
    pub providers: Vec<Provider>,
    /// Who asks.
    pub streams: Vec<Stream>,
    /// The share of `low` at which nothing is overloaded: where given, what is urgent must not wait longer
    /// than it would then.
    pub calm_share: Option<f64>,
    /// Who plays beside those who always do.
    pub also: Vec<Contender>,
    /// What is good enough.
    pub bars: Bars,
}

/// One account at a provider: what the operator wrote down, and the truth.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub pool: &'static str,
    /// What one answer costs, whatever its length: so that nothing is gained by choosing short ones.
    pub price: f64,
    /// Whether it keeps prompts, and what that is worth.
    pub cache: Option<Cache>,
    /// What the operator wrote down.
    pub told: BackendLimits,
    /// The true limits, each in force from its time on; the first from the start.
    pub limits: Vec<(At, Limits)>,
    /// How it counts.
    pub window: Window,
    /// What it says of its limits.
    pub says: Says,
    /// How fast it is.
    pub pace: Pace,
    /// When it fails.
    pub troubles: Vec<Trouble>,
    /// Requests a minute of somebody unseen, who shares its limit and is served first.
    pub neighbour_rpm: f64,
}

/// A provider's cache of prompts: it is warm for a conversation of which it took a call lately.
#[derive(Debug, Clone, Copy)]
pub struct Cache {
    /// For how long after a call.
    pub keeps: Duration,
    /// The share of the price that a warm answer costs.
    pub price: f64,
    /// The share of the time to the first event that a warm answer takes.
    pub time: f64,
}

/// What a provider truly allows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Requests a minute.
    pub rpm: Option<u32>,
    /// Tokens a minute, prompt and answer together.
    pub tpm: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u32>,
}

/// How a provider counts a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Window {
    /// The last sixty seconds, at any moment.
    Sliding,
    /// From one full minute to the next, which begin so long after ours.
    Fixed {
        /// How long after ours.
        offset: Duration,
    },
    /// A bucket of so many requests, refilled all the time; tokens have a bucket of one minute's worth.
    Bucket {
        /// Requests in a full bucket.
        burst: u32,
    },
}

/// What a provider says of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Nothing: a bare 429.
    Nothing,
    /// `Retry-After` on each 429.
    RetryAfter,
    /// Also what is left and when it is whole again, on every answer.
    Headers,
}

/// How fast a provider answers.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Half of all answers begin within this time.
    pub first_event: Duration,
    /// How far that spreads: the sigma of a log-normal distribution.
    pub spread: f64,
    /// For each token of the answer.
    pub token: Duration,
}

/// A time in which a provider is not itself.
#[derive(Debug, Clone, Copy)]
pub struct Trouble {
    /// Its beginning.
    pub from: At,
    /// Its end.
    pub until: At,
    /// What.
    pub kind: TroubleKind,
}

/// What is wrong with a provider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TroubleKind {
    /// A share of its answers is a 503.
    Errors(f64),
    /// It takes calls and never answers.
    Hangs,
    /// It takes no connection.
    Refuses,
    /// It answers so many times slower.
    Slow(f64),
    /// It does not accept the credential, and says so to whoever asks.
    Revoked,
    /// It does not accept the credential, but lists its models to everybody: a probe sees nothing.
    RevokedUnseen,
}

/// Requests of one kind.
#[derive(Debug, Clone)]
pub struct Stream {
    /// How many callers send them, evenly.
    pub callers: u32,
    /// What they ask to be.
    pub class: Class,
    /// What they belong to; none: each to itself.
    pub conversations: Option<Conversations>,
    /// How many come in a minute, of all callers together.
    pub per_minute: f64,
    /// How they are spread.
    pub shape: Shape,
    /// Tokens of the prompt.
    pub prompt: Sizes,
    /// Tokens of the answer.
    pub output: Sizes,
    /// Tokens that the answer may have, as the client says.
    pub output_max: u64,
    /// How long they wait for a backend.
    pub patience: Duration,
}

/// How requests belong together: each is part of one of so many conversations.
#[derive(Debug, Clone, Copy)]
pub struct Conversations {
    /// How many there are at a time; another one begins when one ends.
    pub at_once: u32,
    /// How many requests one has, on average.
    pub turns: f64,
}

/// How requests are spread over time.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Evenly, by chance.
    Steady,
    /// As steady, but so many times more for a while, again and again.
    Bursts {
        /// From the beginning of one to that of the next.
        every: Duration,
        /// How long each lasts.
        lasting: Duration,
        /// How many times more.
        factor: f64,
    },
    /// As steady, but so many times more (or less) between two times.
    Step {
        /// Its beginning.
        from: At,
        /// Its end.
        until: At,
        /// How many times more.
        factor: f64,
    },
    /// Up and down in a wave between a share of the rate and all of it.
    Wave {
        /// From one peak to the next.
        period: Duration,
        /// The share at the bottom.
        floor: f64,
    },
    /// As steady, and so many at the very start.
    Herd(u32),
}

/// Sizes that follow a log-normal distribution.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Half are smaller.
    pub median: f64,
    /// How far they spread; 0 makes all alike.
    pub spread: f64,
    /// None is larger.
    pub max: u64,
}

impl Scenario {
    /// The same without the overload of `low`, if it has one: what is urgent comes at the same times.
    pub(crate) fn calm(&self) -> Option<Self> {
        let share = self.calm_share?;
        let mut calm = self.clone();
        for stream in calm.streams.iter_mut().filter(|stream| stream.class == Class::Low) {
            stream.per_minute *= share;
        }
        Some(calm)
    }
}

impl Provider {
    /// The true limits at a time.
    #[must_use]
    pub fn limits_at(&self, at: At) -> Limits {
        let in_force = self.limits.iter().take_while(|(from, _)| *from <= at).last();
        in_force.map(|(_, limits)| *limits).unwrap_or_default()
    }

    /// What is wrong with it at a time.
    pub(crate) fn troubles_at(&self, at: At) -> impl Iterator<Item = TroubleKind> {
        self.troubles
            .iter()
            .filter(move |trouble| trouble.from <= at && at < trouble.until)
            .map(|one| one.kind)
    }
}

impl Pace {
    /// How long a call takes to its first event and to its end, for one whose luck is `luck` (a draw from
    /// the standard normal distribution) and whose answer has so many tokens.
    pub(crate) fn call(&self, luck: f64, output: u64) -> (Duration, Duration) {
        let first_event = self.first_event.mul_f64((self.spread * luck).exp());
        let tokens = u32::try_from(output).unwrap_or(u32::MAX);
        (first_event, first_event + self.token * tokens)
    }
}
