//! Shows who changed what, and proves that the log of it holds; never changes an entry.

use std::process::ExitCode;

use http::Method;
use policy::Timestamp;
use serde_json::Value;

use super::desk::{Desk, segment};
use super::moment;
use super::outcome::FAILED;
use super::place::Place;
use crate::args::AuditCommand;
use crate::output;

pub(super) async fn run(place: &Place, command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::List { actor, kind, limit, shape } => {
            let mut path = format!("/audit?limit={limit}");
            for (name, value) in [("actor", actor), ("kind", kind)] {
                if let Some(value) = value {
                    path = format!("{path}&{name}={}", segment(&value));
                }
            }
            let page = Desk::look(place)?.ask(Method::GET, &path, &Value::Null).await?;
            if shape.json {
                output::print_json(&page)?;
            } else {
                output::print(&table(&page))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Verify { known, shape } => {
            let known = known.map(|known| format!("?known={}", segment(&known))).unwrap_or_default();
            let path = format!("/audit/verify{known}");
            let verdict = Desk::look(place)?.ask(Method::GET, &path, &Value::Null).await?;
            let breaks = verdict["breaks"].as_array().map_or(0, Vec::len);
            if shape.json {
                output::print_json(&verdict)?;
            } else {
                output::print_line(&told(&verdict))?;
            }
            Ok(if breaks == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
        }
    }
}

fn table(page: &Value) -> String {
    let word = |entry: &Value, field: &str| entry[field].as_str().unwrap_or("-").to_owned();
    let rows = page["entries"].as_array().into_iter().flatten().map(|entry| {
        let at = entry["at"].as_i64().map_or_else(|| "-".to_owned(), |at| moment::minute(Timestamp(at)));
        let mut cells = vec![entry["number"].to_string(), at];
        cells
            .extend(["actor", "via", "address", "action", "kind", "subject"].map(|field| word(entry, field)));
        cells
    });
    output::columns(&["NUMBER", "AT", "ACTOR", "VIA", "FROM", "ACTION", "KIND", "SUBJECT"], rows)
}

fn told(verdict: &Value) -> String {
    let head = format!("{}:{}", verdict["head"]["number"], verdict["head"]["hash"].as_str().unwrap_or("-"));
    let mut text = format!("{} entries, up to {head}", verdict["entries"]);
    for found in verdict["breaks"].as_array().into_iter().flatten() {
        text.push_str(&format!("\n{} at {}", found["break"].as_str().unwrap_or("break"), found["number"]));
    }
    match verdict["breaks"].as_array().is_some_and(|breaks| !breaks.is_empty()) {
        true => text + "\nThe log does not hold.",
        false => {
            text + "\nThe log holds. Keep that head elsewhere: with --known it also shows a log that was rewritten."
        }
    }
}
