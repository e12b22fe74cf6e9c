//! `lockgate export` of a hundred thousand requests: in the memory of one page, and taken up where it was cut.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use policy::{Amount, Entry, Receipt, RequestOutcome, TicketId, Timestamp};
use protocol::{Dialect, Usage, UsageSource};
use serde_json::Value;
use store::{Store, StoreOptions};
use testkit::ScriptedProvider;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};

use super::{ask, counted, gateway, until};
use crate::cli::Shell;

const REQUESTS: u64 = 100_000;
/// 2026-01-01, one request a second from there on.
const START: u64 = 1_767_225_600_000;
/// What an export may need beyond what it needs for its first page. All of it is some eighty times as much.
const GROWTH_KIB_MAX: u64 = 24 * 1024;

fn receipt(number: u64) -> Receipt {
    let at = START + number * 1000;
    Receipt {
        ticket: TicketId(u128::from(at) << 80 | u128::from(number)),
        request_id: format!("given-by-a-client-{number:08}").into(),
        key: Some("key-1".into()),
        team: None,
        tags: vec![(
            "project".to_owned(),
            format!("a rather long name of a project, number {}", number % 97),
        )],
        client_addr: Some("127.0.0.1".to_owned()),
        model_asked: "m".into(),
        model_served: Some("m".into()),
        backend: Some("a".into()),
        pool: Some("primary".into()),
        dialect_in: Dialect::OpenAiChat,
        dialect_out: Some(Dialect::OpenAiChat),
        stream: false,
        status: 200,
        outcome: RequestOutcome::Completed,
        error_code: None,
        attempts: 1,
        at: Timestamp(i64::try_from(at).expect("it is after 1970")),
        queue_ms: 0,
        first_event_ms: Some(12),
        total_ms: 345,
        bytes_in: 100,
        bytes_out: 1000,
        usage: Usage { input: 10, output: 20, ..Usage::default() },
        usage_source: UsageSource::Provider,
        cost: Amount(1_000_000),
        unpriced: false,
        price_version: Some(Arc::from("test")),
        keepalive_committed: false,
    }
}

/// A data folder with so many requests.
fn fill(data: &Path) {
    let store = Store::open(data, StoreOptions::default()).expect("a store");
    for number in 0..REQUESTS {
        let mut room = store.journal.reserve().expect("room in the journal");
        let settled = Entry::Settled { last: None, receipt: receipt(number) };
        room.write(&settled).expect("written");
    }
    assert!(store.mover.flush(Duration::from_secs(300)), "{:?}", store.mover.lag());
}

/// The most memory that a process has had so far.
fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The next rows. Whoever writes them waits until they are read.
async fn rows<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>, count: u64) -> Vec<String> {
    let mut rows = Vec::new();
    for _ in 0..count {
        rows.push(lines.next_line().await.expect("it can be read").expect("a row"));
    }
    rows
}

fn field<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_export_of_many_needs_the_memory_of_few_and_goes_on_where_it_was_cut() {
    let shell = Shell::new();
    let data = shell.path().join("data");
    tokio::task::spawn_blocking(move || fill(&data)).await.expect("filled");
    let export = ["export", "requests", "--format", "ndjson"];
    let mut child = shell.command(&export).stderr(Stdio::null()).spawn().expect("the binary runs");
    let process = child.id().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = rows(&mut lines, 1000).await;
    let begun = peak_kib(process);
    let (mut last, mut bytes) = (String::new(), 0);
    for _ in 1..REQUESTS / 1000 - 10 {
        let page = rows(&mut lines, 1000).await;
        bytes += page.iter().map(String::len).sum::<usize>();
        page.last().expect("a row").clone_into(&mut last);
    }
    // It waits for us with most of it behind, so this is the most it ever needed for that.
    let grown = peak_kib(process).saturating_sub(begun);
    println!("{} MiB were exported with {grown} KiB more than the first rows", bytes >> 20);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more for {bytes} bytes");
    child.kill().await.expect("cut");
    let row = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    assert_eq!(field(&row(&first[0]), "request_id"), format!("given-by-a-client-{:08}", REQUESTS - 1));
    let last = row(&last);
    let rest = shell.ok(&[&export[..], &["--cursor", field(&last, "cursor")]].concat()).await;
    let rest: Vec<Value> = rest.lines().map(row).collect();
    assert_eq!(rest.len(), 10_000);
    assert_eq!(field(&rest[0], "request_id"), "given-by-a-client-00009999");
    assert_eq!(field(&rest[9_999], "request_id"), "given-by-a-client-00000000");
}

#[tokio::test]
async fn an_export_goes_to_a_file_that_was_not_there_and_to_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let provider = ScriptedProvider::start().await;
    let gateway = gateway(&provider, "").await;
    ask(&gateway, 3).await;
    until((3, 3), || counted(&gateway)).await;
    let (shell, data) = (Shell::new(), gateway.data().display().to_string());
    let to_file = ["export", "requests", "--data-dir", &data, "--output", "requests.csv"];
    let ran = shell.run(&to_file).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stderr.contains("3 rows were exported."), "{ran:?}");
    let file = shell.path().join("requests.csv");
    let text = std::fs::read_to_string(&file).expect("a file");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let again = shell.run(&to_file).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), text, "what was there stays");
    let filtered = ["export", "requests", "--data-dir", &data, "--filter", "status=5xx"];
    assert_eq!(shell.ok(&filtered).await.lines().count(), 1, "the head alone");
    for (wrong, said) in [("stattus=5xx", "stattus"), ("status=9", "503"), ("limit=3", "limit")] {
        let refused = shell.run(&["export", "requests", "--data-dir", &data, "--filter", wrong]).await;
        assert_eq!(refused.code, Some(1), "{wrong}: {refused:?}");
        assert!(refused.stderr.contains(said), "{wrong}: {refused:?}");
    }
}
