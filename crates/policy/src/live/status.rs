//! Decides how the live state is shown to operators; never changes it, and never shows a secret.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::asks::BackendId;
use super::board::{Noted, Record};
use super::event::Event;
use super::probes::ProbeStatus;
use super::state::{BackendState, State, at};
use crate::backend::Source;
use crate::identity::Class;
use crate::limit::{Allowance, Bucket, Pace, Rate, Tally};
use crate::timestamp::millis;

/// The live state at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Requests let in and not yet settled.
    pub in_flight: u32,
    /// How many may be.
    pub in_flight_max: u32,
    /// Requests waiting, in either queue.
    pub queued: usize,
    /// Where they wait.
    pub queue: QueueStatus,
    /// Requests ever let in.
    pub accepted_total: u64,
    /// Requests ever refused, at the door or for want of a backend.
    pub rejected_total: u64,
    /// Requests ever started beyond a backend's rate because the queue was full.
    pub fallback_total: u64,
    /// Requests ever started beyond a backend's rate because all backends were spent.
    pub emergency_total: u64,
    /// Failed attempts that were not repeated, for their pool's retry budget was spent.
    pub retry_denied_total: u64,
    /// Second attempts ever made because a first event was late.
    pub hedge_total: u64,
    /// Those that answered first.
    pub hedge_won_total: u64,
    /// The snapshot's backends, by name.
    pub backends: Vec<BackendStatus>,
    /// Recent events, oldest first.
    pub events: Vec<Event>,
}

/// The queues.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueueStatus {
    /// Waiting to be let in.
    pub admission: usize,
    /// Waiting for a backend.
    pub routing: usize,
    /// What they hold in memory.
    pub bytes: u64,
    /// How many may wait.
    pub max: usize,
    /// Waiting in each class, those who aged in the one they were lifted to.
    pub by_class: WaitingByClass,
}

/// How many wait in each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WaitingByClass {
    /// Before all others.
    pub urgent: usize,
    /// Before normal.
    pub high: usize,
    /// What says nothing.
    pub normal: usize,
    /// What can wait.
    pub low: usize,
}

/// Whether a backend can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Yes.
    Healthy,
    /// Not for a while: it said 429, or kept failing.
    Cooling,
    /// Not until an operator or a probe clears it: its credential was refused.
    Error,
    /// Not by an operator's wish.
    Disabled,
}

/// One backend.
#[derive(Debug, Clone, Serialize)]
pub struct BackendStatus {
    /// Its index, for calls that take one.
    #[serde(skip)]
    pub id: BackendId,
    /// Its name.
    pub name: Arc<str>,
    /// Its provider tag.
    pub label: Arc<str>,
    /// What sort of provider it is.
    pub kind: &'static str,
    /// Its tier.
    pub pool: Arc<str>,
    /// Where it was defined.
    pub source: Source,
    /// Whether it can be used.
    pub state: Health,
    /// Why not.
    pub reason: Option<&'static str>,
    /// What is left of its cooldown or open breaker; 0 when a probe is due or out.
    pub cooldown_left_ms: Option<u64>,
    /// Calls running.
    pub in_flight: u32,
    /// Calls that may run.
    pub concurrency: Option<u32>,
    /// Requests its bucket holds; none when it has no rate limit.
    pub bucket_level: Option<u32>,
    /// Requests a full bucket holds.
    pub bucket_capacity: Option<u32>,
    /// Requests that come in a minute.
    pub rpm: Option<u32>,
    /// Requests that come in a minute when nothing holds the backend back.
    pub rpm_base: Option<u32>,
    /// Tokens its bucket holds; none when it has no limit of tokens.
    pub token_level: Option<u64>,
    /// Tokens that come in a minute.
    pub tpm: Option<u64>,
    /// What the provider said of the account.
    pub told: Told,
    /// What is limited, or was told, of single models.
    pub models: Vec<ModelStatus>,
    /// How its rate stands.
    pub pace: Pace,
    /// The share of 429s among its answers of the last minute, in percent; none when there were none.
    pub limited_percent: Option<u8>,
    /// Calls ever made.
    pub requests: u64,
    /// Those answered.
    pub successes: u64,
    /// Those failed, 429s among them.
    pub failures: u64,
    /// 429s.
    pub rate_limited: u64,
    /// 429s in a row.
    pub consecutive_rate_limited: u32,
    /// Other failures in a row.
    pub consecutive_failures: u32,
    /// What went wrong last.
    pub last_error: Option<Box<str>>,
    /// How long ago.
    pub last_error_age_ms: Option<u64>,
    /// What the active prober saw; nothing while it has not looked.
    pub probe: Option<ProbeStatus>,
}

/// What a provider said of its limits, as far as it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Requests that it allows.
    pub requests_limit: Option<u64>,
    /// Requests that are left.
    pub requests_remaining: Option<u64>,
    /// Tokens that it allows.
    pub tokens_limit: Option<u64>,
    /// Tokens that are left.
    pub tokens_remaining: Option<u64>,
}

/// One model on a backend.
#[derive(Debug, Clone, Serialize)]
pub struct ModelStatus {
    /// The backend's own name for it.
    pub native: Arc<str>,
    /// Requests its bucket holds; none when it has no rate limit of its own.
    pub bucket_level: Option<u64>,
    /// Tokens its bucket holds; none when it has no limit of its own.
    pub token_level: Option<u64>,
    /// What the provider said of it.
    pub told: Told,
}

