//! A second attempt that races a slow first one: who answers, what it costs, and when there is none.

use std::time::Duration;

use http::StatusCode;
use policy::{AttemptOutcome, HedgeRules, RequestOutcome};
use protocol::UsageSource;
use serde_json::Value;
use store::ledger::ReceiptDetail;
use testkit::{Behaviour, Ending, Pace, ScriptedProvider, StillClock, TestAnswer};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scene::{MODEL, Plan, Scene, chat, chat_stream};

const CHAT: &str = "/v1/chat/completions";
/// Enough to know how soon a stream begins, and for one second attempt at 3 %.
const WARM: usize = 40;

/// Later than any of these streams begins.
const LATE: Duration = Duration::from_secs(1);

/// Another model of both, which none of these tests has warmed up.
const SLUGGISH: &str = "sluggish";

/// Two backends, the first preferred, that have answered [`WARM`] streams at once.
struct Stage {
    first: ScriptedProvider,
    second: ScriptedProvider,
    scene: Scene,
    /// Time moves when a test says so.
    _still: StillClock,
}

async fn stage(rules: HedgeRules) -> Stage {
    let still = StillClock::hold();
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let plan = Plan::before(&[&first, &second]).unforgetting();
    let plan = plan.backends(|spec| {
        spec.models.get_or_insert_default().insert(SLUGGISH.to_owned(), policy::ModelSpec::default());
    });
    let scene = plan.with(|draft| draft.settings.hedging = rules).start().await;
    for _ in 0..WARM {
        let mut answer = scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
        answer.body().await.expect("a body");
        first.next_request().await;
    }
    scene.at_rest().await;
    Stage { first, second, scene, _still: still }
}

async fn hedging() -> Stage {
    stage(HedgeRules { enabled: true, ..HedgeRules::default() }).await
}

impl Stage {
    fn send(&self, ask: Value) -> JoinSet<TestAnswer> {
        let client = self.scene.client();
        let mut calls = JoinSet::new();
        calls.spawn(async move { client.post(CHAT, &ask).await.expect("an answer") });
        calls
    }

    /// Sends one that both backends get, and waits until they have it.
    async fn race(&self) -> JoinSet<TestAnswer> {
        let call = self.send(chat_stream());
        self.first.next_request().await;
        tokio::time::advance(LATE).await;
        self.second.next_request().await;
        call
    }

    fn hedges(&self) -> (u64, u64) {
        let status = self.scene.status();
        let metrics = self.scene.metrics();
        for (name, count) in [("hedges", status.hedge_total), ("hedges_won", status.hedge_won_total)] {
            let line = format!("lockgate_{name}_total {count}\n");
            assert!(metrics.contains(&line), "{line} is not in {metrics}");
        }
        (status.hedge_total, status.hedge_won_total)
    }
}

async fn answered(mut call: JoinSet<TestAnswer>) -> TestAnswer {
    call.join_next().await.expect("a call").expect("no panic")
}

/// The whole answer, and what the ledger has of it.
async fn whole(stage: &Stage, mut answer: TestAnswer) -> (TestAnswer, ReceiptDetail) {
    let body = answer.body().await.expect("a body");
    assert!(body.ends_with(b"[DONE]\n\n"), "{}", String::from_utf8_lossy(&body));
    let detail = stage.scene.receipt(answer.header("x-request-id").expect("an id")).await;
    let costs = detail.attempts.iter().map(|line| line.cost.0).sum::<i128>();
    assert_eq!(detail.receipt.cost.0, costs, "every line is in the receipt");
    for name in ["b0", "b1"] {
        assert_eq!(stage.scene.backend(name).in_flight, 0, "{name}");
    }
    (answer, detail)
}

/// Each line: its backend, how it ended, and with what code.
fn lines(detail: &ReceiptDetail) -> Vec<(&str, AttemptOutcome, Option<&str>)> {
    let lines = detail.attempts.iter();
    lines.map(|line| (&*line.backend, line.outcome, line.error_code.as_deref())).collect()
}

const LOST: Option<&str> = Some("hedge_lost");

