//! Decides which contenders there are and how they are spoken to; each decides for itself who goes where.

mod baseline;
mod lockgate;
mod seer;

use std::time::Duration;

use policy::{Adaptive, RateWindow, RetryAfter, TrafficSettings};
use protocol::FailureKind;

use crate::At;
use crate::provider::{Health, Said};
use crate::run::Visible;
use crate::scenario::Scenario;
use crate::traffic::Request;

use baseline::Baseline;
use lockgate::Lockgate;
use seer::Seer;

/// Something that leads requests to providers.
pub(crate) trait Router {
    /// A request came.
    fn arrived(&mut self, request: Asked<'_>, now: At, orders: &mut Vec<Order>);

    /// The headers of an answer came.
    fn accepted(&mut self, request: Asked<'_>, now: At, orders: &mut Vec<Order>);

    /// What the headers of an answer say, or those of a failure that is told next.
    fn heard(&mut self, request: Asked<'_>, said: Said, now: At, orders: &mut Vec<Order>);

    /// A call ended.
    fn ended(&mut self, request: Asked<'_>, ended: Ended, now: At, orders: &mut Vec<Order>);

    /// A provider has answered how it is.
    fn found(&mut self, provider: usize, health: Health, now: At, orders: &mut Vec<Order>);

    /// The time came that was asked for.
    fn tick(&mut self, now: At, orders: &mut Vec<Order>);

    /// When it wants to be called if nothing happens before.
    fn next_tick(&mut self) -> Option<At>;
}

/// A request, and its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) number: usize,
    pub(crate) request: &'a Request,
}

/// How a call ended, as a gateway sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) provider: usize,
    /// None: with an answer.
    pub(crate) failure: Option<FailureKind>,
    pub(crate) retry_after: Option<Duration>,
}

/// What a router wants done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Call a provider for a request, after a pause.
    Call { number: usize, provider: usize, pause: Duration },
    /// Tell its client that it failed.
    Fail { number: usize, visible: Visible },
    /// Ask a provider how it is.
    Ask { provider: usize },
}

/// Who leads the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contender {
    /// Lockgate as it is when nothing is configured.
    Lockgate,
    /// Lockgate with `adaptive: headers`: never more than what is written down.
    Headers,
    /// Lockgate with `adaptive: off`: what is written down is what is sent.
    Fixed,
    /// Lockgate with the rules of the sidecars it replaces: a bucket alone, half a minute's cooldown, retreat.
    Seeds,
    /// Lockgate with `affinity: {enabled: false}`: conversations go anywhere.
    Roaming,
    /// Lockgate whose conversations are bound each to one backend, and wait for it.
    Sticky,
    /// Any backend by lot; one that said 429 or kept failing is left out for five seconds; three tries.
    Shuffle,
    /// The backend that was used least in this minute, as long as what was written down allows.
    Usage,
    /// One backend after the other, whatever they say.
    Unlimited,
    /// Whoever has room, as one sees who knows what every backend has counted, but not what is to come.
    Seer,
    /// Whoever has not said to come back later, one call after the other.
    Asker,
}

impl Contender {
    /// Those who always play, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Lockgate,
        Self::Headers,
        Self::Fixed,
        Self::Seeds,
        Self::Shuffle,
        Self::Usage,
        Self::Unlimited,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lockgate => "lockgate",
            Self::Headers => "headers",
            Self::Fixed => "fixed",
            Self::Seeds => "seeds",
            Self::Roaming => "no affinity",
            Self::Sticky => "hard affinity",
            Self::Shuffle => "shuffle",
            Self::Usage => "usage",
            Self::Unlimited => "no limiter",
            Self::Seer => "all-seeing",
            Self::Asker => "ever-asking",
        }
    }

    /// Whether it is Lockgate, for which the bars are.
    #[must_use]
    pub fn is_ours(self) -> bool {
        match self {
            Self::Lockgate => true,
            Self::Headers
            | Self::Fixed
            | Self::Seeds
            | Self::Roaming
            | Self::Sticky
            | Self::Shuffle
            | Self::Usage
            | Self::Unlimited
            | Self::Seer
            | Self::Asker => false,
        }
    }

    pub(crate) fn router(self, scenario: &Scenario, seed: u64) -> Box<dyn Router> {
        match self {
            Self::Lockgate => Box::new(Lockgate::new(scenario, seed, TrafficSettings::default())),
            Self::Headers => Box::new(Lockgate::new(scenario, seed, adaptive(Adaptive::Headers))),
            Self::Fixed => Box::new(Lockgate::new(scenario, seed, adaptive(Adaptive::Off))),
            Self::Seeds => Box::new(Lockgate::new(scenario, seed, seeds())),
            Self::Roaming => Box::new(Lockgate::new(scenario, seed, roaming())),
            Self::Sticky => Box::new(Lockgate::new(scenario, seed, TrafficSettings::default()).bound()),
            Self::Shuffle => Box::new(Baseline::shuffle(scenario, seed)),
            Self::Usage => Box::new(Baseline::usage(scenario, seed)),
            Self::Unlimited => Box::new(Baseline::unlimited(scenario, seed)),
            Self::Seer => Box::new(Seer::of_counts(scenario, seed)),
            Self::Asker => Box::new(Seer::of_refusals(scenario, seed)),
        }
    }
}

fn adaptive(mode: Adaptive) -> TrafficSettings {
    let mut settings = TrafficSettings::default();
    settings.adaptive.mode = mode;
    settings
}

fn roaming() -> TrafficSettings {
    let mut settings = TrafficSettings::default();
    settings.affinity.enabled = false;
    settings
}

fn seeds() -> TrafficSettings {
    let mut settings = adaptive(Adaptive::Retreat);
    settings.rate_window = RateWindow::Bucket;
    settings.cooldown.base = Duration::from_secs(30);
    settings.cooldown.retry_after = RetryAfter::Longest;
    settings.limited_max = 0;
    settings.emergency_percent = 10;
    settings
}
