//! What a key may do because of its team: both demand, the tighter holds, and both count.

use std::time::Duration;

use policy::{Endpoint, KeyLimits, KeySpec, TeamSpec};
use serde_json::json;
use testkit::{Behaviour, Pace, ScriptedProvider};
use tokio::task::JoinSet;

use crate::scene::{Plan, chat, key};

const CHAT: &str = "/v1/chat/completions";

/// Two keys of a team, and one of none.
fn crew(plan: Plan, team: TeamSpec) -> Plan {
    plan.with(|draft| {
        let member = |name| KeySpec { team: Some("crew".into()), ..key(name) };
        draft.keys = vec![member("lg-1"), member("lg-2"), key("lg-3")];
        draft.teams = vec![TeamSpec { name: "crew".into(), ..team }];
    })
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_team_share_its_limits_and_others_are_not_concerned() {
    let (provider, gate) = (ScriptedProvider::start().await, Pace::new());
    provider.otherwise(Behaviour::healthy().paced_by(&gate));
    let limits = KeyLimits { concurrency: Some(1), rpm: Some(2), ..KeyLimits::default() };
    let mut plan = crew(Plan::before(&[&provider]), TeamSpec { limits, ..TeamSpec::default() });
    plan.draft.settings.queue_timeout = Duration::from_secs(3);
    let scene = plan.start().await;
    let mut calls = JoinSet::new();
    for name in ["lg-1", "lg-3"] {
        let client = scene.client().with_key(name);
        calls.spawn(async move { client.post(CHAT, &chat()).await.expect("an answer") });
        provider.next_request().await;
    }
    let client = scene.client().with_key("lg-2");
    let mut waited = client.post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(waited.status, 429);
    assert_eq!(waited.json().await.expect("JSON")["error"]["code"], "concurrency_limited");
    gate.step(2);
    while let Some(call) = calls.join_next().await {
        let answer = call.expect("no panic");
        assert_eq!(answer.status, 200);
    }
    let mut spent = client.post(CHAT, &chat()).await.expect("an answer");
    assert_eq!(spent.status, 429, "the one that waited had its turn of the team's two");
    assert_eq!(spent.json().await.expect("JSON")["error"]["code"], "rate_limited");
    assert_eq!(spent.header("x-ratelimit-limit-requests"), Some("2"));
    scene.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_held_to_its_endpoints_and_its_teams() {
    let provider = ScriptedProvider::start().await;
    let team = TeamSpec { endpoints: vec![Endpoint::Chat, Endpoint::Embeddings], ..TeamSpec::default() };
    let plan = crew(Plan::before(&[&provider]), team).with(|draft| {
        draft.keys[0].endpoints = vec![Endpoint::Chat, Endpoint::Responses];
    });
    let scene = plan.start().await;
    let embed = json!({"model": crate::scene::MODEL, "input": "one"});
    for (name, path, body, want) in [
        ("lg-1", CHAT, chat(), None),
        ("lg-1", "/v1/embeddings", embed.clone(), Some("embeddings")),
        ("lg-1", "/v1/responses", embed.clone(), Some("responses")),
        ("lg-2", CHAT, chat(), None),
        ("lg-2", "/v1/messages", chat(), Some("messages")),
        ("lg-2", "/v1/audio/speech", embed.clone(), Some("audio")),
    ] {
        let mut answer = scene.client().with_key(name).post(path, &body).await.expect("an answer");
        let Some(named) = want else {
            assert_eq!(answer.status, 200, "{name} {path}");
            continue;
        };
        assert_eq!(answer.status, 403, "{name} {path}");
        let text = answer.json().await.expect("JSON").to_string();
        let is_told = text.contains("may not be used for") && text.contains(named);
        assert!(is_told, "{name} {path}: {text}");
    }
    assert_eq!(scene.client().with_key("lg-1").get("/v1/models").await.expect("an answer").status, 200);
    assert_eq!(provider.count().accepted, 2, "what is refused costs nobody anything");
}

#[tokio::test(start_paused = true)]
async fn metadata_of_key_and_team_is_on_the_receipt_whatever_the_client_says() {
    let provider = ScriptedProvider::start().await;
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let team = TeamSpec { metadata: pairs(&[("site", "hq"), ("desk", "1")]), ..TeamSpec::default() };
    let plan =
        crew(Plan::before(&[&provider]), team).with(|draft| draft.keys[0].metadata = pairs(&[("desk", "2")]));
    let scene = plan.start().await;
    let client = scene.client().with_key("lg-1").with_header("x-lockgate-tags", "site=elsewhere,stage=dev");
    assert_eq!(client.post(CHAT, &chat()).await.expect("an answer").status, 200);
    let receipt = scene.only_receipt().await.receipt;
    let tags: Vec<String> = receipt.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(tags, ["desk=2", "site=hq", "stage=dev"]);
    assert_eq!(receipt.team.as_deref(), Some("crew"));
}
