//! A gateway all of whose secrets are in its vault, and clients that never stop asking.

use std::collections::HashSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::{GatewaySettings, ScriptedProvider, TestClient, TestGateway};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli::LOCKGATE;

const ADMIN_TOKEN: &str = "lga-rotations-0123456789abcdef";
const CHAT: &str = "/v1/chat/completions";
/// Backends, each with a credential of its own.
pub(super) const BACKENDS: usize = 6;

/// The gateway, its one provider, and what it must still know after whatever happens.
pub(super) struct Stage {
    pub(super) gateway: TestGateway,
    provider: ScriptedProvider,
    /// The backends' ids, and their credentials: all that ever were, the latest last.
    backends: Vec<(String, Vec<String>)>,
    /// A gateway key; its digest is under a key of the vault.
    key: String,
}

impl Stage {
    pub(super) async fn start(settings: GatewaySettings) -> Self {
        let provider = ScriptedProvider::start().await;
        let config =
            format!("admin: {{token: {ADMIN_TOKEN}}}\nlog: {{level: error}}\nprobe: {{enabled: false}}\n");
        let gateway = settings.config(config).start().await.expect("a gateway");
        let admin = gateway.client().with_key(ADMIN_TOKEN);
        let mut backends = Vec::new();
        for number in 0..BACKENDS {
            let secret = format!("sk-secret-of-backend-{number}-0");
            let spec = json!({"name": format!("b{number}"), "kind": "openai_compatible", "base_url": provider.base_url(),
                "api_key": secret, "limits": {"rpm": 0}, "models": {format!("m{number}"): {}}});
            let mut made = admin.post("/api/admin/backends", &spec).await.expect("an answer");
            assert_eq!(made.status, 201);
            let made = made.json().await.expect("JSON");
            backends.push((made["id"].as_str().expect("an id").to_owned(), vec![secret]));
        }
        let mut made = admin.post("/api/admin/keys", &json!({"name": "app"})).await.expect("an answer");
        let made = made.json().await.expect("JSON");
        let key = made["key"].as_str().expect("a key").to_owned();
        Self { gateway, provider, backends, key }
    }

    fn admin(&self) -> TestClient {
        self.gateway.client().with_key(ADMIN_TOKEN)
    }

    /// How the vault stands.
    async fn vault(&self) -> Value {
        let mut told = self.admin().get("/api/admin/vault").await.expect("an answer");
        told.json().await.expect("JSON")
    }

    /// Which master key is in force.
    pub(super) async fn key_id(&self) -> String {
        self.vault().await["key_id"].as_str().expect("an id").to_owned()
    }

    /// Rotates through the API. Gives the status, if there was an answer.
    pub(super) async fn rotate(&self, body: &'static str) -> Option<u16> {
        let path = "/api/admin/vault/rotate";
        let rotated = self.admin().send(Method::POST, path, Bytes::from_static(body.as_bytes())).await;
        rotated.ok().map(|answer| answer.status.as_u16())
    }

