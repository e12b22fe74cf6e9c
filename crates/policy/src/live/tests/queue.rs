//! Who of those waiting starts, who is refused, and what a full queue does.

use super::*;
use crate::snapshot::QueuePolicy;

/// A world of one backend that takes one request at a time, and two keys of weight 1 and 3.
fn busy(change: impl FnOnce(&mut Draft)) -> (World, Slot) {
    let mut draft = draft([one_at_a_time("a")]);
    let mut heavy = key("heavy");
    heavy.weight = 3;
    draft.keys = vec![key("light"), heavy];
    change(&mut draft);
    let mut world = World::new(draft);
    let slot = world.slot(world.want("m"));
    (world, slot)
}

fn of(world: &World, caller: &str, class: Class) -> Want {
    let keys = world.snapshot.identity.keys();
    let caller = keys.iter().find(|key| &*key.name == caller).expect("a key of this world").slot;
    Want { caller, class, ..world.want("m") }
}

/// Frees the backend again and again; who got it, in order.
fn served(world: &mut World, mut slot: Slot) -> Vec<WaiterId> {
    let mut order = Vec::new();
    loop {
        let mut grants = world.release(slot, SUCCESS);
        assert!(grants.len() <= 1, "one slot wakes one: {grants:?}");
        let Some(Grant { waiter, what: Granted::Slot(next) }) = grants.pop() else { return order };
        order.push(waiter);
        slot = next;
    }
}

#[test]
fn a_better_class_goes_first() {
    let (mut world, slot) = busy(|_| {});
    let mut waiters: Vec<(Class, WaiterId)> = [Class::Low, Class::Normal, Class::Urgent, Class::High]
        .map(|class| (class, world.wait(of(&world, "light", class))))
        .into();
    let by_class = world.live.status(world.now).queue.by_class;
    assert_eq!((by_class.urgent, by_class.high, by_class.normal, by_class.low), (1, 1, 1, 1));
    waiters.sort_unstable();
    let expected: Vec<WaiterId> = waiters.into_iter().map(|(_, id)| id).collect();
    assert_eq!(served(&mut world, slot), expected);
}

#[test]
fn keys_share_what_frees_up_by_weight() {
    let (mut world, slot) = busy(|_| {});
    let light: Vec<WaiterId> = (0..40).map(|_| world.wait(of(&world, "light", Class::Normal))).collect();
    for _ in 0..40 {
        world.wait(of(&world, "heavy", Class::Normal));
    }
    let order = served(&mut world, slot);
    for (index, chunk) in order.chunks(4).take(10).enumerate() {
        let count = chunk.iter().filter(|id| light.contains(id)).count();
        assert_eq!(count, 1, "turn {index}: {chunk:?}");
    }
}

#[test]
fn a_waiter_is_lifted_as_it_ages() {
    let (mut world, slot) = busy(|draft| draft.settings.ageing = 10 * SECOND);
    let old = world.wait(of(&world, "light", Class::Normal));
    assert_eq!(world.after(10 * SECOND), []);
    let high = world.wait(of(&world, "heavy", Class::High));
    let order = served(&mut world, slot);
    assert_eq!(order, [old, high], "it is as good as high by now, and came first");
}

#[test]
fn low_waits_a_short_time_only() {
    let (mut world, _slot) = busy(|_| {});
    let low = world.wait(of(&world, "light", Class::Low));
    let grants = world.after(2 * SECOND);
    let refused = Refused { reason: RefusedReason::QueueTimeout, retry_after: SECOND };
    assert_eq!(grants, [Grant { waiter: low, what: Granted::Refused(refused) }]);
    let slot = world.snapshot.identity.keys()[0].slot;
    let ask = |class, world: &World| Admission {
        key: slot,
        concurrency: Some(0),
        class,
        tokens: 0,
        bytes: 1,
        deadline: world.now + 30 * SECOND,
    };
    let Admitted::Wait(low) = world.live.admit(ask(Class::Low, &world), world.now) else {
        panic!("it waits")
    };
    let grants = world.after(2 * SECOND);
    let refused = Refused { reason: RefusedReason::ConcurrencyLimited, retry_after: SECOND };
    assert_eq!(grants, [Grant { waiter: low, what: Granted::Refused(refused) }]);
}