#[tokio::test(start_paused = true)]
async fn a_late_first_event_is_raced_and_the_second_backend_answers() {
    let stage = hedging().await;
    stage.first.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let began = Instant::now();
    let call = stage.race().await;
    let (answer, detail) = whole(&stage, answered(call).await).await;
    assert_eq!(began.elapsed(), LATE, "nobody waited for the first");
    assert_eq!(answer.header("x-lockgate-backend"), Some("b1"));
    assert_eq!(answer.header("x-lockgate-attempts"), Some("2"));
    let (cancelled, succeeded) = (AttemptOutcome::Cancelled, AttemptOutcome::Succeeded);
    assert_eq!(lines(&detail), [("b0", cancelled, LOST), ("b1", succeeded, None)]);
    let lost = &detail.attempts[0];
    assert_eq!(lost.usage_source, UsageSource::Estimated);
    assert!(lost.usage.input > 0 && lost.usage.output == 0, "its prompt is paid for: {:?}", lost.usage);
    assert_eq!(
        (detail.receipt.outcome, detail.receipt.backend.as_deref()),
        (RequestOutcome::Completed, Some("b1"))
    );
    assert_eq!(stage.hedges(), (1, 1));
    let slow = stage.scene.backend("b0");
    assert_eq!((slow.failures, slow.consecutive_failures), (0, 0), "late is not broken");
}

