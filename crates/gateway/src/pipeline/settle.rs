//! Decides what a request came to: its ledger lines, its receipt, its log line; frees what the ticket held. Never waits.

mod binding;
mod end;
mod meter;
mod reasons;
mod rival;

use std::{borrow::Cow, pin::Pin, sync::Arc, time::Duration};

use policy::{
    Amount, AttemptId, AttemptOutcome, Candidate, Closed, Entry, Key, Opened, Outcome, Price, Progress,
    Receipt, RequestOutcome, Timestamp, millis,
};
use protocol::{AnswerOutline, Dialect, Failure, FailureKind, StreamTally, Taint, Usage, UsageSource};
use store::{JournalError, Reservation};
use tokio::time::Instant;

use super::{
    authenticate::Caller,
    decode::{Ask, Estimate},
    keepalive::Commitment,
    purse::Purse,
    route::{Lease, Tries},
};
use crate::{gateway::Gateway, identity::Stamp, refusal::Code, view::Serving};
pub(super) use end::End;
use meter::Meter;
pub(crate) use reasons::ReasonsKept;

/// Everything that is known of an admitted request; becomes its receipt.
pub(crate) struct Facts {
    pub(super) gateway: Arc<Gateway>,
    pub(super) stamp: Stamp,
    pub(super) tries: Tries,
    pub(super) queued: Duration,
    /// When the client saw the first of it, since it came.
    pub(super) first_event: Option<Duration>,
    pub(super) bytes_out: u64,
    pub(super) end: Option<End>,
    meter: Meter,
    /// What the answer has and the client was not told.
    pub(super) untold: Vec<String>,
    pub(super) room: Reservation,
    purse: Purse,
    attempt: Option<Attempt>,
    served: Option<Served>,
    /// The other one, while two race.
    rival: Option<rival::Rival>,
    spent: Spent,
    /// Why it went where it went, where that is kept.
    reasons: Option<Box<policy::reasons::Reasons>>,
    key: Arc<Key>,
    /// Whether the caller's place in flight is free again.
    is_discharged: bool,
    commitment: Commitment,
    requested: Requested,
}

/// What was taken for a request before it was let in.
pub(super) struct Taken {
    pub(super) room: Reservation,
    pub(super) purse: Purse,
}

/// What the client asked for, as the receipt will tell it.
struct Requested {
    ticket: policy::TicketId,
    tags: Vec<(String, String)>,
    asked: Arc<str>,
    /// What that means; empty where no model was asked for.
    model: Arc<str>,
    dialect: Dialect,
    is_stream: bool,
    is_anonymous: bool,
    estimate: Estimate,
    bytes_in: u64,
    at: Instant,
    wall: Timestamp,
    peer: std::net::IpAddr,
}

/// The attempt that is open in the journal.
struct Attempt {
    id: AttemptId,
    started: Instant,
    progressed: Instant,
}

/// What all attempts so far came to.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    usage: Usage,
    cost: Amount,
    unpriced: bool,
}

/// The latest backend that was called.
#[derive(Clone)]
struct Served {
    serving: Arc<Serving>,
    pool: Arc<str>,
    model: Arc<str>,
    price: Option<Arc<Price>>,
    dialect: Dialect,
}

/// A long stream's progress is noted in the journal at most this often, so that a crash can be charged for it.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

impl Facts {
    pub(super) fn new(gateway: &Arc<Gateway>, caller: &Caller, ask: &Ask, taken: Taken) -> Self {
        let Taken { room, purse } = taken;
        Self {
            purse,
            gateway: gateway.clone(),
            stamp: ask.stamp.clone(),
            tries: Tries::default(),
            queued: ask.at.elapsed(),
            first_event: None,
            bytes_out: 0,
            end: None,
            meter: Meter::default(),
            untold: Vec::new(),
            room,
            attempt: None,
            served: None,
            rival: None,
            spent: Spent::default(),
            reasons: None,
            key: caller.key.clone(),
            is_discharged: false,
            commitment: ask.commitment.clone(),
            requested: Requested {
                ticket: ask.ticket,
                tags: caller.tags.clone(),
                asked: ask.route.asked.clone(),
                model: ask.route.model.clone(),
                dialect: ask.dialect,
                is_stream: ask.is_stream(),
                is_anonymous: ask.view.snapshot.identity.is_open(),
                estimate: ask.estimate,
                bytes_in: ask.body_bytes(),
                at: ask.at,
                wall: ask.wall,
                peer: ask.peer,
            },
        }
    }

