//! Decides of which requests it is kept why they went where they went: of those that waited, were refused or went on after a
//! failure, and in a storm of these only of some. What is kept is written with the receipt, never before.

use std::sync::atomic::{AtomicU64, Ordering};

use policy::reasons::{Course, Learned, Look, Reasons, ToldLimit};
use policy::{Entry, Explanation, Reasoned, Timestamp, Want};
use protocol::{Failure, FailureKind};
use tokio::time::Instant;

use super::{Facts, Lease};

/// In a storm of refusals the first ones of a second tell as much as all of them would.
const REQUESTS_PER_SECOND: u64 = 200;
/// Below the second, for the count.
const COUNT_BITS: u32 = 16;

/// How many requests of this second had their reasons kept.
#[derive(Debug, Default)]
pub(crate) struct ReasonsKept(AtomicU64);

impl ReasonsKept {
    /// Whether one more may. Of a second that is over, none may any more.
    fn take(&self, Timestamp(now_ms): Timestamp) -> bool {
        let second = u64::try_from(now_ms).unwrap_or_default() / 1000;
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            let (latest, count) = (state >> COUNT_BITS, state & ((1 << COUNT_BITS) - 1));
            let count = if second > latest { 0 } else { count };
            (count < REQUESTS_PER_SECOND).then_some((second.max(latest) << COUNT_BITS) | (count + 1))
        });
        taken.is_ok()
    }
}

impl Facts {
    /// How all candidates stand now; nothing where this request's reasons are not kept.
    pub(in crate::pipeline) fn weigh(&mut self, want: &Want) -> Option<Explanation> {
        self.kept_reasons()?;
        Some(self.gateway.live.explain(want, Instant::now().into_std()))
    }

    /// Keeps what became of a decision that was made when the candidates stood as `seen`.
    pub(in crate::pipeline) fn decided(&mut self, course: Course<'_>, seen: Explanation) {
        let (at, attempt) = (self.elapsed(), self.stamp.attempts().saturating_add(1));
        if let Some(reasons) = &mut self.reasons {
            reasons.note(Look::new(at, attempt, course, seen));
        }
    }

    /// Keeps what a failed answer told of its provider's limits. An error of the request's own says nothing of why it went
    /// elsewhere, for it goes nowhere.
    pub(super) fn learned(&mut self, lease: &Lease, failure: &Failure) {
        let limits: Vec<ToldLimit> = lease.told().iter().map(ToldLimit::of).collect();
        let retry_after_ms = failure.retry_after.map(super::millis);
        if failure.kind == FailureKind::Rejected || (limits.is_empty() && retry_after_ms.is_none()) {
            return;
        }
        let (attempt, backend) = (self.stamp.attempts(), lease.serving.backend.name.clone());
        if let Some(reasons) = self.kept_reasons() {
            reasons.learn(Learned { attempt, backend, retry_after_ms, limits });
        }
    }

    /// Writes what was kept. That it cannot be written harms nobody.
    pub(super) fn write_reasons(&mut self) {
        let Some(reasons) = self.reasons.take().filter(|reasons| !reasons.is_empty()) else { return };
        let reasoned = Reasoned { ticket: self.requested.ticket, text: reasons.text().into() };
        if let Err(unwritten) = self.room.write(&Entry::Reasoned(reasoned)) {
            tracing::debug!(request_id = self.stamp.request_id(), %unwritten, "reasons were not kept");
        }
    }

    fn kept_reasons(&mut self) -> Option<&mut Reasons> {
        if self.reasons.is_none() && self.gateway.reasons_kept.take(self.requested.wall) {
            self.reasons = Some(Box::default());
        }
        self.reasons.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_so_many_requests_have_their_reasons_kept() {
        let kept = ReasonsKept::default();
        let taken = |at: i64, tries: u64| (0..tries).filter(|_| kept.take(Timestamp(at))).count() as u64;
        for (at, tries, expected) in [
            (1_000, 10, 10),
            (1_999, 1_000, REQUESTS_PER_SECOND - 10),
            (2_000, 1_000, REQUESTS_PER_SECOND),
            // A clock that was set back opens nothing.
            (1_500, 10, 0),
            (900_000, 70_000, REQUESTS_PER_SECOND),
            (-5, 1, 0),
        ] {
            assert_eq!(taken(at, tries), expected, "{tries} at {at}");
        }
    }
}
