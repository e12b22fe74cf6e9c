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
    OpenAiNode,
    VercelAi,
    Curl,
}

/// What a client said of one case.
#[derive(Debug)]
pub(super) struct Outcome {
    #[expect(dead_code, reason = "shown when a case fails")]
    case: String,
    pub(super) ok: bool,
    pub(super) detail: String,
}

impl Client {
    /// Runs cases to their end; `streaming` hears the name of the backend that a stream comes from, in its midst.
    pub(super) async fn run(
        self,
        gateway: &TestGateway,
        cases: &[&str],
        mut streaming: impl FnMut(&str),
    ) -> Vec<Outcome> {
        let mut command = self.program();
        command.args(cases).env("BASE_URL", gateway.base_url()).env("API_KEY", KEY).env("MODEL", MODEL);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the client starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut outcomes = Vec::new();
        while let Some(line) = lines.next_line().await.expect("the client prints text") {
            let said: Value =
                serde_json::from_str(&line).unwrap_or_else(|e| panic!("{self:?} said {line}: {e}"));
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
        assert_eq!(
            status.success(),
            outcomes.iter().all(|outcome| outcome.ok),
            "{self:?}: {status} {outcomes:#?}"
        );
        outcomes
    }

    fn program(self) -> Command {
        let node = |name: &str| {
            let mut command = Command::new("node");
            let place = testenv().join("node/clients").join(name);
            command.args(["--preserve-symlinks", "--preserve-symlinks-main"]).arg(place);
            command
        };
        match self {
            Self::OpenAiPython => {
                let mut command = Command::new(testenv().join("py/bin/python"));
                command.arg(script("openai_python.py"));
                command
            }
            Self::OpenAiNode => node("openai_node.mjs"),
            Self::VercelAi => node("vercel_ai.mjs"),
            Self::Curl => Command::new(script("curl.sh")),
        }
    }
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
pub(super) fn assert_all_held(gateway: &TestGateway, outcomes: &[Outcome], at_least: usize) {
    let broken: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.ok).collect();
    assert!(broken.is_empty(), "{broken:#?}\n{}", gateway.output());
    assert!(outcomes.len() >= at_least, "only {} cases ran: {outcomes:?}", outcomes.len());
}
