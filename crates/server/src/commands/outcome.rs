//! Decides what an error means to whoever typed the command: the exit code, and what to do next.

use std::process::ExitCode;

use control::publish::PublishError;
use store::{JournalError, StoreError, VaultError};

use crate::output::remark;
use crate::settings::LoadError;

/// What was asked for did not work.
pub(crate) const FAILED: u8 = 1;
/// The configuration or the master key does not hold (`EX_CONFIG` of sysexits.h).
pub(crate) const CONFIGURATION: u8 = 78;

/// An error with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Advised {
    what: String,
    advice: String,
}

/// Says what is wrong and what to do.
pub(crate) fn advised(what: impl Into<String>, advice: impl Into<String>) -> anyhow::Error {
    Advised { what: what.into(), advice: advice.into() }.into()
}

/// Tells the user, and gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let (code, advice) = judge(error);
    remark(&format!("error: {error:#}"));
    if let Some(advice) = advice {
        remark(&format!("help: {advice}"));
    }
    ExitCode::from(code)
}

/// The exit code, and what to do next where that is known.
pub(crate) fn judge(error: &anyhow::Error) -> (u8, Option<String>) {
    for cause in error.chain() {
        if let Some(Advised { advice, .. }) = cause.downcast_ref() {
            return (FAILED, Some(advice.clone()));
        }
        if let Some(error) = cause.downcast_ref::<LoadError>() {
            return (CONFIGURATION, Some(of_configuration(error).to_owned()));
        }
        if let Some(error) = cause.downcast_ref::<VaultError>() {
            return (CONFIGURATION, of_vault(error).map(ToOwned::to_owned));
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return of_store(error);
        }
        if let Some(PublishError::Refused(_) | PublishError::Config(_)) = cause.downcast_ref() {
            return (CONFIGURATION, Some("`lockgate check` says everything that is wrong".to_owned()));
        }
    }
    (FAILED, None)
}

fn of_configuration(error: &LoadError) -> &'static str {
    match error {
        LoadError::File { .. } => {
            "name another file with --config, or write one to start from with `lockgate config init`"
        }
        LoadError::Report(_) => {
            "correct these places; `lockgate check` reads them again, `lockgate config schema` helps an editor"
        }
    }
}

fn of_vault(error: &VaultError) -> Option<&'static str> {
    match error {
        VaultError::Missing(_) => Some(
            "put the master key back: set LOCKGATE_MASTER_KEY, or restore master.key into the data folder. \
             Without it the stored credentials cannot be read by anybody",
        ),
        VaultError::Wrong { .. } => Some(
            "use the master key that this data folder was made with (LOCKGATE_MASTER_KEY, or master.key in the folder), \
             or another folder with --data-dir",
        ),
        VaultError::Malformed => Some("a master key is 64 hex characters: `openssl rand -hex 32` makes one"),
        VaultError::File { .. } => Some("make the key file readable for the user who runs this"),
        VaultError::Altered(_) => Some("restore the data folder from a backup, or add this secret again"),
        VaultError::NextMissing => Some(
            "make the next key (`openssl rand -hex 32`), keep it where the present one is kept, and set it as \
             LOCKGATE_MASTER_KEY_NEXT",
        ),
        VaultError::Same => Some("LOCKGATE_MASTER_KEY_NEXT must be another key than the one in force"),
        VaultError::Unwanted => Some("leave the next key out; it is made and kept beside the present one"),
        VaultError::Rotating => {
            Some("wait until it has ended; `lockgate vault status` shows the key in force")
        }
        VaultError::NoRandomness => None,
    }
}

fn of_store(error: &StoreError) -> (u8, Option<String>) {
    let advice = match error {
        StoreError::Vault(error) => return (CONFIGURATION, of_vault(error).map(ToOwned::to_owned)),
        StoreError::Journal(JournalError::InUse) => {
            "another gateway serves from this data folder: stop it, or give this one a folder of its own with --data-dir"
        }
        StoreError::Journal(_) | StoreError::File { .. } => {
            "make the data folder writable for the user who runs this, with room on its disk; --data-dir names another"
        }
        StoreError::Unavailable(_) => {
            "something else holds the database in the data folder, or its disk is full: `df` tells; make room, or try again"
        }
        StoreError::Newer { .. } | StoreError::Foreign(_) => {
            "use the release that wrote this data folder, or a newer one"
        }
        StoreError::Corrupt(_) => "restore the data folder from a backup; the damaged file was not changed",
        StoreError::NotFound { .. }
        | StoreError::Changed { .. }
        | StoreError::Conflict { .. }
        | StoreError::Unsafe(_)
        | StoreError::Unreadable(_) => return (FAILED, None),
    };
    (FAILED, Some(advice.to_owned()))
}
