//! Decides what a run was worth, in numbers that can be compared; never whether they are good enough.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::Class;

use crate::optimum::Optimum;
use crate::run::{Fate, Run, Visible};
use crate::scenario::Scenario;
use crate::traffic::Request;

/// Classes, the best first.
const CLASSES: [Class; 4] = [Class::Urgent, Class::High, Class::Normal, Class::Low];

/// What a run was worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Requests answered.
    pub answered: u64,
    /// As a share of those that could have been.
    pub goodput: f64,
    /// Share of all requests that ended in a 429.
    pub visible_limited: f64,
    /// Share of all requests that the gateway refused or answered too late.
    pub refused: f64,
    /// Share of all requests that ended in a provider's failure.
    pub failed: f64,
    /// Share of all calls that a provider answered with a 429.
    pub upstream_limited: f64,
    /// Waits of those answered, by class, the best class first.
    pub waits: Vec<(Class, Waits)>,
    /// Jain's index over callers of a class, the worst class's: 1 is fair.
    pub fairness: f64,
    /// What the answers cost, as a multiple of the least that so many could cost.
    pub spend: f64,
    /// The share of answers whose prompt was in the provider's cache.
    pub warm: f64,
    /// Answered in each minute, by when their call was made.
    pub by_minute: Vec<u32>,
    /// How many times longer `urgent` waits for its first event (p99) than without the overload.
    pub urgent_moved: Option<f64>,
}

/// How long the answered requests of a class waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many there were.
    pub answered: usize,
    /// From arrival to the call that was answered: half waited at most so long.
    pub p50: Duration,
    /// Ninety-nine of a hundred waited at most so long.
    pub p99: Duration,
    /// From arrival to the first event: half had it after at most so long.
    pub first_event_p50: Duration,
    /// From arrival to the first event, likewise.
    pub first_event_p99: Duration,
}

/// Scores a run.
pub(crate) fn score(scenario: &Scenario, requests: &[Request], run: &Run, optimum: &Optimum) -> Score {
    let count = |wanted: &dyn Fn(&Fate) -> bool| run.fates.iter().filter(|fate| wanted(fate)).count();
    let share = |part: usize| part as f64 / (requests.len().max(1)) as f64;
    let answered = count(&|fate| matches!(fate, Fate::Answered { .. }));
    let failed = |visible: Visible| share(count(&|fate| *fate == Fate::Failed(visible)));
    let answers = u64::try_from(answered).expect("answers are countable");
    let cheapest = optimum.cheapest(answers);
    let present = CLASSES.into_iter().filter(|class| requests.iter().any(|one| one.class == *class));
    Score {
        answered: answers,
        goodput: if optimum.answered == 0 { 1.0 } else { answers as f64 / optimum.answered as f64 },
        visible_limited: failed(Visible::Limited),
        refused: failed(Visible::Refused) + failed(Visible::TooLate),
        failed: failed(Visible::Failed),
        upstream_limited: run.limited_calls as f64 / run.calls.max(1) as f64,
        waits: present.map(|class| (class, waits(requests, run, class))).collect(),
        fairness: fairness(scenario, requests, run),
        spend: if cheapest > 0.0 { run.spend / cheapest } else { 1.0 },
        warm: run.warm as f64 / answers.max(1) as f64,
        by_minute: by_minute(requests, run),
        urgent_moved: None,
    }
}

/// How many times longer `urgent` waits for its first event than in a calm run of the same seed.
pub(crate) fn urgent_moved(requests: &[Request], calm: &Run, score: &Score) -> Option<f64> {
    let before = waits(requests, calm, Class::Urgent).first_event_p99;
    let after = score.waits.iter().find(|(class, _)| *class == Class::Urgent)?.1.first_event_p99;
    (!before.is_zero()).then(|| after.as_secs_f64() / before.as_secs_f64())
}

