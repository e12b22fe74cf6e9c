//! Decides which scores are good enough; never how they come about.

use crate::{Score, Trial};

/// What is measured against a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Answers, as a share of the optimum.
    Goodput,
    /// Requests turned away for want of capacity, by 429 or by the gateway's own 503, where capacity suffices.
    TurnedAway,
    /// How many times longer `urgent` waits for its first event because `low` is overloaded (p99).
    UrgentMoved,
    /// Jain's index over callers of a class.
    Fairness,
}

/// How a score stands to a bar.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// What was measured.
    pub measure: Measure,
    /// What it came to.
    pub reached: f64,
    /// Whether that is good enough.
    pub holds: bool,
}

/// At least this share of the optimum.
pub const GOODPUT_MIN: f64 = 0.97;
/// At most this share turned away where all could have been served.
pub const TURNED_AWAY_MAX: f64 = 0.005;
/// At most so many times the wait without overload.
pub const URGENT_MOVED_MAX: f64 = 1.10;
/// At least this fair.
pub const FAIRNESS_MIN: f64 = 0.95;

impl Measure {
    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput",
            Self::TurnedAway => "turned away",
            Self::UrgentMoved => "urgent moved",
            Self::Fairness => "fairness",
        }
    }
}

/// How one contender's score in a trial stands to all bars that apply.
#[must_use]
pub fn verdicts(trial: &Trial, score: &Score) -> Vec<Verdict> {
    let least = |measure, reached: f64, bar| Verdict { measure, reached, holds: reached >= bar };
    let most = |measure, reached: f64, bar| Verdict { measure, reached, holds: reached <= bar };
    let mut all = vec![least(Measure::Goodput, score.goodput, GOODPUT_MIN)];
    if trial.optimum.answered == trial.asked {
        all.push(most(Measure::TurnedAway, score.visible_limited + score.refused, TURNED_AWAY_MAX));
    }
    all.extend(score.urgent_moved.map(|moved| most(Measure::UrgentMoved, moved, URGENT_MOVED_MAX)));
    all.push(least(Measure::Fairness, score.fairness, FAIRNESS_MIN));
    all
}
