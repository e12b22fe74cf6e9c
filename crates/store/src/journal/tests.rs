//! Holds the journal to its promises: whole lines come back, torn ones do not, a full disk is met at admission.

use std::sync::Arc;

use policy::{Amount, AttemptId, AttemptOutcome, Closed, Entry, Progress, TicketId, Timestamp};
use proptest::prelude::*;
use protocol::{Usage, UsageSource};

use super::line::{self, Found, HEADER_BYTES, LINE_BYTES_MAX, Lines};
use super::*;

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    line::begin(&mut line);
    line.extend_from_slice(payload);
    line::finish(&mut line).expect("a short line");
    line
}

fn lines(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    Lines::new(bytes).fold((Vec::new(), 0), |(mut lines, damaged), found| match found {
        Found::Line { payload, .. } => {
            lines.push(payload.to_vec());
            (lines, damaged)
        }
        Found::Damage(span) => (lines, damaged + span.len()),
    })
}

fn closed(number: u8) -> Closed {
    Closed {
        attempt: AttemptId { ticket: TicketId(7), number },
        at: Timestamp(1),
        outcome: AttemptOutcome::Succeeded,
        status: Some(200),
        error_code: None,
        usage: Usage::default(),
        usage_source: UsageSource::Provider,
        cost: Amount::ZERO,
        unpriced: false,
        first_event_ms: None,
        total_ms: 0,
    }
}

fn progress(at: i64) -> Entry {
    let attempt = AttemptId { ticket: TicketId(7), number: 1 };
    Entry::Progress(Progress { attempt, at: Timestamp(at), usage: Usage::default() })
}

/// An entry of about this size.
fn long(bytes: usize) -> Entry {
    Entry::Closed(Closed { error_code: Some("x".repeat(bytes).into()), ..closed(1) })
}

fn small(dir: &tempfile::TempDir, segments: u64) -> JournalSettings {
    std::fs::create_dir_all(dir.path()).expect("a folder");
    let segment_bytes = 4 * LINE_BYTES_MAX as u64;
    JournalSettings { bytes_max: segments * segment_bytes, segment_bytes, ..JournalSettings::default() }
}

fn read_all(tail: &mut Tail) -> (Vec<Entry>, u64) {
    let (mut entries, mut damaged) = (Vec::new(), 0);
    let mut each = |_: Position, met: Met<'_>| match met {
        Met::Line { payload, .. } => entries.push(entry::decode(payload).expect("an entry")),
        Met::Damage { bytes } => damaged += bytes,
        Met::Segment(_) => {}
    };
    while tail.read(&mut each).expect("the journal is readable") {}
    (entries, damaged)
}

#[test]
fn a_file_torn_at_every_byte_replays_to_exactly_the_whole_lines() {
    let payloads: Vec<Vec<u8>> = (0..12_u8).map(|n| vec![b'a' + n; usize::from(n) * 7]).collect();
    let framed: Vec<Vec<u8>> = payloads.iter().map(|payload| framed(payload)).collect();
    let whole = framed.concat();
    for cut in 0..=whole.len() {
        let mut ends = framed.iter().scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        });
        let expected = ends.by_ref().take_while(|end| *end <= cut).count();
        let mut torn = whole[..cut].to_vec();
        assert_eq!(lines(&torn).0, payloads[..expected], "cut at {cut}");
        // As it lies on the disk: with the unused room behind it.
        torn.resize(whole.len() + 64, 0);
        assert_eq!(lines(&torn).0, payloads[..expected], "cut at {cut}, zeros behind");
        assert_eq!(line::extent(&torn).1, expected as u64);
    }
}

#[test]
fn damage_in_the_middle_costs_the_line_it_is_in_and_is_reported() {
    let framed: Vec<Vec<u8>> = (0..5_u8).map(|n| framed(&[b'0' + n; 40])).collect();
    let whole = framed.concat();
    let hit = 2 * framed[0].len()..3 * framed[0].len();
    for at in hit.clone() {
        for flip in [0x01_u8, 0x80, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            let (found, bytes) = lines(&damaged);
            assert_eq!(found.len(), 4, "byte {at} ^ {flip:#x}");
            assert_eq!(bytes, hit.len());
        }
    }
    let mut lost_page = whole;
    lost_page[hit.clone()].fill(0);
    assert_eq!((lines(&lost_page).0.len(), lines(&lost_page).1), (4, hit.len()));
}

