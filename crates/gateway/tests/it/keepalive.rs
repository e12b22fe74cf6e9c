//! What a client sees of an answer that is long in coming: signs of life, an honest end, and nothing else than without them.

use std::time::Duration;

use policy::{BackendSpec, Receipt, RequestOutcome};
use serde_json::{Value, json};
use testkit::{Behaviour, Ending, Pace, ScriptedProvider, StillClock, TestAnswer, TestClient};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};

use crate::scene::{KEPT_EVERY, MODEL, Plan, Scene, chat, chat_stream};

const CHAT: &str = "/v1/chat/completions";
const COMMENT: &str = ": keepalive\n\n";

/// One request to each endpoint that is kept alive.
fn asks() -> Vec<(&'static str, Value)> {
    let with_stream = |mut ask: Value| {
        ask["stream"] = json!(true);
        ask
    };
    let completion = json!({"model": MODEL, "prompt": "one two three"});
    let response = json!({"model": MODEL, "input": "one two three"});
    vec![
        (CHAT, chat_stream()),
        (CHAT, chat()),
        ("/v1/completions", with_stream(completion.clone())),
        ("/v1/completions", completion),
        ("/v1/responses", with_stream(response.clone())),
        ("/v1/responses", response.clone()),
        ("/v1/responses/compact", response),
        ("/v1/embeddings", json!({"model": MODEL, "input": "one"})),
    ]
}

fn is_stream(ask: &Value) -> bool {
    ask["stream"] == true
}

fn beat(ask: &Value) -> &'static str {
    if is_stream(ask) { COMMENT } else { "\n" }
}

/// A provider that answers when its gate is opened, and a gateway before it.
async fn gated(change: impl FnOnce(Plan) -> Plan) -> (ScriptedProvider, Pace, Scene) {
    let (provider, gate) = (ScriptedProvider::start().await, Pace::new());
    provider.otherwise(Behaviour::healthy().paced_by(&gate));
    let scene = change(Plan::before(&[&provider]).kept()).start().await;
    (provider, gate, scene)
}

fn send(client: TestClient, path: &'static str, ask: &Value) -> JoinSet<TestAnswer> {
    let (mut calls, ask) = (JoinSet::new(), ask.clone());
    calls.spawn(async move { client.post(path, &ask).await.expect("an answer") });
    calls
}

async fn answered(calls: &mut JoinSet<TestAnswer>) -> TestAnswer {
    calls.join_next().await.expect("a call").expect("no panic")
}

async fn text(answer: &mut TestAnswer) -> String {
    String::from_utf8(answer.body().await.expect("a proper end").to_vec()).expect("UTF-8")
}

/// The answer without its signs of life, and how many of them stood before it.
fn unkept<'a>(said: &'a str, ask: &Value) -> (&'a str, usize) {
    let answer = said.trim_start_matches(beat(ask));
    (answer, (said.len() - answer.len()) / beat(ask).len())
}

