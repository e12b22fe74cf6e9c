//! Decides how scores are shown, in a terminal and on the page; never leaves out one that looks bad.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use policy::Class;
use simulator::{Contender, Measure, Scenario, Score, Trial, verdicts};

use super::picture::Chart;

/// A trial in columns, for a terminal.
pub(crate) fn plain(trial: &Trial) -> String {
    let Trial { name, seed, asked, optimum, .. } = trial;
    let mut text = format!("{name} --seed {seed}: {asked} asked, {} at best\n", optimum.answered);
    let _ = writeln!(
        text,
        "  {:<11} {:>7} {:>7} {:>7} {:>7} {:>8} {:>6} {:>6}  waits (p50, p99)",
        "", "goodput", "429", "refused", "failed", "429 up", "jain", "spend"
    );
    for (contender, score) in &trial.scores {
        let _ = writeln!(
            text,
            "  {:<11} {:>7} {:>7} {:>7} {:>7} {:>8} {:>6.3} {:>6.2}  {}{}",
            contender.name(),
            percent(score.goodput),
            percent(score.visible_limited),
            percent(score.refused),
            percent(score.failed),
            percent(score.upstream_limited),
            score.fairness,
            score.spend,
            waits(score),
            score.urgent_moved.map(|moved| format!("  urgent x{moved:.2}")).unwrap_or_default(),
        );
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn waits(score: &Score) -> String {
    let each = score
        .waits
        .iter()
        .map(|(class, waits)| format!("{} {}, {}", class_name(*class), time(waits.p50), time(waits.p99)));
    each.collect::<Vec<_>>().join("; ")
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Urgent => "urgent",
        Class::High => "high",
        Class::Normal => "normal",
        Class::Low => "low",
    }
}

fn time(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Writes the page and its pictures.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(root: &Path, scenarios: &[Scenario], trials: &[Trial]) -> Result<()> {
    let contenders: Vec<&str> = Contender::ALL.into_iter().map(Contender::name).collect();
    let rows = |share: fn(&Score) -> f64| -> Vec<(&str, Vec<f64>)> {
        let row = |trial: &Trial| trial.scores.iter().map(|(_, score)| share(score)).collect();
        trials.iter().map(|trial| (trial.name, row(trial))).collect()
    };
    let chart = |title, most| Chart { title, most, contenders: contenders.clone() };
    let folder = root.join("docs/simulation");
    fs::create_dir_all(&folder)?;
    let goodput = chart("Answered, of what could have been answered at best", 1.0);
    fs::write(folder.join("goodput.svg"), goodput.dots(&rows(|score| score.goodput)))?;
    let limited = chart("Calls that the provider refused with a 429", 0.6);
    fs::write(folder.join("limited.svg"), limited.dots(&rows(|score| score.upstream_limited)))?;
    for (name, title, most) in TIMELINES {
        let trial = trials.iter().find(|trial| trial.name == *name).context("a timeline of no scenario")?;
        let series: Vec<Vec<u32>> = trial.scores.iter().map(|(_, score)| score.by_minute.clone()).collect();
        fs::write(folder.join(format!("{name}.svg")), chart(title, *most).lines(&series))?;
    }
    let mut page = INTRODUCTION.to_owned();
    for (scenario, trial) in scenarios.iter().zip(trials) {
        page += &section(scenario, trial);
    }
    fs::write(root.join("docs/simulation.md"), page)?;
    Ok(())
}

/// Scenarios whose course over time is worth a picture, with the top of its scale.
const TIMELINES: &[(&str, &str, f64)] = &[
    (
        "halved",
        "Answered each minute while ten accounts fall from 40 to 20 requests a minute (halved)",
        600.0,
    ),
    (
        "revoked",
        "Answered each minute while one of ten accounts answers 401 (2 to 10 min); from 18 min on all are needed (revoked)",
        500.0,
    ),
    ("saturated", "Answered each minute by ten accounts of 40 that are asked for 600 (saturated)", 600.0),
];

const INTRODUCTION: &str = "\
# Simulation

What the traffic rules are worth: the code that the gateway runs, in virtual time, against providers whose limits nobody
is told, beside other routers that meet the same requests. This page is written by `cargo xtask simulate`, seed 1.
`cargo xtask simulate --scenario NAME --seed N` plays one again, exactly; `--seeds N` plays many.

## What is measured

- **goodput**: requests answered, as a share of what one could answer who knows all hidden limits and all requests to come.
  That optimum is an upper bound (a largest flow through the true capacities), so the share is, if anything, too small.
- **429**, **refused**, **failed**: requests that ended in a 429; in the gateway's own 503, or too late; in a provider's failure.
- **429 up**: calls that a provider refused with a 429, of all calls.
- **wait**: from a request's arrival to the call that was answered, of those answered.
- **fair**: Jain's index over the callers of a class (the worst class's); each is measured by its share of an even deal.
- **spend**: what the answers cost, as a multiple of the least that so many could cost.

Every request waits at most as long as its client does. Calls take up to 80 ms to their provider, in any order. Backends are probed
as the gateway probes them.

## Who plays

- **lockgate**: with its defaults, and what the scenario says was written down of each account's limits.
- **headers**, **fixed**: lockgate with `adaptive: {mode: headers}` or `off`, which never ask more than what was written down.
- **seeds**: lockgate with the rules of the sidecars that it replaces: `adaptive: {mode: retreat}`, `cooldown: {base: 30s,
  retry_after: longest}`, `limits: {rate_window: bucket}`, `retry: {limited_max: 0}`, `routing: {emergency_fraction: 0.1}`.
- **shuffle**: any backend by lot; one that said 429 or kept failing is left out for 5 s (or as it asked); two retries, no queue.
- **no affinity**, **hard affinity** (where caches are played): lockgate that ignores conversations, and one that binds each to
  one backend, as sticky sessions do.
- **usage**: the backend used least in this minute of the clock, while what was written down allows; retries likewise.
- **no limiter**: one backend after the other, no retry.
- **all-seeing**, **ever-asking** (where others use the accounts as well): one who sees what every account has counted, whoever asked, and calls it
  at the moment at which it has room; and one who calls all of them, one call after the other, but for as long as they said not to. Neither
  knows what is to come: more can hardly be asked of one who sees, and of one who sees nothing and does as the providers say.

## The bars

Lockgate is held to: goodput at least 97 %; where all but 0.5 % could be served, at most 0.5 % turned away (429 or refused) beyond those;
what is urgent waits for its first event at most 10 % longer (p99) when `low` is overloaded three times;
fairness at least 0.95. A scenario with another bar says so, and why (docs/decisions/0007). What misses its bar stands in **bold**. `cargo xtask simulate` fails while anything does.

![Goodput by scenario](simulation/goodput.svg)

![Upstream 429s by scenario](simulation/limited.svg)

![A limit is halved](simulation/halved.svg)

![A credential is revoked](simulation/revoked.svg)

![Saturation](simulation/saturated.svg)

## The scenarios
";

fn section(scenario: &Scenario, trial: &Trial) -> String {
    let Trial { name, asked, optimum, .. } = trial;
    let mut text = format!("\n### {name}\n\n{}. ", sentence(scenario.about));
    let _ = writeln!(text, "{asked} requests, of which {} could be answered.\n", optimum.answered);
    if let Some(reason) = trial.bars.reason {
        let (goodput, turned) = (trial.bars.goodput_min * 100.0, trial.bars.turned_away_max * 100.0);
        let _ = writeln!(
            text,
            "The bars here are {goodput:.1} % goodput, {turned:.2} % turned away: {reason}.\n"
        );
    }
    text += "| | goodput | 429 | refused | failed | 429 up | fair | spend | wait p50, p99 |\n|---|---|---|---|---|---|---|---|---|\n";
    for (contender, score) in &trial.scores {
        let missed: Vec<Measure> = verdicts(trial, score)
            .into_iter()
            .filter(|verdict| contender.is_ours() && !verdict.holds)
            .map(|verdict| verdict.measure)
            .collect();
        let mark = |measure: Measure, cell: String| {
            if missed.contains(&measure) { format!("**{cell}**") } else { cell }
        };
        let urgent =
            score.urgent_moved.map(|moved| mark(Measure::UrgentMoved, format!("; urgent × {moved:.2}")));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {}{} |",
            contender.name(),
            mark(Measure::Goodput, percent(score.goodput)),
            mark(Measure::TurnedAway, percent(score.visible_limited)),
            mark(Measure::TurnedAway, percent(score.refused)),
            mark(Measure::Failed, percent(score.failed)),
            percent(score.upstream_limited),
            mark(Measure::Fairness, format!("{:.3}", score.fairness)),
            mark(Measure::Spend, format!("{:.2}", score.spend)),
            waits(score),
            urgent.unwrap_or_default(),
        );
    }
    if scenario.providers.iter().any(|provider| provider.cache.is_some()) {
        text += &caches(trial);
    }
    text
}

/// What caches of prompts came to.
fn caches(trial: &Trial) -> String {
    let mut text = "\n| | from a warm cache | spend | first event p50, p99 |\n|---|---|---|---|\n".to_owned();
    for (contender, score) in &trial.scores {
        for (_, waits) in &score.waits {
            let _ = writeln!(
                text,
                "| {} | {} | {:.2} | {}, {} |",
                contender.name(),
                percent(score.warm),
                score.spend,
                time(waits.first_event_p50),
                time(waits.first_event_p99),
            );
        }
    }
    text
}

/// What a scenario is about, as a sentence of its own.
fn sentence(about: &str) -> String {
    let mut letters = about.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
