//! What `Live` promises, case by case; its invariants under random use are in `random`.

mod choosing;
mod crowd;
mod limits;
mod queue;
mod random;
mod teams;

use std::time::{Duration, Instant};

use protocol::{Dialect, Needs, Taint};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use smallvec::SmallVec;

use super::*;
use crate::backend::Dialects;
use crate::identity::Class;
use crate::snapshot::{BackendSpec, Draft, PoolSpec, Snapshot, Spill};
use crate::testing::{backend, draft, epoch, key, snapshot};

const SECOND: Duration = Duration::from_secs(1);

struct World {
    live: Live,
    snapshot: Snapshot,
    now: Instant,
    rng: SmallRng,
}

impl World {
    fn new(draft: Draft) -> Self {
        let live = Live::new();
        let snapshot = snapshot(draft, &live);
        assert_eq!(live.adopt(&snapshot, epoch()), []);
        Self { live, snapshot, now: epoch(), rng: SmallRng::seed_from_u64(1) }
    }

    fn of(backends: impl IntoIterator<Item = BackendSpec>) -> Self {
        Self::new(draft(backends))
    }

    fn adopt(&mut self, draft: Draft) -> Vec<Grant> {
        self.snapshot = snapshot(draft, &self.live);
        self.live.adopt(&self.snapshot, self.now)
    }

    fn want(&self, model: &str) -> Want {
        let caller = self.snapshot.identity.anonymous();
        Want {
            route: self.snapshot.catalog.resolve(model, caller).expect("a model of this world"),
            dialects: Dialects::only(Dialect::OpenAiChat),
            purpose: Purpose::Answer,
            needs: Needs::default(),
            class: Class::Normal,
            caller: caller.slot,
            tried: SmallVec::new(),
            bound: None,
            tokens: 0,
            affinity: None,
            emergencies: 0,
            bytes: 1,
            deadline: self.now + 30 * SECOND,
        }
    }

    fn lease(&mut self, want: Want) -> Leased {
        self.live.lease(want, self.now, &mut self.rng)
    }

    fn slot(&mut self, want: Want) -> Slot {
        match self.lease(want) {
            Leased::Now(slot) => slot,
            other => panic!("no slot: {other:?}"),
        }
    }

    fn wait(&mut self, want: Want) -> WaiterId {
        match self.lease(want) {
            Leased::Wait(waiter) => waiter,
            other => panic!("does not wait: {other:?}"),
        }
    }

    fn refused(&mut self, want: Want) -> Refused {
        match self.lease(want) {
            Leased::Refused(refused) => refused,
            other => panic!("is not refused: {other:?}"),
        }
    }

    fn admit(&mut self, slot: KeySlot, concurrency: Option<u32>) -> Admitted {
        let deadline = self.now + 30 * SECOND;
        let ask = Admission { key: slot, concurrency, class: Class::Normal, tokens: 0, bytes: 1, deadline };
        self.live.admit(ask, self.now)
    }

    fn release(&mut self, slot: Slot, outcome: Outcome) -> Vec<Grant> {
        self.live.release(slot, outcome, self.now)
    }

    fn after(&mut self, time: Duration) -> Vec<Grant> {
        self.now += time;
        self.live.tick(self.now, &mut self.rng)
    }

    fn id(&self, name: &str) -> BackendId {
        self.snapshot.backend_named(name).expect("a backend of this world").id
    }

    fn name(&self, slot: &Slot) -> &str {
        &self.snapshot.backend(slot.backend).expect("a backend of this world").name
    }

    fn shown(&self, name: &str) -> BackendStatus {
        let status = self.live.status(self.now);
        status.backends.into_iter().find(|backend| &*backend.name == name).expect("a backend of this world")
    }
}

fn limited(retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed(FailureSummary {
        taint: Taint::Credential,
        rate_limited: true,
        unauthorized: false,
        retry_after,
        detail: "429".into(),
    })
}

fn unauthorized() -> Outcome {
    Outcome::Failed(FailureSummary {
        taint: Taint::Credential,
        rate_limited: false,
        unauthorized: true,
        retry_after: None,
        detail: "401".into(),
    })
}

fn failed(taint: Taint) -> Outcome {
    Outcome::Failed(FailureSummary {
        taint,
        rate_limited: false,
        unauthorized: false,
        retry_after: None,
        detail: "503".into(),
    })
}

const SUCCESS: Outcome = Outcome::Success { tokens: None };

