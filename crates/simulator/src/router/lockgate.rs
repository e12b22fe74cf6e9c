//! Leads requests as the gateway does: the same calls of `Live`, in the same order, without threads; decides nothing itself.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::{
    Admission, Admitted, BackendId, BackendKind, BackendSpec, Dialects, Digester, Draft, FailureSummary,
    Failures, Grant, Granted, Key, KeySecret, KeySpec, Leased, Live, ModelSpec, Outcome, ProbeResult, Probed,
    Purpose, Refused, RefusedReason, Repeat, Route, Secret, Slot, Snapshot, TrafficSettings, WaiterId, Want,
};
use protocol::{Dialect, Failure, FailureKind, Needs, Quotas, Retry};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use smallvec::SmallVec;

use super::{Asked, Ended, Order, Router};
use crate::At;
use crate::provider::{FIRST_EVENT_MAX, Health, Said};
use crate::run::Visible;
use crate::scenario::{Provider, Scenario};
use crate::traffic::{Request, WAY_MAX};

/// The one model of all scenarios.
const MODEL: &str = "model";

/// What a waiting request holds in memory: of no interest here.
const BYTES: u64 = 1024;

/// `Live`, and what the gateway keeps of each request beside it.
pub(super) struct Lockgate {
    live: Live,
    snapshot: Snapshot,
    route: Arc<Route>,
    epoch: Instant,
    rng: SmallRng,
    callers: Vec<Arc<Key>>,
    providers: HashMap<BackendId, usize>,
    /// The same the other way round.
    backends: Vec<BackendId>,
    /// How many turns of the lookout are over.
    looks: u32,
    affinity: Affinity,
    open: HashMap<usize, Open>,
    waiting: HashMap<WaiterId, usize>,
}

/// What a conversation is to a choice.
#[derive(Clone, Copy)]
enum Affinity {
    /// A weight, as it is by default.
    Weight,
    /// A gate: it stays where it began, whatever that costs.
    Gate,
}

/// A request that is not over.
struct Open {
    request: Request,
    tried: SmallVec<[BackendId; 5]>,
    attempts: u32,
    failures: Failures,
    /// When its last call was made.
    called: At,
    slot: Option<Slot>,
}

impl Lockgate {
    pub(super) fn new(scenario: &Scenario, seed: u64, settings: TrafficSettings) -> Self {
        let callers: u32 = scenario.streams.iter().map(|stream| stream.callers).sum();
        let mut draft = Draft::new(Digester::new(&[7; 32]));
        draft.backends = scenario.providers.iter().map(backend).collect();
        draft.keys = (0..callers).map(key).collect();
        draft.settings = settings;
        let live = Live::new();
        #[expect(clippy::disallowed_methods, reason = "an instant to count from; only differences matter")]
        let epoch = Instant::now();
        let snapshot = Snapshot::build(draft, &live, 1, epoch).expect("a scenario is a valid configuration");
        live.adopt(&snapshot, epoch);
        let place = |(place, provider): (usize, &Provider)| {
            (snapshot.backend_named(&provider.name).expect("it was just published").id, place)
        };
        let named = |number| snapshot.identity.find(&name(number)).cloned().expect("it was just published");
        let providers: HashMap<BackendId, usize> = scenario.providers.iter().enumerate().map(place).collect();
        let mut backends: Vec<BackendId> = providers.keys().copied().collect();
        backends.sort_by_key(|id| providers[id]);
        Self {
            route: snapshot.catalog.resolve(MODEL, snapshot.identity.anonymous()).expect("all serve it"),
            callers: (0..callers).map(named).collect(),
            providers,
            backends,
            looks: 0,
            affinity: Affinity::Weight,
            rng: SmallRng::seed_from_u64(seed),
            open: HashMap::new(),
            waiting: HashMap::new(),
            epoch,
            live,
            snapshot,
        }
    }

    /// The same with every conversation bound to one backend.
    pub(super) fn bound(self) -> Self {
        Self { affinity: Affinity::Gate, ..self }
    }

    /// The backend that a conversation is bound to.
    fn binding(&self, conversation: Option<u64>) -> Option<BackendId> {
        match self.affinity {
            Affinity::Weight => None,
            Affinity::Gate => {
                let count = u64::try_from(self.backends.len()).unwrap_or(u64::MAX);
                let place = usize::try_from(conversation? % count).ok()?;
                self.backends.get(place).copied()
            }
        }
    }

    /// When the lookout gives the next backend its turn: evenly over an interval.
    fn looks_at(&self) -> At {
        let interval = self.snapshot.settings.probe.interval;
        let count = u32::try_from(self.backends.len()).unwrap_or(u32::MAX).max(1);
        interval + interval * self.looks / count
    }

