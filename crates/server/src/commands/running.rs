//! Reaches a gateway that is running: where it is, with which key, and what its refusals say; never keeps or shows the key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use protocol::{Failure, FailureKind};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use upstream::{Answer, Auth, Call, CallBody, Client, ClientSettings, Deadlines, Endpoint};

use super::desk::FieldError;
use super::outcome::advised;
use super::place::Place;
use crate::output;

/// Longer than any answer that is read whole here.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// A gateway may let a request wait, and a model may think, for long.
const PATIENCE: Deadlines = Deadlines {
    connect: Duration::from_secs(5),
    first_event: Duration::from_secs(900),
    answer: Duration::from_secs(900),
    idle: Duration::from_secs(900),
    total: Duration::from_secs(3600),
};

/// What opens a gateway, by the variable that holds it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held<'a> {
    /// A gateway key. Callers on its machine may be served without one, unless a variable was named.
    Key(&'a str),
    /// An admin token. Nothing is told without one.
    Token(&'a str),
}

impl<'a> Held<'a> {
    fn of(self, place: &'a Place) -> anyhow::Result<Option<&'a str>> {
        let (name, help) = match self {
            Self::Key(name) => (name, "export the gateway key under that name, or leave --key-env out"),
            Self::Token(name) => {
                (name, "export an admin token of that gateway under that name; its first start printed one")
            }
        };
        match place.variable(name) {
            None if !matches!(self, Self::Key("LOCKGATE_KEY")) => {
                Err(advised(format!("the variable {name} is not set"), help))
            }
            found => Ok(found),
        }
    }
}

/// A gateway that somebody runs.
pub(super) struct Running {
    client: Client,
    endpoint: Endpoint,
    /// Its admin API, which is beside the data plane's `/v1`.
    admin: Endpoint,
    /// How it is called in messages.
    pub(super) address: String,
    has_key: bool,
}

/// An answer, whole.
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) request_id: String,
    pub(super) body: Bytes,
}

impl Running {
    /// The gateway that was named, else the one that a start in this place makes.
    pub(super) fn find(place: &Place, url: Option<&str>, held: Held<'_>) -> anyhow::Result<Self> {
        let named = url.or_else(|| place.variable("LOCKGATE_URL"));
        let address = match named {
            Some(url) => url.trim().to_owned(),
            None => format!("http://{}", reachable(place.load()?.settings.listen)),
        };
        let key = held.of(place)?;
        let endpoint = |url: &str| {
            Endpoint::new(url, key.map_or(Auth::None, Auth::Bearer))
                .map_err(|error| advised(format!("{address}: {error}"), "write it as http://127.0.0.1:9190"))
        };
        let root = address.trim_end_matches('/').trim_end_matches("/v1");
        let (endpoint, admin) = (endpoint(&address)?, endpoint(&format!("{root}/api/admin"))?);
        let client = Client::new(ClientSettings::default())?;
        Ok(Self { client, endpoint, admin, address, has_key: key.is_some() })
    }

    /// Asks for `path` and reads the answer whole.
    pub(super) async fn get(&self, path: &str) -> Result<Told, Failure> {
        self.get_from(&self.endpoint, path).await
    }

    async fn get_from(&self, endpoint: &Endpoint, path: &str) -> Result<Told, Failure> {
        let deadlines = Deadlines { first_event: Duration::from_secs(10), ..PATIENCE };
        let call = self.call(endpoint, Method::GET, path, (CallBody::Empty, deadlines));
        let mut answer = call.await?;
        let body = answer.whole(ANSWER_BYTES_MAX).await?;
        Ok(Told { status: answer.status, request_id: request_id(&answer).to_owned(), body })
    }

    /// What the admin API says under `path`, as in `/explain`; a refusal is told with what to do.
    pub(super) async fn told(&self, path: &str) -> anyhow::Result<Bytes> {
        let told = self.get_from(&self.admin, path).await.map_err(|failure| self.unreached(&failure))?;
        if told.status.is_success() {
            return Ok(told.body);
        }
        let problem = serde_json::from_slice::<Problem>(&told.body).unwrap_or_default();
        let mut detail = problem.detail.unwrap_or_else(|| "no reason was given".to_owned());
        problem.errors.iter().for_each(|error| detail.push_str(&error.line()));
        let (status, address) = (told.status.as_u16(), &self.address);
        let what = format!("{address} says {status}: {}", output::printable_lines(&detail));
        Err(match status {
            401 | 403 => {
                advised(what, "the variable that --token-env names must hold an admin token of that gateway")
            }
            404 => advised(what, "`lockgate export requests` tells which requests are kept"),
            _ => advised(what, "the gateway's log says more"),
        })
    }