fn assert_committed_head(answer: &TestAnswer, ask: &Value) {
    assert_eq!(answer.status, 200, "{ask}");
    let kind = if is_stream(ask) { "text/event-stream" } else { "application/json" };
    assert_eq!(answer.header("content-type"), Some(kind), "{ask}");
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-transform"), "{ask}");
    assert_eq!(answer.header("x-accel-buffering"), Some("no"), "{ask}");
    assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req-")), "{ask}");
    // Nobody knows them yet.
    for name in ["x-lockgate-backend", "x-lockgate-attempts", "content-length"] {
        assert_eq!(answer.header(name), None, "{ask}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_answer_gives_a_sign_of_life_each_interval_and_is_the_same_otherwise() {
    let _still = StillClock::hold();
    for (path, ask) in asks() {
        let (provider, gate, scene) = gated(|plan| plan).await;
        gate.step(1000);
        let expected = text(&mut scene.client().post(path, &ask).await.expect("an answer")).await;
        let (provider_2, gate, scene) = gated(|plan| plan).await;
        let mut call = send(scene.client(), path, &ask);
        provider_2.next_request().await;
        let mut said = Vec::new();
        advance(KEPT_EVERY).await;
        let mut answer = answered(&mut call).await;
        assert_committed_head(&answer, &ask);
        for _ in 0..3 {
            said.extend(answer.chunk().await.expect("a sign of life").expect("bytes"));
            advance(KEPT_EVERY).await;
        }
        said.extend(answer.chunk().await.expect("a sign of life").expect("bytes"));
        assert_eq!(String::from_utf8_lossy(&said), beat(&ask).repeat(4), "{path}");
        gate.step(1000);
        let rest = text(&mut answer).await;
        assert_eq!(rest, expected, "{path} {ask}");
        let receipt = scene.only_receipt().await.receipt;
        assert_eq!((receipt.status, receipt.outcome), (200, RequestOutcome::Completed), "{path}");
        assert!(receipt.keepalive_committed, "{path}");
        assert_eq!(receipt.bytes_out, (said.len() + rest.len()) as u64, "{path}");
        assert_eq!(receipt.first_event_ms, Some(60_000), "{path}");
        drop((provider, provider_2));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_in_time_is_as_if_there_were_no_keepalive() {
    let (_provider, gate, scene) = gated(|plan| plan).await;
    gate.step(1000);
    for (path, ask) in asks() {
        let mut answer = scene.client().post(path, &ask).await.expect("an answer");
        assert_eq!(answer.header("x-lockgate-backend"), Some("b0"), "{path}");
        assert!(!text(&mut answer).await.starts_with(['\n', ':']), "{path}");
    }
    assert!(scene.receipts().await.iter().all(|receipt| !receipt.keepalive_committed));
    assert!(!scene.metrics().contains("lockgate_keepalive_committed_total{"), "{}", scene.metrics());
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_answer_has_its_own_switch() {
    let only_compact = |plan: Plan| {
        plan.with(|draft| {
            draft.settings.keepalive.stream = None;
            draft.settings.keepalive.plain = None;
            draft.settings.keepalive.endpoints = vec![("/responses/compact".into(), Some(KEPT_EVERY))];
        })
    };
    let all_but_compact = |plan: Plan| {
        plan.with(|draft| draft.settings.keepalive.endpoints = vec![("/responses/compact".into(), None)])
    };
    let changes: [fn(Plan) -> Plan; 2] = [only_compact, all_but_compact];
    for (change, is_for_compact) in changes.into_iter().zip([true, false]) {
        for (path, ask) in asks() {
            let (provider, _gate, scene) = gated(change).await;
            provider.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
            let answer = scene.client().post(path, &ask).await.expect("an answer");
            let is_kept = (path == "/v1/responses/compact") == is_for_compact;
            let status = if is_kept { 200 } else { 504 };
            assert_eq!(answer.status, status, "{path} {ask}");
        }
    }
}

/// What a client is told at the end of an answer whose head has gone out.
async fn check_told(path: &'static str, ask: &Value, behaviour: Behaviour, code: &str) -> (Value, Receipt) {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(behaviour);
    let scene = Plan::before(&[&provider]).kept().start().await;
    let mut answer = scene.client().post(path, ask).await.expect("an answer");
    assert_committed_head(&answer, ask);
    let said = text(&mut answer).await;
    let (told, beats) = unkept(&said, ask);
    assert!(beats >= 1, "{said}");
    let data = match is_stream(ask) {
        true => {
            assert!(told.ends_with("\n\n") && told.matches("\n\n").count() == 1, "{said}");
            let is_named = told.starts_with("event: error\n");
            assert_eq!(is_named, path == "/v1/responses", "{said}");
            told.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event with data")
        }
        false => told,
    };
    let data: Value = serde_json::from_str(data).expect("JSON");
    assert!(!said.contains("[DONE]"), "{said}");
    let receipt = scene.only_receipt().await.receipt;
    assert_eq!((receipt.status, receipt.outcome), (200, RequestOutcome::Failed), "{path}");
    assert_eq!(receipt.error_code.as_deref(), Some(code), "{path}");
    assert!(receipt.keepalive_committed, "{path}");
    assert_eq!(receipt.bytes_out, (said.len() - told.len()) as u64, "{path}: an error is no answer");
    let labels = format!("{{dialect=\"{}\",outcome=\"failed\"}} 1", receipt.dialect_in);
    let line = format!("lockgate_keepalive_committed_total{labels}");
    assert!(scene.metrics().contains(&line), "{line}: {}", scene.metrics());
    (data, receipt)
}

#[tokio::test(start_paused = true)]
async fn a_final_failure_is_told_in_the_answer_in_the_clients_dialect() {
    for (path, ask) in asks() {
        let silent = Behaviour::healthy().ending(Ending::HangFirst);
        let (data, _) = check_told(path, &ask, silent, "upstream_timeout").await;
        assert_eq!(data["error"]["code"], "upstream_timeout", "{path}: {data}");
        assert!(data["error"]["message"].as_str().is_some_and(|text| text.contains("deadline:")), "{data}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstreams_own_refusal_is_told_in_the_answer() {
    for (path, ask) in asks() {
        let page = Behaviour::html(422).header("retry-after", "9");
        for (refusal, says) in [(Behaviour::error(422, "no such thing"), "no such thing"), (page, "refused")]
        {
            let (provider, clock) = (ScriptedProvider::start().await, StillClock::hold());
            provider.otherwise(refusal.paced());
            let scene = Plan::before(&[&provider]).kept().start().await;
            let mut call = send(scene.client(), path, &ask);
            provider.next_request().await;
            advance(KEPT_EVERY).await;
            let mut answer = answered(&mut call).await;
            assert_committed_head(&answer, &ask);
            provider.step(1);
            let said = text(&mut answer).await;
            let (told, _) = unkept(&said, &ask);
            let told = match is_stream(&ask) {
                true => told.lines().find_map(|line| line.strip_prefix("data: ")).expect("data"),
                false => told,
            };
            let told: Value = serde_json::from_str(told).expect("JSON");
            let message = told["error"]["message"].as_str().expect("a message");
            assert!(message.contains(says), "{path}: {told}");
            let receipt = scene.only_receipt().await.receipt;
            assert_eq!((receipt.status, receipt.attempts), (200, 1), "{path}");
            assert_eq!(receipt.error_code.as_deref(), Some("upstream_rejected"), "{path}");
            drop(clock);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_sign_of_life_has_its_own_status() {
    for (path, ask) in asks() {
        let provider = ScriptedProvider::start().await;
        provider.otherwise(Behaviour::error(503, "busy"));
        let plan = Plan::before(&[&provider]).kept().with(|draft| draft.settings.attempts_max = 1);
        let scene = plan.start().await;
        let answer = scene.client().post(path, &ask).await.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-lockgate-attempts")),
            (502, Some("1")),
            "{path}"
        );
        let receipt = scene.only_receipt().await.receipt;
        assert_eq!((receipt.status, receipt.keepalive_committed), (502, false), "{path}");
    }
}

/// The queue of the door has no ticket yet: what it refuses leaves no receipt, and is told all the same.
#[tokio::test(start_paused = true)]
async fn a_wait_in_the_queue_is_kept_alive_and_its_end_is_told() {
    let (provider, gate, scene) = gated(|plan| plan.with(|draft| draft.settings.max_in_flight = 1)).await;
    let mut first = send(scene.client(), CHAT, &chat_stream());
    provider.next_request().await;
    let began = Instant::now();
    for ask in [chat_stream(), chat()] {
        let mut waiting = scene.client().post(CHAT, &ask).await.expect("an answer");
        assert_committed_head(&waiting, &ask);
        let said = text(&mut waiting).await;
        assert!(said.starts_with(beat(&ask)) && said.contains("\"backpressure\""), "{said}");
    }
    assert!(began.elapsed() >= Duration::from_secs(60), "each has waited 30 s");
    gate.step(1000);
    text(&mut answered(&mut first).await).await;
    let receipt = scene.only_receipt().await.receipt;
    assert!(receipt.keepalive_committed, "the first has waited, too");
    assert_eq!(scene.gateway.waiting(), 0);
}

/// Streams and plain answers alike.
fn begins_within(spec: &mut BackendSpec, time: Duration) {
    (spec.deadlines.first_event, spec.deadlines.answer) = (time, time);
}

#[tokio::test(start_paused = true)]
async fn failover_goes_on_behind_a_committed_head() {
    for (path, ask) in asks() {
        let providers = [ScriptedProvider::start().await, ScriptedProvider::start().await];
        providers[0].otherwise(Behaviour::healthy().ending(Ending::HangFirst));
        let plan = Plan::before(&[&providers[0], &providers[1]]).kept();
        let plan = plan.backends(|spec| begins_within(spec, Duration::from_secs(40)));
        let scene = plan.start().await;
        let mut answer = scene.client().post(path, &ask).await.expect("an answer");
        assert_committed_head(&answer, &ask);
        let said = text(&mut answer).await;
        let (rest, beats) = unkept(&said, &ask);
        assert!(beats >= 1, "{said}");
        let alone = Plan::before(&[&providers[1]]).start().await;
        let expected = text(&mut alone.client().post(path, &ask).await.expect("an answer")).await;
        assert_eq!(rest, expected, "{path} {ask}");
        let detail = scene.only_receipt().await;
        let receipt = &detail.receipt;
        assert_eq!((receipt.status, receipt.attempts, detail.attempts.len()), (200, 2, 2), "{path}");
        assert_eq!(receipt.backend.as_deref(), Some("b1"), "{path}");
        assert!(receipt.keepalive_committed, "{path}");
    }
}

/// What the head could not tell any more is a comment before the first event, where clients read over comments.
#[tokio::test(start_paused = true)]
async fn what_is_lost_is_told_behind_a_committed_head() {
    let _still = StillClock::hold();
    let seeded = |mut ask: Value, stream: bool| {
        ask["seed"] = json!(7);
        ask["stream"] = json!(stream);
        ask
    };
    let contents =
        json!({"contents": [{"role": "user", "parts": [{"text": "one"}]}], "generationConfig": {"seed": 7}});
    let gemini = "/v1beta/models/tiny:streamGenerateContent?alt=sse";
    for (path, ask, told) in [
        (CHAT, seeded(chat(), true), Some(": x-lockgate-dropped: seed\n\n")),
        (CHAT, seeded(chat(), false), None),
        (gemini, contents, None),
    ] {
        let anthropic = |plan: Plan| {
            plan.backends(|spec| spec.dialects = Some(vec![protocol::Dialect::AnthropicMessages]))
        };
        let (provider, gate, scene) = gated(anthropic).await;
        let mut call = send(scene.client(), path, &ask);
        provider.next_request().await;
        advance(KEPT_EVERY).await;
        let mut answer = answered(&mut call).await;
        assert_eq!(answer.header("x-lockgate-dropped"), None, "{path}: the head went out before");
        gate.step(1000);
        let said = text(&mut answer).await;
        let first = said.trim_start_matches([':', ' ', '\n']).trim_start_matches("keepalive").trim_start();
        assert_eq!(first.starts_with(": x-lockgate-dropped"), told.is_some(), "{path}: {said}");
        assert!(told.is_none_or(|told| first.starts_with(told)), "{path}: {said}");
        let receipt = scene.only_receipt().await.receipt;
        assert!(receipt.keepalive_committed, "{path}");
        assert_eq!(receipt.bytes_out, said.len() as u64, "{path}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_is_kept_alive_between_its_events() {
    let _still = StillClock::hold();
    let (provider, gate, scene) = gated(|plan| plan).await;
    let mut call = send(scene.client(), CHAT, &chat_stream());
    provider.next_request().await;
    gate.step(1);
    let mut answer = answered(&mut call).await;
    assert_eq!(answer.header("x-lockgate-backend"), Some("b0"));
    let mut said = answer.event().await.expect("an event").expect("whole").to_vec();
    for _ in 0..10 {
        // Something is said in the middle of the interval: the silence begins anew.
        advance(KEPT_EVERY / 2).await;
        gate.step(1);
        said.extend(answer.event().await.expect("an event").expect("whole"));
        advance(KEPT_EVERY).await;
        assert_eq!(answer.event().await.expect("an event").expect("whole"), COMMENT);
    }
    gate.step(100);
    while let Some(event) = answer.event().await {
        said.extend(event.expect("whole"));
    }
    let said = String::from_utf8(said).expect("UTF-8");
    assert!(!said.contains("keepalive") && said.ends_with("data: [DONE]\n\n"), "{said}");
    let receipt = scene.only_receipt().await.receipt;
    assert!(!receipt.keepalive_committed, "the answer itself told the status");
    assert_eq!(receipt.bytes_out, (said.len() + 10 * COMMENT.len()) as u64);
}

#[tokio::test(start_paused = true)]
async fn no_sign_of_life_stands_inside_an_event() {
    let whole = {
        let (_provider, gate, scene) = gated(|plan| plan).await;
        gate.step(1000);
        text(&mut scene.client().post(CHAT, &chat_stream()).await.expect("an answer")).await
    };
    let first_end = whole.find("\n\n").expect("an event") + 2;
    let second_end = first_end + whole[first_end..].find("\n\n").expect("an event") + 2;
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider]).kept().unforgetting().start().await;
    for at in first_end..=second_end {
        provider.otherwise(Behaviour::healthy().ending(Ending::HangAt(at as u64)));
        let mut answer = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
        let said = text(&mut answer).await;
        let kept = said.matches(COMMENT).count();
        assert!(kept >= 1, "{at}: {said}");
        let unkept = said.replace(COMMENT, "");
        let begun = if at == second_end { second_end } else { first_end };
        assert_eq!(unkept[..begun], whole[..begun], "{at}");
        assert!(unkept[begun..].starts_with("data: {\"error\""), "{at}: {said}");
        assert!(said.split_terminator("\n\n").all(|event| event.starts_with(['d', ':'])), "{at}: {said}");
    }
}

/// Where a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    InTheDoorsQueue,
    InTheBackendsQueue,
    BeforeTheHead,
    AfterTheHead,
    BetweenAttempts,
    InTheAnswer,
}

impl Leaves {
    const ALL: [Self; 6] = [
        Self::InTheDoorsQueue,
        Self::InTheBackendsQueue,
        Self::BeforeTheHead,
        Self::AfterTheHead,
        Self::BetweenAttempts,
        Self::InTheAnswer,
    ];

    fn is_queued(self) -> bool {
        matches!(self, Self::InTheDoorsQueue | Self::InTheBackendsQueue)
    }

    fn plan(self, providers: &[&ScriptedProvider]) -> Plan {
        let plan = Plan::before(providers).kept();
        match self {
            Self::InTheDoorsQueue => plan.with(|draft| draft.settings.max_in_flight = 1),
            Self::InTheBackendsQueue => plan.backends(|spec| spec.limits.concurrency = Some(1)),
            Self::BetweenAttempts => plan.backends(|spec| begins_within(spec, Duration::from_secs(20))),
            Self::BeforeTheHead | Self::AfterTheHead | Self::InTheAnswer => plan,
        }
    }
}

/// The client leaves at one stage: its receipt is the only one, and nothing of it is left.
async fn check_left(leaves: Leaves, ask: &Value) {
    let context = format!("{leaves:?} {ask}");
    let (provider, gate) = (ScriptedProvider::start().await, Pace::new());
    provider.otherwise(Behaviour::healthy().paced_by(&gate));
    let second = ScriptedProvider::start().await;
    second.otherwise(Behaviour::healthy().paced_by(&gate));
    let both = [&provider, &second];
    let scene = leaves.plan(if leaves == Leaves::BetweenAttempts { &both } else { &both[..1] }).start().await;
    let mut first = JoinSet::new();
    if leaves.is_queued() {
        first = send(scene.client(), CHAT, &chat());
        provider.next_request().await;
    }
    let still = StillClock::hold();
    let mut call = send(scene.client(), CHAT, ask);
    match leaves.is_queued() {
        true => scene.until("a place in the queue", |scene| scene.status().queued == 1).await,
        false => drop(provider.next_request().await),
    }
    if leaves == Leaves::BeforeTheHead {
        call.shutdown().await;
    } else {
        advance(KEPT_EVERY).await;
        let mut answer = answered(&mut call).await;
        assert_eq!(answer.chunk().await.expect("a sign of life").expect("bytes"), beat(ask), "{context}");
        if leaves == Leaves::BetweenAttempts {
            advance(Duration::from_secs(5)).await;
            second.next_request().await;
        }
        if leaves == Leaves::InTheAnswer {
            gate.step(2);
            answer.chunk().await.expect("an answer").expect("bytes");
        }
        answer.abort();
    }
    drop(still);
    scene.until("an empty queue", |scene| scene.status().queued == 0 && scene.gateway.waiting() == 0).await;
    scene.until("the others", |scene| scene.status().in_flight as usize == first.len()).await;
    first.shutdown().await;
    let mut receipts = scene.receipts().await;
    let expected = 1 + usize::from(leaves == Leaves::InTheBackendsQueue);
    assert_eq!(receipts.len(), expected, "{context}: {receipts:?}");
    receipts.retain(|receipt| receipt.keepalive_committed == (leaves != Leaves::BeforeTheHead));
    if leaves == Leaves::InTheDoorsQueue {
        return;
    }
    let receipt = receipts.first().unwrap_or_else(|| panic!("{context}: no receipt tells of the keepalive"));
    let is_whole = leaves == Leaves::InTheAnswer && !is_stream(ask);
    let outcome = if is_whole { (200, RequestOutcome::Completed) } else { (499, RequestOutcome::Cancelled) };
    assert_eq!((receipt.status, receipt.outcome), outcome, "{context}");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_leave_at_any_stage() {
    for leaves in Leaves::ALL {
        for ask in [chat_stream(), chat()] {
            check_left(leaves, &ask).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn http_2_is_kept_alive_as_well() {
    for ask in [chat_stream(), chat()] {
        let provider = ScriptedProvider::start().await;
        provider.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
        let scene = Plan::before(&[&provider]).kept().start().await;
        let mut answer = scene.client().with_http2().post(CHAT, &ask).await.expect("an answer");
        assert_committed_head(&answer, &ask);
        let said = text(&mut answer).await;
        assert!(said.starts_with(beat(&ask)) && said.contains("upstream_timeout"), "{said}");
        assert!(scene.only_receipt().await.receipt.keepalive_committed);
    }
}