fn by_minute(requests: &[Request], run: &Run) -> Vec<u32> {
    let mut minutes = Vec::new();
    for (request, fate) in requests.iter().zip(&run.fates) {
        let Fate::Answered { waited, .. } = fate else { continue };
        let minute = usize::try_from((request.at + *waited).as_secs() / 60).expect("runs are short");
        if minutes.len() <= minute {
            minutes.resize(minute + 1, 0);
        }
        minutes[minute] += 1;
    }
    minutes
}

fn waits(requests: &[Request], run: &Run, class: Class) -> Waits {
    let of_class = requests.iter().zip(&run.fates).filter(|(request, _)| request.class == class);
    let answered = of_class.filter_map(|(_, fate)| match fate {
        Fate::Answered { waited, first_event } => Some((*waited, *first_event)),
        Fate::Failed(_) => None,
    });
    let (mut waited, mut first): (Vec<Duration>, Vec<Duration>) = answered.unzip();
    waited.sort_unstable();
    first.sort_unstable();
    let (p50, p99) = (percentile(&waited, 50), percentile(&waited, 99));
    let (first_event_p50, first_event_p99) = (percentile(&first, 50), percentile(&first, 99));
    Waits { answered: waited.len(), p50, p99, first_event_p50, first_event_p99 }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

/// The worst class's fairness between its callers. All callers are entitled to the same, so each is
/// measured by what it would have got of the class's answers had they been dealt out evenly, none to
/// those who want no more.
fn fairness(scenario: &Scenario, requests: &[Request], run: &Run) -> f64 {
    let mut classes: BTreeMap<usize, BTreeMap<usize, (f64, f64)>> = BTreeMap::new();
    for (request, fate) in requests.iter().zip(&run.fates) {
        let class = CLASSES.iter().position(|class| *class == request.class).expect("all are listed");
        let (asked, answered) = classes.entry(class).or_default().entry(request.caller).or_default();
        *asked += 1.0;
        *answered += if matches!(fate, Fate::Answered { .. }) { 1.0 } else { 0.0 };
    }
    debug_assert!(scenario.streams.len() >= classes.len(), "each class has a stream");
    let jain = classes.values().map(|callers| {
        let callers: Vec<(f64, f64)> = callers.values().copied().collect();
        let level = fair_level(&callers);
        let satisfied: Vec<f64> =
            callers.iter().map(|(asked, got)| got / asked.min(level).max(1e-9)).collect();
        jain(&satisfied)
    });
    jain.fold(1.0, f64::min)
}

/// The level up to which each caller's wish is met when all answers are dealt out evenly.
fn fair_level(callers: &[(f64, f64)]) -> f64 {
    let mut left: f64 = callers.iter().map(|(_, answered)| answered).sum();
    let mut wishes: Vec<f64> = callers.iter().map(|(asked, _)| *asked).collect();
    wishes.sort_by(f64::total_cmp);
    let mut waiting = wishes.len() as f64;
    for wish in wishes {
        if wish * waiting > left {
            return left / waiting;
        }
        left -= wish;
        waiting -= 1.0;
    }
    f64::INFINITY
}

fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_deal_is_fair_and_one_taker_is_not() {
        let check = |callers: &[(f64, f64)], level: f64, index: f64| {
            assert!(
                (fair_level(callers) - level).abs() < 1e-9 || fair_level(callers) == level,
                "{callers:?}"
            );
            let got: Vec<f64> = callers.iter().map(|(asked, got)| got / asked.min(level)).collect();
            assert!((jain(&got) - index).abs() < 1e-3, "{callers:?}: {}", jain(&got));
        };
        check(&[(10.0, 10.0), (20.0, 20.0)], f64::INFINITY, 1.0);
        check(&[(10.0, 5.0), (100.0, 5.0)], 5.0, 1.0);
        check(&[(10.0, 10.0), (100.0, 20.0)], 20.0, 1.0);
        check(&[(100.0, 30.0), (100.0, 0.0)], 15.0, 0.5);
    }

    #[test]
    fn percentiles_are_of_those_who_waited() {
        let waits: Vec<Duration> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!((percentile(&waits, 50).as_secs(), percentile(&waits, 99).as_secs()), (50, 99));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
