//! Responses outlive the process, sealed, for as long as they were not forgotten; and nobody waits for the disk.

use std::path::Path;
use std::time::Duration;

use policy::Timestamp;
use store::{KeptResponse, KeptResponses, Shelf, Shelved, Store};

use crate::ledger::lock;
use crate::scene::open;
use crate::secrets::holding;

const CANARY: &str = "what the user said: 5e1f-9b7d";
const PATIENCE: Duration = Duration::from_secs(60);
/// More than the shelf lets wait.
const FLOOD_BYTES: usize = 40 << 20;

fn response(id: &str, owner: &str, until: i64) -> KeptResponse {
    let what = format!("{CANARY}, to {id}").into();
    KeptResponse { id: id.into(), owner: owner.into(), until: Timestamp(until), what }
}

fn keep(shelf: &Shelf, responses: &[KeptResponse]) {
    for response in responses {
        assert_eq!(shelf.keep(response.clone()), Shelved::Taken);
    }
}

/// What the next process finds.
fn found(dir: &Path) -> Vec<KeptResponse> {
    open(dir).kept.remembered
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart_and_what_was_forgotten_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let Store { kept: KeptResponses { shelf, remembered }, vault, .. } = open(dir.path());
    assert_eq!(remembered, []);
    let all = [response("resp_1", "a", 1), response("resp_2", "b", 3), response("resp_3", "a", 2)];
    keep(&shelf, &all);
    assert!(shelf.flush(PATIENCE));
    assert_eq!(shelf.waiting_bytes(), 0);
    // A new master key changes nothing.
    vault.rotate(store::audit::Author::gateway(), None, |_, _| {}).await.expect("rotated");
    drop((shelf, vault));
    let KeptResponses { shelf, remembered } = open(dir.path()).kept;
    let [one, two, three] = all;
    assert_eq!(remembered, [one.clone(), three.clone(), two], "the first to end first");
    shelf.forget(&"resp_2".into());
    drop(shelf);
    assert_eq!(found(dir.path()), [one, three], "the last holder writes what waits");
}

#[test]
fn what_was_said_is_in_no_file_in_clear() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    keep(&store.kept.shelf, &[response("resp_findable", "a", 1)]);
    assert!(store.kept.shelf.flush(PATIENCE));
    for needle in [CANARY, "5e1f-9b7d"] {
        assert_eq!(holding(dir.path(), needle.as_bytes()), Vec::<std::path::PathBuf>::new());
    }
    assert!(!holding(dir.path(), b"resp_findable").is_empty(), "the search itself must work");
    drop(store);
    assert_eq!(holding(dir.path(), CANARY.as_bytes()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_was_altered_on_disk_is_nobodys() {
    for edit in [
        "UPDATE kept_responses SET owner = 'thief' WHERE id = 'resp_1'",
        "UPDATE kept_responses SET until = until + 1 WHERE id = 'resp_1'",
        "UPDATE kept_responses SET sealed = (SELECT sealed FROM kept_responses WHERE id = 'resp_2') WHERE id = 'resp_1'",
        "UPDATE kept_responses SET sealed = substr(sealed, 1, 5) WHERE id = 'resp_1'",
        "UPDATE kept_responses SET sealed = x'' WHERE id = 'resp_1'",
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let two = response("resp_2", "b", 9);
        keep(&open(dir.path()).kept.shelf, &[response("resp_1", "a", 9), two.clone()]);
        let database = rusqlite::Connection::open(dir.path().join("lockgate.db")).expect("the database");
        assert_eq!(database.execute(edit, []).expect("edited"), 1, "{edit}");
        assert_eq!(found(dir.path()), [two], "{edit}");
        let left: i64 =
            database.query_row("SELECT count(*) FROM kept_responses", [], |row| row.get(0)).expect("a count");
        assert_eq!(left, 1, "{edit}");
    }
}

#[test]
fn a_locked_database_delays_nobody_and_what_waits_is_bounded() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let lock = lock(dir.path());
    let large = |number: usize| KeptResponse {
        what: vec![b'x'; 1 << 20].into(),
        ..response(&format!("resp_{number}"), "a", i64::try_from(number).expect("a small number"))
    };
    let taken =
        (0..FLOOD_BYTES >> 20).filter(|number| store.kept.shelf.keep(large(*number)) == Shelved::Taken);
    let taken: Vec<usize> = taken.collect();
    assert!((16..FLOOD_BYTES >> 20).contains(&taken.len()), "{}", taken.len());
    assert!(store.kept.shelf.waiting_bytes() < FLOOD_BYTES);
    assert!(!store.kept.shelf.flush(Duration::from_millis(50)), "flush must give up in time");
    // What is forgotten before it was written, or while it is being, makes room and never comes back.
    let (forgotten, left) = taken.split_at(taken.len() / 2);
    forgotten.iter().for_each(|number| store.kept.shelf.forget(&large(*number).id));
    drop(lock);
    assert!(store.kept.shelf.flush(PATIENCE));
    assert_eq!(store.kept.shelf.waiting_bytes(), 0);
    drop(store);
    let ids: Vec<_> = found(dir.path()).into_iter().map(|response| response.id).collect();
    let want: Vec<_> = left.iter().map(|number| large(*number).id).collect();
    assert_eq!(ids, want);
}

#[test]
fn beyond_what_can_be_noted_all_is_forgotten() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    keep(&store.kept.shelf, &[response("resp_old", "a", 1)]);
    assert!(store.kept.shelf.flush(PATIENCE));
    let lock = lock(dir.path());
    for number in 0..70_000 {
        store.kept.shelf.forget(&format!("resp_{number}").into());
    }
    let new = response("resp_new", "a", 1);
    keep(&store.kept.shelf, std::slice::from_ref(&new));
    drop(lock);
    drop(store);
    assert_eq!(found(dir.path()), [new]);
}
