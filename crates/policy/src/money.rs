//! Decides what a call costs; never rounds through a float and never guesses a price it was not given.

mod amount;
mod price;

pub use amount::{Amount, AmountError};
pub use price::{Price, PriceBook, PriceSpec};
