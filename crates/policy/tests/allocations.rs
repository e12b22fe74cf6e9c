//! What a lease takes from the allocator: the same with 20 backends and with 200. A binary of its own, for it counts
//! every allocation of its thread.

use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use policy::{
    BackendKind, BackendSpec, Digester, Draft, Leased, Live, ModelSpec, Outcome, PoolSpec, Snapshot,
    Strategy, Want,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;

const ROUNDS: u32 = 500;

struct World {
    live: Live,
    snapshot: Snapshot,
    now: Instant,
    rng: SmallRng,
}

impl World {
    fn new(backends: usize, strategy: Strategy) -> Self {
        let mut draft = Draft::new(Digester::new(&[7; 32]));
        draft.backends = (0..backends).map(backend).collect();
        draft.pools = vec![PoolSpec { name: "primary".to_owned(), strategy, rank: 0 }];
        draft.settings.hedging.enabled = true;
        let live = Live::new();
        let now = beginning();
        let snapshot = Snapshot::build(draft, &live, 1, now).expect("the draft is in order");
        live.adopt(&snapshot, now);
        Self { live, snapshot, now, rng: SmallRng::seed_from_u64(1) }
    }

    /// One attempt, from its lease to its end.
    fn attempt(&mut self, number: u32) {
        self.now += Duration::from_millis(1);
        let key = self.snapshot.identity.anonymous();
        let route = self.snapshot.catalog.resolve("model", key).expect("every backend serves it");
        let want = Want::plain(route, key, self.now + Duration::from_secs(30));
        let want = Want { affinity: Some(number.into()), tokens: 1000, ..want };
        let Leased::Now(slot) = self.live.lease(want, self.now, &mut self.rng) else {
            panic!("there is room")
        };
        let freed = self.live.release(slot, Outcome::Success { tokens: Some(900) }, self.now);
        assert!(freed.is_empty(), "nobody waits");
    }

    fn attempts(&mut self) -> AllocationInfo {
        // Whatever is kept for each backend and model is made now.
        (0..ROUNDS).for_each(|number| self.attempt(number));
        measure(|| (0..ROUNDS).for_each(|number| self.attempt(number)))
    }
}

#[expect(clippy::disallowed_methods, reason = "an arbitrary beginning; time is injected from here on")]
fn beginning() -> Instant {
    Instant::now()
}

fn backend(number: usize) -> BackendSpec {
    let mut spec = BackendSpec::new(
        &format!("backend-{number}"),
        BackendKind::OpenAiCompatible,
        "https://example.test/v1",
    );
    spec.models = Some([("model".to_owned(), ModelSpec::default())].into());
    spec.limits.rpm = 1_000_000;
    spec.limits.tpm = Some(1_000_000_000);
    spec
}

#[test]
fn a_lease_allocates_nothing_that_grows_with_backends() {
    for strategy in [
        Strategy::LeastInFlight,
        Strategy::RoundRobin,
        Strategy::Weighted,
        Strategy::Latency,
        Strategy::Cost,
        Strategy::Priority,
    ] {
        let [few, many] = [20, 200].map(|backends| World::new(backends, strategy).attempts());
        assert_eq!(
            (few.count_total, few.bytes_total, few.bytes_max),
            (many.count_total, many.bytes_total, many.bytes_max),
            "{strategy:?}"
        );
        assert_eq!(many.count_current, 0, "{strategy:?}: nothing is kept");
        assert!(many.count_total <= u64::from(ROUNDS), "{strategy:?}: {many:?}, not one for each attempt");
    }
}
