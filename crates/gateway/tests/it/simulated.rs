//! The simulator is believed because a gateway on real sockets comes to the same figures: the same requests at the same
//! times, before providers that refuse and answer by the simulator's own rules, which neither is told.

mod stage;

use std::time::Duration;

use simulator::scenario::{Limits, Says, Scenario, suite};
use simulator::{Contender, Fate, Run, Visible};

use stage::Stage;

/// Long enough for a limit that is halved after three minutes to be found out.
const LENGTH: Duration = Duration::from_secs(300);

/// So many of a scenario's accounts, with as many of its requests: a socket takes its time.
const ACCOUNTS: u32 = 4;

/// What is drawn from.
const SEED: u64 = 1;

/// How far both may be apart, of all requests. The gateway draws its own lots, sleeps in whole milliseconds and
/// hears of an answer when its bytes are there.
const APART_MAX: f64 = 0.02;

/// What came of a run, so that runs can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    /// Requests that were answered.
    answered: f64,
    /// Calls that a provider refused with a 429.
    limited_calls: f64,
    /// Requests that ended in a 429.
    limited: f64,
    /// Requests that the gateway refused.
    refused: f64,
    /// Requests that ended otherwise.
    failed: f64,
}

impl Figures {
    /// As shares of all requests.
    fn of(run: &Run) -> Self {
        let share = |part: usize| part as f64 / run.fates.len() as f64;
        let count = |wanted: Visible| run.fates.iter().filter(|fate| **fate == Fate::Failed(wanted)).count();
        let answered = run.fates.iter().filter(|fate| matches!(fate, Fate::Answered { .. })).count();
        Self {
            answered: share(answered),
            limited_calls: run.limited_calls as f64 / run.fates.len() as f64,
            limited: share(count(Visible::Limited)),
            refused: share(count(Visible::Refused)),
            failed: share(count(Visible::Failed) + count(Visible::TooLate)),
        }
    }

    fn apart(self, other: Self) -> f64 {
        let pairs = [
            (self.answered, other.answered),
            (self.limited_calls, other.limited_calls),
            (self.limited, other.limited),
            (self.refused, other.refused),
            (self.failed, other.failed),
        ];
        pairs.map(|(one, another)| (one - another).abs()).into_iter().fold(0.0, f64::max)
    }
}

/// A scenario of the suite, small enough for sockets.
fn small(name: &str) -> Scenario {
    let found = suite().into_iter().find(|scenario| scenario.name == name);
    let mut scenario = Scenario { length: LENGTH, ..found.expect("a scenario of the suite") };
    let accounts = u32::try_from(scenario.providers.len()).expect("few");
    let share = f64::from(ACCOUNTS.min(accounts)) / f64::from(accounts);
    scenario.providers.truncate(usize::try_from(ACCOUNTS).expect("few"));
    scenario.streams.iter_mut().for_each(|stream| stream.per_minute *= share);
    scenario
}

/// Plays a scenario in both, and holds their figures together.
async fn check(scenario: Scenario) {
    let requests = simulator::requests(&scenario, SEED);
    let simulated = simulator::run(&scenario, &requests, Contender::Lockgate, SEED);
    let live = Stage::new(&scenario, &requests, SEED).await.play().await;
    let (simulated, live) = (Figures::of(&simulated), Figures::of(&live));
    let context = format!("{}, seed {SEED}:\nsimulated {simulated:?}\nlive      {live:?}", scenario.name);
    println!("{context}");
    for met in [simulated, live] {
        assert!(met.limited_calls + met.refused > 0.0, "a limit is met: {context}");
    }
    assert!(simulated.apart(live) <= APART_MAX, "{context}");
}

#[tokio::test(start_paused = true)]
async fn the_simulator_foresees_a_limit_that_only_429s_tell_of() {
    check(small("told-too-much")).await;
}

#[tokio::test(start_paused = true)]
async fn the_simulator_foresees_a_limit_that_headers_tell_of() {
    check(small("told-nothing")).await;
}

#[tokio::test(start_paused = true)]
async fn the_simulator_foresees_a_limit_that_is_halved() {
    check(small("halved-silently")).await;
}

#[tokio::test(start_paused = true)]
async fn the_simulator_foresees_tokens_that_run_out() {
    let mut scenario = small("tokens");
    scenario.providers.iter_mut().for_each(|provider| provider.told.tpm = None);
    check(scenario).await;
}

#[tokio::test(start_paused = true)]
async fn the_simulator_foresees_places_that_nobody_tells_of() {
    let mut scenario = small("concurrency");
    for provider in &mut scenario.providers {
        provider.told.concurrency = None;
        provider.says = Says::Nothing;
        provider.limits = vec![(Duration::ZERO, Limits { concurrency: Some(4), ..Limits::default() })];
    }
    check(scenario).await;
}
