//! Measures Lockgate beside nginx and beside nothing, in one run on one machine; never compares with another day.

mod deciding;
mod load;
mod origin;
mod report;
mod scale;
mod subject;
mod watchers;
mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use load::Pace;
use report::{Measured, Report};
use subject::Subject;

use crate::{clock, run, testenv};

/// How long and what for.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// About two minutes instead of ten; wider spread
    #[arg(long)]
    quick: bool,
    /// Where to write the page
    #[arg(long, default_value = "docs/benchmarks.md")]
    out: PathBuf,
    /// A `lockgate` that is built already; else `cargo build --release`
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Only nginx and direct, to know the machine
    #[arg(long)]
    without_lockgate: bool,
    /// Say where Lockgate's time goes (`perf`), and write no page
    #[arg(long)]
    profile: bool,
    /// Only these loads, and write no page; may be repeated
    #[arg(long, value_name = "LOAD", conflicts_with = "profile")]
    only: Vec<String>,
    /// Only what the dashboard's pages take over a ledger of so many receipts, for docs/scale.md
    #[arg(long, value_name = "RECEIPTS", conflicts_with_all = ["profile", "only", "without_lockgate"])]
    scale: Option<u32>,
    /// Only what deciding costs, by counted instructions, for docs/deciding.md
    #[arg(long, exclusive = true)]
    deciding: bool,
}

impl Choice {
    /// What is measured, built where it is not given.
    fn lockgate(&self, root: &Path) -> Result<PathBuf> {
        if let Some(binary) = &self.binary {
            return binary.canonicalize().context("--binary");
        }
        run::pass(&mut run::cargo(root, &["build", "--locked", "--release", "--package", "lockgate"]))?;
        Ok(root.join("target/release/lockgate"))
    }

    /// The loads to run; all but those of `--only`, when it is given.
    fn scenarios(&self) -> Result<Vec<&'static Scenario>> {
        let known = |name: &String| SCENARIOS.iter().any(|scenario| scenario.name == name);
        if let Some(unknown) = self.only.iter().find(|name| !known(name)) {
            let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            bail!("--only {unknown}: the loads are {}", names.join(", "));
        }
        let chosen =
            |scenario: &&Scenario| self.only.is_empty() || self.only.iter().any(|n| n == scenario.name);
        Ok(SCENARIOS.iter().filter(chosen).collect())
    }
}

/// The sizes of one run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: usize,
    lasting: Duration,
    idle_streams: usize,
}

const FULL: Plan = Plan { rounds: 7, lasting: Duration::from_secs(4), idle_streams: 1000 };
const QUICK: Plan = Plan { rounds: 3, lasting: Duration::from_millis(1500), idle_streams: 1000 };

/// Connections of the closed loops, and of the busy streams.
const CONNECTIONS: usize = 64;
/// With half a megabyte each, more would measure the memory of the machine.
const CONNECTIONS_LARGE: usize = 16;
/// Requests a second of the open loop: under a tenth of what each can do, so that it shows delay and not queues.
const RATE: u32 = 1000;

/// Builds, measures, and writes the page.
///
/// # Errors
/// When something is missing, or any answer was not a whole 200.
pub(crate) fn bench(root: &Path, choice: &Choice) -> Result<()> {
    if choice.deciding {
        return deciding::deciding(root);
    }
    let scenarios = choice.scenarios()?;
    testenv::debian(&[("nginx", "nginx-light"), ("taskset", "util-linux")])?;
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores >= 2, "two cores are needed: one for what is measured, one for the load");
    let binary = if choice.without_lockgate { None } else { Some(choice.lockgate(root)?) };
    leave_the_measured_core()?;
    let epoch = clock::now();
    if let (Some(receipts), Some(binary)) = (choice.scale, &binary) {
        return scale::scale(root, binary, receipts, epoch);
    }
    let origin = origin::start(epoch)?;
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let home = tempfile::tempdir_in(&folder)?;
    let mut subjects = vec![Subject::direct(origin), Subject::nginx(home.path(), origin)?];
    if let Some(binary) = &binary {
        subjects.push(Subject::lockgate(home.path(), binary, origin)?);
    }
    let plan = if choice.quick { QUICK } else { FULL };
    if choice.profile {
        return profile(&subjects, plan, epoch, &folder);
    }
    let mut report = Report::new(plan.rounds, plan.lasting);
    for subject in &subjects {
        report.resident(subject.name, "idle", subject.resident());
        // Before any other load: what the streams themselves take.
        report.add(subject.name, "fresh streams", idle_streams(subject, plan, epoch)?);
    }
    for round in 0..=plan.rounds {
        for scenario in &scenarios {
            for turn in 0..subjects.len() {
                // Each round begins with another one, so that no subject always has the machine at its best.
                let subject = &subjects[(round + turn) % subjects.len()];
                let measured = (scenario.run)(subject, plan, epoch)
                    .with_context(|| format!("{} through {}", scenario.name, subject.name))?;
                eprintln!(
                    "round {round}/{} {:<12} {:<9} {measured}",
                    plan.rounds, scenario.name, subject.name
                );
                // The first round only warms up.
                if round > 0 {
                    report.add(subject.name, scenario.name, measured);
                }
            }
        }
    }
    if !choice.only.is_empty() {
        return Ok(());
    }
    let old = std::fs::read_to_string(root.join(&choice.out)).unwrap_or_default();
    let page = report.page(&report::machine(root, binary.as_deref())?) + measured_elsewhere(&old);
    std::fs::write(root.join(&choice.out), &page).with_context(|| choice.out.display().to_string())?;
    println!("{page}\nwritten to {}", choice.out.display());
    Ok(())
}

