//! A full or failing disk: admission refuses, what was admitted is still written, and room brings all of it back.
//!
//! Each case runs in a process of its own, which has a file system or a limit of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use store::ledger::Range;
use store::{JournalError, JournalFull, Store};
use testkit::{run_on_small_disk, small_disk};

use crate::ledger::lock;
use crate::scene::{self, flush, options, request};

#[test]
fn a_full_disk_is_met_at_admission() {
    run_on_small_disk("disk::full_process", "6m");
}

#[test]
fn the_database_keeps_the_room_it_needs_to_take_the_journal_over() {
    run_on_small_disk("disk::floor_process", "64m");
}

#[test]
fn a_write_that_fails_half_way_costs_nothing_that_was_acknowledged() {
    run_on_small_disk("disk::limit_process", "24m");
}

fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut file = std::fs::File::create(&path).expect("a file");
    for size in [64 * 1024, 4096, 1] {
        while file.write(&vec![1; size]).is_ok_and(|written| written == size) {}
    }
    path
}

fn await_room(store: &Store) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while store.journal.reserve().is_err() {
        assert!(tokio::time::Instant::now() < deadline, "room must return");
        std::thread::yield_now();
    }
}

async fn assert_all_there(store: &Store, count: u64) {
    flush(store);
    let totals = store.ledger.totals(Range::ALL).await.expect("totals");
    assert_eq!((totals.requests, totals.cost), (count, scene::total_cost(0..count)));
    assert_eq!(store.ledger.verify().await.expect("verified").differences, 0);
}

#[tokio::test]
#[ignore = "run in a process of its own"]
async fn full_process() {
    let dir = small_disk();
    let store = Store::open(&dir, options()).expect("the store opens");
    (0..50).for_each(|n| request(&store, n));
    flush(&store);
    let filler = fill(&dir);
    let mut held = Vec::new();
    let refused = loop {
        match store.journal.reserve() {
            Ok(reservation) => held.push(reservation),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, JournalFull::Disk(std::io::ErrorKind::StorageFull));
    assert!(held.len() > 10, "{}", held.len());
    let count = 50 + held.len() as u64;
    for (n, mut reservation) in (50..).zip(held) {
        reservation.write(&scene::opened(n, 1)).expect("the room was taken at admission");
        reservation.write(&scene::settled(n, 1)).expect("the room was taken at admission");
    }
    std::fs::remove_file(filler).expect("removed");
    await_room(&store);
    request(&store, count);
    assert_all_there(&store, count + 1).await;
}

#[tokio::test]
#[ignore = "run in a process of its own"]
async fn floor_process() {
    let dir = small_disk();
    let mut options = options();
    options.journal.disk_floor_bytes = 8 << 20;
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; 16 << 20]).expect("written");
    let store = Store::open(&dir, options).expect("the store opens");
    let lock = lock(&dir);
    let mut count = 0;
    while store.journal.reserve().is_ok() {
        request(&store, count);
        count += 1;
    }
    assert!(count > 300, "{count}");
    drop(lock);
    // Nobody frees anything, and still the database has the room to take everything over.
    assert_all_there(&store, count).await;
    std::fs::remove_file(ballast).expect("removed");
    await_room(&store);
    request(&store, count);
    assert_all_there(&store, count + 1).await;
}

fn limit_files_to(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum }).expect("a limit");
}

#[tokio::test]
#[ignore = "run in a process of its own"]
async fn limit_process() {
    let dir = small_disk();
    for limit in [100_000, 100_001, 123_456, 160_007] {
        let dir = dir.join(limit.to_string());
        let store = Store::open(&dir, options()).expect("the store opens");
        limit_files_to(Some(limit));
        let (mut acknowledged, mut failed) = (0, 0);
        // Admission refuses at the first line that fails, unless a segment that was being made when the limit came is
        // handed over just then.
        let refused = loop {
            let mut reservation = match store.journal.reserve() {
                Ok(reservation) => reservation,
                Err(refused) => break refused,
            };
            // A receipt alone: what fails leaves nothing open.
            match reservation.write(&scene::settled(acknowledged, 1)) {
                Ok(()) => acknowledged += 1,
                Err(JournalError::Io(_) | JournalError::NoRoom) => failed += 1,
                Err(error) => panic!("{error:?}"),
            }
        };
        println!("limit {limit}: {acknowledged} lines, then {failed} that failed, then {refused:?}");
        assert!(acknowledged > 50 && (1..=3).contains(&failed), "{acknowledged} {failed}");
        assert!(matches!(refused, JournalFull::Disk(_)), "{refused:?}");
        limit_files_to(None);
        await_room(&store);
        (acknowledged..acknowledged + 20).for_each(|n| {
            let mut reservation = store.journal.reserve().expect("room");
            reservation.write(&scene::settled(n, 1)).expect("a line");
        });
        assert_all_there(&store, acknowledged + 20).await;
        drop(store);
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
