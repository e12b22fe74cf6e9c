//! Looks at the data folder: whether it opens, how far its ledger is behind, who may read its key and how full its disk
//! is; never repairs what it finds.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use control::config::Settings;
use store::{Inspection, JournalSettings, MasterKeySource, Soundness, StoreError, Tools, has_database};

use super::Finding;
use crate::assemble::store_options;
use crate::output::{self, watching};

/// Where the store keeps the master key that it made.
const KEY_FILE: &str = "master.key";
/// Lines that a serving gateway has not moved yet; more means that its database is slow or away.
const LAG_ENTRIES_USUAL: u64 = 50_000;

/// How much of the ledger is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What opening it looks at.
    Usual,
    /// Every line of it.
    Whole,
}

pub(super) async fn look(settings: &Settings, depth: Depth) -> Vec<Finding> {
    let folder = settings.data_dir.as_path();
    if !has_database(folder) {
        return vec![empty(folder), disk(settings)];
    }
    let mut options = store_options(settings);
    if depth == Depth::Whole {
        options.inspection = Inspection::Within(Duration::MAX);
    }
    let source = match &options.master_key {
        MasterKeySource::Value { .. } => "from LOCKGATE_MASTER_KEY".to_owned(),
        MasterKeySource::File(path) => format!("in {}", path.display()),
        MasterKeySource::DataFolder => format!("in {}", folder.join(KEY_FILE).display()),
    };
    let tools = match Tools::open(folder, options) {
        Ok(tools) => tools,
        Err(error) => {
            let subject = if matches!(error, StoreError::Vault(_)) { "vault" } else { "data folder" };
            return vec![Finding::error(subject, &error.into()), disk(settings)];
        }
    };
    let mut findings = vec![opened(folder, &tools.checkup().soundness()), vault(folder, &tools, &source)];
    findings.push(journal(&tools).await);
    if depth == Depth::Whole {
        findings.push(ledger(&tools).await);
    }
    findings.push(disk(settings));
    findings
}

fn opened(folder: &Path, known: &Soundness) -> Finding {
    let folder = folder.display();
    match known {
        Soundness::Sound => Finding::ok("data folder", format!("{folder} opens, and its database is sound")),
        Soundness::Damaged(what) => Finding::fail(
            "data folder",
            format!("the database in {folder} is damaged: {what}"),
            "restore the data folder from a backup",
        ),
        Soundness::Checking | Soundness::Unknown => Finding::ok(
            "data folder",
            format!("{folder} opens; its database is large, and only --deep looks at all of it"),
        ),
    }
}

fn empty(folder: &Path) -> Finding {
    let nearest =
        folder.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let nearest = nearest.into_iter().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let writable = rustix::fs::access(nearest, rustix::fs::Access::WRITE_OK).is_ok();
    let shown = folder.display();
    if writable {
        return Finding::ok("data folder", format!("{shown} has no store yet; `lockgate serve` makes it"));
    }
    Finding::fail(
        "data folder",
        format!("{shown} cannot be made: {} is not writable", nearest.display()),
        "make it writable for the user who runs this, or name another folder with --data-dir",
    )
}

fn vault(folder: &Path, tools: &Tools, source: &str) -> Finding {
    let says = format!("opens with master key {} {source}", tools.vault.key_id());
    match std::fs::metadata(folder.join(KEY_FILE)).map(|file| file.permissions().mode()) {
        Ok(mode) if mode & 0o077 != 0 => {
            let file = folder.join(KEY_FILE);
            let file = file.display();
            Finding::warn(
                "vault",
                format!("{says}; {file} is readable for others"),
                format!("chmod 600 {file}"),
            )
        }
        Ok(_) | Err(_) => Finding::ok("vault", says),
    }
}

async fn journal(tools: &Tools) -> Finding {
    let lag = match tools.journal_lag().await {
        Ok(lag) => lag,
        Err(error) => return Finding::error("journal", &error.into()),
    };
    let says = match lag.entries {
        0 => "everything is in the ledger".to_owned(),
        entries => format!(
            "{} lines ({} bytes) wait for the ledger",
            output::count(entries),
            output::count(lag.bytes)
        ),
    };
    if lag.entries > LAG_ENTRIES_USUAL {
        let advice = "a serving gateway moves them as fast as its disk lets it: see its log for what keeps the database";
        return Finding::warn("journal", says, advice);
    }
    Finding::ok("journal", says)
}

async fn ledger(tools: &Tools) -> Finding {
    let waiting = watching("adding up the ledger");
    let verdict = tools.ledger.verify().await;
    waiting.finish_and_clear();
    match verdict {
        Err(error) => Finding::error("ledger", &error.into()),
        Ok(verdict) if verdict.differences > 0 => Finding::fail(
            "ledger",
            format!("{} sums differ from their lines", output::count(verdict.differences)),
            "the lines are right; keep a copy of the data folder and report this as a bug",
        ),
        Ok(verdict) => Finding::ok(
            "ledger",
            format!("{} requests and their sums agree", output::count(verdict.receipts)),
        ),
    }
}

fn disk(settings: &Settings) -> Finding {
    let folder = settings.data_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Finding::warn("disk", "its room cannot be read", "look with `df`");
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    disk_finding(free, settings.journal_bytes_max)
}

fn disk_finding(free: u64, journal_bytes_max: u64) -> Finding {
    let mib = |bytes: u64| format!("{} MiB", output::count(bytes >> 20));
    let says = format!("{} free", mib(free));
    let JournalSettings { segment_bytes, disk_floor_bytes, .. } = JournalSettings::default();
    let least = segment_bytes + disk_floor_bytes;
    if free < least {
        return Finding::fail(
            "disk",
            format!("{says}: with less than {} no request is admitted, and a start may fail", mib(least)),
            "make room",
        );
    }
    if free < journal_bytes_max {
        return Finding::warn(
            "disk",
            format!("{says}, and the journal may take {}", mib(journal_bytes_max)),
            "make room, or lower ledger.journal_bytes_max: without room no request is admitted",
        );
    }
    Finding::ok("disk", says)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_disk_too_small_for_its_journal_is_told() {
        for (free, verdict) in [
            (0, Verdict::Fail),
            ((80 << 20) - 1, Verdict::Fail),
            (80 << 20, Verdict::Warn),
            ((1 << 30) - 1, Verdict::Warn),
            (1 << 30, Verdict::Ok),
        ] {
            assert_eq!(disk_finding(free, 1 << 30).verdict, verdict, "{free}");
        }
    }
}
