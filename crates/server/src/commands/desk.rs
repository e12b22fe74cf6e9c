//! Works on the directory as the admin API does, in this process and without a running gateway; it decides no rule of
//! its own, so that what one way refuses the other refuses too.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use control::admin::{self, AdminState, Gate, Records};
use control::config::{Loaded, Settings};
use control::keygen;
use control::publish::{Audience, Controls, PublishError, Publisher, Reloader, Trigger};
use gateway::{Clock, SystemClock};
use http::{Method, Request, Response, header};
use policy::{Digester, Grant, Live, Problem, Secret, Snapshot};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::audit::{Author, Via};
use store::{Inspection, Ledger, StoreOptions, Tools, Vault, VaultNotice, has_database};
use tower::ServiceExt;

use super::outcome::advised;
use super::place::Place;
use crate::assemble::store_options;
use crate::output;
use crate::probe::Tester;

/// The admin API, asked by function call.
pub(super) struct Desk {
    /// What requests used and cost.
    pub(super) ledger: Ledger,
    /// Secrets.
    pub(super) vault: Vault,
    publisher: Publisher,
    router: Router,
    token: Secret,
    /// Whether a gateway serves from the data folder.
    pub(super) is_served: bool,
    /// Where the store is when it is one to throw away. Dropped last.
    _scratch: Option<tempfile::TempDir>,
}

impl Desk {
    /// Opens the data folder to change what it stores, and makes it where there is none.
    pub(super) fn open(place: &Place) -> anyhow::Result<Self> {
        let loaded = place.load()?;
        let data_dir = loaded.settings.data_dir.clone();
        Self::at(place, loaded, &data_dir, None)
    }

    /// Opens the data folder to look at what it stores. Looking leaves no trace: where nothing is stored yet, an empty
    /// store stands in that vanishes with the process.
    pub(super) fn look(place: &Place) -> anyhow::Result<Self> {
        let loaded = place.load()?;
        let data_dir = loaded.settings.data_dir.clone();
        if has_database(&data_dir) {
            Self::at(place, loaded, &data_dir, None)
        } else {
            Self::empty(place, loaded)
        }
    }

    /// Everything that a gateway would refuse of a configuration whose parts hold one by one.
    pub(super) async fn trial(place: &Place, loaded: Loaded) -> anyhow::Result<Vec<Problem>> {
        match Self::empty(place, loaded)?.publisher.publish(Trigger::Start).await {
            Ok(_) => Ok(Vec::new()),
            Err(PublishError::Refused(problems)) => Ok(problems),
            Err(error @ (PublishError::Config(_) | PublishError::Clash(_) | PublishError::Store(_))) => {
                Err(error.into())
            }
        }
    }

    fn empty(place: &Place, loaded: Loaded) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("lockgate-").tempdir();
        let scratch = scratch.context("no temporary folder can be made")?;
        let folder = scratch.path().to_owned();
        Self::at(place, loaded, &folder, Some(scratch))
    }

    fn at(
        place: &Place,
        loaded: Loaded,
        data_dir: &Path,
        scratch: Option<tempfile::TempDir>,
    ) -> anyhow::Result<Self> {
        // Whoever serves looks whether the database is sound: a command is not to take longer for it.
        let options = StoreOptions { inspection: Inspection::Skipped, ..store_options(&loaded.settings) };
        let tools = Tools::open(data_dir, options)
            .with_context(|| format!("the data folder {} cannot be used", data_dir.display()))?;
        if let (Some(VaultNotice::Created(path)), None) = (&tools.notice, &scratch) {
            let path = path.display();
            output::remark(&format!(
                "note: a master key was made: {path}. Back it up apart from the data folder: without it the stored \
                 credentials are lost."
            ));
        }
        let is_served = tools.is_served();
        let digester = Digester::new(&*tools.vault.digest_key()?);
        let (gate, token) = door(&loaded.settings, &digester);
        let live = Arc::new(Live::new());
        let controls = Controls {
            live: Arc::clone(&live),
            directory: tools.directory.clone(),
            ledger: tools.ledger.clone(),
            digester: digester.clone(),
            audience: Arc::new(Nobody),
            clock: Arc::new(|| SystemClock.wall()),
            extra_backends: Vec::new(),
        };
        let publisher = Publisher::new(controls, loaded);
        let client = upstream::Client::new(upstream::ClientSettings::default())?;
        let router = admin::router(AdminState {
            publisher: publisher.clone(),
            reloader: Reloader::new(publisher.clone(), place.sources()),
            directory: tools.directory,
            ledger: tools.ledger.clone(),
            live,
            digester,
            prober: Arc::new(Tester(gateway::Probe::new(client))),
            instances: Arc::new(admin::NoInstances),
            gate: Arc::new(gate),
            records: Records {
                audit: tools.audit,
                backups: tools.backups,
                events: tools.events,
                captures: tools.captures,
                vault: tools.vault.clone(),
                backlog: None,
                operator: Some(operator(place)),
            },
        });
        let (ledger, vault) = (tools.ledger, tools.vault);
        Ok(Self { ledger, vault, publisher, router, token, is_served, _scratch: scratch })
    }

    /// What a gateway would have in force now.
    pub(super) async fn snapshot(&self) -> anyhow::Result<Arc<Snapshot>> {
        self.publisher.publish(Trigger::Start).await?;
        self.publisher.snapshot().context("a snapshot was published and is not there")
    }

    /// What can be told of models once it is known what a backend lists.
    pub(super) async fn discovered(&self, backend: &str, models: Vec<String>) -> anyhow::Result<()> {
        Ok(self.publisher.discovered(backend, models).await?)
    }

    /// Everything in a list of the admin API, page by page.
    pub(super) async fn list(&self, resource: &str) -> anyhow::Result<Value> {
        self.list_where(resource, "").await
    }

    /// What of a list a query keeps, as in `&search=gpt`.
    pub(super) async fn list_where(&self, resource: &str, query: &str) -> anyhow::Result<Value> {
        let mut whole = Vec::new();
        let first = format!("/{resource}?limit=1000{query}");
        let mut path = first.clone();
        loop {
            let mut page = self.ask(Method::GET, &path, &Value::Null).await?;
            if let Value::Array(items) = page[resource].take() {
                whole.extend(items);
            }
            let Some(next) = page["next"].as_str() else { return Ok(Value::Array(whole)) };
            path = format!("{first}&cursor={}", segment(next));
        }
    }

    /// Asks the admin API, and gives its answer or its refusal.
    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.answer(method, path, text).await?;
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await?;
        if bytes.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&bytes)?) }
    }

    /// Asks the admin API for what is read as it comes.
    pub(super) async fn stream(&self, path: &str) -> anyhow::Result<Response<Body>> {
        self.answer(Method::GET, path, String::new()).await
    }

    async fn answer(&self, method: Method, path: &str, text: String) -> anyhow::Result<Response<Body>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/admin{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(text))?;
        let answered = self.router.clone().oneshot(request).await;
        let response = answered.unwrap_or_else(|never| match never {});
        if response.status().is_success() {
            return Ok(response);
        }
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        Err(refused(&serde_json::from_slice(&bytes).context("a refusal cannot be read")?, path))
    }
}

