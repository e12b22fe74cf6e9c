//! Decides who is asking, from the presented key; never what they may ask for.

mod nearby;

use std::sync::Arc;

use http::{HeaderMap, header};
use policy::{Class, Key, OWN_KEY_PREFIX, TAG_BYTES_MAX, TAGS_MAX};

use super::accept::Arrival;
use crate::{
    refusal::{Code, Refusal},
    routes,
};

/// Who asks, and how urgently.
pub(crate) struct Caller {
    pub(super) key: Arc<Key>,
    pub(super) class: Class,
    pub(super) tags: Vec<(String, String)>,
}

/// Finds the caller. Without any configured key only this machine's own programs are served.
pub(super) fn authenticate(arrival: &Arrival) -> Result<Caller, Refusal> {
    let key = find_key(arrival)?;
    policy::may_enter(&key, arrival.peer, arrival.wall)?;
    if let Some(endpoint) = routes::endpoint(arrival.operation, arrival.dialect, arrival.tail()) {
        policy::may_call(&key, endpoint)?;
    }
    let headers = &arrival.head.headers;
    let asked = headers
        .get("x-priority")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<Class>().ok());
    Ok(Caller {
        class: asked.unwrap_or_default().capped(key.priority_max),
        tags: tags(headers.get("x-lockgate-tags").and_then(|value| value.to_str().ok()), &key.metadata),
        key,
    })
}

fn find_key(arrival: &Arrival) -> Result<Arc<Key>, Refusal> {
    let identity = &arrival.view.snapshot.identity;
    let presented = presented(&arrival.head.headers, arrival.head.uri.query());
    let unknown = || Refusal::new(Code::INVALID_API_KEY, "The API key is not known here.");
    if identity.is_open() {
        // Many clients send some key in any case; one of ours was given for something, and is gone.
        if presented.is_some_and(|key| key.starts_with(OWN_KEY_PREFIX)) {
            return Err(unknown());
        }
        nearby::from_here(arrival.peer, &arrival.head)?;
        return Ok(identity.anonymous().clone());
    }
    let Some(presented) = presented else {
        return Err(Refusal::new(
            Code::MISSING_API_KEY,
            "No API key was given. Send it as `Authorization: Bearer <key>`.",
        ));
    };
    identity.find(presented).cloned().ok_or_else(unknown)
}

/// The gateway key, wherever one of the usual clients puts it.
fn presented<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Option<&'a str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let named = || {
        ["x-api-key", "api-key", "x-goog-api-key"]
            .iter()
            .find_map(|name| headers.get(*name).and_then(|value| value.to_str().ok()))
    };
    let in_query = || query?.split('&').find_map(|pair| pair.strip_prefix("key="));
    bearer.or_else(named).or_else(in_query).filter(|key| !key.is_empty())
}

/// `project=a,stage=dev` as pairs, behind what the key says of itself; what is not a pair, too long, or named as the key
/// names something, is left out.
fn tags(header: Option<&str>, of_key: &[(String, String)]) -> Vec<(String, String)> {
    let own = header.unwrap_or_default().split(',').filter_map(|pair| pair.trim().split_once('='));
    let own = own.filter(|(name, value)| {
        let fits = name.len() <= TAG_BYTES_MAX && value.len() <= TAG_BYTES_MAX;
        fits && !name.is_empty() && !of_key.iter().any(|(known, _)| known == name)
    });
    let own = own.take(TAGS_MAX).map(|(name, value)| (name.to_owned(), value.to_owned()));
    of_key.iter().cloned().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_key_is_found_wherever_clients_put_it() {
        for (name, value, query, want) in [
            ("authorization", "Bearer lg-1", None, Some("lg-1")),
            ("authorization", "bearer  lg-1 ", None, Some("lg-1")),
            ("authorization", "Basic lg-1", None, None),
            ("x-api-key", "lg-2", None, Some("lg-2")),
            ("api-key", "lg-3", None, Some("lg-3")),
            ("x-goog-api-key", "lg-4", None, Some("lg-4")),
            ("accept", "*/*", Some("alt=sse&key=lg-5"), Some("lg-5")),
            ("accept", "*/*", Some("monkey=lg-5"), None),
            ("authorization", "Bearer ", None, None),
            ("accept", "*/*", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(presented(&headers, query), want, "{name}: {value} {query:?}");
        }
    }

    #[test]
    fn tags_are_pairs_and_bounded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let of_key = [pair("project", "of the key")];
        for (header, of_key, want) in [
            (Some("project=a, stage=dev,x,=y"), &[][..], vec![pair("project", "a"), pair("stage", "dev")]),
            (
                Some("project=a, stage=dev"),
                &of_key,
                vec![pair("project", "of the key"), pair("stage", "dev")],
            ),
            (None, &of_key, of_key.to_vec()),
        ] {
            assert_eq!(tags(header, of_key), want, "{header:?}");
        }
        let many = (0..40).map(|n| format!("t{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(tags(Some(&many), &[]).len(), TAGS_MAX);
    }
}
