//! Copies the database while it is in use, proves each copy by opening it, and puts one back; it never touches a database
//! that a gateway serves from, and never deletes the one that a restore replaces.

mod restore;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use policy::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use crate::audit::{AuditLog, Author, Deed};
use crate::error::StoreError;
use crate::sqlite::{Database, migrate};

pub use restore::{Restored, restore};

const PREFIX: &str = "lockgate-";
const SUFFIX: &str = ".db";
/// What is not finished yet is never taken for a backup.
const UNFINISHED: &str = ".part";
/// Pages that are copied between two looks at the progress: 4 MiB.
const PAGES: i32 = 1024;

/// A copy of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupFile {
    /// Its file's name, which tells when it was made.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// When it was made.
    pub at: Timestamp,
}

/// What opening a backup showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupVerdict {
    /// Which.
    pub name: String,
    /// The schema it has.
    pub schema: i64,
    /// How many receipts are in it.
    pub receipts: u64,
    /// The id of the master key that its secrets are under: a restore needs that key.
    pub key_id: String,
    /// What is wrong with it; none when it is sound.
    pub problem: Option<String>,
}

/// Makes and keeps backups of one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backups {
    database: Arc<Database>,
    audit: AuditLog,
    source: Arc<Path>,
    folder: Arc<Path>,
}

impl Backups {
    pub(crate) fn new(database: Arc<Database>, source: &Path, folder: &Path) -> Self {
        let audit = AuditLog::new(Arc::clone(&database));
        Self { database, audit, source: source.into(), folder: folder.into() }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies the database as it is at one moment, and proves the copy. Writers go on meanwhile. `progress` hears
    /// (pages done, of all).
    pub async fn create(
        &self,
        author: Author,
        now: Timestamp,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<BackupFile, StoreError> {
        let (source, folder) = (Arc::clone(&self.source), Arc::clone(&self.folder));
        let made = blocking(move || create(&source, &folder, now, progress)).await?;
        let deed = Deed::of("create", "backup", &made.name);
        self.audit.record(author, deed.after(serde_json::json!({ "bytes": made.bytes }))).await?;
        Ok(made)
    }

    /// All backups, newest first.
    pub async fn list(&self) -> Result<Vec<BackupFile>, StoreError> {
        let folder = Arc::clone(&self.folder);
        blocking(move || list(&folder)).await
    }

    /// Opens a backup and looks at all of it.
    pub async fn verify(&self, name: &str) -> Result<BackupVerdict, StoreError> {
        let path = self.path_of(name)?;
        blocking(move || verify(&path)).await
    }

    /// Deletes a backup.
    pub async fn remove(&self, author: Author, name: &str) -> Result<(), StoreError> {
        let path = self.path_of(name)?;
        blocking(move || std::fs::remove_file(&path).map_err(file_error(&path))).await?;
        self.audit.record(author, Deed::of("delete", "backup", name)).await
    }

    /// Deletes those that are older than `age_max`, but never the newest. Returns how many went.
    pub async fn forget(&self, now: Timestamp, age_max: Duration) -> Result<usize, StoreError> {
        let all = self.list().await?;
        let old: Vec<_> = all.into_iter().skip(1).filter(|one| one.at < now.before(age_max)).collect();
        for backup in &old {
            self.remove(Author::gateway(), &backup.name).await?;
        }
        Ok(old.len())
    }

    /// How large a copy would be now, about.
    pub async fn size(&self) -> Result<u64, StoreError> {
        let pages = |connection: &mut Connection, name| -> Result<u64, StoreError> {
            Ok(connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?.unsigned_abs())
        };
        self.database.read(move |c| Ok(pages(c, "page_count")? * pages(c, "page_size")?)).await
    }

    fn path_of(&self, name: &str) -> Result<PathBuf, StoreError> {
        // A name is one of ours or none at all: it is never a way out of the folder.
        let missing = || StoreError::NotFound { what: "backup", name: name.to_owned() };
        made_at(name).ok_or_else(missing)?;
        let path = self.folder.join(name);
        if path.is_file() { Ok(path) } else { Err(missing()) }
    }
}

/// File work waits for the disk and not for a database thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |error| StoreError::File { path, error }
}

/// `lockgate-1780272000000.db`: the moment in milliseconds, so that names sort and no clock's zone matters.
fn name_of(at: Timestamp) -> String {
    format!("{PREFIX}{:013}{SUFFIX}", at.0)
}

fn made_at(name: &str) -> Option<Timestamp> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let is_ours = digits.len() >= 13 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_ours).map(Timestamp)
}

