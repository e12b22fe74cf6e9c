//! Why a request went where it went is kept with its receipt, of those that waited, were refused or went on after a failure.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Behaviour, Pace, ScriptedProvider, TestAnswer};
use tokio::task::JoinSet;

use crate::scene::{Plan, Scene, chat};

const CHAT: &str = "/v1/chat/completions";

async fn ask(scene: &Scene) -> TestAnswer {
    scene.client().post(CHAT, &chat()).await.expect("an answer")
}

/// What is kept of an answered request.
async fn reasons(scene: &Scene, mut answer: TestAnswer) -> Option<Value> {
    answer.body().await.expect("a whole answer");
    let id = answer.header("x-request-id").expect("an id").to_owned();
    let kept = scene.receipt(&id).await.reasons?;
    Some(serde_json::from_str(&kept).expect("JSON"))
}

/// A decision in short: the attempt, what was decided, why it was refused, and how each candidate stood.
fn looks(reasons: &Value) -> Vec<String> {
    let short = |look: &Value| {
        let stood = look["candidates"].as_array().into_iter().flatten();
        let stood = stood.map(|one| {
            format!("{} {}", one["backend"].as_str().unwrap_or("?"), one["verdict"].as_str().unwrap_or("?"))
        });
        let stood = stood.collect::<Vec<_>>().join(", ");
        let refusal = look["refusal"].as_str().map(|why| format!(" {why}")).unwrap_or_default();
        format!("{} {}{refusal}: {stood}", look["attempt"], look["decided"].as_str().unwrap_or("?"))
    };
    reasons["looks"].as_array().into_iter().flatten().map(short).collect()
}

fn limited(wait: Duration) -> Behaviour {
    Behaviour::rate_limited(wait).header("x-ratelimit-limit-requests", "40")
}

#[tokio::test(start_paused = true)]
async fn a_request_that_went_on_after_a_failure_keeps_why() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    first.then(limited(Duration::from_secs(20)));
    let scene = Plan::before(&[&first, &second]).start().await;
    let answer = ask(&scene).await;
    assert_eq!(answer.status, 200);
    let kept = reasons(&scene, answer).await.expect("reasons");
    assert_eq!(looks(&kept), ["2 started: b0 cooling, b1 chosen"], "{kept}");
    let cooling = kept["looks"][0]["candidates"][0]["for_ms"].as_u64().expect("a time");
    assert!((19_000..=21_000).contains(&cooling), "{kept}");
    let told = json!([{"unit": "requests", "limit": 40, "remaining": 0, "reset_ms": 20_000}]);
    assert_eq!(
        kept["learned"],
        json!([{"attempt": 1, "backend": "b0", "retry_after_ms": 20_000, "limits": told}])
    );
    // The next one starts at once where it is sent first: there is nothing to tell.
    let plain = ask(&scene).await;
    assert_eq!(reasons(&scene, plain).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_keeps_why() {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    for provider in [&first, &second] {
        provider.otherwise(limited(Duration::from_secs(600)));
    }
    let scene = Plan::before(&[&first, &second]).start().await;
    let refused = ask(&scene).await;
    assert_eq!(refused.status, 503);
    let kept = reasons(&scene, refused).await.expect("reasons");
    assert_eq!(
        looks(&kept),
        ["2 started: b0 cooling, b1 chosen", "3 refused all_pools_exhausted: b0 cooling, b1 cooling"],
        "{kept}"
    );
    assert_eq!(kept["learned"].as_array().map(Vec::len), Some(2), "{kept}");
    // The next one is refused before any attempt.
    let again = ask(&scene).await;
    let kept = reasons(&scene, again).await.expect("reasons");
    assert_eq!(looks(&kept), ["1 refused all_pools_exhausted: b0 cooling, b1 cooling"], "{kept}");
    assert_eq!(kept["learned"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waited_keeps_for_whom() {
    let (provider, gate) = (ScriptedProvider::start().await, Pace::new());
    provider.otherwise(Behaviour::healthy().paced_by(&gate));
    let mut plan = Plan::before(&[&provider]).backends(|spec| spec.limits.concurrency = Some(1));
    plan.draft.settings.queue_timeout = Duration::from_secs(3);
    let scene = plan.start().await;
    let (client, mut calls) = (scene.client(), JoinSet::new());
    calls.spawn(async move { client.post(CHAT, &chat()).await.expect("an answer") });
    provider.next_request().await;
    let waited = ask(&scene).await;
    assert_eq!(waited.status, 429);
    gate.step(1);
    assert_eq!(calls.join_next().await.expect("a call").expect("no panic").status, 200);
    let kept = reasons(&scene, waited).await.expect("reasons");
    assert_eq!(looks(&kept), ["1 waited: b0 full", "1 refused queue_timeout: b0 full"], "{kept}");
    let refused_at = kept["looks"][1]["at_ms"].as_u64().expect("a time");
    assert!((3000..3100).contains(&refused_at), "{kept}");
}
