//! Decides what the one who reads a kept stream gets, and notices that it has left; never what is kept for it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::time::Instant;

use super::Spool;
use crate::body::BrokenOff;

/// The right to read a kept stream, until it is dropped or taken over.
pub(crate) struct Reader {
    spool: Arc<Spool>,
    number: u64,
}

impl Reader {
    pub(super) fn new(spool: Arc<Spool>, number: u64) -> Self {
        Self { spool, number }
    }

    /// The next piece of the stream.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let mut state = self.spool.lock();
        if state.reader != Some(self.number) {
            return Poll::Ready(Some(Err(BrokenOff("the stream is read on another connection".into()))));
        }
        let had_room = state.has_room(self.spool.rules.buffer_bytes);
        if let Some(bytes) = state.take(self.spool.rules.buffer_bytes) {
            if !had_room && state.has_room(self.spool.rules.buffer_bytes) {
                drop(state);
                self.spool.roomier.notify_one();
            }
            return Poll::Ready(Some(Ok(bytes)));
        }
        if state.is_ended {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.spool.lock();
        if state.reader == Some(self.number) {
            state.reader = None;
            state.left_at = Instant::now();
            state.waker = None;
            drop(state);
            self.spool.readers_changed();
        }
    }
}
