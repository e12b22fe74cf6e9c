//! What a picture tells of times that were taken, and of seconds that nobody watched.

use super::*;

#[test]
fn percentiles_are_times_that_were_taken() {
    let check = |times: Vec<u64>, expected: Option<(u64, u64, u64)>| {
        let expected = expected.map(|(p50, p90, p99)| Percentiles { p50, p90, p99 });
        assert_eq!(percentiles(times.clone()), expected, "{times:?}");
    };
    check(vec![], None);
    check(vec![7], Some((7, 7, 7)));
    check(vec![3, 1, 2], Some((2, 3, 3)));
    check((1..=100).rev().collect(), Some((50, 90, 99)));
    check((1..=1000).collect(), Some((500, 900, 990)));
}

const NOW: i64 = 1_780_272_000_500;

/// A request that ended so many milliseconds ago, after a second.
fn ended(ago_ms: i64, outcome: RequestOutcome) -> Glimpse {
    Glimpse {
        at: Timestamp(NOW - ago_ms - 1000),
        outcome,
        first_event_ms: Some(10),
        total_ms: 1000,
        tokens_in: 5,
        tokens_out: 7,
    }
}

fn recalled(watched: &[i64], recent: &[Glimpse]) -> Memory {
    let points =
        watched.iter().map(|ago| Point { at: NOW - ago, requests: 99, ..Point::default() }).collect();
    let mut memory = Memory { counted: None, points };
    memory.recall(recent, Timestamp(NOW));
    memory
}

#[test]
fn seconds_that_nobody_watched_are_told_by_receipts() {
    let (done, failed) = (RequestOutcome::Completed, RequestOutcome::Failed);
    let memory = recalled(&[], &[ended(2000, done), ended(2100, failed), ended(700_000, done)]);
    assert_eq!(memory.points.len(), 600, "the whole history, up to the second before this one");
    let some: Vec<&Point> = memory.points.iter().filter(|point| point.requests > 0).collect();
    let [point] = *some else { panic!("{some:?}") };
    assert_eq!((point.at, point.requests, point.failed), (NOW - 2500, 2, 1));
    assert_eq!((point.tokens_in, point.tokens_out, point.in_flight), (10, 14, None));
    assert!(
        memory.points.iter().zip(memory.points.iter().skip(1)).all(|(one, next)| one.at + 1000 == next.at)
    );
}

#[test]
fn a_second_that_was_watched_stays_as_it_was_seen() {
    let memory = recalled(&[2200], &[ended(2000, RequestOutcome::Completed)]);
    assert_eq!(memory.points.iter().filter(|point| point.requests == 99).count(), 1);
    assert_eq!(memory.points.iter().map(|point| point.requests).sum::<u64>(), 99);
}

#[test]
fn a_full_sample_says_nothing_of_what_was_before() {
    let recent: Vec<Glimpse> =
        (0..i64::from(SAMPLE)).map(|n| ended(2000 + n * 10, RequestOutcome::Completed)).collect();
    let memory = recalled(&[], &recent);
    assert_eq!(memory.points.len(), 7, "from the oldest's end, not quite seven seconds ago");
}
