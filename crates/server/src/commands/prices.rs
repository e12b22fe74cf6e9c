//! Shows what models cost and who says so, and takes prices over from a file; nothing is fetched.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use control::config;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::desk::{Desk, segment};
use super::moment;
use super::outcome::FAILED;
use super::place::Place;
use crate::args::{PricesCommand, Shape};
use crate::output;

pub(super) async fn run(place: &Place, command: PricesCommand) -> anyhow::Result<ExitCode> {
    match command {
        PricesCommand::List { search, shape } => list(place, &search.unwrap_or_default(), shape).await,
        PricesCommand::Show { model, shape } => list(place, &model, shape).await,
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

async fn list(place: &Place, search: &str, shape: Shape) -> anyhow::Result<ExitCode> {
    let desk = Desk::look(place)?;
    let prices = desk.list_where("prices", &format!("&search={}", segment(search))).await?;
    if shape.json {
        output::print_json(&prices)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<PriceRow> = serde_json::from_value(prices)?;
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
