//! Which backend an attempt gets: by strategy, by affinity, by model, and in an emergency.

use std::collections::BTreeMap;

use super::*;
use crate::money::{Amount, PriceSpec};
use crate::schedule::Strategy;

fn spread(strategy: Strategy, backends: impl IntoIterator<Item = BackendSpec>) -> World {
    let mut draft = draft(backends);
    draft.pools = vec![PoolSpec { name: "primary".into(), strategy, rank: 0 }];
    World::new(draft)
}

fn priced(name: &str, dollars: i128) -> BackendSpec {
    with(one_at_a_time(name), |spec| {
        for model in spec.models.iter_mut().flat_map(|models| models.values_mut()) {
            let price = PriceSpec { input: Amount(dollars), output: Amount(dollars), ..PriceSpec::default() };
            model.price = Some(price);
        }
    })
}

fn names(world: &mut World, count: usize, want: impl Fn(&World) -> Want) -> Vec<String> {
    let lease = |_| {
        let want = want(world);
        let slot = world.slot(want);
        world.name(&slot).to_owned()
    };
    (0..count).map(lease).collect()
}

#[test]
fn the_cheapest_is_taken_while_it_can_start() {
    let mut world = spread(
        Strategy::Cost,
        [one_at_a_time("unpriced"), priced("dear", 9), priced("cheap", 1), priced("fair", 5)],
    );
    assert_eq!(names(&mut world, 4, |world| world.want("m")), ["cheap", "fair", "dear", "unpriced"]);
}

#[test]
fn the_first_written_is_taken_while_it_can_start() {
    let mut world = spread(Strategy::Priority, ["b", "a", "c"].map(one_at_a_time));
    assert_eq!(names(&mut world, 3, |world| world.want("m")), ["b", "a", "c"]);
}

#[test]
fn lots_fall_by_weight() {
    let heavy = with(backend("heavy", &["m"]), |spec| spec.weight = 3);
    let mut world = spread(Strategy::Weighted, [backend("light", &["m"]), heavy]);
    let heavy = names(&mut world, 4000, |world| world.want("m"));
    let heavy = heavy.iter().filter(|name| *name == "heavy").count();
    assert!((2850..3150).contains(&heavy), "{heavy} of 4000");
}

#[test]
fn of_two_drawn_the_faster_is_taken() {
    let mut world = spread(Strategy::Latency, ["slow", "a", "b"].map(|name| backend(name, &["m"])));
    let route = world.want("m").route;
    for (name, millis) in [("slow", 9000), ("a", 300), ("b", 300)] {
        let (id, took) = (world.id(name), Duration::from_millis(millis));
        world.live.note_first_event(id, &route.tiers[0], took, world.now);
    }
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..900 {
        let slot = world.slot(world.want("m"));
        *count.entry(world.name(&slot).to_owned()).or_default() += 1;
        world.release(slot, SUCCESS);
    }
    // It is taken only when both lots fall on it: one time in nine.
    assert!((60..140).contains(&count["slow"]), "{count:?}");
    assert!(count["a"].abs_diff(count["b"]) < 120, "{count:?}");
}

#[test]
fn a_model_can_have_a_strategy_of_its_own() {
    let mut draft = draft([backend("a", &["m", "n"]), backend("b", &["m", "n"])]);
    draft.strategies = [("n".to_owned(), Strategy::Priority)].into();
    let mut world = World::new(draft);
    assert_eq!(names(&mut world, 2, |world| world.want("m")), ["a", "b"]);
    assert_eq!(names(&mut world, 3, |world| world.want("n")), ["a", "a", "a"]);
}

fn homed(world: &World, key: u64) -> Want {
    Want { affinity: Some(key), ..world.want("m") }
}

#[test]
fn requests_that_belong_together_stay_together() {
    let mut world = World::of((0..10).map(|number| backend(&format!("b{number}"), &["m"])));
    let mut homes = BTreeMap::new();
    for key in 0..200 {
        let home = names(&mut world, 1, |world| homed(world, key)).remove(0);
        *homes.entry(home.clone()).or_insert(0) += 1;
        world.now += SECOND;
        for slot in names(&mut world, 2, |world| homed(world, key)) {
            assert_eq!(slot, home, "{key}");
        }
        world = World::of((0..10).map(|number| backend(&format!("b{number}"), &["m"])));
    }
    assert_eq!(homes.len(), 10, "every backend is home to some: {homes:?}");
}