    /// Writes the attempt's open line, before the upstream hears of it: from here on it may cost money.
    pub(super) fn open(&mut self, ask: &Ask, lease: &Lease) -> Result<(), JournalError> {
        let (candidate, backend) = (lease.candidate(), &lease.serving.backend);
        let now = Instant::now();
        let id = AttemptId { ticket: ask.ticket, number: self.stamp.attempts() + 1 };
        let opened = Opened {
            attempt: id,
            request_id: self.stamp.request_id().into(),
            key: self.key_id(),
            team: self.key.team.clone(),
            tags: self.requested.tags.clone(),
            backend: backend.name.clone(),
            label: backend.label.clone(),
            pool: lease.tier().pool.clone(),
            model_asked: self.requested.asked.clone(),
            model: lease.tier().model.clone(),
            native: candidate.native.clone(),
            dialect_in: self.requested.dialect,
            dialect_out: lease.dialect(),
            stream: self.requested.is_stream,
            at: self.requested.wall.after(now - self.requested.at),
            estimate: Usage { input: self.requested.estimate.prompt, ..Usage::default() },
            price: self.price(candidate),
        };
        self.room.write(&Entry::Opened(opened))?;
        self.stamp.attempt(lease.serving.name.clone());
        self.tries.backends.push(lease.backend());
        self.meter = Meter::default();
        self.served = Some(Served {
            serving: lease.serving.clone(),
            pool: lease.tier().pool.clone(),
            model: lease.tier().model.clone(),
            price: self.price(candidate),
            dialect: lease.dialect(),
        });
        self.attempt = Some(Attempt { id, started: now, progressed: now });
        Ok(())
    }

    /// What this attempt is charged by: the candidate's price, or what the key pays where nobody knows one.
    fn price(&self, candidate: &Candidate) -> Option<Arc<Price>> {
        candidate.price.clone().or_else(|| self.key.ceiling.clone())
    }

    /// Whether so many more attempts can be paid for; what they may cost is held then.
    pub(super) fn can_pay(&mut self, attempts: u64) -> bool {
        self.purse.bears(self.spent.cost, attempts)
    }

    fn write_closed(&mut self, closed: Option<Closed>) {
        if let Some(closed) = closed
            && let Err(unwritten) = self.room.write(&Entry::Closed(closed))
        {
            tracing::error!(request_id = self.stamp.request_id(), %unwritten, "a ledger line could not be written");
        }
    }

    /// The first event of a stream is here. That of a whole answer is its last, and tells nothing of how soon one
    /// begins.
    pub(super) fn stream_began(&self, lease: &Lease) {
        if let Some(attempt) = &self.attempt {
            let (took, now) = (attempt.started.elapsed(), Instant::now().into_std());
            self.gateway.live.note_first_event(lease.backend(), lease.tier(), took, now);
        }
    }

    /// Closes an attempt that failed before the client saw anything of it.
    pub(super) fn failed(&mut self, mut lease: Lease, failure: &Failure, tally: Option<&StreamTally>) {
        let outcome = outcome_of(failure);
        lease.serving.metrics.failed(failure);
        self.learned(&lease, failure);
        tracing::warn!(
            request_id = self.stamp.request_id(),
            backend = &*lease.serving.backend.name,
            attempt = self.stamp.attempts(),
            kind = ?failure.kind,
            status = failure.status,
            detail = &*failure.detail,
            "attempt failed"
        );
        match tally {
            Some(tally) => {
                self.streamed(tally);
                lease.used(Some(self.tokens()));
            }
            None => {
                self.meter.is_answered = may_have_cost(failure.kind);
                lease.used((!self.meter.is_answered).then_some(0));
            }
        }
        lease.finish(outcome);
        let closed = self.close(AttemptOutcome::Failed, failure.status, Some(failure.kind.name()));
        self.write_closed(closed);
    }

    /// Takes over what a whole answer reported.
    pub(super) fn answered(&mut self, outline: &AnswerOutline) {
        self.meter = Meter::of_answer(outline);
    }

    /// Takes over what a stream's events have told so far.
    pub(super) fn streamed(&mut self, tally: &StreamTally) {
        self.meter = Meter::of_stream(tally);
        if self.untold.len() < tally.untold.len() {
            self.untold.clone_from(&tally.untold);
        }
    }

