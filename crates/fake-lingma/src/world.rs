//! What everything in the program shares: the scenario, what was seen, who is connected; never a protocol.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::arguments::Start;
use crate::client::Client;
use crate::files;
use crate::scenario::Scenario;

/// What was seen so far; a test may wait for any number in it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Stats {
    pub(crate) connections: u64,
    pub(crate) connected: u64,
    pub(crate) asks: u64,
    pub(crate) turns_running: u64,
    /// Turns that ended because their client was gone.
    pub(crate) turns_left: u64,
    pub(crate) stops: u64,
    pub(crate) pushes: u64,
    pub(crate) acked: u64,
    pub(crate) unacked: u64,
    pub(crate) bare: u64,
    pub(crate) urls: u64,
    pub(crate) callbacks: u64,
    /// Calls of `auth/login`.
    pub(crate) logins: u64,
    pub(crate) sign_ins: u64,
    pub(crate) sessions_deleted: u64,
    pub(crate) tool_replies: Vec<Value>,
    /// Methods in the order in which they were called.
    pub(crate) methods: Vec<String>,
}

/// The program.
pub(crate) struct World {
    pub(crate) start: Start,
    scenario: Mutex<Scenario>,
    pub(crate) stats: watch::Sender<Stats>,
    /// What `/__test/go` counts up.
    pub(crate) gates: watch::Sender<u64>,
    asks: Mutex<Vec<Value>>,
    nonces: Mutex<HashSet<String>>,
    clients: Mutex<Vec<Arc<Client>>>,
    endpoint: Mutex<String>,
    models_asked: Mutex<usize>,
    /// Turns that run, by request or session; a stop rings.
    running: Mutex<HashMap<String, Arc<Notify>>>,
}

impl World {
    pub(crate) fn new(start: Start) -> anyhow::Result<Self> {
        let own = start.work_dir.join("scenario.json");
        let named = std::env::var_os("FAKE_LINGMA_SCENARIO").map(Into::into);
        let path = Some(own).filter(|path| path.exists()).or(named);
        let scenario = match path {
            Some(path) => {
                let text = std::fs::read_to_string(&path).context("the scenario cannot be read")?;
                serde_json::from_str(&text).context("the scenario does not hold")?
            }
            None => Scenario::default(),
        };
        let endpoint = start.endpoint.clone().or_else(|| files::endpoint(&start.work_dir));
        Ok(Self {
            scenario: Mutex::new(scenario),
            stats: watch::Sender::new(Stats::default()),
            gates: watch::Sender::new(0),
            asks: Mutex::default(),
            nonces: Mutex::default(),
            clients: Mutex::default(),
            endpoint: Mutex::new(endpoint.unwrap_or_default()),
            models_asked: Mutex::new(0),
            running: Mutex::default(),
            start,
        })
    }

    pub(crate) fn scenario(&self) -> Scenario {
        held(&self.scenario).clone()
    }

    /// Lays these fields over the scenario.
    pub(crate) fn change(&self, fields: &Value) -> anyhow::Result<()> {
        let mut scenario = held(&self.scenario);
        let mut whole = serde_json::to_value(&*scenario)?;
        if let (Some(whole), Some(fields)) = (whole.as_object_mut(), fields.as_object()) {
            whole.extend(fields.clone());
        }
        *scenario = serde_json::from_value(whole)?;
        Ok(())
    }

    pub(crate) fn see(&self, change: impl FnOnce(&mut Stats)) {
        self.stats.send_modify(change);
    }

    pub(crate) async fn pause(&self, millis: u64) {
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    pub(crate) fn asked(&self, ask: Value) {
        held(&self.asks).push(ask);
        self.see(|stats| stats.asks += 1);
    }

    pub(crate) fn asks(&self) -> Value {
        json!(*held(&self.asks))
    }

    pub(crate) fn is_logged_in(&self) -> bool {
        files::is_logged_in(&self.start.work_dir)
    }

    pub(crate) fn mint_nonce(&self) -> String {
        let mut nonces = held(&self.nonces);
        self.see(|stats| stats.urls += 1);
        let nonce =
            format!("{:032x}", u128::from(self.stats.borrow().urls) << 64 | u128::from(std::process::id()));
        nonces.insert(nonce.clone());
        nonce
    }

    pub(crate) fn use_nonce(&self, nonce: &str) -> bool {
        held(&self.nonces).remove(nonce)
    }

    pub(crate) fn endpoint(&self) -> String {
        held(&self.endpoint).clone()
    }

    pub(crate) fn set_endpoint(&self, endpoint: &str) {
        endpoint.clone_into(&mut held(&self.endpoint));
        let _ = files::set_endpoint(&self.start.work_dir, endpoint);
    }

    /// Whether the list of models is to be empty this time.
    pub(crate) fn has_no_models_yet(&self) -> bool {
        let mut asked = held(&self.models_asked);
        *asked += 1;
        *asked <= self.scenario().models_empty
    }

    pub(crate) fn turn_began(&self, key: &str, stopped: Arc<Notify>) {
        held(&self.running).insert(key.to_owned(), stopped);
        self.see(|stats| stats.turns_running += 1);
    }

    /// It counts no more; a turn may end in several ways, and does so once.
    pub(crate) fn turn_ended(&self, key: &str) {
        let was_running = held(&self.running).remove(key).is_some();
        self.see(|stats| stats.turns_running -= u64::from(was_running));
    }

    pub(crate) fn stop(&self, key: &str) {
        if let Some(running) = held(&self.running).get(key) {
            running.notify_one();
        }
    }

    pub(crate) fn came(&self, client: Arc<Client>) {
        held(&self.clients).push(client);
        self.see(|stats| {
            stats.connections += 1;
            stats.connected += 1;
        });
    }

    pub(crate) fn left(&self, client: &Arc<Client>) {
        held(&self.clients).retain(|other| !Arc::ptr_eq(other, client));
        self.see(|stats| stats.connected -= 1);
    }

    pub(crate) fn clients(&self) -> Vec<Arc<Client>> {
        held(&self.clients).clone()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
