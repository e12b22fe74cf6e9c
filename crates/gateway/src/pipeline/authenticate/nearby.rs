//! Decides whether a request without a key comes from a program on this machine; never from its address alone, which a
//! web page in a local browser and whoever stands behind a local proxy have, too.

use std::net::IpAddr;

use http::{HeaderName, header, request::Parts};

use crate::refusal::{Code, Refusal};

/// What a proxy adds: the request came from somewhere else.
const RELAYED: [HeaderName; 4] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];

/// Refuses what may come from elsewhere. Without a gateway key that is all that keeps strangers out.
pub(super) fn from_here(peer: IpAddr, head: &Parts) -> Result<(), Refusal> {
    if !peer.to_canonical().is_loopback() {
        return Err(refused("this one comes from another"));
    }
    if RELAYED.iter().any(|name| head.headers.contains_key(name)) {
        return Err(refused("this one came through a proxy"));
    }
    // A name that somebody else owns may be made to lead here, and a page under it would be taken for a local one.
    if host(head).is_some_and(|host| !is_local_name(host)) {
        return Err(refused("this one was sent to a public name"));
    }
    let is_foreign_page =
        head.headers.get(header::ORIGIN).is_some_and(|value| !is_local_origin(value.as_bytes()))
            || head.headers.get("sec-fetch-site").is_some_and(|value| value == "cross-site");
    match is_foreign_page {
        true => Err(refused("this one comes from a web page")),
        false => Ok(()),
    }
}

fn refused(why: &str) -> Refusal {
    let message = format!(
        "No gateway key is configured, so only programs on the gateway's own machine are served, and {why}. \
         `lockgate keys create` makes a key."
    );
    Refusal::new(Code::MISSING_API_KEY, message)
}

/// The host that was asked for, without its port.
fn host(head: &Parts) -> Option<&str> {
    let named = || head.headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    head.uri.authority().map(http::uri::Authority::as_str).or_else(named).map(without_port)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Whether nobody can own `host` on the public internet: an address, a name without a dot, or one under a domain that is
/// kept for private use (RFC 6761; ICANN resolution 2024.07.29.06 for `.internal`).
fn is_local_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let last = bare.rsplit('.').next().unwrap_or_default();
    let is_private = last.eq_ignore_ascii_case("localhost") || last.eq_ignore_ascii_case("internal");
    bare.parse::<IpAddr>().is_ok() || is_private || (!bare.is_empty() && !bare.contains('.'))
}

/// Whether a page of `origin` is one of this machine. An application's own scheme (`vscode-webview:`, `tauri:`) is no
/// page of the web; `null` may be any.
fn is_local_origin(origin: &[u8]) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else { return false };
    match origin.split_once("://") {
        Some(("http" | "https", authority)) => is_local_name(without_port(authority)),
        Some(_) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn is_served(peer: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        from_here(peer.parse().expect("an address"), &head).is_ok()
    }

    #[test]
    fn programs_of_this_machine_are_served_and_nobody_else() {
        let local = "127.0.0.1";
        let path = "/v1/models";
        for (peer, uri, headers, want) in [
            (local, path, vec![], true),
            ("::1", path, vec![("host", "[::1]:9190")], true),
            ("::ffff:127.0.0.1", path, vec![("host", "localhost:9190")], true),
            ("10.0.0.7", path, vec![("host", "localhost:9190")], false),
            (local, path, vec![("host", "127.0.0.1:9190")], true),
            (local, path, vec![("host", "192.168.0.2:9190")], true),
            (local, path, vec![("host", "lockgate")], true),
            (local, path, vec![("host", "api.localhost:9190")], true),
            (local, path, vec![("host", "host.docker.internal:9190")], true),
            (local, path, vec![("host", "evil.example:9190")], false),
            (local, path, vec![("host", "localhost.evil.example")], false),
            (local, path, vec![("host", "")], false),
            (local, "http://evil.example/v1/models", vec![("host", "localhost")], false),
            (local, path, vec![("x-forwarded-for", "8.8.8.8")], false),
            (local, path, vec![("forwarded", "for=8.8.8.8")], false),
            (local, path, vec![("x-real-ip", "127.0.0.1")], false),
            (local, path, vec![("origin", "http://localhost:3000")], true),
            (local, path, vec![("origin", "http://127.0.0.1:9190")], true),
            (local, path, vec![("origin", "vscode-webview://1a2b")], true),
            (local, path, vec![("origin", "https://evil.example")], false),
            (local, path, vec![("origin", "null")], false),
            (local, path, vec![("sec-fetch-site", "cross-site")], false),
            (local, path, vec![("sec-fetch-site", "same-origin")], true),
        ] {
            assert_eq!(is_served(peer, uri, &headers), want, "{peer} {uri} {headers:?}");
        }
    }
}
