//! P05: a model whose price nobody knows is never silently free: its receipt, its ledger line and the metrics say so.

use policy::{Amount, PriceSpec};
use serde_json::Value;
use testkit::{Behaviour, Ending, ScriptedProvider};

use crate::scene::{MODEL, Plan, Scene, chat, chat_stream};

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
