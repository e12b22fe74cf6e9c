//! Decides what each outcome, reload and order does to one backend; never which requests it gets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::Taint;

use super::super::asks::{BackendId, FailureSummary, Grant, Outcome, ProbeResult, Slot};
use super::super::board::EventKind;
use super::super::routing::{Bounds, Later};
use super::{State, at};
use crate::backend::{Backend, BackendKind};
use crate::limit::{Bucket, InFlight, Reserve};
use crate::schedule::{Bid, Breaker, Cooldown, Load, Paces, Permit, Standing};

/// What a lease looks at: small, and side by side with the others.
#[derive(Debug)]
pub(in crate::live) struct BackendState {
    pub(in crate::live) kind: BackendKind,
    /// Part of the snapshot and enabled there.
    pub(in crate::live) enabled: bool,
    /// Its credential was refused, and nobody has cleared that yet.
    pub(in crate::live) in_error: bool,
    pub(in crate::live) in_flight: InFlight,
    pub(in crate::live) bucket: Bucket,
    pub(in crate::live) cooldown: Cooldown,
    pub(in crate::live) breaker: Breaker,
    pub(in crate::live) reserve: Reserve,
    paces: Paces,
    /// What stands for it where bids are made.
    mark: u64,
    weight: u32,
    last_lease: u64,
}

impl BackendState {
    /// One that no snapshot holds yet.
    pub(super) fn absent(name: &str, now: Instant) -> Self {
        Self {
            kind: BackendKind::OpenAiCompatible,
            enabled: false,
            in_error: false,
            in_flight: InFlight::up_to(None),
            bucket: Bucket::full(0, 0, now),
            cooldown: Cooldown::default(),
            breaker: Breaker::default(),
            reserve: Reserve::none(now),
            paces: Paces::default(),
            mark: protocol::digest(name.as_bytes()),
            weight: 1,
            last_lease: 0,
        }
    }

    /// Whether it may serve at all.
    pub(in crate::live) fn usable(&self) -> bool {
        self.enabled && !self.in_error
    }

    /// What strategies compare.
    pub(in crate::live) fn load(&self) -> Load {
        Load { in_flight: self.in_flight.count(), weight: self.weight, last_lease: self.last_lease }
    }

    /// What it bids for a key, if that is more than the leading bid.
    pub(in crate::live) fn bid(&self, leading: Option<Bid>, key: u64) -> Option<Bid> {
        Bid::above(leading, key, self.mark, self.weight)
    }

    /// How long one more request for a model is expected to wait for its first event here.
    pub(in crate::live) fn wait(&self, model: u64, now: Instant) -> Duration {
        self.paces.wait(model, self.in_flight.count() / self.weight.max(1), now)
    }

    /// As what a lease could be taken now within these limits, if it could.
    pub(in crate::live) fn start_within(&self, bounds: Bounds, now: Instant) -> Option<Standing> {
        match bounds {
            Bounds::All => self.well(now).filter(|_| self.bucket.ready_at(now) == now),
            Bounds::Unrated => self.well(now),
            Bounds::Reserve => {
                self.well(now).filter(|standing| *standing == Standing::Regular && self.reserve.holds(now))
            }
        }
    }

    /// As what a lease could be taken now if it had no rate.
    fn well(&self, now: Instant) -> Option<Standing> {
        if !self.in_flight.has_room() {
            return None;
        }
        match (self.cooldown.permit(now), self.breaker.permit(now)) {
            (Permit::Free, Permit::Free) => Some(Standing::Regular),
            (Permit::Free | Permit::AsProbe, Permit::Free | Permit::AsProbe) => Some(Standing::Probe),
            (Permit::NotBefore(_) | Permit::WhileProbed, _)
            | (_, Permit::NotBefore(_) | Permit::WhileProbed) => None,
        }
    }

    /// When a lease could be taken, by time alone or once something was released.
    pub(in crate::live) fn later(&self, now: Instant) -> Later {
        let mut possible_at = self.bucket.ready_at(now);
        let mut by_time = self.in_flight.has_room();
        for permit in [self.cooldown.permit(now), self.breaker.permit(now)] {
            match permit {
                Permit::Free | Permit::AsProbe => {}
                Permit::NotBefore(until) => possible_at = possible_at.max(until),
                Permit::WhileProbed => by_time = false,
            }
        }
        Later { possible_at, wake_at: by_time.then_some(possible_at) }
    }

    /// A lease is taken.
    pub(super) fn lease(&mut self, standing: Standing, number: u64, now: Instant) {
        self.in_flight.started();
        self.bucket.take(now);
        self.last_lease = number;
        match standing {
            Standing::Regular => {}
            Standing::Probe => {
                self.cooldown.probing();
                self.breaker.probing();
            }
        }
    }