fn create(
    source: &Path,
    folder: &Path,
    now: Timestamp,
    mut progress: impl FnMut(u64, u64),
) -> Result<BackupFile, StoreError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(file_error(folder))?;
    let name = name_of(now);
    let (path, part) = (folder.join(&name), folder.join(format!("{name}{UNFINISHED}")));
    if path.exists() {
        return Err(StoreError::Conflict { what: "backup", name, why: "exists already" });
    }
    let unfinished = Unfinished(&part);
    // Made by us, so that only its owner may read it.
    let open = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&part);
    drop(open.map_err(file_error(&part))?);
    copy(source, &part, &mut progress)?;
    let verdict = verify(&part)?;
    if let Some(problem) = verdict.problem {
        return Err(StoreError::Corrupt(format!("the copy that was made is not sound: {problem}")));
    }
    File::open(&part).and_then(|file| file.sync_all()).map_err(file_error(&part))?;
    std::fs::rename(&part, &path).map_err(file_error(&path))?;
    sync_folder(folder)?;
    drop(unfinished);
    let bytes = std::fs::metadata(&path).map_err(file_error(&path))?.len();
    Ok(BackupFile { name, bytes, at: now })
}

/// Takes an unfinished copy away, however its making ended.
struct Unfinished<'a>(&'a Path);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let mut path = self.0.as_os_str().to_owned();
            path.push(ending);
            // What was renamed, or never made, is not there.
            drop(std::fs::remove_file(path));
        }
    }
}

fn copy(source: &Path, target: &Path, progress: &mut impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let reader = Connection::open_with_flags(
        source,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // One read transaction around all steps: the copy is of one moment, and no writer makes it begin anew.
    let snapshot = reader.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM migrations", [], |_| Ok(()))?;
    let mut writer = Connection::open(target)?;
    {
        let backup = Backup::new(&snapshot, &mut writer)?;
        loop {
            let step = backup.step(PAGES)?;
            let at = backup.progress();
            let all = u64::from(at.pagecount.unsigned_abs());
            progress(all - u64::from(at.remaining.unsigned_abs()).min(all), all);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => return Err(StoreError::Unavailable("the copy is locked by somebody else".to_owned())),
            }
        }
    }
    // One file is easier to carry away than three.
    writer.pragma_update(None, "journal_mode", "delete")?;
    writer.close().map_err(|(_, error)| error.into())
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(file_error(folder))
}

fn list(folder: &Path) -> Result<Vec<BackupFile>, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(file_error(folder))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(file_error(folder))?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if let Some(at) = made_at(&name) {
            let bytes = entry.metadata().map_err(file_error(folder))?.len();
            found.push(BackupFile { name, bytes, at });
        }
    }
    found.sort_by_key(|backup| std::cmp::Reverse(backup.at));
    Ok(found)
}

/// Opens a copy without changing a byte of it.
pub(crate) fn verify(path: &Path) -> Result<BackupVerdict, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut verdict = BackupVerdict { name, schema: 0, receipts: 0, key_id: String::new(), problem: None };
    match look(path, &mut verdict) {
        Ok(()) => {}
        Err(error @ (StoreError::Corrupt(_) | StoreError::Newer { .. } | StoreError::Unavailable(_))) => {
            verdict.problem = Some(error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(verdict)
}

fn look(path: &Path, verdict: &mut BackupVerdict) -> Result<(), StoreError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    verdict.schema = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if verdict.schema > migrate::newest() {
        return Err(StoreError::Newer { found: verdict.schema, known: migrate::newest() });
    }
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(StoreError::Corrupt(sound));
    }
    if verdict.schema == 0 {
        return Err(StoreError::Corrupt("it is no database of this program".to_owned()));
    }
    verdict.receipts =
        connection.query_row("SELECT count(*) FROM receipts", [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    let key_id: [u8; 8] = connection.query_row("SELECT key_id FROM vault", [], |row| row.get(0))?;
    verdict.key_id = hex::encode(key_id);
    Ok(())
}
