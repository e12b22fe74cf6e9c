//! Races of two attempts, as clients, providers, operators and the ledger see them.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::{
    AttemptLine, Behaviour, Ending, GatewaySettings, LedgerRead, Pace, Received, ScriptedProvider,
    TestAnswer, TestGateway,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli::LOCKGATE;

const CHAT: &str = "/v1/chat/completions";
/// Nothing takes this long; a run that would is told apart from a slow one.
const PATIENCE: Duration = Duration::from_secs(60);
/// Enough to know how soon a stream begins.
const WARM: usize = 40;
/// Any stream may be raced, as often as it likes.
const LAVISH: &str = "hedging: {enabled: true, spend_max_percent: 100}\n";

/// A gateway before two backends, of which the first is preferred, that has seen [`WARM`] streams.
struct Stage {
    first: ScriptedProvider,
    second: ScriptedProvider,
    gateway: TestGateway,
}

fn stream() -> Value {
    json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "one two three"}]})
}

async fn stage(further: &str) -> Stage {
    let (first, second) = (ScriptedProvider::start().await, ScriptedProvider::start().await);
    let backend = |name: &str, provider: &ScriptedProvider, pool: &str| {
        let url = provider.base_url();
        format!(
            "  - {{name: {name}, kind: openai_compatible, base_url: \"{url}\", pool: {pool}, limits: {{rpm: 0}}, \
             models: {{m: {{price: {{input: 2, output: 3}}}}}}}}\n"
        )
    };
    let backends = backend("b0", &first, "primary") + &backend("b1", &second, "fallback");
    // Neither failures nor repeats run out in a race of hundreds; no probe is taken for an attempt.
    let config = format!(
        "admin: {{token: the-admin-token}}\nlog: {{level: error}}\nprobe: {{enabled: false}}\nretry: {{budget_percent: 100}}\n\
         breaker: {{failures: 1000, calls_min: 100000}}\n{further}backends:\n{backends}"
    );
    let gateway = GatewaySettings::new(LOCKGATE).config(&config).start().await.expect("a gateway");
    let stage = Stage { first, second, gateway };
    for _ in 0..WARM {
        whole(stage.gateway.client().post(CHAT, &stream()).await.expect("an answer")).await;
    }
    stage
}

/// The body of an answer that is whole; which backend gave it, and after how many attempts.
async fn whole(mut answer: TestAnswer) -> (String, usize) {
    let status = answer.status;
    let body = timeout(PATIENCE, answer.body()).await.expect("an end in time").expect("a body");
    let text = String::from_utf8_lossy(&body);
    assert!(status == StatusCode::OK && text.ends_with("[DONE]\n\n"), "{status}: {text}");
    let header = |name| answer.header(name).expect("a header of ours").to_owned();
    (header("x-lockgate-backend"), header("x-lockgate-attempts").parse().expect("a number"))
}

impl Stage {
    /// Sends one under this id.
    fn send(&self, id: &str) -> JoinSet<TestAnswer> {
        let client = self.gateway.client().with_header("x-request-id", id);
        let mut call = JoinSet::new();
        call.spawn(async move { client.post(CHAT, &stream()).await.expect("an answer") });
        call
    }

    /// The calls of one request at both backends, once they are there.
    async fn both(&self, id: &str) -> (Received, Received) {
        let at =
            |provider| async move { timeout(PATIENCE, called(provider, id)).await.expect("a call in time") };
        tokio::join!(at(&self.first), at(&self.second))
    }

    async fn status(&self) -> Value {
        let client = self.gateway.client().with_key("the-admin-token");
        client.get("/status").await.expect("an answer").json().await.expect("JSON")
    }

    /// Waits until nothing is in flight, anywhere.
    async fn at_rest(&self) {
        let rest = async {
            loop {
                let status = self.status().await;
                let backends = status["backends"].as_array().expect("backends").iter();
                let running: u64 =
                    backends.map(|backend| backend["in_flight"].as_u64().expect("a count")).sum();
                if status["in_flight"] == 0 && running == 0 {
                    return;
                }
            }
        };
        timeout(PATIENCE, rest).await.expect("rest in time");
    }

