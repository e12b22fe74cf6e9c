//! Puts a backup in the place of a database; it never does so under a running gateway, and at no step is there no database.

use std::path::{Path, PathBuf};

use policy::Timestamp;
use serde::Serialize;

use super::{file_error, sync_folder, verify};
use crate::error::StoreError;
use crate::journal;
use crate::open::{DATABASE_FILE, JOURNAL_FOLDER, StoreOptions};
use crate::sqlite::secrets;
use crate::vault::Vault;

/// How a restore went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// How many receipts came back.
    pub receipts: u64,
    /// Where what was there before is kept; none where nothing was there.
    pub before: Option<PathBuf>,
}

/// Puts the backup at `path` into the data folder. Refuses while a gateway runs on it, where the copy is not sound, and
/// where the master key does not open it; then nothing is changed. Blocks.
pub fn restore(
    data_dir: &Path,
    path: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<Restored, StoreError> {
    // Held to the end. A gateway that starts meanwhile is told that the folder is in use.
    let _alone = journal::alone(&data_dir.join(JOURNAL_FOLDER))?;
    let verdict = verify(path)?;
    if let Some(problem) = verdict.problem {
        return Err(StoreError::Corrupt(format!("{}: {problem}", path.display())));
    }
    let proof = secrets::proof_in(path)?;
    Vault::fits(options.master_key.clone(), data_dir, proof.as_ref())?;
    let database = data_dir.join(DATABASE_FILE);
    let incoming = data_dir.join(format!("{DATABASE_FILE}.restoring"));
    copy(path, &incoming)?;
    let before = set_aside(&database, now)?;
    std::fs::rename(&incoming, &database).map_err(file_error(&database))?;
    sync_folder(data_dir)?;
    Ok(Restored { receipts: verdict.receipts, before })
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut source = std::fs::File::open(from).map_err(file_error(from))?;
    let open = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(to);
    let mut target = open.map_err(file_error(to))?;
    std::io::copy(&mut source, &mut target).map_err(file_error(to))?;
    target.sync_all().map_err(file_error(to))
}

/// Gives the present database a second name, and takes its write-ahead log along: a log beside another database would
/// be played into it.
fn set_aside(database: &Path, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    if !database.exists() {
        return Ok(None);
    }
    let beside = |path: &Path, ending: &str| {
        let mut path = path.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    let aside = beside(database, &format!(".before-restore-{}", now.0));
    // A link and not a move: until the new one takes its name, the old one has it.
    std::fs::hard_link(database, &aside).map_err(file_error(&aside))?;
    for ending in ["-wal", "-shm"] {
        let from = beside(database, ending);
        if from.exists() {
            std::fs::rename(&from, beside(&aside, ending)).map_err(file_error(&from))?;
        }
    }
    Ok(Some(aside))
}
