//! Active probes: who is asked when, what is asked, and what follows from the answer; on a clock that a test moves.

use std::time::Duration;

use gateway::{Listed, Lookout};
use http::Method;
use policy::{BackendStatus, Health, ProbeRules, ProbeStatus, Reach};
use testkit::{Behaviour, Ending, Received, ScriptedProvider, StillClock};
use tokio::sync::mpsc;

use crate::scene::{Plan, Scene, chat};

const CHAT: &str = "/v1/chat/completions";
const SECOND: Duration = Duration::from_secs(1);

/// Backends in this order, and a lookout over them that began at 0 s.
struct Watch {
    providers: Vec<ScriptedProvider>,
    scene: Scene,
    lists: mpsc::Receiver<Listed>,
    now: u64,
    _still: StillClock,
}

/// As many providers, in front of which stands what `change` makes of the plan.
async fn watch(count: usize, change: impl FnOnce(Plan) -> Plan) -> Watch {
    let still = StillClock::hold();
    let mut providers = Vec::new();
    for _ in 0..count {
        providers.push(ScriptedProvider::start().await);
    }
    let plan = Plan::before(&providers.iter().collect::<Vec<_>>());
    let scene = change(plan).start().await;
    let (lookout, lists) = Lookout::new(scene.gateway.clone());
    scene.tasks.spawn("lookout", lookout.keep_looking());
    tokio::task::yield_now().await;
    Watch { providers, scene, lists, now: 0, _still: still }
}

