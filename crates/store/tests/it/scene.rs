//! Requests as a gateway would write them, each figure a function of its ticket so that sums can be foretold.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use policy::{
    Amount, AttemptId, AttemptOutcome, Closed, Entry, Opened, Price, Progress, Receipt, RequestOutcome,
    TicketId, Timestamp,
};
use protocol::{Dialect, Usage, UsageSource};
use store::{JournalSettings, MoverSettings, Store, StoreOptions};

/// 2026-01-01, some hours before a day ends.
const START_MS: i64 = 1_767_304_000_000;

/// Small segments, a quick mover, little patience.
pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        journal: JournalSettings {
            bytes_max: 64 << 20,
            segment_bytes: 256 << 10,
            disk_floor_bytes: 0,
            ..JournalSettings::default()
        },
        mover: MoverSettings {
            interval: Duration::from_millis(2),
            batch_entries: 500,
            ..MoverSettings::default()
        },
        busy_timeout: Duration::from_millis(20),
        ..StoreOptions::default()
    }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, options()).expect("the store opens")
}

/// Waits until the ledger has everything.
pub(crate) fn flush(store: &Store) {
    assert!(store.mover.flush(Duration::from_secs(60)), "the ledger must catch up: {:?}", store.mover.lag());
}

pub(crate) fn at(n: u64) -> Timestamp {
    Timestamp(START_MS.saturating_add_unsigned(n * 997))
}

pub(crate) fn ticket(n: u64) -> TicketId {
    let millis = u128::try_from(at(n).0).expect("after 1970");
    TicketId(millis << 80 | u128::from(n))
}

/// The number that [`ticket`] was made from.
pub(crate) fn number_of(ticket: TicketId) -> u64 {
    u64::try_from(ticket.0 & u128::from(u64::MAX)).expect("64 bits")
}

pub(crate) fn price() -> Arc<Price> {
    let tokens = |units: i128| Amount(units);
    Arc::new(Price {
        version: Arc::from("test-1"),
        input: tokens(2_500_001),
        cached_input: tokens(250_000),
        cache_write: tokens(3_000_000),
        cache_write_1h: tokens(5_000_000),
        output: tokens(10_000_003),
        reasoning: tokens(10_000_003),
        audio_input: tokens(2_500_001),
        audio_output: tokens(10_000_003),
        image: Amount(30_000_000_007),
        request: tokens(7),
    })
}

pub(crate) fn usage(n: u64, output: u64) -> Usage {
    Usage { input: 100 + n % 50, cached_input: n % 7, output, images: n % 3, ..Usage::default() }
}

/// What the close says.
pub(crate) fn used(n: u64) -> Usage {
    usage(n, 40 + n % 90)
}

/// What the open line estimates.
pub(crate) fn estimated(n: u64) -> Usage {
    usage(n, 0)
}

pub(crate) fn cost(usage: Usage) -> Amount {
    price().cost(&usage)
}

pub(crate) fn attempt(n: u64, number: u8) -> AttemptId {
    AttemptId { ticket: ticket(n), number }
}

fn backend(n: u64) -> Arc<str> {
    Arc::from(format!("backend-{}", n % 3))
}

fn key(n: u64) -> Option<Arc<str>> {
    (!n.is_multiple_of(4)).then(|| Arc::from(format!("key-{}", n % 4)))
}

fn tags(n: u64) -> Vec<(String, String)> {
    let pair = |tag: &str, value: String| (tag.to_owned(), value);
    match n % 3 {
        0 => Vec::new(),
        1 => vec![pair("project", format!("p{}", n % 2))],
        _ => vec![
            pair("project", "p0".to_owned()),
            pair("stage", "dev".to_owned()),
            pair("stage", "dev".to_owned()),
        ],
    }
}

pub(crate) fn opened(n: u64, number: u8) -> Entry {
    Entry::Opened(Opened {
        attempt: attempt(n, number),
        request_id: Arc::from(format!("req-{n}")),
        key: key(n),
        team: n.is_multiple_of(2).then(|| Arc::from("blue")),
        tags: tags(n),
        backend: backend(n + u64::from(number)),
        pool: Arc::from("primary"),
        label: Arc::from("openai"),
        model_asked: Arc::from("gpt-4o"),
        model: Arc::from("deepseek-v4"),
        native: Arc::from("deepseek-ai/deepseek-v4-pro"),
        dialect_in: Dialect::OpenAiChat,
        dialect_out: Dialect::OpenAiChat,
        stream: n.is_multiple_of(2),
        at: at(n),
        estimate: estimated(n),
        price: Some(price()),
    })
}