fn with(mut spec: BackendSpec, change: impl FnOnce(&mut BackendSpec)) -> BackendSpec {
    change(&mut spec);
    spec
}

fn one_at_a_time(name: &str) -> BackendSpec {
    with(backend(name, &["m"]), |spec| spec.limits.concurrency = Some(1))
}

fn rated(name: &str, rpm: u32, burst: u32) -> BackendSpec {
    with(backend(name, &["m"]), |spec| {
        spec.limits.rpm = rpm;
        spec.limits.burst = Some(burst);
    })
}

#[test]
fn the_least_busy_backend_is_leased_and_equals_take_turns() {
    let mut world = World::of([backend("a", &["m"]), backend("b", &["m"]), backend("c", &["m"])]);
    let slots: Vec<Slot> = (0..6).map(|_| world.slot(world.want("m"))).collect();
    let names: Vec<&str> = slots.iter().map(|slot| world.name(slot)).collect();
    assert_eq!(names, ["a", "b", "c", "a", "b", "c"]);
    let mut slots = slots;
    let freed = slots.remove(4);
    assert_eq!(world.release(freed, SUCCESS), []);
    let next = world.slot(world.want("m"));
    assert_eq!(world.name(&next), "b");
}

#[test]
fn a_later_pool_is_used_when_the_first_cannot_start() {
    let fallback = with(backend("b", &["m"]), |spec| spec.pool = "fallback".into());
    let mut world = World::of([fallback, one_at_a_time("a")]);
    let names: Vec<String> = (0..3)
        .map(|_| {
            let slot = world.slot(world.want("m"));
            world.name(&slot).to_owned()
        })
        .collect();
    assert_eq!(names, ["a", "b", "b"]);
}

#[test]
fn a_later_pool_can_be_kept_for_when_the_first_is_lost() {
    let fallback = with(backend("b", &["m"]), |spec| spec.pool = "fallback".into());
    let mut draft = draft([fallback, one_at_a_time("a")]);
    draft.settings.spill = Spill::Wait;
    let mut world = World::new(draft);
    let slot = world.slot(world.want("m"));
    let waiter = world.wait(world.want("m"));
    let grants = world.release(slot, limited(Some(60 * SECOND)));
    let [Grant { waiter: granted, what: Granted::Slot(slot) }] = &grants[..] else { panic!("{grants:?}") };
    assert_eq!((*granted, world.name(slot)), (waiter, "b"), "60 s are past the deadline");
}

#[test]
fn a_429_cools_the_backend_then_one_probe_decides() {
    let mut world = World::of([backend("a", &["m"])]);
    let slot = world.slot(world.want("m"));
    assert_eq!(world.release(slot, limited(None)), []);
    assert_eq!(world.shown("a").state, Health::Cooling);
    assert_eq!(world.shown("a").cooldown_left_ms, Some(30_000));
    world.now += SECOND;
    let first = world.wait(world.want("m"));
    let second = world.wait(world.want("m"));
    assert_eq!(world.live.next_tick(), Some(epoch() + 30 * SECOND));
    assert_eq!(world.after(28 * SECOND), []);
    let mut grants = world.after(SECOND);
    let Some(Grant { waiter, what: Granted::Slot(probe) }) = grants.pop() else { panic!("{grants:?}") };
    assert_eq!((waiter, probe.probe, grants.len()), (first, true, 0));
    let grants = world.release(probe, SUCCESS);
    assert!(matches!(&grants[..], [Grant { waiter, what: Granted::Slot(slot) }]
        if *waiter == second && !slot.probe));
    assert_eq!(world.shown("a").state, Health::Healthy);
    assert_eq!(world.shown("a").consecutive_rate_limited, 0);
}

#[test]
fn cooldowns_double_until_a_probe_succeeds_and_honour_retry_after() {
    let mut world = World::of([backend("a", &["m"])]);
    for (retry_after, seconds) in
        [(None, 30), (None, 60), (Some(500 * SECOND), 500), (None, 240), (None, 480)]
    {
        let slot = world.slot(world.want("m"));
        world.release(slot, limited(retry_after));
        assert_eq!(world.shown("a").cooldown_left_ms, Some(seconds * 1000));
        world.now += Duration::from_secs(seconds);
    }
    let slot = world.slot(world.want("m"));
    world.release(slot, SUCCESS);
    let slot = world.slot(world.want("m"));
    world.release(slot, limited(None));
    assert_eq!(world.shown("a").cooldown_left_ms, Some(30_000));
}

