//! The official SDKs behind a proxy that cuts what is silent: they read kept answers as if nothing had been added, and raise
//! at a failure that is told in one.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use testkit::Behaviour;
use tokio::process::Command;

use super::{CHAT, Scene};

/// What the provider says.
const TEXT: &str = "Bytes flow.";

/// Runs all cases of one client at once, and lets the provider speak when the proxy has cut a plain answer that was as
/// silent as theirs.
async fn check(mut client: Command, cases: usize, behaviour: fn(Behaviour) -> Behaviour) {
    let scene = Scene::start(behaviour).await;
    let url = |is_stream| format!("http://{}/v1", scene.nginx.address(is_stream));
    client.env("BASE_URL", url(true)).env("PLAIN_URL", url(false)).env("TEXT", TEXT).env("API_KEY", "none");
    client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let child = client.spawn().expect("the SDKs are missing: run `cargo xtask testenv`");
    for _ in 0..cases {
        scene.provider.next_request().await;
    }
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    scene.timeouts(CHAT, &plain, 1).await;
    scene.gate.step(1000);
    let output = child.wait_with_output().await.expect("the client ends");
    let said = String::from_utf8(output.stdout).expect("text");
    let outcomes: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(outcomes.len(), cases, "{said}\n{}", scene.explain());
    assert!(
        output.status.success() && outcomes.iter().all(|case| case["ok"] == true),
        "{said}\n{}",
        scene.explain()
    );
    let kept = scene.kept.client().get("/metrics").await.expect("metrics").body().await.expect("text");
    let kept = String::from_utf8(kept.to_vec()).expect("UTF-8");
    let committed: u64 = kept
        .lines()
        .filter(|line| line.starts_with("lockgate_keepalive_committed_total{"))
        .map(|line| line.rsplit(' ').next().expect("a figure").parse::<u64>().expect("a count"))
        .sum();
    assert_eq!(committed, cases as u64, "each answer was kept alive: {kept}");
}

fn python(cases: &[&str]) -> Command {
    let mut command = Command::new(testenv().join("py/bin/python"));
    command.arg(clients().join("kept.py")).args(cases);
    command
}

fn node(cases: &[&str]) -> Command {
    let mut command = Command::new("node");
    // Node looks for packages beside the script, so the script is run from where they are.
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]);
    command.arg(testenv().join("node/clients/kept.mjs")).args(cases);
    command
}

fn clients() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients")
}

fn testenv() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testenv")
}

const READ: [&str; 4] = ["chat_stream", "responses_stream", "chat", "compact"];
const FAIL: [&str; 3] = ["chat_stream_fails", "responses_stream_fails", "chat_fails"];
/// With Anthropic's SDK, of a model of its own dialect and of one that is reached in another.
const READ_MESSAGES: [&str; 4] =
    ["messages_stream", "messages", "messages_stream_crossed", "messages_crossed"];
const FAIL_MESSAGES: [&str; 4] =
    ["messages_stream_fails", "messages_fails", "messages_stream_crossed_fails", "messages_crossed_fails"];
/// With OpenAI's, of a model that is reached in Anthropic's dialect.
const READ_CROSSED: [&str; 3] = ["chat_stream_crossed", "responses_stream_crossed", "chat_crossed"];

fn healthy(behaviour: Behaviour) -> Behaviour {
    behaviour.saying(TEXT)
}

fn failing(behaviour: Behaviour) -> Behaviour {
    let Behaviour { paced, gate, .. } = behaviour;
    Behaviour { paced, gate, ..Behaviour::error(500, "it broke") }
}

#[tokio::test]
async fn p12_openai_python_reads_kept_answers() {
    check(python(&READ), READ.len(), healthy).await;
}

#[tokio::test]
async fn p12_openai_python_is_told_of_failures() {
    check(python(&FAIL), FAIL.len(), failing).await;
}

#[tokio::test]
async fn p12_anthropic_python_reads_kept_answers() {
    check(python(&READ_MESSAGES), READ_MESSAGES.len(), healthy).await;
}

#[tokio::test]
async fn p12_anthropic_python_is_told_of_failures() {
    check(python(&FAIL_MESSAGES), FAIL_MESSAGES.len(), failing).await;
}

#[tokio::test]
async fn p12_openai_python_reads_kept_answers_of_another_dialect() {
    check(python(&READ_CROSSED), READ_CROSSED.len(), healthy).await;
}

#[tokio::test]
async fn p12_openai_node_reads_kept_answers() {
    check(node(&READ), READ.len(), healthy).await;
}

#[tokio::test]
async fn p12_openai_node_is_told_of_failures() {
    check(node(&FAIL), FAIL.len(), failing).await;
}
