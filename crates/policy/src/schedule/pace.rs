//! Decides how soon a backend is expected to begin an answer; never whether that is soon enough.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

/// What a backend is taken to need that nobody has measured: short, so that it is tried.
const UNMEASURED: Duration = Duration::from_millis(250);
/// How fast what was measured is forgotten.
const DECAY: Duration = Duration::from_secs(10);
/// What a measurement counts for against all before it, where a single one is not to be believed.
const SHARE: u32 = 8;
/// Models whose pace a backend keeps; the one not measured for the longest time makes room.
const MODELS_MAX: usize = 32;

/// How long a backend takes to the first event, for each model it served lately: the peak-sensitive moving
/// average of Finagle. A slow answer counts at once and in full; better news is believed by and by; and
/// where there is no news, the past is forgotten, so that a slow backend is tried again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paces {
    of: SmallVec<[(u64, Pace); 1]>,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    average: Duration,
    /// The plain moving average.
    usual: Duration,
    at: Instant,
}

impl Paces {
    /// The first event of an answer came after so long.
    pub(crate) fn note(&mut self, model: u64, took: Duration, now: Instant) {
        if let Some((_, pace)) = self.of.iter_mut().find(|(theirs, _)| *theirs == model) {
            let usual = (pace.usual * (SHARE - 1) + took) / SHARE;
            *pace = Pace { average: pace.with(took, now), usual, at: now };
            return;
        }
        if self.of.len() >= MODELS_MAX
            && let Some(oldest) = (0..self.of.len()).min_by_key(|index| self.of[*index].1.at)
        {
            self.of.swap_remove(oldest);
        }
        self.of.push((model, Pace { average: took, usual: took, at: now }));
    }

    /// How long one more request is expected to wait for its first event, behind `ahead` others.
    pub(crate) fn wait(&self, model: u64, ahead: u32, now: Instant) -> Duration {
        self.measured(model, now).unwrap_or(UNMEASURED).saturating_mul(ahead.saturating_add(1))
    }

    /// How long a request usually waits for its first event: one slow answer is no reason to leave a warm cache.
    pub(crate) fn usual(&self, model: u64, now: Instant) -> Duration {
        self.of(model).map_or(UNMEASURED, |pace| pace.usual.mul_f64(pace.kept(now)))
    }

    /// What was measured, as it counts now.
    pub(crate) fn measured(&self, model: u64, now: Instant) -> Option<Duration> {
        self.of(model).map(|pace| pace.with(Duration::ZERO, now))
    }

    fn of(&self, model: u64) -> Option<&Pace> {
        self.of.iter().find(|(theirs, _)| *theirs == model).map(|(_, pace)| pace)
    }
}

impl Pace {
    fn with(&self, took: Duration, now: Instant) -> Duration {
        let age = now.saturating_duration_since(self.at);
        if age.is_zero() || took >= self.average {
            return took.max(self.average);
        }
        took + (self.average - took).mul_f64(self.kept(now))
    }

    /// The share of it that is not forgotten yet.
    fn kept(&self, now: Instant) -> f64 {
        (-now.saturating_duration_since(self.at).as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn bad_news_counts_at_once_and_good_news_by_and_by() {
        let mut paces = Paces::default();
        assert_eq!(paces.wait(1, 0, epoch()), UNMEASURED);
        paces.note(1, SECOND, epoch());
        assert_eq!(paces.wait(1, 0, epoch()), SECOND);
        assert_eq!(paces.wait(1, 3, epoch()), 4 * SECOND);
        paces.note(1, 5 * SECOND, epoch());
        assert_eq!(paces.wait(1, 0, epoch()), 5 * SECOND);
        let later = epoch() + DECAY;
        paces.note(1, SECOND, later);
        let wait = paces.wait(1, 0, later).as_secs_f64();
        assert!((wait - (1.0 + 4.0 / std::f64::consts::E)).abs() < 0.001, "{wait}");
        assert!(paces.wait(1, 0, later + 10 * DECAY) < Duration::from_millis(1), "the past is forgotten");
        assert_eq!(paces.measured(2, later), None);
    }

    #[test]
    fn one_slow_answer_is_not_usual() {
        let mut paces = Paces::default();
        assert_eq!(paces.usual(1, epoch()), UNMEASURED);
        paces.note(1, SECOND, epoch());
        paces.note(1, 9 * SECOND, epoch());
        assert_eq!((paces.usual(1, epoch()), paces.wait(1, 0, epoch())), (2 * SECOND, 9 * SECOND));
        (0..40).for_each(|_| paces.note(1, 9 * SECOND, epoch()));
        assert!(paces.usual(1, epoch()) > 8 * SECOND, "many are");
        assert!(paces.usual(1, epoch() + 10 * DECAY) < Duration::from_millis(1), "the past is forgotten");
    }

    #[test]
    fn the_models_kept_are_the_latest() {
        let mut paces = Paces::default();
        for model in 0..100 {
            paces.note(model, SECOND, epoch() + SECOND * u32::try_from(model).expect("small"));
        }
        assert_eq!(paces.of.len(), MODELS_MAX);
        let now = epoch() + 100 * SECOND;
        assert_eq!(paces.measured(67, now), None);
        assert!(paces.measured(68, now).is_some());
    }
}
