//! What `Live` promises whatever is done to it: nothing is lost, nothing overtakes, nothing runs where it must not.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{Just, Strategy as Generator, prop_oneof, proptest};
use proptest::test_runner::Config;

use super::*;
use crate::limit::{Adaptive, RateWindow};

const MODELS: [&str; 3] = ["m", "n", "o"];
const KEYS: [(&str, Option<u32>); 3] = [("one", Some(1)), ("two", Some(3)), ("three", None)];
const BACKENDS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
enum Step {
    Admit { key: usize, class: Class, seconds: u64 },
    Discharge(usize),
    Lease { key: usize, class: Class, line: Line, seconds: u64 },
    Release { held: usize, how: How },
    Leave(usize),
    Wait { millis: u64 },
    Oversleep { millis: u64 },
    Adopt(Limits),
    Reset(usize),
}

#[derive(Debug, Clone)]
enum How {
    Success,
    Neutral,
    Limited(u64),
    Failed,
    Unauthorized,
}

#[derive(Debug, Clone)]
struct Limits {
    rpm: u32,
    concurrency: u32,
    max_in_flight: u32,
    queue_max: usize,
    present: usize,
    window: RateWindow,
    adaptive: Adaptive,
}

fn limits() -> impl Generator<Value = Limits> {
    let window = proptest::sample::select(vec![RateWindow::Minute, RateWindow::Bucket]);
    let adaptive = proptest::sample::select(Adaptive::ALL.to_vec());
    (1_u32..120, 1_u32..4, 1_u32..6, 0_usize..6, 1_usize..=4, window, adaptive).prop_map(
        |(rpm, concurrency, max_in_flight, queue_max, present, window, adaptive)| Limits {
            rpm,
            concurrency,
            max_in_flight,
            queue_max,
            present,
            window,
            adaptive,
        },
    )
}

fn class() -> impl Generator<Value = Class> {
    proptest::sample::select(Class::ALL.to_vec())
}

fn step() -> impl Generator<Value = Step> {
    let how = prop_oneof![
        6 => Just(How::Success),
        1 => Just(How::Neutral),
        2 => (0_u64..60).prop_map(How::Limited),
        3 => Just(How::Failed),
        1 => Just(How::Unauthorized),
    ];
    let some = |most: usize| proptest::option::weighted(0.2, 0..most);
    prop_oneof![
        4 => (0..KEYS.len(), class(), 0_u64..20)
            .prop_map(|(key, class, seconds)| Step::Admit { key, class, seconds }),
        3 => (0_usize..8).prop_map(Step::Discharge),
        6 => (0..KEYS.len(), class(), (0..MODELS.len(), some(BACKENDS.len()), some(BACKENDS.len())), 0_u64..40)
            .prop_map(|(key, class, line, seconds)| Step::Lease { key, class, line, seconds }),
        6 => (0_usize..8, how).prop_map(|(held, how)| Step::Release { held, how }),
        1 => (0_usize..8).prop_map(Step::Leave),
        3 => (0_u64..20_000).prop_map(|millis| Step::Wait { millis }),
        1 => (0_u64..20_000).prop_map(|millis| Step::Oversleep { millis }),
        1 => limits().prop_map(Step::Adopt),
        1 => (0..BACKENDS.len()).prop_map(Step::Reset),
    ]
}

/// What an attempt wants: its model, a backend it has been to, a backend it is bound to.
type Line = (usize, Option<usize>, Option<usize>);

/// Someone waiting, as the naive account has it.
#[derive(Debug, Clone, Copy)]
struct Waits<T> {
    key: usize,
    class: Class,
    since: Instant,
    what: T,
}

impl<T> Waits<T> {
    /// Its class after so long a wait.
    fn aged(&self, now: Instant) -> Class {
        let lifts = now.saturating_duration_since(self.since).as_secs() / 30;
        (0..lifts).fold(self.class, |class, _| class.lifted().unwrap_or(class))
    }
}

/// The naive account of what `Live` was asked and has answered.
struct Ledger {
    world: World,
    limits: Limits,
    /// Keys of those let in.
    inside: Vec<usize>,
    /// Keys of those waiting to be.
    outside: BTreeMap<WaiterId, Waits<()>>,
    held: Vec<Slot>,
    /// What those waiting for a backend want; equal wants stand in one line.
    waiting: BTreeMap<WaiterId, Waits<Line>>,
    /// Until when each backend must not be called.
    closed_until: BTreeMap<BackendId, Instant>,
    /// The latest lease of each backend, and what it was when its last cooldown began: calls up to that one
    /// say nothing new.
    latest: BTreeMap<BackendId, (u64, u64)>,
    /// When the one who ticks was told to.
    alarm: Option<Instant>,
}

