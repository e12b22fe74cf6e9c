//! Makes, lists, rotates and revokes gateway keys in the data folder; shows a key's secret once and never keeps it.

use std::process::ExitCode;

use gateway::{Clock, SystemClock};
use http::Method;
use policy::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Desk, given, segment};
use super::moment;
use super::place::Place;
use crate::args::{KeysCommand, NewKeyArguments, Shape};
use crate::output::{self, limits};

pub(super) async fn run(place: &Place, command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Create(arguments) => create(place, arguments).await?,
        KeysCommand::List(shape) => list(place, shape).await?,
        KeysCommand::Rotate { key, grace, shape } => rotate(place, &key, &grace, shape).await?,
        KeysCommand::Revoke { key } => revoke(place, &key).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is shown of a key.
#[derive(Debug, Deserialize)]
struct KeyRow {
    name: String,
    key: String,
    source: String,
    enabled: bool,
    problem: Option<String>,
    team: Option<String>,
    expires: Option<String>,
    rpm: Option<u64>,
    tpm: Option<u64>,
    concurrency: Option<u64>,
    #[serde(default)]
    models: Vec<String>,
    former_valid_until: Option<String>,
    last_used: Option<Timestamp>,
}

async fn create(place: &Place, arguments: NewKeyArguments) -> anyhow::Result<()> {
    let shape = arguments.shape;
    let body = body(arguments)?;
    let desk = Desk::open(place)?;
    let made = desk.ask(Method::POST, "/keys", &body).await?;
    give_out(&made, shape, "was made")?;
    if desk.list("keys").await?.as_array().is_some_and(|keys| keys.len() == 1) {
        output::remark(
            "It is the first one: callers without a key are refused from now on, on this machine too.",
        );
    }
    Ok(())
}

fn body(arguments: NewKeyArguments) -> anyhow::Result<Value> {
    let expires = arguments.expires.map(|text| moment::coming(&text, SystemClock.wall())).transpose()?;
    let list = |items: Vec<String>| if items.is_empty() { Value::Null } else { json!(items) };
    let fields = [
        ("name", json!(arguments.name)),
        ("team", json!(arguments.team)),
        ("models", list(arguments.models)),
        ("rpm", json!(arguments.rpm)),
        ("tpm", json!(arguments.tpm)),
        ("concurrency", json!(arguments.concurrency)),
        ("ip_allow", list(arguments.ip_allow)),
        ("priority_max", json!(arguments.priority_max)),
        ("default_model", json!(arguments.default_model)),
        ("expires", json!(expires.map(moment::rfc3339))),
    ];
    Ok(given(fields))
}

async fn rotate(place: &Place, key: &str, grace: &str, shape: Shape) -> anyhow::Result<()> {
    let path = format!("/keys/{}/rotate", segment(key));
    let rotated = Desk::open(place)?.ask(Method::POST, &path, &json!({ "grace": grace })).await?;
    give_out(&rotated, shape, "has a new secret")?;
    let row: KeyRow = serde_json::from_value(rotated)?;
    output::remark(&match row.former_valid_until {
        Some(until) => format!("The old secret stays valid until {until}."),
        None => "The old secret is not valid any more.".to_owned(),
    });
    Ok(())
}

/// The secret alone goes to standard output, so that `KEY=$(lockgate keys create app)` takes it and nothing else.
fn give_out(made: &Value, shape: Shape, what: &str) -> anyhow::Result<()> {
    if shape.json {
        return output::print_json(made);
    }
    let row = KeyRow::deserialize(made)?;
    output::print_line(&row.key)?;
    output::remark(&format!(
        "The key `{}` {what}. It is shown this once: only its digest is stored. A running gateway knows it within a second.",
        row.name
    ));
    Ok(())
}

async fn revoke(place: &Place, key: &str) -> anyhow::Result<()> {
    Desk::open(place)?.ask(Method::DELETE, &format!("/keys/{}", segment(key)), &Value::Null).await?;
    output::print_line(&format!("The key `{key}` was revoked. A running gateway refuses it within a second."))
}

async fn list(place: &Place, shape: Shape) -> anyhow::Result<()> {
    let keys = Desk::look(place)?.list("keys").await?;
    if shape.json {
        return output::print_json(&keys);
    }
    let rows: Vec<KeyRow> = serde_json::from_value(keys)?;
    if rows.is_empty() {
        output::remark(
            "There is no key: only callers on this machine are served. `lockgate keys create NAME` makes one.",
        );
        return Ok(());
    }
    let header = ["NAME", "KEY", "STATE", "TEAM", "MODELS", "LIMITS", "EXPIRES", "LAST USED", "SOURCE"];
    output::print(&output::columns(&header, rows.iter().map(KeyRow::cells)))
}

impl KeyRow {
    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        vec![
            self.name.clone(),
            self.key.clone(),
            self.state(),
            or_dash(self.team.as_deref()),
            if self.models.is_empty() { "all".to_owned() } else { self.models.join(" ") },
            limits([("rpm", self.rpm), ("tpm", self.tpm), ("at once", self.concurrency)]),
            or_dash(self.expires.as_deref()),
            // Of a key that is not stored here nobody writes down when it was used.
            match (self.last_used, self.source.as_str()) {
                (Some(at), _) => moment::minute(at),
                (None, "api") => "never".to_owned(),
                (None, _) => "-".to_owned(),
            },
            self.source.clone(),
        ]
    }

    fn state(&self) -> String {
        match (&self.problem, self.enabled, &self.former_valid_until) {
            (Some(problem), _, _) => format!("unusable: {problem}"),
            (None, false, _) => "disabled".to_owned(),
            (None, true, Some(until)) => format!("rotated, old until {until}"),
            (None, true, None) => "enabled".to_owned(),
        }
    }
}
