//! Lets the programs and SDKs that people use work with tools over several turns, each through its own dialect and
//! through every other; never looks at what is on the wire, which the scripted model judges as its service would.

mod programs;

use programs::Program;
use testkit::{Behaviour, GatewaySettings, ScriptedProvider, TestGateway};

use crate::real_model::{Outcome, assert_all_held, node, python, run_cases};

const KEY: &str = "lk-agents-0123456789abcdef0123456789ab";

/// Each model is served by one backend, which speaks one dialect.
const MODELS: &[(&str, &str)] = &[
    ("agent-chat", "{kind: openai_compatible, dialects: [openai_chat], base_url: 'http://ADDRESS/v1'}"),
    (
        "agent-responses",
        "{kind: openai_compatible, dialects: [openai_responses], base_url: 'http://ADDRESS/v1'}",
    ),
    ("agent-messages", "{kind: anthropic, base_url: 'http://ADDRESS/v1'}"),
    ("agent-gemini", "{kind: gemini, dialects: [gemini], base_url: 'http://ADDRESS/v1beta'}"),
];

/// A model that works with tools, behind a gateway that reaches it in four dialects.
struct Scene {
    gateway: TestGateway,
    provider: ScriptedProvider,
}

async fn scene() -> Scene {
    let provider = ScriptedProvider::start().await;
    provider.otherwise(Behaviour::agent());
    let mut config = format!("keys:\n  - {{name: app, key: {KEY}}}\nbackends:\n");
    for (model, backend) in MODELS {
        // Only the newer models of Google want their calls' signatures back, and this one is as strict.
        let native = if *model == "agent-gemini" { "gemini-3-pro" } else { model };
        let fields = backend.trim_matches(['{', '}']).replace("ADDRESS", &provider.address().to_string());
        config += &format!(
            "  - {{name: {model}, api_key: sk-upstream-0123456789abcdef, limits: {{rpm: 0}}, {fields}, models: {{{model}: {{native: {native}}}}}}}\n"
        );
    }
    let settings = GatewaySettings::new(env!("CARGO_BIN_EXE_lockgate")).config(config);
    Scene { gateway: settings.start().await.expect("the gateway starts"), provider }
}

/// Runs every case of a script with every model, and checks that each held.
async fn check_script(mut command: tokio::process::Command, cases: usize) {
    let scene = scene().await;
    let models: Vec<&str> = MODELS.iter().map(|(model, _)| *model).collect();
    command.arg("all").env("BASE_URL", format!("http://{}", scene.gateway.address()));
    command.env("API_KEY", KEY).env("MODELS", models.join(","));
    let outcomes: Vec<Outcome> = run_cases(command, |_| {}).await;
    assert_all_held(&scene.gateway, &outcomes, cases * MODELS.len());
}

#[tokio::test]
async fn python_sdks() {
    check_script(python("agents.py"), 13).await;
}

#[tokio::test]
async fn node_sdks() {
    check_script(node("agents.mjs"), 15).await;
}

/// Runs a program once for each model: it must have run the three commands that the model asked for, and say so.
async fn check_program(program: Program) {
    let scene = scene().await;
    for (model, _) in MODELS {
        let before = scene.provider.count().accepted;
        let said = program.run(&scene.gateway, KEY, model).await;
        for number in 0..3 {
            let word = format!("lockgate-{number}");
            assert!(
                said.contains(&word),
                "{program:?} {model}: no {word} in {said}\n{}",
                scene.gateway.output()
            );
        }
        let calls = scene.provider.count().accepted - before;
        assert!(calls >= 3, "{program:?} {model}: {calls} calls");
    }
}

#[tokio::test]
async fn claude_code() {
    check_program(Program::ClaudeCode).await;
}

#[tokio::test]
async fn codex() {
    check_program(Program::Codex).await;
}

#[tokio::test]
async fn gemini_cli() {
    check_program(Program::GeminiCli).await;
}
