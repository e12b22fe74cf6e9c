//! Times what the dashboard's pages ask for over a ledger of millions of receipts, and what open dashboards take from
//! requests; it never judges by another machine's figures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::report::bare_machine;
use super::subject::Subject;
use super::watchers::Watchers;
use super::{FULL, count, load, origin};
use crate::clock::Stopwatch;

/// A page's data within this, at p95.
const AIM_MS: f64 = 200.0;
/// How often each call is made, after one that warms up.
const TIMES: usize = 40;
const DASHBOARDS: usize = 16;
/// Rounds without dashboards and with them, by turns: what else the machine does meets both alike, and medians leave it out.
const ROUNDS: usize = 9;
/// Requests a second: what shows delay and no queue.
const RATE: u32 = 500;
const DAYS: u32 = 90;
const DAY_MS: i64 = 86_400_000;
const ADMIN: &str = "Authorization: Bearer bench-admin-token-0123456789abcdef";
/// A look at all of the database may take so long, and goes on beside the work.
const LOOK_MAX: Duration = Duration::from_secs(1800);

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
    ("Events", "/api/admin/events?limit=200"),
    ("Backends", "/api/admin/backends"),
    ("Models", "/api/admin/models"),
    ("Aliases", "/api/admin/aliases"),
    ("Prices", "/api/admin/prices?limit=100"),
    ("Instances", "/api/admin/instances"),
    ("Keys", "/api/admin/keys"),
    ("Teams", "/api/admin/teams"),
    ("Budgets", "/api/admin/budgets"),
    ("Captures", "/api/admin/captures?limit=50"),
    ("Audit", "/api/admin/audit?limit=50"),
    ("Settings", "/api/admin/config"),
    ("Backups", "/api/admin/backups"),
    ("Vault", "/api/admin/vault"),
];

/// What one run came to.
struct Measured {
    receipts: u32,
    database_bytes: u64,
    /// From the start of the process to its listening.
    start: Duration,
    /// To the end of the look at the whole database, which goes on beside the work.
    looked: Duration,
    pages: Vec<(&'static str, Figure)>,
    /// The data plane's p99, in µs: while the database is looked at, with no dashboard open, with many.
    looking_us: Option<f64>,
    alone_us: Rounds,
    watched_us: Rounds,
}

/// Fills, measures, and writes the page.
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
    let database_bytes = fs::metadata(home.path().join("data/lockgate.db"))?.len();
    let watch = Stopwatch::start();
    let subject = Subject::lockgate(home.path(), binary, origin)?;
    let start = watch.elapsed();
    let looking_us = looking_us(&subject)?;
    let looked = looked_at(&subject, watch)?;
    let pages = pages(&subject, newest)?;
    let (alone_us, watched_us) = by_turns(&subject)?;
    let measured =
        Measured { receipts, database_bytes, start, looked, pages, looking_us, alone_us, watched_us };
    let page = page(&bare_machine(root)?, &measured)?;
    fs::write(root.join("docs/scale.md"), &page)?;
    println!("{page}");
    let slow = measured.pages.iter().filter(|(_, figure)| figure.p95_ms > AIM_MS);
    let slow: Vec<_> = slow.map(|(page, _)| *page).collect();
    ensure!(slow.is_empty(), "not within {AIM_MS} ms: {}", slow.join(", "));
    Ok(())
}

/// Every call that the pages make.
fn pages(subject: &Subject, newest: i64) -> Result<Vec<(&'static str, Figure)>> {
    let id = one_id(subject)?;
    let mut figures = Vec::new();
    for (page, path) in CALLS {
        let figure = Figure::of(timed(subject, &path_of(path, newest, &id))?);
        eprintln!(
            "{page:<32} p50 {:>7.1} ms, p95 {:>7.1} ms, {} bytes",
            figure.p50_ms, figure.p95_ms, figure.bytes
        );
        figures.push((*page, figure));
    }
    Ok(figures)
}

/// What `/healthz` says of the database.
fn soundness(subject: &Subject) -> Result<String> {
    let said = curl(subject, &["/healthz".to_owned()], &["--silent"])?;
    let health: serde_json::Value = serde_json::from_str(&said)?;
    Ok(health["database"].as_str().context("/healthz tells of the database")?.to_owned())
}

/// The data plane's delay while the database is looked at; none where that is over too soon.
fn looking_us(subject: &Subject) -> Result<Option<f64>> {
    let request = subject.plain.plain(1024);
    let delays = load::open_loop(&subject.plain, &request, RATE, FULL.lasting * 2)?;
    let is_looking = soundness(subject)? == "checking";
    Ok(is_looking.then(|| count(delays.value_at_quantile(0.99)) / 1e3))
}

