//! P07: the data plane answers without the database, for as long as it is away; afterwards the ledger has everything.

use std::time::Duration;

use testkit::{Behaviour, HeldDatabase, ScriptedProvider};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scene::{Plan, Scene, chat, chat_stream};

const WORKERS: usize = 16;
const REQUESTS: usize = 3_000;

/// Runs requests, half of them streams, and counts those that are not answered whole.
async fn load(scene: &Scene) -> usize {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let client = scene.client();
        workers.spawn(async move {
            let mut errors = 0;
            for number in (worker..REQUESTS).step_by(WORKERS) {
                let ask = if number % 2 == 0 { chat() } else { chat_stream() };
                let mut answer = client.post("/v1/chat/completions", &ask).await.expect("an answer");
                let body = answer.body().await.expect("a body");
                let whole =
                    if number % 2 == 0 { body.ends_with(b"}") } else { body.ends_with(b"[DONE]\n\n") };
                errors += usize::from(answer.status != 200 || !whole);
            }
            errors
        });
    }
    workers.join_all().await.into_iter().sum()
}

#[tokio::test]
async fn p07_a_locked_database_adds_no_error_and_loses_no_line() {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider]).start().await;
    let held = HeldDatabase::lock(scene.folder.path()).expect("the lock");
    assert_eq!(load(&scene).await, 0);
    scene.until("rest", |scene| scene.status().in_flight == 0).await;
    let lag = scene.journal.lag();
    assert!(lag.entries >= 2 * REQUESTS as u64, "nothing can have been taken over: {lag:?}");
    assert!(scene.metrics().contains(&format!("lockgate_journal_lag_entries {}\n", lag.entries)));
    drop(held);
    let (totals, count) = (scene.totals().await, provider.count());
    assert_eq!((totals.requests, totals.completed), (REQUESTS as u64, REQUESTS as u64));
    assert_eq!(totals.attempts, count.completed);
    assert_eq!((totals.usage.input, totals.usage.output), (count.input_tokens, count.output_tokens));
    assert_eq!(scene.ledger.verify().await.expect("verified").differences, 0);
    assert_eq!(scene.journal.lag().entries, 0);
}

/// How long each of some hundred requests took, shortest first. The clock stands still while anything can be done, so
/// this is what requests waited for, and not how fast this machine is.
async fn waits(scene: &Scene) -> Vec<Duration> {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let client = scene.client();
        workers.spawn(async move {
            let mut waits = Vec::new();
            for number in 0..20 {
                let began = Instant::now();
                let ask = if (worker + number) % 2 == 0 { chat() } else { chat_stream() };
                let mut answer = client.post("/v1/chat/completions", &ask).await.expect("an answer");
                answer.body().await.expect("a body");
                waits.push(began.elapsed());
            }
            waits
        });
    }
    let mut waits = workers.join_all().await.concat();
    waits.sort_unstable();
    waits
}

#[tokio::test(start_paused = true)]
async fn p07_a_locked_database_delays_no_request() {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(Behaviour { interval_ms: 40, ..Behaviour::healthy() });
    let scene = Plan::before(&[&provider]).start().await;
    let free = waits(&scene).await;
    scene.at_rest().await;
    let held = HeldDatabase::lock(scene.folder.path()).expect("the lock");
    let locked = waits(&scene).await;
    drop(held);
    let p99 = |waits: &[Duration]| waits[waits.len() * 99 / 100];
    assert_eq!(p99(&locked), p99(&free));
    assert_eq!(locked.last(), free.last());
    assert!(p99(&free) > Duration::from_millis(40), "the provider's own pauses must show: {free:?}");
    scene.at_rest().await;
}
