//! What is kept and for how long, at each limit; and that numbering changes nothing else, however a stream is cut.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use policy::{ResumeRules, TicketId};
use proptest::prelude::*;
use tokio::time::advance;

use super::{Claim, Entry, Marker, NotResumed, Reader, Spool, Spools};
use crate::identity::Stamp;

const RULES: ResumeRules = ResumeRules { buffer_bytes: 100, grace: Duration::from_secs(30), streams_max: 2 };

fn spool(number: u128) -> Arc<Spool> {
    let id = TicketId(number);
    Spool::new(id, "app".into(), Stamp::new(&HeaderMap::new(), id), RULES)
}

/// Events of ten bytes.
fn events(ids: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    ids.map(|id| Entry { id, bytes: format!("event {id:04}").into() }).collect()
}

/// All that can be read now; the end is told by `true`.
fn read(reader: &mut Reader) -> (Vec<String>, bool) {
    let mut got = Vec::new();
    loop {
        match reader.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(bytes))) => got.push(String::from_utf8_lossy(&bytes).into_owned()),
            Poll::Ready(Some(Err(_broken))) => panic!("cut after {got:?}"),
            Poll::Ready(None) => return (got, true),
            Poll::Pending => return (got, false),
        }
    }
}

fn named(ids: std::ops::RangeInclusive<u64>) -> Vec<String> {
    ids.map(|id| format!("event {id:04}")).collect()
}

fn has_room(spool: &Spool) -> bool {
    spool.lock().has_room(RULES.buffer_bytes)
}

#[test]
fn what_was_read_fills_half_of_the_room_at_most() {
    let spool = spool(1);
    let mut reader = spool.read(0, Claim::Free).expect("nobody reads");
    for id in 1..=50 {
        assert!(has_room(&spool), "{id}");
        spool.push(events(id..=id));
        assert_eq!(read(&mut reader), (named(id..=id), false));
        assert!(spool.lock().bytes <= 50, "{id}: {}", spool.lock().bytes);
    }
    drop(reader);
    for (after, expected) in
        [(44, Err(NotResumed::Gone)), (45, Ok(46..=50)), (49, Ok(50..=50)), (51, Err(NotResumed::Ahead))]
    {
        let got = spool.read(after, Claim::Free).map(|mut reader| read(&mut reader).0);
        assert_eq!(got, expected.map(named), "{after}");
    }
    let mut reader = spool.read(50, Claim::Free).expect("nobody reads");
    assert_eq!(read(&mut reader), (Vec::new(), false), "nothing has come since");
}

#[test]
fn what_is_not_read_is_never_forgotten_and_stops_what_comes() {
    let spool = spool(1);
    let reader = spool.read(0, Claim::Free).expect("nobody reads");
    for id in 1..=5 {
        assert!(has_room(&spool), "{id}");
        spool.push(events(id..=id));
    }
    assert!(!has_room(&spool), "half of it is for what was read");
    drop(reader);
    for id in 6..=10 {
        assert!(has_room(&spool), "{id}");
        spool.push(events(id..=id));
    }
    assert!(!has_room(&spool), "all of it is full");
    let mut reader = spool.read(0, Claim::Free).expect("nobody reads");
    assert_eq!(read(&mut reader), (named(1..=10), false));
    assert!(has_room(&spool));
}

#[test]
fn one_event_may_be_larger_than_the_room() {
    let spool = spool(1);
    let mut reader = spool.read(0, Claim::Free).expect("nobody reads");
    assert!(has_room(&spool));
    spool.push([Entry { id: 1, bytes: vec![b'x'; 1000].into() }]);
    assert!(!has_room(&spool));
    assert_eq!(read(&mut reader).0[0].len(), 1000);
    assert!(has_room(&spool));
}