#[test]
fn a_wait_past_the_deadline_is_refused_at_once_with_an_honest_time() {
    let mut world = World::of([backend("a", &["m"]), backend("b", &["m"])]);
    for seconds in [100, 90] {
        let slot = world.slot(world.want("m"));
        world.release(slot, limited(Some(seconds * SECOND)));
    }
    let refused = world.refused(world.want("m"));
    assert_eq!(refused.reason, RefusedReason::AllPoolsExhausted);
    assert_eq!(refused.retry_after, 90 * SECOND);
}

#[test]
fn those_who_wait_hear_at_once_when_hope_is_gone() {
    let mut world = World::of([one_at_a_time("a")]);
    let slot = world.slot(world.want("m"));
    let waiter = world.wait(world.want("m"));
    let grants = world.release(slot, limited(Some(45 * SECOND)));
    let refused = Refused { reason: RefusedReason::AllPoolsExhausted, retry_after: 45 * SECOND };
    assert_eq!(grants, [Grant { waiter, what: Granted::Refused(refused) }]);
    assert_eq!(world.live.status(world.now).queued, 0);
}

fn probed(result: ProbeResult) -> Probed {
    Probed { result, status: None, took: Duration::from_millis(5) }
}

#[test]
fn a_refused_credential_is_an_error_until_it_is_cleared() {
    let mut world = World::of([one_at_a_time("a")]);
    let id = world.id("a");
    for clear in 0..3 {
        let slot = world.slot(world.want("m"));
        let waiter = world.wait(world.want("m"));
        let grants = world.release(slot, unauthorized());
        assert!(matches!(&grants[..], [Grant { waiter: refused, what: Granted::Refused(why) }]
            if *refused == waiter && why.reason == RefusedReason::NoBackend));
        assert_eq!(world.shown("a").state, Health::Error);
        assert_eq!(world.shown("a").last_error.as_deref(), Some("401"));
        assert_eq!(world.refused(world.want("m")).reason, RefusedReason::NoBackend);
        assert_eq!(world.live.note_probe(id, probed(ProbeResult::Missed), world.now), []);
        assert_eq!(world.refused(world.want("m")).reason, RefusedReason::NoBackend);
        let cleared = match clear {
            0 => world.live.note_probe(id, probed(ProbeResult::Passed), world.now),
            1 => world.live.reset(id, world.now),
            _ => {
                let renewed = with(one_at_a_time("a"), |spec| spec.credential = Some("new".into()));
                world.adopt(draft([renewed]))
            }
        };
        assert_eq!(cleared, []);
        assert_eq!(world.shown("a").state, Health::Healthy, "{clear}");
    }
}

/// Some providers list their models to everybody: a probe that passes says nothing of the credential there.
#[test]
fn a_probe_that_proves_nothing_clears_an_error_ever_more_slowly() {
    let mut world = World::of([one_at_a_time("a")]);
    let id = world.id("a");
    for needed in [1, 2, 4, 8] {
        let slot = world.slot(world.want("m"));
        world.release(slot, unauthorized());
        for passes in 0..needed {
            assert_eq!(world.shown("a").state, Health::Error, "{passes} of {needed}");
            world.live.note_probe(id, probed(ProbeResult::Passed), world.now);
        }
        assert_eq!(world.shown("a").state, Health::Healthy, "{needed}");
    }
}

/// What happens to a backend between two turns of the prober, and whether it is asked at the second.
#[test]
fn the_idle_and_the_suspect_are_probed() {
    type Between = fn(&mut World, BackendId);
    fn call(world: &mut World, outcome: Outcome) {
        let slot = world.slot(world.want("m"));
        world.release(slot, outcome);
    }
    let cases: [(&str, Between, bool); 9] = [
        ("nothing", |_, _| {}, true),
        ("an answered call", |world, _| call(world, SUCCESS), false),
        ("a call of the caller's fault", |world, _| call(world, failed(Taint::Call)), false),
        ("a failed call", |world, _| call(world, failed(Taint::Backend)), true),
        (
            "a failed call, then an answered one",
            |world, _| {
                call(world, failed(Taint::Backend));
                call(world, SUCCESS);
            },
            false,
        ),
        ("a refused credential", |world, _| call(world, unauthorized()), true),
        ("a 429, which ends by time", |world, _| call(world, limited(Some(300 * SECOND))), false),
        (
            "a missed probe and an answered call",
            |world, id| {
                world.live.note_probe(id, probed(ProbeResult::Missed), world.now);
                call(world, SUCCESS);
            },
            true,
        ),
        (
            "an operator's wish",
            |world, _| {
                world.adopt(draft([with(one_at_a_time("a"), |spec| spec.enabled = false)]));
            },
            false,
        ),
    ];
    for (what, between, due) in cases {
        let mut world = World::of([one_at_a_time("a")]);
        let id = world.id("a");
        assert!(!world.live.is_probe_due(id, world.now), "nothing is known of it: {what}");
        world.now += 60 * SECOND;
        between(&mut world, id);
        assert_eq!(world.live.is_probe_due(id, world.now), due, "{what}");
    }
    let world = World::of([one_at_a_time("a")]);
    assert!(!world.live.is_probe_due(BackendId(7), world.now), "nobody has that place");
}

