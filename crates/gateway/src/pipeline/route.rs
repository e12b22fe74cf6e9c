//! Decides which backend the next attempt goes to, or waits for one; the lease gives its slot back when dropped.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use policy::{
    BackendId, Candidate, Failures, Granted, Leased, Outcome, Refused, RefusedReason, Route, Slot, Tier,
    Want, reasons::Course,
};
use protocol::{Dialect, Quota, Quotas};
use smallvec::SmallVec;
use tokio::time::Instant;
use upstream::Endpoint;

use super::{
    admit::Ticket,
    decode::{Ask, speech},
    settle::Facts,
};
use crate::{gateway::Gateway, refusal::Refusal, view::Serving, waiters::Place};

/// A slot on one backend, for one attempt.
pub(crate) struct Lease {
    gateway: Arc<Gateway>,
    slot: Option<Slot>,
    route: Arc<Route>,
    tier: usize,
    candidate: usize,
    pub(super) serving: Arc<Serving>,
    dialect: Dialect,
    endpoint: Endpoint,
    /// What an answer that is an error told of its provider's limits.
    told: Option<Box<Quotas>>,
}

/// What the attempts so far mean for the next one.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Where this request has been, and failed other than by a 429.
    pub(super) backends: SmallVec<[BackendId; 5]>,
    pub(super) failures: Failures,
    /// Attempts that went beyond a backend's rate because all backends were spent.
    pub(super) emergencies: u8,
}

/// Leases a backend that was not tried yet while one is left; waits in the queue up to the ask's deadline.
pub(super) async fn route(ask: &Ask, ticket: &mut Ticket) -> Result<Lease, Refusal> {
    let facts = ticket.facts();
    let gateway = facts.gateway.clone();
    let asked_at = Instant::now();
    let slot = match decide(ask, facts) {
        Entry::Slot(slot) => slot,
        Entry::Refused(refused) => return Err(refusal(ask, refused)),
        Entry::Waiting(place) => match place.granted().await {
            Granted::Slot(slot) => slot,
            Granted::Refused(refused) => {
                let facts = ticket.facts();
                if let Some(seen) = facts.weigh(&want(ask, &facts.tries)) {
                    facts.decided(Course::Refused(refused.reason), seen);
                }
                return Err(refusal(ask, refused));
            }
            Granted::Admitted(key) => {
                gateway.give_back(Granted::Admitted(key));
                return Err(no_backend());
            }
        },
    };
    let facts = ticket.facts();
    facts.queued += asked_at.elapsed();
    facts.tries.emergencies += u8::from(slot.emergency);
    Lease::new(gateway, slot, ask)
}

/// A backend beside that of an attempt whose first event is late, if one can take a second attempt at once.
pub(super) fn beside(ask: &Ask, first: &Tier, ticket: &mut Ticket) -> Option<Lease> {
    let facts = ticket.facts();
    let gateway = facts.gateway.clone();
    let want = want(ask, &facts.tries);
    let slot = gateway.live.hedge(&want, first, Instant::now().into_std(), &mut rand::rng())?;
    Lease::new(gateway, slot, ask).ok()
}

/// How long until a request like this one could start, were it to come again.
pub(super) fn soonest(ask: &Ask, ticket: &mut Ticket) -> Duration {
    let want = want(ask, &Tries::default());
    ticket.facts().gateway.live.soonest(&want, Instant::now().into_std())
}

fn want(ask: &Ask, tries: &Tries) -> Want {
    Want {
        route: ask.route.clone(),
        dialects: ask.dialects,
        purpose: ask.purpose,
        needs: ask.needs(),
        class: ask.class,
        caller: ask.key.slot,
        tried: tries.backends.clone(),
        bound: ask.bound,
        tokens: ask.estimate.total(),
        affinity: ask.affinity,
        emergencies: tries.emergencies,
        bytes: ask.body_bytes(),
        deadline: (ask.at + ask.view.snapshot.settings.queue_timeout).into_std(),
    }
}

enum Entry {
    Slot(Slot),
    Waiting(Place),
    Refused(Refused),
}

/// Takes a slot, a place to wait, or a refusal, and keeps why, save for what starts at once where it is sent first.
fn decide(ask: &Ask, facts: &mut Facts) -> Entry {
    let gateway = facts.gateway.clone();
    let want = |facts: &Facts| want(ask, &facts.tries);
    // Before one of them is taken.
    let is_again = facts.stamp.attempts() > 0;
    let before = if is_again { facts.weigh(&want(facts)) } else { None };
    let entry = take_slot(&gateway, want(facts));
    let course = match &entry {
        Entry::Slot(_) if !is_again => return entry,
        Entry::Slot(slot) => {
            let started = ask.view.serving(slot.backend).map(|serving| &*serving.backend.name);
            Course::Started(started.unwrap_or_default())
        }
        Entry::Waiting(_) => Course::Waited,
        Entry::Refused(refused) => Course::Refused(refused.reason),
    };
    if let Some(seen) = before.or_else(|| facts.weigh(&want(facts))) {
        facts.decided(course, seen);
    }
    entry
}

fn take_slot(gateway: &Arc<Gateway>, want: Want) -> Entry {
    let listing = gateway.waiters.lock();
    match gateway.live.lease(want, Instant::now().into_std(), &mut rand::rng()) {
        Leased::Now(slot) => Entry::Slot(slot),
        Leased::Refused(refused) => Entry::Refused(refused),
        Leased::Wait(waiter) => {
            let place = listing.enlist(gateway, waiter);
            gateway.live_changed();
            Entry::Waiting(place)
        }
    }
}

