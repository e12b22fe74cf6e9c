//! Decides whether a request may still be paid for: holds its worst case on the budgets it counts towards, and settles it
//! at what it cost; never knows what anything costs.

use std::sync::Arc;

use policy::{Amount, Exceeded, Hold, Key, Longest, Route, Timestamp};
use tokio::time::Instant;

use super::decode::{Ask, BYTES_PER_TOKEN, Payload};
use crate::{
    gateway::Gateway,
    refusal::{Code, Refusal},
};

/// As many pictures as a form may ask for, which is passed on unread.
const FORM_IMAGES_MAX: u64 = 10;

/// What is held for a request; empty where no budget counts. Dropped without being settled, it was free.
pub(super) struct Purse(Option<Box<Held>>);

struct Held {
    gateway: Arc<Gateway>,
    hold: Hold,
    /// What one attempt may cost at most.
    worst: Amount,
    wall: Timestamp,
    since: Instant,
}

impl Purse {
    /// Holds what the first attempt may cost at most, or refuses.
    pub(super) fn open(gateway: &Arc<Gateway>, ask: &Ask) -> Result<Self, Refusal> {
        if ask.key.budgets.is_empty() {
            return Ok(Self(None));
        }
        let worst = worst_case(ask);
        let wall = ask.wall.after(ask.at.elapsed());
        let hold = gateway.live.hold(&ask.key.budgets, worst, wall).map_err(|e| exceeded(&e, wall))?;
        let held = Held { gateway: gateway.clone(), hold, worst, wall, since: Instant::now() };
        Ok(Self(Some(Box::new(held))))
    }

    /// Whether so many more attempts can be paid for after `spent`; what they may cost is held then.
    pub(super) fn bears(&mut self, spent: Amount, attempts: u64) -> bool {
        let Some(held) = &mut self.0 else { return true };
        let worst = held.worst.times(attempts).saturating_add(spent);
        let at = held.now();
        held.gateway.live.raise(&mut held.hold, worst, at)
    }

    /// Gives back what was held, against what the request cost.
    pub(super) fn settle(&mut self, cost: Amount) {
        let Some(held) = self.0.take() else { return };
        let at = held.now();
        let Held { gateway, hold, .. } = *held;
        for crossed in gateway.live.settle(hold, cost, at, Instant::now().into_std()) {
            tracing::warn!(
                budget = &*crossed.budget,
                percent = crossed.percent,
                spent = %crossed.spent,
                amount = %crossed.amount,
                "a share of a budget is spent"
            );
            gateway.tell_crossed(crossed);
        }
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.settle(Amount::ZERO);
    }
}

impl Held {
    fn now(&self) -> Timestamp {
        self.wall.after(self.since.elapsed())
    }
}

/// What one attempt may cost at most. No token of the usual vocabularies is shorter than a byte, so that a prompt of
/// text has at most as many tokens as bytes.
fn worst_case(ask: &Ask) -> Amount {
    let prompt = ask.estimate.prompt.saturating_mul(BYTES_PER_TOKEN);
    let each = Some(ask.estimate.output_max).filter(|tokens| *tokens > 0);
    let longest = Longest { each, answers: ask.answers(), images: images_max(ask) };
    ask.route.worst_case(prompt, longest, ask.key.ceiling.as_deref())
}

/// How many pictures may come. No dialect lets a client bound those of a chat: one with each answer is assumed there.
fn images_max(ask: &Ask) -> u64 {
    match &ask.payload {
        Payload::Json { outline, .. } => outline.answers,
        Payload::Opaque(_) => FORM_IMAGES_MAX,
        Payload::Empty => 0,
    }
}

/// The route as far as it can be paid for: where a budget counts, what nobody knows the price of is not free, but left
/// out, unless the key has a price for it.
pub(super) fn payable(route: Arc<Route>, key: &Key) -> Result<Arc<Route>, Refusal> {
    if key.budgets.is_empty() || key.ceiling.is_some() || route.is_priced() {
        return Ok(route);
    }
    route.only_priced().map(Arc::new).ok_or_else(|| {
        Refusal::new(
            Code::UNPRICED_MODEL,
            "The price of this model is not known here, so it cannot be used under a budget.",
        )
        .about("model")
    })
}

fn exceeded(exceeded: &Exceeded, now: Timestamp) -> Refusal {
    let Exceeded { budget, amount, per, left, resets_at } = exceeded;
    let when = resets_at.map_or_else(
        || "It does not begin anew; ask whoever runs this gateway to raise it.".to_owned(),
        |at| format!("It begins anew at {}.", at.to_utc()),
    );
    let message =
        format!("This request could cost more than what is left of a budget of ${amount} per {per}. {when}");
    let refusal = Refusal::new(Code::BUDGET_EXCEEDED, message)
        .detailed(&format!("budget {budget}: ${left} of ${amount} per {per} is left"));
    match resets_at {
        Some(at) => refusal.retry_after(now.until(*at)),
        None => refusal,
    }
}