    /// Posts JSON; a refusal is told with its code, its request id and what to do.
    pub(super) async fn post(&self, path: &str, body: String) -> anyhow::Result<Answer> {
        let body = CallBody::Whole([Bytes::from(body)].into_iter().collect());
        let called = self.call(&self.endpoint, Method::POST, path, (body, PATIENCE)).await;
        let mut answer = called.map_err(|failure| self.unreached(&failure))?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let text = answer.whole(ANSWER_BYTES_MAX).await.map_err(|failure| self.broken(&failure))?;
        Err(self.refused(answer.status, request_id(&answer), &text))
    }

    async fn call(
        &self,
        endpoint: &Endpoint,
        method: Method,
        path: &str,
        (body, deadlines): (CallBody, Deadlines),
    ) -> Result<Answer, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let call = Call { method, path, headers, body, deadlines, started: Instant::now() };
        self.client.call(endpoint, call).await
    }

    /// Nobody answered as a gateway does.
    pub(super) fn unreached(&self, failure: &Failure) -> anyhow::Error {
        let what = format!("the gateway at {} cannot be reached: {failure}", self.address);
        match failure.kind {
            FailureKind::Connect => {
                advised(what, "start it with `lockgate serve`, or name another with --url")
            }
            FailureKind::Tls
            | FailureKind::Reset
            | FailureKind::Truncated
            | FailureKind::Malformed
            | FailureKind::ErrorAnswer
            | FailureKind::RateLimited
            | FailureKind::Unauthorized
            | FailureKind::ModelMissing
            | FailureKind::Unavailable
            | FailureKind::NotReady
            | FailureKind::Rejected
            | FailureKind::Deadline(_)
            | FailureKind::TooLarge => advised(what, "`lockgate doctor` says who answers at that address"),
        }
    }

    /// The answer broke off.
    pub(super) fn broken(&self, failure: &Failure) -> anyhow::Error {
        advised(format!("the answer broke off: {failure}"), "try again; the gateway's log says more")
    }

    /// The gateway answered with an error.
    pub(super) fn refused(&self, status: StatusCode, request_id: &str, body: &[u8]) -> anyhow::Error {
        let told = serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.error).unwrap_or_default();
        let message = told.message.clone().unwrap_or_else(|| "no reason was given".to_owned());
        let code = told.word();
        let what = format!(
            "{} ({code}, status {}, request {request_id})",
            output::printable_lines(&message),
            status.as_u16()
        );
        match (status.as_u16(), self.has_key) {
            (401 | 403, false) => advised(
                what,
                "this gateway wants a key: set LOCKGATE_KEY; `lockgate keys create NAME` makes one",
            ),
            (401, true) => {
                advised(what, "the key in LOCKGATE_KEY (or --key-env) is not one of this gateway's")
            }
            (403, true) => advised(what, "`lockgate keys list` shows what each key may do"),
            (404, _) => advised(what, "`lockgate models` shows what there is"),
            (429 | 503, _) => {
                advised(what, "the backends are busy or resting: wait, or see `lockgate doctor`")
            }
            (_, _) => advised(what, format!("the gateway's log says more under {request_id}")),
        }
    }
}

/// An error as the admin API writes it.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldError>,
}

/// An error as the data plane writes it.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: RefusalText,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RefusalText {
    message: Option<String>,
    /// A word here; elsewhere often the status, as a number.
    #[serde(default)]
    code: Value,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl RefusalText {
    fn word(&self) -> String {
        match (&self.code, &self.kind) {
            (Value::String(code), _) => code.clone(),
            (_, Some(kind)) => kind.clone(),
            (Value::Number(code), None) => format!("code {code}"),
            (_, None) => "no code".to_owned(),
        }
    }
}

/// Under which id the gateway's log and ledger have an answer.
pub(super) fn request_id(answer: &Answer) -> &str {
    answer.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("without id")
}

/// Where a listener on all addresses is reached from its own machine.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_at_home() {
        for (listen, expected) in
            [("0.0.0.0:9190", "127.0.0.1:9190"), ("[::]:9190", "[::1]:9190"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            let listen: SocketAddr = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), expected);
        }
    }
}
