//! Drives the gateway with the clients people use, in front of a real model; never talks to a scripted provider.

mod model;
mod programs;

use std::time::Duration;

pub(crate) use model::testenv;
use model::{Limits, LlamaServer};
use programs::Client;
pub(crate) use programs::{Outcome, assert_all_held, node, python, run_cases};
use serde_json::{Value, json};
use testkit::TestGateway;
use tokio::time::timeout;

/// Long enough for a cooldown to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Two servers and a gateway in front of them, with limits that the tests of clients stay under.
async fn two_backends() -> (Vec<LlamaServer>, TestGateway) {
    two_backends_as("openai_compatible").await
}

/// The same, configured as this kind.
async fn two_backends_as(kind: &'static str) -> (Vec<LlamaServer>, TestGateway) {
    let servers = vec![LlamaServer::start("llama-a"), LlamaServer::start("llama-b")];
    let gateway = model::gateway(&servers, Limits { kind, rpm: 300, concurrency: 4 }).await;
    (servers, gateway)
}

/// Runs every case of one client and checks that each held.
async fn check(client: Client, at_least: usize) {
    let (_servers, gateway) = two_backends().await;
    let outcomes = client.run(&gateway, &["all"], |_| {}).await;
    assert_all_held(&gateway, &outcomes, at_least);
}

#[tokio::test]
async fn openai_python() {
    check(Client::OpenAiPython, 16).await;
}

/// A kind that speaks OpenAI's dialects only: what the SDK says is translated, and tokens are counted by the gateway.
#[tokio::test]
async fn anthropic_python_in_another_dialect() {
    check(Client::AnthropicPython, 10).await;
    let (_servers, gateway) = two_backends().await;
    let outcomes = Client::AnthropicPython.run(&gateway, &["counts_here"], |_| {}).await;
    assert_all_held(&gateway, &outcomes, 1);
}

/// llama.cpp serves Messages itself, and counts their tokens.
#[tokio::test]
async fn anthropic_python_in_its_own_dialect() {
    let (_servers, gateway) = two_backends_as("llama_cpp").await;
    for (cases, at_least) in [("all", 10), ("counts_there", 1)] {
        let outcomes = Client::AnthropicPython.run(&gateway, &[cases], |_| {}).await;
        assert_all_held(&gateway, &outcomes, at_least);
    }
}

#[tokio::test]
async fn openai_node() {
    check(Client::OpenAiNode, 11).await;
}

#[tokio::test]
async fn vercel_ai() {
    check(Client::VercelAi, 8).await;
}

#[tokio::test]
async fn curl() {
    check(Client::Curl, 10).await;
}

#[tokio::test]
async fn lockgate_chat() {
    let (_servers, gateway) = two_backends().await;
    let text =
        programs::lockgate(&gateway, &["chat", model::MODEL, "Name three colours of the rainbow."]).await;
    assert!(text.split_whitespace().count() > 3, "{text}");
}

/// What the ledger holds is what the model's servers said: nine answers to the same question.
#[tokio::test]
async fn usage_is_counted_for_every_answer() {
    let (_servers, gateway) = two_backends().await;
    let cases = ["chat", "chat_stream", "leaves"];
    let outcomes = Client::OpenAiPython.run(&gateway, &cases, |_| {}).await;
    assert_all_held(&gateway, &outcomes, cases.len());
    let total = timeout(PATIENCE, settled(&gateway, 9)).await.expect("the ledger catches up");
    let of = |name: &str| total["usage"][name].as_u64().expect("a count");
    assert_eq!(total["requests"], 9, "one chat, one stream, six that were left, and one after them: {total}");
    // The question has 16 tokens for the model; an answer that was left is estimated, so it may differ a little.
    assert!((9 * 8..=9 * 32).contains(&(of("input") + of("cached_input"))), "{total}");
    assert!(of("output") >= 3 * 12 + 6, "three whole answers of 12 tokens, six that were begun: {total}");
}

