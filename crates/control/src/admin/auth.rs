//! Decides who comes in: by a bearer token, compared as a digest in constant time, or by a session that began with one.
//! It slows down addresses that guess, and never keeps or prints a token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use policy::{Digest, Digester, Secret};
use store::{Directory, StoreError};

use super::actor::Actor;
use super::refusal::Refusal;
use super::role::Role;
use super::{AdminState, session};
use crate::config::Settings;
use crate::keygen;
use crate::publish::moment;

/// Wrong tokens that an address may show within a window.
const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at once; beyond that the oldest is forgotten.
const ADDRESSES_MAX: usize = 4096;
/// What the first token is called: the configured one, or the one that was minted.
pub(super) const FIRST: &str = "admin";
/// A use within this time of the last one is not written down.
pub(super) const NOTED_EVERY: Duration = Duration::from_secs(60);

/// Who is calling; the server puts it into each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The door: the digest of the first token, and who guessed wrong lately.
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

    /// Whether this is the first token: the configured one, or the minted one where none is configured.
    fn is_first(&self, presented: &Digest, configured: Option<&Digest>) -> bool {
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

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
}

/// The owner of a token, by its digest; nobody when it does not count.
pub(super) async fn owner(state: &AdminState, presented: Digest) -> Result<Option<Bearer>, Refusal> {
    let configured = state.publisher.loaded().settings.admin_token.clone();
    let configured = configured.map(|token| state.digester.digest(token.expose()));
    if state.gate.is_first(&presented, configured.as_ref()) {
        return Ok(Some(Bearer { name: FIRST.into(), role: Role::Admin }));
    }
    let now = state.publisher.now();
    let Some(token) = state.directory.token_of(presented).await? else { return Ok(None) };
    let role = Role::named(&token.role).filter(|_| token.expires.is_none_or(|ends| now < ends));
    if role.is_some() && token.last_used.is_none_or(|last| last.until(now) >= NOTED_EVERY) {
        // Who comes in must not depend on whether it can be written down.
        if let Err(error) = state.directory.token_used(&token.id, now).await {
            tracing::debug!(%error, "the use of an admin token was not noted");
        }
    }
    Ok(role.map(|role| Bearer { name: token.name.into(), role }))
}

/// Who showed this token, where guessing is slowed down.
pub(super) async fn admitted(state: &AdminState, token: &str, address: IpAddr) -> Result<Bearer, Refusal> {
    let now = moment();
    if let Some(wait) = state.gate.held_back(address, now) {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        let refusal =
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "too many wrong tokens");
        return Err(refusal.with_header(header::RETRY_AFTER, seconds));
    }
    if let Some(bearer) = owner(state, state.digester.digest(token)).await? {
        return Ok(bearer);
    }
    state.gate.failed(address, now);
    Err(Refusal::unauthorized())
}

/// Lets in who shows a token or has a session, and tells whoever comes next who it is.
pub(crate) async fn authenticate(
    State(state): State<AdminState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let address = address(request.extensions());
    let bearer = match bearer(request.headers()) {
        Some(token) => admitted(&state, token, address).await?,
        None => {
            let (bearer, session) = session::resume(&state, request.method(), request.headers()).await?;
            request.extensions_mut().insert(session);
            bearer
        }
    };
    request.extensions_mut().insert(Actor { name: bearer.name, role: bearer.role, address });
    Ok(next.run(request).await)
}

/// Where a request comes from, as the server says.
pub(super) fn address(extensions: &Extensions) -> IpAddr {
    extensions.get::<ClientAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |found| found.0)
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
