//! P11: affinity never delays or fails a request that another backend could serve sooner.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Behaviour, Ending, ScriptedProvider};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scene::{MODEL, Plan, Scene, chat};

const CHAT: &str = "/v1/chat/completions";

/// One of a conversation whose client names it.
fn ask() -> Value {
    let mut ask = chat();
    ask["user"] = json!("someone");
    ask["model"] = json!(MODEL);
    ask
}

/// Three backends of one pool, two calls at once each.
async fn three() -> (Vec<ScriptedProvider>, Scene) {
    let mut providers = Vec::new();
    for _ in 0..3 {
        providers.push(ScriptedProvider::start().await);
    }
    let plan = Plan::before(&providers.iter().collect::<Vec<_>>()).backends(|backend| {
        "primary".clone_into(&mut backend.pool);
        backend.limits.concurrency = Some(2);
    });
    (providers, plan.start().await)
}

async fn served_by(scene: &Scene) -> String {
    let answer = scene.client().post(CHAT, &ask()).await.expect("an answer");
    assert_eq!(answer.status, 200);
    answer.header("x-lockgate-backend").expect("a backend").to_owned()
}

fn number(home: &str) -> usize {
    home.trim_start_matches('b').parse().expect("as in b0")
}

#[tokio::test(start_paused = true)]
async fn p11_a_conversation_stays_while_its_home_is_well() {
    let (_providers, scene) = three().await;
    let home = served_by(&scene).await;
    for _ in 0..20 {
        assert_eq!(served_by(&scene).await, home);
    }
}

#[tokio::test(start_paused = true)]
async fn p11_a_full_home_delays_nobody() {
    let (providers, scene) = three().await;
    let home = served_by(&scene).await;
    let provider = &providers[number(&home)];
    provider.otherwise(Behaviour::healthy().ending(Ending::HangFirst));
    let mut held = JoinSet::new();
    for _ in 0..2 {
        let client = scene.client();
        held.spawn(async move { client.post(CHAT, &ask()).await });
        provider.next_request().await;
    }
    for _ in 0..4 {
        let started = Instant::now();
        assert_ne!(served_by(&scene).await, home);
        assert_eq!(started.elapsed(), Duration::ZERO, "nobody waits for a home that is full");
    }
}

#[tokio::test(start_paused = true)]
async fn p11_a_slow_home_delays_nobody() {
    let (_providers, scene) = three().await;
    let home = served_by(&scene).await;
    let view = scene.gateway.view();
    let anyone = view.snapshot.identity.anonymous();
    let route = view.snapshot.catalog.resolve(MODEL, anyone).expect("the model of this scene");
    let slow = scene.backend(&home).id;
    let took = Duration::from_secs(20);
    scene.live.note_first_event(slow, &route.tiers[0], took, Instant::now().into_std());
    for _ in 0..20 {
        assert_ne!(served_by(&scene).await, home);
    }
    tokio::time::advance(Duration::from_secs(120)).await;
    assert_eq!(served_by(&scene).await, home, "what was slow long ago may be tried again");
}

#[tokio::test(start_paused = true)]
async fn p11_a_dead_home_fails_nobody() {
    let (providers, scene) = three().await;
    let home = served_by(&scene).await;
    providers[number(&home)].otherwise(Behaviour::error(500, "broken"));
    for _ in 0..20 {
        assert_ne!(served_by(&scene).await, home);
    }
    assert_eq!(providers[number(&home)].received().len(), 1 + 5, "its breaker opens as everyone's does");
}