pub(crate) fn progress(n: u64, number: u8, output: u64) -> Entry {
    Entry::Progress(Progress {
        attempt: attempt(n, number),
        at: Timestamp(at(n).0 + 1_000),
        usage: usage(n, output),
    })
}

pub(crate) fn close(n: u64, number: u8, outcome: AttemptOutcome) -> Closed {
    let usage = if outcome == AttemptOutcome::Succeeded { used(n) } else { Usage::default() };
    Closed {
        attempt: attempt(n, number),
        at: Timestamp(at(n).0 + 500),
        outcome,
        status: Some(if outcome == AttemptOutcome::Succeeded { 200 } else { 503 }),
        error_code: (outcome == AttemptOutcome::Failed).then(|| "upstream_unavailable".into()),
        usage,
        usage_source: UsageSource::Provider,
        cost: if outcome == AttemptOutcome::Succeeded { cost(used(n)) } else { Amount::ZERO },
        unpriced: false,
        first_event_ms: Some(120),
        total_ms: 500,
    }
}

pub(crate) fn receipt(n: u64, attempts: u8) -> Receipt {
    Receipt {
        ticket: ticket(n),
        request_id: Arc::from(format!("req-{n}")),
        key: key(n),
        team: n.is_multiple_of(2).then(|| Arc::from("blue")),
        tags: tags(n),
        client_addr: None,
        model_asked: Arc::from("gpt-4o"),
        model_served: Some(Arc::from("deepseek-v4")),
        backend: Some(backend(n + u64::from(attempts))),
        pool: Some(Arc::from("primary")),
        dialect_in: Dialect::OpenAiChat,
        dialect_out: Some(Dialect::OpenAiChat),
        stream: n.is_multiple_of(2),
        status: 200,
        outcome: RequestOutcome::Completed,
        error_code: None,
        attempts,
        at: at(n),
        queue_ms: n % 11,
        first_event_ms: Some(130),
        total_ms: 510,
        bytes_in: 1_000 + n % 100,
        bytes_out: 2_000,
        usage: used(n),
        usage_source: UsageSource::Provider,
        cost: cost(used(n)),
        unpriced: false,
        price_version: Some(Arc::from("test-1")),
        keepalive_committed: false,
    }
}

pub(crate) fn settled(n: u64, attempts: u8) -> Entry {
    let last = close(n, attempts, AttemptOutcome::Succeeded);
    Entry::Settled { last: Some(last), receipt: receipt(n, attempts) }
}

/// One request from admission to receipt; every fifth needs a second attempt.
pub(crate) fn request(store: &Store, n: u64) {
    let mut reservation = store.journal.reserve().expect("room");
    let attempts = if n.is_multiple_of(5) { 2 } else { 1 };
    for number in 1..=attempts {
        reservation.write(&opened(n, number)).expect("an open line");
        if number < attempts {
            reservation
                .write(&Entry::Closed(close(n, number, AttemptOutcome::Failed)))
                .expect("a close line");
        }
    }
    reservation.write(&settled(n, attempts)).expect("a receipt");
}

/// One request that no backend answered.
pub(crate) fn troubled(store: &Store, n: u64) {
    let mut reservation = store.journal.reserve().expect("room");
    reservation.write(&opened(n, 1)).expect("an open line");
    let receipt = Receipt {
        model_served: None,
        backend: None,
        pool: None,
        status: 503,
        outcome: RequestOutcome::Failed,
        ..receipt(n, 1)
    };
    let last = Some(close(n, 1, AttemptOutcome::Failed));
    reservation.write(&Entry::Settled { last, receipt }).expect("a receipt");
}

/// How many attempts the first `n` requests make.
pub(crate) fn attempts_of(n: u64) -> u64 {
    n + n.div_ceil(5)
}

pub(crate) fn total_cost(numbers: impl IntoIterator<Item = u64>) -> Amount {
    numbers.into_iter().map(|n| cost(used(n))).sum()
}
