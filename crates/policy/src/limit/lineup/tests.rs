//! The lineup against a naive model that recomputes everything from a list, and what operators are promised of it.

use proptest::prelude::*;

use super::*;
use crate::testing::epoch;

const SECOND: Duration = Duration::from_secs(1);
const WEIGHTS: [u32; 4] = [1, 1, 2, 5];

/// Everyone waiting, in a plain list.
#[derive(Default)]
struct Naive {
    waiting: Vec<One>,
    turns: BTreeMap<(Class, usize), u64>,
    clocks: BTreeMap<Class, u64>,
    closed: BTreeSet<u8>,
}

#[derive(Debug, Clone, Copy)]
struct One {
    id: u64,
    demand: u8,
    class: Class,
    caller: usize,
    lift_at: Instant,
}

impl Naive {
    fn next(&self) -> Option<One> {
        let open = self.waiting.iter().filter(|one| !self.closed.contains(&one.demand));
        open.min_by_key(|one| (one.class, self.turns[&(one.class, one.caller)], one.id)).copied()
    }

    /// A caller that begins to wait in a class takes part from now on: it is owed nothing for the past.
    fn join(&mut self, one: One) {
        let waits = |other: &One| (other.class, other.caller) == (one.class, one.caller);
        let clock = self.clocks.get(&one.class).copied().unwrap_or(0);
        let turn = self.turns.entry((one.class, one.caller)).or_insert(0);
        if !self.waiting.iter().any(waits) {
            *turn = (*turn).max(clock);
        }
        self.waiting.push(one);
    }

    fn serve(&mut self, one: One) {
        let turn = self.turns[&(one.class, one.caller)];
        let clock = self.clocks.entry(one.class).or_insert(0);
        *clock = (*clock).max(turn);
        let next = turn.max(*clock) + TURN / u64::from(WEIGHTS[one.caller]);
        self.turns.insert((one.class, one.caller), next);
        self.leave(one);
    }

    fn leave(&mut self, one: One) {
        self.waiting.retain(|other| other.id != one.id);
        self.rest(one.class);
        // When the last of a line leaves, whoever comes begins a new one, and that is closed until opened.
        if !self.waiting.iter().any(|other| other.demand == one.demand) {
            self.closed.insert(one.demand);
        }
    }

    /// A class in which nobody waits forgets who had how much.
    fn rest(&mut self, class: Class) {
        if !self.waiting.iter().any(|one| one.class == class) {
            self.clocks.remove(&class);
            self.turns.retain(|(theirs, _), _| *theirs != class);
        }
    }

    fn age(&mut self, now: Instant) {
        while let Some(one) = self
            .waiting
            .iter()
            .filter(|one| one.lift_at <= now && one.class != Class::Urgent)
            .min_by_key(|one| (one.lift_at, one.id))
            .copied()
        {
            let class = one.class.lifted().expect("not the best");
            self.waiting.retain(|other| other.id != one.id);
            self.join(One { class, lift_at: one.lift_at + 30 * SECOND, ..one });
            self.rest(one.class);
        }
    }
}

fn slot(caller: usize) -> KeySlot {
    KeySlot(u32::try_from(caller).expect("small"))
}

