//! Makes, lists, proves and restores backups of the data folder; a restore never happens under a running gateway.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gateway::{Clock, SystemClock};
use http::Method;
use serde_json::Value;

use super::desk::{Desk, segment};
use super::outcome::FAILED;
use super::place::Place;
use crate::args::BackupCommand;
use crate::assemble::store_options;
use crate::output;

pub(super) async fn run(place: &Place, command: BackupCommand) -> anyhow::Result<ExitCode> {
    match command {
        BackupCommand::Create(shape) => {
            let made = Desk::open(place)?.ask(Method::POST, "/backups", &Value::Null).await?;
            match shape.json {
                true => output::print_json(&made)?,
                false => output::print_line(made["name"].as_str().unwrap_or_default())?,
            }
            output::remark("It holds the database alone: the master key is to be backed up apart from it.");
        }
        BackupCommand::List(shape) => {
            let backups = Desk::look(place)?.list("backups").await?;
            if shape.json {
                output::print_json(&backups)?;
            } else {
                let row = |one: &Value| {
                    vec![one["name"].as_str().unwrap_or("-").to_owned(), one["bytes"].to_string()]
                };
                let rows = backups.as_array().into_iter().flatten().map(row);
                output::print(&output::columns(&["NAME", "BYTES"], rows))?;
            }
        }
        BackupCommand::Verify { name, shape } => {
            let path = format!("/backups/{}/verify", segment(&name));
            let verdict = Desk::look(place)?.ask(Method::POST, &path, &Value::Null).await?;
            if shape.json {
                output::print_json(&verdict)?;
            } else {
                let found = verdict["problem"].as_str().unwrap_or("sound");
                let key = verdict["key_id"].as_str().unwrap_or("-");
                let receipts = &verdict["receipts"];
                output::print_line(&format!("{name}: {found}; {receipts} requests, master key {key}"))?;
            }
            return Ok(if verdict["problem"].is_null() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) });
        }
        BackupCommand::Restore { backup } => restore(place, &backup)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn restore(place: &Place, backup: &Path) -> anyhow::Result<()> {
    let settings = place.load()?.settings;
    let options = store_options(&settings);
    let path = if backup.exists() { backup.to_owned() } else { settings.backup_dir.join(backup) };
    let done = store::backup::restore(&settings.data_dir, &path, &options, SystemClock.wall())?;
    output::print_line(&format!("{} requests came back", output::count(done.receipts)))?;
    if let Some(before) = done.before {
        let before: PathBuf = before;
        output::remark(&format!("What was there before is kept as {}.", before.display()));
    }
    Ok(())
}
