//! Decides who is told that a share of a budget is spent, how often it is tried and when it is given up; no request ever
//! waits for that.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use policy::{Crossed, Secret, Timestamp};
use serde_json::json;
use tokio::sync::mpsc;

use crate::config::Alerts;
use crate::keygen;
use crate::publish::Publisher;

/// How often an alert is tried, and how long is waited between: a receiver that restarts is back by then.
const TRIES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(25),
    Duration::from_secs(120),
];

/// An alert on its way.
pub type Posting<'a> = Pin<Box<dyn Future<Output = Result<StatusCode, Unposted>> + Send + 'a>>;

/// Delivers alerts; the server plugs it in.
pub trait Courier: Send + Sync {
    /// Posts one letter, within a deadline of its own, and gives the status it was answered with.
    fn post(&self, letter: Letter) -> Posting<'_>;
}

/// One alert as it is posted.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Where to; such addresses often hold a secret.
    pub url: Secret,
    /// What the receiver can tell by that it comes from here, in the form `t=<seconds>,v1=<hex>`: an HMAC-SHA-256 over
    /// the seconds, a point, and the body.
    pub signature: Option<String>,
    /// JSON.
    pub body: String,
}

/// Why a letter was not answered. Never names the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unposted {
    /// What it was given is no address.
    #[error("the webhook is not an address")]
    NoAddress,
    /// Nobody answered.
    #[error("{0}")]
    Unreached(String),
}

/// Delivers what comes, one after the other, to whom the settings name then.
pub async fn deliver(
    mut crossings: mpsc::Receiver<Crossed>,
    publisher: Publisher,
    courier: Arc<dyn Courier>,
) {
    while let Some(crossed) = crossings.recv().await {
        // The settings of now: a webhook that was taken away is not called any more.
        let Some(alerts) = publisher.loaded().settings.alerts.clone() else { continue };
        let at = publisher.now();
        let letter = letter(&alerts, &crossed, at);
        if let Err(why) = insist(&*courier, letter).await {
            tracing::warn!(budget = &*crossed.budget, percent = crossed.percent, %why, "an alert was not delivered");
        }
    }
}

fn letter(alerts: &Alerts, crossed: &Crossed, at: Timestamp) -> Letter {
    let body = json!({
        "id": keygen::id("alert"),
        "event": "budget_crossed",
        "at": at.to_utc().to_string(),
        "budget": &*crossed.budget,
        "percent": crossed.percent,
        "spent": crossed.spent.to_string(),
        "amount": crossed.amount.to_string(),
    });
    let body = body.to_string();
    let signature = alerts.secret.as_ref().map(|secret| {
        let seconds = at.0.div_euclid(1000);
        format!("t={seconds},v1={}", secret.sign(format!("{seconds}.{body}").as_bytes()))
    });
    Letter { url: alerts.webhook.clone(), signature, body }
}

/// Posts until it is taken, or refused for good, or all tries are used up.
async fn insist(courier: &dyn Courier, letter: Letter) -> Result<(), String> {
    let mut why = String::new();
    for pause in TRIES {
        tokio::time::sleep(pause).await;
        why = match courier.post(letter.clone()).await {
            Ok(status) if status.is_success() => return Ok(()),
            Ok(status) if !may_pass(status) => return Err(format!("the webhook said {status}")),
            Ok(status) => format!("the webhook said {status}"),
            Err(Unposted::NoAddress) => return Err(Unposted::NoAddress.to_string()),
            Err(unreached) => unreached.to_string(),
        };
    }
    Err(why)
}

/// Whether a refusal may be another one later.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}
