//! Sets, lists and removes budgets in the data folder; one of the configuration file is only shown.

use std::process::ExitCode;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Desk, given, segment};
use super::moment;
use super::place::Place;
use crate::args::{BudgetsCommand, SetBudgetArguments, Shape};
use crate::output;

pub(super) async fn run(place: &Place, command: BudgetsCommand) -> anyhow::Result<ExitCode> {
    match command {
        BudgetsCommand::List(shape) => list(place, shape).await?,
        BudgetsCommand::Set(arguments) => set(place, arguments).await?,
        BudgetsCommand::Remove { budget } => remove(place, &budget).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is shown of a budget. Where it is not in force nothing is known of what was spent.
#[derive(Debug, Deserialize)]
struct BudgetRow {
    id: String,
    name: String,
    source: String,
    problem: Option<String>,
    key: Option<String>,
    team: Option<String>,
    amount: Option<String>,
    per: Option<String>,
    spent: Option<String>,
    left: Option<String>,
    resets_at: Option<policy::Timestamp>,
}

/// There is one of each payer and period: one that was set before gets another amount, and keeps what was spent.
async fn set(place: &Place, arguments: SetBudgetArguments) -> anyhow::Result<()> {
    let SetBudgetArguments { amount, key, team, per, shape } = arguments;
    let desk = Desk::open(place)?;
    let rows: Vec<BudgetRow> = serde_json::from_value(desk.list("budgets").await?)?;
    let is_it = |row: &&BudgetRow| row.key == key && row.team == team && row.per.as_deref() == Some(&per);
    let set = match rows.iter().find(is_it) {
        Some(known) => {
            let path = format!("/budgets/{}", segment(&known.id));
            desk.ask(Method::PATCH, &path, &json!({ "amount": amount })).await?
        }
        None => {
            let fields =
                [("key", json!(key)), ("team", json!(team)), ("amount", json!(amount)), ("per", json!(per))];
            desk.ask(Method::POST, "/budgets", &given(fields)).await?
        }
    };
    if shape.json {
        return output::print_json(&set);
    }
    let row = BudgetRow::deserialize(&set)?;
    let (name, amount) = (row.name, row.amount.unwrap_or_default());
    output::print_line(&format!(
        "The budget `{name}` is ${amount}. A running gateway goes by it within a second."
    ))
}

async fn remove(place: &Place, budget: &str) -> anyhow::Result<()> {
    Desk::open(place)?.ask(Method::DELETE, &format!("/budgets/{}", segment(budget)), &Value::Null).await?;
    output::print_line(&format!("The budget `{budget}` was removed."))
}

async fn list(place: &Place, shape: Shape) -> anyhow::Result<()> {
    let desk = Desk::look(place)?;
    // What was spent is looked up as budgets come into force; where they cannot, they are listed without.
    drop(desk.snapshot().await);
    let budgets = desk.list("budgets").await?;
    if shape.json {
        return output::print_json(&budgets);
    }
    let rows: Vec<BudgetRow> = serde_json::from_value(budgets)?;
    if rows.is_empty() {
        output::remark(
            "There is no budget: what is spent is not bounded. `lockgate budgets set AMOUNT` sets one.",
        );
        return Ok(());
    }
    let header = ["NAME", "AMOUNT", "PER", "SPENT", "LEFT", "BEGINS ANEW", "SOURCE", "STATE"];
    output::print(&output::columns(&header, rows.iter().map(BudgetRow::cells)))
}

impl BudgetRow {
    fn cells(&self) -> Vec<String> {
        let dollars =
            |amount: &Option<String>| amount.as_ref().map_or("-".to_owned(), |text| format!("${text}"));
        vec![
            self.name.clone(),
            dollars(&self.amount),
            self.per.clone().unwrap_or_else(|| "-".to_owned()),
            dollars(&self.spent),
            dollars(&self.left),
            self.resets_at.map_or_else(|| "-".to_owned(), moment::minute),
            self.source.clone(),
            self.problem.as_ref().map_or("in force".to_owned(), |problem| format!("unusable: {problem}")),
        ]
    }
}
