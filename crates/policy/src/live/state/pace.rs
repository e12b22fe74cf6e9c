//! Decides what passing seconds do to rates and cooldowns; never which requests profit.

use std::time::{Duration, Instant};

use super::super::asks::BackendId;
use super::super::event::{EventFields, EventKind};
use super::State;
use super::backends::BackendState;
use crate::limit::{Adaptive, Beside, Pace, Places, Rate, Rates, Retreat, RetreatRules, Seek};

/// How one backend's request rate follows its refusals.
#[derive(Debug, Default)]
pub(in crate::live) enum Pacer {
    /// Not at all.
    #[default]
    Off,
    /// By the rules of retreat.
    Retreat(Box<Retreat>),
    /// By a search, also for how many calls it takes at once.
    Seek(Box<Search>),
}

/// What is searched for.
#[derive(Debug)]
pub(in crate::live) struct Search {
    rate: Seek,
    places: Places,
}

impl Search {
    fn new() -> Self {
        Self { rate: Seek::new(), places: Places::new() }
    }
}

impl Pacer {
    /// The pacer of a mode: the present one, if it is of that mode.
    pub(super) fn adopt(&mut self, adaptive: Adaptive, rules: &RetreatRules) {
        match (adaptive, &self) {
            (Adaptive::Off | Adaptive::Headers, _) => *self = Self::Off,
            (Adaptive::Retreat, Self::Retreat(_)) | (Adaptive::Learned, Self::Seek(_)) => {}
            (Adaptive::Retreat, Self::Off | Self::Seek(_)) => {
                *self = Self::Retreat(Box::new(Retreat::new(rules)));
            }
            (Adaptive::Learned, Self::Off | Self::Retreat(_)) => *self = Self::Seek(Box::new(Search::new())),
        }
    }

    pub(super) fn answered(&mut self, now: Instant) {
        match self {
            Self::Off => {}
            Self::Retreat(retreat) => retreat.answered(now),
            Self::Seek(search) => search.rate.answered(now),
        }
    }

    /// A call goes where so many run.
    pub(super) fn called(&mut self, running: u32) -> Beside {
        match self {
            Self::Off | Self::Retreat(_) => Beside::default(),
            Self::Seek(search) => search.places.called(running),
        }
    }

    /// A call was taken, and so many others run.
    pub(super) fn taken(&mut self, beside: Beside, running: u32, now: Instant) {
        match self {
            Self::Off | Self::Retreat(_) => {}
            Self::Seek(search) => search.places.taken(beside, running, now),
        }
    }

    /// A call that had been taken ended.
    pub(super) fn ended(&mut self) {
        match self {
            Self::Off | Self::Retreat(_) => {}
            Self::Seek(search) => search.places.ended(),
        }
    }

    /// A call was refused without another word, and so many others run. Whether that was for want of a place.
    pub(super) fn refused_beside(&mut self, beside: Beside, running: u32, now: Instant) -> bool {
        match self {
            Self::Off | Self::Retreat(_) => false,
            Self::Seek(search) => search.places.refused(beside, running, now),
        }
    }

    /// How many calls it was found to take at once.
    pub(super) fn places(&self) -> Option<u32> {
        match self {
            Self::Off | Self::Retreat(_) => None,
            Self::Seek(search) => search.places.most(),
        }
    }

    /// A 429 came.
    pub(super) fn limited(&mut self, now: Instant) {
        match self {
            Self::Off | Self::Seek(_) => {}
            Self::Retreat(retreat) => retreat.limited(now),
        }
    }

    /// A 429 began a cooldown; so many calls were taken in the minute before.
    pub(super) fn refused(&mut self, base: Rate, taken: u64, told: Option<Duration>, now: Instant) {
        match self {
            Self::Off | Self::Retreat(_) => {}
            Self::Seek(search) => {
                search.rate.refused(base, taken, told, now);
                search.places.rested();
            }
        }
    }

    /// Makes the evaluations that are due, and tells what came of them.
    pub(super) fn evaluate(
        &mut self,
        allowance: (Rate, u64),
        rules: &RetreatRules,
        now: Instant,
        tell: impl FnMut(Pace),
    ) {
        let (base, taken) = allowance;
        match self {
            Self::Off => {}
            Self::Retreat(retreat) => retreat.evaluate(base, rules, now, tell),
            Self::Seek(search) => {
                search.rate.evaluate(base, taken, now);
                search.places.evaluate(now);
            }
        }
    }

    /// What holds of what is configured.
    pub(super) fn rates(&self, base: Rates) -> Rates {
        let (requests, burst, apart) = match self {
            Self::Off => (base.requests, None, Duration::ZERO),
            Self::Retreat(retreat) => (base.requests.min(retreat.rate()), None, Duration::ZERO),
            Self::Seek(search) => {
                let Search { rate, .. } = &**search;
                (rate.rate().unwrap_or(base.requests), rate.burst(), rate.apart())
            }
        };
        if requests == base.requests && burst.is_none() {
            return base;
        }
        let minute = requests.a_minute().max(1);
        let own = if base.requests.is_unlimited() || requests > base.requests { minute } else { base.burst };
        Rates { requests, burst: own.min(burst.unwrap_or(minute)), apart, ..base }
    }

    pub(super) fn reset(&mut self, rules: &RetreatRules) {
        match self {
            Self::Off => {}
            Self::Retreat(retreat) => retreat.reset(rules),
            Self::Seek(search) => **search = Search::new(),
        }
    }

    /// When passing time alone changes the rate.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Off => None,
            Self::Retreat(retreat) => retreat.due(),
            Self::Seek(search) => search.rate.due().into_iter().chain(search.places.due()).min(),
        }
    }

    /// How it stands, for those who look.
    pub(in crate::live) fn pace(&self) -> Pace {
        match self {
            Self::Off | Self::Seek(_) => Pace::Normal,
            Self::Retreat(retreat) => retreat.pace(),
        }
    }
}

impl State {
    /// Does what time has made due: evaluates rates, and tells of cooldowns that are over. True when it
    /// did: then those who wait may start, and go before whoever comes now.
    pub(in crate::live) fn keep_pace(&mut self, now: Instant) -> bool {
        if self.pace_due.is_none_or(|due| now < due) {
            return false;
        }
        let mut next: Option<Instant> = None;
        for (backend, id) in self.backends.iter_mut().zip(0_u32..) {
            let id = BackendId(id);
            let board = &mut self.board;
            backend.evaluate(&self.settings.adaptive.retreat, now, |pace| {
                board.event(told(pace), Some(id), EventFields::default(), now);
            });
            if backend.cooldown.tell_end(now) {
                board.event(EventKind::CooldownEnded, Some(id), EventFields::default(), now);
            }
            next = next.into_iter().chain(backend.pace_due()).min();
        }
        self.pace_due = next;
        self.routing.open_where(|_| true);
        true
    }

    /// Something happened to a backend that may make it due sooner.
    pub(super) fn watch_pace(&mut self, id: BackendId) {
        let due = self.backends.get(super::at(id.0)).and_then(BackendState::pace_due);
        self.pace_due = self.pace_due.into_iter().chain(due).min();
    }
}

fn told(pace: Pace) -> EventKind {
    match pace {
        Pace::Normal => EventKind::RetreatEnded,
        Pace::Retreat => EventKind::RetreatStarted,
        Pace::Recover => EventKind::RetreatEnding,
    }
}
