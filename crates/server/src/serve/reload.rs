//! Decides when the configuration is read again: on SIGHUP, and when its file changed and has been quiet for a moment.

use std::{path::Path, sync::Arc, time::Duration};

use control::config::Settings;
use control::publish::{Publisher, Reloader, Trigger};
use notify::Watcher;
use store::RetentionDial;
use store::audit::{Author, Via};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{assemble::Assembled, logging::Level};

/// Editors write a file in several steps; it is read when it has been left alone for this long.
const QUIET: Duration = Duration::from_millis(250);
/// How often the directory is asked whether the command line changed it.
const CATCH_UP_INTERVAL: Duration = Duration::from_secs(1);

/// Starts watching, for as long as the program runs.
pub(super) fn watch(assembled: &Assembled, level: Level) -> std::io::Result<()> {
    let tasks = &assembled.tasks;
    let reloading = Reloading {
        reloader: assembled.reloader.clone(),
        publisher: assembled.publisher.clone(),
        level,
        retention: assembled.mover.retention(),
    };
    // Heard from now on: one that comes unexpected ends the process.
    let hangups = signal(SignalKind::hangup())?;
    tasks.spawn("sighup", on_hangup(hangups, reloading.clone()));
    tasks.spawn("catch-up", catch_up(reloading.clone()));
    if let Some(file) = assembled.sources.file() {
        tasks.spawn("file watch", on_change(file.to_owned(), reloading));
    }
    Ok(())
}

/// What a reload touches.
#[derive(Clone)]
struct Reloading {
    reloader: Reloader,
    publisher: Publisher,
    level: Level,
    retention: RetentionDial,
}

impl Reloading {
    async fn reload(&self, trigger: Trigger) {
        // A reload that fails has said why, and left what was in force.
        let Ok(reloaded) = self.reloader.reload(trigger, author(trigger)).await else { return };
        tracing::info!(version = reloaded.version, "the configuration was reloaded");
        self.follow(&self.publisher.loaded().settings);
    }

    /// Takes over the hot settings that no snapshot carries.
    fn follow(&self, settings: &Settings) {
        self.retention.set(settings.retention);
        if let Err(error) = self.level.set(settings.log_level) {
            tracing::warn!(%error, "the log level was not changed");
        }
    }
}

/// Nobody can tell who wrote a file or sent a signal: the audit log tells what came.
fn author(trigger: Trigger) -> Author {
    let name = if trigger == Trigger::Signal { "SIGHUP" } else { "file" };
    Author { name: Arc::from(name), via: Via::Reload, address: None }
}

async fn on_hangup(mut hangups: Signal, reloading: Reloading) {
    while hangups.recv().await.is_some() {
        reloading.reload(Trigger::Signal).await;
    }
}

/// Watches the file's folder: a file that is replaced, as editors and Kubernetes do, is another file afterwards.
async fn on_change(file: std::path::PathBuf, reloading: Reloading) {
    let (changed, mut changes) = mpsc::channel::<()>(1);
    let name = file.file_name().map(std::ffi::OsStr::to_owned);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let is_write = event.kind.is_create() || event.kind.is_modify() || event.kind.is_remove();
        // `..data` is the link that Kubernetes swaps.
        let is_ours =
            event.paths.iter().any(|path| path.file_name() == name.as_deref() || path.ends_with("..data"));
        if is_write && is_ours {
            // A full channel means that a reload is due anyway.
            changed.try_send(()).unwrap_or_default();
        }
    });
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let watching = watcher.and_then(|mut watcher| {
        watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    let _watcher = match watching {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "the configuration file is not watched; send SIGHUP after changing it");
            return;
        }
    };
    while changes.recv().await.is_some() {
        while tokio::time::timeout(QUIET, changes.recv()).await.is_ok_and(|change| change.is_some()) {}
        reloading.reload(Trigger::FileChange).await;
    }
}

/// Also takes over what was changed by API or command and is in no snapshot, as no request reads it.
async fn catch_up(reloading: Reloading) {
    let publisher = &reloading.publisher;
    let followed = |settings: &Settings| (settings.log_level, settings.retention);
    let mut in_force = followed(&publisher.loaded().settings);
    let mut rounds = tokio::time::interval(CATCH_UP_INTERVAL);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if let Err(error) = publisher.catch_up().await {
            tracing::debug!(%error, "the directory could not be looked at");
        }
        let loaded = publisher.loaded();
        let wanted = followed(&loaded.settings);
        if wanted != in_force {
            reloading.follow(&loaded.settings);
            in_force = wanted;
        }
    }
}
