//! Captures outlive the process, sealed, as long as age and size allow; index and files agree whatever happens, and nobody
//! waits for the disk.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use policy::TicketId;
use store::Store;
use store::captures::{
    Capture, CaptureContent, CaptureEnd, CaptureFilter, CaptureHead, CaptureRetention, CapturedAttempt,
};
use store::ledger::{Cursor, Range};
use testkit::{run_on_small_disk, small_disk};

use crate::ledger::lock;
use crate::scene::{at, number_of, open, ticket};
use crate::secrets::holding;

const CANARY: &str = "what the user said: 5e1f-9b7d";
const PATIENCE: Duration = Duration::from_secs(60);
const FOREVER: CaptureRetention =
    CaptureRetention { age_max: Duration::from_secs(1 << 40), bytes_max: u64::MAX };

fn capture(n: u64) -> Capture {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let head = CaptureHead {
        id: ticket(n),
        request_id: format!("req-{n}").into(),
        at: at(n),
        key: (!n.is_multiple_of(3)).then(|| format!("key_{}", n % 3).into()),
        model: Some("m".into()),
        backend: Some("main".into()),
        status: if n.is_multiple_of(4) { 503 } else { 200 },
        ended: CaptureEnd::Whole,
        request_bytes: 2_000_000 + n,
        response_bytes: 7,
        request_cut: true,
        response_cut: false,
    };
    let content = CaptureContent {
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        request_headers: vec![pair("content-type", "application/json")],
        request_body: format!("{CANARY}, {n}").into(),
        attempts: vec![CapturedAttempt {
            backend: "main".to_owned(),
            status: Some(200),
            headers: vec![pair("server", "x")],
            error: None,
        }],
        response_headers: vec![pair("x-request-id", "req")],
        response_body: vec![0, 159, 146, 150, b'n'].into(),
    };
    Capture { head, content }
}

fn record(store: &Store, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        let room = store.recorder.begin().expect("room");
        store.recorder.record(capture(n), room);
    }
}

fn written(store: &Store) {
    assert!(store.recorder.flush(PATIENCE), "captures must be written");
}

async fn found(store: &Store, filter: CaptureFilter) -> Vec<u64> {
    let found = store.captures.find(filter, None, 500).await.expect("found");
    found.into_iter().map(|head| number_of(head.id)).collect()
}

async fn all(store: &Store) -> Vec<u64> {
    found(store, CaptureFilter::default()).await
}

/// Every file of a capture, finished or not.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries =
        |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().map(|e| e.expect("an entry").path());
    entries(dir.join("captures")).flat_map(entries).collect()
}

fn file_of(dir: &Path, n: u64) -> PathBuf {
    let name = format!("{}.sealed", ticket(n));
    files(dir).into_iter().find(|file| file.ends_with(&name)).expect("a file")
}

#[tokio::test]
async fn what_was_captured_is_there_after_a_restart_sealed_and_for_its_owner_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    record(&store, 1..=3);
    written(&store);
    for needle in [CANARY, "5e1f-9b7d", "/v1/chat/completions"] {
        assert_eq!(holding(dir.path(), needle.as_bytes()), Vec::<PathBuf>::new());
    }
    assert!(!holding(dir.path(), b"req-2").is_empty(), "the search itself must work");
    let mode = |path: &Path| std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    let file = file_of(dir.path(), 2);
    assert_eq!((mode(&file), mode(file.parent().expect("a day"))), (0o600, 0o700));
    assert!(file.starts_with(dir.path().join("captures/2026-01-01")), "{}", file.display());
    // A new master key changes nothing.
    store.vault.rotate(store::audit::Author::gateway(), None, |_, _| {}).await.expect("rotated");
    drop(store);
    let store = open(dir.path());
    written(&store);
    assert_eq!(all(&store).await, [3, 2, 1]);
    assert_eq!(store.captures.open(ticket(2)).await.expect("opened"), Some(capture(2)));
    assert_eq!(store.captures.open(ticket(9)).await.expect("looked for"), None);
}

