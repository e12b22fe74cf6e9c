//! Makes, lists and removes teams in the data folder; a team of the configuration file is only shown.

use std::process::ExitCode;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Desk, given, segment};
use super::place::Place;
use crate::args::{NewTeamArguments, Shape, TeamsCommand};
use crate::output::{self, limits};

pub(super) async fn run(place: &Place, command: TeamsCommand) -> anyhow::Result<ExitCode> {
    match command {
        TeamsCommand::Create(arguments) => create(place, arguments).await?,
        TeamsCommand::List(shape) => list(place, shape).await?,
        TeamsCommand::Remove { team } => remove(place, &team).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is shown of a team.
#[derive(Debug, Deserialize)]
struct TeamRow {
    name: String,
    source: String,
    rpm: Option<u64>,
    tpm: Option<u64>,
    concurrency: Option<u64>,
    #[serde(default)]
    models: Vec<String>,
    keys: Vec<String>,
}

async fn create(place: &Place, arguments: NewTeamArguments) -> anyhow::Result<()> {
    let models = if arguments.models.is_empty() { Value::Null } else { json!(arguments.models) };
    let body = given([
        ("name", json!(arguments.name)),
        ("models", models),
        ("rpm", json!(arguments.rpm)),
        ("tpm", json!(arguments.tpm)),
        ("concurrency", json!(arguments.concurrency)),
        ("note", json!(arguments.note)),
    ]);
    let made = Desk::open(place)?.ask(Method::POST, "/teams", &body).await?;
    if arguments.shape.json {
        return output::print_json(&made);
    }
    let name = &arguments.name;
    output::print_line(&format!(
        "The team `{name}` was made. `lockgate keys create NAME --team {name}` adds to it."
    ))
}

async fn remove(place: &Place, team: &str) -> anyhow::Result<()> {
    Desk::open(place)?.ask(Method::DELETE, &format!("/teams/{}", segment(team)), &Value::Null).await?;
    output::print_line(&format!("The team `{team}` was removed."))
}

async fn list(place: &Place, shape: Shape) -> anyhow::Result<()> {
    let mut listing = Desk::look(place)?.ask(Method::GET, "/teams", &Value::Null).await?;
    let teams = listing["teams"].take();
    if shape.json {
        return output::print_json(&teams);
    }
    let rows: Vec<TeamRow> = serde_json::from_value(teams)?;
    if rows.is_empty() {
        output::remark("There is no team. `lockgate teams create NAME` makes one.");
        return Ok(());
    }
    let header = ["NAME", "KEYS", "MODELS", "LIMITS OF ALL ITS KEYS", "SOURCE"];
    output::print(&output::columns(&header, rows.iter().map(TeamRow::cells)))
}

impl TeamRow {
    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            if self.keys.is_empty() { "-".to_owned() } else { self.keys.join(" ") },
            if self.models.is_empty() { "all".to_owned() } else { self.models.join(" ") },
            limits([("rpm", self.rpm), ("tpm", self.tpm), ("at once", self.concurrency)]),
            self.source.clone(),
        ]
    }
}