    /// Notes a stream's progress in the journal: once an interval, and with the provider's first figures, which often
    /// are its last.
    pub(super) fn progress(&mut self, tally: &StreamTally, now: Instant) {
        let Some(attempt) = &mut self.attempt else { return };
        let is_first_figure = tally.usage.is_some() && self.meter.reported.is_none();
        if !is_first_figure && now.duration_since(attempt.progressed) < PROGRESS_INTERVAL {
            return;
        }
        attempt.progressed = now;
        let id = attempt.id;
        self.streamed(tally);
        let at = self.requested.wall.after(now - self.requested.at);
        let progress = Progress { attempt: id, at, usage: self.usage().0 };
        if let Err(unwritten) = self.room.write(&Entry::Progress(progress)) {
            tracing::debug!(request_id = self.stamp.request_id(), %unwritten, "progress was not noted");
        }
    }

    /// Gives the caller's place in flight back, once.
    pub(super) fn discharge(&mut self) {
        if !std::mem::replace(&mut self.is_discharged, true) {
            self.gateway.change(|live, now| live.discharge(self.key.slot, now));
        }
    }

    /// What receipts name the caller by; nobody, on an open gateway.
    fn key_id(&self) -> Option<Arc<str>> {
        (!self.requested.is_anonymous).then(|| self.key.id.clone())
    }

    /// How long this request has been here.
    pub(super) fn elapsed(&self) -> Duration {
        self.requested.at.elapsed()
    }

    /// Tokens used so far.
    pub(super) fn tokens(&self) -> u64 {
        self.usage().0.total()
    }

    /// The usage to charge, and where it comes from.
    fn usage(&self) -> (Usage, UsageSource) {
        let is_whole = self.end.as_ref().is_some_and(|end| matches!(end.attempt, AttemptOutcome::Succeeded));
        self.meter.usage(
            self.requested.estimate.prompt,
            if is_whole { UsageSource::Counted } else { UsageSource::Estimated },
        )
    }

    fn close(
        &mut self,
        outcome: AttemptOutcome,
        status: Option<u16>,
        code: Option<&'static str>,
    ) -> Option<Closed> {
        let attempt = self.attempt.take()?;
        let (usage, usage_source) = self.usage();
        let price = self.served.as_ref().and_then(|served| served.price.as_deref());
        if let (UsageSource::Contradicted, Some(served)) = (usage_source, &self.served) {
            let now = Instant::now().into_std();
            self.gateway.live.note_contradicted_usage(served.serving.backend.id, now);
        }
        let closed = Closed {
            attempt: attempt.id,
            at: self.requested.wall.after(self.elapsed()),
            outcome,
            status,
            error_code: code.map(Cow::Borrowed),
            usage,
            usage_source,
            cost: price.map(|price| price.cost(&usage)).unwrap_or_default(),
            unpriced: price.is_none() && (usage.total() > 0 || usage.images > 0),
            first_event_ms: self
                .first_event
                .map(|since| millis((self.requested.at + since).saturating_duration_since(attempt.started))),
            total_ms: millis(attempt.started.elapsed()),
        };
        self.spent.add(&closed);
        Some(closed)
    }

    fn receipt(&mut self, end: &End, last: Option<&Closed>) -> Receipt {
        let served = self.served.as_ref();
        Receipt {
            ticket: self.requested.ticket,
            request_id: self.stamp.request_id().into(),
            key: self.key_id(),
            team: self.key.team.clone(),
            tags: std::mem::take(&mut self.requested.tags),
            client_addr: Some(self.requested.peer.to_string()),
            model_asked: self.requested.asked.clone(),
            model_served: Some(served.map_or(&self.requested.model, |served| &served.model))
                .filter(|model| !model.is_empty())
                .cloned(),
            backend: served.map(|served| served.serving.backend.name.clone()),
            pool: served.map(|served| served.pool.clone()),
            dialect_in: self.requested.dialect,
            dialect_out: served.map(|served| served.dialect),
            stream: self.requested.is_stream,
            status: end.status,
            outcome: end.outcome,
            error_code: end.code.map(Cow::Borrowed),
            attempts: self.stamp.attempts(),
            at: self.requested.wall,
            queue_ms: millis(self.queued),
            first_event_ms: self.first_event.map(millis),
            total_ms: millis(self.elapsed()),
            bytes_in: self.requested.bytes_in,
            bytes_out: self.bytes_out + self.commitment.bytes(),
            usage: self.spent.usage,
            usage_source: match last {
                Some(_) if self.spent.usage.is_contradicted => UsageSource::Contradicted,
                Some(closed) => closed.usage_source,
                None => UsageSource::Counted,
            },
            cost: self.spent.cost,
            unpriced: self.spent.unpriced,
            price_version: served.and_then(|served| Some(served.price.as_ref()?.version.clone())),
            keepalive_committed: self.commitment.is_made(),
        }
    }
}

