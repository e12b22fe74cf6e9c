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

/// What is shown of a team. What does not hold any more shows its problem, and nothing of what it was to say.
#[derive(Debug, Deserialize)]
struct TeamRow {
    name: String,
    source: String,
    problem: Option<String>,
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
    let teams = Desk::look(place)?.list("teams").await?;
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
        let listed =
            |names: &[String], none: &str| if names.is_empty() { none.to_owned() } else { names.join(" ") };
        let (models, limits) = match &self.problem {
            Some(problem) => ("-".to_owned(), format!("unusable: {problem}")),
            None => (
                listed(&self.models, "all"),
                limits([("rpm", self.rpm), ("tpm", self.tpm), ("at once", self.concurrency)]),
            ),
        };
        vec![self.name.clone(), listed(&self.keys, "-"), models, limits, self.source.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_that_does_not_hold_any_more_is_not_shown_as_one_without_limits() {
        let check = |row: Value, expected: &[&str]| {
            let row: TeamRow = serde_json::from_value(row).expect("a row of the list");
            assert_eq!(row.cells(), expected);
        };
        check(
            json!({"name": "web", "source": "api", "keys": ["app"], "problem": "rpm: too small"}),
            &["web", "app", "-", "unusable: rpm: too small", "api"],
        );
        check(
            json!({"name": "web", "source": "file", "keys": [], "rpm": 600, "models": []}),
            &["web", "-", "all", "600 rpm", "file"],
        );
    }
}
