//! Shows what models cost and who says so, and takes prices over from a file; nothing is fetched.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use control::config;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Desk, segment};
use super::moment;
use super::outcome::FAILED;
use super::place::Place;
use crate::args::{PricesCommand, Shape};
use crate::output;

pub(super) async fn run(place: &Place, command: PricesCommand) -> anyhow::Result<ExitCode> {
    match command {
        PricesCommand::List { search, shape } => {
            tell(found(place, &search.unwrap_or_default()).await?, shape)
        }
        PricesCommand::Show { model, shape } => tell(of_model(found(place, &model).await?, &model), shape),
        PricesCommand::Update { file } => update(place, &file).await,
    }
}

/// What is shown of a price, in US dollars per million tokens.
#[derive(Debug, Deserialize)]
struct PriceRow {
    model: String,
    source: String,
    problem: Option<String>,
    version: Option<String>,
    since: Option<policy::Timestamp>,
    input: Option<String>,
    cached_input: Option<String>,
    output: Option<String>,
}

/// Those of this very name, alone or behind a provider's; where there is none, whatever the name is a part of.
fn of_model(all: Vec<Value>, model: &str) -> Vec<Value> {
    let is_it = |price: &Value| {
        let name = price["model"].as_str().unwrap_or_default();
        name == model || name.split_once('/').is_some_and(|(_, own)| own == model)
    };
    let own: Vec<Value> = all.iter().filter(|price| is_it(price)).cloned().collect();
    if own.is_empty() { all } else { own }
}

/// Every price of a model whose name holds that.
async fn found(place: &Place, search: &str) -> anyhow::Result<Vec<Value>> {
    let filter = format!("&search={}", segment(search));
    Ok(serde_json::from_value(Desk::look(place)?.list_where("prices", &filter).await?)?)
}

fn tell(all: Vec<Value>, shape: Shape) -> anyhow::Result<ExitCode> {
    if shape.json {
        output::print_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<PriceRow> = serde_json::from_value(Value::Array(all))?;
    if rows.is_empty() {
        output::remark(
            "No price is known of such a model. Under a budget it is refused until it has one: see docs/prices.md.",
        );
        return Ok(ExitCode::from(FAILED));
    }
    let header = ["MODEL", "INPUT", "CACHED", "OUTPUT", "FROM", "SINCE", "VERSION"];
    output::print(&output::columns(&header, rows.iter().map(PriceRow::cells)))?;
    output::remark("US dollars per million tokens.");
    Ok(ExitCode::SUCCESS)
}

async fn update(place: &Place, file: &Path) -> anyhow::Result<ExitCode> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?;
    let prices = match config::written_prices(&name, &text) {
        Ok(prices) => prices,
        Err(report) => {
            output::remark(&format!("{name} does not hold:\n{report}"));
            return Ok(ExitCode::from(FAILED));
        }
    };
    let count = prices.as_array().map_or(0, Vec::len);
    let answer = Desk::open(place)?.ask(Method::PUT, "/prices", &json!({ "prices": prices })).await?;
    let changed = &answer["changed"];
    output::print_line(&format!(
        "{changed} of {count} prices changed. A running gateway charges by them within a second."
    ))?;
    Ok(ExitCode::SUCCESS)
}

impl PriceRow {
    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.model.clone(),
            or_dash(&self.input),
            or_dash(&self.cached_input),
            or_dash(&self.output),
            self.source.clone(),
            self.since.map_or_else(|| "-".to_owned(), moment::minute),
            self.problem
                .as_ref()
                .map_or_else(|| or_dash(&self.version), |problem| format!("unusable: {problem}")),
        ]
    }
}
