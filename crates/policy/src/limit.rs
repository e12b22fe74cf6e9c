//! Decides how much at once and how much per minute, and who of those waiting comes next; never who comes first
//! among backends.

mod inflight;
mod lineup;
mod queue;
mod rate;
mod reserve;

pub(crate) use inflight::InFlight;
pub(crate) use lineup::{Entry, Lineup, Rank};
pub use queue::WaiterId;
pub(crate) use queue::{Place, Waiters};
pub use rate::Bucket;
pub(crate) use reserve::Reserve;
