//! What `Live` promises of rates: tokens, single models, what providers say, and retreat.

use protocol::{Quota, QuotaUnit, Reset};

use super::*;
use crate::backend::ModelLimits;
use crate::limit::{Adaptive, Pace, RateWindow};

fn sized(world: &World, model: &str, tokens: u64) -> Want {
    Want { tokens, ..world.want(model) }
}

fn metered(tpm: u64) -> BackendSpec {
    with(backend("a", &["m"]), |spec| spec.limits.tpm = Some(tpm))
}

/// What a second request of 600 of 1,000 tokens a minute waits after the first ended so.
#[track_caller]
fn check(outcome: Outcome, told: Option<u64>, millis: u64) {
    let mut world = World::of([metered(1000)]);
    let mut slot = world.slot(sized(&world, "m", 600));
    slot.spent = told;
    let waiter = world.wait(sized(&world, "m", 600));
    let grants = world.release(slot, outcome.clone());
    if millis == 0 {
        assert!(matches!(&grants[..], [Grant { what: Granted::Slot(_), .. }]), "{outcome:?}: {grants:?}");
        return;
    }
    assert_eq!(grants, [], "{outcome:?}");
    assert_eq!(world.live.next_tick(), Some(world.now + Duration::from_millis(millis)), "{outcome:?}");
    let grants = world.after(Duration::from_millis(millis));
    assert!(matches!(&grants[..], [Grant { waiter: granted, .. }] if *granted == waiter));
}

#[test]
fn a_full_bucket_and_its_refill_do_not_go_in_one_minute() {
    for (window, expected) in [(RateWindow::Bucket, 118), (RateWindow::Minute, 60)] {
        let mut draft = draft([with(backend("a", &["m"]), |spec| spec.limits.rpm = 60)]);
        draft.settings.rate_window = window;
        draft.settings.emergency_percent = 0;
        let mut world = World::new(draft);
        let mut started = 0;
        for _ in 0..118 {
            match world.live.lease(world.want("m"), world.now, &mut world.rng) {
                Leased::Now(_) => started += 1,
                Leased::Wait(waiter) => assert_eq!(world.live.leave(waiter, world.now), []),
                Leased::Refused(_) => {}
            }
            world.now += SECOND / 2;
        }
        assert_eq!(started, expected, "{window:?}, in 59 s");
    }
}

#[test]
fn a_probe_that_was_taken_ends_the_cooldown_before_its_answer_does() {
    let mut world = World::of([backend("a", &["m"])]);
    let slot = world.slot(world.want("m"));
    world.release(slot, limited(None));
    world.now += 30 * SECOND;
    let probe = world.slot(world.want("m"));
    let waiter = world.wait(world.want("m"));
    let grants = world.live.accepted(&probe, world.now);
    let [Grant { waiter: granted, what: Granted::Slot(slot) }] = &grants[..] else { panic!("{grants:?}") };
    assert_eq!((*granted, slot.probe, world.shown("a").state), (waiter, false, Health::Healthy));
    assert_eq!(world.live.accepted(slot, world.now), []);
}

#[test]
fn tokens_are_reserved_and_what_was_not_used_comes_back() {
    check(Outcome::Success { tokens: Some(600) }, None, 12_000);
    check(Outcome::Success { tokens: Some(500) }, None, 6_000);
    check(Outcome::Success { tokens: Some(100) }, None, 0);
    check(Outcome::Success { tokens: None }, None, 12_000);
    check(failed(Taint::Backend), None, 12_000);
    check(failed(Taint::Backend), Some(0), 0);
    check(failed(Taint::Backend), Some(500), 6_000);
    check(Outcome::Neutral, None, 0);
    check(Outcome::Neutral, Some(600), 12_000);
}

#[test]
fn a_request_larger_than_a_minutes_tokens_goes_at_a_full_bucket() {
    let mut world = World::of([metered(1000)]);
    let slot = world.slot(sized(&world, "m", 50_000));
    world.release(slot, Outcome::Success { tokens: Some(50_000) });
    let deadline = world.now + 90 * SECOND;
    let waiter = world.wait(Want { deadline, ..sized(&world, "m", 50_000) });
    assert_eq!(world.after(59 * SECOND), []);
    let grants = world.after(SECOND);
    assert!(matches!(&grants[..], [Grant { waiter: granted, what: Granted::Slot(_) }] if *granted == waiter));
}

#[test]
fn a_model_has_its_own_limits_within_those_of_its_backend() {
    let mut world = World::of([with(backend("a", &["m", "n"]), |spec| {
        let limits = ModelLimits { rpm: Some(1), tpm: None };
        spec.models.as_mut().and_then(|models| models.get_mut("m")).expect("it is there").limits = limits;
    })]);
    world.slot(world.want("m"));
    assert_eq!(world.refused(world.want("m")).reason, RefusedReason::AllPoolsExhausted);
    for _ in 0..5 {
        world.slot(world.want("n"));
    }
    world.now += 60 * SECOND;
    world.slot(world.want("m"));
}

