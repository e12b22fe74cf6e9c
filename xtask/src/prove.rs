//! Knows how each promise is proved at length; never proves one in another way than `check` does, only longer.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{run, testenv};

/// A promise, the tests that prove it, and how many rounds the long form takes.
struct Proof {
    promise: &'static str,
    filter: &'static str,
    rounds: u32,
}

const PROOFS: &[Proof] = &[
    Proof { promise: "p01", filter: "test(/\\bp01_/)", rounds: 10_000 },
    Proof { promise: "p02", filter: "test(/\\bp02_/)", rounds: 1_000 },
    Proof { promise: "p03", filter: "test(/\\bp03_/)", rounds: 1_000 },
    Proof { promise: "p05", filter: "test(/\\bp05_/)", rounds: 1_000 },
    Proof { promise: "p07", filter: "test(/\\bp07_/)", rounds: 100 },
    Proof { promise: "p08", filter: "test(/\\bp08_/)", rounds: 100_000 },
    Proof { promise: "p10", filter: "test(/\\bp10_/)", rounds: 1_000 },
    Proof { promise: "p13", filter: "test(/\\bp13_/)", rounds: 100 },
    Proof { promise: "p15", filter: "test(/\\bp15_/)", rounds: 10 },
    Proof { promise: "p17", filter: "test(/\\bp17_/)", rounds: 100_000 },
];

/// Which promise, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// As in docs/promises.md: p03
    promise: String,
    /// Another number of rounds than the table's
    #[arg(long)]
    rounds: Option<u32>,
}

/// Runs the named proof in its long form, optimised.
///
/// # Errors
/// When the promise has no proof, or the proof fails.
pub(crate) fn prove(root: &Path, choice: &Choice) -> Result<()> {
    let name = choice.promise.to_lowercase();
    let known = || PROOFS.iter().map(|p| p.promise).collect::<Vec<_>>().join(", ");
    let proof = PROOFS.iter().find(|p| p.promise == name).with_context(|| format!("proofs: {}", known()))?;
    let rounds = choice.rounds.unwrap_or(proof.rounds).to_string();
    testenv::TestEnv::under(root).ready()?;
    let args =
        ["nextest", "run", "--locked", "--workspace", "--release", "--profile", "prove", "-E", proof.filter];
    let mut nextest = run::cargo(root, &args);
    run::pass(nextest.env("LOCKGATE_PROVE_ROUNDS", &rounds).env("PROPTEST_CASES", &rounds))
}