/// P11: what a probe sees changes the breaker and the error, and never a cooldown.
#[test]
fn a_probe_neither_begins_nor_ends_a_cooldown() {
    for result in [ProbeResult::Passed, ProbeResult::Unclear, ProbeResult::Missed] {
        let mut world = World::of([one_at_a_time("a")]);
        let (id, slot) = (world.id("a"), world.slot(world.want("m")));
        for _ in 0..3 {
            world.live.note_probe(id, probed(result), world.now);
        }
        assert_eq!(world.shown("a").state, Health::Healthy, "{result:?}");
        world.release(slot, limited(None));
        for _ in 0..10 {
            world.live.note_probe(id, probed(result), world.now);
            assert_eq!(world.shown("a").reason, Some("rate_limited"), "{result:?}");
            assert_eq!(
                world.shown("a").cooldown_left_ms.map(|left| left >= 30_000),
                Some(true),
                "{result:?}"
            );
        }
    }
}

#[test]
fn five_missed_probes_open_the_breaker_and_one_that_passes_closes_it() {
    let mut world = World::of([backend("a", &["m"])]);
    let id = world.id("a");
    for missed in 0..5 {
        assert_eq!(world.shown("a").state, Health::Healthy, "{missed}");
        world.live.note_probe(id, probed(ProbeResult::Missed), world.now);
    }
    let shown = world.shown("a");
    assert_eq!((shown.state, shown.reason), (Health::Cooling, Some("failing")));
    assert_eq!(shown.probe.map(|probe| (probe.state, probe.consecutive_failures)), Some((Reach::Down, 5)));
    let waiter = world.wait(world.want("m"));
    world.live.note_probe(id, probed(ProbeResult::Unclear), world.now);
    assert_eq!(world.shown("a").state, Health::Cooling, "an answer that says little closes nothing");
    world.live.note_probe(id, probed(ProbeResult::Missed), world.now);
    let grants = world.live.note_probe(id, probed(ProbeResult::Passed), world.now);
    assert!(
        matches!(&grants[..], [Grant { waiter: granted, what: Granted::Slot(slot) }]
        if *granted == waiter && !slot.probe),
        "{grants:?}"
    );
    assert_eq!(world.shown("a").state, Health::Healthy);
}

#[test]
fn five_failures_in_a_row_open_the_breaker_and_a_probe_closes_it() {
    let mut world = World::of([backend("a", &["m"])]);
    for _ in 0..5 {
        let slot = world.slot(world.want("m"));
        world.release(slot, failed(Taint::Backend));
    }
    assert_eq!(world.shown("a").state, Health::Cooling);
    assert_eq!(world.shown("a").reason, Some("failing"));
    let waiter = world.wait(world.want("m"));
    let grants = world.after(15 * SECOND);
    let [Grant { waiter: granted, what: Granted::Slot(slot) }] = &grants[..] else { panic!("{grants:?}") };
    assert!(*granted == waiter && slot.probe);
    for grant in grants {
        let Granted::Slot(slot) = grant.what else { panic!("a slot") };
        world.release(slot, SUCCESS);
    }
    assert_eq!(world.shown("a").state, Health::Healthy);
}

