//! Holds the dashboard's sources to their types, and its libraries to what their authors published; never builds anything.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::run;
use crate::testenv::TestEnv;

const DASHBOARD: &str = "crates/control/dashboard";

/// Each vendored file, and where it lies in its author's package.
const VENDORED: &[(&str, &str)] = &[
    ("preact/preact.mjs", "preact/dist/preact.mjs"),
    ("preact/hooks.mjs", "preact/hooks/dist/hooks.mjs"),
    ("preact/LICENSE", "preact/LICENSE"),
    ("signals/signals.mjs", "@preact/signals/dist/signals.mjs"),
    ("signals/LICENSE", "@preact/signals/LICENSE"),
    ("signals-core/signals-core.mjs", "@preact/signals-core/dist/signals-core.mjs"),
    ("signals-core/LICENSE", "@preact/signals-core/LICENSE"),
    ("htm/htm.mjs", "htm/dist/htm.mjs"),
    ("htm/LICENSE", "htm/LICENSE"),
    ("uplot/uPlot.esm.js", "uplot/dist/uPlot.esm.js"),
    ("uplot/uPlot.min.css", "uplot/dist/uPlot.min.css"),
    ("uplot/LICENSE", "uplot/LICENSE"),
];

/// Checks both.
///
/// # Errors
/// When a type does not hold, or a vendored file is not what its author published, or is not known here.
pub(crate) fn check(root: &Path, packages: &Path) -> Result<()> {
    let vendor = root.join(DASHBOARD).join("vendor");
    for (ours, theirs) in VENDORED {
        let read = |path: &Path| std::fs::read(path).with_context(|| path.display().to_string());
        let same = read(&vendor.join(ours))? == read(&packages.join(theirs))?;
        ensure!(same, "{ours} is not what {theirs} is in the pinned package");
    }
    let count = count_files(&vendor)?;
    ensure!(count == VENDORED.len(), "{count} files are vendored, {} are known", VENDORED.len());
    let mut compiler = Command::new(packages.join(".bin/tsc"));
    compiler.arg("--project").arg(root.join(DASHBOARD).join("tsconfig.json"));
    run::pass(&mut compiler)?;
    println!("{count} vendored files are as published, and the types of the dashboard hold");
    Ok(())
}

/// Photographs every page of a gateway before simulated providers and local processes.
///
/// # Errors
/// When the binary cannot be built or the browser not be driven.
pub(crate) fn pictures(root: &Path, environment: &TestEnv) -> Result<()> {
    environment.ready()?;
    run::pass(&mut run::cargo(
        root,
        &["build", "--locked", "--package", "lockgate", "--package", "fake-lingma"],
    ))?;
    let clients = environment.node_modules().with_file_name("clients");
    let mut photographer = Command::new("node");
    photographer.args(["--preserve-symlinks", "--preserve-symlinks-main"]);
    photographer.arg(clients.join("dashboard_pictures.mjs")).arg(root.join("docs/dashboard"));
    let built = root.join("target/debug");
    photographer.env("LOCKGATE", built.join("lockgate")).env("FAKE_LINGMA", built.join("fake-lingma"));
    run::pass(&mut photographer)
}

fn count_files(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { count_files(&entry.path())? } else { 1 };
    }
    Ok(count)
}
