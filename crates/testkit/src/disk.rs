//! Gives one test a small disk of its own, in a process of its own; never fills it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Tells the process where its disk is.
const DISK: &str = "LOCKGATE_TEST_DISK";

/// Runs the ignored test `test` of the present binary alone, before a fresh tmpfs of `size` (as `mount` writes it,
/// `64m`), in a private mount namespace. There, temporary folders are on that disk, and a file beyond its limit is an
/// error code instead of a signal. Returns what the test printed.
///
/// # Panics
/// When the test fails, and when this machine allows no private mounts: what was not tried has not passed.
pub fn run_on_small_disk(test: &str, size: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mount = format!("mount -t tmpfs -o size={size} tmpfs \"${DISK}\"");
    // A user namespace where that is allowed; root needs none.
    let namespace = ["-Urm", "-m"].into_iter().find(|namespace| {
        in_namespace(namespace, &mount, folder.path(), &[]).is_ok_and(|output| output.status.success())
    });
    let namespace = namespace.expect("private mounts: allow user namespaces (unshare -Urm), or run as root");
    let binary = std::env::current_exe().expect("this test");
    let arguments = [&*binary.to_string_lossy(), "--ignored", "--exact", test, "--nocapture"];
    let script = format!("{mount}; trap '' XFSZ; exec \"$@\"");
    let output = in_namespace(namespace, &script, folder.path(), &arguments).expect("the process starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    said.into_owned()
}

/// The disk of this process.
///
/// # Panics
/// When the test was not started by [`run_on_small_disk`].
pub fn small_disk() -> PathBuf {
    std::env::var_os(DISK).map(PathBuf::from).expect("started by run_on_small_disk")
}

fn in_namespace(namespace: &str, script: &str, disk: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    let mut command = Command::new("unshare");
    command.args([namespace, "sh", "-ec", script, "sh"]).args(arguments);
    command.env(DISK, disk).env("TMPDIR", disk).output()
}
