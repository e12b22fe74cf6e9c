//! Looks whether the database file is sound: a start waits for that only so long, the rest is looked at beside the work. It
//! never repairs anything, and never stands in the way of whoever ends the process.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle};
use tokio::sync::watch;

use super::{Place, Role, connect};
use crate::error::StoreError;

/// How long passes between two tries to end a look: one may come before there is anything to end.
const INSISTENCE: Duration = Duration::from_millis(10);

/// The least pressing.
const NICENESS: i32 = 19;

/// How far opening a store looks whether its database is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspection {
    /// Not at all: whoever serves from it does.
    Skipped,
    /// Opening waits so long for all of it; what took longer is looked at beside the work.
    Within(Duration),
}

/// What is known of the database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Soundness {
    /// Nobody looked, or nobody could.
    Unknown,
    /// It is being looked at.
    Checking,
    /// It was sound when this process began with it.
    Sound,
    /// It is damaged; where, in SQLite's words.
    Damaged(String),
}

/// Follows a look at the database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Checkup(watch::Receiver<Soundness>);

impl Checkup {
    /// What is known now.
    #[must_use]
    pub fn soundness(&self) -> Soundness {
        self.0.borrow().clone()
    }

    /// What is known in the end.
    pub async fn ended(mut self) -> Soundness {
        let ended = self.0.wait_for(|known| *known != Soundness::Checking).await;
        ended.map_or(Soundness::Unknown, |known| known.clone())
    }

    fn known(soundness: Soundness) -> Self {
        Self(watch::Sender::new(soundness).subscribe())
    }
}

/// A look that may still go on; dropping it ends it.
#[derive(Debug)]
pub(super) struct Inspector {
    pub(super) checkup: Checkup,
    _running: Option<Running>,
}

struct Running {
    interrupt: InterruptHandle,
    /// Nothing is ever sent: the other end goes with the look.
    ended: Mutex<mpsc::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running")
    }
}

impl Inspector {
    /// Looks at the database that `connection` has open. One that is seen to be damaged before the time is over is an error.
    pub(super) fn begin(
        place: &Place,
        connection: &Connection,
        inspection: Inspection,
    ) -> Result<Self, StoreError> {
        let known = |soundness| Self { checkup: Checkup::known(soundness), _running: None };
        let patience = match inspection {
            Inspection::Skipped => return Ok(known(Soundness::Unknown)),
            Inspection::Within(patience) => patience,
        };
        match within(connection, patience)? {
            Some(Soundness::Damaged(verdict)) => Err(StoreError::Corrupt(verdict)),
            Some(soundness) => Ok(known(soundness)),
            None => Self::beside(place),
        }
    }

    /// From the start again: what was seen so far cannot be handed to another connection.
    fn beside(place: &Place) -> Result<Self, StoreError> {
        let connection = connect(place, Role::Reader)?;
        let interrupt = connection.get_interrupt_handle();
        let told = watch::Sender::new(Soundness::Checking);
        let checkup = Checkup(told.subscribe());
        let (alive, ended) = mpsc::channel();
        let body = move || {
            // A thread's own niceness: whoever waits for an answer goes first. Where that is refused, it is as it was.
            rustix::process::nice(NICENESS).ok();
            // An interrupted look has nobody left to tell.
            told.send_replace(look(&connection).unwrap_or(Soundness::Unknown));
            drop(alive);
        };
        let thread = std::thread::Builder::new().name("store-inspector".to_owned()).spawn(body);
        let thread = thread.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            checkup,
            _running: Some(Running { interrupt, ended: Mutex::new(ended), thread: Some(thread) }),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        insist(&self.interrupt, self.ended.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            drop(thread.join());
        }
    }
}