fn draft_of(limits: &Limits) -> Draft {
    let spec = |(index, name): (usize, &&str)| {
        let models: &[&str] = match index {
            0 => &["m", "n"],
            1 => &["m"],
            2 => &["n", "o"],
            _ => &["m", "n", "o"],
        };
        with(backend(name, models), |spec| {
            spec.pool = if index == 3 { "fallback" } else { "primary" }.into();
            spec.limits.rpm = limits.rpm;
            spec.limits.burst = Some(3);
            spec.limits.concurrency = Some(limits.concurrency);
            spec.enabled = index < limits.present || index == 3;
        })
    };
    let mut draft = draft(BACKENDS.iter().enumerate().map(spec));
    draft.keys = KEYS.iter().map(|(name, _)| key(name)).collect();
    draft.settings.max_in_flight = limits.max_in_flight;
    draft.settings.queue_max = limits.queue_max;
    draft.settings.rate_window = limits.window;
    draft.settings.adaptive.mode = limits.adaptive;
    draft
}

impl Ledger {
    fn new(limits: Limits) -> Self {
        Self {
            world: World::new(draft_of(&limits)),
            limits,
            inside: Vec::new(),
            outside: BTreeMap::new(),
            held: Vec::new(),
            waiting: BTreeMap::new(),
            closed_until: BTreeMap::new(),
            latest: BTreeMap::new(),
            alarm: None,
        }
    }

    fn key(&self, key: usize) -> KeySlot {
        self.world.snapshot.identity.keys()[key].slot
    }

    fn key_full(&self, key: usize) -> bool {
        let inside = self.inside.iter().filter(|theirs| **theirs == key).count();
        KEYS[key].1.is_some_and(|ceiling| inside >= usize::try_from(ceiling).expect("small"))
    }

    /// Who comes first of those who want the same, for the same caller and in the same class. One who has
    /// been somewhere may be passed by another with less time, who then takes a backend it has been to while
    /// the first still waits for a fresh one.
    fn first_of(&self, line: Line, key: usize, class: Class) -> Option<WaiterId> {
        let same = |(_, theirs): &(&WaiterId, &Waits<Line>)| {
            (theirs.what, theirs.key, theirs.class) == (line, key, class) && line.1.is_none()
        };
        self.waiting.iter().find(same).map(|(id, _)| *id)
    }

    fn waits<T>(&self, key: usize, class: Class, what: T) -> Waits<T> {
        Waits { key, class, since: self.world.now, what }
    }

    fn leased(&mut self, slot: Slot) {
        let (id, now) = (slot.backend, self.world.now);
        let closed = self.closed_until.get(&id);
        assert!(closed.is_none_or(|until| *until <= now), "leased inside a cooldown: {id:?}");
        let probe_out = self.held.iter().any(|held| held.backend == id && held.probe);
        assert!(!probe_out, "leased beside a probe: {id:?}");
        self.latest.entry(id).or_default().0 = slot.lease;
        self.held.push(slot);
        let held = self.held.iter().filter(|held| held.backend == id).count();
        assert!(held <= usize::try_from(self.limits.concurrency).expect("small"), "over the ceiling");
    }

    fn settle(&mut self, grants: Vec<Grant>) {
        let mut let_in: Vec<(WaiterId, Waits<()>)> = Vec::new();
        for grant in grants {
            let outside = self.outside.remove(&grant.waiter);
            let waiting = self.waiting.remove(&grant.waiter);
            match grant.what {
                Granted::Admitted(slot) => {
                    let waited = outside.expect("let in without waiting");
                    assert_eq!(slot, self.key(waited.key));
                    let_in.push((grant.waiter, waited));
                    self.inside.push(waited.key);
                }
                Granted::Slot(slot) => {
                    let waited = waiting.expect("leased without waiting");
                    let first = self.first_of(waited.what, waited.key, waited.class);
                    // An emergency is for one who has no more time, not for one who came first.
                    let passed = first.filter(|first| *first < grant.waiter && !slot.emergency);
                    assert_eq!(passed, None, "{:?} passed it", grant.waiter);
                    self.leased(slot);
                }
                Granted::Refused(_) => {
                    assert!(outside.is_some() || waiting.is_some(), "refused without waiting")
                }
            }
        }
        let now = self.world.now;
        for (granted, own) in let_in {
            for (id, theirs) in self.outside.iter().filter(|(_, theirs)| !self.key_full(theirs.key)) {
                let is_first = own.key == theirs.key && own.class == theirs.class && *id < granted;
                let is_better = theirs.aged(now) < own.aged(now);
                assert!(!is_first && !is_better, "{granted:?} {own:?} passed {id:?} {theirs:?}");
            }
        }
    }