#[tokio::test]
async fn captures_are_found_by_what_they_are() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    record(&store, 1..=8);
    written(&store);
    let some = |text: &str| Some(text.to_owned());
    let none = CaptureFilter::default;
    for (filter, want) in [
        (none(), vec![8, 7, 6, 5, 4, 3, 2, 1]),
        (CaptureFilter { key: some("key_1"), ..none() }, vec![7, 4, 1]),
        (CaptureFilter { status: Some(500..=599), ..none() }, vec![8, 4]),
        (CaptureFilter { request_id: some("req-5"), ..none() }, vec![5]),
        (CaptureFilter { model: some("other"), ..none() }, vec![]),
        (CaptureFilter { backend: some("main"), key: some("key_2"), ..none() }, vec![8, 5, 2]),
        (CaptureFilter { range: Range { from: at(3), to: at(5) }, ..none() }, vec![4, 3]),
        (CaptureFilter { id: Some(ticket(6)), ..none() }, vec![6]),
    ] {
        assert_eq!(found(&store, filter.clone()).await, want, "{filter:?}");
    }
    let second = store.captures.find(none(), Some(Cursor(ticket(7))), 2).await.expect("a page");
    assert_eq!(second.iter().map(|head| number_of(head.id)).collect::<Vec<_>>(), [6, 5]);
    let gone = store.captures.delete(CaptureFilter { key: some("key_1"), ..none() }).await.expect("deleted");
    assert_eq!((gone, all(&store).await), (3, vec![8, 6, 5, 3, 2]));
    assert_eq!(files(dir.path()).len(), 5);
    let sums = store.captures.sums().await.expect("sums");
    let bytes: u64 = files(dir.path()).iter().map(|file| file.metadata().expect("metadata").len()).sum();
    assert_eq!((sums.captures, sums.file_bytes, sums.lost), (5, bytes, 0));
}

#[tokio::test]
async fn the_oldest_give_way_by_age_and_by_size() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    record(&store, 1..=600);
    written(&store);
    assert_eq!(store.captures.sums().await.expect("sums").captures, 600, "nothing goes before it is told");
    let each = file_of(dir.path(), 600).metadata().expect("metadata").len();
    store.recorder.obey(CaptureRetention { bytes_max: each * 10, ..FOREVER });
    written(&store);
    assert_eq!(all(&store).await, (591..=600).rev().collect::<Vec<_>>());
    record(&store, [601]);
    written(&store);
    assert_eq!(all(&store).await, (592..=601).rev().collect::<Vec<_>>());
    assert_eq!(files(dir.path()).len(), 10);
    // All were made in January.
    store.recorder.obey(CaptureRetention { age_max: Duration::from_hours(24), ..FOREVER });
    written(&store);
    assert_eq!(all(&store).await, Vec::<u64>::new());
    assert_eq!(std::fs::read_dir(dir.path().join("captures")).expect("a folder").count(), 0, "days go, too");
}

#[tokio::test]
async fn index_and_files_agree_after_a_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    record(&store, 1..=4);
    written(&store);
    drop(store);
    let two = file_of(dir.path(), 2);
    std::fs::copy(&two, two.with_file_name(format!("{}.sealed", ticket(77)))).expect("a file without a row");
    std::fs::write(two.with_extension("part"), "half of one").expect("an unfinished file");
    std::fs::remove_file(file_of(dir.path(), 3)).expect("a row without a file");
    let elsewhere = dir.path().join("captures/2020-02-02");
    std::fs::create_dir(&elsewhere).expect("another day");
    std::fs::copy(&two, elsewhere.join(two.file_name().expect("a name"))).expect("a file of another day");
    let store = open(dir.path());
    written(&store);
    assert_eq!(all(&store).await, [4, 2, 1]);
    let mut left = files(dir.path());
    left.sort();
    assert_eq!(left, [1, 2, 4].map(|n| file_of(dir.path(), n)));
    assert!(!elsewhere.exists());
}

#[tokio::test]
async fn what_was_altered_on_disk_is_not_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    record(&store, 1..=2);
    written(&store);
    let (one, two) = (file_of(dir.path(), 1), file_of(dir.path(), 2));
    let whole = std::fs::read(&one).expect("a file");
    let mut flipped = whole.clone();
    *flipped.last_mut().expect("a byte") ^= 1;
    for bytes in [std::fs::read(&two).expect("a file"), flipped, whole[..9].to_vec(), Vec::new()] {
        std::fs::write(&one, bytes).expect("altered");
        let shown = store.captures.open(ticket(1)).await;
        assert!(shown.as_ref().is_err_and(|error| error.to_string().contains("altered")), "{shown:?}");
    }
    std::fs::remove_file(&one).expect("removed");
    assert_eq!(store.captures.open(ticket(1)).await.expect("looked for"), None);
}

