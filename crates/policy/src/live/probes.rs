//! Decides how a backend stands by what the active prober saw of it lately; never what follows for requests.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::asks::{ProbeResult, Probed};
use crate::limit::{Tally, Window};
use crate::timestamp::millis;

/// How far back the share of successes looks.
const WINDOW: Duration = Duration::from_secs(300);
/// Misses in a row that make a backend down.
const DOWN_AFTER: u32 = 3;

/// How a backend stands by its probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// It answers as it should.
    Healthy,
    /// It missed some lately, or answers what says little.
    Degraded,
    /// It missed several in a row.
    Down,
}

/// What the active prober saw of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProbeStatus {
    /// How it stands.
    pub state: Reach,
    /// How long the last probe took.
    pub latency_ms: u64,
    /// The status it was answered with, if it was.
    pub status: Option<u16>,
    /// How long ago it was.
    pub age_ms: u64,
    /// Of the probes of five minutes, those not missed; none when there were none.
    pub success_percent: Option<u8>,
    /// Misses in a row.
    pub consecutive_failures: u32,
}

/// The latest probes of one backend.
#[derive(Debug)]
pub(super) struct Probes {
    last: Option<(Instant, Probed)>,
    misses: u32,
    /// Calls that the backend had had when it was last asked whether a probe is due.
    calls_seen: Option<u64>,
    window: Window<5>,
}

impl Default for Probes {
    fn default() -> Self {
        Self { last: None, misses: 0, calls_seen: None, window: Window::over(WINDOW) }
    }
}

impl Probes {
    /// Whether nobody has called the backend since this was last asked, by the number of its calls.
    pub(super) fn is_idle_at(&mut self, calls: u64) -> bool {
        self.calls_seen.replace(calls) == Some(calls)
    }

    /// Whether it missed the latest.
    pub(super) fn has_missed(&self) -> bool {
        self.misses > 0
    }

    /// Takes one in; true when it is the first pass after a miss.
    pub(super) fn note(&mut self, probed: Probed, now: Instant) -> bool {
        let before = self.misses;
        match probed.result {
            ProbeResult::Passed | ProbeResult::Unclear => {
                self.misses = 0;
                self.window.good(now);
            }
            ProbeResult::Missed => {
                self.misses = self.misses.saturating_add(1);
                self.window.bad(now);
            }
        }
        self.last = Some((now, probed));
        probed.result == ProbeResult::Passed && before > 0
    }

    /// How the backend stands; nothing when it was never probed.
    pub(super) fn status(&self, now: Instant) -> Option<ProbeStatus> {
        let (at, probed) = self.last?;
        let tally = self.window.clone().tally(now);
        let is_sound = probed.result == ProbeResult::Passed && tally.bad == 0;
        let state = match self.misses {
            DOWN_AFTER.. => Reach::Down,
            0 if is_sound => Reach::Healthy,
            _ => Reach::Degraded,
        };
        Some(ProbeStatus {
            state,
            latency_ms: millis(probed.took),
            status: probed.status,
            age_ms: millis(now.saturating_duration_since(at)),
            success_percent: (tally.total > 0).then(|| 100 - Tally::percent(tally)),
            consecutive_failures: self.misses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    #[test]
    fn a_backend_stands_by_its_latest_probes() {
        use ProbeResult::{Missed, Passed, Unclear};
        for (seen, state, percent, misses) in [
            (&[Passed][..], Reach::Healthy, 100, 0),
            (&[Unclear], Reach::Degraded, 100, 0),
            (&[Passed, Missed], Reach::Degraded, 50, 1),
            (&[Missed, Missed, Missed], Reach::Down, 0, 3),
            (&[Missed, Missed, Missed, Passed], Reach::Degraded, 25, 0),
            (&[Missed, Passed, Passed, Passed, Passed, Passed, Passed], Reach::Healthy, 100, 0),
        ] {
            let mut probes = Probes::default();
            let mut now = epoch();
            assert_eq!(probes.status(now), None);
            for result in seen {
                now += Duration::from_secs(60);
                let took = Duration::from_millis(7);
                probes.note(Probed { result: *result, status: Some(200), took }, now);
            }
            let status = probes.status(now + Duration::from_secs(1)).expect("it was probed");
            let told = (status.state, status.success_percent, status.consecutive_failures);
            assert_eq!(told, (state, Some(percent), misses), "{seen:?}");
            assert_eq!((status.latency_ms, status.age_ms), (7, 1000), "{seen:?}");
        }
    }

    #[test]
    fn what_was_long_ago_is_no_share() {
        let mut probes = Probes::default();
        let probed = Probed { result: ProbeResult::Missed, status: None, took: Duration::from_secs(10) };
        assert!(!probes.note(probed, epoch()));
        assert!(probes.note(Probed { result: ProbeResult::Passed, ..probed }, epoch()), "the first pass");
        assert!(!probes.note(Probed { result: ProbeResult::Passed, ..probed }, epoch()), "the second");
        let status = probes.status(epoch() + 2 * WINDOW).expect("it was probed");
        assert_eq!((status.success_percent, status.state), (None, Reach::Healthy));
    }
}
