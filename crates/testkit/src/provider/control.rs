//! Decides what a test in another process may change and read over HTTP; never anything that a test in this one cannot.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Stage;
use super::behaviour::Behaviour;
use super::limiter::{Bucket, Rate};
use super::received::{Arrived, Received};

/// Where the control paths begin.
pub(super) const PREFIX: &str = "/__control/";

/// A change of the script.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Behaviours put behind those queued.
    #[serde(default)]
    queue: Vec<Behaviour>,
    /// Forgets those queued before.
    #[serde(default)]
    clear: bool,
    /// What meets a request that finds the queue empty.
    otherwise: Option<Behaviour>,
    /// A hidden limit; null lifts it.
    #[serde(default, deserialize_with = "present")]
    limit: Option<Option<Rate>>,
    /// Chunks let out of the paced answers.
    #[serde(default)]
    step: usize,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Rate>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The whole answer to a control request, head and all.
pub(super) fn answer(stage: &Stage, request: &Received) -> Bytes {
    let path = request.path.strip_prefix(PREFIX).unwrap_or_default();
    let (status, body) = match (&request.method, path) {
        (&Method::POST, "script") => match serde_json::from_slice::<Change>(&request.body) {
            Ok(change) => {
                apply(stage, change);
                (200, json!({}))
            }
            Err(error) => (400, json!({"error": error.to_string()})),
        },
        (&Method::GET, "count") => (200, json!(stage.script().count)),
        (&Method::GET, "received") => {
            let received = stage.script().received.iter().map(shown).collect::<Vec<_>>();
            (200, json!(received))
        }
        _ => (404, json!({"error": "POST script, GET count, GET received"})),
    };
    let body = body.to_string();
    Bytes::from(format!(
        "HTTP/1.1 {status} Control\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn apply(stage: &Stage, change: Change) {
    let mut script = stage.script();
    if change.clear {
        script.queue.clear();
    }
    script.queue.extend(change.queue);
    if let Some(otherwise) = change.otherwise {
        script.otherwise = otherwise;
    }
    if let Some(limit) = change.limit {
        script.limit = limit.map(Bucket::new);
    }
    drop(script);
    stage.pace.step(change.step);
}

fn shown(request: &Received) -> Value {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let fate = request
        .fate()
        .map(|gone| json!({"answered_bytes": gone.answered_bytes, "left_early": gone.left_early}));
    json!({
        "method": request.method.as_str(),
        "path": request.path,
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
        "whole": request.arrived == Arrived::Whole,
        "fate": fate,
    })
}
