//! Decides how a program is started so that no end of the gateway leaves it behind; never which program.
//!
//! The kernel ends a child when the thread that started it ends, if the child asks for that. So one thread that lives as
//! long as the gateway starts them all; and between it and the program stands, for a moment, the gateway's own binary,
//! which does the asking and then becomes the program.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the launcher is told first, so that nobody starts it by accident.
pub const BECOME_CHILD: &str = "become-child";

/// Becomes the program that the arguments name, unless the gateway that started this is gone already. Returns only when
/// that is not possible: `become-child PARENT PROGRAM ARGUMENTS..`.
pub fn become_child(arguments: &[OsString]) -> io::Error {
    let usage = || io::Error::other("this is not a command for people");
    let [word, parent, program, rest @ ..] = arguments else { return usage() };
    let parent = parent.to_str().and_then(|parent| parent.parse::<i32>().ok());
    let (Some(parent), true) = (parent, word == BECOME_CHILD) else { return usage() };
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
    {
        return error.into();
    }
    // It may have ended before the kernel was asked.
    if rustix::process::getppid().map(rustix::process::Pid::as_raw_nonzero).map(i32::from) != Some(parent) {
        return io::Error::other("the gateway is gone");
    }
    #[cfg(target_os = "linux")]
    // The gateway does without huge pages, which is inherited; a model that runs here may be glad of them.
    let _refused = rustix::thread::disable_transparent_huge_pages(false);
    let error = std::process::Command::new(program).args(rest).exec();
    io::Error::new(error.kind(), format!("{}: {error}", Path::new(program).display()))
}

/// The arguments of [`become_child`], if the process was started as one.
pub(super) fn through(launcher: Option<&Path>, program: &Path) -> Command {
    match launcher {
        None => Command::new(program),
        Some(launcher) => {
            let mut command = Command::new(launcher);
            command.arg(BECOME_CHILD).arg(std::process::id().to_string()).arg(program);
            command
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The thread that starts programs. They end with it.
#[derive(Debug)]
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    /// Starts the thread; inside of a runtime only.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Handle::current();
        let (jobs, waiting) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("process spawner".to_owned()).spawn(move || {
            let _inside = runtime.enter();
            waiting.into_iter().for_each(|job| job());
        })?;
        Ok(Self { jobs })
    }

    /// Starts a program in a group of its own, with its output to be read.
    pub(super) async fn spawn(&self, mut command: Command) -> io::Result<Child> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let (started, child) = oneshot::channel();
        let job = Box::new(move || {
            // One whose starter has given up is ended by being dropped.
            let _ = started.send(command.kill_on_drop(true).spawn());
        });
        let gone = || io::Error::other("the thread that starts programs is gone");
        self.jobs.send(job).map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}
