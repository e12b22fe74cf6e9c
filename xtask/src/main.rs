//! The workspace's own tool: names the tasks and hands over to them; never holds a rule itself.

mod bench;
mod check;
mod clock;
mod pages;
mod prove;
mod run;
mod simulate;
mod testenv;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Tasks of the Lockgate workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version)]
enum Task {
    /// All of CI: fmt, tidy, testenv, pages, deny, clippy, docs, tests, doctests
    Check(check::Choice),
    /// The house rules that no compiler knows
    Tidy,
    /// Measure Lockgate beside nginx and write docs/benchmarks.md
    Bench(bench::Choice),
    /// Prove one promise at length: `prove p03`
    Prove(prove::Choice),
    /// Play traffic against the policy in virtual time and write docs/simulation.md
    Simulate(simulate::Choice),
    /// Take the pictures of docs/dashboard.md in a real browser
    Pictures,
    /// Install the real clients and the real model that the tests use
    Testenv,
}

fn main() -> ExitCode {
    match perform(Task::parse(), &root()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task, root: &Path) -> Result<()> {
    match task {
        Task::Check(choice) => check::all(root, &choice),
        Task::Tidy => tidy::run(root),
        Task::Bench(choice) => bench::bench(root, &choice),
        Task::Prove(choice) => prove::prove(root, &choice),
        Task::Simulate(choice) => simulate::simulate(root, &choice),
        Task::Pictures => pages::pictures(root, &testenv::TestEnv::under(root)),
        Task::Testenv => testenv::TestEnv::under(root).ready(),
    }
}

/// The workspace, from wherever it was called.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}