/// When the whole database was looked at and found to be sound.
fn looked_at(subject: &Subject, watch: Stopwatch) -> Result<Duration> {
    loop {
        match soundness(subject)?.as_str() {
            "sound" => return Ok(watch.elapsed()),
            "checking" => ensure!(watch.elapsed() < LOOK_MAX, "the look at the database does not end"),
            other => bail!("the database is {other}"),
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
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

/// The data plane's p99 in several rounds.
struct Rounds(Vec<f64>);

impl Rounds {
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        Self(figures)
    }

    fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    fn ends(&self) -> (f64, f64) {
        let end = |figure: Option<&f64>| figure.copied().unwrap_or_default();
        (end(self.0.first()), end(self.0.last()))
    }
}

/// Without dashboards and with them, by turns, each going first as often as the other.
fn by_turns(subject: &Subject) -> Result<(Rounds, Rounds)> {
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    // The first request of all has more to do than those that follow.
    p99_us(subject, FULL.lasting)?;
    for round in 0..ROUNDS * 2 {
        // Alone, watched, watched, alone, ...
        if round.div_ceil(2).is_multiple_of(2) {
            alone.push(p99_us(subject, FULL.lasting * 2)?);
        } else {
            let watchers = Watchers::open(subject.plain.address, DASHBOARDS, ADMIN)?;
            watched.push(p99_us(subject, FULL.lasting * 2)?);
            let told = watchers.close()?;
            let seconds = FULL.lasting.as_secs() * 2;
            ensure!(told >= seconds * u64::try_from(DASHBOARDS)? / 2, "{told} pictures came in {seconds} s");
        }
        eprintln!("round {round}: alone {alone:.0?}, watched {watched:.0?} (p99, µs)");
    }
    Ok((Rounds::of(alone), Rounds::of(watched)))
}

/// The data plane's delay, from when a request was due to its answer.
fn p99_us(subject: &Subject, lasting: Duration) -> Result<f64> {
    let request = subject.plain.plain(1024);
    let delays = load::open_loop(&subject.plain, &request, RATE, lasting)?;
    Ok(count(delays.value_at_quantile(0.99)) / 1e3)
}

fn page(machine: &str, measured: &Measured) -> Result<String> {
    let Measured { receipts, database_bytes, start, looked, pages, .. } = measured;
    let mut text = format!(
        "# Scale\n\nWhat a ledger of {} receipts costs: from {DAYS} days and 400 keys, {:.1} GB of database. Written by \
         `cargo xtask bench --scale {receipts}`, which fills the tables, starts the gateway on one core and asks.\n\n\
         ## Pages\n\nEvery call that a page of the dashboard makes, {TIMES} times each over one connection.\n\n\
         | page | p50 (ms) | p95 (ms) | answer (KB) |\n|---|---|---|---|\n",
        grouped(*receipts),
        count(*database_bytes) / 1e9
    );
    for (page, figure) in pages {
        let kilobytes = count(figure.bytes) / 1e3;
        writeln!(text, "| {page} | {:.1} | {:.1} | {kilobytes:.1} |", figure.p50_ms, figure.p95_ms)?;
    }
    let slowest = pages.iter().map(|(_, figure)| figure.p95_ms).fold(0.0, f64::max);
    let verdict = if slowest <= AIM_MS { "kept" } else { "**missed**" };
    writeln!(
        text,
        "\nThe aim is a page's data within {AIM_MS} ms at p95. The slowest takes {slowest:.1} ms: {verdict}."
    )?;
    writeln!(
        text,
        "\n## Start\n\nThe gateway listens {:.1} s after its start. The whole database is looked at and found sound after {:.0} s, \
         beside the work ([decision 8](decisions/0008-looking-at-the-database.md)).",
        start.as_secs_f64(),
        looked.as_secs_f64()
    )?;
    beside(&mut text, measured)?;
    let on: Vec<&str> = machine.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    writeln!(text, "\nOn {}.", on.join(", "))?;
    Ok(text)
}

/// What requests have of it all.
fn beside(text: &mut String, measured: &Measured) -> Result<()> {
    let Measured { looking_us, alone_us, watched_us, .. } = measured;
    writeln!(
        text,
        "\n## Requests beside it\n\n{RATE} requests/s through the data plane, on the same core; without dashboards and with them by \
         turns, the median of {ROUNDS} rounds each, and the lowest and highest:\n\n| meanwhile | p99 (µs) | from .. to |\n|---|---|---|"
    )?;
    if let Some(looking_us) = looking_us {
        writeln!(text, "| the database is looked at | {looking_us:.0} | |")?;
    }
    for (meanwhile, rounds) in
        [("nothing", alone_us), (&*format!("{DASHBOARDS} dashboards are open"), watched_us)]
    {
        let (lowest, highest) = rounds.ends();
        writeln!(text, "| {meanwhile} | {:.0} | {lowest:.0} .. {highest:.0} |", rounds.median())?;
    }
    let (_, highest) = alone_us.ends();
    let verdict = if watched_us.median() <= highest { "kept" } else { "**missed**" };
    writeln!(
        text,
        "\nThe aim is that open dashboards do not show: with them the median is no more than rounds without have at most: {verdict}."
    )?;
    Ok(())
}

/// A count with its thousands apart.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    parts.join(",")
}
