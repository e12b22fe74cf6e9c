//! Many backends and keys with all limits on, and the steps of a request through them; nothing here measures.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::{
    Admission, Admitted, Amount, BackendKind, BackendSpec, BudgetOf, BudgetSpec, Class, Digester, Draft,
    Granted, Key, KeySecret, KeySpec, Leased, Live, ModelSpec, Outcome, Period, PriceSpec, Secret, Slot,
    Snapshot, TeamSpec, Timestamp, Want,
};
use protocol::Usage;
use rand::SeedableRng;
use rand::rngs::SmallRng;

/// How many there are of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) backends: usize,
    pub(crate) keys: usize,
    /// Requests that each backend takes at once.
    pub(crate) concurrency: u32,
    pub(crate) in_flight: usize,
    pub(crate) waiting: usize,
}

pub(crate) struct World {
    live: Live,
    snapshot: Snapshot,
    now: Instant,
    rng: SmallRng,
    turn: usize,
    held: VecDeque<Slot>,
}

/// Prompt and longest answer.
const TOKENS: u64 = 1000;
const USED: Usage = Usage {
    input: 300,
    cached_input: 100,
    cache_write: 0,
    cache_write_1h: 0,
    output: 200,
    reasoning: 50,
    audio_input: 0,
    audio_output: 0,
    images: 0,
    is_contradicted: false,
};

impl World {
    pub(crate) fn new(shape: Shape) -> Self {
        let live = Live::new();
        #[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
        let now = Instant::now();
        let snapshot = Snapshot::build(draft(shape), &live, 1, now).expect("the draft is in order");
        live.adopt_budgets(&snapshot.budgets, Timestamp(0), |_, _| Amount::ZERO);
        live.adopt(&snapshot, now);
        let rng = SmallRng::seed_from_u64(1);
        let mut world = Self { live, snapshot, now, rng, turn: 0, held: VecDeque::new() };
        for _ in 0..shape.in_flight {
            let slot = world.slot();
            world.held.push_back(slot);
        }
        for _ in 0..shape.waiting {
            world.wait();
        }
        world
    }

    /// A whole request that nothing stands in the way of: admission, its budgets, routing, the first event, the end,
    /// its price, settlement.
    pub(crate) fn request(&mut self) {
        let key = self.next_key();
        let ask = Admission {
            key: key.slot,
            concurrency: key.limits.concurrency,
            class: Class::Normal,
            tokens: TOKENS,
            bytes: 1024,
            deadline: self.deadline(),
        };
        assert_eq!(self.live.admit(ask, self.now), Admitted::Now);
        let want = self.want(&key);
        let route = Arc::clone(&want.route);
        assert!(route.is_priced());
        let worst = route.worst_case(TOKENS, Some(TOKENS), None);
        let at = Timestamp(0);
        let hold = self.live.hold(&key.budgets, worst, at).expect("the budgets are ample");
        let Leased::Now(slot) = self.live.lease(want, self.now, &mut self.rng) else {
            panic!("there is room");
        };
        black_box(self.live.accepted(&slot, self.now));
        let tier = &route.tiers[slot.tier];
        self.live.note_first_event(slot.backend, tier, Duration::from_millis(200), self.now);
        let price = tier.candidates[slot.candidate].price.as_deref().expect("every model is priced");
        let cost = price.cost(&USED);
        black_box(self.live.release(slot, Outcome::Success { tokens: Some(USED.total()) }, self.now));
        black_box(self.live.settle(hold, cost, at, self.now));
        self.live.correct_tokens(key.slot, TOKENS, USED.total(), self.now);
        black_box(self.live.discharge(key.slot, self.now));
    }

    /// A request ends, the next in line has its backend, and another one takes the last place.
    pub(crate) fn take_turns(&mut self) {
        let slot = self.held.pop_front().expect("every backend is busy");
        self.now += Duration::from_micros(10);
        let grants = self.live.release(slot, Outcome::Success { tokens: None }, self.now);
        for grant in grants {
            match grant.what {
                Granted::Slot(slot) => self.held.push_back(slot),
                Granted::Admitted(_) | Granted::Refused(_) => panic!("only slots are waited for"),
            }
        }
        self.wait();
    }

    /// Whose secret it is.
    pub(crate) fn identify(&mut self) {
        let key = self.next_key();
        assert!(self.snapshot.identity.find(black_box(&key.name)).is_some());
    }

    fn wait(&mut self) {
        let key = self.next_key();
        let want = self.want(&key);
        assert!(matches!(self.live.lease(want, self.now, &mut self.rng), Leased::Wait(_)));
    }

    fn slot(&mut self) -> Slot {
        let key = self.next_key();
        match self.live.lease(self.want(&key), self.now, &mut self.rng) {
            Leased::Now(slot) => slot,
            Leased::Wait(_) | Leased::Refused(_) => panic!("there is room"),
        }
    }

    fn next_key(&mut self) -> Arc<Key> {
        self.turn += 1;
        self.now += Duration::from_micros(10);
        let keys = self.snapshot.identity.keys();
        Arc::clone(&keys[self.turn % keys.len()])
    }

    fn want(&self, key: &Key) -> Want {
        let route = self.snapshot.catalog.resolve("model", key).expect("every backend serves it");
        Want {
            tokens: TOKENS,
            affinity: u64::try_from(self.turn).ok(),
            bytes: 1024,
            ..Want::plain(route, key, self.deadline())
        }
    }

    fn deadline(&self) -> Instant {
        self.now + Duration::from_secs(30)
    }
}

fn draft(shape: Shape) -> Draft {
    let mut draft = Draft::new(Digester::new(&[7; 32]));
    draft.backends = (0..shape.backends).map(|number| backend(number, shape.concurrency)).collect();
    draft.keys = (0..shape.keys).map(key).collect();
    draft.teams = vec![TeamSpec { name: "team".to_owned(), ..TeamSpec::default() }];
    let ample = "1000000000".parse::<Amount>().expect("an amount");
    draft.budgets = [BudgetOf::Gateway, BudgetOf::Team("team".to_owned())]
        .map(|of| BudgetSpec { of, amount: ample, per: Period::Day })
        .into();
    draft.settings.max_in_flight = 1_000_000;
    draft.settings.queue_max = 2_000;
    draft
}

fn backend(number: usize, concurrency: u32) -> BackendSpec {
    let name = format!("backend-{number}");
    let mut spec = BackendSpec::new(&name, BackendKind::OpenAiCompatible, "https://example.test/v1");
    let cent = Amount::per_million("0.01").expect("an amount");
    let price = PriceSpec { version: "1".to_owned(), input: cent, output: cent, ..PriceSpec::default() };
    spec.models =
        Some([("model".to_owned(), ModelSpec { price: Some(price), ..ModelSpec::default() })].into());
    spec.limits.rpm = 1_000_000_000;
    spec.limits.tpm = Some(1_000_000_000_000);
    spec.limits.concurrency = Some(concurrency);
    spec
}

fn key(number: usize) -> KeySpec {
    let name = format!("key-{number}");
    let mut spec = KeySpec::new(&name, &name, KeySecret::Plain(Secret::from(name.as_str())));
    spec.team = Some("team".to_owned());
    spec.limits.rpm = Some(1_000_000_000);
    spec.limits.tpm = Some(1_000_000_000_000);
    spec.limits.concurrency = Some(1000);
    spec
}