fn left(remaining: u64) -> Quota {
    Quota {
        unit: QuotaUnit::Requests,
        limit: Some(50),
        remaining: Some(remaining),
        period: None,
        reset: Some(Reset::Renewed(20 * SECOND)),
    }
}

#[test]
fn what_a_provider_says_is_left_is_kept_to_before_it_refuses() {
    let mut world = World::of([backend("a", &["m", "n"])]);
    let slot = world.slot(world.want("m"));
    assert_eq!(world.live.learn(&slot, &[left(0)], world.now), []);
    let waiter = world.wait(world.want("m"));
    world.slot(world.want("n"));
    let shown = world.shown("a").models;
    let model = shown.iter().find(|model| &*model.native == "m").expect("it was leased");
    assert_eq!(model.told.requests_remaining, Some(0));
    let grants = world.live.learn(&slot, &[left(3)], world.now);
    assert!(matches!(&grants[..], [Grant { waiter: granted, what: Granted::Slot(_) }] if *granted == waiter));
}

#[test]
fn a_retreat_is_seen_told_and_ended_by_an_operator() {
    let mut draft = draft([rated("a", 40, 40)]);
    draft.settings.adaptive.mode = Adaptive::Retreat;
    let mut world = World::new(draft);
    let mut slots: Vec<Slot> = (0..30).map(|_| world.slot(world.want("m"))).collect();
    let refused = slots.split_off(27);
    slots.into_iter().for_each(|slot| drop(world.release(slot, SUCCESS)));
    refused.into_iter().for_each(|slot| drop(world.release(slot, limited(None))));
    world.now += SECOND;
    let shown = world.shown("a");
    assert_eq!((shown.pace, shown.rpm, shown.rpm_base), (Pace::Retreat, Some(30), Some(40)));
    assert_eq!(shown.limited_percent, Some(10));
    let events = world.live.status(world.now).events;
    assert!(events.iter().any(|event| event.kind == EventKind::RetreatStarted));
    assert_eq!(world.live.reset(world.id("a"), world.now), []);
    let shown = world.shown("a");
    assert_eq!((shown.pace, shown.rpm, shown.state), (Pace::Normal, Some(40), Health::Healthy));
}

#[test]
fn a_backend_that_refuses_more_than_a_fifth_is_an_event_whatever_the_mode() {
    for mode in Adaptive::ALL {
        let mut draft = draft([rated("a", 40, 40)]);
        draft.settings.adaptive.mode = mode;
        let mut world = World::new(draft);
        let mut slots: Vec<Slot> = (0..25).map(|_| world.slot(world.want("m"))).collect();
        let refused = slots.split_off(16);
        slots.into_iter().for_each(|slot| drop(world.release(slot, SUCCESS)));
        assert_eq!(world.shown("a").limited_percent, Some(0), "{mode:?}");
        refused.into_iter().for_each(|slot| drop(world.release(slot, limited(None))));
        assert_eq!(world.shown("a").limited_percent, Some(36), "{mode:?}");
        let events = world.live.status(world.now).events;
        let alerts: Vec<_> = events.iter().filter(|event| event.kind == EventKind::Alert).collect();
        assert!(matches!(&alerts[..], [alert] if alert.text.contains("23 %")), "{mode:?}: {alerts:?}");
        world.live.reset(world.id("a"), world.now);
        assert_eq!(world.shown("a").limited_percent, None, "{mode:?}: an operator ended it");
    }
}

#[test]
fn a_keys_tokens_are_taken_corrected_and_told() {
    let mut draft = draft([backend("a", &["m"])]);
    draft.keys = vec![key("one")];
    draft.keys[0].limits.tpm = Some(6000);
    let world = World::new(draft);
    let slot = world.snapshot.identity.keys()[0].slot;
    let ask = Admission {
        key: slot,
        concurrency: None,
        class: Class::Normal,
        tokens: 5000,
        bytes: 1,
        deadline: world.now + SECOND,
    };
    let told = |world: &World| {
        let tokens = world.live.key_tokens(slot, world.now).expect("it has a limit");
        (tokens.limit, tokens.remaining, tokens.reset.as_secs())
    };
    assert_eq!(world.live.admit(ask.clone(), world.now), Admitted::Now);
    assert_eq!(told(&world), (6000, 1000, 50));
    let refused = Refused { reason: RefusedReason::RateLimited, retry_after: 40 * SECOND };
    assert_eq!(world.live.admit(ask.clone(), world.now), Admitted::Refused(refused));
    world.live.correct_tokens(slot, 5000, 500, world.now);
    assert_eq!(told(&world), (6000, 5500, 5));
    assert_eq!(world.live.admit(ask, world.now), Admitted::Now);
}
