//! Lists, adds, tests and removes backends in the data folder; takes credentials from where other users of the machine
//! cannot see them, and never shows one.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, stdin};
use std::process::ExitCode;

use anyhow::Context;
use control::admin::TestReport;
use http::Method;
use policy::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::advice::advice;
use super::desk::{Desk, given, segment};
use super::hidden;
use super::outcome::{FAILED, advised};
use super::place::Place;
use crate::args::{ApiKeyArguments, BackendsCommand, NewBackendArguments, Shape};
use crate::output::{self, limits, watching};

/// Longer than any provider's key.
const KEY_BYTES_MAX: u64 = 64 * 1024;

pub(super) async fn run(place: &Place, command: BackendsCommand) -> anyhow::Result<ExitCode> {
    match command {
        BackendsCommand::List(shape) => list(place, shape).await?,
        BackendsCommand::Add(arguments) => add(place, *arguments).await?,
        BackendsCommand::Test { backend, shape } => return test(place, &backend, shape).await,
        BackendsCommand::Remove { backend } => remove(place, &backend).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is shown of a backend. What does not hold any more shows its problem and nothing else.
#[derive(Debug, Deserialize)]
struct BackendRow {
    name: String,
    source: String,
    enabled: bool,
    problem: Option<String>,
    kind: Option<String>,
    base_url: Option<String>,
    api_key: Option<String>,
    pool: Option<String>,
    limits: Option<Limits>,
    models: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Limits {
    rpm: u64,
    tpm: Option<u64>,
    concurrency: Option<u64>,
}

async fn list(place: &Place, shape: Shape) -> anyhow::Result<()> {
    let backends = Desk::look(place)?.list("backends").await?;
    if shape.json {
        return output::print_json(&backends);
    }
    let rows: Vec<BackendRow> = serde_json::from_value(backends)?;
    if rows.is_empty() {
        output::remark(
            "There is no backend: add one with `lockgate backends add`, in the file, or by OPENAI_API_KEY and the like.",
        );
        return Ok(());
    }
    let header = ["NAME", "KIND", "POOL", "STATE", "KEY", "MODELS", "LIMITS", "SOURCE", "BASE URL"];
    output::print(&output::columns(&header, rows.iter().map(BackendRow::cells)))
}

impl BackendRow {
    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let state = match (&self.problem, self.enabled) {
            (Some(problem), _) => format!("unusable: {problem}"),
            (None, true) => "enabled".to_owned(),
            (None, false) => "disabled".to_owned(),
        };
        let models = self.models.as_ref();
        let limits = self.limits.as_ref().map_or_else(
            || "-".to_owned(),
            |own| {
                let rpm = Some(own.rpm).filter(|rpm| *rpm > 0);
                limits([("rpm", rpm), ("tpm", own.tpm), ("at once", own.concurrency)])
            },
        );
        vec![
            self.name.clone(),
            or_dash(&self.kind),
            or_dash(&self.pool),
            state,
            self.api_key.clone().unwrap_or_else(|| "none".to_owned()),
            models.map_or_else(|| "as listed".to_owned(), |models| models.len().to_string()),
            limits,
            self.source.clone(),
            or_dash(&self.base_url),
        ]
    }
}

async fn add(place: &Place, arguments: NewBackendArguments) -> anyhow::Result<()> {
    let shape = arguments.shape;
    let key = api_key(place, &arguments.api_key).await?;
    let name = arguments.name.clone();
    let added = Desk::open(place)?.ask(Method::POST, "/backends", &body(arguments, key.as_ref())).await?;
    if shape.json {
        return output::print_json(&added);
    }
    output::print_line(&format!(
        "The backend `{name}` was added. A running gateway uses it within a second."
    ))?;
    output::remark(&format!("`lockgate backends test {name}` asks whether it answers."));
    Ok(())
}

fn body(arguments: NewBackendArguments, key: Option<&Secret>) -> Value {
    let limits = given([
        ("rpm", json!(arguments.rpm)),
        ("tpm", json!(arguments.tpm)),
        ("concurrency", json!(arguments.concurrency)),
    ]);
    let models: Map<String, Value> = arguments
        .models
        .iter()
        .map(|typed| match typed.split_once('=') {
            Some((model, native)) => (model.to_owned(), json!({ "native": native })),
            None => (typed.clone(), json!({})),
        })
        .collect();
    given([
        ("name", json!(arguments.name)),
        ("kind", json!(arguments.kind)),
        ("base_url", json!(arguments.base_url)),
        ("api_key", json!(key.map(Secret::expose))),
        ("pool", json!(arguments.pool)),
        ("weight", json!(arguments.weight)),
        ("limits", if limits == json!({}) { Value::Null } else { limits }),
        ("models", if models.is_empty() { Value::Null } else { Value::Object(models) }),
        ("enabled", if arguments.disabled { json!(false) } else { Value::Null }),
    ])
}

async fn api_key(place: &Place, from: &ApiKeyArguments) -> anyhow::Result<Option<Secret>> {
    let text = if let Some(name) = &from.api_key_env {
        let value = place.variable(name).map(ToOwned::to_owned);
        value
            .ok_or_else(|| advised(format!("the variable {name} is not set"), "export it, then try again"))?
    } else if let Some(path) = &from.api_key_file {
        let file = std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        first_text(file).with_context(|| format!("{} cannot be read", path.display()))?
    } else if from.api_key_stdin && stdin().is_terminal() {
        hidden::ask("Paste the key, then press Enter. It is not shown.").await?.expose().to_owned()
    } else if from.api_key_stdin {
        first_text(stdin().lock()).context("standard input cannot be read")?
    } else {
        return Ok(None);
    };
    let key = text.trim();
    if key.is_empty() {
        return Err(advised(
            "the key is empty",
            "give the provider's key, or leave the --api-key-... option out",
        ));
    }
    Ok(Some(Secret::from(key)))
}

fn first_text(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(KEY_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

async fn remove(place: &Place, backend: &str) -> anyhow::Result<()> {
    Desk::open(place)?.ask(Method::DELETE, &format!("/backends/{}", segment(backend)), &Value::Null).await?;
    output::print_line(&format!(
        "The backend `{backend}` and its key were removed. What it served stays recorded."
    ))
}

async fn test(place: &Place, backend: &str, shape: Shape) -> anyhow::Result<ExitCode> {
    let desk = Desk::look(place)?;
    desk.snapshot().await?;
    let waiting = watching(&format!("asking {backend}"));
    let path = format!("/backends/{}/test", segment(backend));
    let report = desk.ask(Method::POST, &path, &Value::Null).await;
    waiting.finish_and_clear();
    let report: TestReport = serde_json::from_value(report?)?;
    if shape.json {
        output::print_json(&report)?;
    } else {
        output::print(&told(backend, &report))?;
        if let Some(advice) = advice(&report) {
            output::remark(&format!("help: {advice}"));
        }
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn told(backend: &str, report: &TestReport) -> String {
    let status = report.status.map(|status| format!(", status {status}")).unwrap_or_default();
    let head = match &report.error {
        None => format!("{backend} answered in {} ms{status}", report.latency_ms),
        Some(error) => {
            format!("{backend} failed after {} ms{status}: {}", report.latency_ms, output::printable(error))
        }
    };
    let models: Vec<_> =
        report.models.iter().take(MODELS_SHOWN).map(|model| output::printable(model)).collect();
    match report.models.len() {
        _ if report.error.is_some() => format!("{head}\n"),
        0 => format!("{head}; it lists no models\n"),
        all => {
            let more = all.saturating_sub(MODELS_SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{head}; it lists {}: {}{more}\n", output::counted(all, "model"), models.join(", "))
        }
    }
}

/// Some providers list hundreds.
const MODELS_SHOWN: usize = 8;