impl Spent {
    fn add(&mut self, closed: &Closed) {
        self.usage = self.usage.plus(&closed.usage);
        self.cost = self.cost.saturating_add(closed.cost);
        self.unpriced |= closed.unpriced;
    }
}

/// Makes the receipt, hands it to the journal, frees the slots, and says so in log and metrics.
pub(super) fn settle(mut facts: Box<Facts>) -> Option<Flush> {
    let end = facts.end.clone().unwrap_or_else(End::cancelled).seen_behind(&facts.commitment);
    if facts.attempt.is_some() && matches!(end.outcome, RequestOutcome::Cancelled) {
        // A call whose client left was paid for at least its prompt.
        facts.meter.is_answered = true;
    }
    facts.end = Some(end.clone());
    facts.close_rival(Some(end.status), Code::CLIENT_CLOSED.name);
    let last = facts.close(end.attempt, Some(end.status), end.code);
    let receipt = facts.receipt(&end, last.as_ref());
    facts.gateway.metrics.settled(&receipt);
    if !facts.untold.is_empty() {
        facts.gateway.metrics.untold(receipt.dialect_in);
    }
    log(&receipt, &facts.untold);
    facts.write_reasons();
    if let Err(unwritten) = facts.room.write(&Entry::Settled { last, receipt }) {
        tracing::error!(request_id = facts.stamp.request_id(), %unwritten, "a receipt could not be written");
    }
    let (reserved, spent) = (facts.requested.estimate.total(), facts.spent.usage.total());
    let now = Instant::now().into_std();
    facts.purse.settle(facts.spent.cost);
    facts.gateway.live.correct_tokens(facts.key.slot, reserved, spent, now);
    facts.discharge();
    facts.room.waits_for_disk().then(|| flush(*facts))
}

/// Resolves when a settled request's lines are on the disk.
pub(crate) type Flush = Pin<Box<dyn Future<Output = ()> + Send>>;

fn flush(facts: Facts) -> Flush {
    let Facts { room, stamp, .. } = facts;
    Box::pin(async move {
        if let Err(unsynced) = room.durable().await {
            tracing::error!(request_id = stamp.request_id(), %unsynced, "a receipt did not reach the disk");
        }
    })
}

/// What a failure teaches the scheduler about the backend.
pub(super) fn outcome_of(failure: &Failure) -> Outcome {
    match failure.taint() {
        Taint::Call => Outcome::Neutral,
        Taint::Credential | Taint::Backend => Outcome::Failed(policy::FailureSummary::from(failure)),
    }
}

/// Whether the provider may have worked, and so charged, before it failed like this.
fn may_have_cost(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Truncated | FailureKind::Malformed | FailureKind::TooLarge | FailureKind::Reset => true,
        FailureKind::Deadline(deadline) => deadline != protocol::Deadline::Connect,
        FailureKind::Connect
        | FailureKind::Tls
        | FailureKind::ErrorAnswer
        | FailureKind::RateLimited
        | FailureKind::Unauthorized
        | FailureKind::ModelMissing
        | FailureKind::Unavailable
        | FailureKind::NotReady
        | FailureKind::Rejected => false,
    }
}

fn log(receipt: &Receipt, untold: &[String]) {
    let untold = (!untold.is_empty()).then(|| untold.join(","));
    tracing::info!(
        request_id = &*receipt.request_id,
        key = receipt.key.as_deref(),
        model = &*receipt.model_asked,
        backend = receipt.backend.as_deref(),
        status = receipt.status,
        code = receipt.error_code.as_deref(),
        stream = receipt.stream,
        attempts = receipt.attempts,
        input_tokens = receipt.usage.input_total(),
        output_tokens = receipt.usage.output,
        queue_ms = receipt.queue_ms,
        first_event_ms = receipt.first_event_ms,
        total_ms = receipt.total_ms,
        keepalive_committed = receipt.keepalive_committed,
        untold = untold.as_deref(),
        "request"
    );
}