/// A backend of two models of which one always fails: what it answers of the other it goes on answering.
#[test]
fn the_failures_of_one_model_close_no_other() {
    let mut world = World::of([backend("a", &["bad", "good"])]);
    for _ in 0..5 {
        let slot = world.slot(world.want("bad"));
        world.release(slot, failed(Taint::Backend));
    }
    assert_eq!(world.shown("a").reason, Some("failing"), "nothing else is known of it");
    world.wait(world.want("bad"));
    let slot = world.slot(world.want("good"));
    world.release(slot, SUCCESS);
    assert_eq!((world.shown("a").state, world.shown("a").reason), (Health::Healthy, Some("model_failing")));
    let opened =
        world.live.status(world.now).events.into_iter().find(|one| one.kind == EventKind::BreakerOpened);
    assert_eq!(opened.and_then(|event| event.fields.reason).as_deref(), Some("one_model"));
    for _ in 0..5 {
        let slot = world.slot(world.want("good"));
        world.release(slot, failed(Taint::Backend));
    }
    assert_eq!((world.shown("a").state, world.shown("a").reason), (Health::Cooling, Some("failing")));
}

#[test]
fn one_request_is_one_failure_however_often_it_is_repeated() {
    let mut world = World::of([backend("a", &["m"])]);
    for _ in 0..4 {
        let mut want = world.want("m");
        for _ in 0..5 {
            let slot = world.slot(want.clone());
            want.tried = [slot.backend].into_iter().collect();
            world.release(slot, failed(Taint::Backend));
        }
    }
    assert_eq!((world.shown("a").state, world.shown("a").consecutive_failures), (Health::Healthy, 4));
    let slot = world.slot(world.want("m"));
    world.release(slot, failed(Taint::Backend));
    assert_eq!(world.shown("a").state, Health::Cooling, "several in a row are an outage");
}

#[test]
fn failures_of_the_call_itself_open_nothing() {
    let mut world = World::of([backend("a", &["m"])]);
    for _ in 0..20 {
        let slot = world.slot(world.want("m"));
        world.release(slot, failed(Taint::Call));
    }
    assert_eq!(world.shown("a").state, Health::Healthy);
}

#[test]
fn the_next_of_the_line_starts_when_a_slot_is_released() {
    let mut world = World::of([one_at_a_time("a")]);
    let slot = world.slot(world.want("m"));
    let waiters: Vec<WaiterId> = (0..3).map(|_| world.wait(world.want("m"))).collect();
    assert_eq!(world.live.leave(waiters[0], world.now), []);
    assert_eq!(world.live.leave(waiters[0], world.now), []);
    let mut grants = world.release(slot, SUCCESS);
    let Some(Grant { waiter, what: Granted::Slot(slot) }) = grants.pop() else { panic!("{grants:?}") };
    assert_eq!((waiter, grants.len()), (waiters[1], 0));
    let grants = world.release(slot, Outcome::Neutral);
    assert!(matches!(&grants[..], [Grant { waiter, what: Granted::Slot(_) }] if *waiter == waiters[2]));
}

#[test]
fn a_bucket_lets_as_many_start_as_it_holds_and_wakes_the_next_in_time() {
    let mut world = World::of([rated("a", 60, 2)]);
    for _ in 0..2 {
        world.slot(world.want("m"));
    }
    let waiters = [world.wait(world.want("m")), world.wait(world.want("m"))];
    assert_eq!(world.live.next_tick(), Some(world.now + SECOND));
    for waiter in waiters {
        let grants = world.after(SECOND);
        assert!(
            matches!(&grants[..], [Grant { waiter: granted, what: Granted::Slot(_) }] if *granted == waiter)
        );
    }
    assert_eq!(world.live.next_tick(), None);
}

#[test]
fn a_newcomer_does_not_pass_those_whose_wake_up_is_due() {
    let mut world = World::of([rated("a", 60, 1)]);
    world.slot(world.want("m"));
    let waiter = world.wait(world.want("m"));
    world.now += SECOND;
    world.wait(world.want("m"));
    assert!(world.live.next_tick().is_some_and(|next| next <= world.now));
    let grants = world.after(Duration::ZERO);
    assert!(matches!(&grants[..], [Grant { waiter: granted, what: Granted::Slot(_) }] if *granted == waiter));
}

#[test]
fn whoever_waits_too_long_is_refused() {
    let mut world = World::of([one_at_a_time("a")]);
    let _slot = world.slot(world.want("m"));
    let waiter = world.wait(world.want("m"));
    assert_eq!(world.live.next_tick(), Some(world.now + 30 * SECOND));
    let grants = world.after(30 * SECOND);
    let refused = Refused { reason: RefusedReason::QueueTimeout, retry_after: SECOND };
    assert_eq!(grants, [Grant { waiter, what: Granted::Refused(refused) }]);
    assert_eq!(world.live.next_tick(), None);
}

