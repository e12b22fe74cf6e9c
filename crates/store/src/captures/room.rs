//! Decides how much memory captures may take, all together; it never waits for room and never takes what is not there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Counted;

/// What captures may hold at once, those that are being made and those that wait for the disk.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What each takes beside its bodies: its headers.
const ENTRY_BYTES: usize = 16 * 1024;

/// Room for one capture in memory; given back when it is dropped.
#[derive(Debug)]
pub struct CaptureRoom {
    counted: Arc<Counted>,
    held: usize,
}

impl CaptureRoom {
    pub(super) fn enter(counted: &Arc<Counted>) -> Option<Self> {
        let mut room = Self { counted: Arc::clone(counted), held: 0 };
        room.take(ENTRY_BYTES).then_some(room)
    }

    /// Takes room for so many more bytes, all of it or nothing.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= HELD_BYTES_MAX);
        let taken = self.counted.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        self.held += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for CaptureRoom {
    fn drop(&mut self) {
        self.counted.held.fetch_sub(self.held, Ordering::Relaxed);
    }
}
