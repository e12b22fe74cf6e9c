//! What happens at each limit: who waits, in which order, who is refused, with which words and when to come back.

use std::time::Duration;

use policy::{Class, KeySpec, RetryAfter};
use serde_json::{Value, json};
use testkit::{Behaviour, Pace, ScriptedProvider, StillClock, TestAnswer, TestClient};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scene::{MODEL, Plan, Scene, chat, chat_stream, key};

const CHAT: &str = "/v1/chat/completions";

/// A provider whose answers wait at a gate.
async fn gated() -> (ScriptedProvider, Pace) {
    let (provider, gate) = (ScriptedProvider::start().await, Pace::new());
    provider.otherwise(Behaviour::healthy().paced_by(&gate));
    (provider, gate)
}

/// A request that can be told from others by its text.
fn numbered(number: usize) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": format!("number {number}")}]})
}

fn spawn(calls: &mut JoinSet<TestAnswer>, client: TestClient, ask: Value) {
    calls.spawn(async move { client.post(CHAT, &ask).await.expect("an answer") });
}

async fn assert_refused(answer: &mut TestAnswer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{code}");
    let seconds: u64 = answer.header("retry-after").expect("a Retry-After").parse().expect("whole seconds");
    let millis: u64 = answer.header("retry-after-ms").expect("a retry-after-ms").parse().expect("a number");
    assert!(seconds >= 1 && millis <= seconds * 1000, "{code}: {seconds} s, {millis} ms");
    let error = answer.json().await.expect("JSON");
    assert_eq!(error["error"]["code"], code, "{error}");
    let kind = if status == 429 { "rate_limit_error" } else { "server_error" };
    assert_eq!(error["error"]["type"], kind, "{error}");
}

/// With one slot taken, the next request waits for the queue's time and is refused.
async fn check_timeout(mut plan: Plan, client: impl Fn(&Scene) -> TestClient, status: u16, code: &str) {
    let (provider, gate) = gated().await;
    provider.base_url().clone_into(&mut plan.draft.backends[0].base_url);
    plan.draft.settings.queue_timeout = Duration::from_secs(3);
    let scene = plan.start().await;
    let mut calls = JoinSet::new();
    spawn(&mut calls, client(&scene), chat());
    provider.next_request().await;
    let began = Instant::now();
    let mut refused = client(&scene).post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(began.elapsed().as_secs(), 3, "{code}");
    assert_refused(&mut refused, status, code).await;
    gate.step(1);
    let first = calls.join_next().await.expect("a call").expect("no panic");
    assert_eq!(first.status, 200);
    scene.at_rest().await;
    assert_eq!(scene.status().rejected_total, 1);
}

fn nowhere() -> Plan {
    Plan::of(&["http://127.0.0.1:1/v1".to_owned()])
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_ends_in_a_429_that_says_why() {
    let everyone = |scene: &Scene| scene.client();
    let process = nowhere().with(|draft| draft.settings.max_in_flight = 1);
    check_timeout(process, everyone, 429, "backpressure").await;
    let one_at_a_time = KeySpec { limits: one_at_a_time(), ..key("lg-1") };
    let keyed = nowhere().with(|draft| draft.keys.push(one_at_a_time));
    check_timeout(keyed, |scene| scene.client().with_key("lg-1"), 429, "concurrency_limited").await;
    let backend = nowhere().backends(|spec| spec.limits.concurrency = Some(1));
    check_timeout(backend, everyone, 429, "queue_timeout").await;
}

fn one_at_a_time() -> policy::KeyLimits {
    policy::KeyLimits { concurrency: Some(1), ..policy::KeyLimits::default() }
}

#[tokio::test(start_paused = true)]
async fn a_keys_limit_is_its_own() {
    let (provider, gate) = gated().await;
    let scene = Plan::before(&[&provider])
        .with(|draft| draft.keys.extend([KeySpec { limits: one_at_a_time(), ..key("lg-1") }, key("lg-2")]))
        .start()
        .await;
    let mut calls = JoinSet::new();
    spawn(&mut calls, scene.client().with_key("lg-1"), chat());
    provider.next_request().await;
    spawn(&mut calls, scene.client().with_key("lg-1"), chat());
    scene.until("a place in the queue", |scene| scene.status().queued == 1).await;
    spawn(&mut calls, scene.client().with_key("lg-2"), chat());
    provider.next_request().await;
    assert_eq!(scene.status().queued, 1);
    gate.step(3);
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.expect("no panic").status, 200);
    }
}

