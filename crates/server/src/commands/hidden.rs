//! Decides how a secret is typed: one line at the terminal, which does not show it; leaves the terminal as it was, also
//! when ^C comes first.

use std::io::{self, Stdin, stdin};

use anyhow::Context;
use policy::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::output;

/// Asks for one line that nobody shall see. Standard input must be a terminal.
pub(super) async fn ask(question: &str) -> anyhow::Result<Secret> {
    // Before anything is hidden: an interrupt must find somebody who restores it.
    let mut stopped = signal(SignalKind::interrupt())?;
    let unseen = Unseen::begin().context("the terminal cannot be told to hide what is typed")?;
    output::remark(question);
    let read = tokio::select! {
        read = tokio::task::spawn_blocking(read_line) => read?.context("standard input cannot be read"),
        _ = stopped.recv() => Err(anyhow::anyhow!("stopped before a key was given")),
    };
    drop(unseen);
    read
}

fn read_line() -> io::Result<Secret> {
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    Ok(Secret::new(line))
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Unseen {
    terminal: Stdin,
    before: Termios,
}

impl Unseen {
    fn begin() -> io::Result<Self> {
        let terminal = stdin();
        let before = tcgetattr(&terminal)?;
        let mut hiding = before.clone();
        hiding.local_modes.remove(LocalModes::ECHO);
        // The Enter at its end is shown, so that what follows begins on a line of its own.
        hiding.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&terminal, OptionalActions::Now, &hiding)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing restored.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
