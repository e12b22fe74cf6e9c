//! The database may be locked, gone or unwritable for as long as it likes: requests go on and nothing is lost.

use std::path::Path;
use std::time::Duration;

use store::ledger::Range;
use store::{JournalFull, Store, StoreError};

use crate::ledger::lock;
use crate::scene::{self, flush, open, options, request};

async fn assert_all_there(store: &Store, count: u64) {
    flush(store);
    let totals = store.ledger.totals(Range::ALL).await.expect("totals");
    assert_eq!((totals.requests, totals.cost), (count, scene::total_cost(0..count)));
    assert_eq!(store.ledger.verify().await.expect("verified").differences, 0);
    let lag = store.mover.lag();
    assert_eq!((lag.entries, lag.bytes, lag.trouble), (0, 0, None));
}

/// Waits until the mover has met the trouble.
fn await_trouble(store: &Store) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while store.mover.lag().trouble.is_none() {
        assert!(tokio::time::Instant::now() < deadline, "the mover must notice");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_database_locked_for_the_whole_run_delays_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let lock = lock(dir.path());
    (0..2_000).for_each(|n| request(&store, n));
    await_trouble(&store);
    let lag = store.mover.lag();
    assert_eq!(lag.entries, 2_000 + scene::attempts_of(2_000) + 400, "nothing can have been taken over");
    assert!(!store.mover.flush(Duration::from_millis(50)), "flush must give up in time");
    // People meet the lock as an error, and reading still works.
    assert!(matches!(
        store.directory.change_settings(vec![("a".to_owned(), None)]).await,
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(store.ledger.totals(Range::ALL).await.expect("totals").requests, 0);
    drop(lock);
    assert_all_there(&store, 2_000).await;
}

/// Moves the database with its log from one folder to the other, as far as they exist.
fn move_database(from: &Path, to: &Path) {
    for name in ["lockgate.db", "lockgate.db-wal", "lockgate.db-shm"] {
        if from.join(name).exists() {
            std::fs::rename(from.join(name), to.join(name)).expect("moved");
        }
    }
}

#[tokio::test]
async fn a_database_that_vanished_is_never_replaced_by_an_empty_one() {
    let (dir, away) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let store = open(dir.path());
    (0..100).for_each(|n| request(&store, n));
    flush(&store);
    move_database(dir.path(), away.path());
    (100..600).for_each(|n| request(&store, n));
    await_trouble(&store);
    assert!(store.ledger.totals(Range::ALL).await.is_err());
    assert!(!dir.path().join("lockgate.db").exists());
    move_database(away.path(), dir.path());
    assert_all_there(&store, 600).await;
}

#[tokio::test]
async fn a_database_replaced_by_rubbish_is_waited_out() {
    let (dir, away) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let store = open(dir.path());
    (0..100).for_each(|n| request(&store, n));
    flush(&store);
    move_database(dir.path(), away.path());
    let rubbish = "this is no database, and longer than a header would be: ".repeat(20);
    std::fs::write(dir.path().join("lockgate.db"), &rubbish).expect("written");
    (100..300).for_each(|n| request(&store, n));
    await_trouble(&store);
    assert_eq!(std::fs::read_to_string(dir.path().join("lockgate.db")).expect("rubbish"), rubbish);
    move_database(away.path(), dir.path());
    assert_all_there(&store, 300).await;
}

#[tokio::test]
async fn at_the_journals_limit_admission_refuses_until_the_ledger_catches_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut options = options();
    options.journal.bytes_max = 3 * options.journal.segment_bytes;
    let store = Store::open(dir.path(), options).expect("the store opens");
    let lock = lock(dir.path());
    let mut count = 0;
    let refused = loop {
        if let Err(refused) = store.journal.reserve() {
            break refused;
        }
        request(&store, count);
        count += 1;
    };
    assert_eq!(refused, JournalFull::Limit);
    assert!(count > 100, "{count}");
    drop(lock);
    flush(&store);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while store.journal.reserve().is_err() {
        assert!(tokio::time::Instant::now() < deadline, "room must return");
        std::thread::yield_now();
    }
    request(&store, count);
    assert_all_there(&store, count + 1).await;
}

#[tokio::test]
async fn a_start_with_a_damaged_database_is_refused_with_words() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(open(dir.path()));
    let path = dir.path().join("lockgate.db");
    let mut bytes = std::fs::read(&path).expect("the database");
    for page in bytes.chunks_mut(4096).skip(1) {
        page.iter_mut().take(64).for_each(|byte| *byte = 0x5A);
    }
    std::fs::write(&path, &bytes).expect("damaged");
    let refused = Store::open(dir.path(), options()).expect_err("a damaged database");
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
    assert_eq!(std::fs::read(&path).expect("the database"), bytes, "evidence must not be touched");
}
