//! The queues and buckets of `Live` under every order of calls that a schedule explorer tries: no wake-up is lost, none goes
//! to two, and nothing is left behind. Requests are threads that hand each other their grants, as the gateway does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::{
    Admission, Admitted, BackendKind, BackendSpec, Class, Digester, Draft, Grant, Granted, KeySecret,
    KeySpec, Leased, Live, ModelSpec, Outcome, QueuePolicy, Secret, Snapshot, WaiterId, Want,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use shuttle::sync::{Mutex, mpsc};
use shuttle::thread;

const REQUESTS: usize = 6;
const SCHEDULES: usize = 2_000;
/// Tokens that the backend holds, and what each request reserves of them and then does not use.
const TOKENS: u64 = 100;
const RESERVED: u64 = 30;

/// What the gateway keeps beside `Live`: who waits, and how to reach them.
struct House {
    live: Live,
    snapshot: Snapshot,
    waiters: Mutex<HashMap<WaiterId, mpsc::Sender<Granted>>>,
    now: Instant,
}

impl House {
    fn new(policy: QueuePolicy) -> Self {
        let mut draft = Draft::new(Digester::new(&[7; 32]));
        let mut backend = BackendSpec::new("a", BackendKind::OpenAiCompatible, "https://example.test/v1");
        backend.models = Some([("m".to_owned(), ModelSpec::default())].into());
        backend.limits.rpm = 0;
        backend.limits.concurrency = Some(1);
        backend.limits.tpm = Some(TOKENS);
        draft.backends.push(backend);
        for name in ["one", "two"] {
            draft.keys.push(KeySpec::new(name, name, KeySecret::Plain(Secret::from(name))));
        }
        draft.settings.max_in_flight = 3;
        draft.settings.queue_max = 4;
        draft.settings.queue_policy = policy;
        let live = Live::new();
        #[expect(clippy::disallowed_methods, reason = "an instant to count from; no time passes here")]
        let now = Instant::now();
        let snapshot = Snapshot::build(draft, &live, 1, now).expect("the draft is in order");
        live.adopt(&snapshot, now);
        Self { live, snapshot, waiters: Mutex::default(), now }
    }

    /// Hands grants over; what cannot be handed over is given back, which may free more. Whoever was dropped
    /// from the queue hears of it at the next tick, which is due at once.
    fn deliver(&self, grants: Vec<Grant>) {
        let mut due = grants;
        loop {
            while let Some(grant) = due.pop() {
                let waiter = self.waiters.lock().expect("no panic").remove(&grant.waiter);
                let refused = match waiter {
                    Some(waiter) => waiter.send(grant.what).map_err(|unsent| unsent.0),
                    None => Err(grant.what),
                };
                due.extend(refused.err().into_iter().flat_map(|granted| self.freed_by(granted)));
            }
            if self.live.next_tick().is_none_or(|next| next > self.now) {
                return;
            }
            due = self.live.tick(self.now, &mut SmallRng::seed_from_u64(1));
        }
    }

    fn freed_by(&self, granted: Granted) -> Vec<Grant> {
        match granted {
            Granted::Admitted(key) => self.live.discharge(key, self.now),
            Granted::Slot(slot) => self.live.release(slot, Outcome::Neutral, self.now),
            Granted::Refused(_) => Vec::new(),
        }
    }

    /// Waits for a grant, or, if impatient, leaves at once.
    fn granted(
        &self,
        waiter: WaiterId,
        grant: &mpsc::Receiver<Granted>,
        patience: Patience,
    ) -> Option<Granted> {
        match patience {
            Patience::Endless => Some(grant.recv().expect("nobody is forgotten")),
            Patience::None => {
                thread::yield_now();
                if self.waiters.lock().expect("no panic").remove(&waiter).is_some() {
                    self.deliver(self.live.leave(waiter, self.now));
                    return None;
                }
                Some(grant.recv().expect("whoever took the sender sends"))
            }
        }
    }

