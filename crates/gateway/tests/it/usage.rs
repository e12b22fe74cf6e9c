//! What a provider says was used is charged as it says; where its parts do not make up its own whole, that is told.

use std::time::Duration;

use policy::EventKind;
use protocol::{Usage, UsageSource};
use serde_json::{Value, json};
use testkit::{Behaviour, Ending, ScriptedProvider};

use crate::scene::{MODEL, Plan, chat, chat_stream};

const CHAT: &str = "/v1/chat/completions";

fn whole(usage: &Value) -> Behaviour {
    let message = json!({"role": "assistant", "content": "a"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    Behaviour::json(
        200,
        &json!({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}),
    )
}

fn stream(usage: &Value) -> Behaviour {
    let event = |choice: Value, usage: &Value| {
        let chunk =
            json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice], "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let said = event(json!({"index": 0, "delta": {"content": "a"}}), &Value::Null);
    let done = event(json!({"index": 0, "delta": {}, "finish_reason": "stop"}), usage);
    Behaviour::replay([said, done, "data: [DONE]\n\n".to_owned()])
}

/// An answer with these figures, whole and as a stream.
async fn check(usage: Value, charged: Usage, source: UsageSource) {
    for (behaviour, ask) in [(whole(&usage), chat()), (stream(&usage), chat_stream())] {
        let provider = ScriptedProvider::start().await;
        provider.then(behaviour);
        let scene = Plan::before(&[&provider]).start().await;
        let mut answer = scene.client().post(CHAT, &ask).await.expect("an answer");
        assert_eq!(answer.status, 200, "{usage}");
        answer.body().await.expect("a whole answer");
        let detail = scene.only_receipt().await;
        assert_eq!((detail.receipt.usage, detail.receipt.usage_source), (charged, source), "{usage}");
        assert_eq!(detail.attempts[0].usage_source, source, "{usage}");
        let told =
            scene.status().events.into_iter().filter(|event| event.kind == EventKind::UsageContradicted);
        let told: Vec<_> = told.filter_map(|event| event.backend).collect();
        let expected: &[&str] = if source == UsageSource::Contradicted { &["b0"] } else { &[] };
        assert_eq!(told.iter().map(|name| &**name).collect::<Vec<_>>(), expected, "{usage}");
    }
}

#[tokio::test(start_paused = true)]
async fn figures_that_contradict_each_other_are_flagged() {
    check(
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}),
        Usage { input: 10, output: 5, ..Usage::default() },
        UsageSource::Provider,
    )
    .await;
    check(
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 12}),
        Usage { input: 10, output: 5, ..Usage::default() },
        UsageSource::Contradicted,
    )
    .await;
    check(
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "completion_tokens_details": {"reasoning_tokens": 9}}),
        Usage { input: 10, output: 14, reasoning: 9, ..Usage::default() },
        UsageSource::Contradicted,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_attempts_first_event_is_counted_from_its_own_beginning() {
    let (mute, quick) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    mute.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let plan =
        Plan::before(&[&mute, &quick]).backends(|spec| spec.deadlines.first_event = Duration::from_secs(20));
    let scene = plan.start().await;
    let mut answer = scene.client().post(CHAT, &chat()).await.expect("an answer");
    answer.body().await.expect("a whole answer");
    let detail = scene.only_receipt().await;
    let first: Vec<_> = detail.attempts.iter().map(|line| line.first_event_ms).collect();
    assert!(matches!(first[..], [None, Some(0..=1000)]), "{first:?}");
    assert!(detail.receipt.first_event_ms >= Some(20_000), "{:?}", detail.receipt);
}

#[tokio::test(start_paused = true)]
async fn what_no_backend_served_is_summed_under_the_model_that_was_meant() {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(Behaviour::rate_limited(Duration::from_secs(600)));
    let scene = Plan::before(&[&provider]).start().await;
    for _ in 0..2 {
        let answer = scene.client().post(CHAT, &chat()).await.expect("an answer");
        assert_ne!(answer.status, 200);
    }
    let receipts = scene.receipts().await;
    let served: Vec<_> =
        receipts.iter().map(|one| (one.backend.as_deref(), one.model_served.as_deref())).collect();
    assert!(served.contains(&(None, Some(MODEL))), "{served:?}");
    assert!(served.iter().all(|(_, model)| *model == Some(MODEL)), "{served:?}");
}