    /// The gateway's lookout: each backend in its turn is asked how it is, if that is worth while.
    fn look_around(&mut self, now: At, orders: &mut Vec<Order>) {
        while self.looks_at() <= now {
            let place = usize::try_from(self.looks).unwrap_or(usize::MAX) % self.backends.len().max(1);
            self.looks += 1;
            let Some(backend) = self.backends.get(place) else { return };
            if self.live.is_probe_due(*backend, self.epoch + now) {
                orders.push(Order::Ask { provider: self.providers[backend] });
            }
        }
    }

    fn instant(&self, at: At) -> Instant {
        self.epoch + at
    }

    fn caller(&self, number: usize) -> Arc<Key> {
        Arc::clone(&self.callers[self.open[&number].request.caller])
    }

    /// The step `route`: a backend now, or later, or never.
    fn lease(&mut self, number: usize, now: At, orders: &mut Vec<Order>) {
        let open = &self.open[&number];
        let want = Want {
            route: Arc::clone(&self.route),
            dialects: Dialects::only(Dialect::OpenAiChat),
            purpose: Purpose::Answer,
            needs: Needs::default(),
            class: open.request.class,
            caller: self.callers[open.request.caller].slot,
            tried: open.tried.clone(),
            bound: self.binding(open.request.conversation),
            tokens: open.request.prompt + open.request.output_max,
            affinity: open.request.conversation,
            emergencies: 0,
            bytes: BYTES,
            deadline: self.instant(open.request.deadline),
        };
        let now_there = self.instant(now);
        match self.live.lease(want, now_there, &mut self.rng) {
            Leased::Now(slot) => self.call(number, slot, now, orders),
            Leased::Wait(waiter) => drop(self.waiting.insert(waiter, number)),
            Leased::Refused(refused) => self.close(number, Some(seen(&refused)), now, orders),
        }
    }

    /// The step `call`: with a pause before a backend it has been to.
    fn call(&mut self, number: usize, slot: Slot, now: At, orders: &mut Vec<Order>) {
        let open = self.open.get_mut(&number).expect("only open requests call");
        let is_repeat = open.tried.contains(&slot.backend);
        let pause = if is_repeat { policy::backoff(open.attempts, &mut self.rng) } else { Duration::ZERO };
        open.attempts += 1;
        open.called = now + pause;
        orders.push(Order::Call { number, provider: self.providers[&slot.backend], pause });
        open.slot = Some(slot);
    }

    /// The step `settle`: its place in flight is free again.
    fn close(&mut self, number: usize, visible: Option<Visible>, now: At, orders: &mut Vec<Order>) {
        let caller = self.caller(number);
        self.open.remove(&number);
        orders.extend(visible.map(|visible| Order::Fail { number, visible }));
        let grants = self.live.discharge(caller.slot, self.instant(now));
        self.deliver(grants, now, orders);
    }

    fn deliver(&mut self, grants: Vec<Grant>, now: At, orders: &mut Vec<Order>) {
        let mut grants = VecDeque::from(grants);
        while let Some(Grant { waiter, what }) = grants.pop_front() {
            let number = self.waiting.remove(&waiter).expect("grants are for those who wait");
            match what {
                Granted::Admitted(_) => self.lease(number, now, orders),
                Granted::Slot(slot) => self.call(number, slot, now, orders),
                Granted::Refused(refused) => self.close(number, Some(seen(&refused)), now, orders),
            }
        }
    }

    /// Whether another attempt is made after a failure: the gateway's rule.
    fn may_retry(&mut self, number: usize, pool: &str, failure: &Failure, now: At) -> bool {
        let open = self.open.get_mut(&number).expect("only open requests call");
        let repeat = open.failures.add(failure.kind, &self.snapshot.settings);
        failure.retry() == Retry::ElsewhereNow
            && match repeat {
                Repeat::Freely => true,
                Repeat::OnBudget => self.live.may_retry(pool, self.instant(now)),
                Repeat::Never => false,
            }
    }
}

impl Router for Lockgate {
    fn arrived(&mut self, asked: Asked<'_>, now: At, orders: &mut Vec<Order>) {
        let Asked { number, request } = asked;
        let key = Arc::clone(&self.callers[request.caller]);
        let open = Open {
            request: request.clone(),
            tried: SmallVec::new(),
            attempts: 0,
            failures: Failures::default(),
            called: now,
            slot: None,
        };
        self.open.insert(number, open);
        let ask = Admission {
            key: key.slot,
            concurrency: key.limits.concurrency,
            class: request.class,
            tokens: request.prompt + request.output_max,
            bytes: BYTES,
            deadline: self.instant(request.deadline),
        };
        match self.live.admit(ask, self.instant(now)) {
            Admitted::Now => self.lease(number, now, orders),
            Admitted::Wait(waiter) => drop(self.waiting.insert(waiter, number)),
            Admitted::Refused(refused) => {
                self.open.remove(&number);
                orders.push(Order::Fail { number, visible: seen(&refused) });
            }
        }
    }

