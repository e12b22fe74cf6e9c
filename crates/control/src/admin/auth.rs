//! Decides who may operate the gateway: one bearer token, compared as a digest in constant time; it slows down
//! addresses that guess, and never keeps or prints a token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use policy::{Digest, Digester, Secret};
use store::{Directory, StoreError};

use super::AdminState;
use super::actor::Actor;
use super::refusal::Refusal;
use super::role::Role;
use crate::config::Settings;
use crate::keygen;
use crate::publish::moment;

/// Wrong tokens that an address may show within a window.
const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at once; beyond that the oldest is forgotten.
const ADDRESSES_MAX: usize = 4096;

/// Who is calling; the server puts it into each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The door: the digest of the minted token, and who guessed wrong lately.
pub struct Gate {
    minted: Option<Digest>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Instant,
    count: u32,
}

/// Makes sure that there is an admin token: as configured, as minted before, or minted now. A token that was
/// minted now is returned, for the server to print once.
pub async fn ensure_token(
    directory: &Directory,
    digester: &Digester,
    settings: &Settings,
) -> Result<(Gate, Option<Secret>), StoreError> {
    if settings.admin_token.is_some() {
        return Ok((Gate::new(None), None));
    }
    if let Some(digest) = directory.admin_token_digest().await? {
        return Ok((Gate::new(Some(digest)), None));
    }
    let minted = keygen::admin_token();
    let digest = digester.digest(minted.expose());
    directory.set_admin_token_digest(digest.clone()).await?;
    Ok((Gate::new(Some(digest)), Some(minted)))
}

impl Gate {
    /// A door for the token with this digest, besides one that the settings may name.
    pub fn new(minted: Option<Digest>) -> Self {
        Self { minted, failures: Mutex::new(HashMap::new()) }
    }

    /// How long an address has to wait before it is heard again.
    fn held_back(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let record = failures.get(&network_of(address))?;
        let ends = record.since + WINDOW;
        (record.count >= FAILURES_MAX && now < ends).then(|| ends.saturating_duration_since(now))
    }

    fn failed(&self, address: IpAddr, now: Instant) {
        let address = network_of(address);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&address) {
            let oldest = failures.iter().min_by_key(|(_, record)| record.since).map(|(address, _)| *address);
            if let Some(oldest) = oldest {
                failures.remove(&oldest);
            }
        }
        let record = failures.entry(address).or_insert(Failures { since: now, count: 0 });
        if now.saturating_duration_since(record.since) >= WINDOW {
            *record = Failures { since: now, count: 0 };
        }
        record.count = record.count.saturating_add(1);
    }

    fn knows(&self, presented: &Digest, configured: Option<&Digest>) -> bool {
        match configured {
            Some(digest) => digest == presented,
            None => self.minted.as_ref().is_some_and(|digest| digest == presented),
        }
    }
}

/// An IPv6 host has a whole /64 to call from.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

pub(crate) async fn authenticate(
    State(state): State<AdminState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let address =
        request.extensions().get::<ClientAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |found| found.0);
    let now = moment();
    if let Some(wait) = state.gate.held_back(address, now) {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        let refusal =
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "too many wrong tokens");
        return Err(refusal.with_header(header::RETRY_AFTER, seconds));
    }
    let configured = state.publisher.loaded().settings.admin_token.clone();
    let configured = configured.map(|token| state.digester.digest(token.expose()));
    let known = bearer(request.headers())
        .map(|token| state.digester.digest(token))
        .is_some_and(|presented| state.gate.knows(&presented, configured.as_ref()));
    if known {
        let actor = Actor { name: "admin".into(), role: Role::Admin, address };
        request.extensions_mut().insert(actor);
        return Ok(next.run(request).await);
    }
    state.gate.failed(address, now);
    Err(Refusal::unauthorized())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_slowed_by_address_and_remembered_within_bounds() {
        let gate = Gate::new(None);
        let start = moment();
        let guesser: IpAddr = "2001:db8::1".parse().expect("an address");
        let neighbour: IpAddr = "2001:db8::2".parse().expect("an address");
        let other: IpAddr = "192.0.2.1".parse().expect("an address");
        for _ in 0..FAILURES_MAX {
            assert_eq!(gate.held_back(guesser, start), None);
            gate.failed(guesser, start);
        }
        assert_eq!(gate.held_back(guesser, start), Some(WINDOW));
        assert_eq!(gate.held_back(neighbour, start), Some(WINDOW), "the same /64 is the same host");
        assert_eq!(gate.held_back(other, start), None);
        assert_eq!(gate.held_back(guesser, start + WINDOW), None);
        gate.failed(guesser, start + WINDOW);
        assert_eq!(gate.held_back(guesser, start + WINDOW), None, "a new window counts from one");
        for n in 0..u32::try_from(ADDRESSES_MAX).expect("it is small") + 10 {
            gate.failed(IpAddr::V4(n.into()), start + WINDOW);
        }
        assert_eq!(gate.failures.lock().expect("no one panicked").len(), ADDRESSES_MAX);
    }

    #[test]
    fn only_a_bearer_token_is_one() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers), expected, "{value:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
