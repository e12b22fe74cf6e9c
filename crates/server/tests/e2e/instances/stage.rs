//! A gateway with a pool of played processes, and the ways to look at both; never a claim of its own.

use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::{GatewaySettings, TestClient, TestGateway};

use crate::cli::LOCKGATE;

pub(super) const CHAT: &str = "/v1/chat/completions";
/// Nothing takes this long; a run that would is told apart from a slow one.
const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const TOKEN: &str = "the-admin-token";

/// The program, which is built with the workspace.
pub(crate) fn program() -> PathBuf {
    let program = PathBuf::from(LOCKGATE).with_file_name("fake-lingma");
    assert!(program.exists(), "build it first: cargo build -p fake-lingma");
    program
}

/// What a pool is started with.
pub(super) struct Pool {
    pub(super) instances: usize,
    /// What the program is to do otherwise.
    pub(super) scenario: Value,
    /// Further lines of `process:`, in YAML's flow form, each ending in a comma.
    pub(super) settings: String,
    /// Who is signed in before the start.
    pub(super) is_signed_in: bool,
    pub(super) program: PathBuf,
    pub(super) profile: &'static str,
    /// What stands beside `process:`, in the same form.
    pub(super) backend: &'static str,
    /// How its ends are met.
    pub(super) restart: &'static str,
    /// The port of a single instance; none: a free one.
    pub(super) port: Option<u16>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            instances: 1,
            scenario: json!({}),
            settings: "start: boot, ".to_owned(),
            is_signed_in: true,
            program: program(),
            profile: "lingma",
            backend: "",
            restart: "pause: 20ms, pause_max: 1s",
            port: None,
        }
    }
}

/// A gateway with a pool, and what belongs to it.
pub(super) struct Stage {
    pub(super) gateway: TestGateway,
    folder: tempfile::TempDir,
    instances: usize,
}

impl Pool {
    pub(super) async fn start(self) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let scenario = folder.path().join("scenario.json");
        std::fs::write(&scenario, self.scenario.to_string()).expect("written");
        let root = folder.path().join("work");
        for number in 1..=self.instances {
            let own = if self.instances == 1 { root.clone() } else { root.join(format!("inst-{number}")) };
            std::fs::create_dir_all(own.join("cache")).expect("a folder");
            if self.is_signed_in {
                std::fs::write(own.join("cache/user"), "fake-lingma: logged in").expect("written");
            }
        }
        let port = self.port.unwrap_or_else(free_port);
        let ports = if self.instances == 1 { format!("socket_port: {port}, ") } else { String::new() };
        let config = format!(
            "admin: {{token: {TOKEN}}}\nlog: {{level: debug}}\nretry: {{budget_percent: 100}}\nbackends:\n  - {{name: lingma, kind: process, {}\
             process: {{profile: {}, program: \"{}\", instances: {}, work_dir: \"{}\", {ports}{}\
             environment: {{FAKE_LINGMA_SCENARIO: \"{}\"}}, restart: {{{}}}}}}}\n",
            self.backend,
            self.profile,
            self.program.display(),
            self.instances,
            root.display(),
            self.settings,
            scenario.display(),
            self.restart,
        );
        let path = std::env::var("PATH").unwrap_or_default();
        let gateway = GatewaySettings::new(LOCKGATE).config(config).variable("PATH", &path).start().await;
        Stage { gateway: gateway.expect("a gateway"), folder, instances: self.instances }
    }
}

pub(super) fn free_port() -> u16 {
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    held.local_addr().expect("it is bound").port()
}

impl Stage {
    pub(super) fn admin(&self) -> TestClient {
        self.gateway.client().with_key(TOKEN)
    }

    pub(super) fn work_dir(&self, number: usize) -> PathBuf {
        let root = self.folder.path().join("work");
        if self.instances == 1 { root } else { root.join(format!("inst-{number}")) }
    }

    /// Changes what the program does from its next start on.
    pub(super) fn rewrite(&self, scenario: &Value) {
        std::fs::write(self.folder.path().join("scenario.json"), scenario.to_string()).expect("written");
    }

    /// Makes the pool of two one of a single instance, from the gateway's next start on.
    pub(super) fn shrink(&mut self) {
        let text = std::fs::read_to_string(self.gateway.config_path()).expect("it was written");
        self.gateway.reconfigure(&text.replace("instances: 2", "instances: 1")).expect("written");
        self.instances = 1;
    }

