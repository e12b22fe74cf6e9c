//! Turns the rounds into medians, ratios and a page; never leaves out a number that looks bad.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

/// The figures of one scenario in one round.
#[derive(Debug, Default)]
pub(crate) struct Measured(BTreeMap<&'static str, f64>);

impl Measured {
    /// Notes one figure.
    pub(crate) fn set(&mut self, name: &'static str, value: f64) {
        self.0.insert(name, value);
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| write!(f, "{name} {value:.1}  "))
    }
}

/// Everything measured, by scenario, figure and subject.
#[derive(Debug)]
pub(crate) struct Report {
    rounds: usize,
    lasting: Duration,
    figures: BTreeMap<(&'static str, &'static str, &'static str), Vec<f64>>,
}

/// A row of the page: scenario, figure, what it says, and at most how many times nginx's it should be.
const ROWS: &[(&str, &str, &str, Option<f64>)] = &[
    ("1 KB", "cpu_us", "CPU per request, 1 KB body (µs)", Some(1.5)),
    ("open loop", "cpu_us", "CPU per request, 1 KB body, at 1,000 requests/s (µs)", None),
    ("64 KB", "cpu_us", "CPU per request, 64 KB body (µs)", None),
    ("512 KB", "cpu_us", "CPU per request, 512 KB body (µs)", Some(1.1)),
    ("chunks", "cpu_us", "CPU per streamed chunk (µs)", Some(1.5)),
    ("1 KB", "per_second", "requests/s, 1 KB, 64 connections", None),
    ("64 KB", "per_second", "requests/s, 64 KB, 64 connections", None),
    ("512 KB", "per_second", "requests/s, 512 KB, 16 connections", None),
    ("open loop", "p50_us", "1,000 requests/s: p50 (µs)", None),
    ("open loop", "p99_us", "1,000 requests/s: p99 (µs)", None),
    ("chunks", "p50_us", "100 streams × 100 chunks/s: delay of a chunk, p50 (µs)", None),
    ("chunks", "p99_us", "100 streams × 100 chunks/s: delay of a chunk, p99 (µs)", None),
    ("streams", "p50_us", "1,000 streams × 2 chunks/s: delay of a chunk, p50 (µs)", None),
    ("streams", "p99_us", "1,000 streams × 2 chunks/s: delay of a chunk, p99 (µs)", None),
    ("idle", "resident_mb", "resident memory, just started (MB)", None),
    ("fresh streams", "resident_mb", "resident memory, 1,000 streams open (MB)", None),
    ("streams", "resident_mb", "the same after all the loads above (MB)", None),
];

/// The most memory that a thousand streams should take.
const RESIDENT_MB_MAX: f64 = 60.0;

impl Report {
    /// An empty one.
    pub(crate) fn new(rounds: usize, lasting: Duration) -> Self {
        Self { rounds, lasting, figures: BTreeMap::new() }
    }

    /// Memory that was resident at some point.
    pub(crate) fn resident(&mut self, subject: &'static str, scenario: &'static str, bytes: u64) {
        self.figures.insert((scenario, "resident_mb", subject), vec![super::count(bytes) / 1e6]);
    }

    /// One scenario's figures of one round.
    pub(crate) fn add(&mut self, subject: &'static str, scenario: &'static str, measured: Measured) {
        for (figure, value) in measured.0 {
            self.figures.entry((scenario, figure, subject)).or_default().push(value);
        }
    }

    /// The whole page.
    pub(crate) fn page(&self, machine: &str) -> String {
        let seconds = self.lasting.as_secs_f64();
        let rounds = self.rounds;
        let mut page = format!(
            "{HEAD}\n{machine}\n## Figures\n\nMedians of {rounds} interleaved rounds of {seconds} s each (lowest–highest in brackets).\n\n"
        );
        page.push_str(
            "| | direct | nginx | lockgate | lockgate / nginx | aim |\n|---|---|---|---|---|---|\n",
        );
        for (scenario, figure, says, aim) in ROWS {
            let of = |subject| self.figures.get(&(*scenario, *figure, subject)).map(Vec::as_slice);
            let ratio = self.ratio(scenario, figure);
            let aim = match (aim, *figure, *scenario) {
                (Some(aim), ..) => format!("at most {aim}"),
                (None, "resident_mb", "fresh streams") => format!("at most {RESIDENT_MB_MAX} MB"),
                _ => String::new(),
            };
            let direct = if *figure == "cpu_us" || *figure == "resident_mb" { None } else { of("direct") };
            let cells = [cell(direct), cell(of("nginx")), cell(of("lockgate"))].join(" | ");
            let ratio = ratio.map_or_else(|| "–".to_owned(), |r| format!("{r:.2}"));
            writeln!(page, "| {says} | {cells} | {ratio} | {aim} |").expect("writing to a string");
        }
        page + &self.reading() + FOOT
    }

    fn median(&self, scenario: &'static str, figure: &'static str, subject: &'static str) -> Option<f64> {
        self.figures.get(&(scenario, figure, subject)).map(|values| median(values))
    }

    fn ratio(&self, scenario: &'static str, figure: &'static str) -> Option<f64> {
        let (ours, theirs) =
            (self.median(scenario, figure, "lockgate")?, self.median(scenario, figure, "nginx")?);
        (theirs > 0.0).then_some(ours / theirs)
    }

