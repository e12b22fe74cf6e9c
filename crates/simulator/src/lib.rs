//! Plays traffic against providers in virtual time, to show what policy's decisions are worth; it decides nothing itself.
//!
//! A [`Scenario`] is data: providers with limits that nobody is told, and streams of requests. A seed turns
//! it into one exact list of requests; each [`Contender`] meets the same list, the same providers and the
//! same luck, so that two runs of one seed differ in decisions only. Nothing here waits, reads a clock or
//! starts a thread: a run is a function of scenario, seed and contender.

pub mod bars;
mod flow;
mod optimum;
mod provider;
mod router;
mod run;
pub mod scenario;
mod score;
mod traffic;

use std::time::Duration;

pub use bars::{Bars, Measure, Verdict, verdicts};
pub use optimum::Optimum;
pub use provider::{FIRST_EVENT_MAX, Reply, Said, Truth};
pub use router::Contender;
pub use run::{Fate, Run, Visible, run};
pub use scenario::Scenario;
pub use score::{Score, Waits};
pub use traffic::{Request, requests};

/// A time of the simulation: how long after its start.
pub type At = Duration;

/// One scenario under one seed: its optimum, and what each contender made of it.
#[derive(Debug)]
pub struct Trial {
    /// The scenario's name.
    pub name: &'static str,
    /// What was drawn from.
    pub seed: u64,
    /// Requests that came.
    pub asked: u64,
    /// What is good enough.
    pub bars: Bars,
    /// What could have been done at best.
    pub optimum: Optimum,
    /// Each contender's score.
    pub scores: Vec<(Contender, Score)>,
}

impl Trial {
    /// The share of requests that nobody could have answered.
    #[must_use]
    pub fn hopeless(&self) -> f64 {
        self.asked.saturating_sub(self.optimum.answered) as f64 / self.asked.max(1) as f64
    }
}

/// Plays a scenario once with each of these contenders.
///
/// # Panics
/// When a contender does better than the optimum, loses a request or answers one twice: then the
/// simulator is wrong, not the contender.
#[must_use]
pub fn trial(scenario: &Scenario, seed: u64, contenders: &[Contender]) -> Trial {
    let requests = requests(scenario, seed);
    let optimum = Optimum::of(scenario, &requests, seed);
    let calm = scenario.calm();
    let play = |contender: &Contender| {
        let played = run(scenario, &requests, *contender, seed);
        let mut score = score::score(scenario, &requests, &played, &optimum);
        if let Some(calm) = &calm {
            let requests = traffic::requests(calm, seed);
            let calm = run(calm, &requests, *contender, seed);
            score.urgent_moved = score::urgent_moved(&requests, &calm, &score);
        }
        let (name, best, cheapest) = (scenario.name, optimum.answered, optimum.cheapest(score.answered));
        let context = format!("{name} --seed {seed}, {}", contender.name());
        assert!(score.answered <= best, "{context}: {} answers beat the optimum of {best}", score.answered);
        assert!(played.spend >= cheapest - 1e-6, "{context}: {} is less than {cheapest}", played.spend);
        (*contender, score)
    };
    let scores = contenders.iter().map(play).collect();
    let asked = u64::try_from(requests.len()).expect("requests are countable");
    Trial { name: scenario.name, seed, asked, bars: scenario.bars, optimum, scores }
}
