//! Budgets by hand, and against a naive reference that keeps every hold in a list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;

fn budget(id: &str, amount: i128, per: Period) -> Budget {
    Budget { id: id.into(), of: Payer::Gateway, amount: Amount(amount), per }
}

fn book(budgets: &[Budget]) -> (BudgetBook, Vec<BudgetSlot>) {
    let mut book = BudgetBook::default();
    let slots = budgets.iter().map(|budget| book.slot(budget)).collect();
    book.adopt(budgets, Timestamp(0), |_, _| Amount::ZERO);
    (book, slots)
}

fn standing(book: &mut BudgetBook, at: i64) -> Vec<(i128, i128)> {
    book.status(Timestamp(at)).iter().map(|status| (status.spent.0, status.reserved.0)).collect()
}

#[test]
fn a_request_is_held_at_its_worst_and_settled_at_its_cost() {
    let (mut book, slots) = book(&[budget("a", 100, Period::Hour)]);
    let hold = book.reserve(&slots, Amount(60), Timestamp(0)).expect("it fits");
    let exceeded = book.reserve(&slots, Amount(41), Timestamp(0)).expect_err("40 are left");
    assert_eq!((exceeded.left, exceeded.resets_at), (Amount(40), Some(Timestamp(HOUR))));
    assert!(book.settle(hold, Amount(10), Timestamp(1)).is_empty());
    assert_eq!(standing(&mut book, 1), [(10, 0)]);
    let hold = book.reserve(&slots, Amount(90), Timestamp(1)).expect("all the rest");
    let crossed = book.settle(hold, Amount(85), Timestamp(2));
    assert_eq!(crossed.iter().map(|one| one.percent).collect::<Vec<_>>(), [95]);
    assert_eq!(standing(&mut book, 2), [(95, 0)]);
}

#[test]
fn one_budget_that_cannot_bear_it_is_enough_and_none_is_touched() {
    let (mut book, slots) = book(&[budget("hour", 10, Period::Hour), budget("total", 5, Period::Total)]);
    let exceeded = book.reserve(&slots, Amount(6), Timestamp(0)).expect_err("the total is smaller");
    assert_eq!((&*exceeded.budget, exceeded.resets_at), ("total", None));
    assert_eq!(standing(&mut book, 0), [(0, 0), (0, 0)]);
    let exceeded = book.reserve(&slots, Amount(11), Timestamp(0)).expect_err("neither");
    assert_eq!(&*exceeded.budget, "total", "the one that begins anew last is told");
}

#[test]
fn a_new_window_begins_at_nothing_and_old_holds_do_not_reach_into_it() {
    let (mut book, slots) = book(&[budget("a", 100, Period::Hour)]);
    let old = book.reserve(&slots, Amount(100), Timestamp(HOUR - 1)).expect("it fits");
    let new = book.reserve(&slots, Amount(100), Timestamp(HOUR)).expect("a new hour");
    assert!(book.settle(old, Amount(100), Timestamp(HOUR)).is_empty());
    assert_eq!(standing(&mut book, HOUR), [(0, 100)]);
    assert_eq!(book.settle(new, Amount(100), Timestamp(HOUR + 1)).len(), 1);
    assert_eq!(standing(&mut book, HOUR + 1), [(100, 0)]);
    // A clock that goes back gives nothing back.
    assert!(book.reserve(&slots, Amount(1), Timestamp(0)).is_err());
}

#[test]
fn a_changed_amount_goes_on_counting_and_a_removed_budget_lets_its_holds_go() {
    let (mut book, slots) = book(&[budget("a", 100, Period::Day), budget("b", 100, Period::Day)]);
    let hold = book.reserve(&slots, Amount(50), Timestamp(0)).expect("it fits");
    let smaller = budget("a", 60, Period::Day);
    book.adopt(std::slice::from_ref(&smaller), Timestamp(1), |_, _| panic!("it is known"));
    assert_eq!(book.slot(&smaller), slots[0]);
    assert!(book.reserve(&slots[..1], Amount(11), Timestamp(1)).is_err());
    assert_eq!(book.settle(hold, Amount(60), Timestamp(2)).len(), 1);
    assert_eq!(standing(&mut book, 2), [(60, 0)]);
}

#[test]
fn what_the_ledger_knows_is_spent_from_the_start_and_not_told_again() {
    let mut book = BudgetBook::default();
    let known = [budget("a", 100, Period::Day)];
    let slots = [book.slot(&known[0])];
    assert!(!book.counts(&known[0]));
    assert!(book.reserve(&slots, Amount(1000), Timestamp(0)).expect("not in force").is_empty());
    book.adopt(&known, Timestamp(HOUR), |_, window| {
        assert_eq!(window.start, Timestamp(0));
        Amount(80)
    });
    assert!(book.counts(&known[0]));
    let hold = book.reserve(&slots, Amount(20), Timestamp(HOUR)).expect("the rest");
    assert!(book.settle(hold, Amount(1), Timestamp(HOUR)).is_empty(), "80 % was told before");
    let hold = book.reserve(&slots, Amount(19), Timestamp(HOUR)).expect("the rest");
    assert_eq!(book.settle(hold, Amount(19), Timestamp(HOUR))[0].percent, 100);
}