#[test]
fn one_reads_at_a_time() {
    let spool = spool(1);
    spool.push(events(1..=3));
    let mut first = spool.read(0, Claim::Free).expect("nobody reads");
    assert_eq!(spool.read(0, Claim::Free).map(drop), Err(NotResumed::Busy));
    assert_eq!(read(&mut first).0, named(1..=3));
    let mut second = spool.read(1, Claim::TakeOver).expect("the other one gives way");
    let cut = first.poll_next(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(cut, Poll::Ready(Some(Err(_)))));
    drop(first);
    assert_eq!(read(&mut second).0, named(2..=3));
    assert_eq!(spool.read(0, Claim::Free).map(drop), Err(NotResumed::Busy), "the first took nothing with it");
    spool.push(events(4..=4));
    spool.end();
    assert_eq!(read(&mut second), (named(4..=4), true));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_is_given_up_after_the_time_of_grace() {
    let spool = spool(1);
    let reader = spool.read(0, Claim::Free).expect("nobody reads");
    let waiting = {
        let spool = spool.clone();
        async move { spool.given_up().await }
    };
    let mut waiting = std::pin::pin!(waiting);
    let is_over = |waiting: std::pin::Pin<&mut _>| {
        Future::poll(waiting, &mut Context::from_waker(Waker::noop())).is_ready()
    };
    advance(RULES.grace * 10).await;
    assert!(!is_over(waiting.as_mut()), "somebody reads");
    drop(reader);
    assert!(!is_over(waiting.as_mut()));
    advance(RULES.grace - Duration::from_millis(1)).await;
    assert!(!is_over(waiting.as_mut()));
    drop(spool.read(0, Claim::Free).expect("in time"));
    advance(RULES.grace - Duration::from_millis(1)).await;
    assert!(!is_over(waiting.as_mut()), "the time began anew");
    advance(Duration::from_millis(2)).await;
    assert!(is_over(waiting.as_mut()));
    assert_eq!(spool.read(0, Claim::TakeOver).map(drop), Err(NotResumed::Over));
}

#[test]
fn there_is_a_place_for_so_many_streams() {
    let spools = Spools::default();
    let [first, second, third] = [1, 2, 3].map(spool);
    let reader = first.read(0, Claim::Free).expect("nobody reads");
    assert!(spools.keep(&first) && spools.keep(&second));
    assert!(!spools.keep(&third), "both still go on");
    first.end();
    assert!(!spools.keep(&third), "the first is still read");
    drop(reader);
    assert!(spools.keep(&third), "the first has ended and nobody reads it");
    assert_eq!(first.read(0, Claim::Free).map(drop), Err(NotResumed::Over));
    assert!(spools.find(first.id, "app").is_none());
    assert!(spools.find(second.id, "app").is_some() && spools.find(second.id, "other").is_none());
    spools.forget(second.id);
    spools.stop();
    assert!(!spools.keep(&second), "nobody could come back");
    assert_eq!(spools.len(), 1);
}

fn marked(stream: &[u8], cuts: &[usize]) -> (Vec<u8>, u64) {
    let mut marker = Marker::new();
    let (mut out, mut last, mut from) = (Vec::new(), 0, 0);
    let ends = cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([stream.len()]);
    let mut ends: Vec<usize> = ends.collect();
    ends.sort_unstable();
    for end in ends {
        for entry in marker.mark(Bytes::copy_from_slice(&stream[from..end])) {
            assert!(entry.id == last || entry.id == last + 1);
            last = entry.id;
            out.extend_from_slice(&entry.bytes);
        }
        from = end;
    }
    out.extend(marker.rest().map(|entry| entry.bytes).unwrap_or_default());
    (out, last)
}

const STREAMS: &[(&str, &str, u64)] = &[
    ("data: a\n\ndata: b\n\n", "data: a\nid: 1\n\ndata: b\nid: 2\n\n", 2),
    (
        "event: x\r\ndata: a\r\n\r\n: no\r\n\r\ndata: b\r\n\r\n",
        "event: x\r\ndata: a\r\nid: 1\r\n\r\n: no\r\n\r\ndata: b\r\nid: 2\r\n\r\n",
        2,
    ),
    ("data: a\r\rdata: b\r\r", "data: a\rid: 1\r\rdata: b\rid: 2\r\r", 2),
    ("id: 9\ndata: a\n\n: b\n\ndata: c", "id: 9\ndata: a\nid: 1\n\n: b\n\ndata: c", 1),
];

#[test]
fn an_event_bears_its_number_as_its_last_line() {
    for (stream, expected, last) in STREAMS {
        let (out, got) = marked(stream.as_bytes(), &[]);
        assert_eq!((String::from_utf8_lossy(&out).as_ref(), got), (*expected, *last));
    }
}

proptest! {
    #[test]
    fn numbers_do_not_depend_on_how_a_stream_is_cut(
        which in 0..STREAMS.len(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let (stream, expected, last) = STREAMS[which];
        let (out, got) = marked(stream.as_bytes(), &cuts);
        prop_assert_eq!(got, last);
        // A line end that comes apart from its event goes before the next one.
        let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").replace("\n\n\n", "\n\n");
        let out = String::from_utf8_lossy(&out).into_owned();
        let unended = |text: String| text.trim_end_matches('\n').to_owned();
        prop_assert_eq!(unended(lines(&out)), unended(lines(expected)));
    }
}
