//! A client that leaves: its call ends upstream at once, its slot is free, and what it used is on its receipt.

use policy::{AttemptOutcome, Receipt, RequestOutcome};
use protocol::UsageSource;
use serde_json::Value;
use testkit::{Behaviour, Ending, ScriptedProvider, TestAnswer, TestClient};
use tokio::task::JoinSet;

use crate::scene::{Plan, Scene, chat, chat_stream};

const CHAT: &str = "/v1/chat/completions";

async fn stage(behaviour: Behaviour) -> (ScriptedProvider, Scene) {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(behaviour);
    let scene = Plan::before(&[&provider]).start().await;
    (provider, scene)
}

/// Sends a request and leaves it to itself, until the set is dropped or shut down.
fn send(client: TestClient, ask: Value) -> JoinSet<TestAnswer> {
    let mut calls = JoinSet::new();
    calls.spawn(async move { client.post(CHAT, &ask).await.expect("an answer") });
    calls
}

fn assert_cancelled(receipt: &Receipt, context: &str) {
    assert_eq!((receipt.outcome, receipt.status), (RequestOutcome::Cancelled, 499), "{context}");
    assert_eq!(receipt.error_code.as_deref(), Some("client_closed"), "{context}");
    assert_eq!(receipt.usage_source, UsageSource::Estimated, "{context}");
    assert!(receipt.usage.input > 0, "{context}: a call that was made is paid for its prompt");
}

