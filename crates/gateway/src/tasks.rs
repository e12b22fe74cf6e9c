//! Decides how work that outlives a request is run: named, counted, and drained at shutdown; never detached from sight.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// A set of running tasks. Clones share the set.
#[derive(Clone, Default)]
pub struct Tasks {
    running: Arc<Running>,
}

#[derive(Default)]
struct Running {
    by_name: Mutex<BTreeMap<&'static str, usize>>,
    ended: Notify,
}

impl Tasks {
    /// Runs `work` to its end, counted under `name`.
    pub fn spawn<F>(&self, name: &'static str, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.announce(name).run(work)
    }

    /// Counts work that is about to begin, from where it cannot be spawned: [`Self::drained`] waits for it already.
    pub(crate) fn announce(&self, name: &'static str) -> Counted {
        Counted::new(self.running.clone(), name)
    }

    /// How many tasks run under each name.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.running.names().clone()
    }

    /// Resolves when no task named `name` is left.
    pub async fn drained(&self, name: &'static str) {
        loop {
            let ended = self.running.ended.notified();
            if !self.running.names().contains_key(name) {
                return;
            }
            ended.await;
        }
    }
}

impl Running {
    fn names(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One piece of work in the count, until it is dropped.
pub(crate) struct Counted {
    running: Arc<Running>,
    name: &'static str,
}

impl Counted {
    fn new(running: Arc<Running>, name: &'static str) -> Self {
        *running.names().entry(name).or_default() += 1;
        Self { running, name }
    }

    /// Runs the work to its end.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub(crate) fn run<F>(self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(async move {
            let _counted = self;
            work.await
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut names = self.running.names();
        if let Some(count) = names.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                names.remove(self.name);
                drop(names);
                self.running.ended.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drained_waits_for_the_last_task_of_that_name() {
        let tasks = Tasks::default();
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("stream", async move { finished.await.unwrap_or_default() });
        assert_eq!(tasks.counts().get("stream"), Some(&1));
        finish.send(()).expect("the task still waits");
        tasks.drained("stream").await;
        assert!(tasks.counts().is_empty());
    }
}
