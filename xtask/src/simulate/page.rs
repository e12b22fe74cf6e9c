//! Decides how scores are shown; never leaves out one that looks bad.

use std::fmt::Write as _;
use std::time::Duration;

use policy::Class;
use simulator::{Score, Trial};

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
