//! Decides whether a request may still be paid for: reserves its worst case, then settles it at what it cost; never
//! knows prices or people, and never reads a clock.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Amount;
use super::period::{Period, Window};
use crate::timestamp::Timestamp;

#[cfg(test)]
mod tests;

/// An amount that may be spent in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Never changes; what events and refusals name.
    pub id: Arc<str>,
    /// Whose spending counts.
    pub of: Payer,
    /// How much.
    pub amount: Amount,
    /// In what time.
    pub per: Period,
}

/// Whose spending a budget counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payer {
    /// Everybody's.
    Gateway,
    /// A team's, by its name.
    Team(Arc<str>),
    /// A key's, by its id.
    Key(Arc<str>),
}

/// Where a [`BudgetBook`] keeps the account of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BudgetSlot(pub u32);

/// Shares of a budget, in percent, whose crossing is told.
pub const THRESHOLDS: [u8; 4] = [50, 80, 95, 100];

/// What budgets a request counts towards, and how much of each is held for it until it is settled. It must be given
/// back to [`BudgetBook::settle`]: its holder does so when dropped.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is held is only given back by settling it"]
pub struct Hold {
    amount: Amount,
    /// Each budget, and the start of the window it was held in.
    of: SmallVec<[(BudgetSlot, Timestamp); 3]>,
}

impl Hold {
    /// How much is held.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Whether no budget is concerned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

/// A request that cannot be paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// The budget that is spent; where several are, the one that begins anew last.
    pub budget: Arc<str>,
    /// How much it allows.
    pub amount: Amount,
    /// In what time.
    pub per: Period,
    /// What is left of it, not counting this request.
    pub left: Amount,
    /// When it begins anew.
    pub resets_at: Option<Timestamp>,
}

/// A share of a budget was crossed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed {
    /// Which budget.
    pub budget: Arc<str>,
    /// The share, of [`THRESHOLDS`].
    pub percent: u8,
    /// What is spent so far in this window.
    pub spent: Amount,
    /// Of how much.
    pub amount: Amount,
}

/// How a budget stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetStatus {
    /// The budget.
    #[serde(flatten)]
    pub budget: Budget,
    /// Spent in this window.
    pub spent: Amount,
    /// Held for requests that are not settled.
    pub reserved: Amount,
    /// When this window began; none for a total.
    pub since: Option<Timestamp>,
    /// When it begins anew.
    pub resets_at: Option<Timestamp>,
}

/// All budgets, and how they stand.
///
/// Invariant: an account's `reserved` is the sum of the [`Hold`]s on it that were made in its present window and are not
/// settled. A hold of an earlier window concerns nobody any more: what it cost was spent in that window.
#[derive(Debug, Default)]
pub struct BudgetBook {
    accounts: Vec<Account>,
}

#[derive(Debug)]
struct Account {
    budget: Budget,
    window: Window,
    spent: Amount,
    reserved: Amount,
    /// The greatest share that was told in this window.
    told: u8,
    /// Whether the budget still exists. One that is gone keeps its slot for the holds on it.
    is_open: bool,
}

impl BudgetBook {
    /// Where the account of this budget is. One that was never heard of gets an account that is not open: nothing is in
    /// force before [`BudgetBook::adopt`].
    pub fn slot(&mut self, budget: &Budget) -> BudgetSlot {
        // What is counted, and since when, must be the same; a changed amount goes on counting.
        let same = |account: &Account| {
            let known = &account.budget;
            known.id == budget.id && known.of == budget.of && known.per == budget.per
        };
        let place = self.accounts.iter().position(same).unwrap_or(self.accounts.len());
        if place == self.accounts.len() {
            self.accounts.push(Account {
                budget: budget.clone(),
                window: Window { start: Timestamp(i64::MIN), end: Some(Timestamp(i64::MIN)) },
                spent: Amount::ZERO,
                reserved: Amount::ZERO,
                told: 0,
                is_open: false,
            });
        }
        BudgetSlot(u32::try_from(place).expect("fewer budgets than that"))
    }

    /// Whether this budget is in force, so that nobody needs to say what was spent of it.
    pub fn counts(&mut self, budget: &Budget) -> bool {
        let slot = self.slot(budget);
        self.account(slot).is_some()
    }

    /// Puts these budgets, and no others, in force. One that was in force under its id keeps what was spent and held;
    /// `spent` says what the ledger knows of one that was not, in its window at `at`.
    pub fn adopt(&mut self, budgets: &[Budget], at: Timestamp, spent: impl Fn(&Budget, &Window) -> Amount) {
        let slots: Vec<_> = budgets.iter().map(|budget| self.slot(budget)).collect();
        for (place, account) in self.accounts.iter_mut().enumerate() {
            account.turn(at);
            let place = slots.iter().position(|slot| slot.0 as usize == place);
            let Some(budget) = place.and_then(|place| budgets.get(place)) else {
                account.is_open = false;
                continue;
            };
            account.budget = budget.clone();
            // Of a greater amount, what was told may come to pass once more.
            account.told = account.told.min(account.share());
            if !account.is_open {
                account.is_open = true;
                account.spent = spent(budget, &account.window);
                // What was crossed before a restart was told before it.
                account.told = account.share();
            }
        }
    }

