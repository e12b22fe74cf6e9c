//! What the tests of several modules share: one instant to count from.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An instant far enough from the machine's own zero that tests may step back from it.
pub(crate) fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "the standard library offers no other way to make an Instant"
    )]
    *EPOCH.get_or_init(|| Instant::now() + Duration::from_hours(1000))
}
