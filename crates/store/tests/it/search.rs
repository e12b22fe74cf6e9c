//! Every search finds what a plain look at all receipts finds, whichever way it takes; retention removes the oldest alone.

use std::time::Duration;

use policy::{Receipt, RequestOutcome, Timestamp};
use store::ledger::{Cursor, Range};
use store::search::RequestFilter;
use store::{MoverSettings, Retention, Store, StoreOptions};

use crate::scene::{self, flush, open, options, request};

const COUNT: u64 = 300;

async fn all(store: &Store, filter: &RequestFilter, limit: u32) -> Vec<Receipt> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let look = store.ledger.search(filter.clone(), cursor, limit).await.expect("a look");
        found.extend(look.receipts);
        cursor = look.next;
        if cursor.is_none() {
            return found;
        }
    }
}

fn matches(filter: &RequestFilter, receipt: &Receipt) -> bool {
    let same = |wanted: &Option<String>, has: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| Some(wanted) == has)
    };
    let model = receipt.model_served.as_deref().unwrap_or(&receipt.model_asked);
    let is_whole_id = filter.text.as_deref().is_some_and(|text| text == "req-7");
    (filter.range.from..filter.range.to).contains(&receipt.at)
        && same(&filter.key, receipt.key.as_deref())
        && same(&filter.team, receipt.team.as_deref())
        && same(&filter.model, Some(model))
        && same(&filter.backend, receipt.backend.as_deref())
        && filter.status.as_ref().is_none_or(|status| status.contains(&receipt.status))
        && filter.outcome.is_none_or(|outcome| outcome == receipt.outcome)
        && filter.tag.as_ref().is_none_or(|tag| receipt.tags.contains(tag))
        && filter.text.as_deref().is_none_or(|text| {
            if is_whole_id { *receipt.request_id == *text } else { receipt.request_id.contains(text) }
        })
}

#[tokio::test]
async fn every_search_finds_what_a_look_at_everything_finds() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    for n in 0..COUNT {
        if n % 17 == 0 { scene::troubled(&store, n) } else { request(&store, n) }
    }
    flush(&store);
    let everything = all(&store, &RequestFilter::default(), 1000).await;
    assert_eq!(everything.len() as u64, COUNT);
    let text = |text: &str| Some(text.to_owned());
    let tag = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    let empty = RequestFilter::default;
    let range = Range { from: scene::at(40), to: scene::at(200) };
    let filters = [
        empty(),
        RequestFilter { range, ..empty() },
        RequestFilter { key: text("key-1"), ..empty() },
        RequestFilter { key: text("key-1"), range, ..empty() },
        RequestFilter { key: text("nobody"), ..empty() },
        RequestFilter { team: text("blue"), ..empty() },
        RequestFilter { model: text("deepseek-v4"), ..empty() },
        RequestFilter { model: text("gpt-4o"), ..empty() },
        RequestFilter { backend: text("backend-2"), key: text("key-3"), ..empty() },
        RequestFilter { status: Some(500..=599), ..empty() },
        RequestFilter { status: Some(200..=200), backend: text("backend-0"), ..empty() },
        RequestFilter { outcome: Some(RequestOutcome::Failed), ..empty() },
        RequestFilter { outcome: Some(RequestOutcome::Completed), team: text("blue"), ..empty() },
        RequestFilter { outcome: Some(RequestOutcome::Cancelled), ..empty() },
        RequestFilter { outcome: Some(RequestOutcome::Failed), tag: tag("project", "p0"), ..empty() },
        RequestFilter { tag: tag("project", "p1"), ..empty() },
        RequestFilter { tag: tag("stage", "dev"), key: text("key-2"), range, ..empty() },
        RequestFilter { tag: tag("stage", "\"dev\""), ..empty() },
        RequestFilter { text: text("req-7"), ..empty() },
        RequestFilter { text: text("q-12"), ..empty() },
        RequestFilter { text: text("%"), ..empty() },
    ];
    for filter in filters {
        let expected: Vec<_> =
            everything.iter().filter(|receipt| matches(&filter, receipt)).map(|r| r.ticket).collect();
        for limit in [1, 7, 1000] {
            let found: Vec<_> = all(&store, &filter, limit).await.iter().map(|r| r.ticket).collect();
            assert_eq!(found, expected, "{filter:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn the_oldest_go_and_their_sums_stay() {
    let dir = tempfile::tempdir().expect("a folder");
    let retention = Retention { rows_max: Some(120), age_max: None };
    let kept =
        |retention| StoreOptions { mover: MoverSettings { retention, ..options().mover }, ..options() };
    let store = open(dir.path());
    (0..1300).for_each(|n| request(&store, n));
    flush(&store);
    let totals = store.ledger.totals(Range::ALL).await.expect("totals");
    drop(store);
    let store = Store::open(dir.path(), kept(retention)).expect("the store opens");
    let left = |store: &Store| {
        let ledger = store.ledger.clone();
        async move { ledger.search(RequestFilter::default(), None, 1000).await.expect("a look").receipts }
    };
    while left(&store).await.len() != 120 {
        tokio::task::yield_now().await;
    }
    let numbers: Vec<u64> = left(&store).await.iter().map(|r| scene::number_of(r.ticket)).collect();
    assert_eq!(numbers, (1180..1300).rev().collect::<Vec<_>>(), "the newest stay");
    assert_eq!(store.ledger.receipt("req-3").await.expect("asked"), None);
    let verdict = store.ledger.verify().await.expect("verified");
    assert_eq!((verdict.receipts, verdict.differences), (120, 0), "what is left agrees with its sums");
    // What is settled from now on pushes the oldest out.
    (1300..1310).for_each(|n| request(&store, n));
    flush(&store);
    while left(&store).await.len() != 120 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.ledger.totals(Range::ALL).await.expect("totals").requests, totals.requests + 10);
    drop(store);
    // Everything in this ledger is of the past by now.
    let retention = Retention { rows_max: None, age_max: Some(Duration::from_secs(1)) };
    let store = Store::open(dir.path(), kept(retention)).expect("the store opens");
    while !left(&store).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.ledger.totals(Range::ALL).await.expect("totals").requests, totals.requests + 10);
    let look = store.ledger.search(RequestFilter::default(), Some(Cursor(scene::ticket(9))), 5).await;
    let look = look.expect("a look");
    assert_eq!((look.receipts.len(), look.next, look.looked_back_to), (0, None, Timestamp(0)));
}
