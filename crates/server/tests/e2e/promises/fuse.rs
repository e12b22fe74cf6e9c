//! Decides at which event the gateway dies: the n-th thing that is said, or the n-th write to its data folder; no clock
//! plays a part.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::process::{Pid, Signal, kill_process};

/// Kills a process once enough has happened.
#[derive(Default)]
pub(super) struct Fuse(Mutex<Option<Lit>>);

struct Lit {
    process: Pid,
    trigger: Trigger,
    left: u32,
}

/// What burns a fuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A call at a provider, or a piece of an answer at a client.
    Talk,
    /// Something changed in the data folder.
    Writing,
    /// The master key's files changed, or the database.
    Rotating,
}

impl Fuse {
    /// From now on the `length`-th event of this kind kills the process.
    pub(super) fn light(&self, process: u32, trigger: Trigger, length: u32) {
        let process = i32::try_from(process).ok().and_then(Pid::from_raw).expect("the id of a process");
        *self.lock() = Some(Lit { process, trigger, left: length });
    }

    /// One event.
    pub(super) fn burn(&self, trigger: Trigger) {
        let mut fuse = self.lock();
        let Some(lit) = fuse.as_mut().filter(|lit| lit.trigger == trigger) else { return };
        lit.left -= 1;
        if lit.left == 0 {
            // Nobody has waited for the process yet, so the id is still its own.
            kill_process(lit.process, Signal::KILL).expect("the process is there");
            *fuse = None;
        }
    }

    /// Puts it out. Returns whether it had done its work before.
    pub(super) fn put_out(&self) -> bool {
        self.lock().take().is_none()
    }

    /// Whether the last one lit has done its work.
    pub(super) fn is_blown(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Lit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Burns the fuse with whatever happens below `folder`, for as long as the watcher is kept.
pub(super) fn on_writing(folder: &Path, fuse: &Arc<Fuse>) -> RecommendedWatcher {
    let fuse = Arc::clone(fuse);
    let burn = move |event: Result<Event, notify::Error>| {
        let event = event.expect("the data folder can be watched");
        if event.kind.is_access() {
            return;
        }
        fuse.burn(Trigger::Writing);
        if event.paths.iter().any(|path| changes_in_a_rotation(path)) {
            fuse.burn(Trigger::Rotating);
        }
    };
    let mut watcher = notify::recommended_watcher(burn).expect("a watcher");
    watcher.watch(folder, RecursiveMode::Recursive).expect("a watched folder");
    watcher
}

fn changes_in_a_rotation(path: &Path) -> bool {
    let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    name.starts_with("master.key") || name.starts_with("lockgate.db")
}
