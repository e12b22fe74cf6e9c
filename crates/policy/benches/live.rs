//! Measures what deciding costs every request: who it is, and its place in flight and on a backend. It asserts nothing.
//!
//! `cargo bench -p policy`, with 200 backends, 10,000 keys and all limits on.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use policy::{
    Admission, Admitted, BackendKind, BackendSpec, Class, Dialects, Digester, Draft, Granted, Key, KeySecret,
    KeySpec, Leased, Live, ModelSpec, Outcome, Purpose, Secret, Slot, Snapshot, Want,
};
use protocol::{Dialect, Needs};
use rand::SeedableRng;
use rand::rngs::SmallRng;

const BACKENDS: usize = 200;
const KEYS: usize = 10_000;

struct World {
    live: Live,
    snapshot: Snapshot,
    now: Instant,
    rng: SmallRng,
}

impl World {
    /// Backends that serve one model, `concurrency` requests at once each.
    fn new(concurrency: u32) -> Self {
        let mut draft = Draft::new(Digester::new(&[7; 32]));
        draft.backends = (0..BACKENDS).map(|number| backend(number, concurrency)).collect();
        draft.keys = (0..KEYS).map(key).collect();
        draft.settings.max_in_flight = 1_000_000;
        draft.settings.queue_max = 2_000;
        let live = Live::new();
        #[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
        let now = Instant::now();
        let snapshot = Snapshot::build(draft, &live, 1, now).expect("the draft is in order");
        live.adopt(&snapshot, now);
        Self { live, snapshot, now, rng: SmallRng::seed_from_u64(1) }
    }

    fn key(&self, number: usize) -> &Arc<Key> {
        &self.snapshot.identity.keys()[number % KEYS]
    }

    fn admit(&self, key: &Key) {
        let ask = Admission {
            key: key.slot,
            concurrency: key.limits.concurrency,
            class: Class::Normal,
            tokens: 1000,
            bytes: 1024,
            deadline: self.now + Duration::from_secs(30),
        };
        assert_eq!(self.live.admit(ask, self.now), Admitted::Now);
    }

    fn lease(&mut self, number: usize) -> Leased {
        let key = Arc::clone(self.key(number));
        let want = Want {
            route: self.snapshot.catalog.resolve("model", &key).expect("every backend serves it"),
            dialects: Dialects::only(Dialect::OpenAiChat),
            purpose: Purpose::Answer,
            needs: Needs::default(),
            class: Class::Normal,
            caller: key.slot,
            tried: Default::default(),
            bound: None,
            tokens: 1000,
            affinity: u64::try_from(number).ok(),
            emergencies: 0,
            bytes: 1024,
            deadline: self.now + Duration::from_secs(30),
        };
        self.live.lease(want, self.now, &mut self.rng)
    }

    fn slot(&mut self, number: usize) -> Slot {
        match self.lease(number) {
            Leased::Now(slot) => slot,
            Leased::Wait(_) | Leased::Refused(_) => panic!("there is room"),
        }
    }
}

fn backend(number: usize, concurrency: u32) -> BackendSpec {
    let name = format!("backend-{number}");
    let mut spec = BackendSpec::new(&name, BackendKind::OpenAiCompatible, "https://example.test/v1");
    spec.models = Some([("model".to_owned(), ModelSpec::default())].into());
    spec.limits.rpm = 1_000_000_000;
    spec.limits.concurrency = Some(concurrency);
    spec
}

fn key(number: usize) -> KeySpec {
    let name = format!("key-{number}");
    let mut spec = KeySpec::new(&name, &name, KeySecret::Plain(Secret::from(name.as_str())));
    spec.limits.rpm = Some(1_000_000_000);
    spec.limits.concurrency = Some(1000);
    spec
}

/// One request through an otherwise idle or busy gateway: admit, lease, release, discharge.
fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit-lease-release-discharge");
    for (name, busy) in [("idle", 0), ("busy", 2_000)] {
        let mut world = World::new(100);
        let _held: Vec<Slot> = (0..busy).map(|number| world.slot(number)).collect();
        let mut number = 0;
        group.bench_function(name, |bench| {
            bench.iter(|| {
                number += 1;
                world.now += Duration::from_micros(10);
                let slot_of_key = world.key(number).slot;
                world.admit(world.key(number));
                let slot = world.slot(number);
                black_box(world.live.release(slot, Outcome::Success { tokens: None }, world.now));
                black_box(world.live.discharge(slot_of_key, world.now));
            });
        });
    }
    group.finish();
}

/// A full gateway with so many waiting, of as many keys: each release starts the next, and another takes the
/// last place. It costs the same however many wait.
fn waiting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("release-grant-wait");
    for waiting in [10, 100, 1_000] {
        let mut world = World::new(1);
        let mut held: std::collections::VecDeque<Slot> =
            (0..BACKENDS).map(|number| world.slot(number)).collect();
        for number in 0..waiting {
            assert!(matches!(world.lease(number), Leased::Wait(_)));
        }
        let mut number = waiting;
        group.bench_function(waiting.to_string(), |bench| {
            bench.iter(|| {
                let slot = held.pop_front().expect("every backend is held");
                for grant in world.live.release(slot, Outcome::Success { tokens: None }, world.now) {
                    match grant.what {
                        Granted::Slot(slot) => held.push_back(slot),
                        Granted::Admitted(_) | Granted::Refused(_) => panic!("only slots are waited for"),
                    }
                }
                number += 1;
                assert!(matches!(world.lease(number), Leased::Wait(_)));
            });
        });
    }
    group.finish();
}

fn identity(criterion: &mut Criterion) {
    let world = World::new(1);
    criterion.bench_function("identity-find", |bench| {
        bench.iter(|| black_box(world.snapshot.identity.find(black_box("key-4711"))).is_some());
    });
}

criterion_group!(benches, requests, waiting, identity);
criterion_main!(benches);
