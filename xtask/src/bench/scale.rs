//! Times what the dashboard's pages ask for over a ledger of millions of receipts, and what open dashboards take from
//! requests; it never judges by another machine's figures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::report::bare_machine;
use super::subject::Subject;
use super::{FULL, count, load, origin};

/// A page's data within this, at p95.
const AIM_MS: f64 = 200.0;
/// How often each call is made, after one that warms up.
const TIMES: usize = 40;
const DASHBOARDS: usize = 16;
/// Requests a second: what shows delay and no queue.
const RATE: u32 = 500;
const DAYS: u32 = 90;
const DAY_MS: i64 = 86_400_000;
const ADMIN: &str = "Authorization: Bearer bench-admin-token-0123456789abcdef";
const HEADING: &str = "\n## Ten million receipts\n";

/// What the pages ask for; `FROM-n` stands for n days before the newest receipt, `ID` for the id of one.
const CALLS: &[(&str, &str)] = &[
    ("Overview", "/api/admin/stats/hourly"),
    ("Overview, live state", "/api/admin/stats/cooldown"),
    ("Usage, a day by model", "/api/admin/stats/hourly?limit=10000&top=7&by=model&from=FROM-1"),
    ("Usage, a week by key", "/api/admin/stats/hourly?limit=10000&top=7&by=key&from=FROM-7"),
    ("Usage, 90 days by key", "/api/admin/stats/daily?limit=10000&top=7&by=key&from=FROM-90"),
    ("Usage, 90 days by a tag", "/api/admin/stats/daily?limit=10000&top=7&by=tag:app&from=FROM-90"),
    ("Usage, sums of all time", "/api/admin/stats/total?by=backend"),
    ("Requests", "/api/admin/requests?limit=50"),
    ("Requests of a key", "/api/admin/requests?limit=50&key=key_0007"),
    ("Requests of a rare key", "/api/admin/requests?limit=50&key=key_0399"),
    ("Requests of a key that failed", "/api/admin/requests?limit=50&key=key_0007&status=5xx"),
    ("Requests of a model and a team", "/api/admin/requests?limit=50&model=model-03&team=team-05"),
    ("Requests with a tag", "/api/admin/requests?limit=50&tag=app%3Dshop&backend=backend-03"),
    ("Requests, nothing found", "/api/admin/requests?limit=50&tag=app%3Dnothing"),
    ("Requests, a part of an id", "/api/admin/requests?limit=50&q=ZZZZZ"),
    ("Requests, an old day", "/api/admin/requests?limit=50&from=FROM-80&to=FROM-79&model=model-03"),
    ("A request", "/api/admin/requests/ID"),
    ("A request, explained", "/api/admin/requests/ID/explain"),
    ("Backends", "/api/admin/backends"),
    ("Models", "/api/admin/models"),
    ("Keys", "/api/admin/keys"),
    ("Budgets", "/api/admin/budgets"),
    ("Audit", "/api/admin/audit?limit=50"),
    ("Settings", "/api/admin/config"),
];

/// Fills, measures, and writes its part of the page.
///
/// # Errors
/// When something is missing, an answer is no 200, or an aim is missed.
pub(super) fn scale(root: &Path, binary: &Path, receipts: u32, epoch: Instant) -> Result<()> {
    let origin = origin::start(epoch)?;
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder)?;
    let home = tempfile::tempdir_in(&folder)?;
    // The first start makes the tables.
    drop(Subject::lockgate(home.path(), binary, origin)?);
    let newest = fill(root, home.path(), receipts)?;
    fs::remove_file(home.path().join("ready.json"))?;
    let subject = Subject::lockgate(home.path(), binary, origin)?;
    let mut figures = Vec::new();
    let id = one_id(&subject)?;
    for (page, path) in CALLS {
        let figure = Figure::of(timed(&subject, &path_of(path, newest, &id))?);
        eprintln!(
            "{page:<32} p50 {:>7.1} ms, p95 {:>7.1} ms, {} bytes",
            figure.p50_ms, figure.p95_ms, figure.bytes
        );
        figures.push((*page, figure));
    }
    let alone = p99_us(&subject)?;
    let dashboards = (0..DASHBOARDS).map(|_| watch(&subject)).collect::<Result<Vec<Watcher>>>()?;
    let watched = p99_us(&subject)?;
    drop(dashboards);
    let part = part(&bare_machine(root)?, receipts, &figures, (alone, watched))?;
    let out = root.join("docs/benchmarks.md");
    let page = fs::read_to_string(&out).with_context(|| out.display().to_string())?;
    let before = page.find(HEADING).and_then(|at| page.get(..at)).unwrap_or(&page);
    fs::write(&out, format!("{}\n\n{part}", before.trim_end()))?;
    println!("{part}");
    let slow: Vec<_> = figures.iter().filter(|(_, f)| f.p95_ms > AIM_MS).map(|(page, _)| *page).collect();
    ensure!(slow.is_empty(), "not within {AIM_MS} ms: {}", slow.join(", "));
    Ok(())
}

