//! A control plane for tests: a real store in a folder of its own, a data plane that only listens, a clock that is set.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use policy::{Backend, Digester, Grant, Live, Snapshot, Timestamp};
use serde_json::Value;
use store::{Store, StoreOptions};
use tower::ServiceExt;

use crate::admin::{
    self, AdminState, Begun, ClientAddress, Doing, Gate, InstanceStatus, Instances, Prober, Records,
    TestReport, Testing,
};
use crate::config::{FileText, Inputs, Loaded, Overrides, ProcessAccount, Report, Surroundings, load};
use crate::publish::{Audience, ConfigSource, Controls, Publisher, Reloader, Trigger};

pub(crate) const TOKEN: &str = "lga-test-admin-token";

/// A data plane that only listens.
#[derive(Default)]
pub(crate) struct Listener {
    pub(crate) received: Mutex<Vec<Arc<Snapshot>>>,
    pub(crate) woken: Mutex<u32>,
    live: Arc<Live>,
}

impl Audience for Listener {
    fn receive(&self, snapshot: Arc<Snapshot>) {
        self.live.adopt(&snapshot, crate::publish::moment());
        self.received.lock().expect("no test panics here").push(snapshot);
    }

    fn wake(&self, _: Vec<Grant>) {
        *self.woken.lock().expect("no test panics here") += 1;
    }
}

/// A prober that says what it was told to say.
pub(crate) struct Scripted(pub(crate) TestReport);

impl Prober for Scripted {
    fn test(&self, _: Arc<Backend>) -> Testing<'_> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

/// One local process, which takes every order, and is whose it was told to be.
#[derive(Default)]
pub(crate) struct Idle(pub(crate) Mutex<Option<ProcessAccount>>);

impl Instances for Idle {
    fn list(&self) -> Vec<InstanceStatus> {
        vec![InstanceStatus { id: "inst-1".to_owned(), state: "stopped", ..InstanceStatus::default() }]
    }

    fn restart(&self, name: &str) -> bool {
        name == "inst-1"
    }

    fn reset(&self, name: &str) -> bool {
        name == "inst-1"
    }

    fn set_account(&self, name: &str, account: Option<&ProcessAccount>) -> bool {
        *self.0.lock().expect("no test panics here") = account.cloned();
        name == "inst-1"
    }

    fn log_in<'a>(&'a self, name: &'a str) -> Doing<'a, Option<Begun>> {
        Box::pin(std::future::ready((name == "inst-1").then_some(Begun::Running)))
    }

    fn paste_back<'a>(&'a self, name: &'a str, address: &'a str) -> Doing<'a, Option<Result<(), String>>> {
        let taken = if address == "good" { Ok(()) } else { Err("no".to_owned()) };
        Box::pin(std::future::ready((name == "inst-1").then_some(taken)))
    }
}

/// A configuration file that a test can rewrite.
pub(crate) struct Written(pub(crate) Mutex<String>);

impl ConfigSource for Written {
    fn load(&self, stored: &[(String, String)]) -> Result<Loaded, Report> {
        let text = self.0.lock().expect("no test panics here").clone();
        load_text(&text, stored)
    }
}

pub(crate) fn load_text(text: &str, stored: &[(String, String)]) -> Result<Loaded, Report> {
    let read_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    load(&Inputs {
        file: Some(FileText { name: "lockgate.yaml", text }),
        overrides: &Overrides::default(),
        surroundings: Surroundings { variables: &BTreeMap::new(), read_file: &read_file },
        stored,
    })
}

/// The whole of it.
pub(crate) struct House {
    pub(crate) publisher: Publisher,
    pub(crate) reloader: Reloader,
    pub(crate) written: Arc<Written>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) live: Arc<Live>,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) store: Store,
    pub(crate) folder: tempfile::TempDir,
    /// The local process.
    pub(crate) idle: Arc<Idle>,
    /// What handlers work with.
    pub(crate) admin: AdminState,
    router: Router,
}

impl House {
    /// A house with this configuration file, published once.
    pub(crate) async fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = Store::open(folder.path(), StoreOptions::default()).expect("a fresh store opens");
        let digester = Digester::new(&store.vault.digest_key().expect("a fresh vault makes a key"));
        let live = Arc::new(Live::new());
        let listener = Arc::new(Listener { live: Arc::clone(&live), ..Listener::default() });
        let now = Arc::new(AtomicI64::new(1_780_272_000_000));
        let clock = Arc::clone(&now);
        let controls = Controls {
            live: Arc::clone(&live),
            directory: store.directory.clone(),
            ledger: store.ledger.clone(),
            digester: digester.clone(),
            audience: Arc::clone(&listener) as Arc<dyn Audience>,
            clock: Arc::new(move || Timestamp(clock.load(Ordering::Relaxed))),
            extra_backends: Vec::new(),
        };
        let loaded = load_text(text, &[]).unwrap_or_else(|report| panic!("{report}"));
        let publisher = Publisher::new(controls, loaded);
        publisher.publish(Trigger::Start).await.unwrap_or_else(|error| panic!("{error}"));
        let written = Arc::new(Written(Mutex::new(text.to_owned())));
        let reloader = Reloader::new(publisher.clone(), Arc::clone(&written) as Arc<dyn ConfigSource>);
        let report = TestReport {
            ok: true,
            latency_ms: 5,
            status: Some(200),
            models: vec!["listed-model".to_owned()],
            code: None,
            error: None,
        };
        let idle = Arc::new(Idle::default());
        let admin = AdminState {
            publisher: publisher.clone(),
            reloader: reloader.clone(),
            directory: store.directory.clone(),
            ledger: store.ledger.clone(),
            live: Arc::clone(&live),
            gate: Arc::new(Gate::new(Some(digester.digest(TOKEN)))),
            digester,
            prober: Arc::new(Scripted(report)),
            records: Records::of(&store),
            instances: Arc::clone(&idle) as Arc<dyn Instances>,
        };
        let router = admin::router(admin.clone());
        Self { publisher, reloader, written, listener, live, now, store, folder, idle, admin, router }
    }

    /// One call with the right token.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call_with(
            method,
            path,
            body.as_bytes().to_vec(),
            &[("authorization", &format!("Bearer {TOKEN}"))],
        )
        .await
    }

    /// One call with these headers.
    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body)).expect("tests write valid requests");
        request.extensions_mut().insert(ClientAddress(IpAddr::from([192, 0, 2, 7])));
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("answers are whole").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("answers are text");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, text, json }
    }

    /// The snapshot in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.publisher.snapshot().expect("something was published")
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Answer {
    /// This answer, if it has that status.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// A text somewhere in it, or none.
    pub(crate) fn str_or_empty(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// A text somewhere in it.
    pub(crate) fn str(&self, pointer: &str) -> &str {
        let found = self.json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} in {}", self.text))
    }
}
