//! Decides whether an ask may begin now, waits, or is refused; what admission takes is held by the ticket until it is settled.

use std::sync::Arc;

use policy::{Admission, Admitted, Granted, KeySlot, Refused};
use tokio::{sync::mpsc::OwnedPermit, time::Instant};

use super::{
    authenticate::Caller,
    decode::Ask,
    drain::{Abandoned, Drain, Flow},
    purse::Purse,
    route::Lease,
    settle::{End, Facts, Flush, Taken, settle},
};
use crate::{
    gateway::Gateway,
    identity::Stamp,
    refusal::{Code, Refusal},
    waiters::Place,
};

/// An admitted ask: holds its slots, its room in the journal and its place with the settler until it is settled.
pub(crate) struct Ticket {
    held: Option<Held>,
}

struct Held {
    facts: Box<Facts>,
    settler: OwnedPermit<Abandoned>,
}

/// Takes everything that settling will need first, so that settling cannot fail or block, then the slots themselves.
pub(super) async fn admit(gateway: &Arc<Gateway>, caller: &Caller, ask: &Ask) -> Result<Ticket, Refusal> {
    let room = gateway.journal.reserve().map_err(|full| unrecorded(&full.to_string()))?;
    let settler = gateway.settler.clone().try_reserve_owned().map_err(|_full| {
        Refusal::new(Code::BACKPRESSURE, "The gateway is at its limit of requests in flight. Retry later.")
            .retry_after(std::time::Duration::from_secs(1))
    })?;
    let purse = Purse::open(gateway, ask)?;
    match enter(gateway, ask) {
        Entry::Inside => {}
        Entry::Refused(refused) => return Err(refused.into()),
        Entry::Waiting(place, tokens) => match place.granted().await {
            Granted::Admitted(_) => tokens.keep(),
            Granted::Refused(refused) => return Err(refused.into()),
            Granted::Slot(slot) => {
                gateway.give_back(Granted::Slot(slot));
                return Err(Refusal::new(Code::BACKPRESSURE, "The gateway is at its limit. Retry later."));
            }
        },
    }
    let facts = Box::new(Facts::new(gateway, caller, ask, Taken { room, purse }));
    Ok(Ticket { held: Some(Held { facts, settler }) })
}

/// What cannot be recorded is not done.
pub(super) fn unrecorded(why: &str) -> Refusal {
    Refusal::new(Code::JOURNAL_FULL, "The gateway cannot record further requests at present. Retry later.")
        .retry_after(std::time::Duration::from_secs(5))
        .detailed(why)
}

enum Entry {
    Inside,
    Waiting(Place, Reserved),
    Refused(Refused),
}

/// Tokens of a key that were taken when its ask began to wait; given back unless it is let in.
struct Reserved {
    gateway: Arc<Gateway>,
    key: KeySlot,
    tokens: u64,
}

impl Reserved {
    fn keep(mut self) {
        self.tokens = 0;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.gateway.change(|live, now| {
            live.correct_tokens(self.key, self.tokens, 0, now);
            Vec::new()
        });
    }
}

fn enter(gateway: &Arc<Gateway>, ask: &Ask) -> Entry {
    let admission = Admission {
        key: ask.key.slot,
        concurrency: ask.key.limits.concurrency,
        class: ask.class,
        tokens: ask.estimate.total(),
        bytes: ask.body_bytes(),
        deadline: (ask.at + ask.view.snapshot.settings.queue_timeout).into_std(),
    };
    let listing = gateway.waiters.lock();
    match gateway.live.admit(admission, Instant::now().into_std()) {
        Admitted::Now => Entry::Inside,
        Admitted::Refused(refused) => Entry::Refused(refused),
        Admitted::Wait(waiter) => {
            let place = listing.enlist(gateway, waiter);
            gateway.live_changed();
            let tokens = ask.estimate.total();
            Entry::Waiting(place, Reserved { gateway: gateway.clone(), key: ask.key.slot, tokens })
        }
    }
}

impl Ticket {
    /// What is known of the request so far.
    pub(super) fn facts(&mut self) -> &mut Facts {
        &mut self.held.as_mut().expect("a ticket holds its facts until it is settled").facts
    }

    /// Settles a request that gets no answer of its own, and gives back how far it came.
    pub(super) fn refused(mut self, refusal: &Refusal) -> Stamp {
        let facts = self.facts();
        let stamp = facts.stamp.clone();
        facts.end = Some(End::refused(refusal));
        // An error is no answer that anybody pays for: its line need not have reached the disk.
        drop(self.settle());
        stamp
    }

    /// Waits until the open line is as durable as the settings ask.
    pub(super) async fn opened_durably(&mut self) {
        let facts = self.facts();
        if let Err(unsynced) = facts.room.durable().await {
            tracing::error!(request_id = facts.stamp.request_id(), %unsynced, "an open line did not reach the disk");
        }
    }

    /// Makes the receipt and frees what the ticket held. What is returned must be waited for before the client may see
    /// the end of the answer.
    pub(super) fn settle(mut self) -> Option<Flush> {
        settle(self.held.take()?.facts)
    }

    /// The client left a stream that is to be read to its end all the same.
    pub(super) fn leave(mut self, flow: Flow, lease: Lease) {
        if let Some(Held { facts, settler }) = self.held.take() {
            settler.send(Abandoned::Stream(Box::new(Drain::new(flow, lease, facts))));
        }
    }
}

impl Drop for Ticket {
    /// The client left, or the task was dropped: the facts go to the settler, whose place was reserved at admission.
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.settler.send(Abandoned::Ticket(held.facts));
        }
    }
}