    /// Holds `worst` on each of these budgets, or on none when one of them cannot bear it. What is spent and held stays
    /// within every amount, whoever asks in whatever order.
    pub fn reserve(
        &mut self,
        budgets: &[BudgetSlot],
        worst: Amount,
        at: Timestamp,
    ) -> Result<Hold, Box<Exceeded>> {
        let worst = worst.max(Amount::ZERO);
        let mut exceeded: Option<Box<Exceeded>> = None;
        for slot in budgets {
            let Some(account) = self.account(*slot) else { continue };
            account.turn(at);
            if account.left() < worst {
                let refusal = account.exceeded();
                let is_later = |known: &Exceeded| {
                    let far = |end: Option<Timestamp>| end.map_or(i64::MAX, |end| end.0);
                    far(refusal.resets_at) > far(known.resets_at)
                };
                if exceeded.as_deref().is_none_or(is_later) {
                    exceeded = Some(Box::new(refusal));
                }
            }
        }
        match exceeded {
            Some(exceeded) => Err(exceeded),
            None => Ok(self.hold(budgets, worst)),
        }
    }

    fn hold(&mut self, budgets: &[BudgetSlot], amount: Amount) -> Hold {
        let mut of = SmallVec::new();
        for slot in budgets {
            if let Some(account) = self.account(*slot) {
                account.reserved = account.reserved.saturating_add(amount);
                of.push((*slot, account.window.start));
            }
        }
        Hold { amount, of }
    }

    /// Raises what a hold keeps to `worst`, where more attempts turned out to be needed than one; false, and nothing
    /// changes, where one of its budgets cannot bear that. Windows that are over concern nobody any more.
    pub fn raise(&mut self, hold: &mut Hold, worst: Amount, at: Timestamp) -> bool {
        let more = worst.saturating_sub(hold.amount);
        if more <= Amount::ZERO {
            return true;
        }
        self.accounts.iter_mut().for_each(|account| account.turn(at));
        let concerned =
            |account: &Account, start: Timestamp| account.is_open && account.window.start == start;
        let can_bear = hold.of.iter().all(|(slot, start)| {
            let account = self.accounts.get(slot.0 as usize).filter(|account| concerned(account, *start));
            account.is_none_or(|account| account.left() >= more)
        });
        if can_bear {
            for (slot, start) in &hold.of {
                let account = self.accounts.get_mut(slot.0 as usize);
                if let Some(account) = account.filter(|account| account.window.start == *start) {
                    account.reserved = account.reserved.saturating_add(more);
                }
            }
            hold.amount = worst;
        }
        can_bear
    }

    /// Replaces what was held by what it cost, which may be nothing, in the window it was held in; says which shares
    /// that crossed. A cost beyond the hold is counted all the same.
    pub fn settle(&mut self, hold: Hold, cost: Amount, at: Timestamp) -> Vec<Crossed> {
        let mut crossed = Vec::new();
        for (slot, start) in hold.of {
            let Some(account) = self.accounts.get_mut(slot.0 as usize) else { continue };
            account.turn(at);
            if account.window.start != start {
                continue;
            }
            account.reserved = account.reserved.saturating_sub(hold.amount);
            account.spent = account.spent.saturating_add(cost.max(Amount::ZERO));
            crossed.extend(account.newly_crossed().filter(|_| account.is_open));
        }
        crossed
    }

    /// How every budget in force stands.
    pub fn status(&mut self, at: Timestamp) -> Vec<BudgetStatus> {
        let open = self.accounts.iter_mut().filter(|account| account.is_open);
        let status = open.map(|account| {
            account.turn(at);
            BudgetStatus {
                budget: account.budget.clone(),
                spent: account.spent,
                reserved: account.reserved,
                since: account.window.end.map(|_| account.window.start),
                resets_at: account.window.end,
            }
        });
        status.collect()
    }

    fn account(&mut self, slot: BudgetSlot) -> Option<&mut Account> {
        self.accounts.get_mut(slot.0 as usize).filter(|account| account.is_open)
    }
}

impl Account {
    /// Begins anew when its window is over. A clock that went back changes nothing: what was spent stays spent.
    fn turn(&mut self, at: Timestamp) {
        if self.window.end.is_some_and(|end| at >= end) {
            self.window = self.budget.per.window(at);
            (self.spent, self.reserved, self.told) = (Amount::ZERO, Amount::ZERO, 0);
        }
    }

    fn left(&self) -> Amount {
        self.budget.amount.saturating_sub(self.spent).saturating_sub(self.reserved)
    }

    fn exceeded(&self) -> Exceeded {
        Exceeded {
            budget: Arc::clone(&self.budget.id),
            amount: self.budget.amount,
            per: self.budget.per,
            left: self.left().max(Amount::ZERO),
            resets_at: self.window.end,
        }
    }

    /// The greatest threshold that is reached.
    fn share(&self) -> u8 {
        let reached = |percent: &u8| {
            self.spent.0.saturating_mul(100) >= self.budget.amount.0.saturating_mul(i128::from(*percent))
        };
        THRESHOLDS.into_iter().filter(reached).max().unwrap_or(0)
    }

    fn newly_crossed(&mut self) -> Option<Crossed> {
        let percent = self.share();
        if percent <= self.told {
            return None;
        }
        self.told = percent;
        let budget = Arc::clone(&self.budget.id);
        Some(Crossed { budget, percent, spent: self.spent, amount: self.budget.amount })
    }
}
