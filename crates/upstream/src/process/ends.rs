//! Decides what follows the end of a program or of a connection to one: how long to wait, and when it is a loop; never waits.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::settings::Pace;

/// The unwanted ends of late.
pub(super) struct Ends {
    pace: Pace,
    at: VecDeque<Instant>,
    in_a_row: u32,
}

pub(super) struct Verdict {
    pub(super) pause: Duration,
    pub(super) is_loop: bool,
}

impl Ends {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, at: VecDeque::new(), in_a_row: 0 }
    }

    /// One more; what follows.
    pub(super) fn note(&mut self, now: Instant) -> Verdict {
        self.at.retain(|at| now.duration_since(*at) < self.pace.window);
        if self.at.is_empty() {
            self.in_a_row = 0;
        }
        self.at.push_back(now);
        if self.at.len() >= self.pace.ends_max {
            return Verdict { pause: self.pace.rest, is_loop: true };
        }
        let pause = pause(self.pace.pauses(), self.in_a_row);
        self.in_a_row += 1;
        Verdict { pause, is_loop: false }
    }

    pub(super) fn forget(&mut self) {
        self.at.clear();
        self.in_a_row = 0;
    }
}

/// The pause before the next try, after so many in vain. Instances that ended together need not come back together.
pub(super) fn pause((first, longest): (Duration, Duration), in_a_row: u32) -> Duration {
    let pause = first.saturating_mul(1 << in_a_row.min(16)).min(longest);
    pause.mul_f64(rand::rng().random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_a_loop_is_left_alone() {
        let pace = Pace::default();
        let mut ends = Ends::new(pace);
        let mut now = Instant::now();
        for want in [0.5, 1.0, 2.0, 4.0] {
            let verdict = ends.note(now);
            let pause = verdict.pause.as_secs_f64();
            assert!(!verdict.is_loop && (want * 0.75..want * 1.25).contains(&pause), "{pause} for {want}");
            now += Duration::from_secs(1);
        }
        let verdict = ends.note(now);
        assert!(verdict.is_loop && verdict.pause == pace.rest);
        ends.forget();
        for _ in 0..20 {
            let verdict = ends.note(now);
            assert!(
                !verdict.is_loop && verdict.pause < Duration::from_secs(1),
                "each is long after the other"
            );
            now += pace.window;
        }
    }
}
