//! Counts the bytes of prepared journal room that nobody holds; it never makes room and never waits.

use std::sync::atomic::{AtomicI64, Ordering};

/// Prepared bytes that nobody holds.
///
/// It falls below zero only when prepared room turned out to be unusable; then nobody gets any until it recovered.
#[derive(Debug, Default)]
pub(crate) struct Room(AtomicI64);

impl Room {
    /// Takes `bytes`, or nothing. Returns what is left.
    pub(crate) fn take(&self, bytes: u32) -> Option<i64> {
        let bytes = i64::from(bytes);
        let before = self.0.fetch_sub(bytes, Ordering::AcqRel);
        if before >= bytes {
            return Some(before - bytes);
        }
        self.0.fetch_add(bytes, Ordering::AcqRel);
        None
    }

    /// Gives back what was taken and not used.
    pub(crate) fn give(&self, bytes: u32) {
        self.0.fetch_add(i64::from(bytes), Ordering::AcqRel);
    }

    /// Corrects the count when a segment begins (its room appears) or ends (room that was never used, or was
    /// used twice, goes).
    pub(crate) fn correct(&self, bytes: i64) {
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(crate) fn left(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }
}
