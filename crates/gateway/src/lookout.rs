//! Decides when backends are asked how they are: the idle and the suspect, each in its own turn of every interval;
//! never what follows for requests.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered, StreamExt},
};
use policy::{Backend, MODELS_PATH, ProbeResult};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    gateway::Gateway,
    probe::{Listing, Probe, Unlisted},
    view::Serving,
};

/// Looks after backends that nobody calls or that are in trouble, and keeps lists of models fresh.
pub struct Lookout {
    gateway: Arc<Gateway>,
    probe: Probe,
    listed: mpsc::Sender<Listed>,
}

/// The models that a backend was found to list.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Whose.
    pub backend: Arc<str>,
    /// Their native names.
    pub models: Vec<String>,
}

/// Backends asked at the same time at the start.
const ASKED_AT_ONCE: usize = 8;
/// Lists that wait to be taken over; whoever finds another one waits.
const LISTS_MAX: usize = 16;

/// Questions that are out.
type Looks<'a> = FuturesUnordered<BoxFuture<'a, ()>>;

impl Lookout {
    /// A lookout over the backends of `gateway`, and where the lists that it finds come in.
    pub fn new(gateway: Arc<Gateway>) -> (Self, mpsc::Receiver<Listed>) {
        let (listed, lists) = mpsc::channel(LISTS_MAX);
        let probe = Probe::new(gateway.client.clone());
        (Self { gateway, probe, listed }, lists)
    }

    /// Looks, for as long as the program runs.
    pub async fn keep_looking(self) {
        let looks = &mut Looks::new();
        // Lists of models are wanted at once.
        looks.push(self.list_all().boxed());
        let mut began = Instant::now();
        loop {
            let interval = self.gateway.view().snapshot.settings.probe.interval;
            began += interval;
            wait(began, looks).await;
            // A machine that slept makes up for nothing.
            began = began.max(Instant::now());
            self.look_around(began, interval, looks).await;
        }
    }

    /// Asks every backend that serves what it lists.
    async fn list_all(&self) {
        let view = self.gateway.view();
        let backends =
            view.snapshot.backends.iter().filter(|backend| backend.enabled && backend.lists_models);
        let serving: Vec<_> = backends.filter_map(|backend| view.serving(backend.id).cloned()).collect();
        stream::iter(serving).for_each_concurrent(ASKED_AT_ONCE, |serving| self.look(serving)).await;
    }

    /// Begins a look at each backend that is due at its turn, evenly over `interval`; a slow answer delays nobody else's turn.
    async fn look_around<'a>(&'a self, began: Instant, interval: Duration, looks: &mut Looks<'a>) {
        let backends = self.gateway.view().snapshot.backends.clone();
        let count = u32::try_from(backends.len()).unwrap_or(u32::MAX).max(1);
        for (turn, backend) in (0_u32..).zip(backends) {
            wait(began + interval * turn / count, looks).await;
            // Meanwhile it may have been changed, or be gone.
            let serving = self.gateway.view().serving(backend.id).cloned();
            if let Some(serving) = serving.filter(|serving| self.is_due(&serving.backend)) {
                looks.push(self.look(serving).boxed());
            }
        }
    }

    fn is_due(&self, backend: &Backend) -> bool {
        // Asked in any case: it counts from when it was last asked.
        let is_worthwhile = self.gateway.live.is_probe_due(backend.id, Instant::now().into_std());
        let is_wanted = self.gateway.view().snapshot.settings.probe.enabled && is_worthwhile;
        backend.enabled && (backend.lists_models || is_wanted)
    }

    /// Asks a backend how it is; one that serves what it lists, also for that.
    async fn look(&self, serving: Arc<Serving>) {
        let rules = self.gateway.view().snapshot.settings.probe;
        let backend = &serving.backend;
        let Some(endpoint) = serving.first_endpoint() else { return };
        let is_list = &*backend.health_path == MODELS_PATH;
        if !is_list {
            let probed = self.probe.health(endpoint, backend, rules.timeout).await;
            self.note(backend, probed);
        }
        if is_list || backend.lists_models {
            let Listing { probed, models } = self.probe.models_at(endpoint, backend, rules.timeout).await;
            if is_list {
                self.note(backend, probed);
            }
            self.take_over(backend, models).await;
        }
    }

    fn note(&self, backend: &Backend, probed: policy::Probed) {
        if probed.result == ProbeResult::Missed {
            tracing::warn!(backend = &*backend.name, status = probed.status, "a backend missed a probe");
        }
        self.gateway.change(|live, now| live.note_probe(backend.id, probed, now));
    }

    /// One that names its models need not list them.
    async fn take_over(&self, backend: &Backend, models: Result<Vec<String>, Unlisted>) {
        if !backend.lists_models {
            return;
        }
        match models {
            Ok(models) => {
                // Nobody hears of it once the control plane is gone.
                let _ = self.listed.send(Listed { backend: backend.name.clone(), models }).await;
            }
            Err(Unlisted { says, .. }) => {
                tracing::warn!(backend = &*backend.name, error = says, "a backend did not list its models");
            }
        }
    }
}

/// Waits until then, while the questions that are out go on.
async fn wait(until: Instant, looks: &mut Looks<'_>) {
    let mut time = std::pin::pin!(tokio::time::sleep_until(until));
    loop {
        // Both are cancel safe: a timer, and the next of a set that keeps the others.
        tokio::select! {
            () = &mut time => return,
            Some(()) = looks.next(), if !looks.is_empty() => {}
        }
    }
}
