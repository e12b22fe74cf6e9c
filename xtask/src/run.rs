//! Starts other programs in the foreground, passing on what they print; never hides an exit code.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Cargo, in the folder of the workspace.
pub(crate) fn cargo(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root);
    command
}

/// Runs to the end with the terminal handed through.
///
/// # Errors
/// When it cannot start, or says no.
pub(crate) fn pass(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name}: {status}");
    }
    Ok(())
}

/// Runs to the end, passes on each line as it comes, and lets `watch` read it too.
///
/// # Errors
/// When it cannot start, or says no.
pub(crate) fn watch(command: &mut Command, mut watch: impl FnMut(&str)) -> Result<()> {
    let name = format!("{command:?}");
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    // The command holds the pipe's writing ends: without giving them up here the reading would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        watch(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{name}: {status}");
    }
    Ok(())
}

/// Whether the program can be found on this machine.
pub(crate) fn found(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .chain([Path::new("/usr/sbin").to_owned()])
        .any(|p| p.join(program).is_file())
}
