//! Opens the data folder in the one right order; it never opens one that a newer release or another process uses.

use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use policy::Bound;

use crate::audit::AuditLog;
use crate::backup::Backups;
use crate::bindings;
use crate::captures::{Captures, Folder, Recorder};
use crate::directory::Directory;
use crate::error::StoreError;
use crate::events::EventLog;
use crate::journal::{self, Journal, JournalError, JournalLag, JournalSettings};
use crate::ledger::Ledger;
use crate::mover::{Mover, MoverSettings};
use crate::shelf::{Cipher, KeptResponses, Shelf};
use crate::sqlite::inspection::{Checkup, Inspection};
use crate::sqlite::{self, Database, Place};
use crate::vault::{MasterKeySource, Vault, VaultNotice};

pub(crate) const DATABASE_FILE: &str = "lockgate.db";
pub(crate) const JOURNAL_FOLDER: &str = "journal";
const BACKUP_FOLDER: &str = "backups";
const CAPTURE_FOLDER: &str = "captures";
/// A start that takes longer is noticed; databases of some hundred megabytes are looked through by then.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Whether anything was ever stored in a data folder.
#[must_use]
pub fn has_database(data_dir: &Path) -> bool {
    data_dir.join(DATABASE_FILE).exists()
}

/// How to open the data folder.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where the master key comes from.
    pub master_key: MasterKeySource,
    /// The journal's settings; its sequence floor is filled in here.
    pub journal: JournalSettings,
    /// The mover's settings.
    pub mover: MoverSettings,
    /// How long a statement waits for somebody else's lock.
    pub busy_timeout: Duration,
    /// Where backups go; left out: `backups` in the data folder.
    pub backup_dir: Option<PathBuf>,
    /// Whether the database is sound.
    pub inspection: Inspection,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            master_key: MasterKeySource::default(),
            journal: JournalSettings::default(),
            mover: MoverSettings::default(),
            busy_timeout: Duration::from_secs(5),
            backup_dir: None,
            inspection: Inspection::Within(LOOK_MAX),
        }
    }
}

/// Everything that outlives the process.
///
/// Fields are dropped in order: the mover stops before the journal it reads and the database it fills.
#[derive(Debug)]
pub struct Store {
    /// Moves the journal into the ledger.
    pub mover: Mover,
    /// Takes the facts of requests.
    pub journal: Journal,
    /// What can be asked.
    pub ledger: Ledger,
    /// What people edit.
    pub directory: Directory,
    /// Who changed what.
    pub audit: AuditLog,
    /// Copies of the database.
    pub backups: Backups,
    /// Secrets.
    pub vault: Vault,
    /// Which backend minted which id, as far as earlier processes knew; oldest first.
    pub bindings: Vec<Bound>,
    /// Responses, of earlier processes and of this one.
    pub kept: KeptResponses,
    /// What happened.
    pub events: EventLog,
    /// Requests that were captured.
    pub captures: Captures,
    /// Captures more.
    pub recorder: Recorder,
    /// Whether the database is sound.
    pub checkup: Checkup,
    /// What the user should be told once.
    pub notice: Option<VaultNotice>,
}

/// The parts that another process may use while a gateway serves from the same folder: the command line.
#[derive(Debug)]
pub struct Tools {
    /// What can be asked.
    pub ledger: Ledger,
    /// What people edit.
    pub directory: Directory,
    /// Who changed what.
    pub audit: AuditLog,
    /// Copies of the database.
    pub backups: Backups,
    /// What happened.
    pub events: EventLog,
    /// Requests that were captured.
    pub captures: Captures,
    /// Secrets.
    pub vault: Vault,
    /// What the user should be told once.
    pub notice: Option<VaultNotice>,
    database: Arc<Database>,
    journal: PathBuf,
}

