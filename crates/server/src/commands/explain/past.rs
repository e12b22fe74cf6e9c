//! Tells what became of a request and why, as it was recorded; it never decides anything anew.

use anyhow::Context;
use http::Method;
use policy::{Amount, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::super::desk::{Desk, segment};
use super::super::moment;
use super::super::place::Place;
use super::super::running::Running;
use crate::args::ExplainArguments;
use crate::output;

/// What is read of what is told of a request.
#[derive(Debug, Deserialize)]
struct Told {
    request: Request,
    timeline: Vec<Step>,
    attempts: Vec<Attempt>,
    reasons: Option<Reasons>,
    candidates_now: Option<Now>,
}

#[derive(Debug, Deserialize)]
struct Request {
    request_id: String,
    at: Timestamp,
    model_asked: String,
    status: u16,
    outcome: String,
    error_code: Option<String>,
    cost: Amount,
    unpriced: bool,
    usage_source: String,
}

#[derive(Debug, Deserialize)]
struct Step {
    at_ms: u64,
    what: String,
    took_ms: Option<u64>,
    of: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    backend: String,
    pool: String,
    model: String,
    outcome: String,
    status: Option<u16>,
    error_code: Option<String>,
    first_event_ms: Option<u64>,
    total_ms: u64,
    cost: Amount,
    arithmetic: Option<Arithmetic>,
}

#[derive(Debug, Deserialize)]
struct Arithmetic {
    lines: Vec<Line>,
    sum: Amount,
    agrees: bool,
}

#[derive(Debug, Deserialize)]
struct Line {
    kind: String,
    count: u64,
    each: Amount,
    cost: Amount,
}

#[derive(Debug, Deserialize)]
struct Reasons {
    looks: Vec<Look>,
    left_out: u32,
    learned: Vec<Learned>,
}

#[derive(Debug, Deserialize)]
struct Look {
    at_ms: u64,
    attempt: u8,
    decided: String,
    refusal: Option<String>,
    candidates: Vec<Candidate>,
    candidates_left_out: usize,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    backend: String,
    pool: String,
    model: String,
    verdict: String,
    for_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Learned {
    attempt: u8,
    backend: String,
    retry_after_ms: Option<u64>,
    limits: Vec<Limit>,
}

#[derive(Debug, Deserialize)]
struct Limit {
    unit: String,
    limit: Option<u64>,
    remaining: Option<u64>,
    reset_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Now {
    candidates: Vec<Candidate>,
}

pub(super) async fn run(place: &Place, id: &str, arguments: &ExplainArguments) -> anyhow::Result<()> {
    let told = find(place, id, arguments).await?;
    if arguments.shape.json {
        return output::print_json(&told);
    }
    let told: Told = serde_json::from_value(told).context("what is told of the request cannot be read")?;
    for text in [
        Some(summary(&told.request)),
        Some(timeline(&told.timeline)),
        Some(attempts(&told.attempts)),
        told.reasons.as_ref().map(reasons),
        told.candidates_now
            .as_ref()
            .map(|now| format!("How its candidates stand now\n{}", stood(&now.candidates))),
    ]
    .into_iter()
    .flatten()
    {
        output::print(&text)?;
    }
    Ok(())
}

/// A gateway that was named, or one that serves from here to whoever has its token, also tells how its backends stand now.
/// Everybody else who may read the data folder reads what is recorded there.
async fn find(place: &Place, id: &str, arguments: &ExplainArguments) -> anyhow::Result<Value> {
    if arguments.url.is_some() || place.variable("LOCKGATE_URL").is_some() {
        return ask(&super::running(place, arguments)?, id).await;
    }
    let desk = Desk::look(place)?;
    if desk.is_served
        && place.variable(&arguments.token_env).is_some()
        && let Ok(told) = ask(&super::running(place, arguments)?, id).await
    {
        return Ok(told);
    }
    let mut told = desk.ask(Method::GET, &format!("/requests/{}/explain", segment(id)), &Value::Null).await?;
    // This process has called nobody: it knows nothing of now.
    if let Some(told) = told.as_object_mut() {
        told.retain(|name, _| !["candidates_now", "learned_now"].contains(&name.as_str()));
    }
    Ok(told)
}

async fn ask(running: &Running, id: &str) -> anyhow::Result<Value> {
    let told = running.told(&format!("/requests/{}/explain", segment(id))).await?;
    serde_json::from_slice(&told)
        .with_context(|| format!("what {} answers is no explanation", running.address))
}

fn summary(request: &Request) -> String {
    let Request { request_id, at, model_asked, status, outcome, error_code, cost, unpriced, usage_source } =
        request;
    let code = error_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let price = if *unpriced { ", some of it unpriced" } else { "" };
    let (id, model) = (output::printable(request_id), output::printable(model_asked));
    let at = moment::rfc3339(*at);
    format!(
        "{id}: {model} at {at}\n{outcome}, status {status}{code}; {cost} USD{price}, usage {usage_source}\n\n"
    )
}

fn timeline(steps: &[Step]) -> String {
    let row = |step: &Step| {
        vec![
            format!("{} ms", step.at_ms),
            step.what.clone(),
            step.took_ms.map(|took| format!("{took} ms")).unwrap_or_default(),
            step.of.clone().unwrap_or_default(),
        ]
    };
    output::columns(&["AFTER", "WHAT", "TOOK", "OF"], steps.iter().map(row)) + "\n"
}

fn attempts(attempts: &[Attempt]) -> String {
    let row = |(number, one): (usize, &Attempt)| {
        let code = one.error_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        vec![
            number.to_string(),
            one.backend.clone(),
            one.pool.clone(),
            one.model.clone(),
            format!("{}{code}", one.outcome),
            one.status.map(|status| status.to_string()).unwrap_or_default(),
            one.first_event_ms.map(|first| format!("{first} ms")).unwrap_or_default(),
            format!("{} ms", one.total_ms),
            one.cost.to_string(),
        ]
    };
    let header = ["NO", "BACKEND", "POOL", "MODEL", "OUTCOME", "STATUS", "FIRST EVENT", "TOTAL", "USD"];
    let mut text = output::columns(&header, (1..).zip(attempts).map(row));
    for (number, one) in (1..).zip(attempts) {
        let Some(arithmetic) = one.arithmetic.as_ref().filter(|arithmetic| !arithmetic.lines.is_empty())
        else {
            continue;
        };
        let part = |line: &Line| format!("{} {} x {} = {}", line.count, line.kind, line.each, line.cost);
        let parts: Vec<String> = arithmetic.lines.iter().map(part).collect();
        let agrees = if arithmetic.agrees { "" } else { ", which is not what was charged" };
        text.push_str(&format!(
            "attempt {number}: {}; in sum {}{agrees}\n",
            parts.join(" + "),
            arithmetic.sum
        ));
    }
    text + "\n"
}

fn reasons(reasons: &Reasons) -> String {
    let mut text = String::new();
    for look in &reasons.looks {
        let refusal = look.refusal.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        text.push_str(&format!(
            "Attempt {} after {} ms {}{refusal}\n",
            look.attempt, look.at_ms, look.decided
        ));
        text.push_str(&stood(&look.candidates));
        if look.candidates_left_out > 0 {
            text.push_str(&format!("and {} more\n", look.candidates_left_out));
        }
        text.push('\n');
    }
    if reasons.left_out > 0 {
        text.push_str(&format!("{} decisions before the last are not kept.\n\n", reasons.left_out));
    }
    for learned in &reasons.learned {
        text.push_str(&format!(
            "Attempt {} learned of {}: ",
            learned.attempt,
            output::printable(&learned.backend)
        ));
        let after = learned.retry_after_ms.map(|wait| format!("come back after {}", seconds(wait)));
        let told: Vec<String> = after.into_iter().chain(learned.limits.iter().map(limit)).collect();
        text.push_str(&format!("{}\n", told.join("; ")));
    }
    if !reasons.learned.is_empty() {
        text.push('\n');
    }
    text
}

fn limit(limit: &Limit) -> String {
    let left = limit.remaining.map_or_else(|| "some".to_owned(), |left| left.to_string());
    let of = limit.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let again =
        limit.reset_ms.map(|reset| format!(", all again after {}", seconds(reset))).unwrap_or_default();
    format!("{left}{of} {} left{again}", limit.unit)
}

fn stood(candidates: &[Candidate]) -> String {
    let row = |one: &Candidate| {
        let wait = one.for_ms.map(|left| format!(" for {}", seconds(left))).unwrap_or_default();
        vec![one.backend.clone(), one.pool.clone(), one.model.clone(), format!("{}{wait}", one.verdict)]
    };
    output::columns(&["BACKEND", "POOL", "MODEL", "VERDICT"], candidates.iter().map(row))
}

fn seconds(millis: u64) -> String {
    format!("{:.1} s", std::time::Duration::from_millis(millis).as_secs_f64())
}
