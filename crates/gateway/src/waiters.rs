//! Decides who is told of a grant: exactly the waiter it was made for, or nobody, and then it is given back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use policy::{Granted, Refused, RefusedReason, WaiterId};
use tokio::sync::oneshot;

use crate::gateway::Gateway;

/// Those who wait for a slot, by their place in the queue.
///
/// The lock is held while a place is taken in the queue, so that no grant can be made before its waiter is listed here.
#[derive(Default)]
pub(crate) struct Waiters {
    listed: Mutex<HashMap<WaiterId, oneshot::Sender<Granted>>>,
}

/// The table of waiters, locked while a place is being taken.
pub(crate) struct Listing<'a>(MutexGuard<'a, HashMap<WaiterId, oneshot::Sender<Granted>>>);

impl Waiters {
    pub(crate) fn lock(&self) -> Listing<'_> {
        Listing(self.listed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many are listed.
    pub(crate) fn len(&self) -> usize {
        self.lock().0.len()
    }

    /// Hands `granted` to `waiter`, or back to the caller when that waiter is gone.
    pub(crate) fn hand(&self, waiter: WaiterId, granted: Granted) -> Result<(), Granted> {
        let sender = self.lock().0.remove(&waiter);
        match sender {
            Some(sender) => sender.send(granted),
            None => Err(granted),
        }
    }
}

impl Listing<'_> {
    /// Lists a waiter; the place is given up when the returned value is dropped before its grant came.
    pub(crate) fn enlist(mut self, gateway: &Arc<Gateway>, waiter: WaiterId) -> Place {
        let (sender, grant) = oneshot::channel();
        self.0.insert(waiter, sender);
        Place { gateway: gateway.clone(), waiter, grant, is_held: true }
    }
}

/// A place in a queue, held until a grant comes.
pub(crate) struct Place {
    gateway: Arc<Gateway>,
    waiter: WaiterId,
    grant: oneshot::Receiver<Granted>,
    is_held: bool,
}

impl Place {
    /// Waits for the grant or the refusal of this place.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place up, and gives back a grant that crossed with the drop.
    pub(crate) async fn granted(mut self) -> Granted {
        match (&mut self.grant).await {
            Ok(granted) => {
                self.is_held = false;
                granted
            }
            // The sender is only ever dropped by sending.
            Err(_closed) => Granted::Refused(Refused {
                reason: RefusedReason::NoBackend,
                retry_after: Duration::from_secs(1),
            }),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        let was_listed = self.gateway.waiters.lock().0.remove(&self.waiter).is_some();
        if was_listed {
            self.gateway.leave_queue(self.waiter);
        } else if let Ok(granted) = self.grant.try_recv() {
            self.gateway.give_back(granted);
        }
    }
}