#[test]
fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
    let mut line = Vec::new();
    for (payload, fits) in [(LINE_BYTES_MAX - HEADER_BYTES - 1, true), (LINE_BYTES_MAX - HEADER_BYTES, false)]
    {
        line::begin(&mut line);
        line.resize(line.len() + payload, b'x');
        assert_eq!(line::finish(&mut line).is_ok(), fits, "{payload}");
        assert_eq!(lines(&line).0.len(), usize::from(fits), "{payload}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_walked_without_gap_or_overlap(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(any::<u8>(), 0..40).prop_map(|payload| framed(&payload)),
            ],
            0..12,
        )
    ) {
        let bytes = parts.concat();
        let mut at = 0;
        for found in Lines::new(&bytes) {
            let span = match found { Found::Line { span, .. } | Found::Damage(span) => span };
            prop_assert_eq!(span.start, at);
            prop_assert!(span.end > span.start);
            at = span.end;
        }
        prop_assert!(bytes[at..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn lines_come_back_in_order_over_many_segments_and_starts() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = small(&dir, 40);
    let mut expected = Vec::new();
    for start in 0..3 {
        let journal = Journal::open(dir.path(), settings).expect("a journal");
        let mut reservation = journal.reserve().expect("room");
        for n in 0..400 {
            let entry = if n % 10 == 0 { long(9_000) } else { progress(start * 1000 + n) };
            reservation.write(&entry).expect("a line");
            expected.push(entry);
        }
        assert_eq!(journal.lag().entries, expected.len() as u64);
        let (found, damaged) = read_all(&mut journal.tail());
        assert_eq!(damaged, 0);
        assert_eq!(found, expected, "start {start}");
    }
    assert!(segment::list(dir.path()).expect("a list").len() > 4, "the test must turn segments");
}

#[test]
fn an_unfinished_last_line_is_cut_at_the_next_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = small(&dir, 40);
    let journal = Journal::open(dir.path(), settings).expect("a journal");
    journal.reserve().expect("room").write(&progress(1)).expect("a line");
    let end = journal.shared.core.end();
    drop(journal);
    let path = dir.path().join(format!("{:08}.wal", end.segment));
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("the segment");
    let torn = &framed(b"never acknowledged")[..20];
    std::os::unix::fs::FileExt::write_all_at(&file, torn, end.offset).expect("a torn line");
    let journal = Journal::open(dir.path(), settings).expect("a journal");
    assert_eq!(read_all(&mut journal.tail()), (vec![progress(1)], 0));
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let _first = Journal::open(dir.path(), small(&dir, 8)).expect("a journal");
    let second = Journal::open(dir.path(), small(&dir, 8));
    assert!(matches!(second, Err(JournalError::InUse)));
}

#[test]
fn at_the_limit_admission_refuses_and_what_was_admitted_is_still_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(dir.path(), small(&dir, 3)).expect("a journal");
    let mut held = Vec::new();
    let refused = loop {
        match journal.reserve() {
            Ok(reservation) => held.push(reservation),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, JournalFull::Limit);
    // Three segments, each less the longest line that may not fit at its end.
    assert_eq!(held.len(), 3 * (3 * LINE_BYTES_MAX - 16) / TICKET_ROOM_BYTES as usize);
    for reservation in &mut held {
        while reservation.room > 2_000 {
            reservation.write(&long(1_500)).expect("a line whose room was reserved");
        }
    }
    let mut last = held.pop().expect("a reservation");
    let too_much = std::iter::repeat_with(|| last.write(&long(4_000))).find_map(Result::err);
    assert!(matches!(too_much, Some(JournalError::NoRoom)), "{too_much:?}");
    assert!(journal.reserve().is_err());
    let written = journal.lag().entries;
    assert_eq!(read_all(&mut journal.tail()).0.len() as u64, written);
}

/// The last segment that the limit allows may be made by the maker or by whoever needs room, whoever is first.
#[test]
fn all_room_is_found_whoever_makes_it() {
    for round in 0..100 {
        let dir = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(dir.path(), small(&dir, 3)).expect("a journal");
        let held: Vec<_> = std::iter::repeat_with(|| journal.reserve()).map_while(Result::ok).collect();
        assert_eq!(held.len(), 3 * (3 * LINE_BYTES_MAX - 16) / TICKET_ROOM_BYTES as usize, "round {round}");
    }
}

#[test]
fn unused_room_returns_and_segments_that_go_make_room_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(dir.path(), small(&dir, 3)).expect("a journal");
    let mut rounds = 0_u64;
    while journal.reserve().is_ok_and(|mut reservation| reservation.write(&long(12_000)).is_ok()) {
        rounds += 1;
    }
    assert!(rounds > 20, "unused room must return: {rounds}");
    let oldest = segment::list(dir.path()).expect("a list")[0];
    journal.drain().delete(oldest).expect("gone");
    // What refused a moment ago refuses at once for a pause; the maker is not bound by it.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while journal.reserve().is_err() {
        assert!(tokio::time::Instant::now() < deadline, "no room although a segment went");
        std::thread::yield_now();
    }
}

