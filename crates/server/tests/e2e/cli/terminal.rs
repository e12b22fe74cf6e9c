//! What a person sees at a terminal: a pseudo-terminal stands in for it; what is typed and shown goes through it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use testkit::{Behaviour, GatewaySettings, ScriptedProvider};
use tokio::process::Child;
use tokio::sync::watch;

use super::{CANARY, LOCKGATE, Shell};

/// A command at a terminal.
struct Terminal {
    child: Child,
    /// What a person types goes in here, and what is shown comes out.
    person: File,
    /// Held open, so that the terminal outlives the command.
    line: File,
    shown: watch::Receiver<String>,
}

impl Terminal {
    /// A new terminal shows what is typed; whether it still does once this returned is up to the command.
    fn start(shell: &Shell, arguments: &[&str]) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&person).expect("granted");
        unlockpt(&person).expect("unlocked");
        let name = ptsname(&person, Vec::new()).expect("a name");
        let name = std::ffi::OsStr::from_bytes(name.as_bytes());
        let line = OpenOptions::new().read(true).write(true).open(name).expect("the other side");
        assert!(echoes(&line), "a terminal shows what is typed");
        let stdio = || Stdio::from(line.try_clone().expect("a copy"));
        let mut command = shell.command(arguments);
        let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().expect("the binary runs");
        let person = File::from(person);
        let shown = follow(person.try_clone().expect("a copy"));
        Self { child, person, line, shown }
    }

    fn types(&mut self, text: &str) {
        self.person.write_all(text.as_bytes()).expect("typed");
    }

    /// Waits until `text` was shown so many times.
    async fn shows(&mut self, text: &str, times: usize) {
        let enough = |shown: &String| shown.matches(text).count() >= times;
        if self.shown.wait_for(enough).await.is_err() {
            panic!("{text} never came {times} times: {}", *self.shown.borrow());
        }
    }

    /// Whether what is typed is shown.
    fn echoes(&self) -> bool {
        echoes(&self.line)
    }

    fn interrupt(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.expect("it runs"), Signal::INT).expect("signalled");
    }

    async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.expect("it ends")
    }
}

fn echoes(line: &File) -> bool {
    tcgetattr(line).expect("a terminal").local_modes.contains(LocalModes::ECHO)
}

/// Gathers what is shown, until the terminal is gone.
fn follow(mut from: File) -> watch::Receiver<String> {
    let (sender, shown) = watch::channel(String::new());
    tokio::task::spawn_blocking(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            sender.send_modify(|shown| shown.push_str(&text));
        }
    });
    shown
}

const ADD: &[&str] = &[
    "backends",
    "add",
    "a",
    "--kind",
    "openai_compatible",
    "--base-url",
    "http://127.0.0.1:1/v1",
    "--api-key-stdin",
];

#[tokio::test]
async fn a_key_that_is_typed_is_not_shown() {
    let shell = Shell::new();
    let mut terminal = Terminal::start(&shell, ADD);
    terminal.shows("It is not shown.", 1).await;
    assert!(!terminal.echoes());
    terminal.types(&format!("{CANARY}\n"));
    assert_eq!(terminal.ended().await.code(), Some(0));
    assert!(terminal.echoes(), "the terminal is as it was");
    terminal.shows("was added", 1).await;
    assert!(!terminal.shown.borrow().contains(CANARY));
    let listed = shell.ok(&["backends", "list"]).await;
    assert!(listed.contains(&policy::masked(CANARY)), "{listed}");
}

#[tokio::test]
async fn an_interrupt_leaves_the_terminal_as_it_was() {
    let shell = Shell::new();
    let mut terminal = Terminal::start(&shell, ADD);
    terminal.shows("It is not shown.", 1).await;
    terminal.interrupt();
    assert_eq!(terminal.ended().await.code(), Some(1));
    assert!(terminal.echoes());
    assert!(shell.ok(&["backends", "list", "--json"]).await.trim_end().starts_with('['), "nothing was added");
}

#[tokio::test]
async fn a_conversation_goes_on_with_all_that_was_said() {
    const TEXT: &str = "The quick brown fox jumps over the lazy dog.";
    let provider = ScriptedProvider::start().await;
    let config = format!(
        "backends:\n  - {{name: a, kind: openai_compatible, base_url: '{}', limits: {{rpm: 0}}, models: {{m: {{}}}}}}\n",
        provider.base_url()
    );
    let gateway = GatewaySettings::new(LOCKGATE).config(config).start().await.expect("a gateway");
    let shell = Shell::new().with("LOCKGATE_URL", &format!("http://{}", gateway.address()));
    let mut terminal = Terminal::start(&shell, &["chat", "m"]);
    let said = async |terminal: &mut Terminal, turn: usize, text: &str| {
        terminal.shows("> ", turn).await;
        terminal.types(&format!("{text}\n"));
        let asked = provider.next_request().await.json();
        let messages = asked["messages"].as_array().expect("messages").clone();
        messages
            .iter()
            .map(|message| message["content"].as_str().unwrap_or_default().trim().to_owned())
            .collect()
    };
    let first: Vec<String> = said(&mut terminal, 1, "one").await;
    assert_eq!(first, ["one"]);
    terminal.shows(TEXT, 1).await;
    provider.then(Behaviour::json(400, &serde_json::json!({"error": {"message": "no such thing"}})));
    let refused: Vec<String> = said(&mut terminal, 2, "two").await;
    assert_eq!(refused, ["one", TEXT, "two"]);
    terminal.shows("no such thing", 1).await;
    // What failed was never said.
    provider.then(Behaviour::healthy().paced());
    let third: Vec<String> = said(&mut terminal, 3, "three").await;
    assert_eq!(third, ["one", TEXT, "three"]);
    provider.step(3);
    terminal.shows("The", 2).await;
    terminal.interrupt();
    terminal.shows("stopped by you", 1).await;
    let fourth: Vec<String> = said(&mut terminal, 4, "four").await;
    assert_eq!((fourth.len(), fourth.last().map(String::as_str)), (5, Some("four")));
    assert!(TEXT.starts_with(&fourth[3]) && !fourth[3].is_empty(), "{fourth:?}");
    terminal.shows("> ", 5).await;
    terminal.types("\x04");
    assert_eq!(terminal.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_interrupt_at_the_prompt_ends_a_conversation() {
    let (nobody, _held) = testkit::refused_address().expect("an address");
    let shell = Shell::new().with("LOCKGATE_URL", &format!("http://{nobody}"));
    let mut terminal = Terminal::start(&shell, &["chat", "m"]);
    terminal.shows("> ", 1).await;
    terminal.interrupt();
    assert_eq!(terminal.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_export_says_how_far_it_is() {
    let shell = Shell::new().with("TERM", "xterm");
    for name in ["one", "two", "three"] {
        shell.ok(&["keys", "create", name]).await;
    }
    let mut terminal = Terminal::start(&shell, &["export", "audit", "--output", "audit.csv"]);
    assert_eq!(terminal.ended().await.code(), Some(0));
    terminal.shows("%, ", 1).await;
    terminal.shows("3 rows were exported.", 1).await;
}
