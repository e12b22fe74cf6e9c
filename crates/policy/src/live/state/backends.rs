//! Decides what each outcome, reload and order does to one backend; never which requests it gets.

mod outcomes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::Quota;

use super::super::asks::{FailureSummary, ModelId, Slot};
use super::super::names::Names;
use super::super::routing::{Bounds, Later};
use super::pace::Pacer;
use super::{State, at};
use crate::backend::{Backend, BackendKind, Dialects, ModelLimits};
use crate::identity::Class;
use crate::limit::{
    Adaptive, Alarm, Allowance, Beside, InFlight, Mark, Pace, Portion, Rate, Rates, Reserve, RetreatRules,
    Usual,
};
use crate::schedule::{Bid, Breaker, Cooldown, Load, Paces, Permit, Standing, Trust};
use crate::snapshot::TrafficSettings;

/// What a lease looks at: small, and side by side with the others.
#[derive(Debug)]
pub(in crate::live) struct BackendState {
    pub(in crate::live) kind: BackendKind,
    pub(in crate::live) dialects: Dialects,
    /// The dialects in which it also counts tokens.
    pub(in crate::live) counts: Dialects,
    /// Part of the snapshot and enabled there.
    pub(in crate::live) enabled: bool,
    /// Whether it is there to be called; only local processes ever are not.
    pub(in crate::live) is_present: bool,
    /// Whether its credential was refused, and nobody has cleared that yet.
    pub(in crate::live) trust: Trust,
    pub(in crate::live) in_flight: InFlight,
    /// How many calls may run at once by the configuration.
    concurrency: Option<u32>,
    /// What the account may be sent.
    pub(in crate::live) allowance: Allowance,
    /// What single models on it may be sent; each is made when it is first limited or leased.
    pub(in crate::live) models: Vec<Option<Box<Allowance>>>,
    pub(in crate::live) cooldown: Cooldown,
    pub(in crate::live) breaker: Breaker,
    pub(in crate::live) pacer: Pacer,
    /// The rates that the configuration gives it.
    pub(in crate::live) base: Rates,
    adaptive: Adaptive,
    pub(in crate::live) alarm: Alarm,
    usual: Usual,
    pub(in crate::live) reserve: Reserve,
    paces: Paces,
    /// What stands for it where bids are made.
    mark: u64,
    weight: u32,
    last_lease: u64,
    model_names: Names,
}

/// How much of its limits a request takes.
#[derive(Debug, Clone, Copy)]
pub(in crate::live) struct Size {
    /// The model on the backend, where it has limits of its own.
    pub(in crate::live) model: Option<ModelId>,
    /// What stands for the model on all backends.
    pub(in crate::live) mark: u64,
    pub(in crate::live) portion: Portion,
}

/// What a lease took.
#[derive(Debug)]
pub(super) struct Taken {
    /// Tells later which calls an answer's headers know of.
    pub(super) mark: Mark,
    /// How many tokens are reserved.
    pub(super) tokens: u64,
    /// Tells later what ran beside it.
    pub(super) beside: Beside,
}

impl BackendState {
    /// One that no snapshot holds yet.
    pub(super) fn absent(name: &str, now: Instant) -> Self {
        Self {
            kind: BackendKind::OpenAiCompatible,
            dialects: Dialects::NONE,
            counts: Dialects::NONE,
            enabled: false,
            is_present: true,
            trust: Trust::default(),
            in_flight: InFlight::up_to(None),
            concurrency: None,
            allowance: Allowance::of(Rates::UNLIMITED, now),
            models: Vec::new(),
            cooldown: Cooldown::default(),
            breaker: Breaker::default(),
            pacer: Pacer::Off,
            base: Rates::UNLIMITED,
            adaptive: Adaptive::Off,
            alarm: Alarm::new(&RetreatRules::default()),
            usual: Usual::default(),
            reserve: Reserve::none(now),
            paces: Paces::default(),
            mark: protocol::digest(name.as_bytes()),
            weight: 1,
            last_lease: 0,
            model_names: Names::default(),
        }
    }