/// Those who wait are served in the order in which they came.
async fn check_order(plan: impl Fn(&ScriptedProvider) -> Plan) {
    let (provider, gate) = gated().await;
    let scene = plan(&provider).start().await;
    let mut calls = JoinSet::new();
    for number in 0..12 {
        spawn(&mut calls, scene.client(), numbered(number));
        let placed =
            move |scene: &Scene| scene.status().queued == number && scene.gateway.waiting() == number;
        scene.until("a place in the queue", placed).await;
        if number == 0 {
            scene.until("the call", |_| provider.received().len() == 1).await;
        }
    }
    for number in 0..12 {
        let received = provider.next_request().await;
        assert_eq!(received.json(), numbered(number));
        gate.step(1);
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.expect("no panic").status, 200);
    }
    scene.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn both_queues_are_first_in_first_out() {
    check_order(|provider| Plan::before(&[provider]).with(|draft| draft.settings.max_in_flight = 1)).await;
    check_order(|provider| Plan::before(&[provider]).backends(|spec| spec.limits.concurrency = Some(1)))
        .await;
}

#[tokio::test(start_paused = true)]
async fn better_classes_go_first_as_far_as_their_keys_may() {
    let (provider, gate) = gated().await;
    let keys = [("lg-all", Class::Urgent), ("lg-high", Class::High), ("lg-low", Class::Low)];
    let keys = keys.map(|(name, priority_max)| KeySpec { priority_max, ..key(name) });
    let plan = Plan::before(&[&provider]).backends(|spec| spec.limits.concurrency = Some(1));
    let scene = plan.with(|draft| draft.keys.extend(keys)).start().await;
    let still = StillClock::hold();
    let asked = [
        ("lg-all", "urgent"),
        ("lg-low", "urgent"),
        ("lg-all", "low"),
        ("lg-all", "whatever"),
        ("lg-high", "urgent"),
        ("lg-all", "high"),
        ("lg-all", "urgent"),
    ];
    let mut calls = JoinSet::new();
    for (number, (key, class)) in asked.into_iter().enumerate() {
        let client = scene.client().with_key(key).with_header("x-priority", class);
        spawn(&mut calls, client, numbered(number));
        scene.until("a place in the queue", move |scene| scene.status().queued == number).await;
        if number == 0 {
            scene.until("the call", |_| provider.received().len() == 1).await;
        }
    }
    for number in [0, 6, 4, 5, 3, 1, 2] {
        assert_eq!(provider.next_request().await.json(), numbered(number));
        gate.step(1);
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.expect("no panic").status, 200);
    }
    drop(still);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let (provider, gate) = gated().await;
    let plan = Plan::before(&[&provider]).with(|draft| {
        draft.settings.max_in_flight = 1;
        draft.settings.queue_max = 2;
    });
    let scene = plan.start().await;
    let mut calls = JoinSet::new();
    for number in 0..3 {
        spawn(&mut calls, scene.client(), numbered(number));
        scene.until("a place in the queue", |scene| scene.status().queued == number).await;
        scene.until("the call", |_| provider.received().len() == 1).await;
    }
    let began = Instant::now();
    let mut refused = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_refused(&mut refused, 503, "queue_full").await;
    gate.step(3);
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.expect("no panic").status, 200);
    }
    assert!(scene.metrics().contains("lockgate_refused_total{code=\"queue_full\"} 1"), "{}", scene.metrics());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_would_fill_the_queues_memory_is_refused() {
    let (provider, gate) = gated().await;
    let plan = Plan::before(&[&provider]).with(|draft| {
        draft.settings.max_in_flight = 1;
        draft.settings.queue_bytes_max = 500;
    });
    let scene = plan.start().await;
    let mut calls = JoinSet::new();
    spawn(&mut calls, scene.client(), chat());
    provider.next_request().await;
    let long = json!({"model": MODEL, "messages": [{"role": "user", "content": "a".repeat(600)}]});
    let mut refused = scene.client().post(CHAT, &long).await.expect("an answer");
    assert_refused(&mut refused, 503, "queue_full").await;
    gate.step(1);
    assert_eq!(calls.join_next().await.expect("a call").expect("no panic").status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_keys_rate_is_kept() {
    let provider = ScriptedProvider::start().await;
    let limits = policy::KeyLimits { rpm: Some(2), ..policy::KeyLimits::default() };
    let plan = Plan::before(&[&provider]);
    let scene = plan.with(|draft| draft.keys.push(KeySpec { limits, ..key("lg-1") })).start().await;
    let client = scene.client().with_key("lg-1");
    for _ in 0..2 {
        assert_eq!(client.post(CHAT, &chat()).await.expect("an answer").status, 200);
    }
    let mut refused = client.post(CHAT, &chat()).await.expect("an answer");
    let wait: u64 = refused.header("retry-after-ms").expect("a wait").parse().expect("a number");
    assert_refused(&mut refused, 429, "rate_limited").await;
    tokio::time::advance(Duration::from_millis(wait)).await;
    assert_eq!(client.post(CHAT, &chat()).await.expect("an answer").status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_only_backend_at_its_limit_is_a_503_with_an_honest_wait() {
    // The first cooldown is `base`, and with `longest` only longer when the provider asks for more.
    for (asks_for, wait) in [(None, 30), (Some("5"), 30), (Some("45"), 45)] {
        let provider = ScriptedProvider::start().await;
        let plan = Plan::before(&[&provider]).with(|draft| {
            draft.settings.cooldown.base = Duration::from_secs(30);
            draft.settings.cooldown.retry_after = RetryAfter::Longest;
        });
        let scene = plan.start().await;
        let limited = Behaviour::json(429, &json!({}));
        provider.then(match asks_for {
            Some(seconds) => limited.header("retry-after", seconds),
            None => limited,
        });
        let mut refused = scene.client().post(CHAT, &chat()).await.expect("an answer");
        assert_refused(&mut refused, 503, "all_pools_exhausted").await;
        let told = refused.header("retry-after").and_then(|told| told.parse().ok());
        assert_eq!(told, Some(wait), "{asks_for:?}");
        // The first to come back after that wait is served, and at once.
        tokio::time::advance(Duration::from_secs(wait)).await;
        let began = Instant::now();
        assert_eq!(scene.client().post(CHAT, &chat()).await.expect("an answer").status, 200);
        assert_eq!(began.elapsed().as_secs(), 0, "{asks_for:?}");
    }
}

/// A 429 that is not followed by another attempt, for the budget of repeats is spent: the caller hears when one
/// could start, of all backends there are.
#[tokio::test(start_paused = true)]
async fn a_429_that_is_not_repeated_tells_when_to_come_again() {
    // (what the first backend asks for, whether there is another one, what is told)
    for (asks_for, others, wait) in
        [(None, 0, "30"), (Some("7"), 0, "30"), (Some("45"), 0, "45"), (None, 1, "1")]
    {
        let providers = [ScriptedProvider::start().await, ScriptedProvider::start().await];
        let present: Vec<_> = providers.iter().take(1 + others).collect();
        let plan = Plan::before(&present).with(|draft| {
            let settings = &mut draft.settings;
            settings.cooldown.base = Duration::from_secs(30);
            settings.cooldown.retry_after = RetryAfter::Longest;
            (settings.limited_max, settings.retry_floor, settings.retry_share_percent) = (0, 0, 0);
        });
        let scene = plan.start().await;
        let limited = Behaviour::json(429, &json!({}));
        providers[0].then(match asks_for {
            Some(seconds) => limited.header("retry-after", seconds),
            None => limited,
        });
        let mut refused = scene.client().post(CHAT, &chat()).await.expect("an answer");
        assert_eq!(refused.header("retry-after"), Some(wait), "{asks_for:?}, {others} others");
        assert_refused(&mut refused, 429, "rate_limited").await;
    }
}

/// What an answer tells of the key's rate: limit, remaining, reset.
fn told(answer: &TestAnswer) -> [Option<&str>; 3] {
    ["limit", "remaining", "reset"].map(|what| answer.header(&format!("x-ratelimit-{what}-requests")))
}

#[tokio::test(start_paused = true)]
async fn every_answer_tells_a_limited_key_where_it_stands() {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(Behaviour::healthy().header("x-ratelimit-remaining-requests", "7"));
    let mut limited = key("lg-limited");
    limited.limits.rpm = Some(2);
    let plan = Plan::before(&[&provider]).with(|draft| draft.keys.extend([limited, key("lg-free")]));
    let scene = plan.start().await;
    let limited = scene.client().with_key("lg-limited");
    // (what is asked, what it comes to, what is left afterwards)
    for (path, body, status, left) in [
        ("/v1/models", None, 200, ["2", "0s"]),
        (CHAT, Some(chat_stream()), 200, ["1", "30s"]),
        (CHAT, Some(json!({"model": "no", "messages": [{}]})), 404, ["1", "30s"]),
        (CHAT, Some(json!([])), 400, ["1", "30s"]),
        ("/v1/embeddings", Some(json!({"model": MODEL, "input": "a"})), 200, ["0", "1m0s"]),
        (CHAT, Some(chat()), 429, ["0", "1m0s"]),
    ] {
        let answer = match &body {
            None => limited.get(path).await,
            Some(body) => limited.post(path, body).await,
        };
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(told(&answer), [Some("2"), Some(left[0]), Some(left[1])], "{path} {body:?}");
    }
    for client in [scene.client().with_key("lg-free"), scene.client().with_key("lg-wrong")] {
        let answer = client.post(CHAT, &chat()).await.expect("an answer");
        assert_eq!(told(&answer), [None; 3], "{}", answer.status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_limited_in_tokens_is_told_what_is_left_of_them() {
    let provider = ScriptedProvider::start().await;
    let mut limited = key("lg-limited");
    limited.limits.tpm = Some(6_000);
    let plan = Plan::before(&[&provider]).with(|draft| draft.keys.push(limited));
    let scene = plan.start().await;
    let client = scene.client().with_key("lg-limited");
    let told = |answer: &TestAnswer, what: &str| {
        let value = answer.header(&format!("x-ratelimit-{what}-tokens"));
        value.map(str::to_owned).unwrap_or_else(|| panic!("no {what}"))
    };
    let still = StillClock::hold();
    client.post(CHAT, &chat()).await.expect("an answer");
    // A question takes no tokens, so this is what the first one's own figures left.
    let answer = client.get("/v1/models").await.expect("an answer");
    drop(still);
    let used: u64 = scene.receipts().await.iter().map(|receipt| receipt.usage.total()).sum();
    assert!(used > 0, "the provider reports usage");
    assert_eq!(told(&answer, "limit"), "6000");
    assert_eq!(told(&answer, "remaining"), (6_000 - used).to_string());
    assert_eq!(told(&answer, "reset"), format!("{}ms", used * 10), "a hundred a second come back");
    assert_eq!(answer.header("x-ratelimit-limit-requests"), None);
}

#[tokio::test(start_paused = true)]
async fn a_backends_rate_makes_requests_wait() {
    let provider = ScriptedProvider::start().await;
    let plan = Plan::before(&[&provider]).backends(|spec| {
        spec.limits.rpm = 60;
        spec.limits.burst = Some(1);
    });
    let scene = plan.start().await;
    let began = Instant::now();
    for waited in 0..4 {
        let answer = scene.client().post(CHAT, &chat()).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), began.elapsed().as_secs()), (200, waited));
    }
    let queued: u64 = scene.receipts().await.iter().map(|receipt| receipt.queue_ms).sum();
    assert!((2_990..=3_100).contains(&queued), "{queued}");
}

#[tokio::test(start_paused = true)]
async fn a_stopping_gateway_refuses_the_new_and_finishes_the_old() {
    let (provider, gate) = gated().await;
    let scene = Plan::before(&[&provider]).start().await;
    let mut calls = JoinSet::new();
    spawn(&mut calls, scene.client(), chat());
    provider.next_request().await;
    scene.gateway.stop_admitting();
    let mut refused = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert_refused(&mut refused, 503, "shutting_down").await;
    scene.stop();
    scene.tasks.drained("listener").await;
    assert!(scene.client().post(CHAT, &chat()).await.is_err(), "nobody listens any more");
    gate.step(1);
    let mut answer = calls.join_next().await.expect("a call").expect("no panic");
    assert_eq!(answer.json().await.expect("JSON")["choices"][0]["finish_reason"], "stop");
    drop(answer);
    scene.tasks.drained("connection").await;
    scene.only_receipt().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_no_request_in_flight() {
    let (provider, gate) = gated().await;
    let elsewhere = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider]).start().await;
    let mut calls = JoinSet::new();
    spawn(&mut calls, scene.client(), chat());
    provider.next_request().await;
    let next = Plan::before(&[&elsewhere]).draft;
    let snapshot =
        policy::Snapshot::build(next, &scene.live, 2, Instant::now().into_std()).expect("a snapshot");
    scene.gateway.publish(std::sync::Arc::new(snapshot)).expect("usable");
    assert_eq!(scene.client().post(CHAT, &chat()).await.expect("an answer").status, 200);
    assert_eq!((provider.count().accepted, elsewhere.count().accepted), (1, 1));
    gate.step(1);
    assert_eq!(calls.join_next().await.expect("a call").expect("no panic").status, 200);
    scene.at_rest().await;
}
