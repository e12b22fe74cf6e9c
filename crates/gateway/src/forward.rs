//! Decides which headers cross the gateway, in both directions; credentials, cookies and hop-by-hop headers never do.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use policy::HeaderRules;
use protocol::Dialect;

use crate::identity::Stamp;

/// Request headers that go upstream by name; `x-*` go by prefix, and each provider's own to those who speak its dialect. A
/// backend's own rules may add to them or take from them.
const REQUEST_ALLOWED: &[&str] = &["accept", "content-type", "traceparent", "tracestate", "user-agent"];
/// What headers that begin so belong to.
const REQUEST_PREFIXES: &[(&str, Family)] = &[
    ("openai-", Family::OpenAi),
    ("anthropic-", Family::Anthropic),
    ("x-goog-", Family::Google),
    ("x-", Family::Any),
];

/// Kept back though a prefix would allow them, unless a backend's rules ask for them.
const REQUEST_DENIED: &[&str] = &["x-priority", "x-forwarded-*", "x-real-ip*"];

/// Never passed on, whatever a backend's rules say: credentials and cookies, what belongs to one connection (RFC 9110,
/// 7.6.1), what the gateway itself writes or is told.
const REQUEST_NEVER: &[&str] = &[
    "authorization",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "cookie",
    "host",
    "content-length",
    "accept-encoding",
    "x-request-id",
    "x-lockgate-*",
    "connection",
    "expect",
    "keep-alive",
    "proxy-*",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Answer headers that come back by name; `openai-*`, `anthropic-*` and `x-*` come back by prefix.
const ANSWER_ALLOWED: &[&str] =
    &["content-type", "content-disposition", "content-language", "content-encoding", "content-range", "etag"];

/// Never handed to a client: the account's limits are not the caller's.
const ANSWER_DENIED_PREFIXES: &[&str] = &[
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "x-lockgate-",
    "anthropic-organization",
    "openai-organization",
    "openai-project",
    "x-request-id",
    "x-accel-",
    "x-powered-by",
];

static UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// Whose headers those of a prefix are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    OpenAi,
    Anthropic,
    Google,
}

impl Family {
    fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiResponses
            | Dialect::OpenAiRaw => Self::OpenAi,
            Dialect::AgentRpc => Self::Any,
            Dialect::AnthropicMessages => Self::Anthropic,
            Dialect::Gemini => Self::Google,
        }
    }
}

/// What Anthropic's dialect is spoken in when the client does not say.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The client's headers that go to a backend with these rules that is spoken to in `dialect`, with the request's own id
/// and what the rules set.
pub(crate) fn request_headers(
    from: &HeaderMap,
    stamp: &Stamp,
    rules: &HeaderRules,
    dialect: Dialect,
) -> HeaderMap {
    let mut forwarded = HeaderMap::with_capacity(from.len() + rules.set.len() + 2);
    for (name, value) in from {
        if goes_upstream(name.as_str(), rules, Family::of(dialect)) {
            forwarded.append(name.clone(), value.clone());
        }
    }
    forwarded.insert("x-request-id", stamp.header());
    if dialect == Dialect::AnthropicMessages && !forwarded.contains_key("anthropic-version") {
        forwarded.insert("anthropic-version", ANTHROPIC_VERSION);
    }
    // Usage is read from the answer, so it must come as plain text.
    forwarded.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    set_fixed(rules, &mut forwarded);
    forwarded
}

/// The headers of a call of our own to a backend with these rules that is spoken to in `dialect`.
pub(crate) fn own_headers(rules: &HeaderRules, dialect: Option<Dialect>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if dialect == Some(Dialect::AnthropicMessages) {
        headers.insert("anthropic-version", ANTHROPIC_VERSION);
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    set_fixed(rules, &mut headers);
    headers
}

fn set_fixed(rules: &HeaderRules, headers: &mut HeaderMap) {
    for (name, value) in &rules.set {
        if let (Ok(name), Ok(mut value)) =
            (HeaderName::try_from(&**name), HeaderValue::try_from(value.expose()))
        {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
}

/// The upstream's headers that may come back to the client: none that quotes a secret.
pub(crate) fn answer_headers(from: &HeaderMap, quotes_secret: impl Fn(&[u8]) -> bool) -> HeaderMap {
    /// Identity, where the key stands with its limits, and how the answer is framed: room for them now is no growth later.
    const OWN_MAX: usize = 14;
    let mut forwarded = HeaderMap::with_capacity(from.len() + OWN_MAX);
    for (name, value) in from {
        if comes_back(name.as_str()) && !quotes_secret(value.as_bytes()) {
            forwarded.append(name.clone(), value.clone());
        }
    }
    let id = ["x-request-id", "request-id"].iter().find_map(|name| from.get(*name));
    if let Some(id) = id.filter(|id| !quotes_secret(id.as_bytes())) {
        forwarded.insert(UPSTREAM_REQUEST_ID.clone(), id.clone());
    }
    forwarded
}

/// Takes from an answer in another dialect what would be wrong or foreign in the client's.
pub(crate) fn keep_own(headers: &mut HeaderMap) {
    let id = headers.remove(&UPSTREAM_REQUEST_ID);
    headers.clear();
    if let Some(id) = id {
        headers.insert(UPSTREAM_REQUEST_ID.clone(), id);
    }
}

/// What of a query is the gateway's own: its key, and Azure's version of an API that it is itself.
const OWN_PAIRS: [&str; 2] = ["key=", "api-version="];

/// The path and query below a backend's base URL; the gateway's own parameters stay here.
pub(crate) fn path(tail: &str, query: Option<&str>) -> Box<str> {
    let Some(query) = query else { return tail.into() };
    let is_own = |pair: &&str| OWN_PAIRS.iter().any(|own| pair.starts_with(own));
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_own(pair)).collect();
    match kept.is_empty() {
        true => tail.into(),
        false => format!("{tail}?{}", kept.join("&")).into_boxed_str(),
    }
}

fn goes_upstream(name: &str, rules: &HeaderRules, to: Family) -> bool {
    let of_prefix = REQUEST_PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix));
    let by_prefix = of_prefix.is_some_and(|(_, family)| *family == Family::Any || *family == to);
    let by_default = (REQUEST_ALLOWED.contains(&name) || by_prefix) && !is_listed(name, REQUEST_DENIED);
    (by_default || is_listed(name, &rules.allow))
        && !is_listed(name, &rules.deny)
        && !is_listed(name, REQUEST_NEVER)
}

