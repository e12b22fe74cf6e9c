//! Plays the traffic scenarios, shows what each contender made of them, and says which bars do not hold; judges none itself.

mod page;
mod picture;

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use simulator::scenario::suite;
use simulator::{Contender, Scenario, Trial, trial, verdicts};

use crate::clock::Stopwatch;

/// What to play.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// Play only these scenarios, and write no page
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Draw from this number; the same number plays the same again
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Play this many seeds from `--seed` on, and write no page
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Let all of them last so long instead, and write no page
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=120))]
    minutes: Option<u64>,
}

/// The seed of the page.
const SEED: u64 = 1;

/// Plays what was chosen; everything under the page's seed also writes docs/simulation.md.
///
/// # Errors
/// When a bar does not hold: the message says how to play that again.
pub(crate) fn simulate(root: &Path, choice: &Choice) -> Result<()> {
    let mut all = suite();
    if let Some(minutes) = choice.minutes {
        all.iter_mut().for_each(|scenario| scenario.length = Duration::from_secs(minutes * 60));
    }
    let unknown = choice.scenario.iter().find(|name| !all.iter().any(|one| one.name == **name));
    if let Some(name) = unknown {
        let names: Vec<&str> = all.iter().map(|one| one.name).collect();
        bail!("no scenario is named {name}; there are {}", names.join(", "));
    }
    let wanted =
        |one: &&Scenario| choice.scenario.is_empty() || choice.scenario.iter().any(|n| n == one.name);
    let chosen: Vec<&Scenario> = all.iter().filter(wanted).collect();
    let watch = Stopwatch::start();
    let seeds = choice.seed..choice.seed + choice.seeds;
    let games: Vec<(&Scenario, u64)> =
        seeds.flat_map(|seed| chosen.iter().map(move |scenario| (*scenario, seed))).collect();
    let trials = play(&games);
    for trial in &trials {
        println!("{}", page::plain(trial));
    }
    println!("{} trials in {:.1} s", trials.len(), watch.elapsed().as_secs_f64());
    if choice.scenario.is_empty() && (choice.seed, choice.seeds, choice.minutes) == (SEED, 1, None) {
        page::write(root, &all, &trials)?;
    }
    let broken: Vec<String> = trials.iter().flat_map(broken).collect();
    broken.iter().for_each(|line| println!("{line}"));
    ensure!(broken.is_empty(), "{} bars do not hold", broken.len());
    Ok(())
}

/// Plays on every core; which core plays what changes nothing.
fn play(games: &[(&Scenario, u64)]) -> Vec<Trial> {
    let next = Mutex::new(games.iter().enumerate());
    let played = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let game = next.lock().expect("no player panics while it draws").next();
                    let Some((place, (scenario, seed))) = game else { return };
                    let contenders = [&Contender::ALL[..], &scenario.also[..]].concat();
                    let trial = trial(scenario, *seed, &contenders);
                    played.lock().expect("no player panics while it reports").push((place, trial));
                }
            });
        }
    });
    let mut played = played.into_inner().expect("all players have left");
    played.sort_by_key(|(place, _)| *place);
    played.into_iter().map(|(_, trial)| trial).collect()
}

/// The bars that a contender of ours does not reach.
fn broken(trial: &Trial) -> Vec<String> {
    let ours = trial.scores.iter().filter(|(contender, _)| contender.is_ours());
    let broken = ours.flat_map(|(contender, score)| {
        let name = contender.name();
        verdicts(trial, score).into_iter().filter(|verdict| !verdict.holds).map(move |verdict| {
            let Trial { name: scenario, seed, .. } = trial;
            let (measure, reached) = (verdict.measure.name(), verdict.reached);
            format!("FAILED {name}: {measure} {reached:.4}: cargo xtask simulate --scenario {scenario} --seed {seed}")
        })
    });
    broken.collect()
}