impl Watch {
    /// Lets time go on until then, second by second.
    async fn until(&mut self, second: u64) {
        while self.now < second {
            tokio::time::advance(SECOND).await;
            self.now += 1;
            // Whoever this woke has its turn at this very second.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn asked(&self) -> Vec<usize> {
        self.providers.iter().map(|provider| provider.received().len()).collect()
    }

    fn status(&self, backend: usize) -> BackendStatus {
        self.scene.backend(&format!("b{backend}"))
    }

    /// What the latest of so many probes came to.
    async fn noted(&self, backend: usize, probes: usize) -> ProbeStatus {
        let provider = &self.providers[backend];
        self.scene.until("the probe goes out", |_| provider.received().len() == probes).await;
        self.scene.until("its answer", |_| self.latest(backend).is_some_and(|probe| probe.age_ms == 0)).await;
        self.latest(backend).expect("it was probed")
    }

    fn latest(&self, backend: usize) -> Option<ProbeStatus> {
        self.status(backend).probe
    }

    async fn call(&self) {
        let mut answer = self.scene.client().post(CHAT, &chat()).await.expect("an answer");
        answer.body().await.expect("a body");
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_are_asked_once_an_interval_each_in_its_turn() {
    let mut watch = watch(3, |plan| plan).await;
    watch.until(119).await;
    assert_eq!(watch.asked(), [0, 0, 0], "nobody knows yet whether they are idle");
    for (turn, second) in [120, 140, 160, 180, 200, 220].into_iter().enumerate() {
        watch.until(second).await;
        let probes = turn / 3 + 1;
        let probe = watch.noted(turn % 3, probes).await;
        assert_eq!((probe.state, probe.status, probe.latency_ms), (Reach::Healthy, Some(200), 0));
        assert_eq!(watch.asked().iter().sum::<usize>(), turn + 1, "the others wait for their turn");
    }
    for provider in &watch.providers {
        for Received { method, path, body, .. } in provider.received() {
            assert_eq!(
                (method, &*path, body.len()),
                (Method::GET, "/v1/models", 0),
                "nothing to answer costs"
            );
        }
    }
    let status = watch.scene.status();
    assert!(status.backends.iter().all(|backend| backend.requests == 0), "a probe is no request");
    assert_eq!(watch.scene.receipts().await, []);
    assert!(watch.scene.metrics().contains("lockgate_backend_probe{backend=\"b0\""));
}

#[tokio::test(start_paused = true)]
async fn the_busy_are_left_alone_unless_they_are_in_trouble() {
    let mut watch = watch(2, Plan::unforgetting).await;
    for minute in 1..5 {
        watch.until(60 * minute + 31).await;
        watch.call().await;
    }
    assert_eq!(watch.asked(), [4, 3], "b0 answered four calls, b1 three probes");
    // From now on the first fails, and the other serves.
    watch.providers[0].then(Behaviour::error(500, "broken"));
    watch.call().await;
    let before = watch.asked();
    watch.until(300).await;
    let probe = watch.noted(0, before[0] + 1).await;
    assert_eq!(probe.state, Reach::Healthy);
    assert_eq!(watch.asked()[1], before[1], "it is busy now");
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_missed_after_the_timeout_and_delays_nobody() {
    let mut watch = watch(2, |plan| plan).await;
    watch.providers[0].otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    for missed in 1..=5_u64 {
        let began = 60 + 60 * missed;
        watch.until(began).await;
        let call = watch.providers[0].next_request().await;
        watch.until(began + 9).await;
        assert_eq!(u64::from(watch.latest(0).map_or(0, |probe| probe.consecutive_failures)), missed - 1);
        watch.until(began + 10).await;
        watch.scene.until("a miss", |_| watch.latest(0).is_some_and(|probe| probe.age_ms == 0)).await;
        assert!(call.over().await.left_early);
        let probe = watch.latest(0).expect("it was probed");
        let state = if missed < 3 { Reach::Degraded } else { Reach::Down };
        assert_eq!((probe.state, probe.status, probe.latency_ms), (state, None, 10_000), "{missed}");
        assert_eq!(watch.status(0).state, if missed < 5 { Health::Healthy } else { Health::Cooling });
        watch.until(began + 30).await;
        assert_eq!(watch.noted(1, usize::try_from(missed).expect("few")).await.state, Reach::Healthy);
    }
    watch.providers[0].otherwise(Behaviour::healthy());
    watch.until(420).await;
    let probe = watch.noted(0, 6).await;
    assert_eq!(
        (probe.state, probe.consecutive_failures),
        (Reach::Degraded, 0),
        "it is back, and was away lately"
    );
    assert_eq!(watch.status(0).state, Health::Healthy, "the breaker is closed");
}

/// What one answer to a probe says of the backend.
async fn check_meaning(answer: Behaviour, state: Reach, status: Option<u16>) {
    let mut watch = watch(1, |plan| plan).await;
    let what = format!("{answer:?}");
    watch.providers[0].otherwise(answer);
    watch.until(120).await;
    let probe = watch.noted(0, 1).await;
    assert_eq!((probe.state, probe.status), (state, status), "{what}");
    assert_eq!(watch.status(0).state, Health::Healthy, "one answer changes nothing for requests: {what}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_taken_for_what_it_is() {
    check_meaning(Behaviour::healthy(), Reach::Healthy, Some(200)).await;
    for status in [401, 403, 404, 429] {
        check_meaning(Behaviour::error(status, "no"), Reach::Degraded, Some(status)).await;
    }
    for status in [500, 502, 503] {
        check_meaning(Behaviour::error(status, "no"), Reach::Degraded, Some(status)).await;
    }
}

/// A backend asked at `path` gets a question there, and carries its fixed headers.
async fn check_path(path: &str, at: &str) {
    let mut watch = watch(1, |plan| {
        plan.backends(|spec| {
            spec.health_path = Some(path.to_owned());
            spec.credential = Some("sk-1".into());
            spec.headers.set = vec![("x-account".to_owned(), "acme".into())];
        })
    })
    .await;
    watch.until(120).await;
    assert_eq!(watch.noted(0, 1).await.state, Reach::Healthy);
    let received = watch.providers[0].next_request().await;
    assert_eq!(received.path, at);
    assert_eq!(received.header("authorization"), Some("Bearer sk-1"));
    assert_eq!(received.header("x-account"), Some("acme"));
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_where_its_configuration_says() {
    for (path, at) in [
        ("models", "/v1/models"),
        ("key", "/v1/key"),
        ("/health", "/health"),
        ("/ready?deep=0", "/ready?deep=0"),
    ] {
        check_path(path, at).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_serves_its_list_is_asked_for_it_at_once_and_every_interval() {
    for (path, enabled, each) in [
        (None, true, &["/v1/models"][..]),
        (None, false, &["/v1/models"]),
        (Some("/health"), true, &["/health", "/v1/models"]),
    ] {
        let mut watch = watch(1, |plan| {
            plan.backends(|spec| (spec.models, spec.health_path) = (None, path.map(str::to_owned)))
                .with(|draft| draft.settings.probe.enabled = enabled)
        })
        .await;
        let models = ["scripted-model", "scripted-mini"].map(str::to_owned).to_vec();
        let listed = Listed { backend: "b0".into(), models };
        for second in [0, 60, 120] {
            watch.until(second).await;
            assert_eq!(watch.lists.recv().await.as_ref(), Some(&listed), "{path:?} at {second} s");
        }
        let paths: Vec<_> = watch.providers[0].received().into_iter().map(|call| call.path).collect();
        assert_eq!(paths, each.repeat(3));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_switched_off_asks_nobody_and_a_shorter_interval_asks_sooner() {
    let rules = ProbeRules { enabled: false, ..ProbeRules::default() };
    let mut watch = watch(1, |plan| plan.with(|draft| draft.settings.probe = rules)).await;
    watch.until(400).await;
    assert_eq!(watch.asked(), [0]);
    let rules = ProbeRules { enabled: true, interval: 5 * SECOND, timeout: 2 * SECOND };
    let mut watch = self::watch(1, |plan| plan.with(|draft| draft.settings.probe = rules)).await;
    watch.providers[0].then(Behaviour::healthy().ending(Ending::HangFirst));
    watch.until(12).await;
    watch.scene.until("a miss", |_| watch.latest(0).is_some()).await;
    assert_eq!(watch.latest(0).map(|probe| probe.latency_ms), Some(2000));
    watch.until(15).await;
    assert_eq!(watch.noted(0, 2).await.consecutive_failures, 0);
}
