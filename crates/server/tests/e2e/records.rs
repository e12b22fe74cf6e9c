//! What is kept of requests and of changes, for how long, and how it is given out, by the binary as it is.

mod captures;
mod commands;
mod events;
mod explain;
mod export;
mod retention;

use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{GatewaySettings, ScriptedProvider, TestGateway};

use crate::cli::LOCKGATE;

const ADMIN_TOKEN: &str = "lga-records-0123456789abcdef";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway with one healthy backend for the model `m`.
async fn gateway(provider: &ScriptedProvider, more: &str) -> TestGateway {
    GatewaySettings::new(LOCKGATE).config(config(provider, more)).start().await.expect("a gateway")
}

fn config(provider: &ScriptedProvider, more: &str) -> String {
    format!(
        "admin: {{token: {ADMIN_TOKEN}}}\n{more}\nbackends:\n  - {{name: a, kind: openai_compatible, \
         base_url: \"{}\", limits: {{rpm: 0}}, models: {{m: {{}}}}}}\n",
        provider.base_url()
    )
}

/// Asks for the model `m` so many times, one after the other.
async fn ask(gateway: &TestGateway, times: usize) {
    let ask = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..times {
        let mut answer = gateway.client().post("/v1/chat/completions", &ask).await.expect("an answer");
        assert_eq!(answer.status, 200);
        answer.body().await.expect("a whole answer");
    }
}

/// What the admin API says under this path.
async fn told(gateway: &TestGateway, path: &str) -> Value {
    let admin = gateway.client().with_key(ADMIN_TOKEN);
    let mut answer = admin.get(&format!("/api/admin{path}")).await.expect("the admin API answers");
    answer.json().await.expect("JSON")
}

/// How many single requests are kept, and how many there were.
async fn counted(gateway: &TestGateway) -> (usize, u64) {
    let listed = told(gateway, "/requests?limit=500").await;
    let total = told(gateway, "/stats/total").await;
    let listed = listed["requests"].as_array().map_or(0, Vec::len);
    (listed, total["total"]["requests"].as_u64().unwrap_or_default())
}

/// Asks until it is so.
async fn until<T: PartialEq + std::fmt::Debug, F: Future<Output = T>>(expected: T, look: impl Fn() -> F) {
    let mut last = None;
    let looking = async {
        loop {
            let seen = look().await;
            if seen == expected {
                return;
            }
            last = Some(seen);
        }
    };
    if tokio::time::timeout(PATIENCE, looking).await.is_err() {
        panic!("{expected:?} never came: {last:?}");
    }
}
