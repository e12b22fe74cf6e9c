//! Holds the fold to its promises: one line an attempt and one receipt a ticket, whatever is missing.

use super::*;

const TICKET: TicketId = TicketId(9);

fn id(number: u8) -> AttemptId {
    AttemptId { ticket: TICKET, number }
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

fn opened(number: u8) -> Entry {
    let price = policy::PriceSpec {
        version: "v1".to_owned(),
        input: Amount(10),
        output: Amount(1_000),
        ..policy::PriceSpec::default()
    };
    Entry::Opened(Opened {
        attempt: id(number),
        request_id: Arc::from("req"),
        key: Some(Arc::from("app")),
        team: None,
        tags: vec![("a".to_owned(), "b".to_owned())],
        backend: Arc::from(format!("b{number}")),
        pool: Arc::from("primary"),
        label: Arc::from("openai"),
        model_asked: Arc::from("asked"),
        model: Arc::from("model"),
        native: Arc::from("native"),
        dialect_in: protocol::Dialect::OpenAiChat,
        dialect_out: protocol::Dialect::OpenAiChat,
        stream: true,
        at: Timestamp(1_000 * i64::from(number)),
        estimate: tokens(100, 0),
        price: Some(Arc::new(price.price())),
    })
}

fn progress(number: u8, output: u64) -> Entry {
    let at = Timestamp(1_000 * i64::from(number) + 700);
    Entry::Progress(Progress { attempt: id(number), at, usage: tokens(90, output) })
}

fn closed(number: u8, cost: i128) -> Closed {
    Closed {
        attempt: id(number),
        at: Timestamp(1_000 * i64::from(number) + 300),
        outcome: AttemptOutcome::Failed,
        status: None,
        error_code: None,
        usage: tokens(1, 0),
        usage_source: UsageSource::Provider,
        cost: Amount(cost),
        unpriced: false,
        first_event_ms: None,
        total_ms: 300,
    }
}

fn receipt() -> Receipt {
    let (mut pending, mut due) = (Pending::default(), Due::default());
    pending.take(opened(1), &mut due);
    pending.interrupt_all(&mut due);
    Receipt { outcome: RequestOutcome::Completed, ..due.receipts.remove(0) }
}

/// What is due after `entries`, and after the process that wrote them ended, as text: each attempt with backend,
/// outcome and cost, then each receipt with outcome, attempts, cost and duration.
fn check(entries: Vec<Entry>, expected: &[&str]) {
    let whole = fold(entries.clone(), entries.len());
    assert_eq!(whole, expected, "{entries:?}");
    // Wherever the state is put away and taken back, nothing changes.
    for at in 0..entries.len() {
        assert_eq!(fold(entries.clone(), at), expected, "put away at {at} of {entries:?}");
    }
}

fn fold(entries: Vec<Entry>, put_away_at: usize) -> Vec<String> {
    let (mut pending, mut due) = (Pending::default(), Due::default());
    for (index, entry) in entries.into_iter().enumerate() {
        if index == put_away_at {
            let stored = pending.unstored();
            pending = Pending::default();
            for (ticket, state) in stored {
                pending.restore(ticket, &state).expect("what was put away");
            }
        }
        pending.take(entry, &mut due);
    }
    pending.interrupt_all(&mut due);
    let mut seen = std::collections::HashSet::new();
    let attempts = due.attempts.iter().filter(|line| seen.insert(line.attempt));
    let attempts = attempts
        .map(|line| format!("{} {} {:?} {}", line.attempt.number, line.backend, line.outcome, line.cost.0));
    let receipts = due.receipts.iter().map(|receipt| {
        format!("{:?} {} {} {}ms", receipt.outcome, receipt.attempts, receipt.cost.0, receipt.total_ms)
    });
    attempts.chain(receipts).collect()
}

#[test]
fn every_way_a_ticket_may_end_gives_one_line_an_attempt_and_one_receipt() {
    let settled = |last| Entry::Settled { last, receipt: receipt() };
    check(vec![], &[]);
    check(vec![opened(1)], &["1 b1 Interrupted 1000", "Interrupted 1 1000 0ms"]);
    check(
        vec![opened(1), progress(1, 2), progress(1, 5)],
        &["1 b1 Interrupted 5900", "Interrupted 1 5900 700ms"],
    );
    check(
        vec![opened(1), Entry::Closed(closed(1, 7)), opened(2), progress(2, 1)],
        &["1 b1 Failed 7", "2 b2 Interrupted 1900", "Interrupted 2 1907 1700ms"],
    );
    check(vec![opened(1), Entry::Closed(closed(1, 7))], &["1 b1 Failed 7", "Interrupted 1 7 300ms"]);
    check(vec![opened(1), settled(Some(closed(1, 3)))], &["1 b1 Failed 3", "Completed 1 1000 0ms"]);
    check(vec![settled(None)], &["Completed 1 1000 0ms"]);
}

#[test]
fn money_counts_even_when_a_line_was_lost_or_written_twice() {
    let settled = |last| Entry::Settled { last, receipt: receipt() };
    // The open line was lost: what the receipt knows stands in for it.
    check(vec![settled(Some(closed(1, 3)))], &["1 b1 Failed 3", "Completed 1 1000 0ms"]);
    check(vec![Entry::Closed(closed(1, 7))], &["1  Failed 7"]);
    // The close line was lost.
    check(vec![opened(1), settled(None)], &["1 b1 Interrupted 1000", "Completed 1 1000 0ms"]);
    // Written twice, as after a restart that reads what it knows already.
    check(
        vec![opened(1), opened(1), progress(1, 5), opened(1)],
        &["1 b1 Interrupted 5900", "Interrupted 1 5900 700ms"],
    );
    // Progress of an attempt that nobody knows.
    check(vec![progress(1, 5)], &[]);
}

#[test]
fn only_what_changed_is_put_away_again() {
    let (mut pending, mut due) = (Pending::default(), Due::default());
    pending.take(opened(1), &mut due);
    assert_eq!(pending.unstored().len(), 1);
    pending.mark_stored();
    assert_eq!(pending.unstored().len(), 0);
    pending.take(progress(1, 1), &mut due);
    assert_eq!(pending.unstored().len(), 1);
    pending.take(Entry::Settled { last: Some(closed(1, 1)), receipt: receipt() }, &mut due);
    assert_eq!((pending.unstored().len(), due.forget.as_slice()), (0, &[TICKET][..]));
}