/// What stands last on the page comes from another command, and stays.
fn measured_elsewhere(page: &str) -> &str {
    page.find("\n## Translated chunks\n").and_then(|at| page.get(at..)).unwrap_or_default()
}

/// One thing to do to every subject.
struct Scenario {
    name: &'static str,
    run: fn(&Subject, Plan, Instant) -> Result<Measured>,
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "1 KB", run: |s, plan, _| requests(s, plan, 1024, CONNECTIONS) },
    Scenario { name: "64 KB", run: |s, plan, _| requests(s, plan, 64 * 1024, CONNECTIONS) },
    Scenario { name: "512 KB", run: |s, plan, _| requests(s, plan, 512 * 1024, CONNECTIONS_LARGE) },
    Scenario { name: "open loop", run: |s, plan, _| open_loop(s, plan) },
    Scenario { name: "chunks", run: busy_streams },
    Scenario { name: "streams", run: idle_streams },
];

fn requests(subject: &Subject, plan: Plan, body_bytes: usize, connections: usize) -> Result<Measured> {
    let request = subject.plain.plain(body_bytes);
    let (cpu, from) = (subject.cpu(), clock::now());
    let answered = one_thread(load::closed_loop(&subject.plain, request, connections, plan.lasting))?;
    let took = clock::now() - from;
    let mut measured = Measured::default();
    measured.set("cpu_us", microseconds(subject.cpu() - cpu) / count(answered));
    measured.set("per_second", count(answered) / took.as_secs_f64());
    Ok(measured)
}

fn open_loop(subject: &Subject, plan: Plan) -> Result<Measured> {
    let request = subject.plain.plain(1024);
    let cpu = subject.cpu();
    let delays = load::open_loop(&subject.plain, &request, RATE, plan.lasting)?;
    let mut measured = Measured::default();
    measured.set("cpu_us", microseconds(subject.cpu() - cpu) / count(delays.len()));
    measured.set("p50_us", count(delays.value_at_quantile(0.5)) / 1e3);
    measured.set("p99_us", count(delays.value_at_quantile(0.99)) / 1e3);
    Ok(measured)
}

/// A hundred streams, each a chunk every ten milliseconds: 10,000 chunks a second, none of them joined to the next.
fn busy_streams(subject: &Subject, plan: Plan, epoch: Instant) -> Result<Measured> {
    let every = Duration::from_millis(10);
    let pace = Pace { chunks: u64::try_from(plan.lasting.as_millis() / every.as_millis())?, every };
    let cpu = subject.cpu();
    let delays = one_thread(load::streams(&subject.streamed, 100, pace, epoch))?;
    let mut measured = Measured::default();
    measured.set("cpu_us", microseconds(subject.cpu() - cpu) / count(delays.len()));
    measured.set("p50_us", count(delays.value_at_quantile(0.5)) / 1e3);
    measured.set("p99_us", count(delays.value_at_quantile(0.99)) / 1e3);
    Ok(measured)
}

/// A thousand streams, each a chunk twice a second; memory is read in their midst.
fn idle_streams(subject: &Subject, plan: Plan, epoch: Instant) -> Result<Measured> {
    let every = Duration::from_millis(500);
    let chunks = u64::try_from(plan.lasting.as_millis() / every.as_millis())?.max(4);
    let pace = Pace { chunks, every };
    let middle = every * u32::try_from(chunks)? - every / 2;
    let (delays, resident) = one_thread(async {
        let memory = async {
            tokio::time::sleep(middle).await;
            Ok(subject.resident())
        };
        tokio::try_join!(load::streams(&subject.streamed, plan.idle_streams, pace, epoch), memory)
    })?;
    let mut measured = Measured::default();
    measured.set("p50_us", count(delays.value_at_quantile(0.5)) / 1e3);
    measured.set("p99_us", count(delays.value_at_quantile(0.99)) / 1e3);
    measured.set("resident_mb", count(resident) / 1e6);
    Ok(measured)
}

/// Samples Lockgate under small requests and under chunks.
fn profile(subjects: &[Subject], plan: Plan, epoch: Instant, folder: &Path) -> Result<()> {
    testenv::debian(&[("perf", "linux-perf")])?;
    let lockgate = subjects.iter().find(|s| s.name == "lockgate").context("--profile needs lockgate")?;
    let pid = lockgate.pid().context("it runs")?.to_string();
    for scenario in SCENARIOS.iter().filter(|s| ["1 KB", "512 KB", "chunks"].contains(&s.name)) {
        let samples = folder.join(format!("{}.perf", scenario.name.replace(' ', "-")));
        let mut record = Command::new("perf");
        record.args(["record", "-q", "-F", "4999", "-e", "cpu-clock", "-g", "-p", &pid, "-o"]).arg(&samples);
        let mut recording =
            record.args(["--", "sleep"]).arg(plan.lasting.as_secs_f64().to_string()).spawn()?;
        println!("\n==> {}: {}", scenario.name, (scenario.run)(lockgate, plan, epoch)?);
        recording.wait()?;
        let mut show = Command::new("perf");
        show.args(["report", "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.7", "-i"]);
        run::pass(show.arg(&samples))?;
    }
    Ok(())
}

/// Keeps this process, and with it load and origin, off the core that is measured.
fn leave_the_measured_core() -> Result<()> {
    let mut cores = rustix::thread::sched_getaffinity(None)?;
    cores.unset(subject::CORE.parse()?);
    rustix::thread::sched_setaffinity(None, &cores).context("pin the load")
}

fn one_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// For arithmetic on counts far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
fn count(n: u64) -> f64 {
    n as f64
}
