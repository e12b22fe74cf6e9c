//! P04: budgets are never overrun, and no reservation outlives its request.

use policy::{Amount, BudgetOf, BudgetSpec, BudgetStatus, Period, PriceSpec, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use testkit::{Behaviour, Pace, ScriptedProvider, StillClock};
use tokio::task::JoinSet;

use crate::scene::{MODEL, Plan, Scene, chat_stream, key};

const CHAT: &str = "/v1/chat/completions";
const KEY: &str = "lg-1";
/// What one token costs, in and out.
const TOKEN: i128 = 1_000_000;
/// The longest answer that a request of [`ask`] may get.
const OUTPUT: u64 = 100;

/// A gateway whose one key may spend so much.
fn plan(providers: &[&ScriptedProvider], amount: Amount) -> Plan {
    let price = PriceSpec { input: Amount(TOKEN), output: Amount(TOKEN), ..PriceSpec::default() };
    let priced = Plan::before(providers).backends(move |spec| {
        let models = spec.models.as_mut().expect("written models");
        models.values_mut().for_each(|model| model.price = Some(price.clone()));
    });
    priced.with(|draft| {
        draft.keys.push(key(KEY));
        draft.budgets.push(BudgetSpec { of: BudgetOf::Key(KEY.to_owned()), amount, per: Period::Day });
    })
}

fn ask() -> serde_json::Value {
    json!({"model": MODEL, "max_tokens": OUTPUT, "messages": [{"role": "user", "content": "one two three"}]})
}

fn budget(scene: &Scene) -> BudgetStatus {
    let mut budgets = scene.live.budget_status(Timestamp(1_767_225_600_000));
    budgets.pop().expect("the budget")
}

/// What is held for one request of [`ask`]: its prompt's bytes and its longest answer, a token each.
async fn worst() -> Amount {
    let (provider, gate) = (ScriptedProvider::start().await, Pace::new());
    provider.otherwise(Behaviour::healthy().paced_by(&gate));
    let scene = plan(&[&provider], Amount(i128::MAX)).start().await;
    let client = scene.client().with_key(KEY);
    let mut calls = JoinSet::new();
    calls.spawn(async move { client.post(CHAT, &ask()).await.expect("an answer") });
    provider.next_request().await;
    let held = budget(&scene).reserved;
    assert!(held > Amount(TOKEN).times(OUTPUT), "the answer and something for the prompt: {held:?}");
    gate.step(1);
    calls.join_next().await.expect("the call").expect("no panic");
    scene.at_rest().await;
    held
}

/// Spent is what the ledger says, and nothing is held.
async fn assert_at_rest(scene: &Scene, context: &str) {
    scene.at_rest().await;
    scene.until("the last ticket to be settled", |scene| budget(scene).reserved == Amount::ZERO).await;
    let (budget, totals) = (budget(scene), scene.totals().await);
    assert_eq!(budget.spent, totals.cost, "{context}");
    assert!(budget.spent <= budget.budget.amount, "{context}: {budget:?}");
}

#[tokio::test(start_paused = true)]
async fn p04_two_hundred_at_once_never_overrun() {
    let _still = StillClock::hold();
    let worst = worst().await;
    let (provider, gate) = (ScriptedProvider::start().await, Pace::new());
    provider.otherwise(Behaviour::healthy().paced_by(&gate));
    // Room for seven and a half.
    let amount = Amount(worst.0 * 15 / 2);
    let scene = plan(&[&provider], amount).start().await;
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let client = scene.client().with_key(KEY);
        calls.spawn(async move {
            let mut answer = client.post(CHAT, &ask()).await.expect("an answer");
            let code = answer.json().await.expect("JSON")["error"]["code"].as_str().map(str::to_owned);
            (answer.status.as_u16(), code, answer.header("retry-after").map(str::to_owned))
        });
    }
    for _ in 0..7 {
        provider.next_request().await;
    }
    for _ in 0..193 {
        let (status, code, retry_after) = calls.join_next().await.expect("a call").expect("no panic");
        assert_eq!((status, code.as_deref()), (402, Some("budget_exceeded")));
        assert_eq!(retry_after.as_deref(), Some("86400"), "the day has just begun");
    }
    assert_eq!(budget(&scene).reserved, worst.times(7));
    gate.step(7);
    while let Some(call) = calls.join_next().await {
        assert_eq!(call.expect("no panic").0, 200);
    }
    assert_eq!(provider.count().accepted, 7);
    assert_at_rest(&scene, "seven of two hundred").await;
    assert!(budget(&scene).spent > Amount::ZERO);
}

#[tokio::test(start_paused = true)]
async fn p04_clients_that_leave_at_random_leave_nothing_held() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let provider = ScriptedProvider::start().await;
    let scene = plan(&[&provider], Amount(i128::MAX)).start().await;
    for round in 0..60 {
        let client = scene.client().with_key(KEY);
        let behaviour = match rng.random_range(0..4) {
            0 => Behaviour::error(500, "no"),
            1 => Behaviour::healthy().ending(testkit::Ending::CloseAt(rng.random_range(0..400))),
            _ => Behaviour::healthy(),
        };
        provider.then(behaviour);
        let (streams, stays) = (rng.random_bool(0.7), rng.random_range(0..6));
        let body = if streams { chat_stream() } else { ask() };
        let mut answer = client.post(CHAT, &body).await.expect("an answer");
        for _ in 0..stays {
            if answer.chunk().await.is_none() {
                break;
            }
        }
        answer.abort();
        if round % 10 == 9 {
            assert_at_rest(&scene, &format!("seed {seed}, round {round}")).await;
        }
    }
}

/// The first attempt is cut and may have cost its prompt: another is made only where both can be paid for.
async fn check_second_attempt(amount: impl Fn(Amount) -> Amount, attempts: u64) {
    let worst = worst().await;
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    first.otherwise(Behaviour::healthy().ending(testkit::Ending::CloseAt(40)));
    let scene = plan(&[&first, &second], amount(worst)).start().await;
    let answer = scene.client().with_key(KEY).post(CHAT, &ask()).await.expect("an answer");
    assert_eq!(answer.status, if attempts == 2 { 200 } else { 502 });
    assert_eq!(first.count().accepted + second.count().accepted, attempts);
    assert_at_rest(&scene, "after a cut").await;
}

#[tokio::test(start_paused = true)]
async fn p04_a_second_attempt_is_paid_for_too() {
    check_second_attempt(|worst| worst, 1).await;
    check_second_attempt(|worst| worst.times(2), 2).await;
}
