//! Decides what the control plane is told of the data plane's questions to backends; never asks one itself.

use std::{sync::Arc, time::Duration};

use control::{
    admin::{Prober, TestReport, Testing},
    publish::Publisher,
};
use gateway::{Listed, Probe, Unlisted};
use policy::Backend;
use tokio::sync::mpsc;

/// An operator waits for a test, and no longer than this.
const TEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Tests backends for operators.
pub(crate) struct Tester(pub(crate) Probe);

impl Prober for Tester {
    fn test(&self, backend: Arc<Backend>) -> Testing<'_> {
        Box::pin(async move {
            let listing = self.0.models(&backend, TEST_TIMEOUT).await;
            let latency_ms = policy::millis(listing.probed.took);
            let (ok, status) = (listing.models.is_ok(), listing.probed.status);
            let (models, code, error) = match listing.models {
                Ok(models) => (models, None, None),
                Err(Unlisted { code, says }) => (Vec::new(), code.map(str::to_owned), Some(says)),
            };
            TestReport { ok, latency_ms, status, models, code, error }
        })
    }
}

/// Publishes what backends list, as long as somebody looks.
pub(crate) async fn take_over(mut lists: mpsc::Receiver<Listed>, publisher: Publisher) {
    while let Some(Listed { backend, models }) = lists.recv().await {
        if let Err(error) = publisher.discovered(&backend, models).await {
            tracing::warn!(backend = &*backend, %error, "a backend's models were not taken over");
        }
    }
}