/// What is late for one model is not for another, and nothing is while too little was seen.
#[tokio::test(start_paused = true)]
async fn late_is_what_is_late_for_this_model() {
    let stage = hedging().await;
    let mut ask = chat_stream();
    ask["model"] = SLUGGISH.into();
    // Its streams begin after three seconds, the other model's at once.
    let begins = 3 * LATE;
    for _ in 0..WARM {
        let gate = Pace::new();
        stage.first.then(Behaviour::healthy().paced_by(&gate));
        let call = stage.send(ask.clone());
        stage.first.next_request().await;
        tokio::time::advance(begins).await;
        gate.step(1000);
        whole(&stage, answered(call).await).await;
    }
    assert_eq!(stage.hedges(), (0, 0));
    stage.first.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let sluggish = stage.send(ask);
    stage.first.next_request().await;
    let brisk = stage.send(chat_stream());
    stage.first.next_request().await;
    tokio::time::advance(LATE).await;
    assert_eq!(stage.second.next_request().await.json()["model"], MODEL, "this one is late by now");
    answered(brisk).await.body().await.expect("a body");
    assert_eq!(stage.second.received().len(), 1, "the other is not");
    tokio::time::advance(begins).await;
    assert_eq!(stage.second.next_request().await.json()["model"], SLUGGISH);
    whole(&stage, answered(sluggish).await).await;
    assert_eq!(stage.hedges(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_first_may_still_win() {
    let stage = hedging().await;
    let gate = Pace::new();
    stage.first.otherwise(Behaviour::healthy().paced_by(&gate));
    stage.second.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let call = stage.send(chat_stream());
    stage.first.next_request().await;
    tokio::time::advance(LATE).await;
    let rival = stage.second.next_request().await;
    gate.step(1000);
    let (answer, detail) = whole(&stage, answered(call).await).await;
    assert!(rival.over().await.left_early);
    assert_eq!(answer.header("x-lockgate-backend"), Some("b0"));
    let (cancelled, succeeded) = (AttemptOutcome::Cancelled, AttemptOutcome::Succeeded);
    assert_eq!(lines(&detail), [("b0", succeeded, None), ("b1", cancelled, LOST)]);
    assert_eq!(detail.receipt.backend.as_deref(), Some("b0"));
    assert_eq!(stage.hedges(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_leaves_the_answer_to_the_other() {
    for fails_first in [true, false] {
        let stage = hedging().await;
        let (slow, gate) = (Pace::new(), Pace::new());
        let fine = Behaviour::healthy().paced_by(&gate);
        let broken = Behaviour::error(500, "broken").paced_by(&slow);
        let (of_first, of_second) = if fails_first { (broken, fine) } else { (fine, broken) };
        stage.first.otherwise(of_first);
        stage.second.otherwise(of_second);
        let call = stage.race().await;
        slow.step(1000);
        let (failing, winning) = if fails_first { ("b0", "b1") } else { ("b1", "b0") };
        stage.scene.until("the failure", |scene| scene.backend(failing).failures == 1).await;
        gate.step(1000);
        let (answer, detail) = whole(&stage, answered(call).await).await;
        assert_eq!(answer.header("x-lockgate-backend"), Some(winning));
        let of = |name| detail.attempts.iter().find(|line| &*line.backend == name).expect("a line");
        assert_eq!(of(failing).outcome, AttemptOutcome::Failed, "{failing}");
        assert_eq!(of(winning).outcome, AttemptOutcome::Succeeded, "{winning}");
        assert_eq!(detail.attempts.len(), 2);
    }
}

/// P02 holds in a race as well: as long as a backend is left that works, it answers.
#[tokio::test(start_paused = true)]
async fn both_may_fail_and_another_attempt_still_answers() {
    let stage = hedging().await;
    let gate = Pace::new();
    for provider in [&stage.first, &stage.second] {
        provider.then(Behaviour::error(500, "broken").paced_by(&gate));
    }
    let mut call = stage.race().await;
    gate.step(1000);
    // Before a backend is asked again there is a pause.
    let answer = loop {
        tokio::select! {
            answer = call.join_next() => break answer.expect("a call").expect("no panic"),
            () = tokio::task::yield_now() => tokio::time::advance(Duration::from_millis(1)).await,
        }
    };
    let (answer, detail) = whole(&stage, answer).await;
    assert_eq!(answer.status, StatusCode::OK);
    let outcomes: Vec<_> = detail.attempts.iter().map(|line| line.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Failed, AttemptOutcome::Failed, AttemptOutcome::Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_a_race_ends_both() {
    let stage = hedging().await;
    for provider in [&stage.first, &stage.second] {
        provider.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    }
    let mut call = stage.send(chat_stream());
    let one = stage.first.next_request().await;
    tokio::time::advance(LATE).await;
    let other = stage.second.next_request().await;
    call.shutdown().await;
    assert!(one.over().await.left_early && other.over().await.left_early);
    let newest = stage.scene.receipts().await.remove(0);
    assert_eq!((newest.outcome, newest.status), (RequestOutcome::Cancelled, 499));
    let detail = stage.scene.receipt(&newest.request_id).await;
    let left = (AttemptOutcome::Cancelled, Some("client_closed"));
    assert_eq!(lines(&detail), [("b0", left.0, left.1), ("b1", left.0, left.1)]);
    assert!(detail.attempts.iter().all(|line| line.usage.input > 0), "both prompts are paid for");
    assert_eq!(detail.receipt.usage.input, detail.attempts.iter().map(|line| line.usage.input).sum::<u64>());
}

/// A request whose first event never comes, under these circumstances, meets nobody else.
async fn check_alone(rules: HedgeRules, spend: usize, ask: Value, what: &str) {
    let stage = stage(rules).await;
    for _ in 0..spend {
        stage.first.then(Behaviour::healthy().ending(Ending::HangFirst));
        let call = stage.race().await;
        whole(&stage, answered(call).await).await;
    }
    stage.first.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let mut call = stage.send(ask);
    let held = stage.first.next_request().await;
    tokio::time::advance(Duration::from_secs(20)).await;
    call.shutdown().await;
    assert!(held.over().await.left_early, "{what}");
    stage.scene.at_rest().await;
    assert_eq!(stage.hedges().0, spend as u64, "{what}");
    assert_eq!(stage.second.received().len(), spend, "{what}");
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_raced_is_not() {
    let on = HedgeRules { enabled: true, ..HedgeRules::default() };
    check_alone(HedgeRules::default(), 0, chat_stream(), "off is the default").await;
    check_alone(on, 0, chat(), "the first event of a whole answer is its last").await;
    check_alone(HedgeRules { spend_max_percent: 0, ..on }, 0, chat_stream(), "nothing may be spent").await;
    check_alone(on, 1, chat_stream(), "the cap is reached").await;
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_is_never_raced() {
    let stage = hedging().await;
    let gate = Pace::new();
    stage.first.otherwise(Behaviour::healthy().paced_by(&gate));
    gate.step(1);
    let mut answer = stage.scene.client().post(CHAT, &chat_stream()).await.expect("an answer");
    answer.event().await.expect("an event").expect("a whole event");
    tokio::time::advance(Duration::from_secs(20)).await;
    gate.step(1000);
    assert!(answer.body().await.expect("a body").ends_with(b"[DONE]\n\n"));
    assert_eq!(stage.hedges(), (0, 0));
    assert!(stage.second.received().is_empty());
}