#[tokio::test]
async fn a_locked_database_delays_nobody_and_what_it_loses_is_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    written(&store);
    let lock = lock(dir.path());
    record(&store, 1..=3);
    written(&store);
    assert_eq!((store.recorder.lost(), files(dir.path()).len(), store.recorder.held_bytes()), (3, 0, 0));
    drop(lock);
    record(&store, 4..=5);
    written(&store);
    assert_eq!(all(&store).await, [5, 4]);
}

#[test]
fn memory_is_bounded_and_what_finds_no_room_is_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let mut room = store.recorder.begin().expect("room");
    assert!(room.take(40 << 20));
    assert!(!room.take(40 << 20), "two would be too much");
    let mut other = store.recorder.begin().expect("room for a small one");
    assert!(!other.take(usize::MAX));
    assert!(other.take(20 << 20));
    let many: Vec<_> = (0..10_000).map_while(|_| store.recorder.begin()).collect();
    assert!((10..1000).contains(&many.len()), "{}", many.len());
    assert_eq!(store.recorder.lost(), 1);
    drop((room, other, many));
    assert_eq!(store.recorder.held_bytes(), 0);
}

#[test]
fn a_full_disk_loses_captures_and_nothing_else() {
    run_on_small_disk("captures::full_process", "24m");
}

#[tokio::test]
#[ignore = "run in a process of its own"]
async fn full_process() {
    let dir = small_disk();
    let store = open(&dir);
    record(&store, 1..=3);
    written(&store);
    assert_eq!((store.recorder.lost(), files(&dir).len()), (3, 0));
    assert_eq!(all(&store).await, Vec::<u64>::new());
    crate::scene::request(&store, 1);
    crate::scene::flush(&store);
}

const DIR: &str = "LOCKGATE_CAPTURES_DIR";
const FROM: &str = "LOCKGATE_CAPTURES_FROM";
const KILLS: u64 = 5;

#[test]
#[ignore = "the process that a_killed_process_leaves_index_and_files_in_agreement starts and kills"]
fn writer_process() {
    let (Ok(dir), Ok(from)) = (std::env::var(DIR), std::env::var(FROM)) else { return };
    let store = open(Path::new(&dir));
    for n in from.parse::<u64>().expect("a number").. {
        record(&store, [n]);
        if n % 50 == 49 {
            written(&store);
            println!("\nsaid {n}");
        }
    }
}

#[tokio::test]
async fn a_killed_process_leaves_index_and_files_in_agreement() {
    let dir = tempfile::tempdir().expect("a folder");
    for kill in 0..KILLS {
        let from = kill * 100_000;
        let mut writer = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "captures::writer_process", "--nocapture"])
            .env(DIR, dir.path())
            .env(FROM, from.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the writer starts");
        let lines = BufReader::new(writer.stdout.take().expect("its output")).lines();
        let mut said =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("said ")?.parse().ok());
        // Each time a little further.
        let last: u64 =
            said.nth(usize::try_from(kill).expect("small")).expect("it writes until it is killed");
        writer.kill().expect("killed");
        writer.wait().expect("ended");
        let store = open(dir.path());
        written(&store);
        let ids: Vec<TicketId> = pages(&store).await;
        assert_eq!(ids.len(), files(dir.path()).len(), "after kill {kill}");
        for id in &ids {
            let opened = store.captures.open(*id).await.expect("opens").expect("is there");
            assert_eq!(opened, capture(number_of(*id)));
        }
        let kept = |n: u64| ids.contains(&ticket(n));
        assert!((from..=last).all(kept), "what was said to be written is there after kill {kill}");
    }
}

async fn pages(store: &Store) -> Vec<TicketId> {
    let mut ids = Vec::new();
    loop {
        let after = ids.last().copied().map(Cursor);
        let page = store.captures.find(CaptureFilter::default(), after, 500).await.expect("a page");
        if page.is_empty() {
            return ids;
        }
        ids.extend(page.into_iter().map(|head| head.id));
    }
}
