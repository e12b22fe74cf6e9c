//! Holds policy to the bars of the simulator under fixed seeds; the whole suite is `cargo xtask simulate`.

use simulator::scenario::{Scenario, suite};
use simulator::{Contender, trial, verdicts};

const SEED: u64 = 1;

fn ours() -> Vec<Contender> {
    Contender::ALL.into_iter().filter(|contender| contender.is_ours()).collect()
}

/// What does not hold in a scenario, in words that play it again.
fn broken(scenario: &Scenario) -> Vec<String> {
    let trial = trial(scenario, SEED, &ours());
    let all = trial.scores.iter().flat_map(|(contender, score)| {
        let broken = verdicts(&trial, score).into_iter().filter(|verdict| !verdict.holds);
        broken.map(|verdict| {
            let (measure, reached, name) = (verdict.measure.name(), verdict.reached, contender.name());
            format!(
                "{name}: {measure} {reached:.4}: cargo xtask simulate --scenario {} --seed {SEED}",
                trial.name
            )
        })
    });
    all.collect()
}

#[test]
fn every_bar_holds() {
    let suite = suite();
    assert!(suite.len() >= 20, "{} scenarios", suite.len());
    let broken: Vec<String> = suite.iter().flat_map(broken).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_seed_plays_the_same_again() {
    for scenario in
        suite().iter().filter(|scenario| ["bursts", "errors", "neighbour"].contains(&scenario.name))
    {
        let play = || format!("{:?}", trial(scenario, 7, &Contender::ALL));
        assert_eq!(play(), play(), "{}", scenario.name);
    }
}