    fn apply(&mut self, step: Step) {
        let now = self.world.now;
        match step {
            Step::Admit { key, class, seconds } => self.admit(key, class, seconds),
            Step::Discharge(which) if which < self.inside.len() => {
                let key = self.inside.remove(which);
                let grants = self.world.live.discharge(self.key(key), now);
                self.settle(grants);
            }
            Step::Lease { key, class, line, seconds } => {
                let waits = self.waits(key, class, line);
                self.lease(waits, seconds);
            }
            Step::Release { held, how } if held < self.held.len() => self.release(held, &how),
            Step::Leave(which) => {
                let everyone: BTreeSet<WaiterId> =
                    self.outside.keys().chain(self.waiting.keys()).copied().collect();
                if let Some(id) = everyone.into_iter().nth(which) {
                    self.outside.remove(&id);
                    self.waiting.remove(&id);
                    let grants = self.world.live.leave(id, now);
                    self.settle(grants);
                }
            }
            Step::Wait { millis } => self.wait(now + Duration::from_millis(millis)),
            Step::Oversleep { millis } => self.tick(now + Duration::from_millis(millis)),
            Step::Adopt(limits) => {
                self.limits = limits;
                // A queue smaller than what waits is refused.
                self.limits.queue_max = self.limits.queue_max.max(self.outside.len() + self.waiting.len());
                let grants = self.world.adopt(draft_of(&self.limits));
                self.settle(grants);
            }
            Step::Reset(which) => {
                let id = self.world.id(BACKENDS[which]);
                self.closed_until.remove(&id);
                let (latest, outdated) = self.latest.entry(id).or_default();
                *outdated = *latest;
                // The probe of a cooldown that an operator ended is one call among others.
                for held in self.held.iter_mut().filter(|held| held.backend == id) {
                    held.probe = false;
                }
                let grants = self.world.live.reset(id, now);
                self.settle(grants);
            }
            Step::Discharge(_) | Step::Release { .. } => {}
        }
        self.check();
    }

    /// When the one who ticks means to tick: as it was told, and told anew only when it is due sooner.
    fn alarm(&mut self) -> Option<Instant> {
        if self.world.live.is_due_sooner() {
            self.alarm = self.world.live.next_tick();
        }
        self.alarm
    }

    fn tick(&mut self, at: Instant) {
        let grants = self.world.after(at.saturating_duration_since(self.world.now));
        self.alarm = self.world.live.next_tick();
        self.settle(grants);
    }

    /// Ticks whenever that was said to be due, and once more in the end: then there is nothing to do, for
    /// nobody's wake-up was missed.
    fn wait(&mut self, until: Instant) {
        while let Some(next) = self.alarm().filter(|next| *next <= until) {
            self.tick(next);
        }
        let rest = until.saturating_duration_since(self.world.now);
        assert_eq!(self.world.after(rest), [], "a wake-up was missed");
    }

    fn admit(&mut self, key: usize, class: Class, seconds: u64) {
        let deadline = self.world.now + Duration::from_secs(seconds);
        let (slot, concurrency) = (self.key(key), KEYS[key].1);
        let ask = Admission { key: slot, concurrency, class, tokens: 0, bytes: 1, deadline };
        match self.world.live.admit(ask, self.world.now) {
            Admitted::Now => {
                assert!(!self.key_full(key) && !self.outside.values().any(|theirs| theirs.key == key));
                self.inside.push(key);
                assert!(self.inside.len() <= usize::try_from(self.limits.max_in_flight).expect("small"));
            }
            Admitted::Wait(id) => {
                let waits = self.waits(key, class, ());
                self.outside.insert(id, waits);
                assert!(self.outside.len() + self.waiting.len() <= self.limits.queue_max);
            }
            Admitted::Refused(_) => {}
        }
    }

