//! Decides the life of one program: how it is started, noted, watched and ended with all that it started; never when.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::launch::Spawner;
use super::ring::Ring;

/// How long it may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Where it is noted in its folder, so that a later gateway finds one that was left behind.
const NOTE: &str = "lockgate-child.json";

/// A running program.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    group: Pid,
    note: PathBuf,
    /// They read what it prints.
    readers: JoinSet<()>,
}

/// Which process it is: ids are given again, so the time of its start belongs to it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    pid: i32,
    started: u64,
}

impl Child {
    /// Starts a program that works in `folder`.
    pub(super) async fn spawn(
        spawner: &Spawner,
        command: Command,
        folder: &Path,
        ring: &Ring,
    ) -> io::Result<Self> {
        let mut process = spawner.spawn(command).await?;
        let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = group.ok_or_else(|| io::Error::other("it has ended already"))?;
        let mut readers = JoinSet::new();
        if let Some(output) = process.stdout.take() {
            readers.spawn(ring.clone().follow(output));
        }
        if let Some(errors) = process.stderr.take() {
            readers.spawn(ring.clone().follow(errors));
        }
        let child = Self { process, group, note: folder.join(NOTE), readers };
        if let Some(started) = started(group.as_raw_nonzero().get()) {
            let note = Note { pid: group.as_raw_nonzero().get(), started };
            let text = serde_json::to_string(&note).expect("two numbers can be written");
            std::fs::write(&child.note, text)?;
        }
        Ok(child)
    }

    pub(super) fn id(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended, once it has.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn ended(&mut self) -> String {
        match self.process.wait().await {
            Ok(status) => format!("it ended ({status})"),
            Err(error) => format!("it cannot be watched: {error}"),
        }
    }

    /// Asks it to end, and ends it when it does not; with it all that it started.
    pub(super) async fn stop(mut self) {
        // One that is gone needs no signal.
        let _ = kill_process_group(self.group, Signal::TERM);
        let _ = tokio::time::timeout(GRACE, self.process.wait()).await;
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.process.wait().await;
        // What it said last is worth reading, but a grandchild may hold the pipe open.
        let _ = tokio::time::timeout(Duration::from_millis(200), async {
            while self.readers.join_next().await.is_some() {}
        })
        .await;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = std::fs::remove_file(&self.note);
    }
}

/// Ends a program that an earlier gateway has left behind in this folder, if there is one.
pub(super) async fn end_stale(folder: &Path) -> bool {
    let path = folder.join(NOTE);
    let Ok(text) = tokio::fs::read_to_string(&path).await else { return false };
    let _ = tokio::fs::remove_file(&path).await;
    let Ok(note) = serde_json::from_str::<Note>(&text) else { return false };
    let Some(group) = Pid::from_raw(note.pid) else { return false };
    if started(note.pid) != Some(note.started) || kill_process_group(group, Signal::KILL).is_err() {
        return false;
    }
    // Its ports are free once it is gone; nobody tells when that is, as it is no child of ours.
    for _ in 0..100 {
        if test_kill_process_group(group).is_err() || started(note.pid) != Some(note.started) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// When a process was started, in ticks since the machine was; nothing where there is no such process, or no such file.
fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything; the state is the first field behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 1000 & wait"]);
        command
    }

    #[tokio::test]
    async fn it_ends_with_all_that_it_started_and_leaves_no_note() {
        let folder = tempfile::tempdir().expect("a folder");
        let spawner = Spawner::start().expect("a thread");
        let ring = Ring::default();
        let child = Child::spawn(&spawner, sleeper(), folder.path(), &ring).await.expect("it starts");
        let group = child.group;
        assert!(test_kill_process_group(group).is_ok() && folder.path().join(NOTE).exists());
        child.stop().await;
        assert!(!folder.path().join(NOTE).exists());
        let is_running = || {
            let members = std::fs::read_dir("/proc").expect("a list of processes").flatten();
            let stats = members.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
            let mut stats = stats.filter_map(|stat| {
                let mut fields = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned);
                Some((fields.next()?, fields.nth(1)?.parse::<i32>().ok()?))
            });
            stats.any(|(state, of)| of == group.as_raw_nonzero().get() && state != "Z")
        };
        for _ in 0..100_000 {
            if !is_running() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(!is_running(), "the program that it started has outlived it");
    }

    #[tokio::test]
    async fn one_left_behind_is_ended_and_a_stranger_with_its_number_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let spawner = Spawner::start().expect("a thread");
        let mut child =
            Child::spawn(&spawner, sleeper(), folder.path(), &Ring::default()).await.expect("it starts");
        let pid = child.group.as_raw_nonzero().get();
        let started = started(pid).expect("it runs");
        let note = |started| serde_json::to_string(&Note { pid, started }).expect("written");
        assert!(!end_stale(&folder.path().join("elsewhere")).await, "there is no note");
        for (text, is_it) in [
            ("{".to_owned(), false),
            (note(started + 1), false),
            (note(started), true),
            (note(started), false),
        ] {
            std::fs::write(folder.path().join(NOTE), &text).expect("written");
            // The last time it is gone, and its number nobody's.
            assert_eq!(end_stale(folder.path()).await, is_it, "{text}");
            if is_it {
                assert!(child.ended().await.contains("signal: 9"));
            }
        }
    }
}