impl Store {
    /// Opens everything; blocks, so call it before serving.
    pub fn open(data_dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let StoreOptions { journal, mover, .. } = options.clone();
        let Tools {
            ledger,
            directory,
            audit,
            backups,
            events,
            captures,
            vault,
            notice,
            database,
            journal: folder,
        } = Tools::open(data_dir, options)?;
        let taken = database.write_blocking(sqlite::moving::position)?;
        let settings = JournalSettings { sequence_floor: taken.segment, ..journal };
        let journal = Journal::open(&folder, settings)?;
        let bindings = bindings::remembered(&database, &journal, taken)?;
        let cipher = Cipher::new(vault.kept_key()?);
        let (cipher, remembered) = database.write_blocking(move |connection| {
            let remembered = sqlite::kept::all(connection, &cipher)?;
            Ok((cipher, remembered))
        })?;
        let kept = KeptResponses { remembered, shelf: Shelf::start(Arc::clone(&database), cipher)? };
        let recorder = captures.record()?;
        let checkup = database.checkup();
        let mover = Mover::start(&journal, database, mover)?;
        Ok(Self {
            mover,
            journal,
            ledger,
            directory,
            audit,
            backups,
            vault,
            bindings,
            kept,
            events,
            captures,
            recorder,
            checkup,
            notice,
        })
    }
}

/// Whatever folder it was given: what is ours in it is nobody else's to read. A file that belongs to somebody else stays as
/// it is, and says itself what is the matter when it is opened.
fn kept_private(data_dir: &Path, database: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir.join(JOURNAL_FOLDER))?;
    // SQLite makes the files beside it with the rights of the database.
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(database)?;
    let beside = |suffix: &str| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    for (path, mode) in [
        (data_dir.join(JOURNAL_FOLDER), 0o700),
        (database.to_owned(), 0o600),
        (beside("-wal"), 0o600),
        (beside("-shm"), 0o600),
    ] {
        if let Ok(metadata) = std::fs::metadata(&path)
            && metadata.permissions().mode() & 0o077 != 0
        {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).ok();
        }
    }
    Ok(())
}

impl Tools {
    /// Opens the database and the vault, and leaves the journal alone.
    pub fn open(data_dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
        made.map_err(|error| StoreError::File { path: data_dir.display().to_string(), error })?;
        let place = Place { path: data_dir.join(DATABASE_FILE), busy_timeout: options.busy_timeout };
        kept_private(data_dir, &place.path)
            .map_err(|error| StoreError::File { path: data_dir.display().to_string(), error })?;
        let database = Arc::new(Database::open(place, options.inspection)?);
        let (vault, notice) = Vault::open(Arc::clone(&database), options.master_key, data_dir)?;
        let ledger = Ledger::new(Arc::clone(&database));
        let directory = Directory::new(Arc::clone(&database), &vault);
        let audit = AuditLog::new(Arc::clone(&database));
        let folder = options.backup_dir.unwrap_or_else(|| data_dir.join(BACKUP_FOLDER));
        let backups = Backups::new(Arc::clone(&database), &data_dir.join(DATABASE_FILE), &folder);
        let captures =
            Captures::new(Arc::clone(&database), &vault, Folder::new(data_dir.join(CAPTURE_FOLDER)));
        let events = EventLog::new(Arc::clone(&database));
        let journal = data_dir.join(JOURNAL_FOLDER);
        Ok(Self { ledger, directory, audit, backups, events, captures, vault, notice, database, journal })
    }

    /// What is known of the database file.
    #[must_use]
    pub fn checkup(&self) -> Checkup {
        self.database.checkup()
    }

    /// Whether a gateway serves from this folder.
    #[must_use]
    pub fn is_served(&self) -> bool {
        matches!(journal::alone(&self.journal), Err(JournalError::InUse))
    }

    /// How far the ledger is behind the journal, counted from outside: a gateway may be writing it meanwhile.
    pub async fn journal_lag(&self) -> Result<JournalLag, StoreError> {
        let taken = self.database.read(sqlite::moving::position).await?;
        let folder = self.journal.clone();
        let counted = tokio::task::spawn_blocking(move || journal::behind(&folder, taken));
        let counted = counted.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        counted.map_err(|error| StoreError::File { path: self.journal.display().to_string(), error })
    }
}
