//! Decides what of a head is captured in clear: never the value of a header that is a credential, or may be one.

use http::{HeaderMap, Uri};

/// Stands in the place of what is not captured.
pub(super) const HIDDEN: &str = "[hidden]";
/// Headers whose values are credentials, or lead to some.
const CREDENTIALS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "set-cookie",
    "www-authenticate",
];
/// A name with one of these words in it is taken for a credential's.
const WORDS: [&str; 12] = [
    "auth",
    "authorization",
    "authentication",
    "token",
    "secret",
    "password",
    "cookie",
    "credential",
    "credentials",
    "key",
    "apikey",
    "signature",
];
/// Names with such a word that are none.
const HARMLESS: [&str; 2] = ["idempotency-key", "x-idempotency-key"];
/// What is kept of all headers of a message, and of a path.
const HEADERS_BYTES_MAX: usize = 12 * 1024;
const PATH_BYTES_MAX: usize = 2 * 1024;
/// Stands behind the last header that is kept.
const MORE: &str = "[more]";

/// The headers in their order. Those that are, or quote, a secret are named and not told.
pub(super) fn headers(from: &HeaderMap, is_secret: impl Fn(&[u8]) -> bool) -> Vec<(String, String)> {
    let mut kept = Vec::with_capacity(from.len());
    let mut bytes = 0;
    for (name, value) in from {
        let is_hidden = value.is_sensitive() || is_credential(name.as_str()) || is_secret(value.as_bytes());
        let told = match is_hidden {
            true => HIDDEN.to_owned(),
            false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        bytes += name.as_str().len() + told.len();
        if bytes > HEADERS_BYTES_MAX {
            kept.push((MORE.to_owned(), format!("{} headers are left out", from.len() - kept.len())));
            break;
        }
        kept.push((name.as_str().to_owned(), told));
    }
    kept
}

fn is_credential(name: &str) -> bool {
    let has_word = || name.split(['-', '_', '.']).any(|word| WORDS.contains(&word));
    CREDENTIALS.contains(&name) || (has_word() && !HARMLESS.contains(&name))
}

/// Path and query, without the values of parameters that are credentials: Gemini's clients put their keys there.
pub(super) fn path(uri: &Uri) -> String {
    let mut told = uri.path().to_owned();
    if let Some(query) = uri.query() {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_credential(&name.to_ascii_lowercase()) => format!("{name}={HIDDEN}"),
            Some(_) | None => pair.to_owned(),
        });
        told = format!("{told}?{}", pairs.collect::<Vec<_>>().join("&"));
    }
    if told.len() > PATH_BYTES_MAX {
        let end = told.floor_char_boundary(PATH_BYTES_MAX);
        told.truncate(end);
    }
    told
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn credentials_are_named_and_not_told() {
        for (name, is_told) in [
            ("authorization", false),
            ("proxy-authorization", false),
            ("x-api-key", false),
            ("api-key", false),
            ("x-goog-api-key", false),
            ("cookie", false),
            ("set-cookie", false),
            ("x-amz-security-token", false),
            ("x-auth", false),
            ("x-vendor-secret", false),
            ("x-signature", false),
            ("openai-organization", true),
            ("idempotency-key", true),
            ("x-ratelimit-remaining-tokens", true),
            ("x-monkey", true),
            ("content-type", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("canary"));
            let told = super::headers(&headers, |_| false);
            let want = if is_told { "canary" } else { HIDDEN };
            assert_eq!(told, [(name.to_owned(), want.to_owned())]);
        }
    }

    #[test]
    fn what_is_marked_or_quotes_a_secret_is_not_told() {
        let mut marked = HeaderValue::from_static("canary");
        marked.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("x-a"), marked),
            (HeaderName::from_static("x-b"), HeaderValue::from_static("is canary")),
            (HeaderName::from_static("x-c"), HeaderValue::from_static("fine")),
        ]);
        let told = super::headers(&headers, |value| value.ends_with(b"canary"));
        let told: Vec<&str> = told.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(told, [HIDDEN, HIDDEN, "fine"]);
    }

    #[test]
    fn keys_in_the_query_are_not_told() {
        for (uri, want) in [
            ("/v1/models", "/v1/models"),
            (
                "/v1beta/models/m:generateContent?alt=sse&key=canary",
                "/v1beta/models/m:generateContent?alt=sse&key=[hidden]",
            ),
            ("/v1/files?API_KEY=canary&limit=2", "/v1/files?API_KEY=[hidden]&limit=2"),
            ("/v1/files?access_token=canary&flag", "/v1/files?access_token=[hidden]&flag"),
            ("/v1/files?monkey=1", "/v1/files?monkey=1"),
        ] {
            assert_eq!(path(&Uri::from_static(uri)), want);
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let value = HeaderValue::try_from("v".repeat(5000)).expect("a value");
        let headers =
            (0..9).map(|n| (HeaderName::try_from(format!("x-{n}")).expect("a name"), value.clone()));
        let told = super::headers(&HeaderMap::from_iter(headers), |_| false);
        let bytes: usize = told.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes <= HEADERS_BYTES_MAX + 100, "{bytes}");
        assert_eq!(
            told.last().map(|(name, value)| (name.as_str(), value.as_str())),
            Some((MORE, "7 headers are left out"))
        );
        let uri: Uri = format!("/{}", "é".repeat(3000)).parse().unwrap_or(Uri::from_static("/"));
        assert!(path(&uri).len() <= PATH_BYTES_MAX);
        let long: Uri = format!("/{}", "p".repeat(5000)).parse().expect("a path");
        assert_eq!(path(&long).len(), PATH_BYTES_MAX);
    }
}
