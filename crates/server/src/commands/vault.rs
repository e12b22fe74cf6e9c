//! Shows how the vault stands and rotates its master key, whether a gateway runs or not; never shows a key.

use std::future::Future;
use std::process::ExitCode;

use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use store::vault::RotationProgress;
use tokio::sync::watch;

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
            let rotation = desk.ask(Method::POST, "/vault/rotate", &Value::Null);
            let rotated = shown(rotation, desk.vault.progress()).await??;
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

/// Does the work and shows on standard error how far it is: by a bar that moves on a terminal, else by a line for each tenth.
async fn shown<T>(
    work: impl Future<Output = T>,
    mut progress: watch::Receiver<Option<RotationProgress>>,
) -> anyhow::Result<T> {
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos} of {len} secrets, {elapsed}")?);
    let mut tenths = Tenths::default();
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish_and_clear();
                return Ok(done);
            }
            Ok(()) = progress.changed() => {
                let Some(RotationProgress { done, of }) = *progress.borrow_and_update() else { continue };
                bar.set_length(of);
                bar.set_position(done);
                if let (true, Some(line)) = (bar.is_hidden(), tenths.line(done, of)) {
                    output::remark(&line);
                }
            }
        }
    }
}

/// Which tenth was told last.
#[derive(Debug, Default)]
struct Tenths(u64);

impl Tenths {
    /// What is to be told now, once for each tenth.
    fn line(&mut self, done: u64, of: u64) -> Option<String> {
        let tenth = u64::try_from(u128::from(done) * 10 / u128::from(of.max(1))).unwrap_or(u64::MAX);
        if tenth <= self.0 {
            return None;
        }
        self.0 = tenth;
        Some(format!("{} of {} secrets are under the new master key", output::count(done), output::count(of)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenth_is_told_once_and_what_was_done_comes_back() {
        let mut tenths = Tenths::default();
        let told: Vec<u64> = (1..=1500).filter(|done| tenths.line(*done, 1500).is_some()).collect();
        assert_eq!(told, (1..=10).map(|tenth| tenth * 150).collect::<Vec<_>>());
        assert_eq!(Tenths::default().line(0, 0), None);
        assert_eq!(
            Tenths::default().line(2, 2).as_deref(),
            Some("2 of 2 secrets are under the new master key")
        );

        let (tell, progress) = watch::channel(None);
        let work = async {
            for done in 0..3 {
                tell.send_replace(Some(RotationProgress { done, of: 3 }));
                tokio::task::yield_now().await;
            }
            tell.send_replace(None);
            7
        };
        assert_eq!(shown(work, progress).await.expect("a bar"), 7);
    }
}