    fn lease(&mut self, waits: Waits<Line>, seconds: u64) {
        let (model, tried, bound) = waits.what;
        let id = |index: usize| self.world.id(BACKENDS[index]);
        let want = Want {
            tried: tried.map(id).into_iter().collect(),
            bound: bound.map(id),
            class: waits.class,
            caller: self.key(waits.key),
            deadline: self.world.now + Duration::from_secs(seconds),
            ..self.world.want(MODELS[model])
        };
        match self.world.lease(want) {
            Leased::Now(slot) => {
                let first = self.first_of(waits.what, waits.key, waits.class);
                assert!(first.is_none() || slot.emergency, "a newcomer passed {first:?}");
                self.leased(slot);
            }
            Leased::Wait(id) => {
                self.waiting.insert(id, waits);
                assert!(self.outside.len() + self.waiting.len() <= self.limits.queue_max);
            }
            Leased::Refused(refused) => assert!(refused.retry_after >= SECOND),
        }
    }

    fn release(&mut self, which: usize, how: &How) {
        let slot = self.held.remove(which);
        let (id, now) = (slot.backend, self.world.now);
        let outcome = match how {
            How::Success => SUCCESS,
            How::Neutral => Outcome::Neutral,
            How::Failed => failed(Taint::Backend),
            How::Unauthorized => unauthorized(),
            How::Limited(seconds) => {
                let probe_out = self.held.iter().any(|held| held.backend == id && held.probe);
                let closed = self.closed_until.get(&id).copied().filter(|until| *until > now);
                let (latest, outdated) = self.latest.entry(id).or_default();
                let is_news = slot.lease > *outdated;
                let base = if is_news && closed.is_none() { 30 * SECOND } else { Duration::ZERO };
                let length = base.max(Duration::from_secs(*seconds));
                if !probe_out && !length.is_zero() {
                    if closed.is_none() {
                        *outdated = *latest;
                    }
                    self.closed_until.insert(id, closed.unwrap_or(now).max(now + length));
                }
                limited(Some(Duration::from_secs(*seconds)))
            }
        };
        let grants = self.world.release(slot, outcome);
        self.settle(grants);
    }

    /// What holds after every step.
    fn check(&mut self) {
        let status = self.world.live.status(self.world.now);
        assert_eq!(usize::try_from(status.in_flight).expect("small"), self.inside.len());
        for backend in &status.backends {
            let held = self.held.iter().filter(|slot| slot.backend == backend.id).count();
            assert_eq!(usize::try_from(backend.in_flight).expect("small"), held, "{}", backend.name);
        }
        if self.alarm().is_some_and(|next| next <= self.world.now) {
            self.tick(self.world.now);
        }
        let status = self.world.live.status(self.world.now);
        assert_eq!(status.queue.admission, self.outside.len());
        assert_eq!(status.queue.routing, self.waiting.len());
        assert_eq!(status.queued, self.outside.len() + self.waiting.len());
        let full = self.inside.len() >= usize::try_from(self.limits.max_in_flight).expect("small");
        for (id, theirs) in &self.outside {
            assert!(full || self.key_full(theirs.key), "{id:?} waits for nothing");
        }
        match self.alarm() {
            Some(next) => assert!(next > self.world.now, "a tick that is never done"),
            None => assert_eq!(status.queued, 0, "someone waits for ever"),
        }
    }

    /// Ends everything and expects nothing to be left.
    fn end(mut self) {
        while !(self.held.is_empty() && self.inside.is_empty()) {
            if !self.held.is_empty() {
                self.release(0, &How::Neutral);
            }
            if !self.inside.is_empty() {
                let key = self.inside.remove(0);
                let grants = self.world.live.discharge(self.key(key), self.world.now);
                self.settle(grants);
            }
        }
        let waiters: Vec<WaiterId> = self.outside.keys().chain(self.waiting.keys()).copied().collect();
        self.outside.clear();
        self.waiting.clear();
        for id in waiters {
            assert_eq!(self.world.live.leave(id, self.world.now), []);
        }
        let status = self.world.live.status(self.world.now);
        assert_eq!((status.in_flight, status.queued, status.queue.bytes), (0, 0, 0));
        assert!(status.backends.iter().all(|backend| backend.in_flight == 0));
        // Rates that retreated come back, and then there is nothing left to do.
        self.alarm = self.world.live.next_tick();
        self.wait(self.world.now + Duration::from_hours(1));
        assert_eq!(self.world.live.next_tick(), None);
    }
}

proptest! {
    #![proptest_config(Config { cases: 1000, ..Config::default() })]

    #[test]
    fn nothing_is_lost_overtaken_or_let_through(
        limits in limits(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut ledger = Ledger::new(limits);
        for step in steps {
            ledger.apply(step);
        }
        ledger.end();
    }
}