#[test]
fn home_changes_nothing_that_a_strategy_promises() {
    let of_each_key = |strategy, backends: Vec<BackendSpec>| -> Vec<String> {
        let mut world = spread(strategy, backends);
        let lease = |key| {
            let slot = world.slot(homed(&world, key));
            let name = world.name(&slot).to_owned();
            world.release(slot, SUCCESS);
            name
        };
        (0..20).chain(0..20).map(lease).collect()
    };
    let alike = || ["a", "b"].map(|name| backend(name, &["m"])).into();
    assert!(of_each_key(Strategy::Priority, alike()).iter().all(|name| name == "a"));
    let turns = of_each_key(Strategy::RoundRobin, alike());
    assert!(turns.windows(2).all(|two| two[0] != two[1]), "{turns:?}");
    for cheap_first in [true, false] {
        let mut backends = vec![priced("dear", 50), priced("one", 1), priced("two", 1)];
        if cheap_first {
            backends.reverse();
        }
        let homes = of_each_key(Strategy::Cost, backends);
        assert!(homes.iter().all(|name| name != "dear"), "{homes:?}");
        assert_eq!(homes[..20], homes[20..], "home is among the cheapest");
        assert!(["one", "two"].iter().all(|name| homes.iter().any(|home| home == name)), "{homes:?}");
    }
}

/// The home of a key that is full, resting, failed, gone or slow: another serves at once, and home stays home.
#[test]
fn home_is_a_preference_and_never_a_gate() {
    type Spoil = fn(&mut World, &str) -> Vec<Slot>;
    let cases: [(&str, Spoil); 5] = [
        ("full", |world, home| {
            let bound = |world: &World| Want { bound: Some(world.id(home)), ..world.want("m") };
            (0..4).map(|_| world.slot(bound(world))).collect()
        }),
        ("resting", |world, home| {
            let slot = world.slot(Want { bound: Some(world.id(home)), ..world.want("m") });
            world.release(slot, limited(Some(5 * SECOND)));
            Vec::new()
        }),
        ("failing", |world, home| {
            for _ in 0..5 {
                let slot = world.slot(Want { bound: Some(world.id(home)), ..world.want("m") });
                world.release(slot, failed(Taint::Backend));
            }
            Vec::new()
        }),
        ("in error", |world, home| {
            let slot = world.slot(Want { bound: Some(world.id(home)), ..world.want("m") });
            world.release(slot, unauthorized());
            Vec::new()
        }),
        ("slow", |world, home| {
            let route = world.want("m").route;
            world.live.note_first_event(world.id(home), &route.tiers[0], 4 * SECOND, world.now);
            Vec::new()
        }),
    ];
    for (how, spoil) in cases {
        let four = |name| with(backend(name, &["m"]), |spec| spec.limits.concurrency = Some(4));
        let mut world = World::of(["a", "b", "c"].map(four));
        let slot = world.slot(homed(&world, 7));
        let home = world.name(&slot).to_owned();
        world.release(slot, SUCCESS);
        let held = spoil(&mut world, &home);
        let elsewhere = world.slot(homed(&world, 7));
        assert_ne!(world.name(&elsewhere), home, "{how}");
        let again = world.slot(homed(&world, 7));
        assert_eq!(world.name(&again), world.name(&elsewhere), "{how}: the second home is one, too");
        for slot in held.into_iter().chain([elsewhere, again]) {
            world.release(slot, SUCCESS);
        }
        world.now += 60 * SECOND;
        world.live.reset(world.id(&home), world.now);
        let back = world.slot(homed(&world, 7));
        assert_eq!(world.name(&back), home, "{how}: home has not moved");
    }
}

#[test]
fn affinity_can_be_switched_off() {
    let mut draft = draft(["a", "b"].map(|name| backend(name, &["m"])));
    draft.settings.affinity.enabled = false;
    let mut world = World::new(draft);
    assert_eq!(names(&mut world, 4, |world| homed(world, 7)), ["a", "b", "a", "b"]);
}

