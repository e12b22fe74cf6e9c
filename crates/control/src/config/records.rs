//! What a checked file means for how long records and copies of them are kept; it never removes one.

use std::path::PathBuf;
use std::time::Duration;

use store::Retention;

use super::file;

const DAY: Duration = Duration::from_secs(24 * 3600);
const BACKUPS_DAYS: u64 = 7;
/// Where copies go unless another place is named, in the data folder.
const BACKUP_FOLDER: &str = "backups";

/// When the database is copied, and how long copies are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupRules {
    /// Whether a copy is made each day, and old ones are removed then.
    pub daily: bool,
    /// How old a copy may become; the newest may in any case.
    pub age_max: Duration,
}

impl BackupRules {
    /// For how many days copies are kept.
    pub(crate) fn retention_days(&self) -> u64 {
        days(self.age_max)
    }
}

pub(crate) fn retention(typed: Option<&file::Records>) -> Retention {
    Retention {
        age_max: typed.and_then(|r| r.retention_days).map(|count| of_days(count.0)),
        rows_max: typed.and_then(|r| r.rows_max).map(|count| count.0),
    }
}

pub(crate) fn backups(typed: Option<&file::Backups>) -> BackupRules {
    let kept = typed.and_then(|b| b.retention_days).map_or(BACKUPS_DAYS, |count| count.0);
    BackupRules { daily: typed.and_then(|b| b.daily).unwrap_or(true), age_max: of_days(kept) }
}

pub(crate) fn backup_dir(typed: Option<&str>, data_dir: PathBuf) -> PathBuf {
    typed.map_or_else(|| data_dir.join(BACKUP_FOLDER), PathBuf::from)
}

/// How many days make up this time.
pub(crate) fn days(time: Duration) -> u64 {
    time.as_secs() / DAY.as_secs()
}

fn of_days(days: u64) -> Duration {
    Duration::from_secs(days.saturating_mul(DAY.as_secs()))
}