impl Lease {
    fn new(gateway: Arc<Gateway>, slot: Slot, ask: &Ask) -> Result<Self, Refusal> {
        let (tier, candidate) = (slot.tier, slot.candidate);
        let serving = ask.view.serving(slot.backend).cloned();
        let Some((serving, (dialect, endpoint))) = serving.and_then(|serving| {
            let place = serving.place_for(ask.dialect, ask.dialects)?;
            Some((serving, place))
        }) else {
            gateway.give_back(Granted::Slot(slot));
            return Err(no_backend());
        };
        let route = ask.route.clone();
        Ok(Self { gateway, slot: Some(slot), route, tier, candidate, serving, dialect, endpoint, told: None })
    }

    /// What the backend is spoken to in.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Where it is called.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The backend this lease is on.
    pub(super) fn backend(&self) -> BackendId {
        self.serving.backend.id
    }

    /// What carries calls to it.
    pub(super) fn client(&self) -> &upstream::Client {
        &self.gateway.client
    }

    /// Where on its route it is.
    pub(super) fn place(&self) -> (Arc<Route>, usize) {
        (self.route.clone(), self.tier)
    }

    /// The pool that was leased from.
    pub(super) fn tier(&self) -> &Tier {
        &self.route.tiers[self.tier]
    }

    /// The backend's own name and price for the model.
    pub(super) fn candidate(&self) -> &Candidate {
        &self.tier().candidates[self.candidate]
    }

    /// An error's own words without the secrets of this backend, which some upstreams quote.
    pub(super) fn hide(&self, said: Bytes) -> Bytes {
        let hide = |said: Bytes, secret: &str| without(&said, secret.as_bytes()).map_or(said, Bytes::from);
        self.secrets().fold(said, hide)
    }

    /// The same for what goes to the log.
    pub(super) fn hide_text(&self, said: Box<str>) -> Box<str> {
        self.secrets().fold(said, |said, secret| match said.contains(secret) {
            true => said.replace(secret, HIDDEN).into(),
            false => said,
        })
    }

    /// Whether a secret of this backend stands in `said`.
    pub(super) fn is_quoted_in(&self, said: &[u8]) -> bool {
        let stands_in = |secret: &str| said.windows(secret.len()).any(|window| window == secret.as_bytes());
        self.secrets().any(stands_in)
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        self.serving.secrets.iter().map(policy::Secret::expose)
    }

    /// The backend took the call: its answer is on the way.
    pub(super) fn accepted(&self) {
        if let Some(slot) = &self.slot {
            self.gateway.change(|live, now| live.accepted(slot, now));
        }
    }

    /// Takes over what the headers of an answer tell of the provider's limits.
    pub(super) fn learn(&mut self, status: StatusCode, headers: &HeaderMap) {
        let Some(slot) = &self.slot else { return };
        let quotas = protocol::quotas(headers);
        self.gateway.change(|live, now| live.learn(slot, &quotas, now));
        if !status.is_success() && !quotas.is_empty() {
            self.told = Some(Box::new(quotas));
        }
    }

    /// What an answer that is an error told of its provider's limits.
    pub(super) fn told(&self) -> &[Quota] {
        self.told.as_ref().map_or(&[], |quotas| quotas.as_slice())
    }

    /// Notes what the attempt has used so far; nothing where that cannot be known, which counts as all that was
    /// reserved for it.
    pub(super) fn used(&mut self, tokens: Option<u64>) {
        if let Some(slot) = &mut self.slot {
            slot.spent = tokens;
        }
    }

    /// Gives the slot back with what the attempt taught.
    pub(super) fn finish(mut self, outcome: Outcome) {
        self.release(outcome);
    }

    fn release(&mut self, outcome: Outcome) {
        if let Some(slot) = self.slot.take() {
            self.gateway.change(|live, now| live.release(slot, outcome, now));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release(Outcome::Neutral);
    }
}

/// Stands where a credential stood.
const HIDDEN: &str = "[hidden]";

/// `said` without each `secret` in it; `None` when there is none.
fn without(said: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let mut clean: Option<Vec<u8>> = None;
    let mut rest = said;
    while let Some(at) = rest.windows(secret.len()).position(|window| window == secret) {
        let clean = clean.get_or_insert_default();
        clean.extend_from_slice(&rest[..at]);
        clean.extend_from_slice(HIDDEN.as_bytes());
        rest = &rest[at + secret.len()..];
    }
    clean.map(|mut clean| {
        clean.extend_from_slice(rest);
        clean
    })
}

fn refusal(ask: &Ask, refused: Refused) -> Refusal {
    match refused.reason == RefusedReason::Unsupported {
        true => speech::unsupported(ask),
        false => refused.into(),
    }
}

fn no_backend() -> Refusal {
    Refused { reason: RefusedReason::NoBackend, retry_after: Duration::from_secs(1) }.into()
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn a_quoted_credential_is_taken_out_wherever_it_stands() {
        for (said, want) in [
            ("key k-1 is bad", Some("key [hidden] is bad")),
            ("k-1", Some("[hidden]")),
            ("k-1k-1 k-", Some("[hidden][hidden] k-")),
            ("k-2", None),
            ("", None),
        ] {
            assert_eq!(without(said.as_bytes(), b"k-1").as_deref(), want.map(str::as_bytes), "{said}");
        }
    }
}