    /// Whether it may serve at all.
    pub(in crate::live) fn usable(&self) -> bool {
        self.enabled && self.is_present && !self.trust.is_refused()
    }

    /// What strategies compare.
    pub(in crate::live) fn load(&self) -> Load {
        Load { in_flight: self.in_flight.count(), weight: self.weight, last_lease: self.last_lease }
    }

    /// What it bids for a key, if that is more than the leading bid.
    pub(in crate::live) fn bid(&self, leading: Bid, key: u64) -> Option<Bid> {
        Bid::above(leading, key, self.mark, self.weight)
    }

    /// How long one more request for a model is expected to wait for its first event here.
    pub(in crate::live) fn wait(&self, model: u64, now: Instant) -> Duration {
        self.paces.wait(model, self.in_flight.count() / self.weight.max(1), now)
    }

    /// How soon it usually begins.
    pub(in crate::live) fn pace(&self, model: u64, now: Instant) -> Duration {
        self.paces.usual(model, now)
    }

    /// Whether it is below its concurrency.
    pub(in crate::live) fn has_room(&self) -> bool {
        self.in_flight.has_room()
    }

    /// As what a lease could be taken now within these limits, if it could.
    pub(in crate::live) fn start_within(&self, bounds: Bounds, size: Size, now: Instant) -> Option<Standing> {
        match bounds {
            Bounds::All => self.well(size.mark, now).filter(|_| self.rated_at(size, now) == now),
            Bounds::Unrated => self.well(size.mark, now),
            Bounds::Reserve => {
                let well = self.well(size.mark, now);
                well.filter(|standing| *standing == Standing::Regular && self.reserve.holds(now))
            }
        }
    }

    /// As what a lease for a model could be taken now if it had no rate.
    pub(in crate::live) fn well(&self, model: u64, now: Instant) -> Option<Standing> {
        if !self.has_room() {
            return None;
        }
        match (self.cooldown.permit(now), self.breaker.permit(model, now)) {
            (Permit::Free, Permit::Free) => Some(Standing::Regular),
            (Permit::Free | Permit::AsProbe, Permit::Free | Permit::AsProbe) => Some(Standing::Probe),
            (Permit::NotBefore(_) | Permit::WhileProbed, _)
            | (_, Permit::NotBefore(_) | Permit::WhileProbed) => None,
        }
    }

    /// When a lease could be taken, by time alone or once something was released.
    pub(in crate::live) fn later(&self, size: Size, now: Instant) -> Later {
        let mut possible_at = self.rated_at(size, now);
        let mut by_time = self.has_room();
        for permit in [self.cooldown.permit(now), self.breaker.permit(size.mark, now)] {
            match permit {
                Permit::Free | Permit::AsProbe => {}
                Permit::NotBefore(until) => possible_at = possible_at.max(until),
                Permit::WhileProbed => by_time = false,
            }
        }
        Later { possible_at, wake_at: by_time.then_some(possible_at) }
    }

    /// When all rates that concern a request allow it.
    pub(in crate::live) fn rated_at(&self, size: Size, now: Instant) -> Instant {
        let size = self.reserved(size);
        let Some(model) = self.model(size.model) else {
            return self.allowance.ready_at(size.portion, self.adaptive, now);
        };
        // What the provider says of the model then stands in the place of what was configured for the account.
        let account = if self.adaptive == Adaptive::Learned && model.requests.is_told() {
            self.allowance.tokens_ready_at(size.portion, self.adaptive, now)
        } else {
            self.allowance.ready_at(size.portion, self.adaptive, now)
        };
        account.max(model.ready_at(size.portion, self.adaptive, now))
    }

