//! What goes into the journal comes out of the ledger, once, with sums that agree.

use std::path::Path;
use std::sync::Arc;

use policy::{Amount, AttemptOutcome, Receipt, RequestOutcome, Timestamp};
use store::ledger::{Cursor, Dimension, Glimpse, Grain, Range, UsageRow, Verdict};

use crate::scene::{self, flush, open, request};

#[tokio::test]
async fn receipts_attempts_and_sums_agree_by_every_dimension() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let count = 400;
    (0..count).for_each(|n| request(&store, n));
    flush(&store);
    let verdict = store.ledger.verify().await.expect("verified");
    let attempts = scene::attempts_of(count);
    assert_eq!(verdict, Verdict { receipts: count, attempts, differences: 0 });
    let totals = store.ledger.totals(Range::ALL).await.expect("totals");
    assert_eq!((totals.requests, totals.completed, totals.attempts), (count, count, attempts));
    assert_eq!(totals.attempts_failed, count / 5);
    assert_eq!(totals.cost, scene::total_cost(0..count));
    assert_ne!(totals.cost.0 % 1_000_000, 0, "the sum must use the digits that floats lose");
    for grain in [Grain::Hour, Grain::Day] {
        for by in [Dimension::Backend, Dimension::Model, Dimension::Key, Dimension::Team] {
            let rows = store.ledger.grouped(grain, by.clone(), Range::ALL).await.expect("rows");
            let cost: Amount = rows.iter().map(|row| row.sums.cost).sum();
            assert_eq!(cost, totals.cost, "{by:?}");
            assert_eq!(rows.iter().map(|row| row.sums.requests).sum::<u64>(), count, "{by:?}");
            let series = store.ledger.series(grain, by.clone(), Range::ALL).await.expect("series");
            assert_eq!(series.iter().map(|row| row.sums.cost).sum::<Amount>(), totals.cost, "{by:?}");
            let top = store.ledger.top_series(grain, by.clone(), Range::ALL, 1).await.expect("series");
            assert_eq!(top.groups, rows, "{by:?}");
            let part = Range { from: Timestamp(1), ..Range::ALL };
            let walked = store.ledger.grouped(grain, by.clone(), part).await.expect("rows");
            assert_eq!(walked, rows, "all time is the sum of its buckets, by {by:?}");
            let cost = |kept: &dyn Fn(&UsageRow) -> bool| {
                top.rows.iter().filter(|row| kept(row)).map(|row| row.sums.cost).sum::<Amount>()
            };
            assert_eq!(cost(&|row| row.group == rows[0].group), rows[0].sums.cost, "{by:?}");
            assert_eq!(cost(&|row| row.group.is_some()), rows[0].sums.cost, "{by:?}");
            assert_eq!(cost(&|_| true), totals.cost, "{by:?}");
        }
    }
    let dev =
        store.ledger.grouped(Grain::Day, Dimension::Tag("stage".to_owned()), Range::ALL).await.expect("rows");
    assert_eq!(dev.len(), 1);
    assert_eq!(dev[0].group.as_deref(), Some("dev"));
    let tagged = (0..count).filter(|n| n % 3 == 2);
    assert_eq!(dev[0].sums.requests, tagged.clone().count() as u64, "a pair given twice counts once");
    assert_eq!(dev[0].sums.cost, scene::total_cost(tagged));
}

#[tokio::test]
async fn hours_and_days_are_cut_where_they_begin() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    // 997 ms apart: 8,000 of them reach over two hours.
    let numbers: Vec<u64> = (0..8_000).step_by(40).collect();
    numbers.iter().for_each(|n| request(&store, *n));
    flush(&store);
    let hours = store.ledger.hourly(Range::ALL).await.expect("hours");
    assert!(hours.len() >= 3, "{}", hours.len());
    for row in &hours {
        let bucket = row.bucket.expect("an hour");
        assert_eq!(bucket.0 % 3_600_000, 0);
        let inside = numbers.iter().filter(|n| (0..3_600_000).contains(&(scene::at(**n).0 - bucket.0)));
        assert_eq!(row.sums.requests, inside.count() as u64);
        let only = Range { from: bucket, to: Timestamp(bucket.0 + 1) };
        assert_eq!(store.ledger.hourly(only).await.expect("one hour").as_slice(), std::slice::from_ref(row));
    }
    let days = store.ledger.daily(Range::ALL).await.expect("days");
    assert_eq!(days.iter().map(|row| row.sums.requests).sum::<u64>(), numbers.len() as u64);
}

