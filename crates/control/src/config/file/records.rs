//! What may be written of how long records and copies of them are kept, exactly as it is typed; nothing is defaulted here.

use super::super::bind::shape;
use super::super::quantity::Count;

/// A hundred years.
const DAYS_MAX: u64 = 36_500;

shape! {
    /// How long single requests are kept. Their sums stay in any case.
    pub struct Records {
        /// Older ones are removed. Default: none is removed for its age.
        pub retention_days: Option<Count<1, DAYS_MAX>>,
        /// Of more, the oldest are removed. Default: none is removed for their number.
        pub rows_max: Option<Count<1, 1_000_000_000_000>>,
    }
}

shape! {
    /// When the database is copied, and how long copies are kept.
    pub struct Backups {
        /// Whether a copy is made each day. Default: true.
        pub daily: Option<bool>,
        /// When the day's copy is made, older ones are removed; the newest never is. Default: 7.
        pub retention_days: Option<Count<1, DAYS_MAX>>,
    }
}
