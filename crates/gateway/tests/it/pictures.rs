//! Pictures are counted in the answer itself, however it comes, and each costs what the price says.

use policy::{Amount, BudgetOf, BudgetSpec, Period, PriceSpec};
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider};

use crate::scene::{MODEL, Plan, Scene, key};

const GENERATIONS: &str = "/v1/images/generations";
const KEY: &str = "lg-1";

fn amount(text: &str) -> Amount {
    text.parse().expect("an amount")
}

fn four_cents() -> PriceSpec {
    PriceSpec { version: "four-cents".to_owned(), image: amount("0.04"), ..PriceSpec::default() }
}

fn priced(provider: &ScriptedProvider, price: Option<&PriceSpec>) -> Plan {
    Plan::before(&[provider]).backends(|spec| {
        let models = spec.models.as_mut().expect("models");
        models.get_mut(MODEL).expect("the model").price = price.cloned();
    })
}

async fn asked(scene: &Scene, path: &str, ask: &Value) -> u16 {
    let mut answer = scene.client().with_key(KEY).post(path, ask).await.expect("an answer");
    answer.body().await.expect("a body");
    answer.status.as_u16()
}

fn pictures(each: &Value, count: usize) -> Behaviour {
    Behaviour::json(200, &json!({"created": 1, "data": vec![each; count]}))
}

fn streamed() -> Behaviour {
    let event = |kind: &str| {
        let data =
            json!({"type": kind, "b64_json": "AAAA", "usage": {"input_tokens": 5, "output_tokens": 7}});
        format!("event: {kind}\ndata: {data}\n\n")
    };
    Behaviour::replay(["image_generation.partial_image", "image_generation.completed"].map(event))
}

#[tokio::test(start_paused = true)]
async fn each_picture_is_counted_and_charged_however_it_comes() {
    let (url, large) =
        (json!({"url": "https://pictures.example/1"}), json!({"b64_json": "A".repeat(2 << 20)}));
    let message = json!({"role": "assistant", "content": "", "images": [{"type": "image_url"}]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "a fox"}]});
    let fox = json!({"model": MODEL, "prompt": "a fox", "n": 2});
    for (path, ask, behaviour, images) in [
        (GENERATIONS, &fox, pictures(&url, 2), 2),
        (GENERATIONS, &fox, pictures(&large, 2), 2),
        (GENERATIONS, &fox, pictures(&json!({"revised_prompt": "no fox"}), 1), 0),
        (GENERATIONS, &fox, streamed(), 1),
        ("/v1/chat/completions", &chat, Behaviour::json(200, &json!({"id": "c", "choices": [choice]})), 1),
    ] {
        for price in [Some(four_cents()), None] {
            let provider = ScriptedProvider::start().await;
            provider.then(behaviour.clone());
            let scene =
                priced(&provider, price.as_ref()).with(|draft| draft.keys.push(key(KEY))).start().await;
            assert_eq!(asked(&scene, path, ask).await, 200);
            let detail = scene.only_receipt().await;
            let cost = price.as_ref().map_or(Amount::ZERO, |price| price.image.times(images));
            assert_eq!((detail.receipt.usage.images, detail.receipt.cost), (images, cost), "{path} {images}");
            assert_eq!(detail.attempts[0].usage.images, images);
            assert!(detail.receipt.unpriced == (price.is_none() && images > 0), "{:?}", detail.receipt);
            let totals = scene.totals().await;
            assert_eq!((totals.usage.images, totals.cost), (images, cost));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_holds_as_many_pictures_as_are_asked_for() {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(pictures(&json!({"url": "https://pictures.example/1"}), 2));
    let scene = priced(&provider, Some(&four_cents()))
        .with(|draft| {
            let of = BudgetOf::Key(KEY.to_owned());
            draft.budgets.push(BudgetSpec { of, amount: amount("0.1"), per: Period::Day });
            draft.keys.push(key(KEY));
        })
        .start()
        .await;
    let fox = |n: u8| json!({"model": MODEL, "prompt": "a fox", "n": n});
    assert_eq!(asked(&scene, GENERATIONS, &fox(3)).await, 402);
    assert_eq!(provider.count().accepted, 0);
    assert_eq!(asked(&scene, GENERATIONS, &fox(2)).await, 200);
    // Two cents are left.
    assert_eq!(asked(&scene, GENERATIONS, &fox(1)).await, 402);
    assert_eq!(provider.count().accepted, 1);
    assert_eq!(scene.totals().await.cost, amount("0.08"));
}