fn glimpse(receipt: &Receipt) -> Glimpse {
    Glimpse {
        at: receipt.at,
        outcome: receipt.outcome,
        first_event_ms: receipt.first_event_ms,
        total_ms: receipt.total_ms,
        tokens_in: receipt.usage.input_total(),
        tokens_out: receipt.usage.output,
    }
}

#[tokio::test]
async fn a_receipt_is_found_by_request_id_by_time_and_by_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    (0..50).for_each(|n| request(&store, n));
    flush(&store);
    let detail = store.ledger.receipt("req-10").await.expect("asked").expect("found");
    let mut expected = scene::receipt(10, 2);
    expected.tags.dedup();
    assert_eq!(detail.receipt, expected);
    let outcomes: Vec<_> = detail.attempts.iter().map(|line| (line.attempt.number, line.outcome)).collect();
    assert_eq!(outcomes, [(1, AttemptOutcome::Failed), (2, AttemptOutcome::Succeeded)]);
    assert_eq!(detail.attempts[1].cost, expected.cost);
    assert_eq!(store.ledger.receipt("req-99").await.expect("asked"), None);
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.ledger.recent(cursor, 7).await.expect("a page");
        let Some(last) = page.last() else { break };
        cursor = Some(Cursor(last.ticket));
        seen.extend(page.iter().map(|receipt| scene::number_of(receipt.ticket)));
    }
    assert_eq!(seen, (0..50).rev().collect::<Vec<_>>());
    let whole = store.ledger.recent(None, 20).await.expect("a page");
    let seen: Vec<Glimpse> = whole.iter().map(glimpse).collect();
    assert_eq!(store.ledger.glimpses(20).await.expect("the same"), seen);
    let range = Range { from: scene::at(10), to: scene::at(20) };
    let between = store.ledger.between(range, None, 100).await.expect("a page");
    assert_eq!(between.len(), 10);
}

#[tokio::test]
async fn the_newest_of_an_id_is_found_whoever_made_the_id() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let minted = scene::receipt(1, 1).ticket.request_id();
    let ids = [(1, minted.clone()), (2, "given".to_owned()), (3, "given".to_owned()), (4, "once".to_owned())];
    let settle = |n: u64, id: &str| {
        let receipt = Receipt { request_id: Arc::from(id), ..scene::receipt(n, 1) };
        let mut reservation = store.journal.reserve().expect("room");
        reservation.write(&policy::Entry::Settled { last: None, receipt }).expect("a receipt");
    };
    let check = async |id: &str, expected: u64| {
        flush(&store);
        let detail = store.ledger.receipt(id).await.expect("asked").expect("found");
        assert_eq!(scene::number_of(detail.receipt.ticket), expected, "{id}");
    };
    for (n, id) in &ids {
        settle(*n, id);
    }
    check(&minted, 1).await;
    check("given", 3).await;
    check("once", 4).await;
    // A client may give what was minted before.
    settle(5, &minted);
    check(&minted, 5).await;
}

#[tokio::test]
async fn what_a_process_leaves_open_is_charged_by_what_was_metered() {
    let dir = tempfile::tempdir().expect("a folder");
    {
        let store = open(dir.path());
        let mut first = store.journal.reserve().expect("room");
        first.write(&scene::opened(1, 1)).expect("a line");
        let mut second = store.journal.reserve().expect("room");
        second.write(&scene::opened(2, 1)).expect("a line");
        for output in [5, 17] {
            second.write(&scene::progress(2, 1, output)).expect("a line");
        }
        let mut third = store.journal.reserve().expect("room");
        third.write(&scene::opened(3, 1)).expect("a line");
        let failed = policy::Entry::Closed(scene::close(3, 1, AttemptOutcome::Failed));
        third.write(&failed).expect("a line");
        flush(&store);
    }
    // Twice: the second start must find nothing left to do.
    for _ in 0..2 {
        let store = open(dir.path());
        flush(&store);
        for (n, cost, lines) in [
            (1, scene::cost(scene::estimated(1)), 1),
            (2, scene::cost(scene::usage(2, 17)), 1),
            (3, Amount::ZERO, 1),
        ] {
            let detail = store.ledger.receipt(&format!("req-{n}")).await.expect("asked").expect("found");
            assert_eq!(detail.receipt.outcome, RequestOutcome::Interrupted, "{n}");
            assert_eq!((detail.receipt.cost, detail.attempts.len()), (cost, lines), "{n}");
        }
        let verdict = store.ledger.verify().await.expect("verified");
        assert_eq!(verdict, Verdict { receipts: 3, attempts: 3, differences: 0 });
    }
}

fn segments(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir.join("journal")).expect("the journal's folder");
    files.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some())).count()
}

