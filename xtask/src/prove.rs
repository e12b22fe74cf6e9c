//! Runs a promise's proofs at length; which they are, docs/promises.md says, so the page and the command cannot differ.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{run, testenv};

/// The page that makes the promises.
pub(crate) const PROMISES: &str = "docs/promises.md";

/// Which promise, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// As on the page: p03
    promise: String,
    /// Another number of rounds than the page's
    #[arg(long)]
    rounds: Option<u32>,
}

/// One row of the page: `| P03 | what | proofs | rounds |`, each proof as `path::test`, or `path::prefix_*`, in backticks.
#[derive(Debug)]
pub(crate) struct Promise<'a> {
    pub(crate) number: &'a str,
    pub(crate) proofs: Vec<(&'a str, &'a str)>,
    /// How many rounds (or cases) the long form takes.
    pub(crate) rounds: Option<u32>,
}

impl<'a> Promise<'a> {
    /// Reads a line of the page, if it is such a row.
    pub(crate) fn read(line: &'a str) -> Option<Self> {
        let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
        let number =
            cells.next().filter(|n| n.starts_with('P') && n[1..].bytes().all(|b| b.is_ascii_digit()))?;
        let quoted = cells.nth(1)?.split('`').skip(1).step_by(2);
        let proofs = quoted.map(|proof| proof.split_once("::").unwrap_or((proof, ""))).collect();
        Some(Self { number, proofs, rounds: cells.next().and_then(|n| n.replace(',', "").parse().ok()) })
    }
}

/// The runner's filter for a proof, whose star stands for the rest of a name.
fn filter_of(test: &str) -> String {
    format!("test(/(^|::){}$/)", test.replace('*', ".*"))
}

/// The packages that the proofs are in, and what they start: an optimised build of all others would take longer than most proofs.
fn packages_of(root: &Path, promise: &Promise<'_>) -> Result<BTreeSet<String>> {
    let mut packages = BTreeSet::new();
    for (path, _) in &promise.proofs {
        let folder = path.split('/').take(2).collect::<PathBuf>();
        let manifest = std::fs::read_to_string(root.join(&folder).join("Cargo.toml"))
            .with_context(|| folder.display().to_string())?;
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        packages.insert(name.with_context(|| format!("{} has no name", folder.display()))?.to_owned());
    }
    if packages.contains("lockgate") {
        packages.insert("fake-lingma".to_owned());
    }
    Ok(packages)
}

/// Runs the proofs of one promise in their long form, optimised.
///
/// # Errors
/// When the promise is not made, or a proof fails.
pub(crate) fn prove(root: &Path, choice: &Choice) -> Result<()> {
    let page = std::fs::read_to_string(root.join(PROMISES)).context(PROMISES)?;
    let promises: Vec<Promise<'_>> = page.lines().filter_map(Promise::read).collect();
    let Some(promise) = promises.iter().find(|p| p.number.eq_ignore_ascii_case(&choice.promise)) else {
        let made: Vec<&str> = promises.iter().map(|p| p.number).collect();
        bail!("{} is not a promise that is made; there are {}", choice.promise, made.join(", "));
    };
    let tests: Vec<String> = promise.proofs.iter().map(|(_, test)| filter_of(test)).collect();
    ensure!(!tests.is_empty(), "{} names no proof", promise.number);
    let rounds =
        choice.rounds.or(promise.rounds).with_context(|| format!("{} has no rounds", promise.number))?;
    testenv::TestEnv::under(root).ready()?;
    let filter = tests.join(" | ");
    let packages = packages_of(root, promise)?;
    let mut args =
        vec!["nextest", "run", "--locked", "--cargo-profile", "proof", "--profile", "prove", "-E", &filter];
    args.extend(packages.iter().flat_map(|package| ["-p", package]));
    let rounds = rounds.to_string();
    run::pass(run::cargo(root, &args).env("LOCKGATE_PROVE_ROUNDS", &rounds).env("PROPTEST_CASES", &rounds))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{PROMISES, Promise, filter_of, packages_of};

    #[test]
    fn every_promise_is_proved_in_packages_that_there_are() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in the workspace");
        let page = std::fs::read_to_string(root.join(PROMISES)).expect("the page");
        for promise in page.lines().filter_map(Promise::read) {
            let packages = packages_of(root, &promise).expect(promise.number);
            assert!(!packages.is_empty(), "{}", promise.number);
            let of_program = packages.contains("lockgate");
            assert_eq!(packages.contains("fake-lingma"), of_program, "{}: {packages:?}", promise.number);
        }
    }

    #[test]
    fn a_star_stands_for_the_rest_of_a_name() {
        for (test, filter) in [("p03_*", "test(/(^|::)p03_.*$/)"), ("kill_once", "test(/(^|::)kill_once$/)")]
        {
            assert_eq!(filter_of(test), filter);
        }
    }
}
