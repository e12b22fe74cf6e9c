//! Decides, for everybody at once, what may still be paid for; never what anything costs.

use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use super::Live;
use super::event::{EventFields, EventKind};
use crate::money::{Amount, Budget, BudgetBook, BudgetSlot, BudgetStatus, Crossed, Exceeded, Hold, Window};
use crate::timestamp::Timestamp;

/// Budgets have a mutex of their own: most requests concern none, and their windows follow the calendar, not the clock
/// that paces.
impl Live {
    /// Where this budget's account is; a new one is not in force before [`Self::adopt_budgets`].
    pub(crate) fn budget_slot(&self, budget: &Budget) -> BudgetSlot {
        self.budgets().slot(budget)
    }

    /// Those of `budgets` that are not in force: what was spent of them must be looked up before they are adopted.
    pub fn uncounted(&self, budgets: &[Budget]) -> Vec<Budget> {
        let mut book = self.budgets();
        budgets.iter().filter(|budget| !book.counts(budget)).cloned().collect()
    }

    /// Puts these budgets, and no others, in force; `spent` says what the ledger knows of one that was not.
    pub fn adopt_budgets(
        &self,
        budgets: &[Budget],
        at: Timestamp,
        spent: impl Fn(&Budget, &Window) -> Amount,
    ) {
        self.budgets().adopt(budgets, at, spent);
    }

    /// Holds `worst` on each of these budgets, or says which of them cannot bear it.
    pub fn hold(&self, budgets: &[BudgetSlot], worst: Amount, at: Timestamp) -> Result<Hold, Box<Exceeded>> {
        self.budgets().reserve(budgets, worst, at)
    }

    /// Raises a hold to `worst` where its budgets bear it; says whether they did.
    pub fn raise(&self, hold: &mut Hold, worst: Amount, at: Timestamp) -> bool {
        self.budgets().raise(hold, worst, at)
    }

    /// Gives a hold back against what the request cost. Shares of a budget that this crosses become events, and are
    /// returned.
    pub fn settle(&self, hold: Hold, cost: Amount, at: Timestamp, now: Instant) -> Vec<Crossed> {
        let crossed = self.budgets().settle(hold, cost, at);
        for share in &crossed {
            self.lock().board.event(EventKind::BudgetCrossed, None, EventFields::crossed(share), now);
        }
        crossed
    }

    /// How every budget in force stands.
    pub fn budget_status(&self, at: Timestamp) -> Vec<BudgetStatus> {
        self.budgets().status(at)
    }

    fn budgets(&self) -> MutexGuard<'_, BudgetBook> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
