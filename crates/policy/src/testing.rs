//! What the tests of several modules share: one instant to count from, and drafts in a few words.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::backend::BackendKind;
use crate::identity::{Digester, Secret};
use crate::limit::{Adaptive, RateWindow};
use crate::live::Live;
use crate::schedule::RetryAfter;
use crate::snapshot::{BackendSpec, Draft, KeySecret, KeySpec, ModelSpec, Snapshot};

/// An instant far enough from the machine's own zero that tests may step back from it.
pub(crate) fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "the standard library offers no other way to make an Instant"
    )]
    *EPOCH.get_or_init(|| Instant::now() + Duration::from_hours(1000))
}

/// A draft without keys, of these backends. Its rules are those that are easiest to reckon with: long
/// cooldowns, buckets alone, nothing beyond what is configured, and emergencies.
pub(crate) fn draft(backends: impl IntoIterator<Item = BackendSpec>) -> Draft {
    let mut draft = Draft { backends: backends.into_iter().collect(), ..Draft::new(Digester::new(&[7; 32])) };
    draft.settings.cooldown.base = Duration::from_secs(30);
    draft.settings.cooldown.retry_after = RetryAfter::Longest;
    draft.settings.rate_window = RateWindow::Bucket;
    draft.settings.adaptive.mode = Adaptive::Headers;
    draft.settings.emergency_percent = 10;
    draft
}

/// A backend without a rate limit that maps `models`; `canonical=native` or just a name.
pub(crate) fn backend(name: &str, models: &[&str]) -> BackendSpec {
    let mapping = |text: &&str| {
        let (model, native) = text.split_once('=').map_or((*text, None), |(m, n)| (m, Some(n.to_owned())));
        (model.to_owned(), ModelSpec { native, ..ModelSpec::default() })
    };
    let models: BTreeMap<String, ModelSpec> = models.iter().map(mapping).collect();
    let mut spec = wildcard(name, "https://example.test/v1");
    spec.models = Some(models);
    spec
}

/// A backend without a rate limit that maps nothing.
pub(crate) fn wildcard(name: &str, base_url: &str) -> BackendSpec {
    let mut spec = BackendSpec::new(name, BackendKind::OpenAiCompatible, base_url);
    spec.limits.rpm = 0;
    spec
}

/// A key named like its secret.
pub(crate) fn key(name: &str) -> KeySpec {
    KeySpec::new(name, name, KeySecret::Plain(Secret::from(name)))
}

/// The snapshot of a draft that has nothing wrong with it.
pub(crate) fn snapshot(draft: Draft, live: &Live) -> Snapshot {
    Snapshot::build(draft, live, 1, epoch()).expect("this draft is in order")
}