    fn accepted(&mut self, asked: Asked<'_>, now: At, orders: &mut Vec<Order>) {
        let Some(open) = self.open.get(&asked.number) else { return };
        let Some(slot) = open.slot.as_ref() else { return };
        let took = now.saturating_sub(open.called);
        self.live.note_first_event(slot.backend, &self.route.tiers[slot.tier], took, self.instant(now));
        let grants = self.live.accepted(slot, self.instant(now));
        self.deliver(grants, now, orders);
    }

    fn heard(&mut self, asked: Asked<'_>, said: Said, now: At, orders: &mut Vec<Order>) {
        let Some(slot) = self.open.get(&asked.number).and_then(|open| open.slot.as_ref()) else { return };
        let quotas: Quotas = said.into_iter().flatten().collect();
        let grants = self.live.learn(slot, &quotas, self.instant(now));
        self.deliver(grants, now, orders);
    }

    fn ended(&mut self, asked: Asked<'_>, ended: Ended, now: At, orders: &mut Vec<Order>) {
        let number = asked.number;
        let open = self.open.get_mut(&number).expect("only open requests call");
        let slot = open.slot.take().expect("a call has a slot");
        let Some(kind) = ended.failure else {
            let outcome = Outcome::Success { tokens: Some(open.request.prompt + open.request.output) };
            let grants = self.live.release(slot, outcome, self.instant(now));
            self.deliver(grants, now, orders);
            return self.close(number, None, now, orders);
        };
        // One that said 429 is left out by its cooldown.
        if kind != FailureKind::RateLimited && !open.tried.contains(&slot.backend) {
            open.tried.push(slot.backend);
        }
        let pool = Arc::clone(&self.route.tiers[slot.tier].pool);
        let failure = Failure { retry_after: ended.retry_after, ..Failure::new(kind, "") };
        let outcome = Outcome::Failed(FailureSummary::from(&failure));
        let grants = self.live.release(slot, outcome, self.instant(now));
        self.deliver(grants, now, orders);
        if self.may_retry(number, &pool, &failure, now) {
            return self.lease(number, now, orders);
        }
        let is_limit = kind == FailureKind::RateLimited;
        let visible = if is_limit { Visible::Limited } else { Visible::Failed };
        self.close(number, Some(visible), now, orders);
    }

    fn found(&mut self, provider: usize, health: Health, now: At, orders: &mut Vec<Order>) {
        let (result, status) = match health {
            Health::Well => (ProbeResult::Passed, Some(200)),
            Health::Denied => (ProbeResult::Unclear, Some(401)),
            Health::Broken => (ProbeResult::Missed, None),
        };
        let probed = Probed { result, status, took: WAY_MAX };
        let grants = self.live.note_probe(self.backends[provider], probed, self.instant(now));
        self.deliver(grants, now, orders);
    }

    fn tick(&mut self, now: At, orders: &mut Vec<Order>) {
        self.look_around(now, orders);
        let grants = self.live.tick(self.epoch + now, &mut self.rng);
        self.deliver(grants, now, orders);
    }

    fn next_tick(&mut self) -> Option<At> {
        let tick = self.live.next_tick().map(|tick| tick.saturating_duration_since(self.epoch));
        tick.into_iter().chain([self.looks_at()]).min()
    }
}

/// What a client sees of a refusal: the gateway words it.
fn seen(refused: &Refused) -> Visible {
    match refused.reason {
        RefusedReason::Backpressure
        | RefusedReason::QueueTimeout
        | RefusedReason::ConcurrencyLimited
        | RefusedReason::RateLimited => Visible::Limited,
        RefusedReason::QueueFull
        | RefusedReason::NoBackend
        | RefusedReason::AllPoolsExhausted
        | RefusedReason::BoundBackendGone
        | RefusedReason::Unsupported
        | RefusedReason::NotReady => Visible::Refused,
    }
}

fn backend(provider: &Provider) -> BackendSpec {
    let mut spec = BackendSpec::new(&provider.name, BackendKind::OpenAiCompatible, "https://example.test/v1");
    spec.pool = provider.pool.to_owned();
    spec.limits = provider.told;
    spec.deadlines.first_event = FIRST_EVENT_MAX;
    spec.deadlines.answer = FIRST_EVENT_MAX;
    spec.models = Some([(MODEL.to_owned(), ModelSpec::default())].into());
    spec
}

fn name(number: u32) -> String {
    format!("caller-{number}")
}

fn key(number: u32) -> KeySpec {
    let name = name(number);
    KeySpec::new(&name, &name, KeySecret::Plain(Secret::from(name.as_str())))
}
