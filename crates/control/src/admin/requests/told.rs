//! Tells what happened to a request from what was recorded, and does its price arithmetic again; it never charges anything.

use policy::live::BackendStatus;
use policy::{Amount, Explanation, Price, Receipt, Want};
use serde::Serialize;
use serde_json::Value;
use store::ledger::{AttemptLine, ReceiptDetail};
use utoipa::ToSchema;

use super::super::shape;
use super::AdminState;
use crate::publish::moment;

/// What happened to a request, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestExplained)]
pub(crate) struct Told {
    #[schema(value_type = shape::Receipt)]
    request: Receipt,
    /// Its way in time, in order.
    timeline: Vec<Step>,
    attempts: Vec<Attempt>,
    /// What was decided then, how every candidate stood, and what failed answers told of limits; kept of requests that
    /// waited, were refused or went on after a failure.
    #[schema(value_type = Value)]
    reasons: Option<Value>,
    /// How everyone that could serve it stands now; none where the model or the key is no more.
    #[schema(value_type = Option<shape::Explanation>)]
    candidates_now: Option<Explanation>,
    /// What was learned of the backends that it tried: limits and cooldowns, from their headers and answers.
    #[schema(value_type = Vec<shape::BackendStatus>)]
    learned_now: Vec<BackendStatus>,
}

/// One step on a request's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TimelineStep)]
pub(crate) struct Step {
    /// After its arrival.
    at_ms: u64,
    what: &'static str,
    /// How long it took, where it has a length.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
}

/// An attempt, and its price.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptExplained)]
pub(crate) struct Attempt {
    #[serde(flatten)]
    #[schema(value_type = shape::AttemptLine)]
    line: AttemptLine,
    /// How its cost came about; none where the price it was charged with is not known any more.
    arithmetic: Option<Arithmetic>,
}

/// Tokens by their price, and whether that is what was charged.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PriceArithmetic)]
pub(crate) struct Arithmetic {
    lines: Vec<Line>,
    #[schema(value_type = shape::Money)]
    sum: Amount,
    agrees: bool,
}

/// So many tokens of one kind, or calls, at one price.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PriceLine)]
pub(crate) struct Line {
    kind: &'static str,
    count: u64,
    #[schema(value_type = shape::Money)]
    each: Amount,
    #[schema(value_type = shape::Money)]
    cost: Amount,
}

/// `charged` is the price behind each attempt, where it is remembered.
pub(super) fn tell(state: &AdminState, detail: ReceiptDetail, charged: Vec<Option<Price>>) -> Told {
    let ReceiptDetail { receipt, attempts, reasons } = detail;
    let reasons = reasons.and_then(|text| serde_json::from_str(&text).ok());
    let timeline = timeline(&receipt, &attempts);
    let snapshot = state.publisher.snapshot();
    let mut candidates_now = None;
    if let Some(snapshot) = &snapshot {
        let named = |key: &&std::sync::Arc<policy::Key>| receipt.key.as_ref() == Some(&key.id);
        let key = match &receipt.key {
            None => Some(snapshot.identity.anonymous()),
            Some(_) => snapshot.identity.keys().iter().find(named),
        };
        let route = key.and_then(|key| snapshot.catalog.resolve(&receipt.model_asked, key).ok());
        if let (Some(key), Some(route)) = (key, route) {
            let want = Want::plain(route, key, moment() + snapshot.settings.queue_timeout);
            candidates_now = Some(state.live.explain(&want, moment()));
        }
    }
    let mut learned_now = state.live.status(moment()).backends;
    learned_now.retain(|backend| attempts.iter().any(|line| line.backend == backend.name));
    let attempts = attempts.into_iter().zip(charged).map(|(line, price)| {
        let arithmetic = price.map(|price| arithmetic(&price, &line));
        Attempt { line, arithmetic }
    });
    Told { timeline, attempts: attempts.collect(), reasons, candidates_now, learned_now, request: receipt }
}

fn timeline(receipt: &Receipt, attempts: &[AttemptLine]) -> Vec<Step> {
    let step =
        |at_ms, what, took_ms, of: Option<&str>| Step { at_ms, what, took_ms, of: of.map(str::to_owned) };
    let mut steps = vec![step(0, "arrived", None, None)];
    if receipt.queue_ms > 0 {
        steps.push(step(0, "waited", Some(receipt.queue_ms), None));
    }
    for line in attempts {
        let began = u64::try_from(line.at.0.saturating_sub(receipt.at.0)).unwrap_or(0);
        steps.push(step(began, "attempt", Some(line.total_ms), Some(&line.backend)));
        if let Some(first) = line.first_event_ms {
            steps.push(step(began.saturating_add(first), "first event", None, Some(&line.backend)));
        }
    }
    if let Some(first) = receipt.first_event_ms {
        steps.push(step(first, "first event to the client", None, None));
    }
    steps.push(step(receipt.total_ms, "ended", None, receipt.error_code.as_deref()));
    steps.sort_by_key(|step| step.at_ms);
    steps
}

fn arithmetic(price: &Price, line: &AttemptLine) -> Arithmetic {
    let used = line.usage;
    // As a charge is made: parts of special kinds are taken out of the kind that they are part of, up to all of it.
    let audio_input = used.audio_input.min(used.input);
    let reasoning = used.reasoning.min(used.output);
    let audio_output = used.audio_output.min(used.output - reasoning);
    let kinds = [
        ("input", used.input - audio_input, price.input),
        ("audio_input", audio_input, price.audio_input),
        ("cached_input", used.cached_input, price.cached_input),
        ("cache_write", used.cache_write, price.cache_write),
        ("cache_write_1h", used.cache_write_1h, price.cache_write_1h),
        ("output", used.output - reasoning - audio_output, price.output),
        ("reasoning", reasoning, price.reasoning),
        ("audio_output", audio_output, price.audio_output),
        ("image", used.images, price.image),
        ("request", u64::from(line.cost != Amount::ZERO), price.request),
    ];
    let priced = kinds.into_iter().filter(|(_, count, each)| *count > 0 && *each != Amount::ZERO);
    let lines: Vec<Line> =
        priced.map(|(kind, count, each)| Line { kind, count, each, cost: each.times(count) }).collect();
    let sum: Amount = lines.iter().map(|line| line.cost).sum();
    Arithmetic { agrees: sum == line.cost, lines, sum }
}
