//! Events as operators are told them, over restarts.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider};

use super::{ADMIN_TOKEN, gateway, told};

/// What each event is known by, the newest first.
fn known(page: &Value) -> Vec<(u64, String, String)> {
    let word = |event: &Value, field: &str| event[field].as_str().expect("a word").to_owned();
    let one = |event: &Value| {
        (event["first"].as_u64().expect("a number"), word(event, "kind"), word(event, "text"))
    };
    page["events"].as_array().expect("a list").iter().map(one).collect()
}

#[tokio::test]
async fn what_happened_is_told_after_a_restart_and_numbers_go_on() {
    let provider = ScriptedProvider::start().await;
    provider.then(Behaviour::rate_limited(Duration::from_secs(300)));
    let mut gateway = gateway(&provider, "probe: {enabled: false}").await;
    let ask = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let refused = gateway.client().post("/v1/chat/completions", &ask).await.expect("an answer");
    assert_ne!(refused.status, 200);
    drop(refused);
    let before = known(&told(&gateway, "/events").await);
    assert!(before.iter().any(|(_, kind, _)| kind == "cooldown_started"), "{before:?}");
    gateway.stop().await.expect("it ends");
    gateway.restart().await.expect("a second start");
    assert_eq!(known(&told(&gateway, "/events").await), before);

    let admin = gateway.client().with_key(ADMIN_TOKEN);
    let reset = admin.send(Method::POST, "/api/admin/backends/a/reset", Bytes::new()).await;
    let reset = reset.expect("an answer");
    assert_eq!(reset.status, 204);
    let after = known(&told(&gateway, "/events").await);
    let (newest, rest) = after.split_first().expect("one more");
    assert_eq!((newest.1.as_str(), rest), ("reset", &before[..]));
    assert!(before.iter().all(|(first, _, _)| *first < newest.0), "{after:?}");
    // One page after the other gives the same.
    let mut paged = Vec::new();
    let mut path = "/events?limit=1".to_owned();
    loop {
        let page = told(&gateway, &path).await;
        paged.extend(known(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/events?limit=1&cursor={next}");
    }
    assert_eq!(paged, after);
}