#[tokio::test]
async fn a_long_request_does_not_hold_the_journal_back_and_is_not_forgotten() {
    for ends in ["settled", "interrupted"] {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(dir.path());
        let mut long = store.journal.reserve().expect("room");
        long.write(&scene::opened(100_000, 1)).expect("a line");
        for n in 0..1_000 {
            request(&store, n);
            if n == 700 {
                long.write(&scene::progress(100_000, 1, 33)).expect("a line");
            }
        }
        flush(&store);
        assert!(segments(dir.path()) <= 4, "segments must go although a request of the first is open");
        if ends == "settled" {
            long.write(&scene::settled(100_000, 1)).expect("a line");
            flush(&store);
        }
        drop((long, store));
        let store = open(dir.path());
        flush(&store);
        let detail = store.ledger.receipt("req-100000").await.expect("asked").expect("found");
        let (outcome, usage) = match ends {
            "settled" => (RequestOutcome::Completed, scene::used(100_000)),
            _ => (RequestOutcome::Interrupted, scene::usage(100_000, 33)),
        };
        assert_eq!((detail.receipt.outcome, detail.receipt.cost), (outcome, scene::cost(usage)), "{ends}");
        assert_eq!(detail.attempts.len(), 1);
        assert_eq!(
            &*detail.attempts[0].native, "deepseek-ai/deepseek-v4-pro",
            "the open line was remembered"
        );
        assert_eq!(store.ledger.verify().await.expect("verified").differences, 0);
    }
}

#[tokio::test]
async fn the_same_journal_twice_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let kept = tempfile::tempdir().expect("a folder");
    let journal = dir.path().join("journal");
    {
        // Locked out, so that every line is still in the journal when it is copied.
        let store = open(dir.path());
        let lock = lock(dir.path());
        (0..200).for_each(|n| request(&store, n));
        store.journal.reserve().expect("room").write(&scene::opened(900, 1)).expect("a line");
        for entry in std::fs::read_dir(&journal).expect("the journal") {
            let path = entry.expect("an entry").path();
            std::fs::copy(&path, kept.path().join(path.file_name().expect("a name"))).expect("copied");
        }
        drop(lock);
    }
    let mut before = None;
    for _ in 0..3 {
        for entry in std::fs::read_dir(kept.path()).expect("the copies") {
            let path = entry.expect("an entry").path();
            std::fs::copy(&path, journal.join(path.file_name().expect("a name"))).expect("put back");
        }
        let connection = rusqlite::Connection::open(dir.path().join("lockgate.db")).expect("the database");
        connection.execute("UPDATE journal SET segment = 0, \"offset\" = 0", []).expect("position lost");
        drop(connection);
        let store = open(dir.path());
        flush(&store);
        let totals = store.ledger.totals(Range::ALL).await.expect("totals");
        let expected = scene::total_cost(0..200).saturating_add(scene::cost(scene::estimated(900)));
        assert_eq!((totals.requests, totals.cost), (201, expected));
        assert_eq!(*before.get_or_insert(totals), totals);
        assert_eq!(store.ledger.verify().await.expect("verified").differences, 0);
    }
}

/// Another connection that holds the database's write lock.
pub(crate) fn lock(dir: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(dir.join("lockgate.db")).expect("the database");
    connection.busy_timeout(std::time::Duration::from_secs(10)).expect("patience");
    connection.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    connection
}

#[tokio::test]
async fn a_difference_between_lines_and_sums_is_noticed() {
    for edit in [
        "UPDATE usage_hourly SET cost_picos = cost_picos + 1",
        "UPDATE attempts SET cost_micros = cost_micros + 1 WHERE ticket = (SELECT min(ticket) FROM attempts)",
        "DELETE FROM receipts WHERE ticket = (SELECT max(ticket) FROM receipts)",
        "DELETE FROM tags_hourly",
        "UPDATE tags_daily SET requests = requests + 1",
        "UPDATE sums_hourly SET bytes_in = bytes_in + 1 WHERE dimension = 'team'",
        "DELETE FROM sums_daily WHERE dimension = 'key'",
        "UPDATE sums_ever SET unpriced = unpriced + 1 WHERE dimension = 'model'",
        "DELETE FROM sums_ever WHERE dimension LIKE 'tag:%'",
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(dir.path());
        (0..20).for_each(|n| request(&store, n));
        flush(&store);
        assert_eq!(store.ledger.verify().await.expect("verified").differences, 0);
        let connection = rusqlite::Connection::open(dir.path().join("lockgate.db")).expect("the database");
        connection.execute_batch(edit).expect("an edit");
        assert!(store.ledger.verify().await.expect("verified").differences > 0, "{edit}");
    }
}