/// The backend holds nothing against a client's leaving.
fn assert_unblamed(scene: &Scene) {
    let backend = scene.backend("b0");
    assert_eq!((backend.in_flight, backend.failures, backend.consecutive_failures), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_head_ends_the_call() {
    for (ask, ending) in [
        (chat(), Ending::HangFirst),
        (chat_stream(), Ending::HangFirst),
        (chat(), Ending::HangAt(0)),
        (chat_stream(), Ending::HangAt(0)),
        (chat(), Ending::HangAt(100)),
        (chat_stream(), Ending::HangAt(100)),
    ] {
        let context = format!("{ask} {ending:?}");
        let (provider, scene) = stage(Behaviour::healthy().ending(ending)).await;
        let mut call = send(scene.client(), ask);
        let received = provider.next_request().await;
        call.shutdown().await;
        assert!(received.over().await.left_early, "{context}");
        let detail = scene.only_receipt().await;
        assert_cancelled(&detail.receipt, &context);
        assert_eq!(detail.receipt.attempts, 1, "{context}");
        assert_eq!(detail.attempts[0].outcome, AttemptOutcome::Cancelled, "{context}");
        assert_unblamed(&scene);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_at_any_event_ends_the_call() {
    let mut output = 0;
    for events in 1..=10 {
        let context = format!("after {events} events");
        let (provider, scene) = stage(Behaviour::healthy().paced()).await;
        provider.step(events);
        let mut answer = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
        for _ in 0..events {
            answer.event().await.expect("an event").expect("a whole event");
        }
        answer.abort();
        assert!(provider.next_request().await.over().await.left_early, "{context}");
        let receipt = scene.only_receipt().await.receipt;
        assert_cancelled(&receipt, &context);
        assert!(receipt.usage.output >= output, "{context}: {} after {output}", receipt.usage.output);
        output = receipt.usage.output;
        assert_unblamed(&scene);
    }
    assert!(output > 5, "the last of them has read nine words: {output}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_the_queue_leaves_no_trace() {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let scene = Plan::before(&[&provider]).with(|draft| draft.settings.max_in_flight = 1).start().await;
    let mut first = send(scene.client(), chat());
    let received = provider.next_request().await;
    let mut waiting = send(scene.client(), chat());
    scene.until("a place in the queue", |scene| scene.status().queued == 1).await;
    waiting.shutdown().await;
    scene.until("an empty queue", |scene| scene.status().queued == 0 && scene.gateway.waiting() == 0).await;
    first.shutdown().await;
    assert!(received.over().await.left_early);
    scene.only_receipt().await;
    assert_eq!(provider.count().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_waits_for_a_backend_is_settled() {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let scene = Plan::before(&[&provider]).backends(|spec| spec.limits.concurrency = Some(1)).start().await;
    let mut first = send(scene.client(), chat());
    provider.next_request().await;
    let mut waiting = send(scene.client(), chat());
    scene.until("a place in the queue", |scene| scene.status().queued == 1).await;
    waiting.shutdown().await;
    scene.until("one in flight", |scene| scene.status().in_flight == 1 && scene.gateway.waiting() == 0).await;
    first.shutdown().await;
    let receipts = scene.receipts().await;
    let mut attempts: Vec<_> = receipts.iter().map(|receipt| receipt.attempts).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [0, 1]);
    for receipt in &receipts {
        assert_eq!(receipt.outcome, RequestOutcome::Cancelled);
        assert_eq!(receipt.usage.total() > 0, receipt.attempts == 1);
    }
}

/// A scene whose backend is heard to the end; its client has left after the second event.
async fn left(behaviour: Behaviour) -> (ScriptedProvider, Scene) {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(behaviour.paced());
    let plan = Plan::before(&[&provider]).backends(|spec| spec.drain_on_disconnect = true);
    let scene = plan.with(|draft| draft.settings.max_in_flight = 1).start().await;
    provider.step(2);
    let mut answer = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
    for _ in 0..2 {
        answer.event().await.expect("an event").expect("a whole event");
    }
    answer.abort();
    scene.until("a drain", |scene| scene.status().in_flight == 0).await;
    assert_eq!(scene.tasks.counts().get("drain"), Some(&1));
    assert_eq!(scene.backend("b0").in_flight, 1, "the provider still works");
    (provider, scene)
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_heard_to_the_end_says_itself_what_was_used() {
    let (provider, scene) = left(Behaviour::healthy()).await;
    provider.step(100);
    assert!(!provider.next_request().await.over().await.left_early);
    scene.tasks.drained("drain").await;
    let detail = scene.only_receipt().await;
    let receipt = &detail.receipt;
    assert_eq!((receipt.outcome, receipt.status), (RequestOutcome::Cancelled, 499));
    assert_eq!(receipt.usage_source, UsageSource::Provider);
    assert_eq!(detail.attempts[0].outcome, AttemptOutcome::Succeeded);
    let (_provider, whole) = stage(Behaviour::healthy()).await;
    let mut answer = whole.client().post(CHAT, &chat_stream()).await.expect("an answer");
    answer.body().await.expect("a body");
    assert_eq!(receipt.usage, whole.only_receipt().await.receipt.usage);
    assert_unblamed(&scene);
}

#[tokio::test(start_paused = true)]
async fn hearing_a_backend_to_the_end_has_its_limits() {
    let endless = Behaviour::replay(std::iter::repeat_n("data: {\"choices\":[]}\n\n".repeat(5000), 170));
    for (what, behaviour, steps) in [
        ("cut", Behaviour::healthy().ending(Ending::CloseAt(800)), 100),
        ("silent", Behaviour::healthy(), 0),
        ("endless", endless, 1000),
    ] {
        let (provider, scene) = left(behaviour).await;
        let began = tokio::time::Instant::now();
        provider.step(steps);
        scene.tasks.drained("drain").await;
        assert_eq!(began.elapsed().as_secs() > 0, what == "silent", "{what}");
        assert!(began.elapsed().as_secs() <= 121, "{what}");
        let detail = scene.only_receipt().await;
        assert_cancelled(&detail.receipt, what);
        assert_eq!(detail.attempts[0].outcome, AttemptOutcome::Cancelled, "{what}");
        assert_eq!(scene.backend("b0").in_flight, 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_is_given_up() {
    let words = "word ".repeat(400_000);
    let (provider, scene) = stage(Behaviour::healthy().saying(&words)).await;
    let answer = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
    let received = provider.next_request().await;
    let began = tokio::time::Instant::now();
    assert!(received.over().await.left_early);
    let waited = began.elapsed().as_secs();
    assert!((118..=126).contains(&waited), "given up after {waited} s");
    assert_cancelled(&scene.only_receipt().await.receipt, "unread");
    answer.abort();
}