    /// What the ledger has of these requests, each of which has exactly one receipt.
    async fn ledger(mut self, ids: &[String]) -> Vec<Vec<AttemptLine>> {
        self.at_rest().await;
        let ended = timeout(PATIENCE, self.gateway.stop()).await.expect("an end in time").expect("an end");
        assert!(ended.success(), "{}", self.gateway.output());
        let ledger = LedgerRead::of(&self.gateway.data()).expect("a ledger");
        assert_eq!(ledger.daily, ledger.sums(), "the roll-ups");
        let of = |id: &String| {
            let receipts: Vec<_> =
                ledger.receipts.iter().filter(|receipt| receipt.request_id == *id).collect();
            let [receipt] = receipts.as_slice() else { panic!("{id}: {receipts:?}") };
            let lines = ledger.attempts.iter().filter(|line| line.request_id.as_ref() == Some(id));
            let lines: Vec<_> = lines.cloned().collect();
            assert_eq!(lines.len(), usize::from(receipt.attempts), "{id}: {lines:?}");
            lines
        };
        ids.iter().map(of).collect()
    }
}

/// The first call for a request at a provider, once it is there.
async fn called(provider: &ScriptedProvider, id: &str) -> Received {
    loop {
        let call = provider.next_request().await;
        if call.header("x-request-id") == Some(id) {
            return call;
        }
    }
}

async fn answered(mut call: JoinSet<TestAnswer>) -> TestAnswer {
    let answer = timeout(PATIENCE, call.join_next()).await.expect("an answer in time");
    answer.expect("a call").expect("no panic")
}

/// Each line: its backend, how it ended, and with what code.
fn told(lines: &[AttemptLine]) -> Vec<(&str, &str, Option<&str>)> {
    lines.iter().map(|line| (&*line.backend, &*line.outcome, line.error_code.as_deref())).collect()
}

#[tokio::test]
async fn nobody_races_unless_asked_to() {
    let stage = stage("").await;
    let gate = Pace::new();
    stage.first.then(Behaviour::healthy().paced_by(&gate));
    let late = stage.send("late");
    timeout(PATIENCE, called(&stage.first, "late")).await.expect("a call in time");
    // It is later than a hundred others that came after it.
    for _ in 0..100 {
        whole(stage.gateway.client().post(CHAT, &stream()).await.expect("an answer")).await;
    }
    gate.step(1000);
    assert_eq!(whole(answered(late).await).await, ("b0".to_owned(), 1));
    assert!(stage.second.received().is_empty());
    assert_eq!(stage.status().await["hedge_total"], 0);
}

#[tokio::test]
async fn the_loser_of_a_race_is_cancelled_and_charged_on_a_line_of_its_own() {
    let stage = stage("hedging: {enabled: true}\n").await;
    stage.first.then(Behaviour::healthy().ending(Ending::HangFirst));
    let call = stage.send("late");
    let (lost, _won) = stage.both("late").await;
    assert_eq!(whole(answered(call).await).await, ("b1".to_owned(), 2));
    assert!(timeout(PATIENCE, lost.over()).await.expect("in time").left_early, "it is not heard to its end");
    let status = stage.status().await;
    assert_eq!((&status["hedge_total"], &status["hedge_won_total"]), (&json!(1), &json!(1)));
    let ledger = stage.ledger(&["late".to_owned()]).await;
    assert_eq!(told(&ledger[0]), [("b0", "cancelled", Some("hedge_lost")), ("b1", "succeeded", None)]);
    let [lost, won] = &ledger[0][..] else { panic!("two lines") };
    assert!(lost.input > 0 && lost.output == 0 && lost.cost > 0, "its prompt is paid for: {lost:?}");
    assert!(won.output > 0 && won.usage_source == "provider", "{won:?}");
}

/// With half of all streams late, the cap is what holds.
#[tokio::test]
async fn second_attempts_stay_within_their_share_under_load() {
    const REQUESTS: usize = 1200;
    let stage = stage("hedging: {enabled: true, quantile: 0.5, spend_max_percent: 3}\n").await;
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let gateway = stage.gateway.client();
        clients.spawn(async move {
            for _ in (client..REQUESTS).step_by(8) {
                whole(gateway.post(CHAT, &stream()).await.expect("an answer")).await;
            }
        });
    }
    clients.join_all().await;
    stage.at_rest().await;
    let hedges = stage.status().await["hedge_total"].as_u64().expect("a count");
    let allowed = (WARM + REQUESTS) as u64 * 3 / 100;
    assert!((1..=allowed).contains(&hedges), "{hedges} of {allowed}");
    let calls = stage.first.received().len() + stage.second.received().len();
    assert!(calls as u64 <= (WARM + REQUESTS) as u64 + hedges, "{calls} calls, {hedges} hedges");
}

