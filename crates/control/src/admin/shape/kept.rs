//! Describes the audit log, backups and the vault. It holds no value.

use serde_json::Value;
use utoipa::ToSchema;

/// Which way a change came.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum Via {
    Api,
    Cli,
    Reload,
    Gateway,
}

/// One entry of the audit log.
#[derive(ToSchema)]
pub(in crate::admin) struct AuditEntry {
    /// Its place, from 1, without gaps.
    number: u64,
    /// When, in milliseconds since 1970.
    at: i64,
    actor: String,
    via: Via,
    address: Option<String>,
    action: String,
    kind: String,
    subject: String,
    /// What it was, or null; secrets masked.
    before: Value,
    /// What it is, or null; secrets masked.
    after: Value,
    /// Over this entry and the hash before, in hex.
    hash: String,
}

/// Where the chain of entries ends.
#[derive(ToSchema)]
pub(in crate::admin) struct ChainHead {
    /// 0 before the first.
    number: u64,
    hash: String,
}

/// What is wrong with a chain.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::admin) enum ChainFault {
    Gap,
    Altered,
    Cut,
    Rewritten,
}

/// Where a chain does not hold.
#[derive(ToSchema)]
pub(in crate::admin) struct ChainBreak {
    r#break: ChainFault,
    number: u64,
}

/// Whether the chain of entries holds.
#[derive(ToSchema)]
pub(in crate::admin) struct AuditVerdict {
    /// Entries looked at.
    entries: u64,
    head: ChainHead,
    /// Every place where it does not hold; the first hundred.
    breaks: Vec<ChainBreak>,
}

/// A copy of the database.
#[derive(ToSchema)]
pub(in crate::admin) struct BackupFile {
    name: String,
    bytes: u64,
    /// When it was made, in milliseconds since 1970.
    at: i64,
}

/// What opening a backup showed.
#[derive(ToSchema)]
pub(in crate::admin) struct BackupVerdict {
    name: String,
    schema: i64,
    receipts: u64,
    /// The id of the master key that its secrets are under.
    key_id: String,
    /// What is wrong with it; none when it is sound.
    problem: Option<String>,
}

/// How the vault stands.
#[derive(ToSchema)]
pub(in crate::admin) struct VaultStatus {
    key_id: String,
    /// `file` or `environment`.
    source: String,
    file: Option<String>,
    secrets: u64,
    /// How many of them are under the key in force.
    under_key: u64,
    rotation: Option<RotationProgress>,
}

/// How far a rotation has come.
#[derive(ToSchema)]
pub(in crate::admin) struct RotationProgress {
    done: u64,
    of: u64,
}

/// How a rotation of the master key went.
#[derive(ToSchema)]
pub(in crate::admin) struct Rotated {
    /// Secrets that were wrapped anew.
    secrets: u64,
    key_id: String,
    file: Option<String>,
}
