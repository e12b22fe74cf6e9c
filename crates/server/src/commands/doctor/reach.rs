//! Looks at what lies outside: who answers at the gateway's own addresses, and whether each backend does; spends no token.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use control::admin::TestReport;
use control::config::Settings;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use upstream::{Auth, Call, CallBody, Client, ClientSettings, Deadlines, Endpoint};

use super::super::advice::advice;
use super::super::desk::{Desk, segment};
use super::super::place::Place;
use super::super::running::reachable;
use super::Finding;
use crate::output;

/// A neighbour on the same machine answers at once or is no gateway.
const PATIENCE: Duration = Duration::from_secs(3);
const HEALTH_BYTES_MAX: usize = 1 << 20;
/// Backends asked at the same time.
const ASKED_AT_ONCE: usize = 8;

/// What a gateway says of itself.
#[derive(Debug, Deserialize)]
struct Health {
    version: String,
    uptime_s: u64,
}

pub(super) async fn ports(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (setting, address) in [("listen", settings.listen), ("metrics_listen", settings.metrics_listen)] {
        findings.push(port(setting, address).await);
    }
    findings
}

async fn port(setting: &str, address: SocketAddr) -> Finding {
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::ok(setting, format!("{address} is free")),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::AddrInUse => match neighbour(reachable(address)).await {
            Some(health) => Finding::ok(
                setting,
                format!("a Lockgate {} serves at {address}, for {} s now", health.version, health.uptime_s),
            ),
            None => Finding::fail(
                setting,
                format!("another program has {address}"),
                format!("stop it (`ss -ltnp` names it), or choose another address for `{setting}`"),
            ),
        },
        ErrorKind::AddrNotAvailable => Finding::fail(
            setting,
            format!("this machine has no address {}", address.ip()),
            format!("write 127.0.0.1 or 0.0.0.0 into `{setting}`"),
        ),
        ErrorKind::PermissionDenied => Finding::fail(
            setting,
            format!("{address} may not be listened on"),
            format!("choose a port from 1024 up for `{setting}`"),
        ),
        _ => Finding::fail(
            setting,
            format!("{address} cannot be listened on: {error}"),
            format!("choose another address for `{setting}`"),
        ),
    }
}

/// The gateway at an address; none when what answers there is none.
async fn neighbour(address: SocketAddr) -> Option<Health> {
    let endpoint = Endpoint::new(&format!("http://{address}/healthz"), Auth::None).ok()?;
    let client = Client::new(ClientSettings::default()).ok()?;
    let deadlines = Deadlines {
        connect: PATIENCE,
        first_event: PATIENCE,
        answer: PATIENCE,
        idle: PATIENCE,
        total: PATIENCE,
    };
    let call = Call {
        method: Method::GET,
        path: "",
        headers: HeaderMap::new(),
        body: CallBody::Empty,
        deadlines,
        started: Instant::now(),
    };
    let mut answer = client.call(&endpoint, call).await.ok()?;
    let body = answer.whole(HEALTH_BYTES_MAX).await.ok()?;
    serde_json::from_slice(&body).ok()
}

pub(super) async fn backends(place: &Place) -> Vec<Finding> {
    match ask_all(place).await {
        Ok(findings) if findings.is_empty() => vec![Finding::warn(
            "backends",
            "there is none",
            "add one with `lockgate backends add`, or try `lockgate serve --demo`",
        )],
        Ok(findings) => findings,
        Err(error) => vec![Finding::error("backends", &error)],
    }
}

async fn ask_all(place: &Place) -> anyhow::Result<Vec<Finding>> {
    let desk = Desk::look(place)?;
    let snapshot = desk.snapshot().await?;
    let names: Vec<&str> =
        snapshot.backends.iter().filter(|backend| backend.enabled).map(|backend| &*backend.name).collect();
    let progress = ProgressBar::new(names.len() as u64).with_message("asking backends");
    let findings = stream::iter(names)
        .map(|name| {
            let (desk, progress) = (&desk, &progress);
            async move {
                let path = format!("/backends/{}/test", segment(name));
                let report = desk.ask(Method::POST, &path, &Value::Null).await;
                progress.inc(1);
                finding(&format!("backend {name}"), report)
            }
        })
        .buffered(ASKED_AT_ONCE)
        .collect()
        .await;
    progress.finish_and_clear();
    Ok(findings)
}

fn finding(subject: &str, report: anyhow::Result<Value>) -> Finding {
    let report = report.and_then(|report| Ok(serde_json::from_value::<TestReport>(report)?));
    let report = match report {
        Ok(report) => report,
        Err(error) => return Finding::error(subject, &error),
    };
    match (&report.error, advice(&report)) {
        (None, _) => {
            let models = output::counted(report.models.len(), "model");
            Finding::ok(subject, format!("answers in {} ms, lists {models}", report.latency_ms))
        }
        (Some(error), Some(advice)) => Finding::fail(subject, error.clone(), advice),
        (Some(error), None) => Finding::error(subject, &anyhow::anyhow!(error.clone())),
    }
}