#[test]
fn a_hold_is_raised_as_far_as_its_budgets_bear_it() {
    let (mut book, slots) = book(&[budget("a", 100, Period::Hour), budget("b", 80, Period::Total)]);
    let mut hold = book.reserve(&slots, Amount(30), Timestamp(0)).expect("it fits");
    assert!(book.raise(&mut hold, Amount(60), Timestamp(1)));
    assert!(!book.raise(&mut hold, Amount(81), Timestamp(1)), "80 is all there is");
    assert!(book.raise(&mut hold, Amount(10), Timestamp(1)), "it is never lowered");
    assert_eq!(standing(&mut book, 1), [(0, 60), (0, 60)]);
    // The hour is over: only the total is concerned.
    assert!(book.raise(&mut hold, Amount(80), Timestamp(HOUR)));
    assert_eq!(standing(&mut book, HOUR), [(0, 0), (0, 80)]);
    book.settle(hold, Amount(75), Timestamp(HOUR));
    assert_eq!(standing(&mut book, HOUR), [(0, 0), (75, 0)]);
}

#[derive(Debug, Clone)]
enum Step {
    Reserve { budgets: Vec<u32>, worst: i128 },
    Raise { which: usize, worst: i128 },
    Settle { which: usize, cost: i128 },
    Later(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reserve = (prop::sample::subsequence(vec![0, 1, 2], 0..=3), 0..60_i128)
        .prop_map(|(budgets, worst)| Step::Reserve { budgets, worst });
    let settle = (any::<usize>(), 0..60_i128).prop_map(|(which, cost)| Step::Settle { which, cost });
    let raise = (any::<usize>(), 0..90_i128).prop_map(|(which, worst)| Step::Raise { which, worst });
    let step = prop_oneof![4 => reserve, 4 => settle, 2 => raise, 1 => (0..2 * HOUR).prop_map(Step::Later)];
    prop::collection::vec(step, 1..80)
}

proptest! {
    /// Every hold in a list, every cost in another: sums over the present window are what the book says, no amount is
    /// overrun while nothing costs more than was held for it, and at rest nothing is reserved.
    #[test]
    fn the_book_agrees_with_a_list_of_everything(steps in steps()) {
        let periods = [Period::Hour, Period::Day, Period::Total];
        let (mut book, slots) = book(&periods.map(|per| budget(per.name(), 100, per)));
        let (mut now, mut open, mut spent) = (0_i64, Vec::<(Hold, i64, Vec<u32>)>::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Later(by) => now += by,
                Step::Reserve { budgets, worst } => {
                    let chosen: Vec<_> = budgets.iter().map(|index| slots[*index as usize]).collect();
                    let fits = budgets.iter().all(|index| {
                        let window = periods[*index as usize].window(Timestamp(now)).start;
                        let held: i128 = open.iter()
                            .filter(|(_, at, of)| of.contains(index) && periods[*index as usize].window(Timestamp(*at)).start == window)
                            .map(|(hold, ..)| hold.amount().0).sum();
                        held + spent.get(&(*index, window)).unwrap_or(&0) + worst <= 100
                    });
                    match book.reserve(&chosen, Amount(worst), Timestamp(now)) {
                        Ok(hold) => {
                            prop_assert!(fits);
                            open.push((hold, now, budgets));
                        }
                        Err(_) => prop_assert!(!fits),
                    }
                }
                Step::Settle { which, cost } if !open.is_empty() => {
                    let (hold, at, of) = open.swap_remove(which % open.len());
                    let cost = cost.min(hold.amount().0);
                    for index in of {
                        let window = periods[index as usize].window(Timestamp(at)).start;
                        *spent.entry((index, window)).or_insert(0) += cost;
                    }
                    book.settle(hold, Amount(cost), Timestamp(now));
                }
                Step::Raise { which, worst } if !open.is_empty() => {
                    let which = which % open.len();
                    book.raise(&mut open[which].0, Amount(worst), Timestamp(now));
                }
                Step::Settle { .. } | Step::Raise { .. } => {}
            }
            for (index, (spent_now, reserved)) in standing(&mut book, now).into_iter().enumerate() {
                let index = u32::try_from(index).expect("three");
                let window = periods[index as usize].window(Timestamp(now)).start;
                prop_assert_eq!(spent_now, *spent.get(&(index, window)).unwrap_or(&0));
                prop_assert!(spent_now + reserved <= 100);
            }
        }
        for (hold, ..) in open {
            book.settle(hold, Amount::ZERO, Timestamp(now));
        }
        prop_assert!(standing(&mut book, now).iter().all(|(_, reserved)| *reserved == 0));
    }
}
