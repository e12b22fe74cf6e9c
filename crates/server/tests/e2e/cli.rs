//! The command line: what each command prints, where, and with which exit code; each runs as a process of its own, in a
//! folder of its own, with an empty environment.

mod config;
mod directory;
mod doctor;
mod import;
mod talking;
mod terminal;

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The binary under test.
pub(crate) const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");
/// A credential that may appear nowhere.
pub(crate) const CANARY: &str = "sk-canary-5ecf3a1d77b04e0c9f2a";

/// A folder to type commands in.
pub(crate) struct Shell {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), variables: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("a file");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(LOCKGATE);
        command.args(arguments).current_dir(self.path()).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "").await
    }

    /// Runs with this on standard input. Whatever it does, it shows no secret and no colour.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that reads nothing may have closed it.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        let output = child.wait_with_output().await.expect("it ends");
        let ran = Ran {
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
            code: output.status.code(),
        };
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(CANARY), "{arguments:?} shows a secret: {text}");
            assert!(!text.contains('\x1b'), "{arguments:?} colours a pipe: {text}");
        }
        ran
    }

    /// Runs what must succeed, and gives its standard output.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments).await;
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.stdout
    }

    /// Runs what must succeed, and reads its standard output as JSON.
    pub(crate) async fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(arguments).await).expect("JSON")
    }

    /// Whether any file here holds this text in clear.
    fn holds(&self, text: &str) -> bool {
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if memchr::memmem::find(&std::fs::read(&path).expect("a file"), text.as_bytes())
                    .is_some()
                {
                    return true;
                }
            }
        }
        false
    }
}

impl Ran {
    /// Everything that is seen of it, for a snapshot.
    fn told(&self) -> String {
        format!("{}--- stderr\n{}--- exit {}\n", self.stdout, self.stderr, self.code.unwrap_or(-1))
    }
}

#[tokio::test]
async fn help_says_what_there_is() {
    insta::assert_snapshot!(Shell::new().run(&["--help"]).await.told());
}

#[tokio::test]
async fn what_cannot_be_understood_is_a_usage_error() {
    let shell = Shell::new();
    for arguments in [
        &[][..],
        &["fly"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--set", "queue_max"],
        &["usage", "--by", "moon"],
        &["backends", "add", "a", "--api-key", CANARY],
        &["backends", "add", "a", "--api-key-env", "A", "--api-key-stdin"],
        &["completions", "cmd.exe"],
    ] {
        let mut child = shell.command(arguments);
        let output = child.output().await.expect("it ends");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?} is told why");
    }
}

#[tokio::test]
async fn the_version_is_told_to_people_and_to_programs() {
    let shell = Shell::new();
    let version = shell.json(&["version", "--json"]).await;
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let line = shell.ok(&["version"]).await;
    assert!(line.starts_with(&format!("lockgate {} (", env!("CARGO_PKG_VERSION"))), "{line}");
}

#[tokio::test]
async fn every_shell_gets_a_script_that_knows_the_commands() {
    let shell = Shell::new();
    for name in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = shell.ok(&["completions", name]).await;
        assert!(script.contains("doctor") && script.contains("lockgate"), "{name}");
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let shell = Shell::new();
    let mut child = shell.command(&["config", "schema"]).spawn().expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test]
async fn looking_leaves_no_trace() {
    let shell = Shell::new().with("OPENAI_API_KEY", CANARY);
    for arguments in [
        &["check"][..],
        &["config", "show"],
        &["config", "schema"],
        &["keys", "list"],
        &["backends", "list", "--json"],
        &["models", "--configured"],
        &["usage"],
        &["doctor", "--offline"],
    ] {
        shell.run(arguments).await;
        let left: Vec<_> = std::fs::read_dir(shell.path()).expect("a folder").collect();
        assert!(left.is_empty(), "{arguments:?} left {left:?}");
    }
}