#[test]
fn both_queues_share_one_bound() {
    let mut draft = draft([one_at_a_time("a")]);
    draft.settings.queue_max = 2;
    draft.settings.max_in_flight = 1;
    let mut world = World::new(draft);
    let caller = world.snapshot.identity.anonymous().slot;
    assert_eq!(world.admit(caller, None), Admitted::Now);
    let _slot = world.slot(world.want("m"));
    world.wait(world.want("m"));
    let Admitted::Wait(waiter) = world.admit(caller, None) else { panic!("there is a place") };
    assert_eq!(world.refused(world.want("m")).reason, RefusedReason::QueueFull);
    let Admitted::Refused(refused) = world.admit(caller, None) else { panic!("there is none") };
    assert_eq!(refused.reason, RefusedReason::QueueFull);
    assert_eq!(world.live.status(world.now).rejected_total, 2);
    assert_eq!(world.live.discharge(caller, world.now), [Grant { waiter, what: Granted::Admitted(caller) }],);
}

#[test]
fn bytes_are_bounded_as_places_are() {
    let mut draft = draft([one_at_a_time("a")]);
    draft.settings.queue_bytes_max = 10;
    let mut world = World::new(draft);
    let _slot = world.slot(world.want("m"));
    world.wait(Want { bytes: 8, ..world.want("m") });
    assert_eq!(world.refused(Want { bytes: 3, ..world.want("m") }).reason, RefusedReason::QueueFull);
    world.wait(Want { bytes: 2, ..world.want("m") });
}

#[test]
fn a_full_key_waits_without_holding_up_the_others() {
    let mut draft = draft([backend("a", &["m"])]);
    draft.keys = vec![key("one"), key("two")];
    draft.settings.max_in_flight = 3;
    let mut world = World::new(draft);
    let slots: Vec<KeySlot> = world.snapshot.identity.keys().iter().map(|key| key.slot).collect();
    assert_eq!(world.admit(slots[0], Some(1)), Admitted::Now);
    let Admitted::Wait(first) = world.admit(slots[0], Some(1)) else { panic!("its key is full") };
    let Admitted::Wait(second) = world.admit(slots[0], Some(1)) else { panic!("its key is full") };
    assert_eq!(world.admit(slots[1], None), Admitted::Now);
    assert_eq!(world.admit(slots[1], None), Admitted::Now);
    let Admitted::Wait(third) = world.admit(slots[1], None) else { panic!("the gateway is full") };
    assert_eq!(
        world.live.discharge(slots[0], world.now),
        [Grant { waiter: first, what: Granted::Admitted(slots[0]) }]
    );
    assert_eq!(
        world.live.discharge(slots[1], world.now),
        [Grant { waiter: third, what: Granted::Admitted(slots[1]) }]
    );
    let grants = world.after(30 * SECOND);
    let refused = Refused { reason: RefusedReason::ConcurrencyLimited, retry_after: SECOND };
    assert_eq!(grants, [Grant { waiter: second, what: Granted::Refused(refused) }]);
}

#[test]
fn one_refused_at_its_deadline_leaves_its_room_to_the_next_of_its_key() {
    let mut draft = draft([backend("a", &["m"])]);
    draft.keys = vec![key("one"), key("two")];
    let mut world = World::new(draft);
    let slots: Vec<KeySlot> = world.snapshot.identity.keys().iter().map(|key| key.slot).collect();
    assert_eq!(world.admit(slots[0], Some(1)), Admitted::Now);
    let Admitted::Wait(early) = world.admit(slots[0], Some(1)) else { panic!("its key is full") };
    world.now += SECOND;
    let Admitted::Wait(late) = world.admit(slots[0], Some(1)) else { panic!("its key is full") };
    assert_eq!(world.admit(slots[1], None), Admitted::Now);
    assert_eq!(world.live.discharge(slots[1], world.now), [], "both step aside");
    world.now += 29 * SECOND;
    let grants = world.live.discharge(slots[0], world.now);
    assert!(matches!(&grants[..], [
        Grant { waiter: refused, what: Granted::Refused(_) },
        Grant { waiter: admitted, what: Granted::Admitted(_) },
    ] if (*refused, *admitted) == (early, late)));
}