/// The whole look, or none when it takes longer.
fn within(connection: &Connection, patience: Duration) -> Result<Option<Soundness>, StoreError> {
    if patience.is_zero() {
        return Ok(None);
    }
    let interrupt = connection.get_interrupt_handle();
    let (alive, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                insist(&interrupt, &ended);
            }
        });
        let looked = look(connection);
        // Nobody interrupts this connection any more once the scope is left.
        drop(alive);
        match looked {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(None),
            looked => Ok(Some(looked?)),
        }
    })
}

/// Interrupts until the look has ended.
fn insist(interrupt: &InterruptHandle, ended: &mpsc::Receiver<()>) {
    loop {
        interrupt.interrupt();
        if ended.recv_timeout(INSISTENCE) == Err(mpsc::RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

fn look(connection: &Connection) -> Result<Soundness, rusqlite::Error> {
    let looked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match looked {
        Ok(verdict) if verdict == "ok" => Ok(Soundness::Sound),
        Ok(verdict) => Ok(Soundness::Damaged(verdict)),
        Err(error) if is_damage(&error) => Ok(Soundness::Damaged(error.to_string())),
        Err(error) => Err(error),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of some pages, and whether all but the first are spoilt.
    fn place(folder: &tempfile::TempDir, is_damaged: bool) -> Place {
        let path = folder.path().join("lockgate.db");
        let connection = Connection::open(&path).expect("a database");
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
                    INSERT INTO t SELECT i, hex(zeroblob(100)) FROM n";
        connection.execute_batch(&format!("CREATE TABLE t (i INTEGER, x TEXT); {rows}")).expect("rows");
        drop(connection);
        if is_damaged {
            let mut bytes = std::fs::read(&path).expect("the file");
            for page in bytes.chunks_mut(4096).skip(1) {
                page.iter_mut().take(64).for_each(|byte| *byte = 0x5A);
            }
            std::fs::write(&path, bytes).expect("damaged");
        }
        Place { path, busy_timeout: Duration::from_millis(50) }
    }

    fn begin(place: &Place, inspection: Inspection) -> Result<Inspector, StoreError> {
        let connection = connect(place, Role::Founder).expect("a connection");
        Inspector::begin(place, &connection, inspection)
    }

    #[tokio::test]
    async fn a_look_ends_with_the_same_verdict_before_the_start_and_beside_it() {
        for is_damaged in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let place = place(&folder, is_damaged);
            let skipped = begin(&place, Inspection::Skipped).expect("skipped");
            assert_eq!(skipped.checkup.soundness(), Soundness::Unknown);
            let whole = begin(&place, Inspection::Within(Duration::MAX));
            // Begun at once: the verdict comes later, and stops nobody.
            let beside = begin(&place, Inspection::Within(Duration::ZERO)).expect("begun");
            let verdict = beside.checkup.clone().ended().await;
            if is_damaged {
                assert!(matches!(whole, Err(StoreError::Corrupt(_))), "{whole:?}");
                assert!(matches!(verdict, Soundness::Damaged(_)), "{verdict:?}");
            } else {
                assert_eq!(whole.expect("sound").checkup.soundness(), Soundness::Sound);
                assert_eq!(verdict, Soundness::Sound);
            }
        }
    }

    #[tokio::test]
    async fn a_look_ends_when_nobody_wants_it_any_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let inspector = begin(&place(&folder, false), Inspection::Within(Duration::ZERO)).expect("begun");
        let checkup = inspector.checkup.clone();
        drop(inspector);
        // Ended, with or without a verdict; the thread was joined.
        let verdict = checkup.ended().await;
        assert!(matches!(verdict, Soundness::Sound | Soundness::Unknown), "{verdict:?}");
    }

    #[test]
    fn a_connection_whose_look_was_given_up_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder, false);
        let connection = connect(&place, Role::Founder).expect("a connection");
        for _ in 0..50 {
            within(&connection, Duration::from_nanos(1)).expect("looked, or gave up");
            let rows: i64 = connection
                .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
                .expect("not interrupted");
            assert_eq!(rows, 5000);
        }
    }
}
