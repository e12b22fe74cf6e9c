//! Decides how serving ends: no new connection, streams finish, the journal is moved, then the process exits.

use std::{process::ExitCode, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{assemble::Assembled, instances};

/// How long moving the journal into the ledger may take at the end; what is left is moved at the next start.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);

/// How long local processes may take to end: longer than one is given to do so by itself.
const PROCESSES_END: Duration = Duration::from_secs(8);

/// What asks a gateway to end, heard from when this is made.
pub(super) struct Requests {
    terminate: Signal,
    interrupt: Signal,
}

impl Requests {
    /// Begins to listen. A signal that comes before would end the process where it stands.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at the next SIGTERM or SIGINT.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Lets streams finish up to the drain timeout or a second signal, then moves the journal.
pub(super) async fn drain(assembled: Assembled, mut requests: Requests) -> anyhow::Result<ExitCode> {
    let drain_timeout = assembled.settings.drain_timeout;
    tracing::info!(drain_timeout_s = drain_timeout.as_secs(), "stopping: finishing what is in flight");
    assembled.gateway.stop_admitting();
    assembled.stop.send_replace(true);
    let drained = async {
        assembled.tasks.drained("listener").await;
        assembled.tasks.drained("connection").await;
        // Streams that wait for clients who cannot come back.
        assembled.tasks.drained("resumable").await;
        assembled.gateway.abandoned_taken_up().await;
        // Streams whose clients left, on backends that are to be heard to the end.
        assembled.tasks.drained("drain").await;
    };
    tokio::select! {
        () = drained => {}
        () = requests.next() => {
            tracing::warn!("stopping at once: a second signal came");
        }
        () = tokio::time::sleep(drain_timeout) => {
            tracing::warn!("stopping at once: the drain timeout has passed");
        }
    }
    assembled.fleet.stop();
    if tokio::time::timeout(PROCESSES_END, assembled.tasks.drained(instances::TASK)).await.is_err() {
        tracing::warn!("some local processes did not end in time; they end with this one");
    }
    match tokio::time::timeout(FLUSH_LIMIT, assembled.chronicle.write_down()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => tracing::warn!("the last events were not written down"),
    }
    let (mover, gateway) = (assembled.mover, assembled.gateway);
    let flushed = tokio::task::spawn_blocking(move || {
        if !gateway.kept_written(FLUSH_LIMIT) {
            tracing::warn!("some responses were not written; the next start will not know them");
        }
        if !gateway.captures_written(FLUSH_LIMIT) {
            tracing::warn!("some captures were not written, and are lost");
        }
        mover.flush(FLUSH_LIMIT)
    });
    let flushed = flushed.await?;
    if !flushed {
        tracing::warn!("the journal was not wholly moved into the ledger; the next start will go on with it");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