#[test]
fn a_full_gateway_says_so_in_the_end() {
    let mut draft = draft([backend("a", &["m"])]);
    draft.settings.max_in_flight = 1;
    let mut world = World::new(draft);
    let caller = world.snapshot.identity.anonymous().slot;
    assert_eq!(world.admit(caller, None), Admitted::Now);
    let Admitted::Wait(waiter) = world.admit(caller, None) else { panic!("the gateway is full") };
    let refused = Refused { reason: RefusedReason::Backpressure, retry_after: SECOND };
    assert_eq!(world.after(30 * SECOND), [Grant { waiter, what: Granted::Refused(refused) }]);
}

#[test]
fn a_key_is_held_to_its_own_rate() {
    let mut draft = draft([backend("a", &["m"])]);
    let mut limited_key = key("one");
    limited_key.limits.rpm = Some(2);
    draft.keys = vec![limited_key];
    let mut world = World::new(draft);
    let slot = world.snapshot.identity.keys()[0].slot;
    assert_eq!(world.admit(slot, None), Admitted::Now);
    assert_eq!(world.admit(slot, None), Admitted::Now);
    let refused = Refused { reason: RefusedReason::RateLimited, retry_after: 30 * SECOND };
    assert_eq!(world.admit(slot, None), Admitted::Refused(refused));
    let rate = KeyRate { limit: 2, remaining: 0, reset: 60 * SECOND };
    assert_eq!(world.live.key_rate(slot, world.now), Some(rate));
    world.now += 30 * SECOND;
    assert_eq!(world.admit(slot, None), Admitted::Now);
}

#[test]
fn attempts_go_to_other_backends_while_one_is_left() {
    let mut world = World::of([backend("a", &["m"]), one_at_a_time("b")]);
    let tried: SmallVec<[BackendId; 5]> = SmallVec::from_slice(&[world.id("a")]);
    let first = world.slot(Want { tried: tried.clone(), ..world.want("m") });
    assert_eq!(world.name(&first), "b");
    let waiter = world.wait(Want { tried: tried.clone(), ..world.want("m") });
    let grants = world.after(30 * SECOND);
    let [Grant { waiter: granted, what: Granted::Slot(slot) }] = &grants[..] else { panic!("{grants:?}") };
    assert_eq!(
        (*granted, world.name(slot)),
        (waiter, "a"),
        "at the last moment a repeat is better than none"
    );
    world.release(first, limited(Some(40 * SECOND)));
    let repeat = world.slot(Want { tried, ..world.want("m") });
    assert_eq!(world.name(&repeat), "a", "b is not left: it rests past the deadline");
}

#[test]
fn a_bound_request_goes_to_its_backend_or_nowhere() {
    let mut world = World::of([backend("a", &["m"]), one_at_a_time("b"), backend("c", &["other"])]);
    let bound = |world: &World, name: &str| Want { bound: Some(world.id(name)), ..world.want("m") };
    let slot = world.slot(bound(&world, "b"));
    assert_eq!(world.name(&slot), "b");
    world.wait(bound(&world, "b"));
    assert_eq!(world.refused(bound(&world, "c")).reason, RefusedReason::BoundBackendGone);
    let grants = world.release(slot, unauthorized());
    assert!(matches!(&grants[..], [Grant { what: Granted::Refused(why), .. }]
        if why.reason == RefusedReason::BoundBackendGone));
}

#[test]
fn what_a_backend_cannot_carry_goes_elsewhere() {
    let blind = with(backend("blind", &["m"]), |spec| {
        for model in spec.models.iter_mut().flat_map(|models| models.values_mut()) {
            model.carries.images = false;
            model.context = Some(100);
        }
    });
    let mut world = World::of([blind.clone(), backend("seeing", &["m"])]);
    let images = Needs { images: true, ..Needs::default() };
    for want in [Want { needs: images, ..world.want("m") }, Want { tokens: 101, ..world.want("m") }] {
        for _ in 0..3 {
            let slot = world.slot(want.clone());
            assert_eq!(world.name(&slot), "seeing");
        }
    }
    let mut world = World::of([blind]);
    let want = Want { needs: images, ..world.want("m") };
    assert_eq!(world.refused(want).reason, RefusedReason::Unsupported);
    world.slot(Want { tokens: 101, ..world.want("m") });
}

