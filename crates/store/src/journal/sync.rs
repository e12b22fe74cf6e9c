//! Brings the journal to the disk for `durability: disk`, many writers with one fsync; it never runs in the path
//! of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::JournalError;
use super::append::{Bell, Core};

/// How far the disk has it, in bytes appended since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    upto: u64,
    /// What the last failed fsync was to cover: after a failure the kernel may have dropped those pages.
    lost: Option<(u64, u64)>,
}

impl Reached {
    fn verdict(self, total: u64) -> Option<Result<(), JournalError>> {
        match self.lost {
            Some((from, to)) if from < total && total <= to => Some(Err(JournalError::Sync)),
            _ => (self.upto >= total).then_some(Ok(())),
        }
    }
}

/// The group fsync.
#[derive(Debug)]
pub(super) struct Sync {
    wanted: Bell,
    reached: watch::Sender<Reached>,
}

impl Sync {
    pub(super) fn new() -> Self {
        Self { wanted: Bell::default(), reached: watch::Sender::default() }
    }

    /// Resolves when everything up to `total` is on the disk, or surely is not.
    ///
    /// # Cancel safety
    /// Yes: the fsync goes on without the waiter.
    pub(super) async fn reach(&self, total: u64) -> Result<(), JournalError> {
        let mut reached = self.reached.subscribe();
        self.wanted.ring();
        let verdict = reached.wait_for(|reached| reached.verdict(total).is_some()).await;
        verdict.map_err(|_| JournalError::Sync)?.verdict(total).unwrap_or(Err(JournalError::Sync))
    }

    pub(super) fn ring(&self) {
        self.wanted.ring();
    }

    /// Serves waiters until `stop`: each round covers everybody who wrote before it began.
    pub(super) fn serve(&self, core: &Arc<Core>, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            self.wanted.wait(Duration::from_secs(3600));
            let (total, files) = core.unsynced();
            let outcome = files.iter().try_for_each(|file| file.sync_data());
            if let Err(error) = &outcome {
                tracing::error!(%error, "the journal could not be brought to the disk");
                core.abandon_segment();
            }
            self.reached.send_modify(|reached| match outcome {
                Ok(()) => reached.upto = total,
                Err(_) => {
                    reached.lost = Some((reached.upto, total));
                    reached.upto = total;
                }
            });
        }
    }
}
