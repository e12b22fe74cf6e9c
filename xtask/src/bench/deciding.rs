//! Counts the instructions of what policy decides for a request; never compares one machine with another.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::report::bare_machine;
use crate::{run, testenv};

/// CPU time of one request, from admission to settlement, in the large world.
const AIM_NANOSECONDS: f64 = 3000.0;
/// How much more a turn may take with a thousand waiting than with ten.
const AIM_FLAT: f64 = 1.25;

/// The difference of two runs is what so many rounds take, whatever it takes to make a world and to end.
const FEW: u32 = 500;
const MANY: u32 = 1500;

/// What the benchmark plays, and what that is in words.
const SCENES: &[(&str, &str)] = &[
    ("request", "a request: 200 backends, 10,000 keys"),
    ("request/backends-10", "the same with 10 backends"),
    ("request/backends-1000", "the same with 1,000 backends"),
    ("request/keys-10", "the same with 10 keys"),
    ("request/in-flight-10000", "the same with 10,000 in flight"),
    ("waiting/10", "a turn with 10 waiting, 200 backends full"),
    ("waiting/100", "a turn with 100 waiting"),
    ("waiting/1000", "a turn with 1,000 waiting"),
    ("identity", "finding a key by its secret"),
];

/// What one round of a scene takes.
#[derive(Debug, Clone, Copy)]
struct Cost {
    instructions: f64,
    nanoseconds: f64,
}

/// Builds the benchmark of `policy`, counts, and writes the page.
///
/// # Errors
/// When something is missing, a run fails, or an aim is missed.
pub(super) fn deciding(root: &Path) -> Result<()> {
    testenv::debian(&[("valgrind", "valgrind")])?;
    let timed = text(bench(root, &[]))?;
    let mut costs = Vec::new();
    for (name, words) in SCENES {
        let nanoseconds = timed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let nanoseconds = nanoseconds.with_context(|| format!("{name} was not timed"))?.parse()?;
        let rounds = count(root, name, MANY)? - count(root, name, FEW)?;
        let cost = Cost { instructions: rounds / f64::from(MANY - FEW), nanoseconds };
        eprintln!("{words}: {:.0} instructions, {:.0} ns", cost.instructions, cost.nanoseconds);
        costs.push(cost);
    }
    let page = page(&bare_machine(root)?, &costs);
    let out = Path::new("docs/deciding.md");
    std::fs::write(root.join(out), &page)?;
    println!("{page}\nwritten to {}", out.display());
    ensure!(verdicts(&costs).iter().all(|verdict| verdict.holds), "an aim is missed");
    Ok(())
}

fn bench(root: &Path, arguments: &[&str]) -> Command {
    let mut command =
        run::cargo(root, &["bench", "--quiet", "--locked", "--package", "policy", "--bench", "deciding"]);
    command.arg("--").args(arguments);
    command
}

/// The instructions of a whole run.
fn count(root: &Path, scene: &str, rounds: u32) -> Result<f64> {
    let runner = r#"target."cfg(all())".runner=["valgrind","--tool=cachegrind","--cache-sim=no","--cachegrind-out-file=/dev/null"]"#;
    let rounds = rounds.to_string();
    let mut command = run::cargo(root, &["--config", runner]);
    let bench = bench(root, &["--count", scene, &rounds]);
    command.args(bench.get_args());
    let told = text(command)?;
    let counted = told.lines().find_map(|line| line.split_once("I   refs:")).with_context(|| told.clone())?;
    Ok(counted.1.trim().replace(',', "").parse()?)
}

/// What a command prints, on both channels.
fn text(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    ensure!(output.status.success(), "{command:?}: {}\n{told}", output.status);
    Ok(told)
}

struct Verdict {
    text: String,
    holds: bool,
}

fn verdicts(costs: &[Cost]) -> Vec<Verdict> {
    let of =
        |name: &str| SCENES.iter().zip(costs).find(|((scene, _), _)| *scene == name).map(|(_, cost)| *cost);
    let request = of("request").map(|cost| {
        let took = cost.nanoseconds;
        let text = format!("A request takes {:.1} µs of CPU; aim {:.1}", took / 1e3, AIM_NANOSECONDS / 1e3);
        Verdict { text, holds: took <= AIM_NANOSECONDS }
    });
    let flat = of("waiting/10").zip(of("waiting/1000")).map(|(few, many)| {
        let ratio = many.instructions / few.instructions;
        let text =
            format!("A turn with 1,000 waiting takes {ratio:.2} times what it takes with 10; aim {AIM_FLAT}");
        Verdict { text, holds: ratio <= AIM_FLAT }
    });
    request.into_iter().chain(flat).collect()
}

fn page(machine: &str, costs: &[Cost]) -> String {
    let mut page = String::from(
        "# What deciding costs\n\n\
         What policy does for one request, from admission over routing to settlement: its limits, its two budgets, the\n\
         choice among backends with affinity on and all their limits, first event, end, price. No input or output.\n\
         This page is written by `cargo xtask bench --deciding`.\n\n\
         Instructions are counted by valgrind: two runs of different length, their difference divided by the rounds\n\
         between them. They are the same on every run of one build. CPU time is the best of ten spells and depends on\n\
         the machine.\n\n",
    );
    page.push_str(machine);
    page.push_str("\n## Figures\n\n| | instructions | CPU time (ns) |\n|---|---|---|\n");
    for ((_, words), cost) in SCENES.iter().zip(costs) {
        writeln!(page, "| {words} | {:.0} | {:.0} |", cost.instructions, cost.nanoseconds)
            .expect("a string takes all");
    }
    page.push_str("\n## Reading\n\n");
    for Verdict { text, holds } in verdicts(costs) {
        let word = if holds { "kept" } else { "**missed**" };
        writeln!(page, "- {text}: {word}.").expect("a string takes all");
    }
    page.push_str(
        "- A turn is the end of one request on a full gateway: the next in line gets its backend, and another one takes\n  \
         the last place. What grows with the backends is the look at each of them; nothing is allocated for it\n  \
         (`crates/policy/tests/allocations.rs`).\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(request: f64, crowded: f64) -> Vec<Cost> {
        let cost = |(name, _): &(&str, &str)| Cost {
            instructions: if *name == "waiting/1000" { crowded } else { 1000.0 },
            nanoseconds: request,
        };
        SCENES.iter().map(cost).collect()
    }

    #[test]
    fn the_page_says_what_is_missed() {
        for (request, crowded, missed) in
            [(2900.0, 1200.0, 0), (3100.0, 1200.0, 1), (2900.0, 1300.0, 1), (3100.0, 1300.0, 2)]
        {
            let page = page("a machine\n", &costs(request, crowded));
            assert_eq!(page.matches("**missed**").count(), missed, "{page}");
        }
    }
}
