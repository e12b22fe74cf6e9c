//! Runs people's coding agents from npm without a terminal, in a home of their own; never judges what they say.

use std::path::Path;
use std::process::Stdio;

use testkit::TestGateway;
use tokio::process::Command;

use crate::real_model::testenv;

/// A coding agent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Program {
    ClaudeCode,
    Codex,
    GeminiCli,
}

const PROMPT: &str = "Use the tool.";

impl Program {
    /// What it says in the end, in the JSON of its own.
    pub(super) async fn run(self, gateway: &TestGateway, key: &str, model: &str) -> String {
        let home = tempfile::tempdir().expect("a home");
        let work = home.path().join("work");
        std::fs::create_dir(&work).expect("a folder to work in");
        let url = format!("http://{}", gateway.address());
        let mut command = match self {
            Self::ClaudeCode => claude_code(&url, key, model),
            Self::Codex => codex(home.path(), &url, key, model),
            Self::GeminiCli => gemini_cli(home.path(), &url, key, model),
        };
        command.env("HOME", home.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(&work).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.expect("the program runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{self:?} {model}: {out}{err}\n{}", gateway.output());
        out.into_owned()
    }
}

fn program(name: &str) -> Command {
    let mut command = Command::new(testenv().join("node/node_modules/.bin").join(name));
    command.env_clear();
    command
}

fn claude_code(url: &str, key: &str, model: &str) -> Command {
    let mut command = program("claude");
    command.args([
        "-p",
        PROMPT,
        "--model",
        model,
        "--output-format",
        "json",
        "--dangerously-skip-permissions",
    ]);
    command.env("ANTHROPIC_BASE_URL", url).env("ANTHROPIC_API_KEY", key);
    // It skips permissions as root only where it is told that nothing can be harmed.
    command.env("IS_SANDBOX", "1").env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
    command.env("DISABLE_AUTOUPDATER", "1").env("DISABLE_TELEMETRY", "1");
    command
}

fn codex(home: &Path, url: &str, key: &str, model: &str) -> Command {
    let settings = format!(
        "model = \"{model}\"\nmodel_provider = \"lockgate\"\n[model_providers.lockgate]\nname = \"Lockgate\"\n\
         base_url = \"{url}/v1\"\nenv_key = \"LOCKGATE_KEY\"\nwire_api = \"responses\"\n"
    );
    std::fs::create_dir(home.join(".codex")).expect("a folder for its settings");
    std::fs::write(home.join(".codex/config.toml"), settings).expect("its settings");
    let mut command = program("codex");
    command.args([
        "exec",
        "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox",
        "--json",
        PROMPT,
    ]);
    command.env("LOCKGATE_KEY", key);
    command
}

fn gemini_cli(home: &Path, url: &str, key: &str, model: &str) -> Command {
    let settings = serde_json::json!({
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": false}, "telemetry": {"enabled": false},
        "general": {"enableAutoUpdate": false},
    });
    std::fs::create_dir(home.join(".gemini")).expect("a folder for its settings");
    std::fs::write(home.join(".gemini/settings.json"), settings.to_string()).expect("its settings");
    let mut command = program("gemini");
    command.args(["-p", PROMPT, "-m", model, "--yolo", "--output-format", "json"]);
    command.env("GEMINI_API_KEY", key).env("GOOGLE_GEMINI_BASE_URL", url);
    command.env("GEMINI_CLI_TRUST_WORKSPACE", "true");
    command
}