#[tokio::test]
async fn clients_that_leave_their_races_leave_nothing_behind() {
    // As many as quiet times save up.
    const RACES: usize = 10;
    let stage = stage(LAVISH).await;
    for provider in [&stage.first, &stage.second] {
        provider.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    }
    let ids: Vec<String> = (0..RACES).map(|number| format!("left-{number}")).collect();
    let mut races: Vec<_> = ids.iter().map(|id| stage.send(id)).collect();
    let all_there = async {
        while [&stage.first, &stage.second]
            .iter()
            .any(|provider| provider.received().iter().filter(|call| named(call, "left-")).count() < RACES)
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_there).await.expect("both attempts of each in time");
    for race in &mut races {
        race.shutdown().await;
    }
    for provider in [&stage.first, &stage.second] {
        for call in provider.received().iter().filter(|call| named(call, "left-")) {
            assert!(timeout(PATIENCE, call.over()).await.expect("an end in time").left_early);
        }
    }
    for lines in stage.ledger(&ids).await {
        let left = Some("client_closed");
        assert_eq!(told(&lines), [("b0", "cancelled", left), ("b1", "cancelled", left)]);
        assert!(lines.iter().all(|line| line.input > 0), "both prompts are paid for: {lines:?}");
    }
}

fn named(call: &Received, prefix: &str) -> bool {
    call.header("x-request-id").is_some_and(|id| id.starts_with(prefix))
}

/// Who dies in a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dies {
    First,
    Second,
    Both,
}

/// What the answer and the lines of a race tell in which somebody died.
async fn check_death(dies: Dies, attempts: usize, outcomes: &[(&str, &str)]) {
    let stage = stage(LAVISH).await;
    let (doom, gate) = (Pace::new(), Pace::new());
    for (provider, survivor) in [(&stage.first, Dies::Second), (&stage.second, Dies::First)] {
        provider.then(if dies == survivor {
            Behaviour::healthy().paced_by(&gate)
        } else {
            // Silent until its doom: the head waits for that as well.
            Behaviour::healthy().ending(Ending::ResetAt(0)).slow_head().paced_by(&doom)
        });
    }
    let call = stage.send("doomed");
    let _calls = stage.both("doomed").await;
    doom.step(10_000);
    let dead = match dies {
        Dies::First => Some(0),
        Dies::Second => Some(1),
        Dies::Both => None,
    };
    if let Some(dead) = dead {
        let noticed = async { while stage.status().await["backends"][dead]["failures"] == 0 {} };
        timeout(PATIENCE, noticed).await.expect("the death is noticed");
    }
    gate.step(1000);
    assert_eq!(whole(answered(call).await).await.1, attempts, "{dies:?}");
    let lines = stage.ledger(&["doomed".to_owned()]).await.remove(0);
    let told: Vec<_> = lines.iter().map(|line| (&*line.backend, &*line.outcome)).collect();
    assert_eq!(told[..outcomes.len()], *outcomes, "{dies:?}");
    assert_eq!(told.iter().filter(|(_, outcome)| *outcome == "succeeded").count(), 1, "{dies:?}: {told:?}");
}

#[tokio::test]
async fn who_dies_in_a_race_leaves_the_answer_to_the_other() {
    check_death(Dies::First, 2, &[("b0", "failed"), ("b1", "succeeded")]).await;
    check_death(Dies::Second, 2, &[("b0", "succeeded"), ("b1", "failed")]).await;
    check_death(Dies::Both, 3, &[("b0", "failed"), ("b1", "failed")]).await;
}

#[tokio::test]
async fn what_has_begun_is_not_raced_however_long_it_pauses() {
    let stage = stage(LAVISH).await;
    let gate = Pace::new();
    stage.first.then(Behaviour::healthy().paced_by(&gate));
    gate.step(1);
    let mut begun = answered(stage.send("begun")).await;
    begun.event().await.expect("an event").expect("a whole event");
    for _ in 0..100 {
        whole(stage.gateway.client().post(CHAT, &stream()).await.expect("an answer")).await;
    }
    gate.step(1000);
    assert_eq!(whole(begun).await, ("b0".to_owned(), 1));
    let calls = stage.second.received();
    assert!(!calls.iter().any(|call| named(call, "begun")), "the one that had begun is at nobody else's");
}
