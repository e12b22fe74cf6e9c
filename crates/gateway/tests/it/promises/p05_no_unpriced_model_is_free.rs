//! P05: a model whose price nobody knows is never free under a budget, and never silently free: its receipt, its ledger
//! line and the metrics say so.

use policy::{Amount, BudgetOf, BudgetSpec, KeySpec, Period, PriceSpec};
use serde_json::Value;
use testkit::{Behaviour, Ending, ScriptedProvider};

use crate::scene::{MODEL, Plan, Scene, chat, chat_stream, key};

fn per_million(text: &str) -> Amount {
    Amount::per_million(text).expect("a price")
}

async fn settled(priced: Option<PriceSpec>, behaviour: Behaviour, ask: &Value) -> (Scene, ScriptedProvider) {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(behaviour);
    let plan = Plan::before(&[&provider]).with(|draft| draft.settings.attempts_max = 1).backends(|spec| {
        let models = spec.models.as_mut().expect("models");
        models.get_mut(MODEL).expect("the model").price.clone_from(&priced);
    });
    let scene = plan.start().await;
    let mut answer = scene.client().post("/v1/chat/completions", ask).await.expect("an answer");
    answer.body().await.expect("a body");
    (scene, provider)
}

#[tokio::test(start_paused = true)]
async fn p05_an_unpriced_answer_is_flagged_wherever_it_shows() {
    let cut = Behaviour::healthy().ending(Ending::CloseAt(700));
    for (ask, behaviour) in
        [(chat(), Behaviour::healthy()), (chat_stream(), Behaviour::healthy()), (chat_stream(), cut)]
    {
        let (scene, _provider) = settled(None, behaviour, &ask).await;
        let detail = scene.only_receipt().await;
        assert!(detail.receipt.usage.total() > 0, "{ask}");
        assert_eq!((detail.receipt.unpriced, detail.receipt.cost), (true, Amount::ZERO), "{ask}");
        assert_eq!(detail.receipt.price_version, None, "{ask}");
        assert!(detail.attempts.iter().all(|line| line.unpriced), "{ask}");
        assert_eq!(scene.totals().await.unpriced, 1, "{ask}");
        assert!(scene.metrics().contains("\nlockgate_unpriced_requests_total 1\n"), "{}", scene.metrics());
    }
}

#[tokio::test(start_paused = true)]
async fn p05_a_priced_answer_costs_what_the_price_says() {
    let price = PriceSpec {
        version: "2026-01".to_owned(),
        input: per_million("2.5"),
        output: per_million("10.000001"),
        request: Amount(7),
        ..PriceSpec::default()
    };
    for ask in [chat(), chat_stream()] {
        let (scene, provider) = settled(Some(price.clone()), Behaviour::healthy(), &ask).await;
        let count = provider.count();
        let cost = Amount(7)
            .saturating_add(per_million("2.5").times(count.input_tokens))
            .saturating_add(per_million("10.000001").times(count.output_tokens));
        let receipt = scene.only_receipt().await.receipt;
        assert_eq!((receipt.cost, receipt.unpriced), (cost, false), "{ask}");
        assert_eq!(receipt.price_version.as_deref(), Some("2026-01"));
        let totals = scene.totals().await;
        assert_eq!((totals.cost, totals.unpriced), (cost, 0), "{ask}");
        assert!(scene.metrics().contains("\nlockgate_unpriced_requests_total 0\n"), "{}", scene.metrics());
    }
}

#[tokio::test(start_paused = true)]
async fn p05_what_cost_nothing_is_not_called_unpriced() {
    let (scene, _provider) = settled(None, Behaviour::error(500, "no"), &chat()).await;
    let receipt = scene.only_receipt().await.receipt;
    assert_eq!((receipt.usage.total(), receipt.unpriced), (0, false));
}

#[tokio::test(start_paused = true)]
async fn p05_a_failed_attempt_that_was_paid_for_is_on_the_receipt() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    first.otherwise(Behaviour::healthy().ending(Ending::CloseAt(100)));
    let price = PriceSpec { input: per_million("1"), output: per_million("1"), ..PriceSpec::default() };
    let plan = Plan::before(&[&first, &second]).backends(|spec| {
        let models = spec.models.as_mut().expect("models");
        models.get_mut(MODEL).expect("the model").price = Some(price.clone());
    });
    let scene = plan.start().await;
    let answer = scene.client().post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_eq!(answer.header("x-lockgate-attempts"), Some("2"));
    let detail = scene.only_receipt().await;
    let [paid, served] = detail.attempts.as_slice() else { panic!("{:?}", detail.attempts) };
    assert!(paid.usage.input > 0 && paid.cost > Amount::ZERO, "{paid:?}");
    assert_eq!(detail.receipt.usage, paid.usage.plus(&served.usage));
    assert_eq!(detail.receipt.cost, paid.cost.saturating_add(served.cost));
}

const KEY: &str = "lg-1";

fn one_dollar_a_token() -> PriceSpec {
    let dollar: Amount = "1".parse().expect("an amount");
    PriceSpec { input: dollar, output: dollar, ..PriceSpec::default() }
}

/// A key that may spend a thousand dollars a day.
fn budgeted(plan: Plan, key: KeySpec) -> Plan {
    plan.with(|draft| {
        let amount = "1000".parse().expect("an amount");
        draft.budgets.push(BudgetSpec { of: BudgetOf::Key(key.name.clone()), amount, per: Period::Day });
        draft.keys.push(key);
    })
}

#[tokio::test(start_paused = true)]
async fn p05_without_a_price_there_is_no_call() {
    let provider = ScriptedProvider::start().await;
    let scene = budgeted(Plan::before(&[&provider]), key(KEY)).start().await;
    let mut answer =
        scene.client().with_key(KEY).post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_eq!(answer.status, 402);
    assert_eq!(answer.json().await.expect("JSON")["error"]["code"], "unpriced_model");
    assert_eq!(provider.count().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn p05_only_backends_with_a_price_are_used() {
    let (unpriced, priced) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let plan = Plan::before(&[&unpriced, &priced]).with(|draft| {
        let models = draft.backends[1].models.as_mut().expect("written models");
        models.values_mut().for_each(|model| {
            model.price = Some(one_dollar_a_token());
            model.max_output = Some(100);
        });
    });
    let scene = budgeted(plan, key(KEY)).start().await;
    let ask = || async {
        scene.client().with_key(KEY).post("/v1/chat/completions", &chat()).await.expect("an answer").status
    };
    assert_eq!(ask().await, 200);
    assert_eq!((unpriced.count().accepted, priced.count().accepted), (0, 1));
    let receipt = scene.only_receipt().await.receipt;
    assert!(receipt.cost > Amount::ZERO && !receipt.unpriced, "{receipt:?}");
}

#[tokio::test(start_paused = true)]
async fn p05_a_keys_own_price_is_charged_where_there_is_none() {
    let provider = ScriptedProvider::start().await;
    let cheap = PriceSpec {
        version: "ceiling-1".to_owned(),
        input: Amount(1000),
        output: Amount(1000),
        ..PriceSpec::default()
    };
    let generous = KeySpec { ceiling: Some(cheap), ..key(KEY) };
    let scene = budgeted(Plan::before(&[&provider]), generous).start().await;
    let answer = scene.client().with_key(KEY).post("/v1/chat/completions", &chat()).await.expect("an answer");
    assert_eq!(answer.status, 200);
    let receipt = scene.only_receipt().await.receipt;
    assert_eq!(receipt.cost, Amount(1000).times(receipt.usage.total()));
    assert_eq!(receipt.price_version.as_deref(), Some("ceiling-1"));
}