    /// What the figures say against the aims, in sentences.
    fn reading(&self) -> String {
        let mut text = "\n## Reading\n\n".to_owned();
        for (scenario, figure, says, aim) in ROWS {
            let (Some(aim), Some(ratio)) = (aim, self.ratio(scenario, figure)) else { continue };
            let verdict = if ratio <= *aim { "kept" } else { "**missed**" };
            writeln!(text, "- {says}: {ratio:.2} times nginx; aim {aim}: {verdict}.")
                .expect("writing to a string");
        }
        if let Some(resident) = self.median("fresh streams", "resident_mb", "lockgate") {
            let verdict = if resident <= RESIDENT_MB_MAX { "kept" } else { "**missed**" };
            writeln!(
                text,
                "- 1,000 open streams: {resident:.0} MB resident; aim {RESIDENT_MB_MAX}: {verdict}."
            )
            .expect("writing to a string");
        }
        let added = |figure| {
            Some(self.median("streams", figure, "lockgate")? - self.median("streams", figure, "direct")?)
        };
        if let (Some(p50), Some(p99)) = (added("p50_us"), added("p99_us")) {
            writeln!(text, "- With 1,000 streams Lockgate adds {p50:.0} µs to a chunk at the median and {p99:.0} µs at p99.")
                .expect("writing to a string");
        }
        text
    }
}

fn cell(values: Option<&[f64]>) -> String {
    let Some(values) = values.filter(|values| !values.is_empty()) else { return "–".to_owned() };
    let show = |v: f64| if v >= 100.0 { format!("{v:.0}") } else { format!("{v:.1}") };
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    let spread = if values.len() > 1 { format!(" ({}–{})", show(low), show(high)) } else { String::new() };
    show(median(values)) + &spread
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// What was measured on what.
///
/// # Errors
/// When a program that was just measured does not tell its version.
pub(crate) fn machine(root: &Path, lockgate: Option<&Path>) -> Result<String> {
    let nginx = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    let mut text = bare_machine(root)?;
    writeln!(text, "- {}", said(root, nginx, &["-v"])?)?;
    if let Some(binary) = lockgate {
        let version = said(root, &binary.display().to_string(), &["version"])?;
        let version = version.lines().next().unwrap_or_default();
        let commit = said(root, "git", &["describe", "--always", "--dirty"])?;
        writeln!(text, "- {version}, `--release`, at {commit}")?;
    }
    Ok(text)
}

/// The machine and what the code was built with.
///
/// # Errors
/// When they do not tell.
pub(super) fn bare_machine(root: &Path) -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(": ").nth(1));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let mut text =
        format!("## Machine and versions\n\n- {} × {}\n", cores, model.unwrap_or("unknown").trim());
    writeln!(text, "- {}", said(root, "uname", &["-sr"])?)?;
    writeln!(text, "- {}", said(root, "rustc", &["--version"])?)?;
    Ok(text)
}

fn said(root: &Path, program: &str, args: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(args).current_dir(root).output().with_context(|| program.to_owned())?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

const HEAD: &str = "# Benchmarks

What Lockgate costs beside nginx as a plain proxy, and beside nothing, measured in one run on one machine.
This page is written by `cargo xtask bench`; `cargo xtask bench --quick` gives a rough one in about two minutes.

## What is measured

- **direct**: load and origin without anything between them: the floor of the delays.
- **nginx**: one worker, no access log, connections to the origin kept, request bodies held in memory (1 MB buffer),
  answers buffered, but not streams.
- **lockgate**: a key with request, token and concurrency limits, routing, prices, journal and ledger on disk, metrics;
  log level `warn`, since nginx writes no line a request either.

Both run alone on one core; load and origin share the other. CPU time is the measured processes' own, over all their
threads, as the kernel counts it. The closed loops send one request after another on each connection. The open loop
sends on time whatever happened before, and times each request from when it was due, so a stall is seen by all that
had to wait for it. A streamed chunk carries the time it was sent.
";

const FOOT: &str = "
The load and the origin take their share of the other core, so requests per second say what one core of the proxy can
do only as far as the load keeps up with it; CPU per request does not depend on that.
";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Measured, Report, median};

    #[test]
    fn the_page_says_what_was_measured() {
        let mut report = Report::new(3, Duration::from_secs(4));
        for (subject, values) in [("nginx", [10.0, 12.0, 11.0]), ("lockgate", [22.0, 20.0, 21.0])] {
            for value in values {
                let mut measured = Measured::default();
                measured.set("cpu_us", value);
                report.add(subject, "1 KB", measured);
            }
        }
        let page = report.page("");
        let row = "| CPU per request, 1 KB body (µs) | – | 11.0 (10.0–12.0) | 21.0 (20.0–22.0) | 1.91 | at most 1.5 |";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("1.91 times nginx; aim 1.5: **missed**"), "{page}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let check =
            |values: &[f64], expected: f64| assert!((median(values) - expected).abs() < 1e-9, "{values:?}");
        check(&[3.0, 1.0, 2.0], 2.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.5);
        check(&[7.0], 7.0);
    }
}
