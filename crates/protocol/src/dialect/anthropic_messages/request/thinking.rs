//! Decides how a model is told to think and to choose its words, so that its server accepts both; never how well it does.

use serde::Serialize;
use serde_json::Number;

use super::generation::Generation;
use crate::conversation::loss::{Field, Loss};
use crate::conversation::request::{Amount, Reasoning, Sampling};

/// The least budget that is accepted.
const BUDGET_MIN: u64 = 1_024;
/// What a model thinks that is to think as it sees fit and can only be given a budget.
const BUDGET_USUAL: u64 = 8_192;
/// Below this, `top_p` may not stand beside thinking.
const TOP_P_MIN: f64 = 0.95;

/// What a request says about thinking.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Thought {
    pub(super) thinking: Option<Thinking>,
    /// For `output_config`.
    pub(super) effort: Option<&'static str>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled {
        budget_tokens: u64,
    },
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    Disabled,
}

/// What the rest of a request says to whether the model may think.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) generation: Generation,
    pub(super) max_tokens: u64,
    /// A tool must be called.
    pub(super) is_forced: bool,
    /// The last turn of the model calls tools and does not begin with a thought of its own.
    pub(super) in_unthought_loop: bool,
}

/// How the model is told to think.
pub(super) fn thought(reasoning: Option<&Reasoning>, around: Around, losses: &mut Vec<Loss>) -> Thought {
    let Some((reasoning, amount)) = reasoning.and_then(|told| Some((told, told.amount.as_ref()?))) else {
        return Thought::default();
    };
    if *amount == Amount::Off || reasoning.effort() == Some("none") {
        return Thought { thinking: Some(Thinking::Disabled), effort: None };
    }
    let thought = match around.generation {
        Generation::Budgets => budget(reasoning, around),
        Generation::Adaptive if around.is_forced => None,
        Generation::Adaptive | Generation::AdaptiveOnly => adaptive(reasoning, around.generation),
    };
    losses.extend(thought.is_none().then_some(Loss::Field(Field::Reasoning)));
    thought.unwrap_or_default()
}

/// A budget must leave room for the answer. With thoughts on, a turn that calls tools must begin with one, and no call
/// may be forced.
fn budget(reasoning: &Reasoning, around: Around) -> Option<Thought> {
    let room = around.max_tokens / 4 * 3;
    if around.is_forced || around.in_unthought_loop || room < BUDGET_MIN {
        return None;
    }
    let wanted = reasoning.budget_tokens().unwrap_or(BUDGET_USUAL).max(BUDGET_MIN);
    let budget_tokens = if wanted < around.max_tokens { wanted } else { room };
    Some(Thought { thinking: Some(Thinking::Enabled { budget_tokens }), effort: None })
}

fn adaptive(reasoning: &Reasoning, generation: Generation) -> Option<Thought> {
    let effort = match reasoning.effort() {
        None => None,
        Some("minimal" | "low") => Some("low"),
        Some("medium") => Some("medium"),
        Some("xhigh") if generation == Generation::AdaptiveOnly => Some("xhigh"),
        Some("high" | "xhigh") => Some("high"),
        Some("max") => Some("max"),
        Some(_) => return None,
    };
    let display =
        reasoning.shown.as_deref().map(|shown| if shown == "none" { "omitted" } else { "summarized" });
    Some(Thought { thinking: Some(Thinking::Adaptive { display }), effort })
}

/// How the words are chosen, as far as it is accepted.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Choosing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<Temperature<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Temperature<'a> {
    Given(&'a Number),
    /// The hottest there is; other dialects go up to 2.
    Hottest(u8),
}

pub(super) fn choosing<'a>(
    sampling: &'a Sampling,
    generation: Generation,
    thought: &Thought,
    losses: &mut Vec<Loss>,
) -> Choosing<'a> {
    let thinks = matches!(thought.thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive { .. }));
    let is_default = |number: &&Number| number.as_f64() == Some(1.0);
    let temperature = sampling.temperature.as_ref().filter(|number| !is_default(number));
    let top_p = sampling.top_p.as_ref().filter(|number| !is_default(number));
    let mut choosing = Choosing::default();
    if thinks || generation == Generation::AdaptiveOnly {
        losses.extend(temperature.map(|_| Loss::Field(Field::Temperature)));
        losses.extend(sampling.top_k.map(|_| Loss::Field(Field::TopK)));
    } else {
        let is_hot = |number: &Number| number.as_f64().is_none_or(|number| number > 1.0);
        choosing.temperature = temperature.map(|number| match is_hot(number) {
            true => Temperature::Hottest(1),
            false => Temperature::Given(number),
        });
        losses.extend(temperature.filter(|number| is_hot(number)).map(|_| Loss::Field(Field::Temperature)));
        choosing.top_k = sampling.top_k;
    }
    // Since 4.1 only one of both is accepted.
    let top_p_fits = generation != Generation::AdaptiveOnly
        && choosing.temperature.is_none()
        && (!thinks || top_p.and_then(Number::as_f64).is_some_and(|top_p| top_p >= TOP_P_MIN));
    match top_p {
        Some(top_p) if top_p_fits => choosing.top_p = Some(top_p),
        Some(_) => losses.push(Loss::Field(Field::TopP)),
        None => {}
    }
    choosing
}