#[test]
fn progress_never_takes_what_settling_needs() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(dir.path(), small(&dir, 1)).expect("a journal");
    let mut reservation = journal.reserve().expect("room");
    let others: Vec<_> = std::iter::from_fn(|| journal.reserve().ok()).collect();
    let refused = (0..1000).map(|n| reservation.write(&progress(n))).find_map(Result::err);
    assert!(matches!(refused, Some(JournalError::NoRoom)), "{refused:?}");
    assert!(reservation.room >= SETTLING_ROOM_BYTES);
    reservation.write(&long(3_000)).expect("the close has its room");
    drop(others);
}

#[test]
fn many_threads_write_at_once_and_every_acknowledged_line_is_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = Arc::new(Journal::open(dir.path(), small(&dir, 200)).expect("a journal"));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = Arc::clone(&journal);
            scope.spawn(move || {
                for n in 0..2_000 {
                    let mut reservation = journal.reserve().expect("room");
                    reservation.write(&progress(thread * 10_000 + n)).expect("a line");
                }
            });
        }
    });
    let (found, damaged) = read_all(&mut journal.tail());
    let mut times: Vec<i64> = found
        .iter()
        .map(|entry| match entry {
            Entry::Progress(progress) => progress.at.0,
            Entry::Opened(_)
            | Entry::Closed(_)
            | Entry::Settled { .. }
            | Entry::Bound(_)
            | Entry::Reasoned(_) => -1,
        })
        .collect();
    times.sort_unstable();
    let expected: Vec<i64> = (0..4).flat_map(|thread| (0..2_000).map(move |n| thread * 10_000 + n)).collect();
    assert_eq!((times, damaged), (expected, 0));
}

#[tokio::test]
async fn disk_durability_resolves_for_every_waiter_once_the_disk_has_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = JournalSettings { durability: Durability::Disk, ..small(&dir, 40) };
    let journal = Journal::open(dir.path(), settings).expect("a journal");
    let mut held: Vec<_> = (0..8).map(|_| journal.reserve().expect("room")).collect();
    for round in 0..40 {
        for reservation in &mut held {
            reservation.write(&if round % 10 == 0 { long(8_000) } else { progress(round) }).expect("a line");
        }
        for reservation in &held {
            reservation.durable().await.expect("on the disk");
        }
    }
    drop(held);
    assert_eq!(journal.lag().entries, 8 * 40);
}

#[test]
fn new_segments_are_numbered_above_what_the_ledger_has_seen() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = JournalSettings { sequence_floor: 41, ..small(&dir, 8) };
    let journal = Journal::open(dir.path(), settings).expect("a journal");
    assert_eq!(journal.born(), 42);
}

#[test]
fn what_waits_can_be_counted_from_outside_while_the_journal_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    assert_eq!(
        behind(&dir.path().join("none"), Position::default()).expect("counted"),
        JournalLag::default()
    );
    let journal = Journal::open(dir.path(), small(&dir, 40)).expect("a journal");
    let mut reservation = journal.reserve().expect("room");
    for n in 0..10 {
        reservation.write(&progress(n)).expect("a line");
    }
    let all = behind(dir.path(), Position::default()).expect("counted");
    assert_eq!((all.entries, all.bytes), (10, journal.lag().bytes));
    let mut tail = journal.tail();
    while tail.read(|_, _| {}).expect("read") {}
    let none = behind(dir.path(), tail.position()).expect("counted");
    assert_eq!(none, JournalLag::default());
}
