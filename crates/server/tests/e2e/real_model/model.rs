//! Starts the model's servers and a gateway in front of them, each a process of its own that ends with the test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::{GatewaySettings, TestGateway};

pub(super) const KEY: &str = "lk-real-model-0123456789abcdef01234567";
pub(super) const MODEL: &str = "smollm2";

/// llama.cpp's own server with SmolLM2-135M-Instruct.
pub(super) struct LlamaServer {
    pub(super) name: &'static str,
    base_url: String,
    child: Child,
}

impl LlamaServer {
    /// On a free port.
    pub(super) fn start(name: &'static str) -> Self {
        let (child, base_url) = serve("0");
        Self { name, base_url, child }
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Starts it again where it was.
    pub(super) fn revive(&mut self) {
        let port = self.base_url.trim_end_matches("/v1").rsplit(':').next().expect("a port").to_owned();
        let (child, base_url) = serve(&port);
        assert_eq!(base_url, self.base_url);
        self.child = child;
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        // It may be dead already; then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn serve(port: &str) -> (Child, String) {
    let mut command = Command::new(testenv().join("py/bin/python"));
    command.arg(script("llama_server.py")).args(["--port", port]);
    // It ends when its standard input closes, so it cannot outlive even a test that is killed.
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the model's server starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("its ready line");
    let ready: Value = serde_json::from_str(&line).expect("the ready line is JSON");
    (child, ready["base_url"].as_str().expect("it says where it is").to_owned())
}

/// How the backends are spoken to, and what each may do.
pub(super) struct Limits {
    /// As what they are configured.
    pub(super) kind: &'static str,
    pub(super) rpm: u32,
    pub(super) concurrency: u32,
}

/// A gateway with these servers as its backends.
pub(super) async fn gateway(servers: &[LlamaServer], limits: Limits) -> TestGateway {
    let Limits { kind, rpm, concurrency } = limits;
    let mut config =
        format!("limits: {{queue_timeout: 2s}}\nkeys:\n  - {{name: app, key: {KEY}}}\nbackends:\n");
    for LlamaServer { name, base_url, .. } in servers {
        config += &format!(
            "  - name: {name}
    kind: {kind}
    base_url: {base_url}
    limits: {{rpm: {rpm}, concurrency: {concurrency}}}
    models:
      {MODEL}: {{native: {MODEL}, price: {{input: 1.00, cached_input: 0.25, output: 4.00}}}}
"
        );
    }
    let settings = GatewaySettings::new(env!("CARGO_BIN_EXE_lockgate")).config(config);
    settings.start().await.expect("the gateway starts")
}

/// A script of the clients' folder.
pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients").join(name)
}

/// Where `cargo xtask testenv` puts things.
pub(crate) fn testenv() -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testenv");
    assert!(place.join("py/bin/python").exists(), "the real clients are missing: run `cargo xtask testenv`");
    place
}
