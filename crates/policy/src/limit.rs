//! Decides how much at once and how much per minute; never who comes first among backends.

mod inflight;
mod queue;
mod rate;

pub(crate) use inflight::InFlight;
pub use queue::WaiterId;
pub(crate) use queue::{Place, Waiters};
pub use rate::Bucket;
