//! Decides which connection to an origin a call takes; never opens more than it is asked for, and never keeps one whose
//! last answer was not read to its end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Connector;
use super::h1::Wire;
use super::h2::Shared;

/// The connections to one origin.
pub(super) struct Pool {
    pub(super) connector: Connector,
    pub(super) shared: Shared,
    limits: PoolLimits,
    /// Idle HTTP/1.1 connections, the warmest last. On the heap: each is moved several times a call.
    idle: Mutex<VecDeque<Box<Wire>>>,
}

/// How much may lie idle, and how long.
#[derive(Clone, Copy)]
pub(super) struct PoolLimits {
    pub(super) idle_max: usize,
    pub(super) idle_timeout: Duration,
}

impl Pool {
    pub(super) fn new(connector: Connector, shared: Shared, limits: PoolLimits) -> Self {
        Self { connector, shared, limits, idle: Mutex::default() }
    }

    /// The warmest idle connection that still lives.
    pub(super) fn take(&self) -> Option<Box<Wire>> {
        loop {
            let mut wire = self.idle().pop_back()?;
            if !self.is_stale(&wire, Instant::now()) && wire.is_usable() {
                return Some(wire);
            }
        }
    }

    /// Keeps a connection for the next call, in place of the coldest one where there is no room.
    pub(super) fn put(&self, mut wire: Box<Wire>) {
        let now = Instant::now();
        wire.idle_since = now;
        let mut idle = self.idle();
        let coldest = idle.front().is_some_and(|first| self.is_stale(first, now));
        // One goes for each that comes: what went cold does not stay for want of a sweep.
        let out = (coldest || idle.len() >= self.limits.idle_max).then(|| idle.pop_front());
        idle.push_back(wire);
        drop(idle);
        drop(out);
    }

    /// Lets go of connections that lay idle too long or that the other side has closed. Says whether any are left.
    pub(super) fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut kept = std::mem::take(&mut *self.idle());
        kept.retain_mut(|wire| !self.is_stale(wire, now) && wire.is_usable());
        let mut idle = self.idle();
        kept.append(&mut idle);
        *idle = kept;
        !idle.is_empty()
    }

    fn is_stale(&self, wire: &Wire, now: Instant) -> bool {
        now.saturating_duration_since(wire.idle_since) >= self.limits.idle_timeout
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Box<Wire>>> {
        // Every change to the list is a single push or pop: a panic elsewhere leaves it whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
