//! Shows how the vault stands and rotates its master key, whether a gateway runs or not; never shows a key.

use std::process::ExitCode;

use http::Method;
use serde_json::Value;

use super::desk::Desk;
use super::outcome::advised;
use super::place::Place;
use crate::args::VaultCommand;
use crate::output;

pub(super) async fn run(place: &Place, command: VaultCommand) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(place)?;
    let status = desk.ask(Method::GET, "/vault", &Value::Null).await?;
    let word = |value: &Value, field: &str| value[field].as_str().unwrap_or("-").to_owned();
    match command {
        VaultCommand::Status(shape) if shape.json => output::print_json(&status)?,
        VaultCommand::Status(_) => output::print_line(&format!(
            "master key {} from {}; {} secrets, {} of them under it",
            word(&status, "key_id"),
            status["file"].as_str().map_or_else(|| word(&status, "source"), str::to_owned),
            status["secrets"],
            status["under_key"],
        ))?,
        VaultCommand::Rotate(shape) => {
            if status["source"] == "environment" && desk.is_served {
                // It would not know the key that its next change is put under.
                return Err(advised(
                    "a gateway serves from this folder, and its master key comes from the environment",
                    "rotate through it: POST /api/admin/vault/rotate with the new key, which you have kept before",
                ));
            }
            let rotated = desk.ask(Method::POST, "/vault/rotate", &Value::Null).await?;
            if shape.json {
                output::print_json(&rotated)?;
            } else {
                output::print_line(&format!(
                    "master key {} is in force; {} secrets are under it",
                    word(&rotated, "key_id"),
                    rotated["secrets"]
                ))?;
                output::remark(match rotated["file"].as_str() {
                    Some(_) => "Back the key file up again: backups from before need the key from before.",
                    None => "Put LOCKGATE_MASTER_KEY_NEXT in the place of LOCKGATE_MASTER_KEY, and unset it.",
                });
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
