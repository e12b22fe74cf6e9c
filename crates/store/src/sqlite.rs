//! Keeps one SQLite database: one thread that writes, a few that read, none of them in an async task; it never
//! decides what is stored.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod backends;
pub(crate) mod bindings;
pub(crate) mod captures;
pub(crate) mod directory;
pub(crate) mod door;
pub(crate) mod events;
pub(crate) mod inspection;
pub(crate) mod kept;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod migrate;
pub(crate) mod moving;
pub(crate) mod prices;
pub(crate) mod retention;
pub(crate) mod rollups;
pub(crate) mod search;
pub(crate) mod secrets;
pub(crate) mod settings;
pub(crate) mod specs;
pub(crate) mod usage;
pub(crate) mod verify;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::oneshot;

use crate::error::StoreError;
use inspection::{Checkup, Inspection, Inspector};

/// Older versions can corrupt a database in WAL mode when two connections write and checkpoint at once.
const VERSION_MIN: i32 = 3_051_003;
/// Jobs that may wait for a thread; one more is refused.
const JOBS_MAX: usize = 256;
const READERS: usize = 2;
const STATEMENTS_CACHED: usize = 64;
/// Steps of SQLite's machine in one piece of a reader's work, about a tenth of a millisecond: on a machine whose cores are all
/// taken, whoever carries requests goes between two of them.
const STEPS_IN_PIECE: i32 = 2000;

/// How to reach the database.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// How long one statement waits for somebody else's lock.
    pub(crate) busy_timeout: Duration,
}

type Job = Box<dyn FnOnce(Result<&mut Connection, StoreError>) -> Condition + Send>;

/// What a job left its connection in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Sound,
    /// To be opened anew: what it has in memory may not be what the file says.
    Doubtful,
}

impl Condition {
    fn after<T>(result: &Result<T, StoreError>) -> Self {
        match result {
            Err(StoreError::Unavailable(_) | StoreError::Corrupt(_)) => Self::Doubtful,
            _ => Self::Sound,
        }
    }
}

/// The database: hands work to its threads.
#[derive(Debug)]
pub(crate) struct Database {
    writer: Queue,
    readers: Queue,
    threads: Vec<JoinHandle<()>>,
    inspector: Inspector,
}

/// Where work for one kind of thread waits.
#[derive(Clone)]
struct Queue(Option<mpsc::SyncSender<Job>>);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

impl Queue {
    fn push(&self, job: Job) -> Result<(), StoreError> {
        let Some(sender) = &self.0 else { return Err(stopped()) };
        sender.try_send(job).map_err(|refused| match refused {
            mpsc::TrySendError::Full(_) => {
                StoreError::Unavailable("too much waits for the database".to_owned())
            }
            mpsc::TrySendError::Disconnected(_) => stopped(),
        })
    }

    async fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.push(Box::new(move |connection| {
            let result = connection.and_then(work);
            let condition = Condition::after(&result);
            // Whoever asked may have gone; the work is done all the same.
            drop(sender.send(result));
            condition
        }))?;
        receiver.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn call_blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.push(Box::new(move |connection| {
            let result = connection.and_then(work);
            let condition = Condition::after(&result);
            drop(sender.send(result));
            condition
        }))?;
        receiver.recv().unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store is shutting down".to_owned())
}

impl Database {
    /// Opens (or makes) the database, looks at it as far as is asked, and brings its schema up to date.
    pub(crate) fn open(place: Place, inspection: Inspection) -> Result<Self, StoreError> {
        let version = rusqlite::version_number();
        if version < VERSION_MIN {
            return Err(StoreError::Unsafe(rusqlite::version().to_owned()));
        }
        migrate::refuse_newer(&place)?;
        let mut connection = connect(&place, Role::Founder)?;
        let inspector = Inspector::begin(&place, &connection, inspection)?;
        migrate::run(&mut connection)?;
        let writer = Worker::new(place.clone(), Role::Writer, Some(connection));
        let (send, receive) = mpsc::sync_channel(JOBS_MAX);
        let mut threads = vec![writer.spawn("store-writer", Arc::new(Mutex::new(receive)))?];
        let (send_read, receive) = mpsc::sync_channel(JOBS_MAX);
        let receive = Arc::new(Mutex::new(receive));
        for _ in 0..READERS {
            let reader = Worker::new(place.clone(), Role::Reader, None);
            threads.push(reader.spawn("store-reader", Arc::clone(&receive))?);
        }
        Ok(Self { writer: Queue(Some(send)), readers: Queue(Some(send_read)), threads, inspector })
    }

    /// What is known of the file.
    pub(crate) fn checkup(&self) -> Checkup {
        self.inspector.checkup.clone()
    }

    /// Runs `work` on the writing thread.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.call(work).await
    }

    /// Runs `work` on a reading thread, whose connection cannot write.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.readers.call(work).await
    }

    /// As `write`, for threads that may block: start-up and the mover.
    pub(crate) fn write_blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.call_blocking(work)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.writer.0 = None;
        self.readers.0 = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            drop(thread.join());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// May make the file: only at start.
    Founder,
    /// Never makes the file: a database that vanished must not be replaced by an empty one.
    Writer,
    Reader,
}

/// One thread's connection, opened again after a failure that may have spoilt it.
struct Worker {
    place: Place,
    role: Role,
    connection: Option<Connection>,
    /// Which file the connection has open: a database that was moved away must not be written any more.
    file: Option<(u64, u64)>,
}

impl Worker {
    fn new(place: Place, role: Role, connection: Option<Connection>) -> Self {
        let file = identity(&place.path);
        Self { place, role, connection, file }
    }

    fn spawn(
        mut self,
        name: &str,
        jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    ) -> Result<JoinHandle<()>, StoreError> {
        let body = move || {
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(job) = job else { break };
                if job(self.ready()) == Condition::Doubtful {
                    self.connection = None;
                }
            }
        };
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        spawned.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// A connection to the file that is there now.
    fn ready(&mut self) -> Result<&mut Connection, StoreError> {
        let present = identity(&self.place.path);
        if present.is_none() || present != self.file {
            self.connection = None;
            self.file = present;
        }
        if self.connection.is_none() {
            self.connection = Some(connect(&self.place, self.role)?);
        }
        self.connection.as_mut().ok_or_else(stopped)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn connect(place: &Place, role: Role) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match role {
            Role::Founder => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Role::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
    let mut connection = Connection::open_with_flags(&place.path, flags)?;
    connection.busy_timeout(place.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    if role == Role::Reader {
        let step_aside = || {
            std::thread::yield_now();
            false
        };
        connection.progress_handler(STEPS_IN_PIECE, Some(step_aside))?;
    } else {
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        // Roll-ups and the newest index pages fit; a batch then reads nothing from the file.
        connection.pragma_update(None, "cache_size", -16_384)?;
    }
    connection.pragma_update(None, "foreign_keys", "on")?;
    Ok(connection)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
