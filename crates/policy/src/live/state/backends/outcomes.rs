//! Decides what the end of a call, what an answer told, and a probe mean for their backend; never what it may take.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use protocol::{Quota, Taint};

use super::super::super::asks::{BackendId, FailureSummary, Grant, Outcome, ProbeResult, Probed, Slot};
use super::super::super::event::{EventFields, EventKind};
use super::super::{State, at};
use crate::limit::Adaptive;
use crate::schedule::Permit;
use crate::timestamp::millis;

impl State {
    pub(in crate::live) fn release(&mut self, slot: &Slot, outcome: Outcome, now: Instant) -> Vec<Grant> {
        let paced = self.keep_pace(now);
        let Some(backend) = self.backends.get_mut(at(slot.backend.0)) else { return Vec::new() };
        let had_room = backend.in_flight.has_room();
        backend.in_flight.ended();
        let spent = spent(slot, &outcome);
        backend.settle(slot, spent, now);
        // Otherwise nothing changed for those who wait: not what they can have, nor when.
        let freed = !had_room || slot.probe || spent < slot.tokens;
        let concerns_others = paced || freed || matches!(outcome, Outcome::Failed(_));
        if !matches!(&outcome, Outcome::Failed(failure) if failure.rate_limited) {
            backend.pacer.ended();
        }
        match outcome {
            Outcome::Success { tokens } => {
                if let Some(used) = tokens {
                    backend.usual.saw(slot.estimated, used);
                }
                self.succeeded(slot, now);
            }
            Outcome::Failed(failure) => self.failed(slot, failure, now),
            Outcome::Neutral => {
                backend.cooldown.inconclusive(slot.lease);
                backend.breaker.inconclusive(slot.lease);
            }
        }
        if concerns_others { self.serve_those_who_want(slot.backend, now) } else { self.take_outbox() }
    }

    pub(in crate::live) fn learn(&mut self, slot: &Slot, quotas: &[Quota], now: Instant) -> Vec<Grant> {
        let Some(backend) = self.backends.get_mut(at(slot.backend.0)) else { return Vec::new() };
        if !backend.learn(slot, quotas, now) || self.waiters.is_empty() {
            return Vec::new();
        }
        self.serve_those_who_want(slot.backend, now)
    }

    pub(in crate::live) fn accepted(&mut self, slot: &Slot, now: Instant) -> Vec<Grant> {
        let Some(backend) = self.backends.get_mut(at(slot.backend.0)) else { return Vec::new() };
        backend.pacer.taken(slot.beside, backend.in_flight.count().saturating_sub(1), now);
        if !backend.cooldown.succeeded(slot.lease) || self.waiters.is_empty() {
            return Vec::new();
        }
        self.serve_those_who_want(slot.backend, now)
    }

    fn succeeded(&mut self, slot: &Slot, now: Instant) {
        let Some(backend) = self.backends.get_mut(at(slot.backend.0)) else { return };
        backend.pacer.answered(now);
        backend.alarm.answered(now);
        backend.cooldown.succeeded(slot.lease);
        backend.trust.succeeded();
        if backend.breaker.succeeded(slot.lease, slot.model_mark, now) {
            self.board.event(EventKind::BreakerClosed, Some(slot.backend), EventFields::default(), now);
        }
        self.board.record(slot.backend).successes += 1;
        if self.pace_due.is_none() {
            self.watch_pace(slot.backend);
        }
    }