/// Four requests a minute for each of two backends: eight are answered, and the rest are told when to come back.
#[tokio::test]
async fn small_limits_hold() {
    let servers = [LlamaServer::start("llama-a"), LlamaServer::start("llama-b")];
    let gateway =
        model::gateway(&servers, Limits { kind: "openai_compatible", rpm: 4, concurrency: 4 }).await;
    let outcomes = Client::OpenAiPython.run(&gateway, &["limits"], |_| {}).await;
    assert_all_held(&gateway, &outcomes, 1);
    let counts: Value = serde_json::from_str(&outcomes[0].detail).expect("counts");
    let of = |name: &str| counts[name].as_u64().unwrap_or(0);
    assert!(of("llama-a") >= 4 && of("llama-b") >= 4, "each backend is used to its limit: {counts}");
    // One more may start every fifteen seconds, so a slow machine may see one more on each.
    assert!(of("llama-a") + of("llama-b") <= 10, "no backend is used beyond its limit: {counts}");
}

/// A server is killed in the middle of its answer: that answer is seen to be cut, nobody else notices, and the server
/// is used again when it is back.
async fn check_cut(client: Client, kind: &'static str) {
    let (mut servers, gateway) = two_backends_as(kind).await;
    let mut dead = Vec::new();
    let outcomes = client
        .run(&gateway, &["cut"], |backend| {
            for server in servers.iter_mut().filter(|server| server.name == backend || backend == "any") {
                server.kill();
                dead.push(server.name);
            }
        })
        .await;
    assert!(!dead.is_empty(), "the client named no backend: {outcomes:?}");
    assert_all_held(&gateway, &outcomes, 1);
    if dead.len() < servers.len() {
        for _ in 0..6 {
            let by = served_by(&gateway).await;
            assert!(by.as_deref().is_some_and(|by| !dead.contains(&by)), "{by:?} served; {dead:?} is dead");
        }
    }
    for server in servers.iter_mut().filter(|server| dead.contains(&server.name)) {
        server.revive();
    }
    let back = async { while !served_by(&gateway).await.is_some_and(|by| dead.contains(&by.as_str())) {} };
    assert!(
        timeout(PATIENCE, back).await.is_ok(),
        "{dead:?} is back and was not used again\n{}",
        gateway.output()
    );
}

#[tokio::test]
async fn a_cut_answer_raises_in_openai_python() {
    check_cut(Client::OpenAiPython, "openai_compatible").await;
}

#[tokio::test]
async fn a_cut_answer_raises_in_anthropic_python() {
    check_cut(Client::AnthropicPython, "llama_cpp").await;
}

#[tokio::test]
async fn a_cut_answer_in_another_dialect_raises_in_anthropic_python() {
    check_cut(Client::AnthropicPython, "openai_compatible").await;
}

#[tokio::test]
async fn a_cut_answer_raises_in_openai_node() {
    check_cut(Client::OpenAiNode, "openai_compatible").await;
}

#[tokio::test]
async fn a_cut_answer_is_reported_by_vercel_ai() {
    check_cut(Client::VercelAi, "openai_compatible").await;
}

/// Who answered one small request; nobody, if it was refused.
async fn served_by(gateway: &TestGateway) -> Option<String> {
    let ask =
        json!({"model": model::MODEL, "max_tokens": 2, "messages": [{"role": "user", "content": "Hello"}]});
    let client = gateway.client().with_key(model::KEY);
    let mut answer = client.post("/v1/chat/completions", &ask).await.expect("the gateway answers");
    answer.body().await.expect("a whole answer");
    answer.header("x-lockgate-backend").filter(|_| answer.status == 200).map(str::to_owned)
}

/// The ledger's totals, as soon as it holds this many requests.
async fn settled(gateway: &TestGateway, requests: u64) -> Value {
    loop {
        let mut answer = gateway.admin().get("/api/admin/stats/total").await.expect("the admin API answers");
        let said = answer.json().await.expect("totals");
        let total = &said["total"];
        if total["requests"].as_u64().unwrap_or_else(|| panic!("no totals: {said}")) >= requests {
            return total.clone();
        }
    }
}
