//! How soon one who comes can start behind those who wait: refused at once when that is too late, and told when.

use proptest::prelude::{Strategy as Generator, proptest};

use super::*;
use crate::limit::{Adaptive, RateWindow};

const HOUR: Duration = Duration::from_hours(1);
const KEYS: [(&str, u32); 3] = [("one", 1), ("two", 1), ("three", 3)];

/// As exact as a start is foreseen.
const EXACTLY: Duration = Duration::from_millis(250);

fn caller(world: &World, key: usize) -> KeySlot {
    world
        .snapshot
        .identity
        .keys()
        .iter()
        .find(|one| &*one.name == KEYS[key].0)
        .expect("a key of this world")
        .slot
}

/// One start a second, of which the first is taken; so many of one class wait for the others.
fn a_second_each(waiting: usize, class: Class) -> World {
    let mut draft = draft([rated("a", 60, 1)]);
    draft.settings.ageing = HOUR;
    draft.settings.emergency_percent = 0;
    let mut world = World::new(draft);
    world.slot(world.want("m"));
    for _ in 0..waiting {
        world.wait(Want { class, deadline: world.now + HOUR, ..world.want("m") });
    }
    world
}

#[test]
fn those_before_it_are_counted_and_nobody_else() {
    // (who waits, who comes, how many seconds it has, after how many it is told to come again)
    for (waiting, class, comes, patience, told) in [
        (10, Class::Normal, Class::Normal, 10, Some(11)),
        (10, Class::Normal, Class::Normal, 11, None),
        (10, Class::Normal, Class::High, 2, None),
        (10, Class::High, Class::Normal, 10, Some(11)),
        (10, Class::Normal, Class::Low, 30, Some(11)),
        (1, Class::Normal, Class::Low, 30, None),
        (400, Class::Normal, Class::Normal, 30, Some(401)),
        (0, Class::Normal, Class::Normal, 1, Some(1)),
    ] {
        let mut world = a_second_each(waiting, class);
        let want = Want { class: comes, deadline: world.now + patience * SECOND, ..world.want("m") };
        let what = format!("{comes:?} behind {waiting} of {class:?} within {patience} s");
        match (world.lease(want), told) {
            (Leased::Wait(_), None) => {}
            (Leased::Refused(refused), Some(told)) => {
                assert_eq!(refused.reason, RefusedReason::AllPoolsExhausted, "{what}");
                let after = refused.retry_after;
                assert!(after >= told * SECOND && after <= told * SECOND + EXACTLY, "{what}: {after:?}");
            }
            (other, _) => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_long_wait_for_a_slot_is_no_reason_to_refuse() {
    let mut world = World::of([one_at_a_time("a")]);
    let _slot = world.slot(world.want("m"));
    for _ in 0..100 {
        world.wait(world.want("m"));
    }
}

#[test]
fn those_who_may_go_elsewhere_do_not_count() {
    let shared = with(rated("a", 60, 1), |spec| spec.models = backend("a", &["m", "n"]).models);
    let own = with(rated("b", 60, 1), |spec| spec.models = backend("b", &["n"]).models);
    for (backends, wanted) in [(vec![shared.clone(), own], "m"), (vec![shared], "n")] {
        let is_shared = wanted == "n";
        let mut draft = draft(backends);
        draft.settings.emergency_percent = 0;
        let mut world = World::new(draft);
        while let Leased::Now(_) = world.lease(world.want("n")) {}
        for _ in 0..20 {
            world.wait(Want { deadline: world.now + HOUR, ..world.want("n") });
        }
        let came = world.lease(Want { deadline: world.now + 5 * SECOND, ..world.want(wanted) });
        assert_eq!(matches!(came, Leased::Refused(_)), is_shared, "{wanted}: {came:?}");
    }
}

#[test]
fn whoever_is_refused_hears_when_to_come_again() {
    let mut world = a_second_each(5, Class::Normal);
    let soonest = world.live.soonest(&world.want("m"), world.now);
    assert!(soonest >= 6 * SECOND && soonest <= 6 * SECOND + EXACTLY, "behind five: {soonest:?}");
    world.snapshot.settings.queue_max = 5;
    world.live.adopt(&world.snapshot, world.now);
    let refused = world.refused(world.want("m"));
    assert_eq!((refused.reason, refused.retry_after), (RefusedReason::QueueFull, soonest));
    let mut resting = World::of([backend("a", &["m"])]);
    let slot = resting.slot(resting.want("m"));
    resting.release(slot, limited(None));
    assert_eq!(resting.live.soonest(&resting.want("m"), resting.now), 30 * SECOND, "its cooldown");
    resting.now += 40 * SECOND;
    assert_eq!(resting.live.soonest(&resting.want("m"), resting.now), SECOND, "at once");
}

/// A backend's requests a minute and in one burst, and how long it rests first.
type Rated = (u32, u32, Option<u32>);

/// Backends, how their minutes are counted, who waits, and who comes with how many seconds.
#[derive(Debug, Clone)]
struct Scene {
    backends: Vec<Rated>,
    window: RateWindow,
    waiting: Vec<(usize, Class)>,
    comes: (usize, Class, u32),
}

fn scenes() -> impl Generator<Value = Scene> {
    let rest = proptest::option::weighted(0.2, 1_u32..40);
    let backends = proptest::collection::vec((6_u32..200, 1_u32..8, rest), 1..4);
    let window = proptest::sample::select(vec![RateWindow::Bucket, RateWindow::Minute]);
    let who = || (0..KEYS.len(), proptest::sample::select(Class::ALL.to_vec()));
    let waiting = proptest::collection::vec(who(), 0..40);
    let comes = (who(), 1_u32..60).prop_map(|((key, class), patience)| (key, class, patience));
    (backends, window, waiting, comes).prop_map(|(backends, window, waiting, comes)| Scene {
        backends,
        window,
        waiting,
        comes,
    })
}

impl Scene {
    /// Everybody waits who is to wait, and nothing can start at once.
    fn stage(&self) -> World {
        let names = ["a", "b", "c"];
        let specs = self.backends.iter().zip(names).map(|((rpm, burst, _), name)| rated(name, *rpm, *burst));
        let mut draft = draft(specs);
        draft.keys = KEYS.map(|(name, weight)| with_weight(key(name), weight)).into();
        draft.settings.rate_window = self.window;
        draft.settings.adaptive.mode = Adaptive::Off;
        draft.settings.emergency_percent = 0;
        (draft.settings.ageing, draft.settings.low_timeout) = (10 * HOUR, HOUR);
        let mut world = World::new(draft);
        for ((_, _, rest), name) in self.backends.iter().zip(names) {
            let Some(rest) = rest else { continue };
            let slot = world.slot(Want { bound: Some(world.id(name)), ..world.want("m") });
            let mut rests = limited(Some(*rest * SECOND));
            if let Outcome::Failed(failure) = &mut rests {
                failure.taint = Taint::Credential;
            }
            world.release(slot, rests);
        }
        while let Leased::Now(slot) = world.lease(Want { deadline: world.now, ..world.want("m") }) {
            world.release(slot, SUCCESS);
        }
        for (key, class) in &self.waiting {
            world.wait(self.of(&world, *key, *class, HOUR));
        }
        world
    }

    fn of(&self, world: &World, key: usize, class: Class, patience: Duration) -> Want {
        Want { caller: caller(world, key), class, deadline: world.now + patience, ..world.want("m") }
    }

    /// Whether nothing but buckets decides when one starts.
    fn is_plain(&self) -> bool {
        self.window == RateWindow::Bucket && self.backends.iter().all(|(_, _, rest)| rest.is_none())
    }

    /// How exactly a start is foreseen: to one start of each backend; a minute's amount comes back as it was taken,
    /// and what rests now comes in later.
    fn inexact_by(&self) -> Duration {
        let rpm: u32 = self.backends.iter().map(|(rpm, _, _)| rpm).sum();
        let starts = u32::try_from(self.backends.len()).expect("few") + 1;
        let of_minutes = if self.is_plain() { Duration::ZERO } else { 120 * SECOND };
        60 * SECOND * starts / rpm + SECOND + of_minutes
    }

    /// After how long one really starts who has all the time in the world, if nobody leaves.
    fn started_after(&self) -> Duration {
        let mut world = self.stage();
        let (key, class, _) = self.comes;
        let (began, who) = (world.now, world.wait(self.of(&world, key, class, HOUR)));
        loop {
            let due = world.live.next_tick().expect("somebody waits");
            let mut grants = world.after(due - world.now);
            while let Some(Grant { waiter, what }) = grants.pop() {
                let Granted::Slot(slot) = what else { panic!("{waiter:?}: {what:?}") };
                if waiter == who {
                    return world.now - began;
                }
                grants.extend(world.release(slot, SUCCESS));
            }
        }
    }
}

fn with_weight(mut key: crate::snapshot::KeySpec, weight: u32) -> crate::snapshot::KeySpec {
    key.weight = weight;
    key
}

proptest! {
    /// The model is the queue itself, played to the end by somebody who has time.
    #[test]
    fn nobody_is_refused_who_would_have_had_a_turn(scene in scenes()) {
        let real = scene.started_after();
        let mut world = scene.stage();
        let (key, class, patience) = scene.comes;
        let patience = patience * SECOND;
        match world.lease(scene.of(&world, key, class, patience)) {
            Leased::Refused(refused) => {
                let told = refused.retry_after;
                assert!(real >= patience, "it would have started after {real:?}");
                assert!(told >= patience.max(SECOND), "{told:?}");
                assert!(told <= real.max(SECOND) + scene.inexact_by(), "{told:?} where it takes {real:?}");
                assert!(told + scene.inexact_by() >= real, "{told:?} where it takes {real:?}");
            }
            Leased::Wait(_) => {
                // What comes in while a backend rests is foreseen too well, and so is a minute's end.
                assert!(!scene.is_plain() || real <= patience, "it waits for nothing: {real:?}");
            }
            Leased::Now(slot) => panic!("nothing is left: {slot:?}"),
        }
    }
}
