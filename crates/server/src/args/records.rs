//! Decides what can be typed about records, the vault and backups; never what a command does.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::Shape;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Who changed what, newest first
    List {
        /// Only what this actor did
        #[arg(long)]
        actor: Option<String>,
        /// Only what was done to this kind of thing, as in backend, key, setting
        #[arg(long)]
        kind: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        shape: Shape,
    },
    /// Walk the whole chain of entries: any gap, edit or cut shows, and the exit code is 1
    Verify {
        /// A head that was kept elsewhere: it must still be part of the chain
        #[arg(long, value_name = "NUMBER:HASH")]
        known: Option<String>,
        #[command(flatten)]
        shape: Shape,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exported {
    Requests,
    Usage,
    Audit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Csv,
    Ndjson,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// What to export
    pub(crate) what: Exported,
    #[arg(long, default_value = "csv")]
    pub(crate) format: ExportFormat,
    /// Write to this file [default: standard output]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// From when on, as in 2026-11-01T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<String>,
    /// Before when
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: Option<String>,
    /// A further filter of the admin API, as in key=app, status=5xx, grain=hour. May be repeated
    #[arg(long = "filter", value_name = "NAME=VALUE", value_parser = super::setting)]
    pub(crate) filters: Vec<(String, String)>,
    /// Go on behind a row: the first column of the last one that came
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Which master key is in force, by its id
    Status(Shape),
    /// Put all secrets under a new master key; a running gateway goes on
    Rotate(Shape),
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy the database as it is now, and prove the copy by opening it
    Create(Shape),
    /// All backups
    List(Shape),
    /// Open a backup and look at all of it; the exit code is 1 when it is not sound
    Verify {
        /// Its name
        name: String,
        #[command(flatten)]
        shape: Shape,
    },
    /// Put a backup in the place of the database. No gateway may run; what is replaced is kept
    Restore {
        /// Its name, or the path of one
        backup: PathBuf,
    },
}
