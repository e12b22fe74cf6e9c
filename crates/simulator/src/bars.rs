//! Decides which scores are good enough; never how they come about.

use crate::{Score, Trial};

/// What is measured against a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Answers, as a share of the optimum.
    Goodput,
    /// Requests turned away for want of capacity, by 429 or by the gateway's own 503, where capacity suffices: beyond
    /// those that nobody could have served.
    TurnedAway,
    /// How many times longer `urgent` waits for its first event because `low` is overloaded (p99).
    UrgentMoved,
    /// Jain's index over callers of a class.
    Fairness,
    /// What the answers cost, as a multiple of the least.
    Spend,
    /// Requests that ended in a provider's failure.
    Failed,
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

/// What holds of a scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bars {
    /// At least this share of the optimum.
    pub goodput_min: f64,
    /// At most this share turned away where all could have been served.
    pub turned_away_max: f64,
    /// At most so many times the least that the answers could cost, where that is the question.
    pub spend_max: Option<f64>,
    /// At most this share ended in a provider's failure, where that is the question.
    pub failed_max: Option<f64>,
    /// Why they are not those of all scenarios, where they are not: what nobody reaches who does not know what comes.
    pub reason: Option<&'static str>,
}

impl Default for Bars {
    fn default() -> Self {
        Self { goodput_min: 0.97, turned_away_max: 0.005, spend_max: None, failed_max: None, reason: None }
    }
}

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
            Self::Spend => "spend",
            Self::Failed => "failed",
        }
    }
}

/// How one contender's score in a trial stands to all bars that apply.
#[must_use]
pub fn verdicts(trial: &Trial, score: &Score) -> Vec<Verdict> {
    let least = |measure, reached: f64, bar| Verdict { measure, reached, holds: reached >= bar };
    let most = |measure, reached: f64, bar| Verdict { measure, reached, holds: reached <= bar };
    let mut all = vec![least(Measure::Goodput, score.goodput, trial.bars.goodput_min)];
    let hopeless = trial.hopeless();
    let bars = &trial.bars;
    // Capacity suffices where nearly all could be served.
    if hopeless <= bars.turned_away_max {
        let turned_away = score.visible_limited + score.refused - hopeless;
        all.push(most(Measure::TurnedAway, turned_away, bars.turned_away_max));
    }
    all.extend(bars.spend_max.map(|bar| most(Measure::Spend, score.spend, bar)));
    all.extend(bars.failed_max.map(|bar| most(Measure::Failed, score.failed, bar)));
    all.extend(score.urgent_moved.map(|moved| most(Measure::UrgentMoved, moved, URGENT_MOVED_MAX)));
    all.push(least(Measure::Fairness, score.fairness, FAIRNESS_MIN));
    all
}
