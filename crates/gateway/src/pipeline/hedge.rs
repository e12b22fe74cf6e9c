//! Decides whether a second attempt races a first one whose first event is late, and which of the two is committed
//! to; never after a commit, and never for what can be sent only once or to one backend only.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use policy::{BackendId, Route, Tier};
use tokio::time::{Instant, timeout};

use super::{
    admit::Ticket,
    call::{self, Failed, Reply, Sending},
    decode::{Ask, Payload},
    route::{self, Lease},
};
use crate::routes::Operation;

/// Calls the leased backend, whose line is open, and another one beside it when its first event is late; waits until an answer of
/// either can be committed to.
pub(super) async fn call(ask: &mut Ask, lease: Lease, ticket: &mut Ticket) -> Result<Reply, Failed> {
    let patience = patience(ask, &lease, ticket);
    let sending = call::prepare(ask, lease).map_err(|failed| *failed)?;
    match patience {
        None => call::answer(ask, sending).await,
        // Few requests are raced: the others need not carry the room for two attempts.
        Some(patience) => Box::pin(race(ask, sending, patience, ticket)).await,
    }
}

/// How long the first event may take before it is late; none for what is never hedged. That of a whole answer is
/// its last, and so tells nothing.
fn patience(ask: &Ask, lease: &Lease, ticket: &mut Ticket) -> Option<Duration> {
    let facts = ticket.facts();
    let may_be_raced = ask.operation == Operation::Generate
        && ask.is_stream()
        && matches!(ask.payload, Payload::Json { .. })
        && ask.bound.is_none()
        // The line of a second one is to come.
        && facts.stamp.attempts() < ask.view.snapshot.settings.attempts_max
        && ask.view.snapshot.settings.hedging.enabled;
    may_be_raced.then(|| facts.gateway.live.hedge_after(lease.tier())).flatten()
}

async fn race(ask: &Ask, sending: Sending, patience: Duration, ticket: &mut Ticket) -> Result<Reply, Failed> {
    let earlier = Earlier::of(sending.lease());
    let mut first = pin!(call::answer(ask, sending));
    if let Ok(came) = timeout(patience, first.as_mut()).await {
        return came;
    }
    let beside = match ticket.facts().can_pay(2) {
        true => route::beside(ask, earlier.tier(), ticket),
        false => None,
    };
    let Some(second) = beside.and_then(|lease| call::open_beside(ask, lease, ticket)) else {
        return first.await;
    };
    let second = pin!(call::answer(ask, second));
    match select(first, second).await {
        Either::Left((Ok(reply), _)) | Either::Right((Ok(reply), _)) => Ok(won(reply, &earlier, ticket)),
        Either::Left((Err(failed), second)) => {
            lost(failed, ask, ticket);
            second.await
        }
        Either::Right((Err(failed), first)) => {
            lost(failed, ask, ticket);
            first.await
        }
    }
}

/// The attempt that is raced.
struct Earlier {
    route: Arc<Route>,
    tier: usize,
    backend: BackendId,
    began: Instant,
}

impl Earlier {
    fn of(lease: &Lease) -> Self {
        let (route, tier) = lease.place();
        Self { route, tier, backend: lease.backend(), began: Instant::now() }
    }

    fn tier(&self) -> &Tier {
        &self.route.tiers[self.tier]
    }
}

/// One answers: the other is cancelled by being dropped, and has its own line.
fn won(reply: Reply, earlier: &Earlier, ticket: &mut Ticket) -> Reply {
    let facts = ticket.facts();
    let winner = reply.lease.backend();
    facts.turn_to(winner);
    facts.cancel_rival();
    if winner != earlier.backend {
        let live = &facts.gateway.live;
        live.note_hedge_won();
        // It took at least so long. Were that left out, what is late would look ever less late.
        let (took, now) = (earlier.began.elapsed(), Instant::now().into_std());
        live.note_first_event(earlier.backend, earlier.tier(), took, now);
    }
    reply
}

/// One fails: its line is closed, and the other runs on alone.
fn lost(failed: Failed, ask: &Ask, ticket: &mut Ticket) {
    ticket.facts().turn_to(failed.backend());
    failed.close(ask, ticket);
    ticket.facts().turn_to_rival();
}