/// Whether a list has the name, or its beginning with a `*` behind it.
fn is_listed<P: AsRef<str>>(name: &str, list: &[P]) -> bool {
    list.iter().map(AsRef::as_ref).any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    })
}

fn comes_back(name: &str) -> bool {
    let has_prefix = REQUEST_PREFIXES.iter().any(|(prefix, _)| name.starts_with(prefix));
    let is_allowed = ANSWER_ALLOWED.contains(&name) || has_prefix;
    is_allowed && !ANSWER_DENIED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_cookies_and_hop_by_hop_headers_stay_here() {
        let stay = [
            "authorization",
            "api-key",
            "x-api-key",
            "x-goog-api-key",
            "cookie",
            "host",
            "content-length",
            "connection",
            "transfer-encoding",
            "te",
            "upgrade",
            "proxy-authorization",
            "x-forwarded-for",
            "x-lockgate-debug",
            "keep-alive",
        ];
        let go = [
            "x-stainless-lang",
            "openai-beta",
            "user-agent",
            "accept",
            "traceparent",
            "content-type",
            "x-vendor",
        ];
        let none = HeaderRules::default();
        let all = HeaderRules { allow: vec!["*".to_owned()], ..HeaderRules::default() };
        let nothing = HeaderRules { deny: vec!["*".to_owned()], ..all.clone() };
        for name in stay {
            assert!(!goes_upstream(name, &none, Family::OpenAi), "{name}");
            assert_eq!(goes_upstream(name, &all, Family::OpenAi), name == "x-forwarded-for", "{name}");
        }
        for name in go {
            let goes = |rules| goes_upstream(name, rules, Family::OpenAi);
            assert!(goes(&none) && goes(&all), "{name}");
            assert!(!goes(&nothing), "{name}");
        }
    }

    #[test]
    fn a_providers_own_headers_go_to_who_speaks_its_dialect() {
        let mut sent = HeaderMap::new();
        for name in ["anthropic-beta", "openai-beta", "x-goog-api-client", "x-vendor"] {
            sent.insert(name, HeaderValue::from_static("1"));
        }
        let stamp = Stamp::new(&sent, policy::TicketId(1));
        for (dialect, go, version) in [
            (Dialect::AnthropicMessages, &["anthropic-beta", "x-vendor"][..], Some("2023-06-01")),
            (Dialect::OpenAiChat, &["openai-beta", "x-vendor"], None),
            (Dialect::Gemini, &["x-goog-api-client", "x-vendor"], None),
        ] {
            let went = request_headers(&sent, &stamp, &HeaderRules::default(), dialect);
            for name in sent.keys() {
                assert_eq!(went.contains_key(name), go.contains(&name.as_str()), "{name} to {dialect}");
            }
            assert_eq!(went.get("anthropic-version").and_then(|value| value.to_str().ok()), version);
        }
        sent.insert("anthropic-version", HeaderValue::from_static("2026-10-21"));
        let went = request_headers(&sent, &stamp, &HeaderRules::default(), Dialect::AnthropicMessages);
        assert_eq!(went["anthropic-version"], "2026-10-21");
    }

    #[test]
    fn a_backends_rules_name_headers_or_their_beginnings() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let rules = HeaderRules {
            allow: list(&["x-real-ip", "cf-*"]),
            deny: list(&["x-stainless-*", "cf-ray"]),
            set: vec![],
        };
        for (name, goes) in [
            ("x-real-ip", true),
            ("cf-ipcountry", true),
            ("cf-ray", false),
            ("x-stainless-lang", false),
            ("x-stainles", true),
            ("accept-language", false),
        ] {
            assert_eq!(goes_upstream(name, &rules, Family::Any), goes, "{name}");
        }
    }

    #[test]
    fn the_accounts_limits_do_not_leak() {
        for name in [
            "x-ratelimit-remaining-requests",
            "set-cookie",
            "server",
            "retry-after",
            "content-length",
            "x-request-id",
            "openai-organization",
        ] {
            assert!(!comes_back(name), "{name}");
        }
        for name in ["content-type", "openai-processing-ms", "x-vendor"] {
            assert!(comes_back(name), "{name}");
        }
    }

    #[test]
    fn the_gateways_key_is_not_passed_on_in_the_query() {
        assert_eq!(&*path("/models", Some("key=lg-1")), "/models");
        assert_eq!(&*path("/files", Some("limit=2&key=lg-1&after=x")), "/files?limit=2&after=x");
        assert_eq!(&*path("/files", None), "/files");
    }
}
