//! What `Live` promises of teams: all keys of one count together, beside what each counts by itself.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::identity::KeyLimits;
use crate::snapshot::TeamSpec;

const KEYS: [&str; 3] = ["one", "two", "free"];

/// `one` and `two` in a team with these ceilings, `free` in none.
fn crew(limits: KeyLimits) -> Draft {
    let mut draft = draft([backend("a", &["m"])]);
    draft.keys = KEYS.map(key).into();
    draft.teams = vec![TeamSpec { name: "crew".into(), limits, ..TeamSpec::default() }];
    for key in draft.keys.iter_mut().take(2) {
        key.team = Some("crew".into());
    }
    draft
}

fn slots(world: &World) -> Vec<KeySlot> {
    world.snapshot.identity.keys().iter().map(|key| key.slot).collect()
}

fn refused(world: &mut World, key: KeySlot) -> RefusedReason {
    match world.admit(key, None) {
        Admitted::Refused(refused) => refused.reason,
        other => panic!("is let in: {other:?}"),
    }
}

#[test]
fn a_teams_rate_is_spent_by_all_its_keys_and_their_own_besides() {
    let mut draft = crew(KeyLimits { rpm: Some(5), ..KeyLimits::default() });
    draft.keys[0].limits.rpm = Some(3);
    let mut world = World::new(draft);
    let slots = slots(&world);
    let told =
        |world: &World, key| world.live.key_rate(key, world.now).map(|rate| (rate.limit, rate.remaining));
    for left in (0..3).rev() {
        assert_eq!(world.admit(slots[0], None), Admitted::Now);
        assert_eq!(told(&world, slots[0]), Some((3, left)), "its own is the tighter");
    }
    assert_eq!(refused(&mut world, slots[0]), RefusedReason::RateLimited);
    assert_eq!(told(&world, slots[1]), Some((5, 2)), "what the other one left");
    assert_eq!(world.admit(slots[1], None), Admitted::Now);
    assert_eq!(world.admit(slots[1], None), Admitted::Now);
    assert_eq!(refused(&mut world, slots[1]), RefusedReason::RateLimited);
    assert_eq!(told(&world, slots[2]), None);
    assert_eq!(world.admit(slots[2], None), Admitted::Now, "whoever is in no team is not concerned");
}

#[test]
fn tokens_are_corrected_for_the_team_too() {
    let world = World::new(crew(KeyLimits { tpm: Some(6000), ..KeyLimits::default() }));
    let slots = slots(&world);
    let ask = |tokens| Admission {
        key: slots[0],
        concurrency: None,
        class: Class::Normal,
        tokens,
        bytes: 1,
        deadline: world.now + SECOND,
    };
    let left = || world.live.key_tokens(slots[1], world.now).map(|tokens| tokens.remaining);
    assert_eq!(world.live.admit(ask(5000), world.now), Admitted::Now);
    assert_eq!(left(), Some(1000));
    world.live.correct_tokens(slots[0], 5000, 500, world.now);
    assert_eq!(left(), Some(5500));
}

#[test]
fn what_one_key_gives_back_another_of_its_team_gets() {
    let mut world = World::new(crew(KeyLimits { concurrency: Some(1), ..KeyLimits::default() }));
    let slots = slots(&world);
    assert_eq!(world.admit(slots[0], None), Admitted::Now);
    let Admitted::Wait(waiter) = world.admit(slots[1], None) else { panic!("its team is full") };
    assert_eq!(world.admit(slots[2], None), Admitted::Now);
    let grants = world.live.discharge(slots[0], world.now);
    assert_eq!(grants, [Grant { waiter, what: Granted::Admitted(slots[1]) }]);
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Come(usize),
    End(usize),
    Leave(usize),
    /// `two` joins the team, or goes.
    Move,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize).prop_map(Step::Come),
        3 => (0..3_usize).prop_map(Step::End),
        1 => (0..8_usize).prop_map(Step::Leave),
        1 => Just(Step::Move),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What the steps come to, counted naively.
struct Counted {
    world: World,
    ceilings: [Option<u32>; 3],
    team: u32,
    is_member: bool,
    inside: [u32; 3],
    waiting: BTreeMap<WaiterId, usize>,
}

impl Counted {
    fn has_room(&self, key: usize) -> bool {
        let in_team = match key {
            0 => true,
            1 => self.is_member,
            _ => false,
        };
        let of_team = self.inside[0] + if self.is_member { self.inside[1] } else { 0 };
        self.ceilings[key].is_none_or(|most| self.inside[key] < most) && (!in_team || of_team < self.team)
    }

    fn take(&mut self, grants: Vec<Grant>) {
        for Grant { waiter, what } in grants {
            let key = self.waiting.remove(&waiter).expect("one who waits");
            assert!(matches!(what, Granted::Admitted(_)), "nobody's time is over: {what:?}");
            assert!(self.has_room(key), "let in beyond a ceiling");
            self.inside[key] += 1;
        }
    }

    fn step(&mut self, step: Step) {
        let (slots, now) = (slots(&self.world), self.world.now);
        match step {
            Step::Come(key) => {
                let had_room = self.has_room(key);
                match self.world.admit(slots[key], self.ceilings[key]) {
                    Admitted::Now => {
                        assert!(had_room);
                        self.inside[key] += 1;
                    }
                    Admitted::Wait(waiter) => {
                        assert!(!had_room);
                        self.waiting.insert(waiter, key);
                    }
                    Admitted::Refused(refused) => panic!("{refused:?}"),
                }
            }
            Step::End(key) if self.inside[key] > 0 => {
                self.inside[key] -= 1;
                let grants = self.world.live.discharge(slots[key], now);
                self.take(grants);
            }
            Step::End(_) => {}
            Step::Leave(number) => {
                if let Some(waiter) = self.waiting.keys().nth(number).copied() {
                    self.waiting.remove(&waiter);
                    let grants = self.world.live.leave(waiter, now);
                    self.take(grants);
                }
            }
            Step::Move => {
                self.is_member = !self.is_member;
                let mut draft = crew(KeyLimits { concurrency: Some(self.team), ..KeyLimits::default() });
                draft.keys[1].team = self.is_member.then(|| "crew".into());
                let grants = self.world.adopt(draft);
                self.take(grants);
            }
        }
        for key in self.waiting.values() {
            assert!(!self.has_room(*key), "{} waits for nothing after {step:?}", KEYS[*key]);
        }
    }
}

proptest! {
    #[test]
    fn no_ceiling_is_overrun_and_nobody_waits_for_nothing(
        steps in steps(),
        ceilings in [proptest::option::of(1..4_u32), proptest::option::of(1..4_u32), proptest::option::of(1..4_u32)],
        team in 1..5_u32,
    ) {
        let world = World::new(crew(KeyLimits { concurrency: Some(team), ..KeyLimits::default() }));
        let waiting = BTreeMap::new();
        let mut counted = Counted { world, ceilings, team, is_member: true, inside: [0; 3], waiting };
        for step in steps {
            counted.step(step);
        }
    }
}