    /// Rotates from another process.
    pub(super) async fn rotate_by_command(&self) {
        let mut command = Command::new(LOCKGATE);
        command.args(["vault", "rotate", "--json", "--config"]).arg(self.gateway.config_path());
        command.arg("--data-dir").arg(self.gateway.data()).env_clear().stdin(Stdio::null());
        let output = command.output().await.expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Gives a backend another credential. Without an answer nobody knows which of the two it has.
    pub(super) async fn replace_credential(&mut self, number: usize) -> Option<()> {
        let admin = self.admin();
        let (id, secrets) = &mut self.backends[number];
        let secret = format!("sk-secret-of-backend-{number}-{}", secrets.len());
        let body = Bytes::from(json!({"api_key": secret}).to_string());
        secrets.push(secret);
        let path = format!("/api/admin/backends/{id}");
        let changed = admin.send(Method::PATCH, &path, body).await.ok()?;
        assert_eq!(changed.status, 200);
        Some(())
    }

    /// The latest credential of a backend is what its provider is shown.
    pub(super) async fn assert_shown(&self, number: usize) {
        let answer = self.client().post(CHAT, &ask(number)).await.expect("an answer");
        assert_eq!(answer.status, 200);
        let id = answer.header("x-request-id").expect("an id").to_owned();
        let latest = self.backends[number].1.last().expect("it has one");
        let calls = self.provider.received();
        let call =
            calls.iter().rev().find(|call| call.header("x-request-id") == Some(&id)).expect("its call");
        let shown = call.header("authorization").map(str::to_owned);
        assert_eq!(shown, Some(format!("Bearer {latest}")));
    }

    fn client(&self) -> TestClient {
        self.gateway.client().with_key(&self.key)
    }

    /// Nothing is lost: the key opens, each backend is called with a credential of its own, all secrets are under one key.
    pub(super) async fn assert_whole(&self) {
        for number in 0..BACKENDS {
            let mut answer = self.client().post(CHAT, &ask(number)).await.expect("an answer");
            let said = answer.body().await.expect("a whole answer");
            assert_eq!(answer.status, 200, "m{number}: {}", String::from_utf8_lossy(&said));
        }
        let calls = self.provider.received();
        let mut called = HashSet::new();
        for call in &calls {
            let body = call.json();
            let model = body["model"].as_str().unwrap_or_default();
            let number: usize = model.trim_start_matches('m').parse().expect("a model of ours");
            let shown = call.header("authorization").unwrap_or_default();
            let secrets = &self.backends[number].1;
            assert!(
                secrets.iter().any(|secret| shown == format!("Bearer {secret}")),
                "{model} was shown {shown:?}"
            );
            called.insert(number);
        }
        assert_eq!(called.len(), BACKENDS);
        let vault = self.vault().await;
        assert_eq!(vault["secrets"], vault["under_key"], "{vault}");
        assert!(vault["secrets"].as_u64() > u64::try_from(BACKENDS).ok(), "{vault}");
    }
}

fn ask(number: usize) -> Value {
    json!({"model": format!("m{number}"), "messages": [{"role": "user", "content": "hi"}], "stream": number.is_multiple_of(2)})
}

/// Clients that ask one request after the other until they are stopped.
pub(super) struct Clients {
    asking: JoinSet<()>,
    stop: watch::Sender<bool>,
    made: watch::Sender<u64>,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Clients {
    pub(super) fn start(stage: &Stage, count: usize) -> Self {
        let (stop, made) = (watch::Sender::new(false), watch::Sender::new(0));
        let failed: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut asking = JoinSet::new();
        for first in 0..count {
            let (client, failed) = (stage.client(), Arc::clone(&failed));
            let (stop, made) = (stop.subscribe(), made.clone());
            asking.spawn(async move {
                for number in (0..BACKENDS).cycle().skip(first) {
                    if *stop.borrow() {
                        return;
                    }
                    let outcome = outcome(&client, number).await;
                    made.send_modify(|made| *made += 1);
                    if let Err(why) = outcome {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(why);
                        // A gateway that was killed answers nobody.
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        Self { asking, stop, made, failed }
    }

    /// Waits until so many more requests were made.
    pub(super) async fn made(&self, count: u64) {
        let mut made = self.made.subscribe();
        let until = *made.borrow() + count;
        made.wait_for(|made| *made >= until).await.expect("the sender is here");
    }

    /// Has them end, and gives how many requests there were and what failed.
    pub(super) async fn stop(mut self) -> (u64, Vec<String>) {
        self.stop.send_replace(true);
        while let Some(ended) = self.asking.join_next().await {
            ended.expect("no panic");
        }
        let failed = std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        (*self.made.borrow(), failed)
    }
}

async fn outcome(client: &TestClient, number: usize) -> Result<(), String> {
    let mut answer = client.post(CHAT, &ask(number)).await.map_err(|error| format!("m{number}: {error}"))?;
    let said = answer.body().await.map_err(|error| format!("m{number}: {error}"))?;
    if answer.status == 200 { Ok(()) } else { Err(format!("m{number}: {} {said:?}", answer.status)) }
}