fn entry(demand: u8, class: Class, caller: usize, now: Instant) -> Entry<u8, ()> {
    let weight = WEIGHTS[caller];
    let deadline = now + 1000 * SECOND;
    Entry {
        demand,
        class,
        caller: slot(caller),
        weight,
        deadline,
        lift_at: now + 30 * SECOND,
        ageing: 30 * SECOND,
        what: (),
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Push(u8, Class, usize),
    Serve,
    Leave(usize),
    Close,
    Open(u8),
    Wait(u32),
}

/// What one wants who waits, its class and whose it is.
fn someone() -> impl Strategy<Value = (u8, Class, usize)> {
    (0_u8..3, proptest::sample::select(Class::ALL.to_vec()), 0..WEIGHTS.len())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => someone().prop_map(|(demand, class, caller)| Step::Push(demand, class, caller)),
        4 => Just(Step::Serve),
        1 => (0_usize..20).prop_map(Step::Leave),
        1 => Just(Step::Close),
        2 => (0_u8..3).prop_map(Step::Open),
        1 => (0_u32..40).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whoever comes, leaves, is served or ages: the next is the naive model's.
    #[test]
    fn the_next_is_whom_a_plain_list_gives(steps in proptest::collection::vec(step(), 1..300)) {
        let (mut lineup, mut naive, mut now) = (Lineup::default(), Naive::default(), epoch());
        naive.closed = (0..3).collect();
        let mut last = 0;
        for step in steps {
            match step {
                Step::Push(demand, class, caller) => {
                    last += 1;
                    naive.join(One { id: last, demand, class, caller, lift_at: now + 30 * SECOND });
                    lineup.push(WaiterId(last), entry(demand, class, caller, now));
                }
                Step::Serve => if let Some(one) = naive.next() {
                    naive.serve(one);
                    prop_assert_eq!(lineup.serve(WaiterId(one.id)).map(|(demand, ())| demand), Some(one.demand));
                },
                Step::Leave(number) => if let Some(one) = naive.waiting.get(number).copied() {
                    naive.leave(one);
                    prop_assert!(lineup.remove(WaiterId(one.id)).is_some());
                    prop_assert!(lineup.remove(WaiterId(one.id)).is_none());
                },
                Step::Close => if let Some(next) = lineup.next() {
                    let (line, demand) = (next.line, *next.demand);
                    lineup.close(line, None);
                    naive.closed.insert(demand);
                },
                Step::Open(demand) => {
                    lineup.open_demand(&demand);
                    if naive.waiting.iter().any(|one| one.demand == demand) {
                        naive.closed.remove(&demand);
                    }
                }
                Step::Wait(seconds) => {
                    now += seconds * SECOND;
                    lineup.age(now);
                    naive.age(now);
                }
            }
            prop_assert_eq!(lineup.next().map(|next| next.id.0), naive.next().map(|one| one.id));
            prop_assert_eq!(lineup.len(), naive.waiting.len());
            for class in Class::ALL {
                let expected = naive.waiting.iter().filter(|one| one.class == class).count();
                prop_assert_eq!(lineup.waiting(class), expected);
            }
        }
        for one in naive.waiting {
            prop_assert!(lineup.remove(WaiterId(one.id)).is_some());
        }
        prop_assert!(lineup.is_empty() && lineup.lines.is_empty() && lineup.flows.is_empty());
        prop_assert!(lineup.open.is_empty() && lineup.tails.is_empty() && lineup.lifts.is_empty());
        prop_assert!(lineup.wakes.is_empty() && lineup.ahead.is_empty() && lineup.by_demand.is_empty());
    }

    /// Whoever is counted before one who comes does go before it; where all stand in one line, nobody else does.
    #[test]
    fn those_counted_before_a_newcomer_go_before_it(
        waiting in proptest::collection::vec(someone(), 0..80),
        lines in 1_u8..4,
        served in 0_usize..40,
        (_, class, caller) in someone(),
    ) {
        let mut lineup = Lineup::default();
        for (id, (demand, class, caller)) in (1..).zip(waiting) {
            lineup.push(WaiterId(id), entry(demand % lines, class, caller, epoch()));
        }
        (0..lines).for_each(|demand| lineup.open_demand(&demand));
        for _ in 0..served {
            if let Some(id) = lineup.next().map(|next| next.id) {
                lineup.serve(id);
            }
        }
        let counted = lineup.ahead(class, slot(caller), |_| true);
        let counted_of_one = lineup.ahead(class, slot(caller), |demand| *demand == 0);
        let newcomer = WaiterId(1_000);
        lineup.push(newcomer, entry(0, class, caller, epoch()));
        lineup.open_demand(&0);
        let (mut before, mut before_of_one) = (0, 0);
        while let Some(next) = lineup.next().filter(|next| next.id != newcomer) {
            before += 1;
            before_of_one += u64::from(*next.demand == 0);
            let id = next.id;
            lineup.serve(id);
        }
        prop_assert!(counted <= before && counted_of_one <= before_of_one);
        prop_assert!(lines > 1 || counted == before, "{counted} of {before}");
    }

    /// While all of them wait, callers of a class are served by weight, to within one turn.
    #[test]
    fn callers_share_by_weight(served in 1_usize..400, lengths in proptest::collection::vec(100_usize..200, 4)) {
        let mut lineup = Lineup::default();
        let mut last = 0;
        for (caller, length) in lengths.iter().enumerate() {
            for _ in 0..*length * 5 {
                last += 1;
                lineup.push(WaiterId(last), entry(0, Class::Normal, caller, epoch()));
            }
        }
        lineup.open_demand(&0);
        let mut got = [0_u32; 4];
        for _ in 0..served {
            let id = lineup.next().expect("many wait").id;
            let caller = usize::try_from(lineup.waiters[&id].caller.0).expect("small");
            got[caller] += 1;
            lineup.serve(id);
        }
        let all: u32 = WEIGHTS.iter().sum();
        for (got, weight) in got.into_iter().zip(WEIGHTS) {
            let share = f64::from(u32::try_from(served).expect("small")) * f64::from(weight) / f64::from(all);
            prop_assert!((f64::from(got) - share).abs() <= f64::from(weight) + 1.0, "{got} of {share}");
        }
    }
}

#[test]
fn one_who_comes_back_each_time_does_not_pass_those_who_wait() {
    let mut lineup = Lineup::default();
    for id in 0..50 {
        lineup.push(WaiterId(id), entry(0, Class::Normal, 0, epoch()));
    }
    lineup.push(WaiterId(100), entry(0, Class::Normal, 1, epoch()));
    lineup.open_demand(&0);
    let mut order = Vec::new();
    for turn in 0..10 {
        let id = lineup.next().expect("many wait").id;
        order.push(lineup.waiters[&id].caller.0);
        lineup.serve(id);
        if order.last() == Some(&1) {
            lineup.push(WaiterId(101 + turn), entry(0, Class::Normal, 1, epoch()));
        }
    }
    assert_eq!(order, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn none_starves_under_a_flood_of_better_ones() {
    for class in [Class::Low, Class::Normal, Class::High] {
        let (mut lineup, mut now, mut last) = (Lineup::default(), epoch(), 1);
        lineup.push(WaiterId(1), entry(0, class, 3, now));
        lineup.open_demand(&0);
        let mut waited = 0;
        while lineup.find(WaiterId(1)).is_some() {
            last += 1;
            lineup.push(
                WaiterId(last),
                entry(0, Class::Urgent, usize::try_from(last % 3).expect("small"), now),
            );
            let id = lineup.next().expect("some wait").id;
            lineup.serve(id);
            now += SECOND;
            waited += 1;
            lineup.age(now);
        }
        let classes = Class::ALL.iter().position(|one| *one == class).expect("one of all");
        assert!(waited <= 30 * classes + 5, "{class:?} waited {waited} s");
    }
}

#[test]
fn a_crowd_of_callers_is_looked_at_in_part_only() {
    let mut lineup = Lineup::default();
    for caller in 0..2_000 {
        let of_caller = Entry { caller: slot(caller + 10), ..entry(0, Class::Normal, 0, epoch()) };
        lineup.push(WaiterId(u64::try_from(caller).expect("small")), of_caller);
    }
    assert_eq!(lineup.ahead(Class::Normal, slot(1), |_| true), 528);
    assert_eq!(
        lineup.ahead(Class::Low, slot(1), |_| true),
        2_000,
        "those of better classes are counted anyway"
    );
}

#[test]
fn the_worst_is_the_last_of_the_longest() {
    let mut lineup = Lineup::default();
    for (id, class, caller) in [
        (1, Class::Normal, 0),
        (2, Class::Normal, 0),
        (3, Class::Normal, 1),
        (4, Class::Low, 1),
        (5, Class::High, 0),
    ] {
        lineup.push(WaiterId(id), entry(0, class, caller, epoch()));
    }
    let mut order = Vec::new();
    while let Some((id, _)) = lineup.worst() {
        order.push(id.0);
        lineup.remove(id);
    }
    assert_eq!(order, [4, 2, 3, 1, 5]);
}

/// Two callers wait, the first with far more than the second; all leave in a second. The first so many served are of
/// these callers.
#[test]
fn who_leaves_goes_before_its_turn_but_not_for_ever() {
    let mut lineup = Lineup::default();
    let now = epoch();
    let soon = |caller, wait| Entry { deadline: now + wait, ..entry(0, Class::Normal, caller, now) };
    for id in 1..=80 {
        lineup.push(WaiterId(id), soon(0, SECOND));
    }
    for id in 81..=120 {
        lineup.push(WaiterId(id), soon(1, 2 * SECOND));
    }
    lineup.open_demand(&0);
    let mut served = [0; 2];
    for _ in 0..72 {
        let next = lineup.next_at(now).expect("many wait");
        let (id, turn, caller) = (next.id, next.turn, next.caller.0);
        served[usize::from(caller == 1)] += 1;
        let gone = match turn {
            Turn::Due => lineup.serve(id),
            Turn::InAdvance => lineup.serve_in_advance(id),
        };
        assert!(gone.is_some());
    }
    let [greedy, modest] = served;
    assert!((50..=54).contains(&greedy), "32 in advance, then by turns: {greedy} and {modest}");
}