#[test]
fn a_reload_keeps_what_was_learned_and_drains_what_is_gone() {
    let mut world = World::of([rated("a", 60, 10), backend("b", &["m"])]);
    let held: Vec<Slot> = (0..4).map(|_| world.slot(world.want("m"))).collect();
    let old = world.want("m");
    assert_eq!(world.shown("a").bucket_level, Some(8));
    assert_eq!(world.adopt(draft([rated("a", 120, 20)])), []);
    assert_eq!(world.shown("a").bucket_level, Some(8));
    assert_eq!((world.shown("a").in_flight, world.shown("a").requests), (2, 2));
    let slot = world.slot(old);
    assert_eq!(world.name(&slot), "a", "an old route leads to no backend that is gone");
    assert_eq!(world.live.status(world.now).backends.len(), 1);
    for slot in held {
        world.release(slot, SUCCESS);
    }
    assert_eq!(world.adopt(draft([rated("a", 60, 5), backend("b", &["m"])])), []);
    assert_eq!(world.shown("a").bucket_level, Some(5), "no more than it can hold");
    assert_eq!((world.shown("b").in_flight, world.shown("b").requests), (0, 2));
}

#[test]
fn a_reload_serves_those_whom_it_frees() {
    let mut world = World::of([one_at_a_time("a")]);
    let _slot = world.slot(world.want("m"));
    let waiter = world.wait(world.want("m"));
    let grants = world.adopt(draft([backend("a", &["m"])]));
    assert!(matches!(&grants[..], [Grant { waiter: granted, what: Granted::Slot(_) }] if *granted == waiter));
    let waiter = {
        assert_eq!(world.adopt(draft([one_at_a_time("a")])), []);
        world.wait(world.want("m"))
    };
    let grants = world.adopt(draft([with(one_at_a_time("a"), |spec| spec.enabled = false)]));
    assert!(matches!(&grants[..], [Grant { waiter: refused, what: Granted::Refused(why) }]
        if *refused == waiter && why.reason == RefusedReason::NoBackend));
    assert_eq!(world.shown("a").state, Health::Disabled);
}

#[test]
fn retries_are_a_share_of_the_pools_requests() {
    let mut draft = draft([backend("a", &["m"])]);
    draft.settings.retry_floor = 2;
    draft.pools = vec![PoolSpec { name: "spare".into(), strategy: Default::default(), rank: 0 }];
    let mut world = World::new(draft);
    let allowed = |world: &World| (0..100).filter(|_| world.live.may_retry("primary", world.now)).count();
    assert_eq!(allowed(&world), 2);
    for _ in 0..50 {
        world.slot(world.want("m"));
    }
    assert_eq!(allowed(&world), 8);
    let status = world.live.status(world.now);
    let told = status.events.last().map(|event| (event.kind, event.times, &*event.text));
    assert_eq!(told, Some((EventKind::RetryDenied, 190, "too many requests of the pool primary failed")));
    assert_eq!(status.retry_denied_total, 190);
    assert!(!world.live.may_retry("nowhere", world.now));
}

#[test]
fn events_tell_what_happened_and_a_flood_is_counted_not_kept() {
    let mut world = World::of([backend("a", &["m"])]);
    let slot = world.slot(world.want("m"));
    world.release(slot, limited(None));
    let impatient = Want { deadline: world.now + SECOND, ..world.want("m") };
    for _ in 0..1000 {
        world.refused(impatient.clone());
    }
    world.now += 30 * SECOND;
    let slot = world.slot(world.want("m"));
    world.release(slot, unauthorized());
    let events = world.live.status(world.now).events;
    let told: Vec<(EventKind, Option<&str>, u64)> =
        events.iter().map(|event| (event.kind, event.backend.as_deref(), event.times)).collect();
    assert_eq!(
        told,
        [
            (EventKind::CooldownStarted, Some("a"), 1),
            (EventKind::Refused, None, 1000),
            (EventKind::CooldownEnded, Some("a"), 1),
            (EventKind::ErrorSet, Some("a"), 1),
        ]
    );
    assert_eq!(events[0].age_ms, 30_000);
}

#[test]
fn a_status_is_plain_json_without_secrets() {
    let secret = with(rated("a", 60, 1), |spec| spec.credential = Some("canary-credential".into()));
    let mut world = World::of([secret]);
    let slot = world.slot(world.want("m"));
    world.release(slot, limited(None));
    let json = serde_json::to_value(world.live.status(world.now)).expect("plain data");
    assert_eq!(json["backends"][0]["state"], "cooling");
    assert_eq!(json["backends"][0]["rate_limited"], 1);
    assert_eq!(json["events"][0]["kind"], "cooldown_started");
    assert!(!json.to_string().contains("canary"));
    assert!(!format!("{:?} {:?}", world.snapshot, world.live).contains("canary"));
}
