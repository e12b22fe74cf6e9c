//! Why a request went where it went is kept with its receipt, through restarts, and goes with it.

use std::path::Path;

use policy::{Entry, Reasoned};
use store::{Retention, Store};

use crate::scene::{self, flush, open};

const REQUESTS: u64 = 40;

fn text(number: u64) -> String {
    format!("{{\"looks\":[],\"left_out\":{number},\"learned\":[]}}")
}

/// A request whose reasons are kept, as the gateway writes it.
fn reasoned(store: &Store, number: u64) {
    let mut reservation = store.journal.reserve().expect("room");
    reservation.write(&scene::opened(number, 1)).expect("an open line");
    let reasoned = Reasoned { ticket: scene::ticket(number), text: text(number).into() };
    reservation.write(&Entry::Reasoned(reasoned)).expect("reasons");
    reservation.write(&scene::settled(number, 1)).expect("a receipt");
}

async fn kept(store: &Store, number: u64) -> Option<Option<String>> {
    let found = store.ledger.receipt(&format!("req-{number}")).await.expect("the ledger");
    found.map(|detail| detail.reasons)
}

fn rows(folder: &Path) -> i64 {
    let database = rusqlite::Connection::open(folder.join("lockgate.db")).expect("the database");
    database.query_row("SELECT count(*) FROM reasons", [], |row| row.get(0)).expect("a number")
}

#[tokio::test]
async fn reasons_are_kept_with_their_receipts_and_go_with_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    // Every second one, in an order of their own.
    (0..REQUESTS).for_each(|n| if n % 2 == 0 { reasoned(&store, n) } else { scene::request(&store, n) });
    drop(store);
    let store = open(dir.path());
    flush(&store);
    for number in 0..REQUESTS {
        let expected = (number % 2 == 0).then(|| text(number));
        assert_eq!(kept(&store, number).await, Some(expected), "{number}");
    }
    assert_eq!(rows(dir.path()), 20);
    // Told while it works, the mover lets the oldest go.
    store.mover.retention().set(Retention { rows_max: Some(10), age_max: None });
    while kept(&store, REQUESTS - 11).await.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(kept(&store, REQUESTS - 10).await, Some(Some(text(REQUESTS - 10))));
    assert_eq!(rows(dir.path()), 5);
}