/// Who uses the command line, as the audit log tells it: the host's own word for them.
pub(super) fn operator(place: &Place) -> Author {
    let user = place.variable("SUDO_USER").or_else(|| place.variable("USER"));
    let name = user.map_or_else(|| format!("user {}", rustix::process::getuid().as_raw()), str::to_owned);
    Author { name: Arc::from(name), via: Via::Cli, address: None }
}

/// An object of what was said; what was not is left out.
pub(super) fn given<const COUNT: usize>(fields: [(&str, Value); COUNT]) -> Value {
    let said = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(said.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// One segment of a path, whatever was typed.
pub(super) fn segment(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Who may open the store may do anything with it: the token never leaves the process.
fn door(settings: &Settings, digester: &Digester) -> (Gate, Secret) {
    match &settings.admin_token {
        Some(token) => (Gate::new(None), token.clone()),
        None => {
            let token = keygen::admin_token();
            (Gate::new(Some(digester.digest(token.expose()))), token)
        }
    }
}

/// A refusal of the admin API, as far as it is told on.
#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FieldError {
    #[serde(default)]
    path: String,
    message: String,
    suggestion: Option<String>,
}

impl FieldError {
    /// A line of its own below what it is part of.
    pub(super) fn line(&self) -> String {
        let at = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        let suggestion = self.suggestion.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
        format!("\n  {at}{}{suggestion}", self.message)
    }
}

fn refused(refusal: &Refusal, path: &str) -> anyhow::Error {
    // Whoever typed arguments has sent no body.
    let mut what = match refusal.code.as_str() {
        "invalid" => "what was typed does not hold:".to_owned(),
        _ => refusal.detail.clone(),
    };
    refusal.errors.iter().for_each(|error| what.push_str(&error.line()));
    let command = match path.split('/').nth(1).unwrap_or_default() {
        "backups" => "backup",
        resource => resource,
    };
    match refusal.code.as_str() {
        "not_found" if command == "requests" => {
            advised(what, "`lockgate export requests` tells which requests are kept")
        }
        "not_found" => advised(what, format!("`lockgate {command} list` shows the names there are")),
        "conflict" => advised(what, "choose another name, or remove that one first"),
        "read_only" => {
            advised(what, "what the configuration file or the environment defines is changed there")
        }
        "does_not_fit" => advised(what, "change the configuration first; `lockgate check` reads it"),
        "store_unavailable" => {
            let advice =
                "something else holds the database, or its disk is full: `lockgate doctor` says which";
            advised(what, advice)
        }
        _ => anyhow::anyhow!(what),
    }
}

/// No data plane listens in this process; a running gateway sees the change in the directory.
struct Nobody;

impl Audience for Nobody {
    fn receive(&self, _: Arc<Snapshot>) {}

    fn wake(&self, _: Vec<Grant>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment_of_a_path() {
        for (name, expected) in
            [("app-1", "app-1"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("ü ?", "%C3%BC%20%3F"), ("", "")]
        {
            assert_eq!(segment(name), expected);
        }
    }
}
