//! Decides what was spent of a budget before it came into force, by the ledger; never what may still be spent.

use policy::{Amount, Budget, Payer, Timestamp};
use store::StoreError;
use store::ledger::{Dimension, Grain, Range};

use super::Controls;

/// What the ledger knows of budgets that are not in force yet.
pub(super) struct Spent(Vec<(Budget, Amount)>);

impl Spent {
    /// What was spent of `budget`, where it was looked up.
    pub(super) fn of(&self, budget: &Budget) -> Amount {
        let known = self.0.iter().find(|(known, _)| (&known.id, &known.of) == (&budget.id, &budget.of));
        known.map_or(Amount::ZERO, |(_, spent)| *spent)
    }
}

/// Asks the ledger about those of `budgets` that are not in force, in their windows at `now`. Windows begin on the hour,
/// as the ledger's sums do.
pub(super) async fn look_up(
    controls: &Controls,
    budgets: &[Budget],
    now: Timestamp,
) -> Result<Spent, StoreError> {
    let mut spent = Vec::new();
    for budget in controls.live.uncounted(budgets) {
        let amount = in_window(controls, &budget, now).await?;
        spent.push((budget, amount));
    }
    Ok(Spent(spent))
}

async fn in_window(controls: &Controls, budget: &Budget, now: Timestamp) -> Result<Amount, StoreError> {
    let window = budget.per.window(now);
    let range = Range { from: window.start.max(Range::ALL.from), to: window.end.unwrap_or(Range::ALL.to) };
    let (by, who) = match &budget.of {
        Payer::Gateway => (Dimension::Key, None),
        Payer::Team(team) => (Dimension::Team, Some(team)),
        Payer::Key(key) => (Dimension::Key, Some(key)),
    };
    let begins_a_day = |at: Timestamp| at == at.day_begins();
    // Years of hours take seconds to add up; nearly all windows are made of days.
    let of_days = begins_a_day(window.start) && window.end.is_none_or(begins_a_day);
    let grain = if of_days || range == Range::ALL { Grain::Day } else { Grain::Hour };
    let rows = controls.ledger.grouped(grain, by, range).await?;
    let theirs = rows.iter().filter(|row| who.is_none_or(|who| row.group.as_deref() == Some(&**who)));
    Ok(theirs.map(|row| row.sums.cost).sum())
}