#[test]
fn another_model_is_for_when_the_former_cannot_start_in_time() {
    let mut spare = backend("spare", &["second"]);
    spare.pool = "fallback".into();
    let first = with(backend("a", &["first"]), |spec| spec.limits.concurrency = Some(1));
    let mut draft = draft([first, spare]);
    draft.aliases = [("smart".to_owned(), vec!["first".to_owned(), "second".to_owned()])].into();
    let mut world = World::new(draft);
    let slot = world.slot(world.want("smart"));
    assert_eq!(world.name(&slot), "a");
    let waiter = world.wait(world.want("smart"));
    let grants = world.after(30 * SECOND);
    let [Grant { waiter: granted, what: Granted::Slot(other) }] = &grants[..] else { panic!("{grants:?}") };
    assert_eq!((*granted, world.name(other)), (waiter, "spare"), "its time is over");
    assert_eq!(&*world.want("smart").route.tiers[other.tier].model, "second");
    world.release(slot, limited(Some(60 * SECOND)));
    let other = world.slot(world.want("smart"));
    assert_eq!(world.name(&other), "spare", "the former rests past the deadline");
}

#[test]
fn an_emergency_goes_beyond_the_rate_within_its_reserve() {
    let mut world = World::of([rated("a", 20, 1)]);
    world.slot(world.want("m"));
    let hurried = |world: &World| Want { deadline: world.now + SECOND, ..world.want("m") };
    let spent = Want { emergencies: 3, ..hurried(&world) };
    assert_eq!(world.refused(spent).reason, RefusedReason::AllPoolsExhausted, "it had its tries");
    for _ in 0..2 {
        let slot = world.slot(hurried(&world));
        assert!(slot.emergency);
    }
    let refused = world.refused(hurried(&world));
    assert_eq!(refused.reason, RefusedReason::AllPoolsExhausted);
    assert!(refused.retry_after > SECOND, "{refused:?}");
    let status = world.live.status(world.now);
    assert_eq!(status.emergency_total, 2);
    assert!(status.events.iter().any(|event| event.kind == EventKind::Emergency && event.times == 2));
    world.now += 30 * SECOND;
    world.slot(world.want("m"));
    assert!(world.slot(hurried(&world)).emergency, "a tenth of 20 a minute comes every 30 s");
}

#[test]
fn an_emergency_is_no_reason_to_call_one_that_rests() {
    let mut world = World::of([rated("a", 20, 1)]);
    let slot = world.slot(world.want("m"));
    world.release(slot, limited(None));
    let hurried = Want { deadline: world.now + SECOND, ..world.want("m") };
    let refused = world.refused(hurried);
    assert_eq!((refused.reason, refused.retry_after), (RefusedReason::AllPoolsExhausted, 30 * SECOND));
}

#[test]
fn a_choice_is_explained_without_being_made() {
    let blind = with(backend("blind", &["m"]), |spec| {
        for model in spec.models.iter_mut().flat_map(|models| models.values_mut()) {
            model.carries.images = false;
        }
    });
    let off = with(backend("off", &["m"]), |spec| spec.enabled = false);
    let other = with(backend("later", &["m"]), |spec| spec.pool = "fallback".into());
    let mut world =
        World::of([blind, off, one_at_a_time("full"), rated("spent", 60, 1), backend("ill", &["m"]), other]);
    let bound = |world: &World, name: &str| Want { bound: Some(world.id(name)), ..world.want("m") };
    let _full = world.slot(bound(&world, "full"));
    let _spent = world.slot(bound(&world, "spent"));
    let ill = world.slot(bound(&world, "ill"));
    world.release(ill, limited(None));
    let images = Needs { images: true, ..Needs::default() };
    let want = Want { needs: images, ..world.want("m") };
    let before = format!("{:?}", world.live.status(world.now));
    let told = world.live.explain(&want, world.now);
    assert_eq!(format!("{:?}", world.live.status(world.now)), before, "nothing has changed");
    assert_eq!((told.decision, told.backend.as_deref()), (Decision::Start, Some("later")));
    let verdicts: Vec<(&str, Verdict, Option<u64>)> =
        told.candidates.iter().map(|one| (&*one.backend, one.verdict, one.for_ms)).collect();
    assert_eq!(
        verdicts,
        [
            ("blind", Verdict::Incapable, None),
            ("off", Verdict::Disabled, None),
            ("full", Verdict::Full, None),
            ("spent", Verdict::Spent, Some(1000)),
            ("ill", Verdict::Cooling, Some(30_000)),
            ("later", Verdict::Chosen, None),
        ]
    );
    let chosen = world.slot(want);
    assert_eq!(world.name(&chosen), "later", "and so it is done");
}
