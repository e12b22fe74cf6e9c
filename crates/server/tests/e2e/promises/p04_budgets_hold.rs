//! P04 on the binary: a kill -9 leaves nothing held, and what was spent is what the ledger says.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use testkit::{Behaviour, Ending, GatewaySettings, Pace, ScriptedProvider, TestClient, TestGateway};
use tokio::task::JoinSet;
use tokio::time::timeout;

const SECRET: &str = "lg-app";
const ADMIN: &str = "lga-0123456789abcdef0123456789abcdef";
const ROUNDS: u64 = 4;
const STREAMS: u64 = 12;
/// Nothing takes this long; a run that would is told apart from a slow one.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(provider: &ScriptedProvider) -> String {
    let url = provider.base_url();
    format!(
        "log: {{level: error}}\nadmin: {{token: {ADMIN}}}\nteams: [{{name: crew}}]\nkeys: [{{name: app, key: {SECRET}, team: crew}}]\n\
         budgets: [{{key: app, amount: 100}}, {{team: crew, amount: 100, per: month}}, {{amount: 100, per: day}}]\n\
         backends:\n  - {{name: b, base_url: '{url}', api_key: k, limits: {{rpm: 0}}, models: {{m: {{price: {{input: 2, output: 3}}}}}}}}\n"
    )
}

fn ask() -> Value {
    json!({"model": "m", "stream": true, "max_tokens": 50, "messages": [{"role": "user", "content": "one two three"}]})
}

async fn asked(admin: &TestClient, path: &str) -> Value {
    let mut answer = admin.get(path).await.expect("an answer");
    assert_eq!(answer.status, 200, "{path}");
    answer.json().await.expect("JSON")
}

/// Every budget at rest: nothing is held, and what is spent is what the ledger has.
async fn assert_at_rest(gateway: &TestGateway, context: &str) -> String {
    let admin = gateway.client().with_key(ADMIN);
    let cost = asked(&admin, "/api/admin/stats/total").await["total"]["cost"].clone();
    let budgets = asked(&admin, "/api/admin/budgets").await["budgets"].clone();
    let budgets = budgets.as_array().expect("a list");
    assert_eq!(budgets.len(), 3, "{context}");
    for budget in budgets {
        assert_eq!(budget["reserved"], "0", "{context}: {budget}");
        assert_eq!(budget["spent"], cost, "{context}: {budget}");
    }
    cost.as_str().expect("an amount").to_owned()
}

#[tokio::test]
async fn p04_a_killed_gateway_holds_nothing_and_has_spent_what_its_ledger_says() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let provider = ScriptedProvider::start().await;
    let mut gateway = GatewaySettings::new(env!("CARGO_BIN_EXE_lockgate"))
        .config(config(&provider))
        .start()
        .await
        .expect("a gateway");
    let mut spent = String::new();
    for round in 0..ROUNDS {
        let context = format!("seed {seed}, round {round}");
        let gate = Pace::new();
        let mut calls = JoinSet::new();
        for _ in 0..STREAMS {
            // Some end by themselves, some are cut, some are at it when the gateway dies.
            provider.then(match rng.random_range(0..4) {
                0 => Behaviour::healthy(),
                1 => Behaviour::healthy().ending(Ending::CloseAt(rng.random_range(0..400))),
                _ => Behaviour::healthy().paced_by(&gate),
            });
        }
        for _ in 0..STREAMS {
            let client = gateway.client().with_key(SECRET);
            let stays = rng.random_range(0..5);
            calls.spawn(async move {
                let Ok(mut answer) = client.post("/v1/chat/completions", &ask()).await else { return };
                for _ in 0..stays {
                    if !matches!(answer.chunk().await, Some(Ok(_))) {
                        return;
                    }
                }
            });
        }
        for _ in 0..STREAMS {
            timeout(PATIENCE, provider.next_request()).await.expect("a call in time");
        }
        gate.step(rng.random_range(0..8));
        gateway.kill().await.expect("it dies");
        calls.shutdown().await;
        provider.clear();
        gateway.restart().await.expect("it starts again");
        let now = assert_at_rest(&gateway, &context).await;
        assert_ne!(now, spent, "{context}: calls that were made cost something");
        spent = now;
    }
    let ended = timeout(PATIENCE, gateway.stop()).await.expect("an end in time").expect("an end");
    assert!(ended.success(), "{ended}:\n{}", gateway.output());
}