    fn adopt(&mut self, backend: &Backend, now: Instant) {
        let limits = &backend.limits;
        self.kind = backend.kind;
        self.enabled = backend.enabled;
        self.weight = backend.weight;
        self.in_flight.cap(limits.concurrency);
        self.bucket.change(limits.rpm, limits.burst.unwrap_or(limits.rpm), now);
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
            state.adopt(backend, now);
            state.reserve.change(backend.limits.rpm, self.settings.emergency_percent);
            let before = replaced.get_mut(at(backend.id.0)).and_then(Option::take);
            let renewed = before.is_some_and(|before| {
                before.credential != backend.credential || before.base_url != backend.base_url
            });
            self.board.set_backend(backend);
            if renewed {
                // What was learned belongs to the old credential or address.
                self.clear_error(backend.id, now);
            }
        }
    }

    pub(in crate::live) fn release(&mut self, slot: &Slot, outcome: Outcome, now: Instant) -> Vec<Grant> {
        let Some(backend) = self.backends.get_mut(at(slot.backend.0)) else { return Vec::new() };
        let had_room = backend.in_flight.has_room();
        backend.in_flight.ended();
        let standing = if slot.probe { Standing::Probe } else { Standing::Regular };
        // Otherwise nothing changed for those who wait: not what they can have, nor when.
        let concerns_others = !had_room || slot.probe || matches!(outcome, Outcome::Failed(_));
        match outcome {
            Outcome::Success { tokens: _ } => self.succeeded(slot.backend, standing, now),
            Outcome::Failed(failure) => self.failed(slot.backend, standing, failure, now),
            Outcome::Neutral => {
                backend.cooldown.inconclusive(standing);
                backend.breaker.inconclusive(standing);
            }
        }
        if concerns_others { self.serve_those_who_want(slot.backend, now) } else { self.take_outbox() }
    }

    fn succeeded(&mut self, id: BackendId, standing: Standing, now: Instant) {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return };
        backend.cooldown.succeeded(standing);
        if backend.breaker.succeeded(standing) {
            self.board.event(EventKind::BreakerClosed, Some(id), "its probe was answered", now);
        }
        self.board.record(id).successes += 1;
    }

    fn failed(&mut self, id: BackendId, standing: Standing, failure: FailureSummary, now: Instant) {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return };
        let mut began = None;
        if failure.rate_limited {
            let rules = &self.settings.cooldown;
            let length = backend.cooldown.limited(standing, failure.retry_after, rules, now);
            backend.breaker.inconclusive(standing);
            began = length.map(|length| (EventKind::CooldownStarted, length));
        } else if failure.unauthorized {
            backend.in_error = true;
            backend.cooldown.inconclusive(standing);
            backend.breaker.inconclusive(standing);
        } else {
            backend.cooldown.inconclusive(standing);
            match failure.taint {
                Taint::Backend => {
                    let length = backend.breaker.failed(standing, &self.settings.breaker, now);
                    began = length.map(|length| (EventKind::BreakerOpened, length));
                }
                Taint::Call | Taint::Credential => backend.breaker.inconclusive(standing),
            }
        }
        if failure.unauthorized {
            self.board.event(EventKind::ErrorSet, Some(id), &failure.detail, now);
        }
        if let Some((kind, length)) = began {
            let text = format!("for {:.1} s: {}", length.as_secs_f64(), failure.detail);
            self.board.event(kind, Some(id), &text, now);
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
        self.clear_error(id, now);
        self.board.event(EventKind::Reset, Some(id), "by an operator", now);
        self.serve_those_who_want(id, now)
    }

    pub(in crate::live) fn note_probe(
        &mut self,
        id: BackendId,
        result: ProbeResult,
        now: Instant,
    ) -> Vec<Grant> {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return Vec::new() };
        match result {
            ProbeResult::Passed => {
                backend.breaker.reset();
                self.clear_error(id, now);
            }
            ProbeResult::Missed => {
                let length = backend.breaker.failed(Standing::Regular, &self.settings.breaker, now);
                if let Some(length) = length {
                    let text = format!("for {:.1} s: active probe missed", length.as_secs_f64());
                    self.board.event(EventKind::BreakerOpened, Some(id), &text, now);
                }
            }
        }
        self.serve_those_who_want(id, now)
    }

    /// The first event of an answer came after so long.
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
    }

    fn clear_error(&mut self, id: BackendId, now: Instant) {
        let Some(backend) = self.backends.get_mut(at(id.0)) else { return };
        if std::mem::take(&mut backend.in_error) {
            self.board.event(EventKind::ErrorCleared, Some(id), "", now);
        }
    }
}