    /// How many requests for a model could be started by a time if each that runs ended at once: never fewer than
    /// will be, but where its rate is found to be higher.
    pub(in crate::live) fn starts_by(&self, size: Size, until: Instant, now: Instant) -> u64 {
        let rests = |permit| matches!(permit, Permit::NotBefore(over) if over > until);
        if rests(self.cooldown.permit(now)) || rests(self.breaker.permit(size.mark, now)) {
            return 0;
        }
        match self.model(size.model) {
            None => self.allowance.by(until, self.adaptive, now),
            Some(model) if self.adaptive == Adaptive::Learned && model.requests.is_told() => {
                model.by(until, self.adaptive, now)
            }
            Some(model) => {
                let account = self.allowance.by(until, self.adaptive, now);
                account.min(model.by(until, self.adaptive, now))
            }
        }
    }

    /// What is reserved for a request of that size.
    fn reserved(&self, size: Size) -> Size {
        match self.adaptive {
            Adaptive::Off | Adaptive::Headers | Adaptive::Retreat => size,
            Adaptive::Learned => {
                let tokens = self.usual.of(size.portion.tokens);
                Size { portion: Portion { tokens, ..size.portion }, ..size }
            }
        }
    }

    /// A lease is taken.
    pub(super) fn lease(&mut self, number: u64, size: Size, now: Instant) -> Taken {
        let size = self.reserved(size);
        let beside = self.pacer.called(self.in_flight.count());
        Taken { mark: self.take(number, size, now), tokens: size.portion.tokens, beside }
    }

    fn take(&mut self, number: u64, size: Size, now: Instant) -> Mark {
        self.in_flight.started();
        self.last_lease = number;
        self.cooldown.leased(number, now);
        self.breaker.leased(number, size.mark);
        let mark = self.allowance.take(size.portion, now);
        let Some(model) = size.model.and_then(|model| self.models.get_mut(at(model.0))) else { return mark };
        let model = model.get_or_insert_with(|| Box::new(Allowance::of(Rates::UNLIMITED, now)));
        model.take(size.portion, now)
    }

    /// What an attempt used is known.
    fn settle(&mut self, slot: &Slot, spent: u64, now: Instant) {
        self.allowance.correct(slot.tokens, spent, slot.mark, now);
        if let Some(model) = slot.model.and_then(|model| self.models.get_mut(at(model.0))?.as_mut()) {
            model.correct(slot.tokens, spent, slot.mark, now);
        }
    }

    /// The headers of an answer told what the provider has left. True when a request may start sooner.
    fn learn(&mut self, slot: &Slot, quotas: &[Quota], now: Instant) -> bool {
        let portion = Portion { tokens: slot.estimated, class: Class::Urgent };
        let size = Size { model: slot.model, mark: slot.model_mark, portion };
        let before = self.rated_at(size, now);
        let model = slot.model.and_then(|model| self.models.get_mut(at(model.0))?.as_deref_mut());
        model.unwrap_or(&mut self.allowance).learn(quotas, slot.mark, now);
        self.rated_at(size, now) < before
    }

    /// The place of a model of that native name, for the life of the process.
    pub(super) fn model_id(&mut self, native: &str) -> ModelId {
        let id = self.model_names.index(native);
        self.models.resize_with(self.model_names.len(), || None);
        ModelId(id)
    }

    /// Makes the evaluations that are due and puts their rate in force.
    pub(super) fn evaluate(&mut self, rules: &RetreatRules, now: Instant, tell: impl FnMut(Pace)) {
        // What has left the minute just now was used, too.
        let taken = self.allowance.requests.own.used(now.checked_sub(Duration::from_secs(1)).unwrap_or(now));
        self.pacer.evaluate((self.base.requests, taken), rules, now, tell);
        let rates = self.pacer.rates(self.base);
        if self.allowance.rates() != rates {
            self.allowance.change(rates, now);
        }
        self.cap();
    }

    /// Whether a call that was refused found no place there, so that the next can go when one of those ends that run.
    fn wants_a_place(&mut self, slot: &Slot, failure: &FailureSummary, now: Instant) -> bool {
        // What refuses a probe, or began the rest that is not over, was not that.
        let is_open = !slot.probe && self.cooldown.permit(now) == Permit::Free;
        let wants = is_open
            && failure.retry_after.is_none()
            && self.pacer.refused_beside(slot.beside, self.in_flight.count(), now);
        self.cap();
        wants
    }

