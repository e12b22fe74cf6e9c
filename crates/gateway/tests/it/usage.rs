//! What a provider says was used is charged as it says; where its parts do not make up its own whole, that is told.

use policy::EventKind;
use protocol::{Usage, UsageSource};
use serde_json::{Value, json};
use testkit::{Behaviour, ScriptedProvider};

use crate::scene::{Plan, chat, chat_stream};

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