    /// All instances as the admin API shows them.
    pub(super) async fn instances(&self) -> Vec<Value> {
        let mut answer = self.admin().get("/api/admin/instances").await.expect("an answer");
        let body = answer.json().await.expect("JSON");
        body["instances"].as_array().unwrap_or_else(|| panic!("{body}")).clone()
    }

    /// An instance, once it is as it is wanted.
    pub(super) async fn instance(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let looked = tokio::time::timeout(PATIENCE, async {
            loop {
                let all = self.instances().await;
                let one = all.into_iter().find(|one| one["id"] == name).expect("it is listed");
                if wanted(&one) {
                    return one;
                }
                tokio::task::yield_now().await;
            }
        });
        match looked.await {
            Ok(one) => one,
            Err(_) => panic!("{name}: {:?}\n{}", self.instances().await, self.gateway.output()),
        }
    }

    pub(super) async fn ready(&self, name: &str) -> Value {
        self.instance(name, |one| one["ready"] == true).await
    }

    pub(super) async fn all_ready(&self) {
        for number in 1..=self.instances {
            self.ready(&format!("inst-{number}")).await;
        }
    }

    /// The control endpoint of an instance that runs.
    pub(super) async fn control(&self, name: &str) -> TestClient {
        let one = self.instance(name, |one| one["http_port"].is_u64()).await;
        let port = one["http_port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        TestClient::new(([127, 0, 0, 1], port).into())
    }

    /// What an instance's program has seen, once it is as it is wanted: `stops=1`.
    pub(super) async fn seen(&self, name: &str, wanted: &str) -> Value {
        let path = format!("/__test/wait?{wanted}");
        let control = self.control(name).await;
        let waited = tokio::time::timeout(PATIENCE, async {
            control.get(&path).await.expect("an answer").json().await.expect("JSON")
        });
        match waited.await {
            Ok(stats) => stats,
            Err(_) => {
                let stats = control.get("/__test/stats").await.expect("an answer").body().await;
                panic!("{wanted}: {stats:?}\n{}", self.gateway.output())
            }
        }
    }

    pub(super) async fn order(&self, name: &str, path: &str) {
        // A program that is told to crash does not answer.
        let _ = self.control(name).await.post(path, &json!({})).await;
    }

    /// Changes what a running program does from now on.
    pub(super) async fn change(&self, name: &str, scenario: &Value) {
        let answer = self.control(name).await.post("/__test/scenario", scenario).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::OK, "{scenario}");
    }

    /// One question, answered whole.
    pub(super) async fn ask(&self, text: &str) -> (StatusCode, Value) {
        let mut answer = self.gateway.client().post(CHAT, &question(text)).await.expect("an answer");
        (answer.status, answer.json().await.expect("JSON"))
    }

    /// The text of an answer that must be good.
    pub(super) async fn told(&self, text: &str) -> String {
        let (status, body) = self.ask(text).await;
        let told = body["choices"][0]["message"]["content"].as_str().map(str::to_owned);
        assert_eq!(status, StatusCode::OK, "{body}\n{}", self.gateway.output());
        told.unwrap_or_else(|| panic!("{body}"))
    }

    /// What the ledger has of the last requests, once there are so many.
    pub(super) async fn settled(&self, count: usize) -> Vec<Value> {
        let looked = tokio::time::timeout(PATIENCE, async {
            loop {
                let mut answer = self.admin().get("/api/admin/requests").await.expect("an answer");
                let body = answer.json().await.expect("JSON");
                match body["requests"].as_array() {
                    Some(requests) if requests.len() >= count => return requests.clone(),
                    Some(_) | None => tokio::task::yield_now().await,
                }
            }
        });
        looked.await.unwrap_or_else(|_| panic!("{}", self.gateway.output()))
    }

    /// Nothing is left of any turn.
    pub(super) async fn is_at_rest(&self) {
        for number in 1..=self.instances {
            let name = format!("inst-{number}");
            self.instance(&name, |one| one["in_flight"] == 0 && one["turns_heard"] == 0).await;
        }
    }
}

pub(super) fn question(text: &str) -> Value {
    json!({"model": "lingma/auto", "messages": [{"role": "user", "content": text}]})
}

pub(super) fn streamed(text: &str) -> Value {
    let mut question = question(text);
    question["stream"] = json!(true);
    question
}

/// A script that is played when the question holds `when`.
pub(super) fn script(when: &str, items: Value) -> Value {
    json!({"when": when, "items": items})
}
