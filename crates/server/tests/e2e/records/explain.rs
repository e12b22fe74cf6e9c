//! `lockgate explain` of a request that came: what was decided then, from the store and from a gateway alike.

use serde_json::json;
use std::time::Duration;
use testkit::{Behaviour, GatewaySettings, ScriptedProvider};

use super::{ADMIN_TOKEN, PATIENCE};
use crate::cli::{LOCKGATE, Shell};

#[tokio::test]
async fn a_request_is_explained_as_it_was_decided_then() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    first.then(Behaviour::rate_limited(Duration::from_secs(300)));
    let mut gateway =
        GatewaySettings::new(LOCKGATE).config(config(&first, &second)).start().await.expect("a gateway");
    let ask = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let mut answer = gateway.client().post("/v1/chat/completions", &ask).await.expect("an answer");
    assert_eq!(answer.status, 200);
    let id = answer.header("x-request-id").expect("an id").to_owned();
    answer.body().await.expect("a whole answer");
    let (file, data) = (gateway.config_path().display().to_string(), gateway.data().display().to_string());
    let here = ["explain", &id, "--config", &file, "--data-dir", &data];
    // The gateway is asked, which also knows how its backends stand now.
    let url = format!("http://{}", gateway.address());
    let asking = Shell::new().with("LOCKGATE_ADMIN_TOKEN", ADMIN_TOKEN).with("LOCKGATE_URL", &url);
    let told = tokio::time::timeout(PATIENCE, async {
        loop {
            let ran = asking.run(&here).await;
            // The ledger may be a moment behind.
            if ran.code == Some(0) {
                return ran.stdout;
            }
            assert!(
                ran.stderr.contains("`lockgate export requests` tells which requests are kept"),
                "{ran:?}"
            );
        }
    });
    let told = told.await.expect("it is told in time");
    for expected in [
        "completed, status 200",
        "first event to the client",
        "failed (rate_limited)",
        "x 0.000002 =",
        "Attempt 2 after",
        "started",
        "cooling for",
        "chosen",
        "come back after 300.0 s",
        "0 requests left",
        "How its candidates stand now",
    ] {
        assert!(told.contains(expected), "{expected} is missing: {told}");
    }
    // Another token opens nothing.
    let wrong = Shell::new().with("LOCKGATE_ADMIN_TOKEN", "lga-other").with("LOCKGATE_URL", &url);
    let refused = wrong.run(&here).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("--token-env"), "{refused:?}");
    // Without one the store is read; so it is when nobody serves any more.
    let alone = Shell::new();
    let served = alone.ok(&here).await;
    gateway.stop().await.expect("it ends");
    let ended = alone.ok(&here).await;
    assert_eq!(served, ended);
    assert!(ended.contains("cooling for") && !ended.contains("stand now"), "{ended}");
    // What it cost is told by the price of then, whatever a call costs now.
    let dearer = config(&first, &second).replace("input: 2", "input: 5");
    std::fs::write(gateway.config_path(), dearer).expect("a dearer configuration");
    assert_eq!(alone.ok(&here).await, ended);
    let json = alone.json(&[&here[..], &["--json"]].concat()).await;
    assert_eq!(json["reasons"]["looks"][0]["decided"], "started", "{json}");
    assert_eq!(json["attempts"][1]["arithmetic"]["agrees"], true, "{json}");
    let unknown = alone.run(&["explain", "req-none", "--config", &file, "--data-dir", &data]).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(
        unknown.stderr.contains("`lockgate export requests` tells which requests are kept"),
        "{unknown:?}"
    );
}

/// A backend for `m` with a limit, and one that helps out.
fn config(first: &ScriptedProvider, second: &ScriptedProvider) -> String {
    let backend = |name: &str, provider: &ScriptedProvider, pool: &str| {
        format!(
            "  - {{name: {name}, kind: openai_compatible, base_url: '{}', pool: {pool}, limits: {{rpm: 0}}, \
             models: {{m: {{price: {{input: 2, output: 3}}}}}}}}\n",
            provider.base_url()
        )
    };
    let backends = backend("limited", first, "primary") + &backend("spare", second, "fallback");
    format!(
        "admin: {{token: {ADMIN_TOKEN}}}\nlog: {{level: error}}\nprobe: {{enabled: false}}\nbackends:\n{backends}"
    )
}
