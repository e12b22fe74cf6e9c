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
pub(crate) enum CapturesCommand {
    /// Captured requests, newest first; nothing of what was said
    List {
        #[command(flatten)]
        of: CapturesOf,
        /// Only those that were tried at this backend last
        #[arg(long)]
        backend: Option<String>,
        /// Only those answered with this status, as in 503 or 5xx
        #[arg(long)]
        status: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        #[command(flatten)]
        shape: Shape,
    },
    /// What was said in one, credentials hidden. That you looked is entered in the audit log
    Show {
        /// Its id, or the id of its request
        id: String,
        #[command(flatten)]
        shape: Shape,
    },
    /// Delete one, those of a key, a model or a time, or all. The requests' receipts stay
    Delete {
        /// Its id, or the id of its request
        #[arg(required_unless_present_any = ["all", "key", "model", "from", "to"],
            conflicts_with_all = ["all", "key", "model", "from", "to"])]
        id: Option<String>,
        #[command(flatten)]
        of: CapturesOf,
        /// All of them
        #[arg(long, conflicts_with_all = ["key", "model", "from", "to"])]
        all: bool,
    },
}

/// Which captures.
#[derive(Debug, Args)]
pub(crate) struct CapturesOf {
    /// Only those of this key, by its name or id
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Only those that asked for this model
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Only those from this moment on, as in 2026-11-01T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<String>,
    /// Only those before this moment
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: Option<String>,
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
