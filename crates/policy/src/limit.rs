//! Decides how much at once and how much per minute, and who of those waiting comes next; never who comes first
//! among backends.

mod alarm;
mod allowance;
mod claims;
mod inflight;
mod lineup;
mod minute;
mod places;
mod queue;
mod rate;
mod reserve;
mod retreat;
mod seek;
mod usual;
mod window;

pub(crate) use alarm::Alarm;
pub use allowance::Adaptive;
pub(crate) use allowance::{Allowance, Mark, Portion, Rates};
pub(crate) use inflight::InFlight;
pub(crate) use lineup::{Entry, Lineup, Rank, Turn};
pub(crate) use places::{Beside, Places};
pub use queue::WaiterId;
pub(crate) use queue::{Place, Waiters};
pub use rate::RateWindow;
pub(crate) use rate::{Bucket, Rate};
pub(crate) use reserve::Reserve;
pub(crate) use retreat::Retreat;
pub use retreat::{Pace, RetreatRules};
pub(crate) use seek::Seek;
pub(crate) use usual::Usual;
pub(crate) use window::{Tally, Window};
