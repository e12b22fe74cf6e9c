//! Runs the client programs and reads what they say of each case; never judges for them.

use std::process::Stdio;

use serde_json::Value;
use testkit::TestGateway;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::model::{KEY, MODEL, script, testenv};

/// A client that people use.
#[derive(Debug, Clone, Copy)]
pub(super) enum Client {
    OpenAiPython,
    AnthropicPython,
    OpenAiNode,
    VercelAi,
    Curl,
}

/// What a client said of one case.
#[derive(Debug)]
pub(crate) struct Outcome {
    #[expect(dead_code, reason = "shown when a case fails")]
    case: String,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

impl Client {
    /// Runs cases to their end; `streaming` hears the name of the backend that a stream comes from, in its midst.
    pub(super) async fn run(
        self,
        gateway: &TestGateway,
        cases: &[&str],
        streaming: impl FnMut(&str),
    ) -> Vec<Outcome> {
        let mut command = self.program();
        command.args(cases).env("BASE_URL", gateway.base_url()).env("API_KEY", KEY).env("MODEL", MODEL);
        run_cases(command, streaming).await
    }

    fn program(self) -> Command {
        match self {
            Self::OpenAiPython => python("openai_python.py"),
            Self::AnthropicPython => python("anthropic_python.py"),
            Self::OpenAiNode => node("openai_node.mjs"),
            Self::VercelAi => node("vercel_ai.mjs"),
            Self::Curl => Command::new(script("curl.sh")),
        }
    }
}

/// A script of the clients' folder, for Python.
pub(crate) fn python(name: &str) -> Command {
    let mut command = Command::new(testenv().join("py/bin/python"));
    command.arg(script(name));
    command
}

/// A script of the clients' folder, for Node.
pub(crate) fn node(name: &str) -> Command {
    let mut command = Command::new("node");
    let place = testenv().join("node/clients").join(name);
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]).arg(place);
    command
}

/// Runs a script's cases to their end; `streaming` hears the name of the backend that a stream comes from, in its midst.
pub(crate) async fn run_cases(mut command: Command, mut streaming: impl FnMut(&str)) -> Vec<Outcome> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the client starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut outcomes = Vec::new();
    while let Some(line) = lines.next_line().await.expect("the client prints text") {
        let said: Value =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{command:?} said {line}: {e}"));
        match said["streaming_from"].as_str() {
            Some(backend) => streaming(backend),
            None => outcomes.push(Outcome {
                case: said["case"].as_str().unwrap_or_default().to_owned(),
                ok: said["ok"] == true,
                detail: said["detail"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }
    let status = child.wait().await.expect("the client ends");
    let all_held = outcomes.iter().all(|outcome| outcome.ok);
    assert_eq!(status.success(), all_held, "{command:?}: {status} {outcomes:#?}");
    outcomes
}

/// Another command of the binary, against a running gateway: what it printed.
pub(super) async fn lockgate(gateway: &TestGateway, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command.args(args).env("LOCKGATE_URL", format!("http://{}", gateway.address())).env("LOCKGATE_KEY", KEY);
    let output = command.stdin(Stdio::null()).output().await.expect("lockgate runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "lockgate {args:?}: {out}{err}\n{}", gateway.output());
    out.into_owned()
}

/// Every case held, and there were as many as there should be.
pub(crate) fn assert_all_held(gateway: &TestGateway, outcomes: &[Outcome], at_least: usize) {
    let broken: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.ok).collect();
    assert!(broken.is_empty(), "{broken:#?}\n{}", gateway.output());
    assert!(outcomes.len() >= at_least, "only {} cases ran: {outcomes:?}", outcomes.len());
}
