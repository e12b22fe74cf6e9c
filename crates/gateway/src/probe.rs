//! Decides how a backend is asked how it is and what it lists, and what its answer means; never spends a token, nor
//! decides when it is asked.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use policy::{Backend, MODELS_PATH, ProbeResult, Probed};
use protocol::{Dialect, Failure, FailureKind};
use serde::Deserialize;
use tokio::time::Instant;
use upstream::{Call, CallBody, Client, Deadlines, Endpoint};

use crate::{
    forward,
    view::{self, Unusable},
};

/// Longer lists of models than any provider's.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Asks backends, over the client that requests use.
#[derive(Clone)]
pub struct Probe {
    client: Client,
}

/// What a backend said when it was asked for its models.
pub struct Listing {
    /// What it says of the backend.
    pub probed: Probed,
    /// Their native names.
    pub models: Result<Vec<String>, Unlisted>,
}

/// Why a backend told of no models.
pub struct Unlisted {
    /// The stable name of what went wrong; none where it was not even asked.
    pub code: Option<&'static str>,
    /// The same, fit for operators.
    pub says: String,
}

/// What is read of a list of models: OpenAI's and Anthropic's form, or Gemini's.
#[derive(Deserialize)]
#[serde(untagged)]
enum Models {
    ById { data: Vec<Model> },
    ByName { models: Vec<Resource> },
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
}

impl Models {
    fn names(self) -> Vec<String> {
        let bare = |name: String| name.strip_prefix("models/").map(str::to_owned).unwrap_or(name);
        match self {
            Models::ById { data } => data.into_iter().map(|model| model.id).collect(),
            Models::ByName { models } => models.into_iter().map(|model| bare(model.name)).collect(),
        }
    }
}

/// What asks for the list on one page as long as it can be.
fn models_path(backend: &Backend) -> String {
    let page = match first_dialect(backend) {
        Some(Dialect::AnthropicMessages) => "?limit=1000",
        Some(Dialect::Gemini) => "?pageSize=1000",
        Some(
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiResponses
            | Dialect::OpenAiRaw
            | Dialect::AgentRpc,
        )
        | None => "",
    };
    format!("{MODELS_PATH}{page}")
}

/// The dialect at whose place a backend is asked.
fn first_dialect(backend: &Backend) -> Option<Dialect> {
    backend.spoken.first().map(|spoken| spoken.dialect)
}

/// A question that was answered with a success, or not.
struct Asked {
    took: Duration,
    said: Result<(StatusCode, Bytes), Failure>,
}

impl Probe {
    /// A probe over `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks a backend, whether it is in force or not, for its models.
    pub async fn models(&self, backend: &Backend, timeout: Duration) -> Listing {
        match view::endpoint(backend) {
            Ok(endpoint) => self.models_at(&endpoint, backend, timeout).await,
            Err(unusable) => Listing::unasked(&unusable),
        }
    }

    /// The same, where it is reached at `endpoint`.
    pub(crate) async fn models_at(
        &self,
        endpoint: &Endpoint,
        backend: &Backend,
        timeout: Duration,
    ) -> Listing {
        let asked = self.ask(endpoint, backend, &models_path(backend), timeout).await;
        let listed = match &asked.said {
            Ok((_status, body)) => serde_json::from_slice::<Models>(body).map_err(|error| Unlisted {
                code: Some(FailureKind::Malformed.name()),
                says: format!("its list of models cannot be read: {error}"),
            }),
            Err(failure) => Err(Unlisted { code: Some(failure.kind.name()), says: failure.to_string() }),
        };
        let mut probed = asked.probed();
        if listed.is_err() && probed.result == ProbeResult::Passed {
            probed.result = ProbeResult::Unclear;
        }
        Listing { probed, models: listed.map(Models::names) }
    }

    /// Asks a backend how it is.
    pub(crate) async fn health(&self, endpoint: &Endpoint, backend: &Backend, timeout: Duration) -> Probed {
        self.ask(endpoint, backend, &backend.health_path, timeout).await.probed()
    }

    async fn ask(&self, endpoint: &Endpoint, backend: &Backend, path: &str, timeout: Duration) -> Asked {
        let began = Instant::now();
        let said = self.get(endpoint, backend, path, timeout).await;
        Asked { took: began.elapsed(), said }
    }

    async fn get(
        &self,
        endpoint: &Endpoint,
        backend: &Backend,
        path: &str,
        timeout: Duration,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let from_root = path.starts_with('/');
        let path = match from_root {
            true => path.to_owned(),
            false => backend.addressing.path(path, ""),
        };
        let call = Call {
            method: Method::GET,
            path: &path,
            headers: forward::own_headers(&backend.headers, first_dialect(backend)),
            body: CallBody::Empty,
            deadlines: Deadlines {
                connect: backend.deadlines.connect.min(timeout),
                first_event: timeout,
                answer: timeout,
                idle: timeout,
                total: timeout,
            },
            started: Instant::now(),
        };
        let mut answer = match from_root {
            true => self.client.call(&endpoint.clone().at_root(), call).await?,
            false => self.client.call(endpoint, call).await?,
        };
        let body = answer.whole(ANSWER_BYTES_MAX).await?;
        match answer.status.is_success() {
            true => Ok((answer.status, body)),
            false => Err(Failure::from_answer(answer.status, &answer.headers, &body)),
        }
    }
}

impl Asked {
    fn probed(&self) -> Probed {
        let (result, status) = match &self.said {
            Ok((status, _body)) => (ProbeResult::Passed, Some(status.as_u16())),
            Err(failure) => (meaning(failure), failure.status),
        };
        Probed { result, status, took: self.took }
    }
}

impl Listing {
    fn unasked(unusable: &Unusable) -> Self {
        let probed = Probed { result: ProbeResult::Unclear, status: None, took: Duration::ZERO };
        Self { probed, models: Err(Unlisted { code: None, says: unusable.to_string() }) }
    }
}

/// A backend that answers with anything but a fault of its own is there: it may well serve without answering this.
fn meaning(failure: &Failure) -> ProbeResult {
    match failure.status {
        Some(..500) => ProbeResult::Unclear,
        // Whether a local process is ready is known without a probe.
        None if matches!(failure.kind, FailureKind::TooLarge | FailureKind::NotReady) => ProbeResult::Unclear,
        Some(500..) | None => ProbeResult::Missed,
    }
}
