//! P10: no request goes to a backend inside its cooldown, and a caller is refused only when nothing could serve in time.

use std::time::Duration;

use policy::{Adaptive, RateWindow, RetryAfter};
use testkit::{Rate, ScriptedProvider, StillClock};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scene::{Plan, Scene, chat};

const CHAT: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(10);
const COOLDOWN_MIN: Duration = Duration::from_secs(30);

async fn limited(rates: &[Rate]) -> (Vec<ScriptedProvider>, Scene) {
    let mut providers = Vec::new();
    for rate in rates {
        let provider = ScriptedProvider::start().await;
        provider.limit(Some(*rate));
        providers.push(provider);
    }
    let plan = Plan::before(&providers.iter().collect::<Vec<_>>()).with(|draft| {
        draft.settings.queue_timeout = PATIENCE;
        // What is counted here is who could be asked as far as cooldowns go, whatever else holds them back.
        draft.settings.adaptive.mode = Adaptive::Off;
        draft.settings.rate_window = RateWindow::Bucket;
        // Longer than any wait here, so that no request meets a backend twice.
        draft.settings.cooldown.base = COOLDOWN_MIN;
        draft.settings.cooldown.retry_after = RetryAfter::Longest;
        for backend in &mut draft.backends {
            "primary".clone_into(&mut backend.pool);
        }
    });
    (providers, plan.start().await)
}

fn rate(per_minute: u32, burst: u32) -> Rate {
    Rate { per_minute, burst }
}

/// When a provider's latest call came, and what its books say.
fn latest(provider: &ScriptedProvider) -> (u64, u64, Option<Instant>) {
    let count = provider.count();
    let came = provider.received().last().and_then(|received| Some(received.fate()?.at));
    (count.accepted, count.refused, came)
}

/// One request after another, with the providers' own books read after each.
#[tokio::test(start_paused = true)]
async fn p10_no_call_reaches_a_backend_inside_its_cooldown() {
    let (providers, scene) = limited(&[rate(20, 3), rate(40, 5), rate(6, 1)]).await;
    let mut before: Vec<_> = providers.iter().map(latest).collect();
    let mut closed_until = vec![Instant::now(); providers.len()];
    let (mut served, mut refused) = (0, 0);
    for _ in 0..600 {
        let asked_at = Instant::now();
        let answer = scene.client().post(CHAT, &chat()).await.expect("an answer");
        for (index, provider) in providers.iter().enumerate() {
            let ((accepted, limited, came), old) = (latest(provider), before[index]);
            before[index] = (accepted, limited, came);
            let Some(came) = came.filter(|_| accepted + limited > old.0 + old.1) else { continue };
            assert_eq!(
                accepted + limited - old.0 - old.1,
                1,
                "b{index}: its cooldown is longer than any wait"
            );
            assert!(came >= closed_until[index], "b{index} was called while it cooled down");
            if limited > old.1 {
                closed_until[index] = came + COOLDOWN_MIN;
            }
        }
        if answer.status == 200 {
            served += 1;
        } else {
            refused += 1;
            assert!(matches!(answer.status.as_u16(), 429 | 503), "{}", answer.status);
            let soonest = closed_until.iter().min().expect("three backends");
            assert!(*soonest >= asked_at + PATIENCE, "refused although a backend could serve in time");
            let wait: u64 = answer.header("retry-after").expect("a wait").parse().expect("seconds");
            assert!((1..=600).contains(&wait), "{wait}");
        }
        tokio::time::advance(Duration::from_millis(700)).await;
    }
    assert!(served > 200 && refused > 0, "both must have happened: {served} served, {refused} refused");
    scene.at_rest().await;
}

/// Many at once: what was under way when the first refusal came may be refused, too; nothing after it is.
#[tokio::test(start_paused = true)]
async fn p10_a_burst_meets_a_limit_once() {
    let (providers, scene) = limited(&[rate(60, 10), rate(6_000, 1_000)]).await;
    let _still = StillClock::hold();
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let client = scene.client();
        calls.spawn(async move { client.post(CHAT, &chat()).await.expect("an answer").status });
    }
    for status in calls.join_all().await {
        assert_eq!(status, 200, "the other backend could serve all of them");
    }
    let refused = providers[0].count().refused;
    let backend = scene.backend("b0");
    assert!(refused > 0 && backend.consecutive_rate_limited == 1, "{refused} refused: {backend:?}");
    for _ in 0..50 {
        assert_eq!(scene.client().post(CHAT, &chat()).await.expect("an answer").status, 200);
    }
    assert_eq!(providers[0].count().refused, refused, "nothing may reach it now");
    tokio::time::advance(COOLDOWN_MIN).await;
    for _ in 0..20 {
        assert_eq!(scene.client().post(CHAT, &chat()).await.expect("an answer").status, 200);
    }
    assert!(providers[0].count().accepted > 10, "it is asked again after its cooldown");
    scene.at_rest().await;
}

/// With nothing configured: a shorter wait that the provider names is kept to, and not a moment longer.
#[tokio::test(start_paused = true)]
async fn p10_a_short_wait_is_kept_and_the_request_is_served_after_it() {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider]).start().await;
    for _ in 0..7 {
        provider.then(testkit::Behaviour::rate_limited(Duration::from_secs(2)));
    }
    let asked_at = Instant::now();
    let answer = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(answer.status, 200, "no number of 429s uses up its attempts");
    let came: Vec<Instant> =
        provider.received().iter().filter_map(|received| Some(received.fate()?.at)).collect();
    assert_eq!(came.len(), 8);
    // What it names is believed less the more often it refused again after that, from the fourth time on: 1, 2, 4 and 8 s
    // are ours.
    for (index, pair) in came.windows(2).enumerate() {
        let least = [2, 2, 2, 2, 2, 4, 8][index];
        assert!(pair[1] - pair[0] >= Duration::from_secs(least), "{index}: {:?}", pair[1] - pair[0]);
    }
    assert!(asked_at.elapsed() < Duration::from_secs(26), "{:?}", asked_at.elapsed());
    scene.at_rest().await;
}

/// The provider's own wait is honoured when it is longer than ours.
#[tokio::test(start_paused = true)]
async fn p10_a_providers_own_wait_is_honoured() {
    let provider = ScriptedProvider::start().await;
    let scene = Plan::before(&[&provider]).start().await;
    provider.then(testkit::Behaviour::rate_limited(Duration::from_secs(90)));
    let refused = scene.client().post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("90"));
    tokio::time::advance(Duration::from_secs(59)).await;
    // It could not be served within the queue's 30 s.
    assert_eq!(scene.client().post(CHAT, &chat()).await.expect("an answer").status, 503);
    assert_eq!(provider.count().accepted, 1);
    tokio::time::advance(Duration::from_secs(3)).await;
    let asked_at = Instant::now();
    assert_eq!(scene.client().post(CHAT, &chat()).await.expect("an answer").status, 200);
    assert_eq!(asked_at.elapsed().as_secs(), 28, "it waits for the end of the cooldown");
}