    /// Puts in force how many calls may run: as configured, and no more than were found to be taken.
    fn cap(&mut self) {
        self.in_flight.cap(self.concurrency.into_iter().chain(self.pacer.places()).min());
    }

    /// The models that have something to show.
    pub(in crate::live) fn models(&self) -> impl Iterator<Item = (&Arc<str>, &Allowance)> {
        let models = self.models.iter().enumerate();
        models.filter_map(|(index, model)| Some((self.model_names.name(index)?, model.as_deref()?)))
    }

    /// When passing time alone changes something here.
    pub(super) fn pace_due(&self) -> Option<Instant> {
        self.pacer.due().into_iter().chain(self.cooldown.ends_at()).min()
    }

    fn model(&self, model: Option<ModelId>) -> Option<&Allowance> {
        self.models.get(at(model?.0))?.as_deref()
    }

    fn adopt(&mut self, backend: &Backend, settings: &TrafficSettings, now: Instant) {
        let limits = &backend.limits;
        self.kind = backend.kind;
        self.dialects = backend.dialects();
        self.counts = backend.counts();
        self.enabled = backend.enabled;
        self.weight = backend.weight;
        self.concurrency = limits.concurrency;
        self.base = Rates {
            requests: Rate::per_minute_or_unlimited(limits.rpm.into()),
            burst: limits.burst.unwrap_or(limits.rpm).into(),
            tokens: limits.tpm.map_or(Rate::UNLIMITED, Rate::per_minute),
            window: settings.rate_window,
            apart: Duration::ZERO,
        };
        self.adaptive = settings.adaptive.mode;
        self.alarm.obey(&settings.adaptive.retreat);
        self.pacer.adopt(settings.adaptive.mode, &settings.adaptive.retreat);
        self.allowance.change(self.pacer.rates(self.base), now);
        self.cap();
        for (id, limits) in &backend.model_limits {
            self.limit_model(*id, *limits, now);
        }
    }

    fn limit_model(&mut self, id: ModelId, limits: ModelLimits, now: Instant) {
        let rates = Rates {
            requests: limits.rpm.map_or(Rate::UNLIMITED, |rpm| Rate::per_minute(rpm.into())),
            burst: limits.rpm.unwrap_or(1).into(),
            tokens: limits.tpm.map_or(Rate::UNLIMITED, Rate::per_minute),
            window: self.base.window,
            apart: Duration::ZERO,
        };
        match self.models.get_mut(at(id.0)) {
            Some(Some(model)) => model.change(rates, now),
            Some(none) if limits != ModelLimits::default() => {
                *none = Some(Box::new(Allowance::of(rates, now)))
            }
            Some(None) | None => {}
        }
    }

    /// What was learned by another credential, or at another address, or by what an operator ends.
    fn forget(&mut self, rules: &RetreatRules, now: Instant) {
        self.allowance.forget();
        self.models.iter_mut().flatten().for_each(|model| model.forget());
        self.pacer.reset(rules);
        self.alarm = Alarm::new(rules);
        self.allowance.change(self.base, now);
        self.cap();
    }
}

impl State {
    pub(super) fn adopt_backends(&mut self, backends: &[Arc<Backend>], now: Instant) {
        let mut replaced = self.board.replace_backends();
        for state in &mut self.backends {
            state.enabled = false;
        }
        for backend in backends {
            let Some(state) = self.backends.get_mut(at(backend.id.0)) else { continue };
            state.adopt(backend, &self.settings, now);
            state.reserve.change(backend.limits.rpm, self.settings.emergency_percent);
            let before = replaced.get_mut(at(backend.id.0)).and_then(Option::take);
            let renewed = before.is_some_and(|before| {
                before.credential != backend.credential || before.base_url != backend.base_url
            });
            self.board.set_backend(backend);
            if renewed {
                // What was learned belongs to the old credential or address.
                state.forget(&self.settings.adaptive.retreat, now);
                self.clear_error(backend.id, "change", now);
            }
        }
    }
}
