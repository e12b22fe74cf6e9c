//! Which backend minted which id outlives the process, from the moment it was written, up to a number and an age.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use policy::{Bound, Entry, Timestamp};
use store::{BINDINGS_MAX, MoverSettings, Store, StoreOptions};

use crate::scene::{self, flush};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn bound(id: &str, backend: &str, at: i64) -> Bound {
    Bound { id: id.into(), backend: backend.into(), at: Timestamp(at) }
}

/// A store whose mover takes whole batches, and only when it is told to.
fn open(dir: &Path) -> Store {
    let mover = MoverSettings {
        interval: Duration::from_secs(3600),
        batch_entries: 50_000,
        ..MoverSettings::default()
    };
    Store::open(dir, StoreOptions { mover, ..scene::options() }).expect("the store opens")
}

fn write(store: &Store, bindings: impl IntoIterator<Item = Bound>) {
    let mut ticket = store.journal.reserve().expect("room");
    for bound in bindings {
        ticket.write(&Entry::Bound(bound)).expect("written");
    }
}

/// What is known after a restart: of an id that comes twice, the later.
fn known(store: &Store) -> BTreeMap<&str, (&str, i64)> {
    store.bindings.iter().map(|bound| (&*bound.id, (&*bound.backend, bound.at.0))).collect()
}

#[test]
fn a_binding_is_known_after_a_restart_whether_the_database_had_it_or_only_the_journal() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    assert_eq!(store.bindings, []);
    write(&store, [bound("resp_1", "a", 1), bound("file-1", "b", 2)]);
    drop(store);
    let first = BTreeMap::from([("resp_1", ("a", 1)), ("file-1", ("b", 2))]);
    let store = open(dir.path());
    assert_eq!(known(&store), first, "from the journal, unless the mover was quick");
    flush(&store);
    drop(store);
    let store = open(dir.path());
    assert_eq!((known(&store), store.bindings.len()), (first, 2), "from the database");
    write(&store, [bound("resp_1", "a", 4), bound("resp_2", "a", 3)]);
    drop(store);
    let both = BTreeMap::from([("resp_1", ("a", 4)), ("file-1", ("b", 2)), ("resp_2", ("a", 3))]);
    let store = open(dir.path());
    assert_eq!(known(&store), both, "from both");
    flush(&store);
    drop(store);
    let newest = [bound("file-1", "b", 2), bound("resp_2", "a", 3), bound("resp_1", "a", 4)];
    assert_eq!(open(dir.path()).bindings, newest, "each once, as it was last seen");
}

#[test]
fn the_oldest_are_forgotten_beyond_a_number_and_an_age() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    write(&store, [bound("ancient", "a", 0), bound("old", "a", DAY_MS)]);
    flush(&store);
    write(&store, [bound("new", "a", 90 * DAY_MS + 1)]);
    flush(&store);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.bindings, [bound("old", "a", DAY_MS), bound("new", "a", 90 * DAY_MS + 1)]);
    let times = 90 * DAY_MS + 2..;
    write(&store, times.take(BINDINGS_MAX).map(|at| bound(&format!("resp_{at}"), "a", at)));
    flush(&store);
    drop(store);
    let kept = open(dir.path()).bindings;
    assert_eq!(kept.len(), BINDINGS_MAX);
    assert_eq!(kept.first().map(|bound| bound.at.0), Some(90 * DAY_MS + 2));
}