/// Writes receipts into the tables; the moment of the newest one.
fn fill(root: &Path, home: &Path, receipts: u32) -> Result<i64> {
    let mut fill = Command::new("python3");
    fill.arg(root.join("xtask/scale/receipts.py")).arg(home.join("data/lockgate.db"));
    let said = fill.args([receipts.to_string(), DAYS.to_string()]).output().context("python3")?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said = String::from_utf8(said.stdout)?;
    eprint!("{said}");
    said.trim().rsplit(' ').next().and_then(|last| last.parse().ok()).context("it says up to when")
}

fn path_of(path: &str, newest: i64, id: &str) -> String {
    let mut path = path.replace("ID", id);
    for days in [90, 80, 79, 7, 1] {
        path = path.replace(&format!("FROM-{days}"), &(newest - days * DAY_MS).to_string());
    }
    path
}

/// An id out of the midst of the newest ones, which have their attempts.
fn one_id(subject: &Subject) -> Result<String> {
    let said = curl(subject, &["/api/admin/requests?limit=500".to_owned()], &["--silent"])?;
    let page: serde_json::Value = serde_json::from_str(&said)?;
    let id = page.pointer("/requests/250/request_id").and_then(serde_json::Value::as_str);
    Ok(id.context("there are requests")?.to_owned())
}

/// One page's times.
struct Figure {
    p50_ms: f64,
    p95_ms: f64,
    bytes: u64,
}

impl Figure {
    fn of((mut times_ms, bytes): (Vec<f64>, u64)) -> Self {
        times_ms.sort_by(f64::total_cmp);
        let at =
            |share: usize| times_ms.get((times_ms.len() * share).div_ceil(100).saturating_sub(1)).copied();
        Self { p50_ms: at(50).unwrap_or_default(), p95_ms: at(95).unwrap_or_default(), bytes }
    }
}

/// How long each of many such calls took, over one connection, and how long an answer is.
fn timed(subject: &Subject, path: &str) -> Result<(Vec<f64>, u64)> {
    let mut said = String::new();
    for paths in [vec![path.to_owned()], vec![path.to_owned(); TIMES]] {
        let told = [
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} %{time_total} %{size_download}\\n",
        ];
        said = curl(subject, &paths, &told)?;
    }
    let mut times_ms = Vec::new();
    let mut bytes = 0;
    for line in said.lines() {
        let [status, seconds, length] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("{path}: {line}")
        };
        ensure!(status == "200", "{path} is answered {status}");
        times_ms.push(seconds.parse::<f64>()? * 1000.0);
        bytes = length.parse()?;
    }
    Ok((times_ms, bytes))
}

fn curl(subject: &Subject, paths: &[String], arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("curl");
    command.args(["--header", ADMIN]);
    for path in paths {
        command.args(arguments).arg(format!("http://{}{path}", subject.plain.address));
    }
    let said = command.output().context("curl")?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(String::from_utf8(said.stdout)?)
}

/// A dashboard's live stream, until it is dropped.
struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn watch(subject: &Subject) -> Result<Watcher> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--no-buffer", "--header", ADMIN]);
    command.arg(format!("http://{}/api/dashboard/stream", subject.plain.address));
    Ok(Watcher(command.stdout(Stdio::null()).spawn().context("curl")?))
}

/// The data plane's delay, from when a request was due to its answer.
fn p99_us(subject: &Subject) -> Result<f64> {
    let request = subject.plain.plain(1024);
    load::open_loop(&subject.plain, &request, RATE, FULL.lasting)?;
    let delays = load::open_loop(&subject.plain, &request, RATE, FULL.lasting * 5)?;
    Ok(count(delays.value_at_quantile(0.99)) / 1e3)
}

fn part(machine: &str, receipts: u32, figures: &[(&str, Figure)], p99_us: (f64, f64)) -> Result<String> {
    let mut text = format!(
        "{}\nEvery call that a page of the dashboard makes, over a ledger of {receipts} receipts of {DAYS} days from 400 keys, \
         {TIMES} times each over one connection; this part is written by `cargo xtask bench --scale {receipts}`.\n\n\
         | page | p50 (ms) | p95 (ms) | answer (KB) |\n|---|---|---|---|\n",
        HEADING.trim_start()
    );
    for (page, figure) in figures {
        let kilobytes = count(figure.bytes) / 1e3;
        writeln!(text, "| {page} | {:.1} | {:.1} | {kilobytes:.1} |", figure.p50_ms, figure.p95_ms)?;
    }
    let slowest = figures.iter().map(|(_, figure)| figure.p95_ms).fold(0.0, f64::max);
    let verdict = if slowest <= AIM_MS { "kept" } else { "**missed**" };
    writeln!(text, "\n- A page's data within {AIM_MS} ms at p95: at most {slowest:.1} ms: {verdict}.")?;
    let (alone, watched) = p99_us;
    writeln!(
        text,
        "- {RATE} requests/s beside it: p99 {alone:.0} µs with no dashboard open, {watched:.0} µs with {DASHBOARDS}."
    )?;
    let on: Vec<&str> = machine.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    writeln!(text, "\nOn {}.", on.join(", "))?;
    Ok(text)
}