#[test]
fn a_full_queue_drops_the_worst_if_so_set() {
    let (mut world, slot) = busy(|draft| {
        draft.settings.queue_max = 3;
        draft.settings.queue_policy = QueuePolicy::DropLowest;
    });
    let normal = world.wait(of(&world, "light", Class::Normal));
    let last = world.wait(of(&world, "light", Class::Normal));
    let low = world.wait(of(&world, "heavy", Class::Low));
    assert_eq!(world.refused(of(&world, "heavy", Class::Low)).reason, RefusedReason::QueueFull, "no better");
    let full = |waiter| {
        let refused = Refused { reason: RefusedReason::QueueFull, retry_after: SECOND };
        Grant { waiter, what: Granted::Refused(refused) }
    };
    let high = world.wait(of(&world, "heavy", Class::High));
    assert_eq!(world.live.next_tick(), Some(world.now), "the one dropped hears of it at once");
    assert_eq!(world.after(Duration::ZERO), [full(low)]);
    let other = world.wait(of(&world, "heavy", Class::Normal));
    assert_eq!(
        world.after(Duration::ZERO),
        [full(last)],
        "the second of one key before the first of another"
    );
    assert_eq!(world.refused(of(&world, "light", Class::Normal)).reason, RefusedReason::QueueFull);
    assert_eq!(served(&mut world, slot), [high, normal, other]);
}

#[test]
fn one_who_was_let_in_is_not_dropped_for_one_who_was_not() {
    let (mut world, _slot) = busy(|draft| {
        draft.settings.queue_max = 1;
        draft.settings.max_in_flight = 1;
        draft.settings.queue_policy = QueuePolicy::DropLowest;
    });
    let caller = world.snapshot.identity.keys()[0].slot;
    assert_eq!(world.admit(caller, None), Admitted::Now);
    let Admitted::Wait(outside) = world.admit(caller, None) else { panic!("there is a place") };
    world.wait(of(&world, "light", Class::Normal));
    let grants = world.after(Duration::ZERO);
    assert!(matches!(&grants[..], [Grant { waiter, what: Granted::Refused(_) }] if *waiter == outside));
    let Admitted::Refused(refused) = world.admit(caller, None) else { panic!("there is none") };
    assert_eq!(refused.reason, RefusedReason::QueueFull);
}

#[test]
fn a_full_queue_lets_pass_beyond_the_rate_if_so_set() {
    let mut draft = draft([rated("a", 60, 1)]);
    draft.settings.queue_max = 0;
    draft.settings.queue_policy = QueuePolicy::Passthrough;
    let mut world = World::new(draft);
    let held: Vec<Slot> = (0..3).map(|_| world.slot(world.want("m"))).collect();
    assert_eq!(world.live.status(world.now).fallback_total, 2);
    for slot in held {
        world.release(slot, limited(None));
    }
    assert_eq!(
        world.refused(world.want("m")).reason,
        RefusedReason::AllPoolsExhausted,
        "never into a cooldown"
    );
}

#[test]
fn a_queue_is_not_made_smaller_than_what_waits() {
    let (mut world, _slot) = busy(|_| {});
    for _ in 0..3 {
        world.wait(world.want("m"));
    }
    let smaller = |places| {
        let mut draft = draft([one_at_a_time("a")]);
        draft.settings.queue_max = places;
        Snapshot::build(draft, &world.live, 2, world.now)
    };
    let problems = smaller(2).expect_err("three wait");
    assert_eq!(problems[0].to_string(), "limits.queue_max: 2 is too few for the 3 requests that wait now");
    assert!(smaller(3).is_ok());
}

#[test]
fn freeing_one_backend_wakes_nobody_who_wants_another() {
    let other = with(backend("b", &["n"]), |spec| spec.limits.concurrency = Some(1));
    let mut world = World::of([one_at_a_time("a"), other]);
    let (first, second) = (world.slot(world.want("m")), world.slot(world.want("n")));
    let waiters = [world.wait(world.want("m")), world.wait(world.want("n"))];
    let grants = world.release(second, SUCCESS);
    assert!(matches!(&grants[..], [Grant { waiter, .. }] if *waiter == waiters[1]));
    let grants = world.release(first, SUCCESS);
    assert!(matches!(&grants[..], [Grant { waiter, .. }] if *waiter == waiters[0]));
}

#[test]
fn names_that_are_passed_through_wait_in_one_line() {
    let mut spec = crate::testing::wildcard("a", "https://example.test/v1");
    spec.limits.concurrency = Some(1);
    let mut world = World::of([spec]);
    let slot = world.slot(world.want("a/x"));
    let waiters: Vec<WaiterId> = (0..3).map(|_| world.wait(world.want("a/x"))).collect();
    assert_eq!(served(&mut world, slot), waiters);
}