impl State {
    pub(super) fn status(&mut self, now: Instant) -> Status {
        // Where somebody waits, whoever ticks does it in time, and serves them then.
        if self.waiters.is_empty() {
            self.keep_pace(now);
        }
        let records = self.backends.iter().zip(self.board.records()).zip(0_u32..);
        let mut backends: Vec<BackendStatus> =
            records.filter_map(|((state, record), id)| backend(BackendId(id), state, record, now)).collect();
        backends.sort_by(|one, other| one.name.cmp(&other.name));
        Status {
            in_flight: self.in_flight.count(),
            in_flight_max: self.in_flight.ceiling().unwrap_or(u32::MAX),
            queued: self.waiters.len(),
            queue: QueueStatus {
                admission: self.admission.len(),
                routing: self.routing.len(),
                bytes: self.waiters.bytes(),
                max: self.waiters.places_max(),
                by_class: WaitingByClass {
                    urgent: self.waiting(Class::Urgent),
                    high: self.waiting(Class::High),
                    normal: self.waiting(Class::Normal),
                    low: self.waiting(Class::Low),
                },
            },
            accepted_total: self.board.accepted_total,
            rejected_total: self.board.rejected_total,
            fallback_total: self.board.fallback_total,
            emergency_total: self.board.emergency_total,
            retry_denied_total: self.board.retry_denied_total,
            hedge_total: self.board.hedge_total,
            hedge_won_total: self.board.hedge_won_total,
            backends,
            events: self.board.events().map(|noted| self.event(noted, now)).collect(),
        }
    }

    /// The events behind `number`, oldest first.
    pub(super) fn events_after(&self, number: u64, now: Instant) -> Vec<Event> {
        let news = self.board.events().filter(|noted| noted.number > number);
        news.map(|noted| self.event(noted, now)).collect()
    }

    fn waiting(&self, class: Class) -> usize {
        self.admission.waiting(class) + self.routing.waiting(class)
    }

    fn event(&self, noted: &Noted, now: Instant) -> Event {
        Event {
            number: noted.number,
            first: noted.first,
            age_ms: millis(now.saturating_duration_since(noted.at)),
            kind: noted.kind,
            backend: noted.backend.and_then(|id| self.backend_names.name(at(id.0))).cloned(),
            fields: noted.fields.clone(),
            text: noted.text.clone(),
            times: noted.times,
        }
    }
}

fn backend(id: BackendId, state: &BackendState, record: &Record, now: Instant) -> Option<BackendStatus> {
    let backend = record.backend.as_ref()?;
    let cooling = state.cooldown.left(now);
    let (open, answers_others) = (state.breaker.left(now), state.breaker.answers_others());
    let (open, partly) = if answers_others { (None, open) } else { (open, None) };
    let (health, reason) = if !backend.enabled {
        (Health::Disabled, None)
    } else if state.trust.is_refused() {
        (Health::Error, Some("credential_refused"))
    } else if !state.is_present {
        (Health::Cooling, Some("not_ready"))
    } else if cooling.is_some() {
        (Health::Cooling, Some("rate_limited"))
    } else if open.is_some() {
        (Health::Cooling, Some("failing"))
    } else if partly.is_some() {
        (Health::Healthy, Some("model_failing"))
    } else {
        (Health::Healthy, None)
    };
    let (requests, tokens) = (&state.allowance.requests.own, &state.allowance.tokens.own);
    let limited = !requests.rate().is_unlimited();
    let small = |amount: u64| u32::try_from(amount).unwrap_or(u32::MAX);
    let rpm = |rate: Rate| (!rate.is_unlimited()).then(|| small(rate.a_minute()));
    let last_error = record.last_error.as_ref();
    Some(BackendStatus {
        id,
        name: Arc::clone(&backend.name),
        label: Arc::clone(&backend.label),
        kind: backend.kind.name(),
        pool: Arc::clone(&backend.pool),
        source: backend.source,
        state: health,
        reason,
        cooldown_left_ms: cooling.into_iter().chain(open).max().map(millis),
        in_flight: state.in_flight.count(),
        concurrency: state.in_flight.ceiling(),
        bucket_level: limited.then(|| small(requests.level(now))),
        bucket_capacity: limited.then(|| small(requests.capacity())),
        rpm: rpm(requests.rate()),
        rpm_base: rpm(state.base.requests),
        token_level: level(tokens, now),
        tpm: (!tokens.rate().is_unlimited()).then(|| tokens.rate().a_minute()),
        told: told(&state.allowance, now),
        models: state.models().map(|(native, model)| of_model(native, model, now)).collect(),
        pace: state.pacer.pace(),
        limited_percent: Some(state.alarm.tally(now)).filter(|tally| tally.total > 0).map(Tally::percent),
        requests: record.requests,
        successes: record.successes,
        failures: record.failures,
        rate_limited: record.limited,
        consecutive_rate_limited: state.cooldown.strikes(),
        consecutive_failures: state.breaker.failures(),
        last_error: last_error.map(|(_, text)| text.clone()),
        last_error_age_ms: last_error.map(|(at, _)| millis(now.saturating_duration_since(*at))),
        probe: record.probes.status(now),
    })
}

fn of_model(native: &Arc<str>, model: &Allowance, now: Instant) -> ModelStatus {
    ModelStatus {
        native: Arc::clone(native),
        bucket_level: level(&model.requests.own, now),
        token_level: level(&model.tokens.own, now),
        told: told(model, now),
    }
}

fn level(bucket: &Bucket, now: Instant) -> Option<u64> {
    (!bucket.rate().is_unlimited()).then(|| bucket.level(now))
}

fn told(allowance: &Allowance, now: Instant) -> Told {
    let (requests, tokens) = (allowance.requests.told(now), allowance.tokens.told(now));
    Told {
        requests_limit: requests.map(|(limit, _)| limit),
        requests_remaining: requests.map(|(_, remaining)| remaining),
        tokens_limit: tokens.map(|(limit, _)| limit),
        tokens_remaining: tokens.map(|(_, remaining)| remaining),
    }
}
