//! Asks a running gateway which backend a request for a model would go to now, and why not to the others; never sends one.

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::super::desk::segment;
use super::super::place::Place;
use crate::args::ExplainArguments;
use crate::output;

/// What is read of a gateway's explanation.
#[derive(Debug, Serialize, Deserialize)]
struct Explanation {
    decision: String,
    backend: Option<String>,
    earliest_in_ms: Option<u64>,
    refusal: Option<String>,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Candidate {
    backend: String,
    pool: String,
    model: String,
    strategy: String,
    verdict: String,
    for_ms: Option<u64>,
    in_flight: u64,
    expected_wait_ms: u64,
}

pub(super) async fn run(place: &Place, model: &str, arguments: &ExplainArguments) -> anyhow::Result<()> {
    let running = super::running(place, arguments)?;
    let mut path = format!("/explain?model={}", segment(model));
    for (name, value) in
        [("key", &arguments.key), ("session", &arguments.session), ("class", &arguments.priority)]
    {
        if let Some(value) = value {
            path = format!("{path}&{name}={}", segment(value));
        }
    }
    let told = running.told(&path).await?;
    let explained: Explanation = serde_json::from_slice(&told)
        .with_context(|| format!("what {} answers is no explanation", running.address))?;
    if arguments.shape.json { output::print_json(&explained) } else { tell(&explained) }
}

fn tell(explained: &Explanation) -> anyhow::Result<()> {
    let row = |one: &Candidate| {
        vec![
            output::printable(&one.backend).into_owned(),
            one.pool.clone(),
            output::printable(&one.model).into_owned(),
            one.strategy.clone(),
            one.in_flight.to_string(),
            format!("{} ms", one.expected_wait_ms),
            match one.for_ms {
                Some(left) => format!("{} for {:.1} s", one.verdict, seconds(left)),
                None => one.verdict.clone(),
            },
        ]
    };
    let header = ["BACKEND", "POOL", "MODEL", "STRATEGY", "IN FLIGHT", "EXPECTED", "VERDICT"];
    output::print(&output::columns(&header, explained.candidates.iter().map(row)))?;
    let outcome = match (&explained.backend, &explained.refusal, explained.earliest_in_ms) {
        (Some(backend), _, _) => format!("{}: on {}", explained.decision, output::printable(backend)),
        (None, Some(refusal), Some(left)) => {
            format!("{}: {refusal}, at the earliest in {:.1} s", explained.decision, seconds(left))
        }
        (None, Some(refusal), None) => format!("{}: {refusal}", explained.decision),
        (None, None, Some(left)) => {
            format!("{}: at the earliest in {:.1} s", explained.decision, seconds(left))
        }
        (None, None, None) => explained.decision.clone(),
    };
    output::print_line(&outcome)
}

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}