    /// A request's whole life: let in, on a backend, and out again.
    fn request(&self, number: usize) {
        let key = &self.snapshot.identity.keys()[number % 2];
        let class = Class::ALL[number % Class::ALL.len()];
        let patience = if number % 3 == 2 { Patience::None } else { Patience::Endless };
        let deadline = self.now + Duration::from_secs(1);
        let ask = Admission { key: key.slot, concurrency: Some(2), class, tokens: 1, bytes: 1, deadline };
        let (sender, grant) = mpsc::channel();
        let mut waiters = self.waiters.lock().expect("no panic");
        let admitted = self.live.admit(ask, self.now);
        if let Admitted::Wait(waiter) = admitted {
            waiters.insert(waiter, sender);
        }
        drop(waiters);
        self.deliver(Vec::new());
        let granted = match admitted {
            Admitted::Now => Some(Granted::Admitted(key.slot)),
            Admitted::Wait(waiter) => self.granted(waiter, &grant, patience),
            Admitted::Refused(_) => None,
        };
        if !matches!(granted, Some(Granted::Admitted(_))) {
            return;
        }
        self.attempt(class, number, patience);
        self.deliver(self.live.discharge(key.slot, self.now));
    }

    fn attempt(&self, class: Class, number: usize, patience: Patience) {
        let key = &self.snapshot.identity.keys()[number % 2];
        let route = self.snapshot.catalog.resolve("m", key).expect("the model of this house");
        let want =
            Want { class, tokens: RESERVED, ..Want::plain(route, key, self.now + Duration::from_secs(1)) };
        let (sender, grant) = mpsc::channel();
        let mut waiters = self.waiters.lock().expect("no panic");
        let leased = self.live.lease(want, self.now, &mut SmallRng::seed_from_u64(1));
        if let Leased::Wait(waiter) = leased {
            waiters.insert(waiter, sender);
        }
        drop(waiters);
        self.deliver(Vec::new());
        let granted = match leased {
            Leased::Now(slot) => Some(Granted::Slot(slot)),
            Leased::Wait(waiter) => self.granted(waiter, &grant, patience),
            Leased::Refused(_) => None,
        };
        if let Some(Granted::Slot(slot)) = granted {
            thread::yield_now();
            self.deliver(self.live.release(slot, Outcome::Success { tokens: Some(0) }, self.now));
        }
    }
}

#[derive(Clone, Copy)]
enum Patience {
    Endless,
    None,
}

fn check(policy: QueuePolicy) {
    let play = move || {
        let house = Arc::new(House::new(policy));
        let requests: Vec<_> = (0..REQUESTS)
            .map(|number| {
                let house = Arc::clone(&house);
                thread::spawn(move || house.request(number))
            })
            .collect();
        // Limits put in force anew in the midst of it change no level.
        house.deliver(house.live.adopt(&house.snapshot, house.now));
        for request in requests {
            request.join().expect("no request panics");
        }
        let status = house.live.status(house.now);
        assert_eq!((status.in_flight, status.queued, status.queue.bytes), (0, 0, 0));
        assert!(status.backends.iter().all(|backend| backend.in_flight == 0));
        let level = status.backends.iter().map(|backend| backend.token_level).collect::<Vec<_>>();
        assert_eq!(level, [Some(TOKENS)], "what was reserved and not used is back, once");
        assert!(house.waiters.lock().expect("no panic").is_empty());
        assert_eq!(house.live.next_tick(), None);
    };
    shuttle::check_random(play, SCHEDULES);
    shuttle::check_pct(play, SCHEDULES, 3);
}

#[test]
fn nobody_is_forgotten_when_a_full_queue_rejects() {
    check(QueuePolicy::Reject);
}

#[test]
fn nobody_is_forgotten_when_a_full_queue_drops_the_worst() {
    check(QueuePolicy::DropLowest);
}