    fn failed(&mut self, slot: &Slot, failure: FailureSummary, now: Instant) {
        let (id, lease) = (slot.backend, slot.lease);
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return };
        let (mut began, mut is_one_model) = (None, false);
        if failure.rate_limited {
            backend.pacer.limited(now);
            if let Some(percent) = backend.alarm.limited(&self.settings.adaptive.retreat, now) {
                self.board.event(EventKind::Alert, Some(id), EventFields::share(percent), now);
            }
            let length = if backend.wants_a_place(slot, &failure, now) {
                None
            } else {
                backend.cooldown.limited(lease, failure.retry_after, &self.settings.cooldown, now)
            };
            if backend.adaptive == Adaptive::Learned {
                backend.allowance.refused(slot.mark, now);
            }
            if length.is_some() {
                let taken = backend.allowance.requests.own.used(now);
                backend.pacer.refused(backend.base.requests, taken, failure.retry_after, now);
            }
            backend.breaker.inconclusive(lease);
            began = length.map(|length| (EventKind::CooldownStarted, length));
        } else {
            backend.pacer.answered(now);
            backend.alarm.answered(now);
            backend.cooldown.inconclusive(lease);
            match failure.taint {
                // What failed there before may fail by what it asks.
                Taint::Backend if !failure.unauthorized && !slot.is_repeat => {
                    let rules = &self.settings.breaker;
                    let length = backend.breaker.failed(lease, slot.model_mark, rules, now);
                    is_one_model = backend.breaker.is_for_one_model();
                    began = length.map(|length| (EventKind::BreakerOpened, length));
                }
                Taint::Backend | Taint::Call | Taint::Credential => backend.breaker.inconclusive(lease),
            }
            if failure.unauthorized {
                backend.trust.refused();
            }
        }
        self.watch_pace(id);
        if failure.unauthorized {
            self.board.event(EventKind::ErrorSet, Some(id), EventFields::said(&failure.detail), now);
        }
        if let Some((kind, length)) = began {
            let reason = is_one_model.then_some(Cow::Borrowed("one_model"));
            let fields = EventFields { reason, ..EventFields::lasting(length, &failure.detail) };
            self.board.event(kind, Some(id), fields, now);
        }
        let record = self.board.record(id);
        record.failures += 1;
        record.limited += u64::from(failure.rate_limited);
        record.last_error = Some((now, failure.detail));
    }

    pub(in crate::live) fn reset(&mut self, id: BackendId, now: Instant) -> Vec<Grant> {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return Vec::new() };
        backend.cooldown.reset();
        backend.breaker.reset();
        backend.forget(&self.settings.adaptive.retreat, now);
        self.clear_error(id, "operator", now);
        self.board.event(EventKind::Reset, Some(id), EventFields::default(), now);
        self.serve_those_who_want(id, now)
    }

    /// A local process can be called from now on, or cannot. What had gone wrong with it before belongs to the past.
    pub(in crate::live) fn note_present(&mut self, id: BackendId, now: Instant) -> Vec<Grant> {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return Vec::new() };
        if !std::mem::replace(&mut backend.is_present, true) {
            backend.breaker.reset();
            self.clear_error(id, "restart", now);
        }
        self.serve_those_who_want(id, now)
    }

    /// It cannot be called until [`Self::note_present`].
    pub(in crate::live) fn note_absent(&mut self, id: BackendId, now: Instant) -> Vec<Grant> {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return Vec::new() };
        backend.is_present = false;
        self.serve_those_who_want(id, now)
    }

    pub(in crate::live) fn note_probe(&mut self, id: BackendId, probed: Probed, now: Instant) -> Vec<Grant> {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return Vec::new() };
        let is_back = self.board.record(id).probes.note(probed, now);
        match probed.result {
            ProbeResult::Passed => {
                let is_cleared = backend.trust.passed();
                if is_back || is_cleared {
                    backend.breaker.reset();
                }
                if is_cleared {
                    self.board.event(EventKind::ErrorCleared, Some(id), EventFields::because("probe"), now);
                }
            }
            ProbeResult::Unclear => {}
            ProbeResult::Missed => {
                let length = backend.breaker.missed(&self.settings.breaker, now);
                if let Some(length) = length {
                    let missed = EventFields::because("probe_missed");
                    let fields = EventFields { lasts_ms: Some(millis(length)), ..missed };
                    self.board.event(EventKind::BreakerOpened, Some(id), fields, now);
                }
            }
        }
        self.serve_those_who_want(id, now)
    }

    pub(in crate::live) fn is_probe_due(&mut self, id: BackendId, now: Instant) -> bool {
        let Some(backend) = self.backends.get(at(id.0)) else { return false };
        let record = self.board.record(id);
        let is_idle = record.probes.is_idle_at(record.requests);
        let is_suspect =
            backend.trust.is_refused() || backend.breaker.is_doubted(now) || record.probes.has_missed();
        // What a 429 began ends by time, and no probe can tell more of it.
        let rests = matches!(backend.cooldown.permit(now), Permit::NotBefore(_));
        backend.enabled && backend.is_present && (is_suspect || is_idle && !rests)
    }

    /// The first event of an answer came after so long, or had not come by then.
    pub(in crate::live) fn note_first_event(
        &mut self,
        id: BackendId,
        model: u64,
        took: Duration,
        now: Instant,
    ) {
        if let Some(backend) = self.backends.get_mut(at(id.0)) {
            backend.paces.note(model, took, now);
        }
        if self.settings.hedging.enabled {
            self.hedges.note(model, took, now);
        }
    }

    pub(super) fn clear_error(&mut self, id: BackendId, by: &'static str, now: Instant) {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return };
        if backend.trust.restore() {
            self.board.event(EventKind::ErrorCleared, Some(id), EventFields::because(by), now);
        }
    }
}

/// What an attempt used of the tokens reserved for it: as it says; else all of them if it was answered or
/// failed half-way, and none if the provider refused it or it was never made.
fn spent(slot: &Slot, outcome: &Outcome) -> u64 {
    let unless_told = match outcome {
        Outcome::Success { tokens } => return tokens.or(slot.spent).unwrap_or(slot.tokens),
        Outcome::Failed(failure) if failure.rate_limited || failure.unauthorized => 0,
        Outcome::Failed(_) => slot.tokens,
        Outcome::Neutral => 0,
    };
    slot.spent.unwrap_or(unless_told)
}
