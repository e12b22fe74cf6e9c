//! Decides what a call costs and whether it may still be paid for; never rounds through a float and never guesses a price
//! it was not given.

mod amount;
mod budget;
mod period;
mod price;

pub use amount::{Amount, AmountError};
pub use budget::{Budget, BudgetBook, BudgetSlot, BudgetStatus, Crossed, Exceeded, Hold, Payer, THRESHOLDS};
pub use period::{Period, UnknownPeriod, Window};
pub use price::{Price, PriceBook, PriceSpec};
